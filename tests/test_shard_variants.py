"""Whole runs of `bertctl shard` with whole words, sentence order and no pairs."""

import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

from bertctl.cli.main import bertctl
from bertctl.pipeline.errors import BadInput
from bertctl.pipeline.pretrain.request import PretrainRequest
from bertctl.pipeline.pretrain.settings import PretrainSettings
from bertctl.pipeline.pretrain.stage import pretrain
from bertctl.pipeline.shard.request import ShardRequest
from bertctl.pipeline.shard.settings import InstanceSettings, ShardHow
from bertctl.pipeline.shard.stage import shard
from bertctl.pipeline.stage.engine import Completion
from bertctl.pipeline.stage.report import Reporter, Silent

from .corpora import documents, write_corpus, write_vocabulary
from .killing import bytes_of

INSTANCES = InstanceSettings(
    max_seq_length=48, dupe_factor=3, num_shards=4, validation_fraction=0.1
)


@pytest.fixture
def vocab(tmp_path: Path) -> Path:
    return write_vocabulary(tmp_path / "vocab.txt")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "corpus")


def run(
    corpus: Path,
    vocab: Path,
    output: Path,
    reporter: Reporter | None = None,
    how: ShardHow | None = None,
    **instances: Any,
) -> Completion:
    request = ShardRequest(
        inputs=(str(corpus),),
        vocab=vocab,
        instances=replace(INSTANCES, **instances),
        how=how or ShardHow(workers=1),
    )
    return shard(request, output, reporter=reporter or Silent())


def rows_of(output: Path, pattern: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for path in sorted(output.glob(pattern + ".arrow")):
        with pa.memory_map(str(path)) as source:
            rows += pa.ipc.open_file(source).read_all().to_pylist()
    return rows


def segments_of(row: dict[str, Any]) -> tuple[list[int], list[int]]:
    """A and B as they stood before anything was masked."""
    ids = np.array(row["input_ids"])
    ids[row["masked_lm_positions"]] = row["masked_lm_ids"]
    a = row["segment_a_length"]
    return ids[1 : a - 1].tolist(), ids[a:-1].tolist()


def words_in(text: str) -> Counter[str]:
    return Counter(text.lower().replace(".", " .").split())


@pytest.mark.parametrize("next_sentence", ["order", "none"])
@pytest.mark.parametrize("max_seq_length", [16, 48])
def test_every_word_of_the_corpus_is_in_every_copy_exactly_once(
    corpus: Path, vocab: Path, tmp_path: Path, next_sentence: str, max_seq_length: int
) -> None:
    output = tmp_path / "out"
    done = run(corpus, vocab, output, next_sentence=next_sentence, max_seq_length=max_seq_length)
    tokens = vocab.read_text().split("\n")
    everything = words_in(" ".join(path.read_text() for path in corpus.glob("*.txt")))
    held_out = rows_of(output, "validation-*")
    num_tokens = 0
    for copy in range(3):
        rows = [
            row for part in range(4) for row in rows_of(output, f"train-{4 * copy + part:05d}-*")
        ]
        # Segments are cut between words, so that their words add up.
        words: Counter[str] = Counter()
        for row in [*rows, *held_out]:
            for segment in segments_of(row):
                text = " ".join(tokens[id] for id in segment)
                assert not text.startswith("##")
                words.update(text.replace(" ##", "").split())
                num_tokens += len(segment)
            assert len(row["input_ids"]) <= max_seq_length
            assert row["document_a"] == row["document_b"]
        assert words == everything
        assert len({row["document_a"] for row in [*rows, *held_out]}) == 81
    assert num_tokens == 3 * done.manifest.statistics["tokens"]
    assert len({row["document_a"] for row in held_out}) == 8


def test_shards_without_pairs_have_no_label_and_one_segment(
    corpus: Path, vocab: Path, tmp_path: Path
) -> None:
    done = run(corpus, vocab, tmp_path / "out", next_sentence="none")
    rows = rows_of(tmp_path / "out", "*")
    assert list(rows[0]) == [
        "input_ids",
        "segment_a_length",
        "masked_lm_positions",
        "masked_lm_ids",
        "document_a",
        "document_b",
    ]
    assert all(row["segment_a_length"] == len(row["input_ids"]) for row in rows)
    assert all(row["input_ids"].count(3) == 1 for row in rows), "one [SEP]"
    assert done.manifest.statistics["train"]["not_next"] == 0
    lengths = np.array([len(row["input_ids"]) for row in rows])
    expected = np.maximum(1, np.rint(0.15 * lengths))
    assert [len(row["masked_lm_ids"]) for row in rows] == expected.tolist()


def test_label_of_order_says_whether_the_text_goes_on(
    corpus: Path, vocab: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    done = run(corpus, vocab, output, next_sentence="order", dupe_factor=40)
    tokens = vocab.read_text().split("\n")
    text = " ".join(path.read_text() for path in sorted(corpus.glob("*.txt")))
    text = re.sub(r"\s+", " ", text.lower().replace(".", " ."))
    rows = rows_of(output, "train-*")
    for row in rows[:300]:
        a, b = segments_of(row)
        first, second = (b, a) if row["next_sentence_label"] else (a, b)
        joined = " ".join(tokens[id] for id in (*first, *second)).replace(" ##", "")
        assert joined in text
    labels = np.array([row["next_sentence_label"] for row in rows])
    assert done.manifest.statistics["train"]["not_next"] == labels.sum()
    assert len(labels) > 3000
    assert abs(labels.mean() - 0.5) < 4 * 0.5 / np.sqrt(len(labels))


@pytest.mark.parametrize("next_sentence", ["order", "none"])
@pytest.mark.parametrize("copies", [1, 20])
def test_one_document_is_a_corpus_where_no_other_is_needed(
    vocab: Path, tmp_path: Path, next_sentence: str, copies: int
) -> None:
    (tmp_path / "one.txt").write_text("\n\n".join(documents(1) * copies))
    run(tmp_path / "one.txt", vocab, tmp_path / "out", next_sentence=next_sentence)
    assert len({row["document_a"] for row in rows_of(tmp_path / "out", "train-*")}) == 1
    with pytest.raises(BadInput, match="at least two are needed") as refusal:
        run(tmp_path / "one.txt", vocab, tmp_path / "random")
    assert "--next-sentence order or none" in refusal.value.hint


def test_documents_of_one_sentence_are_fine_without_pairs_and_only_there(
    vocab: Path, tmp_path: Path
) -> None:
    texts = ["A " + "stone " * n + "walks." for n in range(1, 60)]
    (tmp_path / "all.txt").write_text("\n\n".join(texts))
    run(tmp_path / "all.txt", vocab, tmp_path / "none", next_sentence="none", dupe_factor=1)
    assert len({row["document_a"] for row in rows_of(tmp_path / "none", "*")}) == 59
    with pytest.raises(BadInput, match="single sentence") as refusal:
        run(tmp_path / "all.txt", vocab, tmp_path / "order", next_sentence="order")
    assert "--next-sentence none" in refusal.value.hint


@pytest.mark.parametrize("next_sentence", ["random", "order", "none"])
def test_words_are_masked_whole_and_counted(
    corpus: Path, vocab: Path, tmp_path: Path, next_sentence: str
) -> None:
    output = tmp_path / "out"
    done = run(corpus, vocab, output, next_sentence=next_sentence, whole_word_mask=True)
    tokens = vocab.read_text().split("\n")
    rows = rows_of(output, "train-*")
    num_words = num_long = 0
    for row in rows:
        predicted = set(row["masked_lm_positions"])
        words_before = num_words
        start = 1
        for segment in segments_of(row):
            begins = [at for at, id in enumerate(segment) if not at or tokens[id][:2] != "##"]
            for first, last in pairwise([*begins, len(segment)]):
                word = range(start + first, start + last)
                chosen = predicted.intersection(word)
                assert len(chosen) in (0, len(word))
                num_words += bool(chosen)
                num_long += len(chosen) if len(word) > 1 else 0
                shown = [row["input_ids"][at] == 4 for at in word if at in chosen]
                assert len(set(shown)) < 2, "[MASK] for all of a word or for none of it"
            start += len(segment) + 1
        # Only where every word is longer than the budget does one go beyond it.
        budget = max(1, round(0.15 * len(row["input_ids"])))
        assert len(predicted) <= budget or num_words - words_before == 1
    figures = done.manifest.statistics["train"]
    assert figures["words"] == num_words
    assert figures["predictions_in_long_words"] == num_long
    assert figures["predictions"] == sum(len(row["masked_lm_ids"]) for row in rows)
    wanted = sum(max(1, round(0.15 * len(row["input_ids"]))) for row in rows)
    assert 0.98 * wanted < figures["predictions"] < 1.01 * wanted
    assert num_long > 0.2 * figures["predictions"]


@pytest.mark.parametrize(("cap", "binds"), [(4, True), (7, False)])
def test_cap_on_predictions_that_binds_is_warned_about(
    corpus: Path, vocab: Path, tmp_path: Path, cap: int, binds: bool
) -> None:
    warnings: list[str] = []

    class Recording(Silent):
        def warn(self, text: str) -> None:
            warnings.append(text)

    output = tmp_path / "out"
    run(corpus, vocab, output, Recording(), max_predictions_per_seq=cap, whole_word_mask=True)
    assert max(len(row["masked_lm_ids"]) for row in rows_of(output, "*")) == cap
    assert [warning.startswith(f"--max-predictions-per-seq {cap}") for warning in warnings] == (
        [True] if binds else []
    )


def test_tokens_show_what_the_settings_say(corpus: Path, vocab: Path, tmp_path: Path) -> None:
    all_masked = run(corpus, vocab, tmp_path / "a", mask_token_prob=1, random_token_prob=0)
    figures = all_masked.manifest.statistics["train"]
    assert figures["masked"] == figures["predictions"]
    all_kept = run(corpus, vocab, tmp_path / "b", mask_token_prob=0, random_token_prob=0)
    figures = all_kept.manifest.statistics["train"]
    assert figures["masked"] == figures["random"] == 0 < figures["predictions"]
    assert all_kept.manifest.recipe.what["mask_token_prob"] == 0
    with pytest.raises(BadInput, match="--random-token-prob"):
        run(corpus, vocab, tmp_path / "c", mask_token_prob=0.95)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("next_sentence", ["random", "order", "none"])
def test_variants_depend_on_no_worker_and_no_chunk(
    corpus: Path, vocab: Path, tmp_path: Path, next_sentence: str
) -> None:
    settings = {"next_sentence": next_sentence, "whole_word_mask": True}
    run(corpus, vocab, tmp_path / "one", **settings)
    how = ShardHow(workers=2, chunk_megabytes=0.003)
    run(corpus, vocab, tmp_path / "two", how=how, **settings)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")


def test_pretraining_on_pairs_refuses_shards_without_any(
    corpus: Path, vocab: Path, tmp_path: Path
) -> None:
    run(corpus, vocab, tmp_path / "shards", next_sentence="none", dupe_factor=1)
    training = PretrainSettings(steps=3, objective="mlm+nsp")
    request = PretrainRequest(shards=(tmp_path / "shards",), training=training)
    with pytest.raises(BadInput, match="--next-sentence none"):
        pretrain(request, tmp_path / "out", reporter=Silent())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("next_sentence", "shown", "hidden"),
    [
        ("random", "B random", "swapped"),
        ("order", "A and B swapped", "B random"),
        ("none", "masked words", "B"),
    ],
)
def test_table_shows_what_was_asked_for(
    corpus: Path, vocab: Path, tmp_path: Path, next_sentence: str, shown: str, hidden: str
) -> None:
    flags = ["--next-sentence", next_sentence, "--whole-word-mask", "--dupe-factor", "1"]
    arguments = ["shard", str(corpus), "--vocab", str(vocab), "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(bertctl, [*arguments, *flags, "--workers", "1", "--plain"])
    assert result.exit_code == 0, result.output
    assert shown in result.stdout
    assert not re.search(rf"\b{hidden}\b", result.stdout)
    assert "of several pieces" in result.stdout
