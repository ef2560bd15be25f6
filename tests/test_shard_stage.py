import gzip
import json
import shutil
import signal
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from bertctl.pipeline.corpus.settings import CorpusSettings, SentenceSettings
from bertctl.pipeline.errors import BadInput, OutputRefused
from bertctl.pipeline.shard import bucketing
from bertctl.pipeline.shard.request import ShardRequest
from bertctl.pipeline.shard.settings import InstanceSettings, ShardHow
from bertctl.pipeline.shard.stage import shard
from bertctl.pipeline.shard.tokenising import Tokenise
from bertctl.pipeline.stage.engine import Completion
from bertctl.pipeline.stage.report import Silent
from bertctl.pipeline.stage.units import Unit
from bertctl.pipeline.vocab.request import VocabRequest
from bertctl.pipeline.vocab.settings import VocabSettings
from bertctl.pipeline.vocab.stage import vocab as learn

from .corpora import SPECIAL, documents, write_corpus, write_vocabulary
from .killing import bytes_of, committed_units, kill_when

INSTANCES = InstanceSettings(
    max_seq_length=48, dupe_factor=3, num_shards=4, validation_fraction=0.1
)


class Recording(Silent):
    """A reporter that remembers what it is told."""

    def __init__(self) -> None:
        self.notices: list[str] = []
        self.warnings: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture
def vocab(tmp_path: Path) -> Path:
    return write_vocabulary(tmp_path / "vocab.txt")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "corpus")


def run(inputs: Path | list[Path], vocab: Path, output: Path, **changes: Any) -> Completion:
    paths = inputs if isinstance(inputs, list) else [inputs]
    request = ShardRequest(
        inputs=tuple(str(path) for path in paths),
        vocab=vocab,
        instances=replace(INSTANCES, **changes.pop("instances", {})),
        corpus=changes.pop("corpus", CorpusSettings()),
        sentences=changes.pop("sentences", SentenceSettings()),
        how=ShardHow(workers=changes.pop("workers", 1), chunk_megabytes=changes.pop("chunk", 8)),
    )
    return shard(request, output, reporter=changes.pop("reporter", Silent()), **changes)


def rows_of(output: Path, pattern: str = "train-*") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for path in sorted(output.glob(pattern + ".arrow")):
        with pa.memory_map(str(path)) as source:
            rows += pa.ipc.open_file(source).read_all().to_pylist()
    return rows


def restored(row: dict[str, Any]) -> list[int]:
    ids = list(row["input_ids"])
    for position, original in zip(row["masked_lm_positions"], row["masked_lm_ids"], strict=True):
        ids[position] = original
    return ids


def test_shards_are_arrow_files_with_the_columns_of_the_contract(
    corpus: Path, vocab: Path, tmp_path: Path
) -> None:
    done = run(corpus, vocab, tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out").glob("*.arrow"))
    assert names == [
        *(f"train-{number:05d}-of-00012.arrow" for number in range(12)),
        "validation-00000-of-00001.arrow",
    ]
    with pa.memory_map(str(tmp_path / "out" / names[0])) as source:
        schema = pa.ipc.open_file(source).schema
    assert {field.name: str(field.type) for field in schema} == {
        "input_ids": "list<item: uint16>",
        "segment_a_length": "uint16",
        "masked_lm_positions": "list<item: uint16>",
        "masked_lm_ids": "list<item: uint16>",
        "next_sentence_label": "uint8",
        "document_a": "uint64",
        "document_b": "uint64",
    }
    assert json.loads(schema.metadata[b"bertctl"])["fingerprint"] == done.manifest.fingerprint
    assert not (tmp_path / "out" / ".bertctl").exists()


def test_every_document_is_in_every_copy_and_none_of_the_held_out(
    corpus: Path, vocab: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    run(corpus, vocab, output)
    held_out = {row["document_a"] for row in rows_of(output, "validation-*")}
    copies = [
        {
            row["document_a"]
            for number in range(copy * 4, copy * 4 + 4)
            for row in rows_of(output, f"train-{number:05d}-*")
        }
        for copy in range(3)
    ]
    assert copies[0] == copies[1] == copies[2]
    assert len(copies[0]) + len(held_out) == 81
    assert len(held_out) == 8
    b_side = {row["document_b"] for row in rows_of(output)}
    assert not b_side & held_out
    assert {row["document_b"] for row in rows_of(output, "validation-*")} <= held_out


def test_text_comes_back_from_the_shards(corpus: Path, vocab: Path, tmp_path: Path) -> None:
    generous = {"max_seq_length": 512, "short_seq_prob": 0.0, "dupe_factor": 1}
    run(corpus, vocab, tmp_path / "out", instances=generous)
    tokens = vocab.read_text().split("\n")
    words: Counter[str] = Counter()
    for row in [*rows_of(tmp_path / "out"), *rows_of(tmp_path / "out", "validation-*")]:
        ids = restored(row)
        a = row["segment_a_length"]
        kept = ids[1 : a - 1] + (ids[a:-1] if row["next_sentence_label"] == 0 else [])
        words.update(" ".join(tokens[i] for i in kept).replace(" ##", "").split())
    text = " ".join(path.read_text() for path in corpus.glob("*.txt"))
    assert words == Counter(text.lower().replace(".", " .").split())


def test_copies_differ_in_pairs_and_masks(corpus: Path, vocab: Path, tmp_path: Path) -> None:
    run(corpus, vocab, tmp_path / "out")
    first, second = (rows_of(tmp_path / "out", f"train-{number:05d}-*") for number in (0, 4))
    shown = [{tuple(row["input_ids"]) for row in rows} for rows in (first, second)]
    assert len(shown[0] & shown[1]) < 0.2 * len(shown[0])


@pytest.mark.parametrize(
    "changes", [{"workers": 3}, {"chunk": 0.0004}, {"workers": 2, "chunk": 0.003}]
)
def test_workers_chunks_paths_order_and_compression_change_no_byte(
    corpus: Path, vocab: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    first = run(corpus, vocab, tmp_path / "one")
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for number, path in enumerate(sorted(corpus.glob("*.txt"), reverse=True)):
        if number % 2:
            shutil.copy(path, moved / f"renamed-{number}.txt")
        else:
            (moved / f"{number}.txt.gz").write_bytes(gzip.compress(path.read_bytes()))
    files = sorted(moved.iterdir(), reverse=True)
    second = run(files, vocab, tmp_path / "two", **changes)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")
    assert first.manifest.fingerprint == second.manifest.fingerprint
    assert run(files, vocab, tmp_path / "one").was_up_to_date


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("phase", ["source", "train"])
def test_killed_run_continues_to_the_same_bytes(
    vocab: Path, tmp_path: Path, by: signal.Signals, phase: str, workers: str
) -> None:
    corpus = write_corpus(tmp_path / "corpus", files=12, per_file=60)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    common = [str(corpus), "--vocab", str(vocab), "--max-seq-length", "64", "--num-shards", "9"]
    common += ["--chunk-megabytes", "0.05"]  # or small files would share their units
    command = [sys.executable, "-m", "bertctl", "shard", *common, "--workers", workers]

    def reached() -> bool:
        done = [name for name in committed_units(killed) if name.startswith(phase)]
        # Every one of the 12 sources has a unit of its own beside its piece's.
        return len(done) >= (5 if phase == "source" else 2)

    ended = kill_when([*command, "-o", str(killed)], reached, by)
    assert ended.returncode == (-by if by == signal.SIGKILL else 128 + by), ended.stderr
    kept = committed_units(killed)
    assert 0 < sum(name.startswith(phase) for name in kept) < (24 if phase == "source" else 9)
    assert not (killed / "manifest.json").exists()
    for output in (killed, whole):
        request = ShardRequest(
            inputs=(str(corpus),),
            vocab=vocab,
            instances=InstanceSettings(max_seq_length=64, num_shards=9),
            how=ShardHow(workers=2, chunk_megabytes=0.05),
        )
        shard(request, output, reporter=Silent())
    assert bytes_of(killed) == bytes_of(whole)


def test_number_of_shards_that_starves_a_bucket_still_gives_negatives(
    corpus: Path, vocab: Path, tmp_path: Path
) -> None:
    run(corpus, vocab, tmp_path / "out", instances={"num_shards": 200, "dupe_factor": 1})
    rows = rows_of(tmp_path / "out")
    assert len({row["document_a"] for row in rows}) == 73
    random_rows = [row for row in rows if row["next_sentence_label"]]
    assert all(row["document_a"] != row["document_b"] for row in random_rows)
    assert 0.4 < len(random_rows) / len(rows) < 0.6


def test_more_shards_than_documents_are_warned_about(
    corpus: Path, vocab: Path, tmp_path: Path
) -> None:
    said = Recording()
    run(corpus, vocab, tmp_path / "out", instances={"num_shards": 130}, reporter=said)
    assert "--num-shards 130" in said.warnings[0]
    assert len(rows_of(tmp_path / "out")) > 0


def test_copies_of_a_document_are_one_document_to_a_random_segment(
    vocab: Path, tmp_path: Path
) -> None:
    texts = documents(30)
    (tmp_path / "all.txt").write_text("\n\n".join([*texts, texts[0], texts[0], texts[1]]))
    run(tmp_path / "all.txt", vocab, tmp_path / "out", instances={"num_shards": 1})
    rows = [*rows_of(tmp_path / "out"), *rows_of(tmp_path / "out", "validation-*")]
    assert len({row["document_a"] for row in rows}) == 30
    assert all(
        (row["document_a"] != row["document_b"]) == (row["next_sentence_label"] == 1)
        for row in rows
    )


def test_special_tokens_in_the_text_are_ordinary_text(vocab: Path, tmp_path: Path) -> None:
    texts = [f"{text} [MASK] [CLS] [PAD] walks." for text in documents(30)]
    (tmp_path / "all.txt").write_text("\n\n".join(texts))
    run(tmp_path / "all.txt", vocab, tmp_path / "out", instances={"num_shards": 1})
    for row in rows_of(tmp_path / "out"):
        ids = restored(row)
        assert [at for at, token in enumerate(ids) if token in (0, 2, 3, 4)] == [
            0,
            row["segment_a_length"] - 1,
            len(ids) - 1,
        ]


def test_large_vocabulary_is_kept_in_four_bytes(corpus: Path, tmp_path: Path) -> None:
    vocab = tmp_path / "large.txt"
    fillers = [f"filler{number}" for number in range(70_000)]
    known = write_vocabulary(tmp_path / "small.txt").read_text().split("\n")[5:-1]
    vocab.write_text("\n".join([*SPECIAL, *fillers, *known]) + "\n")
    run(corpus, vocab, tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    assert max(max(restored(row)) for row in rows) > 2**16
    with pa.memory_map(str(next((tmp_path / "out").glob("train*.arrow")))) as source:
        assert str(pa.ipc.open_file(source).schema.field("input_ids").type) == "list<item: uint32>"


def test_one_sentence_documents_are_counted_and_warned_about(vocab: Path, tmp_path: Path) -> None:
    texts = [*documents(20), *("stone " * n + "walks early." for n in range(20))]
    (tmp_path / "all.txt").write_text("\n\n".join(texts))
    reporter = Recording()
    done = run(tmp_path / "all.txt", vocab, tmp_path / "out", reporter=reporter)
    assert done.manifest.statistics["one_sentence_documents"] >= 20
    assert any("single sentence" in warning for warning in reporter.warnings)


@pytest.mark.parametrize(
    ("text", "explanation"),
    [
        ("One line here.\n\nAnother there.\n\nA third.\n", "single sentence"),
        ("A river. A stone. A bridge.\n", "at least two are needed"),
        ("A river. A stone.\n\nA river. A stone.\n", "at least two are needed"),
    ],
)
def test_corpus_that_can_teach_nothing_is_refused_with_an_explanation(
    vocab: Path, tmp_path: Path, text: str, explanation: str
) -> None:
    (tmp_path / "all.txt").write_text(text)
    with pytest.raises(BadInput, match=explanation) as refusal:
        run(tmp_path / "all.txt", vocab, tmp_path / "out")
    assert "--documents" in refusal.value.hint
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_other_vocabulary_is_another_recipe(corpus: Path, vocab: Path, tmp_path: Path) -> None:
    run(corpus, vocab, tmp_path / "out")
    other = tmp_path / "other.txt"
    other.write_text(vocab.read_text() + "##zz\n")
    with pytest.raises(OutputRefused, match="--vocab"):
        run(corpus, other, tmp_path / "out")


def test_giant_document_is_spread_and_never_its_own_negative(vocab: Path, tmp_path: Path) -> None:
    giant = "\n".join(documents(300, seed=5))
    (tmp_path / "all.txt").write_text("\n\n".join([giant, *documents(20, seed=6)]))
    settings = CorpusSettings(max_document_bytes=4096)
    run(tmp_path / "all.txt", vocab, tmp_path / "out", corpus=settings)
    rows = rows_of(tmp_path / "out")
    counts = Counter(row["document_a"] for row in rows)
    [(identity, count)] = counts.most_common(1)
    assert count > 0.5 * len(rows)
    for row in rows:
        if row["document_a"] == identity and row["next_sentence_label"]:
            assert row["document_b"] != identity
    sizes = [len(rows_of(tmp_path / "out", f"train-{number:05d}-*")) for number in range(4)]
    assert min(sizes) > 0.3 * max(sizes)


def test_predictions_are_counted_in_the_manifest_as_the_rows_have_them(
    corpus: Path, vocab: Path, tmp_path: Path
) -> None:
    done = run(corpus, vocab, tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    figures = done.manifest.statistics["train"]
    assert figures["instances"] == len(rows)
    assert figures["tokens"] == sum(len(row["input_ids"]) for row in rows)
    assert figures["predictions"] == sum(len(row["masked_lm_ids"]) for row in rows)
    assert figures["not_next"] == sum(row["next_sentence_label"] for row in rows)
    lengths = np.array([len(row["input_ids"]) for row in rows])
    expected = np.maximum(1, np.rint(0.15 * lengths))
    assert [len(row["masked_lm_ids"]) for row in rows] == expected.tolist()


def test_piece_that_vanished_is_made_again_on_resume(vocab: Path, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", files=12, per_file=60)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    flags = ["--max-seq-length", "48", "--num-shards", "4", "--dupe-factor", "3"]
    flags += ["--chunk-megabytes", "0.05"]  # or small files would share their units
    command = [sys.executable, "-m", "bertctl", "shard", str(corpus), "--vocab", str(vocab)]
    kill_when(
        [*command, *flags, "--validation-fraction", "0.1", "-o", str(killed), "--workers", "1"],
        lambda: any(name.startswith("train") for name in committed_units(killed)),
        signal.SIGKILL,
    )
    sorted((killed / ".bertctl" / "tokens").glob("*.arrow"))[3].unlink()
    run(corpus, vocab, killed, chunk=0.05)
    run(corpus, vocab, whole)
    assert bytes_of(killed) == bytes_of(whole)


def test_shards_of_a_corpus_that_shrank_meanwhile_are_gone(vocab: Path, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", files=12, per_file=60)
    output = tmp_path / "out"
    command = [sys.executable, "-m", "bertctl", "shard", str(corpus), "--vocab", str(vocab)]
    flags = "--max-seq-length 48 --num-shards 4 --dupe-factor 3 --validation-fraction 0.1"
    kill_when(
        [*command, *flags.split(), "--workers", "1", "-o", str(output)],
        lambda: any(name.startswith("validation") for name in committed_units(output)),
        signal.SIGKILL,
    )
    for number in range(1, 12):
        (corpus / f"{number}.txt").unlink()
    (corpus / "0.txt").write_text("\n\n".join(documents(5)))
    done = run(corpus, vocab, output)
    assert {path.name for path in output.glob("*.arrow")} == {
        name for name in done.manifest.files if name.endswith(".arrow")
    }


def test_shards_of_another_number_are_gone_where_the_corpus_shrank_meanwhile(
    corpus: Path, vocab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucketing, "BUCKET_TEXT_BYTES", 9_000)
    output, automatic = tmp_path / "out", {"num_shards": "auto"}

    def first_for_training(task: bucketing.BucketTask) -> Unit:
        if not task.held_out and task.number:
            raise KeyboardInterrupt
        return bucketing.write_bucket(task)

    with monkeypatch.context() as patch:
        patch.setattr("bertctl.pipeline.shard.run.write_bucket", first_for_training)
        with pytest.raises(KeyboardInterrupt):
            run(corpus, vocab, output, instances=automatic)
    before = {path.name for path in output.glob("train-*.arrow")}
    assert len(before) == INSTANCES.dupe_factor
    for number in range(3, 9):
        (corpus / f"{number}.txt").unlink()
    done = run(corpus, vocab, output, instances=automatic)
    assert before.isdisjoint(done.manifest.files)
    assert {path.name for path in output.glob("*.arrow")} == {
        name for name in done.manifest.files if name.endswith(".arrow")
    }


def test_shards_are_never_more_than_their_names_can_number(
    corpus: Path, vocab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadInput, match=r"make 150,000 shards; expected at most 99,999") as refused:
        run(corpus, vocab, tmp_path / "out", instances={"num_shards": 50_000})
    assert "--num-shards 33333" in refused.value.hint
    monkeypatch.setattr(bucketing, "BUCKET_TEXT_BYTES", 1_000)
    monkeypatch.setattr(bucketing, "MOST_SHARDS", 7)
    done = run(corpus, vocab, tmp_path / "out", instances={"num_shards": "auto"})
    assert sum(name.startswith("train-") for name in done.manifest.files) == 6


def test_output_inside_the_corpus_is_no_part_of_it(corpus: Path, vocab: Path) -> None:
    run(corpus, vocab, corpus / "out")
    assert run(corpus, vocab, corpus / "out").was_up_to_date


def test_touched_corpus_is_the_same_when_only_its_first_documents_are_taken(
    corpus: Path, vocab: Path, tmp_path: Path
) -> None:
    settings = CorpusSettings(max_documents=20)
    run(corpus, vocab, tmp_path / "out", corpus=settings)
    (corpus / "1.txt").touch()
    assert run(corpus, vocab, tmp_path / "out", corpus=settings).was_up_to_date


@pytest.mark.parametrize("fault", ["unfinished", "truncated", "special tokens only"])
def test_vocabulary_that_is_unfinished_or_damaged_is_refused(
    corpus: Path, tmp_path: Path, fault: str
) -> None:
    made = tmp_path / "vocab"
    request = VocabRequest(inputs=(str(corpus),), vocab=VocabSettings(vocab_size=90))
    learn(request, made, reporter=Silent())
    if fault == "unfinished":
        (made / "manifest.json").unlink()
    elif fault == "truncated":
        lines = (made / "vocab.txt").read_text().split("\n")[:50]
        (made / "vocab.txt").write_text("\n".join(lines) + "\n")
    else:
        made = tmp_path / "five.txt"
        made.write_text("\n".join(SPECIAL) + "\n")
    with pytest.raises(BadInput, match=r"isn't finished|damaged|special tokens only"):
        run(corpus, made, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_documents_that_begin_alike_are_told_apart_by_their_later_parts(
    vocab: Path, tmp_path: Path
) -> None:
    opening = "\n".join(f"The opening number {number} is the same." for number in range(60))
    long = [f"{opening}\nStory {name} goes on {name * 300}." for name in "abcdef"]
    other = write_corpus(tmp_path / "other", files=1)
    made: list[dict[str, bytes]] = []
    for order in (long, long[::-1]):
        corpus = tmp_path / f"corpus-{len(made)}"
        shutil.copytree(other, corpus)
        for number, text in enumerate(order):
            (corpus / f"long-{number}.txt").write_text(text)
        output = tmp_path / f"out-{len(made)}"
        run(corpus, vocab, output, corpus=CorpusSettings(max_document_bytes=1024))
        made.append(bytes_of(output))
    assert made[0] == made[1]


def test_pieces_made_before_bad_input_stand_when_it_is_skipped_instead(
    vocab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = write_corpus(tmp_path / "corpus", files=6)
    bad = corpus / "zz-bad.txt"
    bad.write_bytes(b"A good line.\nA bad \xff line.\nAnother good line here.\n")
    output, skip, stop = tmp_path / "out", CorpusSettings(on_bad_input="skip"), CorpusSettings()
    with pytest.raises(BadInput, match="zz-bad"):
        run(corpus, vocab, output, corpus=stop)
    made: list[str] = []
    tokenise = Tokenise.__call__

    def recorded(self: Tokenise, documents: Any, builder: Any, name: str) -> dict[str, int]:
        made.append(name)
        return tokenise(self, documents, builder, name)

    def fail(*_: Any) -> None:
        raise OSError("no such luck")

    monkeypatch.setattr(Tokenise, "__call__", recorded)
    with monkeypatch.context() as patch:
        patch.setattr("bertctl.pipeline.shard.run.write_bucket", fail)
        with pytest.raises(OSError, match="luck"):
            run(corpus, vocab, output, corpus=skip)
    assert len(made) == 1
    # Whoever wants to stop at bad input stops, though a piece without it is there already.
    with pytest.raises(BadInput, match="zz-bad"):
        run(corpus, vocab, output, corpus=stop)
    reporter = Recording()
    run(corpus, vocab, output, corpus=skip, reporter=reporter)
    assert len(made) == 2
    assert "--on-bad-input: stop → skip" in reporter.notices[0]
    run(corpus, vocab, tmp_path / "at-once", corpus=skip)
    assert bytes_of(output) == bytes_of(tmp_path / "at-once")
    with pytest.raises(OutputRefused, match=r"--on-bad-input: skip → stop"):
        run(corpus, vocab, output, corpus=stop)


@pytest.mark.parametrize("force", [False, True])
def test_shards_never_replace_their_vocabulary_or_corpus(
    corpus: Path, vocab: Path, tmp_path: Path, force: bool
) -> None:
    made = tmp_path / "made"
    learn(VocabRequest((str(corpus),), VocabSettings(vocab_size=200)), made, reporter=Silent())
    before = bytes_of(made)
    for inputs, words in ((corpus, made), (made / "vocab.txt", vocab)):
        with pytest.raises(OutputRefused, match="which this command reads"):
            run(inputs, words, made, force=force)
    assert bytes_of(made) == before


def test_text_that_is_nothing_to_the_vocabulary_is_warned_about(
    vocab: Path, tmp_path: Path
) -> None:
    corpus, said = write_corpus(tmp_path / "corpus", files=2), Recording()
    run(corpus, vocab, tmp_path / "known", reporter=said)
    assert not any("not in the vocabulary" in each for each in said.warnings)
    (corpus / "more.txt").write_text("ДОМ СТОИТ. ОН СТАР.\n" * 200)
    run(corpus, vocab, tmp_path / "unknown", reporter=said)
    assert any("not in the vocabulary" in each for each in said.warnings)


def test_forced_run_that_fails_keeps_the_shards_that_were_there(
    corpus: Path, vocab: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    run(corpus, vocab, output)
    before = bytes_of(output)
    (corpus / "zz.txt").write_bytes(b"Not \xff text.\n")
    longer = {"max_seq_length": 64}
    with pytest.raises(BadInput, match=r"zz\.txt"):
        run(corpus, vocab, output, instances=longer, force=True)
    assert bytes_of(output) == before
    with pytest.raises(OutputRefused, match="--max-seq-length: 48 → 64"):
        run(corpus, vocab, output, instances=longer)
    (corpus / "zz.txt").unlink()
    said = Recording()
    run(corpus, vocab, output, instances=longer, force=True, reporter=said)
    run(corpus, vocab, tmp_path / "fresh", instances=longer)
    assert bytes_of(output) == bytes_of(tmp_path / "fresh")
    assert {path.name for path in output.iterdir()} == {
        path.name for path in (tmp_path / "fresh").iterdir()
    }


def test_damaged_vocabulary_beside_shards_is_refused(
    corpus: Path, vocab: Path, tmp_path: Path
) -> None:
    run(corpus, vocab, tmp_path / "first")
    run(corpus, tmp_path / "first", tmp_path / "second")
    tokens = (tmp_path / "first" / "vocab.txt").read_text()
    (tmp_path / "first" / "vocab.txt").write_text(tokens.replace("river", "rivet", 1))
    with pytest.raises(BadInput, match=r"vocab\.txt is damaged"):
        run(corpus, tmp_path / "first", tmp_path / "third")
