"""Small files share their units, and a corpus that grows finds the others' again."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertctl.pipeline.corpus import grouping
from bertctl.pipeline.corpus.documents import Document
from bertctl.pipeline.corpus.grouping import group_sources, read_batches
from bertctl.pipeline.corpus.listing import list_inputs
from bertctl.pipeline.corpus.piecewise import CorpusPass, pass_over, read_contents
from bertctl.pipeline.corpus.settings import CorpusSettings
from bertctl.pipeline.corpus.sources import Source, plan_sources
from bertctl.pipeline.errors import BadInput
from bertctl.pipeline.shard.request import ShardRequest
from bertctl.pipeline.shard.settings import InstanceSettings, ShardHow
from bertctl.pipeline.shard.stage import shard
from bertctl.pipeline.stage.engine import Site
from bertctl.pipeline.stage.labour import Labour
from bertctl.pipeline.stage.recipe import ListedInput, Recipe
from bertctl.pipeline.stage.report import Silent
from bertctl.pipeline.stage.units import UnitBuilder, UnitStore

from .corpora import documents, write_vocabulary
from .corpus_files import documents_in, read_all
from .killing import bytes_of, committed_units

CHUNK_BYTES = 200_000


def listed(sizes: Mapping[int, int]) -> list[Source]:
    files = [ListedInput(f"/corpus/{name}.txt", size, 7) for name, size in sorted(sizes.items())]
    return list(plan_sources(files, CorpusSettings(), CHUNK_BYTES))


def members(sources: Sequence[Source]) -> set[frozenset[Source]]:
    return {frozenset(group.sources) for group in group_sources(sources, CHUNK_BYTES)}


SIZES = st.dictionaries(
    st.integers(0, 10**6), st.integers(1, 50_000) | st.integers(1, 500_000), max_size=200
)


@given(sizes=SIZES, name=st.integers(0, 10**6), size=st.integers(1, 90_000))
@settings(max_examples=150, deadline=None)
def test_a_file_that_is_added_changes_its_own_group_and_no_other(sizes, name, size):
    sizes.pop(name, None)
    before, after = members(listed(sizes)), members(listed({**sizes, name: size}))
    gone = before - after
    assert len(gone) <= 1
    new = set(listed({name: size}))
    assert {source for group in after - before for source in group} == new.union(*gone)


@given(sizes=SIZES, seed=st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_every_source_is_in_one_group_which_is_no_larger_than_a_chunk(sizes, seed):
    sources = listed(sizes)
    groups = group_sources(sources, CHUNK_BYTES)
    assert Counter(each for group in groups for each in group.sources) == Counter(sources)
    assert len({group.name for group in groups}) == len(groups)
    for group in groups:
        assert len(group.sources) == 1 or sum(e.file.size for e in group.sources) <= CHUNK_BYTES
    shuffled = list(sources)
    seed.shuffle(shuffled)
    assert members(shuffled) == members(sources)


def test_ten_thousand_tiny_files_are_a_few_dozen_units_of_work():
    files = [ListedInput(f"/corpus/{n}.txt", 1_000 + n % 2_000, 7) for n in range(10_000)]
    groups = group_sources(plan_sources(files, CorpusSettings()), 8 << 20)
    assert 10 < len(groups) < 60
    assert max(len(group.sources) for group in groups) < 2 * 10_000 / len(groups) + 300


def write_small(directory: Path, count: int) -> Path:
    """Write files of several formats that no blank line and no line end parts at their borders."""
    directory.mkdir()
    for number, text in enumerate(documents(count, seed=5)):
        name = directory / f"{number:03d}"
        match number % 4:
            case 0:
                name.with_suffix(".txt").write_text(text)
            case 1:
                data = "\n\n".join([text, text[::-1]]).encode()
                name.with_suffix(".txt.gz").write_bytes(gzip.compress(data))
            case 2:
                name.with_suffix(".jsonl").write_text(json.dumps({"text": text}))
            case _:
                name.with_suffix(".txt").write_text(text.replace(" ", "\n") + "\n\n\n\nThe end")
    return directory


@pytest.mark.parametrize(
    "corpus",
    [
        CorpusSettings(),
        CorpusSettings(unwrap=True),
        CorpusSettings(documents="file"),
        CorpusSettings(documents="file", unwrap=True),
        CorpusSettings(documents="line"),
    ],
)
@pytest.mark.parametrize("chunk_bytes", [3_000, 70_000, 8 << 20])
def test_files_of_a_group_keep_their_documents_to_themselves(tmp_path, corpus, chunk_bytes):
    folder = write_small(tmp_path / "small", 30)
    apart = [
        document
        for file in list_inputs([str(folder)])
        for document in documents_in(read_all(file.path, corpus))
    ]
    groups = group_sources(
        plan_sources(list_inputs([str(folder)]), corpus, chunk_bytes), chunk_bytes
    )
    batches = [
        batch for group in groups for batch in read_batches(group.sources, corpus, chunk_bytes)
    ]
    together = [document for batch in batches for document in batch.documents]
    assert Counter(together) == Counter(apart)
    assert max(sum(each.weight for _, each in b.pieces) for b in batches) < 1.3 * chunk_bytes + 3e3
    assert len(groups) == (1 if chunk_bytes == 8 << 20 else len(groups))


def test_small_archives_of_much_text_are_no_more_than_a_chunk_at_once(tmp_path):
    for number in range(12):
        text = "\n\n".join([f"Document {number} says the same again."] * 2_000)
        (tmp_path / f"{number}.txt.gz").write_bytes(gzip.compress(text.encode()))
    corpus, chunk_bytes = CorpusSettings(), 150_000
    sources = plan_sources(list_inputs([str(tmp_path)]), corpus, chunk_bytes)
    groups = group_sources(sources, chunk_bytes)
    assert len(groups) < 5
    batches = [b for group in groups for b in read_batches(group.sources, corpus, chunk_bytes)]
    assert len(batches) == 12
    assert sum(len(batch.documents) for batch in batches) == 12 * 2_000


@dataclass(frozen=True)
class Keep:
    """A maker of pieces that keeps their text and remembers, in a file, that it was called."""

    log: Path

    def __call__(
        self, documents: Sequence[Document], builder: UnitBuilder, name: str
    ) -> dict[str, Any]:
        with self.log.open("a") as log:
            log.write(name + "\n")
        text = "\0".join(each.text for each in documents)
        builder.path(f".bertctl/kept/{name}").write_text(text)
        return {}


def go_over(
    inputs: Path, output: Path, corpus: CorpusSettings, *, chunk_bytes: int, workers: int = 1
) -> tuple[CorpusPass, list[str], list[str]]:
    """Return what the pass gave, the texts it kept, and the pieces that were made by this run."""
    files = list_inputs([str(inputs)], on_bad_input=corpus.on_bad_input)
    output.mkdir(exist_ok=True)
    log = output / "log"
    log.write_text("")
    site = Site(output, Recipe("toy", 1, {}, files), UnitStore(output), Silent(), Labour(workers))
    done = pass_over(
        site,
        corpus,
        Keep(log),
        phase="keep",
        made_from="this",
        chunk_bytes=chunk_bytes,
    )
    kept = [path for unit in done.pieces for path in unit.files]
    texts = [text for path in kept for text in (output / path).read_text().split("\0")]
    return done, sorted(filter(None, texts)), log.read_text().split()


def test_contents_are_told_by_file_however_files_stand_together(tmp_path):
    folder = write_small(tmp_path / "small", 40)
    files = list_inputs([str(folder)])
    corpus = CorpusSettings(max_document_bytes=1024)
    alone, kept, _ = go_over(folder, tmp_path / "alone", corpus, chunk_bytes=300)
    assert alone.contents == read_contents(files, corpus=corpus, listed=files)
    assert len(set(alone.contents.values())) == 40
    for chunk_bytes, workers in ((8 << 20, 1), (100_000, 3)):
        output = tmp_path / f"out-{workers}"
        done, texts, _ = go_over(folder, output, corpus, chunk_bytes=chunk_bytes, workers=workers)
        assert done.contents == alone.contents
        assert texts == kept
        for figure in ("num_documents", "text_bytes", "source_bytes"):
            assert done.total(figure) == alone.total(figure)
        assert len(done.pieces) < len(alone.pieces) / 3


def test_a_fault_among_many_files_names_its_own_and_only_its_group_is_made_again(tmp_path):
    folder = write_small(tmp_path / "small", 60)
    bad = folder / "031.txt"
    bad.write_bytes(b"A good line.\nA b\xffd line.\n\nAnother good line.\n")
    corpus, output = CorpusSettings(), tmp_path / "out"
    with pytest.raises(BadInput, match=r"031\.txt, line 2 \(byte 16\)"):
        go_over(folder, output, corpus, chunk_bytes=100_000)
    skip = replace(corpus, on_bad_input="skip")
    skipped, _, _ = go_over(folder, output, skip, chunk_bytes=100_000)
    assert skipped.total("num_skipped") == 1
    (description,) = (each for unit in skipped.pieces for each in unit.result["skipped"])
    assert str(bad) in description
    with pytest.raises(BadInput, match=r"031\.txt"):
        go_over(folder, output, corpus, chunk_bytes=100_000)
    bad.write_text("A good line.\nA mended line.\n\nAnother good line.\n")
    mended, texts, made = go_over(folder, output, corpus, chunk_bytes=100_000)
    assert 0 < len(made) < len(mended.pieces) / 2
    assert "A good line.\nA mended line." in texts
    _, fresh, _ = go_over(folder, tmp_path / "fresh", corpus, chunk_bytes=8 << 20)
    assert texts == fresh
    changed = folder / "004.txt"
    changed.write_text("Z" * changed.stat().st_size)
    _, later, made = go_over(folder, output, corpus, chunk_bytes=100_000)
    assert 0 < len(made) < len(mended.pieces) / 2
    assert {text[0] for text in set(later) - set(texts)} == {"Z"}


@pytest.mark.parametrize("when", ["before its shards are written", "afterwards, with --scratch"])
def test_of_a_corpus_that_grows_only_the_group_of_the_new_file_is_read(tmp_path, monkeypatch, when):
    folder = tmp_path / "corpus"
    folder.mkdir()
    for number, text in enumerate(documents(70, seed=3)):
        (folder / f"{number}.txt").write_text(text)
    scratch = str(tmp_path / "scratch") if "scratch" in when else None

    def run(output: Path, chunk_megabytes: float, scratch: str | None) -> None:
        request = ShardRequest(
            inputs=(str(folder),),
            vocab=write_vocabulary(tmp_path / "vocab.txt"),
            instances=InstanceSettings(max_seq_length=40, num_shards=2, dupe_factor=2),
            how=ShardHow(workers=1, chunk_megabytes=chunk_megabytes, scratch=scratch),
        )
        shard(request, output, reporter=Silent())

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    if scratch is None:
        with monkeypatch.context() as patch:
            patch.setattr("bertctl.pipeline.shard.run.write_bucket", stop)
            with pytest.raises(KeyboardInterrupt):
                run(tmp_path / "out", 0.1, scratch)
        assert len(committed_units(tmp_path / "out")) > 12
    else:
        run(tmp_path / "first", 0.1, scratch)
        assert len(committed_units(tmp_path / "scratch")) > 12
    more = folder / "more.txt"
    more.write_text("\n\n".join(documents(3, seed=4)))
    opened: list[str] = []
    read = grouping.read_pieces

    def recorded(source: Source, *rest: Any) -> Any:
        opened.append(source.file.path)
        return read(source, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(grouping, "read_pieces", recorded)
        run(tmp_path / "out", 0.1, scratch)
    assert str(more) in opened
    assert len(opened) < 15
    run(tmp_path / "whole", 8, None)
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")


def test_ten_thousand_tiny_files_give_the_shards_of_one_file(tmp_path):
    lines = "\n".join(documents(80, seed=8)).split("\n")
    texts = [
        "\n".join(lines[each % len(lines)] for each in (n, 7 * n + n // 400)) + f" {n}."
        for n in range(10_000)
    ]
    folder = tmp_path / "corpus"
    for number, text in enumerate(texts):
        place = folder / f"{number % 90}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.txt").write_text(text)
    (tmp_path / "one.txt").write_text("\n\n".join(texts))
    for inputs, output in ((folder, "many"), (tmp_path / "one.txt", "one")):
        request = ShardRequest(
            inputs=(str(inputs),),
            vocab=write_vocabulary(tmp_path / "vocab.txt"),
            instances=InstanceSettings(max_seq_length=32, dupe_factor=1),
            how=ShardHow(workers=2),
        )
        shard(request, tmp_path / output, reporter=Silent())
    assert bytes_of(tmp_path / "many") == bytes_of(tmp_path / "one")
    manifest = json.loads((tmp_path / "many" / "manifest.json").read_text())
    assert len(manifest["contents"]) == 10_000
    assert manifest["statistics"]["documents"] == 10_000
