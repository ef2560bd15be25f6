"""Somebody's model as a starting point, in whatever form it was left."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForPreTraining,
    BertModel,
)

from bertctl.pipeline.errors import BadInput
from bertctl.pipeline.finetune.stage import finetune
from bertctl.pipeline.stage.report import Silent
from bertctl.pipeline.wordpiece.files import write_tokenizer_files
from bertctl.pipeline.wordpiece.vocabulary import Normalization, Vocabulary

from .finetune_toys import (
    CONFIG,
    LABELS,
    VOCABULARY,
    read_lines,
    request,
    write_csv,
    write_start,
    write_task,
    write_vocabulary,
)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("task")
    write_task(directory, train=30, test=9)
    return directory


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_start(tmp_path_factory.mktemp("start"))


def rewritten(start: Path, directory: Path, weights: dict[str, Tensor]) -> Path:
    """Write the same model with its weights in a file of the old kind."""
    shutil.copytree(start, directory)
    (directory / "model.safetensors").unlink()
    torch.save(weights, directory / "pytorch_model.bin")
    return directory


def weights_of(start: Path) -> dict[str, Tensor]:
    return safetensors.torch.load_file(start / "model.safetensors")


def old_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): each
        for name, each in weights.items()
    }


def without_prefix(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix("bert."): each
        for name, each in weights.items()
        if name.startswith("bert.")
    }


def probabilities(task: Path, model: Path, output: Path) -> np.ndarray:
    """Return what one step with a rate of nothing says of the test rows."""
    asked = request(task, model=model, parts=("train", "test"), epochs=1, learning_rate=0.0)
    finetune(asked, output, reporter=Silent())
    told = read_lines(output / "predictions-test.jsonl")
    return np.array([list(each["probabilities"].values()) for each in told])


@pytest.fixture(scope="module")
def expected(task: Path, start: Path, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    return probabilities(task, start, tmp_path_factory.mktemp("expected") / "out")


@pytest.mark.parametrize("change", [dict, old_names, without_prefix])
def test_old_file_of_weights_is_the_same_model(
    task: Path, start: Path, expected: np.ndarray, tmp_path: Path, change: type
) -> None:
    old = rewritten(start, tmp_path / "old", change(weights_of(start)))
    assert np.array_equal(probabilities(task, old, tmp_path / "old out"), expected)
    assert (tmp_path / "old out" / "model" / "model.safetensors").exists()


class Code:
    """Would be run by a reader that unpickles whatever there is."""

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("was run"),)


@pytest.mark.parametrize("content", [{"bert.x": Code()}, [1, 2], {"a": 3}])
def test_old_file_with_anything_but_tensors_is_refused(
    task: Path, start: Path, tmp_path: Path, content: object
) -> None:
    old = rewritten(start, tmp_path / "old", {})
    torch.save(content, old / "pytorch_model.bin")
    with pytest.raises(BadInput, match="can't be read as a model"):
        finetune(request(task, model=old), tmp_path / "out", reporter=Silent())
    assert not Path("was run").exists()


@pytest.mark.parametrize("kind", [BertForPreTraining, BertModel])
def test_model_that_transformers_saved_gives_its_hidden_states(
    task: Path, tmp_path: Path, kind: type
) -> None:
    torch.manual_seed(3)
    shape = {name: getattr(CONFIG, name) for name in (
        "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
        "intermediate_size", "max_position_embeddings", "initializer_range",
    )}  # fmt: skip
    theirs = kind(BertConfig(**shape)).eval()
    theirs.save_pretrained(tmp_path / "theirs")
    write_vocabulary(tmp_path / "theirs")
    probabilities(task, tmp_path / "theirs", tmp_path / "out")
    ours = BertModel.from_pretrained(tmp_path / "out" / "model").eval()
    ids = torch.randint(5, CONFIG.vocab_size, (2, 9))
    encoder = theirs if kind is BertModel else theirs.bert
    with torch.no_grad():
        found, expected = ours(ids), encoder(ids)
    torch.testing.assert_close(found.last_hidden_state, expected.last_hidden_state)
    torch.testing.assert_close(found.pooler_output, expected.pooler_output)
    config = json.loads((tmp_path / "out" / "model" / "config.json").read_text())
    assert config["id2label"] == {"0": "BLUE", "1": "GREEN", "2": "RED"}


def test_head_of_another_task_is_not_gone_on_with(task: Path, start: Path, tmp_path: Path) -> None:
    """Tags may be named as classes are, and their head has the same shape."""
    asked = request(task, model=start, parts=("train",), epochs=1)
    finetune(asked, tmp_path / "classes", reporter=Silent())
    config = json.loads((tmp_path / "classes" / "model" / "config.json").read_text())
    config["architectures"] = ["BertForTokenClassification"]
    other = Path(shutil.copytree(tmp_path / "classes" / "model", tmp_path / "other"))
    (other / "config.json").write_text(json.dumps(config))
    said: list[str] = []

    class Listening(Silent):
        def notice(self, text: str) -> None:
            said.append(text)

    for place in (other, tmp_path / "classes" / "model"):
        again = replace(asked, model=str(place))
        finetune(again, tmp_path / f"{place.name}-out", reporter=Listening())
    assert sum("its head is trained on" in each for each in said) == 1


@pytest.mark.parametrize("lowercase", [True, False], ids=["uncased", "cased"])
def test_cased_and_uncased_models_of_transformers_read_texts_as_it_does(
    tmp_path: Path, lowercase: bool
) -> None:
    capitals = [each.upper() for each in LABELS]
    letters = [x for each in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" for x in (each, f"##{each}")]
    vocabulary = Vocabulary((*VOCABULARY.tokens, *capitals, *letters))
    place = tmp_path / "theirs"
    place.mkdir()
    write_tokenizer_files(vocabulary, Normalization(lowercase=lowercase), place)
    # As transformers itself writes it.
    tokenizer = AutoTokenizer.from_pretrained(place)
    shutil.rmtree(place)
    tokenizer.save_pretrained(place)
    (place / "vocab.txt").write_text("".join(f"{each}\n" for each in vocabulary.tokens))
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=48, initializer_range=0.1,
    )  # fmt: skip
    BertForPreTraining(config).save_pretrained(place)

    texts = ["The RED cat", "the red CAT", "A Blue dog", "a green sky"] * 3
    some = [{"text": text, "label": LABELS[n % 3]} for n, text in enumerate(texts)]
    write_csv(tmp_path / "train.csv", some)
    write_csv(tmp_path / "test.csv", some)
    asked = request(tmp_path, model=place, parts=("train", "test"), epochs=1)
    finetune(asked, tmp_path / "out", reporter=Silent())
    told = read_lines(tmp_path / "out" / "predictions-test.jsonl")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out" / "model").eval()
    reader = AutoTokenizer.from_pretrained(tmp_path / "out" / "model")
    with torch.no_grad():
        logits = model(**reader(texts, padding=True, return_tensors="pt")).logits
    found = [list(each["probabilities"].values()) for each in told]
    torch.testing.assert_close(torch.tensor(found), logits.softmax(-1), rtol=0, atol=1e-4)
    assert (found[0] == found[1]) == lowercase
    ids = tokenizer(texts)["input_ids"]
    assert reader(texts)["input_ids"] == ids
