import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch
import transformers
from torch import nn

from bertctl.model.config import BertConfig
from bertctl.model.finetuning import BertForSequenceClassification
from bertctl.model.pretraining import BertForPreTraining
from bertctl.model.tokens import Tokens
from bertctl.model.weights import initialise
from bertctl.pipeline.errors import BadInput, OutputRefused, WorkFailed
from bertctl.pipeline.predict.opening import open_model
from bertctl.pipeline.predict.predictors import Answer
from bertctl.pipeline.predict.reading import Reading, read_source
from bertctl.pipeline.predict.records import Record
from bertctl.pipeline.predict.request import PredictRequest, Source
from bertctl.pipeline.predict.rows import Row
from bertctl.pipeline.predict.run import predict
from bertctl.pipeline.predict.settings import PredictHow
from bertctl.pipeline.predict.writing import as_line, check_output, writing
from bertctl.pipeline.stage.files import FileRecord, write_json
from bertctl.pipeline.stage.manifest import Manifest
from bertctl.pipeline.stage.recipe import Recipe
from bertctl.pipeline.stage.report import Silent
from bertctl.pipeline.training.settings import NumericsSettings
from bertctl.pipeline.wordpiece.files import write_tokenizer_files
from bertctl.pipeline.wordpiece.vocabulary import SPECIAL_TOKENS, Normalization, Vocabulary

from .corpora import WORDS

VOCABULARY = Vocabulary((*SPECIAL_TOKENS, *WORDS, *"abcdefgh", "##s", ".", "[", "]"))
CONFIG = BertConfig(
    vocab_size=len(VOCABULARY),
    hidden_size=24,
    num_hidden_layers=2,
    num_attention_heads=3,
    intermediate_size=40,
    max_position_embeddings=30,
    initializer_range=0.3,
)
TEXTS = [
    "the river [MASK]",
    "stone bridge morning [MASK] winter [MASK] teacher",
    "[MASK]",
    "letter garden window winter teacher market silver engine harbour village [MASK] story.",
]


class Heard(Silent):
    """A reporter that remembers what it was told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def notice(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.said.append(text)


def write(directory: Path, model: nn.Module, architecture: str, **config: Any) -> Path:
    """Write a model with drawn weights as anybody's."""
    initialise(model, CONFIG, seed=7)
    directory.mkdir(parents=True)
    content = {"architectures": [architecture], **CONFIG.to_dict(), **config}
    (directory / "config.json").write_text(json.dumps(content))
    safetensors.torch.save_file(
        model.state_dict(), directory / "model.safetensors", {"format": "pt"}
    )
    write_tokenizer_files(VOCABULARY, Normalization(), directory)
    return directory


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("encoder") / "model"
    return write(place, BertForPreTraining(CONFIG), "BertForPreTraining")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classifier(tmp_path_factory.mktemp("classifier") / "model")


def write_classifier(
    place: Path, labels: Sequence[str] = ("no", "so", "yes"), **config: Any
) -> Path:
    model = BertForSequenceClassification(CONFIG, num_labels=len(labels))
    names = {str(id): name for id, name in enumerate(labels)}
    return write(place, model, "BertForSequenceClassification", id2label=names, **config)


def ask(
    model: Path,
    source: Source | Reading,
    *,
    wants_vectors: bool = False,
    micro_batch_size: int = 3,
    reporter: Silent | None = None,
    **how: Any,
) -> list[Answer]:
    request = PredictRequest(
        model,
        "" if isinstance(source, Reading) else source,
        PredictHow(**how),
        NumericsSettings(
            device="cpu", precision="float32", threads=1, micro_batch_size=micro_batch_size
        ),
    )
    opened = open_model(request, wants_vectors=wants_vectors)
    reading = source if isinstance(source, Reading) else read_source(source, request.how)
    answered = list(predict(opened, request, reading, reporter=reporter or Silent()))
    assert [row.number for row, _ in answered] == list(range(1, len(answered) + 1))
    return [answer for _, answer in answered]


def rows_of(*texts: str) -> Reading:
    records = (Record(number, {"text": text}, number) for number, text in enumerate(texts, start=1))
    return Reading(Path("x.txt"), records, is_plain=True)


def pairs_of(*pairs: tuple[str, str]) -> Reading:
    records = (
        Record(number, dict(zip(("text", "text_pair"), pair, strict=True)), number)
        for number, pair in enumerate(pairs, start=1)
    )
    return Reading(Path("x.txt"), records, is_plain=True, has_pair=True)


def tokens_of(*texts: str, **others: Any) -> Any:
    vocabulary = {token: id for id, token in enumerate(VOCABULARY.tokens)}
    tokenizer = transformers.BertTokenizerFast(vocab=vocabulary)
    return tokenizer(*texts, return_tensors="pt", truncation=True, max_length=30, **others)


@torch.no_grad()
def test_words_for_masks_are_those_of_transformers(encoder: Path) -> None:
    oracle = transformers.BertForPreTraining.from_pretrained(encoder).eval()
    answers = ask(encoder, rows_of(*TEXTS), top_k=4)
    for text, answer in zip(TEXTS, answers, strict=True):
        inputs = tokens_of(text)
        places = (inputs["input_ids"][0] == VOCABULARY.mask_id).nonzero().flatten()
        probabilities = oracle(**inputs).prediction_logits[0, places].softmax(dim=1)
        best = probabilities.topk(4, dim=1)
        expected = [[VOCABULARY.tokens[id] for id in ids] for ids in best.indices.tolist()]
        assert [[each["token"] for each in one] for one in answer["masks"]] == expected
        found = [[each["probability"] for each in one] for one in answer["masks"]]
        assert np.allclose(found, best.values, atol=1e-5)


class OnGpu(torch.Tensor):
    """Refuses, as a GPU's tensor does, to say which values of a CPU's tensor are meant."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.cpu:
            return args[0].as_subclass(torch.Tensor)
        if func is torch.Tensor.__getitem__ and not isinstance(args[0], OnGpu):
            assert not isinstance(args[1], OnGpu)
        return super().__torch_function__(func, types, args, kwargs or {})


def test_masks_are_found_where_the_tokens_are_on_a_gpu(
    encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = ask(encoder, rows_of(*TEXTS))

    def to(tokens: Tokens, device: torch.device) -> Tokens:
        return replace(tokens, input_ids=tokens.input_ids.as_subclass(OnGpu))

    monkeypatch.setattr(Tokens, "to", to)
    assert ask(encoder, rows_of(*TEXTS)) == expected


def test_rows_that_pad_a_table_are_no_words(tmp_path: Path) -> None:
    size = len(VOCABULARY) + 5
    model = BertForPreTraining(replace(CONFIG, vocab_size=size))
    directory = write(tmp_path / "model", model, "BertForPreTraining", vocab_size=size)
    weights = safetensors.torch.load_file(directory / "model.safetensors")
    weights["cls.predictions.bias"][len(VOCABULARY) :] = 9
    safetensors.torch.save_file(weights, directory / "model.safetensors", {"format": "pt"})
    (answer,) = ask(directory, rows_of(TEXTS[0]), top_k=1000)
    told = {each["token"]: each["probability"] for each in answer["masks"][0]}
    assert sorted(told) == sorted(VOCABULARY.tokens)
    assert sum(told.values()) == pytest.approx(1, abs=1e-4)


def test_vocabulary_that_the_model_lacks_tokens_of_is_refused(tmp_path: Path) -> None:
    directory = write(tmp_path / "model", BertForPreTraining(CONFIG), "BertForPreTraining")
    more = Vocabulary((*VOCABULARY.tokens, "added"))
    write_tokenizer_files(more, Normalization(), directory)
    count = len(VOCABULARY)
    with pytest.raises(BadInput, match=f"has {count + 1} tokens, the model .* knows {count}"):
        ask(directory, rows_of(TEXTS[0]))


@torch.no_grad()
def test_next_sentence_is_that_of_transformers(encoder: Path) -> None:
    oracle = transformers.BertForPreTraining.from_pretrained(encoder).eval()
    pairs = [("river stone", "bridge"), ("a", "morning letter garden"), ("b c", "d e f")]
    answers = ask(encoder, pairs_of(*pairs), task="next-sentence")
    for pair, answer in zip(pairs, answers, strict=True):
        scores = oracle(**tokens_of(*pair)).seq_relationship_logits[0].softmax(dim=0)
        assert np.allclose(list(answer["probabilities"].values()), scores, atol=1e-5)
        assert list(answer["probabilities"]) == ["next", "random"]
        assert answer["prediction"] == ["next", "random"][int(scores.argmax())]


@torch.no_grad()
def test_vectors_are_the_last_layer_s_of_transformers(encoder: Path, tmp_path: Path) -> None:
    oracle = transformers.BertModel.from_pretrained(encoder).eval()
    rows = [Row(number, text) for number, text in enumerate(TEXTS, start=1)]
    answers = ask(encoder, rows_of(*TEXTS), wants_vectors=True)
    file = tmp_path / "vectors.parquet"
    with writing(file, hidden_size=24) as put:
        for row, answer in zip(rows, answers, strict=True):
            put(row, answer)
    table = pq.read_table(file)
    assert table.schema.field("cls").type == pa.list_(pa.float32(), 24)
    assert table["row"].to_pylist() == [1, 2, 3, 4]
    for text, cls, mean in zip(TEXTS, table["cls"], table["mean"], strict=True):
        # Only fill-mask reads [MASK]; to any other question it is text.
        hidden = oracle(**tokens_of(text.replace("[MASK]", "[ MASK ]"))).last_hidden_state[0]
        assert np.allclose(cls.as_py(), hidden[0], atol=1e-5)
        assert np.allclose(mean.as_py(), hidden.mean(dim=0), atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["single", "several", "number"])
def test_labels_are_told_as_the_configuration_says(tmp_path: Path, kind: str) -> None:
    problem = {
        "single": "single_label_classification",
        "several": "multi_label_classification",
        "number": "regression",
    }[kind]
    labels = ("x",) if kind == "number" else ("no", "so", "yes")
    model = write_classifier(tmp_path / "model", labels, problem_type=problem)
    weights = safetensors.torch.load_file(model / "model.safetensors")
    weights["classifier.weight"] *= 0.2  # so that many probabilities are near one half
    safetensors.torch.save_file(weights, model / "model.safetensors", {"format": "pt"})
    oracle = transformers.AutoModelForSequenceClassification.from_pretrained(model).eval()
    texts = [" ".join(WORDS[start : start + 3]) for start in range(30)]
    for text, answer in zip(texts, ask(model, rows_of(*texts)), strict=True):
        scores = oracle(**tokens_of(text)).logits[0]
        if kind == "number":
            assert answer == {"prediction": pytest.approx(float(scores[0]), abs=1e-5)}
            continue
        expected = scores.softmax(dim=0) if kind == "single" else scores.sigmoid()
        assert answer["probabilities"] == {
            name: pytest.approx(float(each), abs=1e-5)
            for name, each in zip(labels, expected, strict=True)
        }
        chosen = [name for name, each in zip(labels, expected, strict=True) if each > 0.5]
        best = labels[int(expected.argmax())]
        if kind == "single":
            assert answer["prediction"] == best
        else:
            assert answer["predictions"] == chosen


def test_answers_come_in_the_rows_order_however_they_are_batched(encoder: Path) -> None:
    random = np.random.default_rng(3)
    texts = [
        " ".join([*random.choice(WORDS, random.integers(0, 24)), "[MASK]"]) for _ in range(150)
    ]
    together = ask(encoder, rows_of(*texts), micro_batch_size=5)
    for number in range(0, 150, 31):
        (alone,) = ask(encoder, rows_of(texts[number]), micro_batch_size=1)
        for one, other in zip(alone["masks"][0], together[number]["masks"][0], strict=True):
            assert one["token"] == other["token"]
            assert one["probability"] == pytest.approx(other["probability"], abs=1e-5)


def test_rows_are_asked_for_window_by_window(
    encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bertctl.pipeline.predict.windows.ROWS_AT_ONCE", 30)
    taken = 0

    def endless() -> Iterator[Record]:
        nonlocal taken
        while True:
            taken += 1
            yield Record(taken, {"text": "river [MASK]"}, taken)

    request = PredictRequest(encoder, "", PredictHow(top_k=1))
    opened = open_model(request, wants_vectors=False)
    reading = Reading(Path("x.txt"), endless(), is_plain=True)
    answers = predict(opened, request, reading, reporter=Silent())
    for number in range(1, 200):
        assert next(answers)[0].number == number
        assert taken - number < 30


@torch.no_grad()
def test_text_that_is_too_long_is_cut_from_the_longer_of_two_and_that_is_said(
    encoder: Path,
) -> None:
    oracle = transformers.BertForPreTraining.from_pretrained(encoder).eval()
    pairs = [
        (" ".join(WORDS[:30]), " ".join(WORDS[5:30])),
        (" ".join(WORDS[:9]), " ".join(WORDS[5:40])),
        ("river", "stone"),
    ]
    heard = Heard()
    answers = ask(encoder, pairs_of(*pairs), task="next-sentence", reporter=heard)
    for pair, answer in zip(pairs, answers, strict=True):
        inputs = (
            tokens_of(*pair)
            if pair[0] != pairs[0][0]
            else tokens_of(" ".join(WORDS[:14]), " ".join(WORDS[5:18]))
        )
        scores = oracle(**inputs).seq_relationship_logits[0].softmax(dim=0)
        assert np.allclose(list(answer["probabilities"].values()), scores, atol=1e-5)
    assert heard.said == [
        "2 of 3 texts have more than 30 tokens (--max-seq-length): their ends are cut off."
    ]


def test_special_tokens_written_in_a_text_are_text(encoder: Path) -> None:
    (one,) = ask(encoder, rows_of("river [SEP] stone"), task="embeddings")
    (other,) = ask(encoder, rows_of("river [ SEP ] stone"), task="embeddings")
    assert np.array_equal(one["mean"], other["mean"])


def test_text_without_a_token_is_answered_and_told(encoder: Path) -> None:
    heard = Heard()
    answers = ask(encoder, rows_of("river", "", "\u200b"), task="embeddings", reporter=heard)
    assert np.array_equal(answers[1]["cls"], answers[2]["cls"])
    assert heard.said == ["2 of 3 texts come to no token at all."]


def test_classifier_reads_what_it_was_fitted_to(classifier: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(classifier, run / "model")
    what = {
        "text_column": "premise",
        "text_pair_column": "hypothesis",
        "label_column": "truth",
        "max_seq_length": 11,
        "long_text": "tail",
    }
    recipe = Recipe("finetune", 1, what)
    write_json(run / "recipe.json", recipe.as_json())
    with pytest.raises(BadInput, match="isn't finished"):
        open_model(PredictRequest(run, ""), wants_vectors=False)
    files = {f"model/{each.name}": FileRecord.of(each) for each in (run / "model").iterdir()}
    Manifest(recipe, "0", files).write(run, aside=run / ".aside")
    for model in (run, run / "model"):
        opened = open_model(PredictRequest(model, ""), wants_vectors=False)
        assert (opened.task, opened.max_seq_length) == ("sequence-classification", 11)
        assert opened.what == what
    told = PredictRequest(run, "", PredictHow(long_text="head", max_seq_length=9))
    opened = open_model(told, wants_vectors=False)
    assert opened.what == {**what, "long_text": "head", "max_seq_length": 9}
    (tmp_path / "rows.csv").write_text("x,premise,hypothesis\n1,river,stone\n")
    heard = Heard()
    (pair,) = ask(run, tmp_path / "rows.csv", reporter=heard)
    assert pair == ask(run, "river", text_pair="stone")[0]
    assert heard.said == []
    (single,) = ask(run, tmp_path / "rows.csv", text_column="premise", reporter=heard)
    assert single == ask(classifier, "river")[0] != pair
    assert heard.said == [
        f"The model was fitted to pairs; {tmp_path / 'rows.csv'} has one text each."
    ]
    (run / "model" / "model.safetensors").write_bytes(b"?")
    with pytest.raises(BadInput, match="damaged"):
        open_model(PredictRequest(run, ""), wants_vectors=False)


def test_question_a_model_has_no_head_for_is_refused(
    encoder: Path, classifier: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="no head for masked tokens"):
        ask(classifier, rows_of("a [MASK]"), task="fill-mask")
    with pytest.raises(BadInput, match="no head for next sentence"):
        ask(classifier, pairs_of(("a", "b")), task="next-sentence")
    with pytest.raises(BadInput, match="wasn't fitted to sequence-classification"):
        ask(encoder, rows_of("a"), task="sequence-classification")
    with pytest.raises(BadInput, match="BertForSequenceClassification, for sequence-class"):
        ask(classifier, rows_of("a"), task="multiple-choice")


def test_setting_that_means_nothing_is_refused(encoder: Path, classifier: Path) -> None:
    cases: list[tuple[Path, str, dict[str, Any]]] = [
        (encoder, "--long-text", {"long_text": "tail"}),
        (classifier, "--top-k", {"top_k": 3}),
        (classifier, "--choice", {"choice": ("a", "b")}),
        (classifier, "--n-best-size", {"n_best_size": 3}),
        (classifier, "--doc-stride", {"doc_stride": 3}),
        (classifier, "--window-pooling", {"long_text": "head", "window_pooling": "vote"}),
    ]
    for model, flag, how in cases:
        with pytest.raises(BadInput, match=rf"{flag} means nothing"):
            ask(model, "river", **how)


def test_model_that_reads_from_left_to_right_fills_no_mask(tmp_path: Path) -> None:
    causal = replace(CONFIG, is_decoder=True)
    model = BertForPreTraining(causal, objective="causal")
    place = write(tmp_path / "model", model, "BertLMHeadModel", is_decoder=True)
    with pytest.raises(BadInput, match="from left to right"):
        ask(place, rows_of("a [MASK]"))


def test_memory_too_small_for_answers_names_the_setting_that_needs_less(
    encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def large(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB.")

    monkeypatch.setattr("bertctl.model.encoder.BertModel.forward", large)
    with pytest.raises(WorkFailed, match="isn't enough memory") as failed:
        ask(encoder, rows_of("the river [MASK]"))
    assert "--micro-batch-size" in failed.value.hint


def test_row_that_can_not_be_answered_is_named(encoder: Path) -> None:
    with pytest.raises(BadInput, match=r"x\.txt, row 2 \(line 2\): there is no \[MASK\]"):
        ask(encoder, rows_of("a [MASK]", "none"))
    with pytest.raises(BadInput, match=r"x\.txt, row 1 \(line 1\): only one text"):
        ask(encoder, rows_of("a", "b"), task="next-sentence")


def test_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"

    def write_some(*, fail: bool) -> None:
        with writing(file, hidden_size=3) as put:
            put(Row(1, "a"), {"prediction": "x"})
            if fail:
                raise BadInput("row 2 is bad")

    with pytest.raises(BadInput):
        write_some(fail=True)
    assert list(tmp_path.iterdir()) == []
    write_some(fail=False)
    assert file.read_text() == '{"row": 1, "prediction": "x"}\n'
    assert [each.name for each in tmp_path.iterdir()] == ["out.jsonl"]


def test_vectors_in_json_are_the_numbers_they_are() -> None:
    vector = np.random.default_rng(1).normal(size=9).astype(np.float32)
    line = json.loads(as_line(Row(4, "a"), {"cls": vector, "mean": vector}))
    assert line["row"] == 4
    assert np.allclose(np.array(line["cls"], np.float32), vector, rtol=3e-7, atol=0)


def test_output_that_can_not_be_is_refused_before_there_is_work(tmp_path: Path) -> None:
    for name, said in (("x.csv", r"ends in \.jsonl"), ("x.parquet", "gives no vectors")):
        with pytest.raises(BadInput, match=said):
            check_output(tmp_path / name, "fill-mask", force=False)
    with pytest.raises(BadInput, match="in no directory"):
        check_output(tmp_path / "none" / "x.jsonl", "fill-mask", force=False)
    (tmp_path / "x.jsonl").write_text("mine")
    with pytest.raises(OutputRefused, match="is there already"):
        check_output(tmp_path / "x.jsonl", "fill-mask", force=False)
    check_output(tmp_path / "x.jsonl", "fill-mask", force=True)
