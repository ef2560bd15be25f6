"""Models exported: the same logits in transformers, and a directory that says what is known."""

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import transformers
from huggingface_hub import ModelCard

from bertctl.model.finetuning import (
    BertForMultipleChoice,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
)
from bertctl.model.pretraining import BertForPreTraining
from bertctl.pipeline.errors import BadInput, OutputRefused
from bertctl.pipeline.export.settings import ExportSettings
from bertctl.pipeline.export.stage import ExportRequest, export
from bertctl.pipeline.predict.opening import open_model
from bertctl.pipeline.predict.request import PredictRequest
from bertctl.pipeline.stage.engine import Completion
from bertctl.pipeline.stage.files import FileRecord, write_json
from bertctl.pipeline.stage.made_from import sources_among, write_note
from bertctl.pipeline.stage.manifest import Manifest
from bertctl.pipeline.stage.recipe import Recipe
from bertctl.pipeline.status.status import status
from bertctl.pipeline.training.checkpoint_record import CheckpointRecord
from bertctl.pipeline.training.starting_point import open_stored
from bertctl.pipeline.verify.claim import read_claim
from bertctl.pipeline.verify.exported import prove
from bertctl.pipeline.verify.verify import verify

from .test_predict import CONFIG, Heard, ask, tokens_of, write

LABELS = {"0": "no", "1": "so", "2": "yes"}
MODELS: dict[str, Any] = {
    "BertForPreTraining": BertForPreTraining(CONFIG),
    "BertForMaskedLM": BertForPreTraining(CONFIG, objective="mlm"),
    "BertForSequenceClassification": BertForSequenceClassification(CONFIG, num_labels=3),
    "BertForTokenClassification": BertForTokenClassification(CONFIG, num_labels=3),
    "BertForQuestionAnswering": BertForQuestionAnswering(CONFIG),
    "BertForMultipleChoice": BertForMultipleChoice(CONFIG),
}
WHAT = {
    "task": "sequence-classification",
    "text_column": "premise",
    "text_pair_column": "hypothesis",
    "label_column": "truth",
    "max_seq_length": 11,
    "learning_rate": 2e-5,
}
FIGURES = {
    "mean": {"validation": None, "test": {"accuracy": 0.8125, "macro_f1": 0.7}},
    "sd": {"validation": None, "test": {"accuracy": 0.0123, "macro_f1": 0.02}},
    "interval": {"level": 0.95, "test": {"accuracy": [0.77, 0.85], "macro_f1": [0.6, 0.8]}},
    "rows": {"train": 396, "test": 950},
    "seeds": [{"seed": 1}],
}


def model_of(place: Path, architecture: str) -> Path:
    config = {"id2label": LABELS} if "Classification" in architecture else {}
    return write(place, MODELS[architecture], architecture, _name_or_path=str(place), **config)


def run_of(run: Path) -> Path:
    """Write a fine-tuning's output, as far as others read it."""
    model_of(run / "model", "BertForSequenceClassification")
    recipe = Recipe("finetune", 2, WHAT)
    write_json(run / "recipe.json", recipe.as_json())
    files = {f"model/{each.name}": FileRecord.of(each) for each in (run / "model").iterdir()}
    manifest = Manifest(recipe, "0", files, statistics=FIGURES)
    manifest.write(run, aside=run / ".aside")
    return run


def exported(model: Path, output: Path, *, force: bool = False, **settings: Any) -> Completion:
    request = ExportRequest(model, ExportSettings(**settings))
    return export(request, output, reporter=Heard(), force=force)


@torch.no_grad()
@pytest.mark.parametrize("architecture", MODELS)
def test_exported_model_gives_the_same_logits(tmp_path: Path, architecture: str) -> None:
    source = model_of(tmp_path / "source", architecture)
    output = exported(source, tmp_path / "out").directory
    inputs = tokens_of("river stone", "letter")
    if architecture == "BertForMultipleChoice":
        inputs = {name: each[None] for name, each in inputs.items()}
    kind = getattr(transformers, architecture)
    one, other = (kind.from_pretrained(each).eval()(**inputs) for each in (source, output))
    for mine, theirs in zip(one.to_tuple(), other.to_tuple(), strict=True):
        assert torch.equal(mine, theirs)
    tokenizer = transformers.AutoTokenizer.from_pretrained(output)
    assert (
        tokenizer("river stone", "letter")["input_ids"]
        == tokens_of("river stone", "letter")["input_ids"][0].tolist()
    )
    assert not [each for each in verify(output, reporter=Heard()).checks if not each.ok]


@torch.no_grad()
@pytest.mark.parametrize("architecture", ["BertForPreTraining", "BertForQuestionAnswering"])
def test_encoder_alone_gives_the_same_vectors(tmp_path: Path, architecture: str) -> None:
    source = model_of(tmp_path / "source", architecture)
    output = exported(source, tmp_path / "out", encoder_only=True).directory
    inputs = tokens_of("river stone letter")
    encoder = transformers.AutoModel.from_pretrained(
        output, add_pooling_layer="Pre" in architecture
    )
    kind = getattr(transformers, architecture)
    expected = kind.from_pretrained(source).eval().bert(**inputs).last_hidden_state
    assert torch.equal(encoder.eval()(**inputs).last_hidden_state, expected)
    verdict = verify(output, reporter=Heard())
    assert verdict.ok, [each for each in verdict.checks if not each.ok]
    card = (output / "README.md").read_text()
    assert ("add_pooling_layer=False" in card) == ("Pre" not in architecture)
    (vector,) = ask(output, "river stone letter", task="embeddings")
    assert vector["cls"] == pytest.approx(expected[0, 0].numpy(), abs=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_weights_are_rounded_to_the_type_that_is_asked_for(tmp_path: Path, dtype: str) -> None:
    source = model_of(tmp_path / "source", "BertForSequenceClassification")
    output = exported(source, tmp_path / "out", dtype=dtype).directory
    before, after = (
        safetensors.torch.load_file(each / "model.safetensors") for each in (source, output)
    )
    assert before.keys() == after.keys()
    for name, each in after.items():
        assert torch.equal(each, before[name].to(getattr(torch, dtype)))
    loaded = transformers.AutoModelForSequenceClassification.from_pretrained(output)
    assert loaded.dtype == getattr(torch, dtype)
    assert verify(output, reporter=Heard()).ok
    (answer,) = ask(output, "river")
    (expected,) = ask(source, "river")
    assert answer["probabilities"] == pytest.approx(expected["probabilities"], abs=0.05)


def test_nothing_that_is_published_says_where_it_was_made(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run")
    for number, source in enumerate((run, run / "model", tmp_path / "0")):
        output = exported(source, tmp_path / str(number)).directory
        files = [each for each in output.rglob("*") if each.is_file()]
        assert len(files) > 6
        for file in files:
            assert str(tmp_path).encode() not in file.read_bytes(), file


def test_damaged_model_leaves_no_directory_and_what_stood_there(tmp_path: Path) -> None:
    run, output = run_of(tmp_path / "run"), tmp_path / "out"
    weights = run / "model" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(BadInput, match="damaged"):
        exported(run, output)
    assert not output.exists()
    weights.write_bytes(whole)
    exported(run, output)
    before = {each.name: each.read_bytes() for each in output.iterdir()}
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(BadInput, match="damaged"):
        exported(run, output, dtype="bfloat16", force=True)
    assert {each.name: each.read_bytes() for each in output.iterdir()} == before


def test_weights_beyond_what_a_type_can_say_are_refused(tmp_path: Path) -> None:
    source = model_of(tmp_path / "source", "BertForQuestionAnswering")
    weights = safetensors.torch.load_file(source / "model.safetensors")
    weights["qa_outputs.bias"] += 70000
    safetensors.torch.save_file(weights, source / "model.safetensors", {"format": "pt"})
    with pytest.raises(BadInput, match=r"qa_outputs\.bias holds values beyond 65,504"):
        exported(source, tmp_path / "out", dtype="float16")
    assert not (tmp_path / "out").exists()
    exported(source, tmp_path / "encoder", dtype="float16", encoder_only=True)
    exported(source, tmp_path / "out", dtype="bfloat16")


def test_export_is_done_once_and_its_card_is_its_owner_s(tmp_path: Path) -> None:
    source = model_of(tmp_path / "source", "BertForPreTraining")
    output = tmp_path / "out"
    assert not exported(source, output).was_up_to_date
    (output / "README.md").write_text("mine")
    before = {each.name: each.stat().st_mtime_ns for each in output.iterdir()}
    assert exported(source, output).was_up_to_date
    assert {each.name: each.stat().st_mtime_ns for each in output.iterdir()} == before
    with pytest.raises(OutputRefused, match="--dtype: auto → bfloat16"):
        exported(source, output, dtype="bfloat16")
    exported(source, output, dtype="bfloat16", force=True)
    assert (output / "README.md").read_text() == "mine"
    assert verify(output, reporter=Heard()).ok
    (standing,) = status([output]).standings
    assert standing.state == "complete"


def test_exported_fine_tuning_is_asked_as_it_was_fitted(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run")
    output = exported(run, tmp_path / "out").directory
    again = exported(output, tmp_path / "again").directory
    (tmp_path / "rows.csv").write_text("premise,hypothesis\nriver,stone letter\n")
    expected = ask(run, tmp_path / "rows.csv")
    for place in (output, again, exported(run / "model", tmp_path / "third").directory):
        opened = open_model(PredictRequest(place, ""), wants_vectors=False)
        assert opened.what == WHAT
        assert ask(place, tmp_path / "rows.csv") == expected
    assert (again / "README.md").read_text() == (output / "README.md").read_text().replace(
        "# out", "# again"
    )
    standings = {each.directory.name: each for each in status([tmp_path]).standings}
    assert standings["out"].parent == run
    assert standings["out"].state == "complete"


def test_card_tells_what_is_known_and_leaves_the_rest_to_its_owner(tmp_path: Path) -> None:
    output = exported(run_of(tmp_path / "run"), tmp_path / "toy").directory
    card = ModelCard((output / "README.md").read_text())
    told = card.data.to_dict()
    assert told == {
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
        "tags": ["bert", "bertctl"],
    }
    for line in (
        "# toy",
        "`no`, `so`, `yes`",
        "| sequence length | 11 |",
        "| learning rate | 2e-05 |",
        "| train rows | 396 |",
        "| accuracy | 0.8125 ± 0.0123 | 0.77–0.85 |",
    ):
        assert line in card.text, line


def test_card_suggests_the_language_of_the_shards_where_notes_lead_to_them(tmp_path: Path) -> None:
    def noted(place: Path, stage: str, what: dict[str, Any], *sources: Path) -> Path:
        place.mkdir(exist_ok=True)
        write_note(place, sources_among(sources), aside=tmp_path / ".aside")
        recipe = Recipe(stage, 1, what)
        write_json(place / "recipe.json", recipe.as_json())
        names = [each for each in (place / "model").glob("*") if each.is_file()]
        files = {f"model/{each.name}": FileRecord.of(each) for each in names}
        Manifest(recipe, "0", files).write(place, aside=tmp_path / ".aside")
        return place

    def line(model: Path, name: str) -> str:
        (told,) = [
            each
            for each in (exported(model, tmp_path / name).directory / "README.md")
            .read_text()
            .splitlines()
            if each.startswith("# language:")
        ]
        return told

    shards = [
        noted(tmp_path / f"{number}", "shard", {"language": language})
        for number, language in enumerate(("de", "de", "sw"))
    ]
    model_of(tmp_path / "run" / "model", "BertForPreTraining")
    model_of(tmp_path / "fitted" / "model", "BertForSequenceClassification")
    run = noted(tmp_path / "run", "pretrain", {"steps": 7}, *shards[:2])
    fitted = noted(tmp_path / "fitted", "finetune", WHAT, run)
    assert line(run, "a") == line(fitted, "b") == line(tmp_path / "a", "c") == "# language: de"
    # Another pretraining stands there now, of text in two languages.
    noted(run, "pretrain", {"steps": 8}, *shards)
    assert line(run, "d") == line(fitted, "e") == line(run / "model", "f")
    assert line(run, "d") == "# language:"


def test_checkpoint_of_a_run_that_is_not_finished_is_exported(tmp_path: Path) -> None:
    checkpoint = tmp_path / "run" / "checkpoints" / "step-00000040"
    model_of(checkpoint / "model", "BertForPreTraining")
    (checkpoint / "optimizer.safetensors").write_bytes(b"")
    recipe = Recipe("pretrain", 1, {"steps": 90, "batch_size": 7, "objective": "mlm+nsp"})
    write_json(tmp_path / "run" / "recipe.json", recipe.as_json())
    files = {
        str(each.relative_to(checkpoint)): FileRecord.of(each)
        for each in checkpoint.rglob("*")
        if each.is_file()
    }
    held_out = {"last": {"step": 40, "mlm_loss": 4.25}}
    CheckpointRecord(40, held_out, files).write(checkpoint)
    with pytest.raises(BadInput, match="isn't finished"):
        exported(tmp_path / "run", tmp_path / "out")
    output = exported(checkpoint, tmp_path / "out").directory
    card = (output / "README.md").read_text()
    for line in ("| steps | 40 |", "| batch size | 7 |", "| MLM loss | 4.25 |"):
        assert line in card
    standings = {each.directory.name: each for each in status([tmp_path]).standings}
    assert standings["out"].parent == tmp_path / "run"


def test_export_is_a_start_for_others_unless_it_is_damaged(tmp_path: Path) -> None:
    source = model_of(tmp_path / "source", "BertForPreTraining")
    output = exported(source, tmp_path / "out").directory
    start = open_stored(output, None, flag="--model")
    assert start.config == CONFIG
    start.verify()
    shutil.copytree(output, tmp_path / "copy")
    weights = tmp_path / "copy" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(BadInput, match="damaged"):
        open_stored(tmp_path / "copy", None, flag="--model").verify()
    assert not verify(tmp_path / "copy", reporter=Heard()).ok


def test_verify_finds_an_export_that_is_not_what_was_asked_for(tmp_path: Path) -> None:
    source = model_of(tmp_path / "source", "BertForSequenceClassification")
    claim = read_claim(exported(source, tmp_path / "out", dtype="float32").directory)
    assert all(each.ok for each in prove(claim, Heard()))

    def wrong(place: str, **changes: Any) -> list[str]:
        manifest = copy.deepcopy(dict(claim.manifest))
        at = manifest["recipe"]["what"] if place == "what" else manifest["statistics"]
        at |= changes
        lie = type(claim)(claim.directory, manifest)
        return [each.name for each in prove(lie, Heard()) if not each.ok]

    assert wrong("what", encoder_only=True) == ["architecture of an encoder"]
    assert wrong("what", dtype="float16") == ["weights stored as float16", "config.json: dtype"]
    assert wrong("statistics", parameters=3) == ["parameters"]
    told = json.loads((claim.directory / "config.json").read_text())
    assert told["dtype"] == "float32"
