"""One sharding run: the corpus tokenised, dealt into buckets, written as shards."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from ..allocator import keep_freed_memory
from ..corpus.piecewise import pass_over
from ..errors import BadInput
from ..stage.engine import Finished, Site, total_content
from ..stage.files import fingerprint_of
from ..stage.report import Reporter
from ..stage.units import Unit, UnitBuilder
from ..wordpiece.encode import WordPieceEncoder
from ..wordpiece.files import TOKENIZER_FILES, write_tokenizer_files
from ..wordpiece.vocabulary import Normalization, Vocabulary
from .bucketing import BucketTask, Plan, plan_buckets, write_bucket
from .instances import SpecialIds
from .masking import MaskSettings
from .request import STAGE, ShardRequest
from .room import check_room
from .settings import FORMAT_VERSION, MOST_SHARDS, InstanceSettings, needs_chinese_words
from .tokenising import Tokenise, use_encoder

_COUNTED = (
    "documents",
    "one_sentence_documents",
    "sentences",
    "tokens",
    "unknown",
    "words",
    "library_words",
    "text_bytes",
    "num_skipped",
)
_ONE_SENTENCE_SHARE_TO_WARN = 0.2
_UNKNOWN_SHARE_TO_WARN = 0.1
_LONG_WORDS_SHARE_TO_WARN = 0.01


def run(
    site: Site, request: ShardRequest, vocabulary: Vocabulary, normalization: Normalization
) -> Finished:
    """Tokenise the corpus, deal it into buckets, write each bucket's shards."""
    how = request.how
    keep_freed_memory()
    _warn_of_cap(site.reporter, request.instances)
    encoder = use_encoder(vocabulary, normalization)
    chinese_words = needs_chinese_words(request.instances, request.sentences)
    scratch = None if how.scratch is None else Path(how.scratch)
    if request.corpus.max_documents is None:
        check_room(
            site,
            copies=request.instances.dupe_factor,
            id_bytes=vocabulary.id_dtype.itemsize,
            scratch=scratch,
        )
    corpus = pass_over(
        site,
        request.corpus,
        Tokenise(
            site.labour.place(request.vocab),
            site.recipe.earlier["vocab"],
            request.sentences,
            request.instances.seed,
            chinese_words,
        ),
        phase="tokenise",
        made_from=fingerprint_of(
            [
                asdict(request.sentences),
                request.instances.seed,
                site.recipe.earlier["vocab"],
                chinese_words,
            ]
        ),
        chunk_bytes=int(how.chunk_megabytes * 1e6),
        kept_in=scratch,
    )
    totals = {name: corpus.total(name) for name in _COUNTED}
    _warn_of_unknown(site.reporter, totals["unknown"] / max(totals["tokens"], 1))
    _explain(
        site.reporter,
        totals["documents"],
        totals["one_sentence_documents"],
        request.instances.next_sentence,
    )
    paths = corpus.paths
    plan = plan_buckets(
        paths,
        request.instances,
        documents=totals["documents"],
        text_bytes=totals["text_bytes"],
    )
    training_documents = totals["documents"] - plan.validation_documents
    if plan.num_shards > training_documents:
        site.reporter.warn(
            f"--num-shards {plan.num_shards:,} is more than the {training_documents:,} documents "
            "to train on: some shards are empty."
        )
    most = MOST_SHARDS // request.instances.dupe_factor
    if request.instances.num_shards == "auto" and plan.num_shards == most:
        site.reporter.warn(
            f"With --dupe-factor {request.instances.dupe_factor} no more than {most:,} shards a "
            f"copy can be numbered: each is made of {totals['text_bytes'] / most / 1e6:,.0f} MB of "
            "text, in the memory of a worker."
        )
    metadata = {
        "stage": STAGE,
        "format_version": FORMAT_VERSION,
        "fingerprint": site.recipe.fingerprint(total_content(corpus.contents)),
        "vocab_fingerprint": site.recipe.earlier["vocab"],
        "vocab_size": len(vocabulary),
        "max_seq_length": request.instances.max_seq_length,
        "next_sentence": request.instances.next_sentence,
    }
    tasks = _bucket_tasks(site, request.instances, vocabulary, paths, plan, metadata)
    site.make_room()
    buckets = _write_buckets(site, tasks)
    tokenizer = _write_tokenizer(site, encoder)
    train = _split_figures(buckets, "train")
    _warn_of_idle_words(site.reporter, train)
    return Finished(
        files={name: each for unit in (*buckets, tokenizer) for name, each in unit.files.items()},
        contents=corpus.contents,
        is_all=True,
        statistics={
            **totals,
            "vocab_size": len(vocabulary),
            "pad_token_id": vocabulary.pad_id,
            "validation_documents": plan.validation_documents,
            "train": train,
            "validation": _split_figures(buckets, "validation"),
            "rows": {name: rows for unit in buckets for name, rows in unit.result["rows"].items()},
        },
    )


def _bucket_tasks(
    site: Site,
    settings: InstanceSettings,
    vocabulary: Vocabulary,
    pieces: Sequence[Path],
    plan: Plan,
    metadata: Mapping[str, str | int],
) -> list[BucketTask]:
    most = settings.max_predictions_per_seq
    make = partial(
        BucketTask,
        units=site.units,
        pieces=tuple(sorted(pieces)),
        plan=plan,
        settings=settings,
        special=SpecialIds(vocabulary.cls_id, vocabulary.sep_id),
        masks=MaskSettings(
            masked_lm_prob=settings.masked_lm_prob,
            max_predictions_per_seq=None if most == "auto" else most,
            mask_id=vocabulary.mask_id,
            replaceable_ids=vocabulary.replaceable_ids,
            mask_token_prob=settings.mask_token_prob,
            random_token_prob=settings.random_token_prob,
            whole_words=settings.whole_word_mask,
        ),
        is_continuation=vocabulary.is_continuation,
        metadata=metadata,
    )
    return [
        *(make(held_out=True, number=each) for each in range(plan.num_validation_shards)),
        *(make(held_out=False, number=each) for each in range(plan.num_shards)),
    ]


def _write_buckets(site: Site, tasks: Sequence[BucketTask]) -> list[Unit]:
    made: list[Unit] = []
    total = sum(task.copies for task in tasks)
    instances = 0
    with site.reporter.phase("write shards", total=total, unit="shards") as progress:
        for unit in site.labour.run(write_bucket, tasks):
            made.append(unit)
            instances += sum(unit.result["rows"].values())
            progress.advance(len(unit.files), instances_done=instances)
    return sorted(made, key=lambda unit: unit.name)


def _write_tokenizer(site: Site, encoder: WordPieceEncoder) -> Unit:
    """Keep the vocabulary beside the shards: a model made of them is nothing without it."""

    def make(builder: UnitBuilder) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(dir=site.units.work) as directory:
            write_tokenizer_files(encoder.vocabulary, encoder.normalization, Path(directory))
            for name in TOKENIZER_FILES:
                shutil.move(Path(directory, name), builder.path(name))
        return {}

    return site.units.build("tokenizer", site.recipe.earlier["vocab"], make)


def _explain(reporter: Reporter, documents: int, one_sentence: int, next_sentence: str) -> None:
    """Say what is odd about a corpus; refuse one that has nothing to learn pairs from."""
    if documents == 0:
        raise BadInput(
            "The input holds text, but none of it is anything to this vocabulary.",
            hint="`bertctl vocab` makes one of the same text.",
        )
    share = one_sentence / documents
    if next_sentence == "none" or share <= _ONE_SENTENCE_SHARE_TO_WARN:
        return
    if share == 1:
        raise BadInput(
            f"Each of the {documents:,} documents is a single sentence, so nothing ever follows "
            "anything and a task on sentence pairs has nothing to teach.",
            hint="Is there a blank line after every sentence? Documents end at a blank line; "
            "--documents file takes each file as one. --next-sentence none makes no pairs.",
        )
    consequence = {
        "random": "their pair is always a random one",
        "order": "they are cut in two between words",
    }[next_sentence]
    reporter.warn(
        f"{one_sentence:,} of {documents:,} documents ({share:.0%}) are a single sentence: "
        f"nothing follows them, so {consequence}."
    )


def _warn_of_unknown(reporter: Reporter, share: float) -> None:
    if share > _UNKNOWN_SHARE_TO_WARN:
        reporter.warn(
            f"{share:.0%} of the tokens are not in the vocabulary. Is it one for this language?"
        )


def _warn_of_cap(reporter: Reporter, settings: InstanceSettings) -> None:
    cap = settings.max_predictions_per_seq
    wanted = round(settings.masked_lm_prob * settings.max_seq_length)
    if cap != "auto" and cap < wanted:
        reporter.warn(
            f"--max-predictions-per-seq {cap} is fewer than the {wanted} predictions that "
            f"--masked-lm-prob {settings.masked_lm_prob:g} makes of --max-seq-length "
            f"{settings.max_seq_length}: long instances have fewer."
        )


def _warn_of_idle_words(reporter: Reporter, train: Mapping[str, int]) -> None:
    share = train["predictions_in_long_words"] / max(train["predictions"], 1)
    if train["words"] and share < _LONG_WORDS_SHARE_TO_WARN:
        reporter.warn(
            f"Only {share:.2%} of the predicted tokens are in words of several pieces: "
            "--whole-word-mask changed next to nothing. Chinese words are known with --language zh."
        )


def _split_figures(buckets: Sequence[Unit], split: str) -> dict[str, int]:
    figures = [unit.result["figures"] for unit in buckets if unit.name.startswith(split)]
    return {name: sum(each[name] for each in figures) for name in (figures or [{}])[0]}
