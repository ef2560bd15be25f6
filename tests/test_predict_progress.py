"""What is told while rows are answered: as they are, and of all there is."""

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bertctl.model.pretraining import BertForPreTraining
from bertctl.pipeline.predict.opening import open_model
from bertctl.pipeline.predict.reading import read_source
from bertctl.pipeline.predict.request import PredictRequest
from bertctl.pipeline.predict.run import predict
from bertctl.pipeline.predict.settings import PredictHow
from bertctl.pipeline.predict.windows import ROWS_AT_ONCE
from bertctl.pipeline.stage.report import Silent
from bertctl.pipeline.training.settings import NumericsSettings

from .test_predict import CONFIG, write, write_classifier

TEXTS = [f"{'river stone [MASK] ' * (1 + number % 3)}letter" for number in range(19)]


class Counting(Silent):
    """A progress that remembers what it was told."""

    def __init__(self) -> None:
        self.amounts: list[float] = []
        self.figures: list[dict[str, Any]] = []

    def advance(self, amount: float, **figures: float | str) -> None:
        self.amounts.append(amount)
        self.figures.append(figures)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("models")
    write(place / "encoder", BertForPreTraining(CONFIG), "BertForPreTraining")
    write_classifier(place / "classifier")
    return place


def write_texts(directory: Path, name: str, texts: list[str]) -> Path:
    path = directory / name
    match path.suffixes:
        case [".txt"]:
            path.write_text("".join(f"{text}\n" for text in texts))
        case [".csv", ".gz"]:
            path.write_bytes(gzip.compress("\n".join(["text", *texts, ""]).encode()))
        case [".tsv"]:
            path.write_text("\n".join(["text\tid", *(f"{text}\t{1}" for text in texts), ""]))
        case _:
            pq.write_table(pa.table({"text": texts}), path)
    return path


@pytest.mark.parametrize("model", ["encoder", "classifier"])
@pytest.mark.parametrize("name", ["a.txt", "a.csv.gz", "a.tsv", "a.parquet"])
def test_batches_are_counted_as_they_are_answered_up_to_all_that_there_is(
    models: Path, tmp_path: Path, model: str, name: str
) -> None:
    # A blank line is a row, though of some models nothing is asked of it.
    texts = [*TEXTS, *([""] if (model, name) == ("classifier", "a.txt") else [])]
    path = write_texts(tmp_path, name, texts)
    numerics = NumericsSettings(device="cpu", precision="float32", threads=1, micro_batch_size=2)
    request = PredictRequest(models / model, path, PredictHow(), numerics)
    reading, progress = read_source(path, request.how), Counting()
    opened = open_model(request, wants_vectors=False)
    answers = predict(opened, request, reading, reporter=Silent(), progress=progress)
    next(answers)
    assert len(progress.amounts) > 3, "told only when a window was done"
    assert len([*answers]) == len(texts) - 1
    assert min(progress.amounts) > 0
    if name == "a.parquet":
        assert (reading.extent.unit, reading.extent.total) == ("rows", len(texts))
    else:
        assert (reading.extent.unit, reading.extent.total) == ("B", path.stat().st_size)
        done = [each["rows_done"] for each in progress.figures]
        assert done == sorted(done)
        assert done[-1] == len(texts)
    assert sum(progress.amounts) == pytest.approx(reading.extent.total)


def test_windows_add_up_to_the_file(models: Path, tmp_path: Path) -> None:
    path = write_texts(tmp_path, "a.txt", ["[MASK]"] * (ROWS_AT_ONCE + 3))
    numerics = NumericsSettings(device="cpu", precision="float32", threads=1, micro_batch_size=99)
    request = PredictRequest(models / "encoder", path, PredictHow(top_k=1), numerics)
    reading, progress = read_source(path, request.how), Counting()
    opened = open_model(request, wants_vectors=False)
    answers = predict(opened, request, reading, reporter=Silent(), progress=progress)
    assert len([*answers]) == ROWS_AT_ONCE + 3
    assert sum(progress.amounts) == pytest.approx(path.stat().st_size)
    assert progress.figures[-1] == {"rows_done": ROWS_AT_ONCE + 3}
