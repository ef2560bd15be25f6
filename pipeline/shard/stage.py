"""`bertctl shard`: a corpus and a vocabulary turned into Arrow shards of masked sentence pairs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..corpus.listing import list_inputs
from ..corpus.settings import CorpusSettings, SentenceSettings
from ..errors import BadInput
from ..stage.engine import Completion, Finished, Site, complete, total_content
from ..stage.recipe import ListedInput, Recipe, resolved
from ..stage.report import Reporter
from ..stage.settings import check_settings
from ..wordpiece.source import vocabulary_fingerprint
from .settings import InstanceSettings, ShardHow

if TYPE_CHECKING:
    from ..stage.units import Unit
    from .bucketing import BucketTask, Plan

STAGE = "shard"
FORMAT_VERSION = 1
_OWNS = ("train-*-of-*.arrow", "validation-*-of-*.arrow")
_ONE_SENTENCE_SHARE_TO_WARN = 0.2


@dataclass(frozen=True)
class ShardRequest:
    """Everything `bertctl shard` was asked for."""

    inputs: tuple[str, ...]
    vocab: Path
    corpus: CorpusSettings = field(default_factory=CorpusSettings)
    sentences: SentenceSettings = field(default_factory=SentenceSettings)
    instances: InstanceSettings = field(default_factory=InstanceSettings)
    how: ShardHow = field(default_factory=ShardHow)


def shard(
    request: ShardRequest, output: Path, *, reporter: Reporter, force: bool = False
) -> Completion:
    """Bring `output` to the shards that `request` describes, doing only what is missing.

    Raises:
        BadInput: a setting or an input can't be used.
        OutputRefused: `output` isn't ours, is in use or was made by another recipe.
    """
    check_settings(request.corpus, request.sentences, request.instances, request.how)
    recipe = Recipe(
        stage=STAGE,
        format_version=FORMAT_VERSION,
        what=resolved(request.corpus, request.sentences, request.instances),
        inputs=tuple(
            ListedInput(each.path, each.size, each.mtime_ns) for each in list_inputs(request.inputs)
        ),
        earlier={"vocab": vocabulary_fingerprint(request.vocab)},
        owns=_OWNS,
    )
    return complete(
        recipe,
        output,
        partial(_work, request=request),
        reporter=reporter,
        read_contents=partial(_read_contents, request=request),
        force=force,
    )


def _read_contents(files: Sequence[ListedInput], request: ShardRequest) -> dict[str, str]:
    from ..corpus.sources import read_contents

    return read_contents(files, request.corpus)


def _work(site: Site, request: ShardRequest) -> Finished:
    from ..stage.workers import available_workers
    from .bucketing import plan_buckets

    workers = request.how.workers
    num_workers = available_workers() if workers == "auto" else workers
    by_file = _tokenise(site, request, num_workers)
    pieces = [unit for units in by_file.values() for unit in units]
    totals = {
        name: sum(unit.result[name] for unit in pieces)
        for name in ("documents", "sentences", "tokens", "text_bytes", "unknown")
    }
    one_sentence = sum(unit.result["one_sentence_documents"] for unit in pieces)
    skipped = [each for unit in pieces for each in unit.result["skipped"]]
    _explain(site.reporter, totals["documents"], one_sentence, skipped)
    contents = {path: _content(units) for path, units in by_file.items()}
    paths = [site.directory / name for unit in pieces for name in unit.files]
    plan = plan_buckets(
        paths,
        request.instances,
        documents=totals["documents"],
        text_bytes=totals["text_bytes"],
    )
    fingerprint = site.recipe.fingerprint(total_content(contents))
    buckets = _write_buckets(site, request, paths, plan, fingerprint, num_workers)
    return Finished(
        files={name: record for unit in buckets for name, record in unit.files.items()},
        contents=contents,
        statistics={
            **totals,
            "one_sentence_documents": one_sentence,
            "skipped": len(skipped),
            "validation_documents": plan.validation_documents,
            "train": _split_figures(buckets, "train"),
            "validation": _split_figures(buckets, "validation"),
        },
    )


def _tokenise(site: Site, request: ShardRequest, workers: int) -> dict[str, list[Unit]]:
    from ..corpus.listing import InputFile
    from ..corpus.sources import plan_sources
    from ..stage.workers import run_tasks
    from .tokenising import TokeniseTask, encoder_for, tokenise_source

    chunk_bytes = int(request.how.chunk_megabytes * 1e6)
    files = [InputFile(each.path, each.size, each.mtime_ns) for each in site.recipe.inputs]
    vocabulary = site.recipe.earlier["vocab"]
    encoder_for(request.vocab, vocabulary)
    tasks = [
        TokeniseTask(
            units=site.units,
            source=source,
            corpus=request.corpus,
            sentences=request.sentences,
            vocab=request.vocab,
            vocabulary_fingerprint=vocabulary,
            seed=request.instances.seed,
            chunk_bytes=chunk_bytes,
        )
        for source in plan_sources(files, request.corpus, chunk_bytes)
    ]
    by_file: dict[str, list[Unit]] = {each.path: [] for each in site.recipe.inputs}
    with site.reporter.phase("tokenise", total=None, unit="B") as progress:
        for path, units in run_tasks(tokenise_source, tasks, workers=workers):
            by_file[path].extend(units)
            progress.advance(sum(unit.result["text_bytes"] for unit in units))
    return by_file


def _write_buckets(
    site: Site,
    request: ShardRequest,
    pieces: Sequence[Path],
    plan: Plan,
    fingerprint: str,
    workers: int,
) -> list[Unit]:
    from ..stage.workers import run_tasks
    from .bucketing import write_bucket

    tasks = _bucket_tasks(site, request, pieces, plan, fingerprint)
    made: list[Unit] = []
    copies = sum(task.copies for task in tasks)
    with site.reporter.phase("write shards", total=copies, unit="shards") as progress:
        for unit in run_tasks(write_bucket, tasks, workers=workers):
            made.append(unit)
            progress.advance(len(unit.files), instances=unit.result["instances"])
    return sorted(made, key=lambda unit: unit.name)


def _bucket_tasks(
    site: Site, request: ShardRequest, pieces: Sequence[Path], plan: Plan, fingerprint: str
) -> list[BucketTask]:
    from ..wordpiece.vocabulary import load_vocabulary
    from .bucketing import BucketTask
    from .instances import SpecialIds
    from .masking import MaskSettings

    vocabulary, _ = load_vocabulary(request.vocab)
    most = request.instances.max_predictions_per_seq
    make = partial(
        BucketTask,
        units=site.units,
        pieces=tuple(sorted(pieces)),
        plan=plan,
        settings=request.instances,
        special=SpecialIds(vocabulary.cls_id, vocabulary.sep_id),
        masks=MaskSettings(
            masked_lm_prob=request.instances.masked_lm_prob,
            max_predictions_per_seq=None if most == "auto" else most,
            mask_id=vocabulary.mask_id,
            replaceable_ids=vocabulary.replaceable_ids,
        ),
        metadata={
            "stage": STAGE,
            "format_version": FORMAT_VERSION,
            "fingerprint": fingerprint,
            "vocab_fingerprint": site.recipe.earlier["vocab"],
            "vocab_size": len(vocabulary),
            "max_seq_length": request.instances.max_seq_length,
            "next_sentence": request.instances.next_sentence,
        },
    )
    return [
        *(make(held_out=True, number=each) for each in range(plan.num_validation_shards)),
        *(make(held_out=False, number=each) for each in range(plan.num_shards)),
    ]


def _explain(reporter: Reporter, documents: int, one_sentence: int, skipped: Sequence[str]) -> None:
    """Say what is odd about a corpus; refuse one that has nothing to learn pairs from."""
    if skipped:
        reporter.warn(f"Left out {len(skipped):,} bad input(s), first: {skipped[0]}")
    if documents == 0:
        raise BadInput(
            "The input holds no text that this vocabulary and --documents can use.",
            hint="`--documents` says what ends a document: blank-line, line or file.",
        )
    share = one_sentence / documents
    if share == 1:
        raise BadInput(
            f"Each of the {documents:,} documents is a single sentence, so nothing ever follows "
            "anything and next-sentence prediction has nothing to learn.",
            hint="Is there a blank line after every sentence? Documents end at a blank line; "
            "--documents file takes each file as one.",
        )
    if share > _ONE_SENTENCE_SHARE_TO_WARN:
        reporter.warn(
            f"{one_sentence:,} of {documents:,} documents ({share:.0%}) are a single sentence: "
            "nothing follows them, so their pair is always a random one."
        )


def _content(units: Iterable[Unit]) -> str:
    return total_content({unit.name: unit.result["content"] for unit in units})


def _split_figures(buckets: Sequence[Unit], split: str) -> dict[str, Any]:
    results = [dict(unit.result) for unit in buckets if unit.name.startswith(split)]
    return {name: sum(each[name] for each in results) for name in (results or [{}])[0]}
