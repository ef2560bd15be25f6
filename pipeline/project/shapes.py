"""What a job will make, as far as the file says: known before anything it is made from is there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ...model.config import SIZES, BertConfig
from ..errors import BadInput
from ..pretrain.facts import ShardFacts
from ..pretrain.shape import config_of
from ..stage.earlier import open_earlier
from ..stage.manifest import Manifest
from ..training.starting_point import RANDOM, open_stored
from ..vocab.settings import VocabSettings
from .jobs import Job
from .requests import pretrain_request, shard_request, vocab_request


def is_complete(job: Job) -> bool:
    """Whether the job's output claims to be whole."""
    return Manifest.read(job.output) is not None


def facts_of(job: Job) -> list[ShardFacts]:
    """Return what is known of each of a pretraining's shards, made or to be made."""
    return [
        _coming(each) if isinstance(each, Job) and not is_complete(each) else _there(each)
        for each in job.sources["shards"]
    ]


def shape_of(job: Job) -> BertConfig:
    """Return the shape of the model that a job trains.

    Raises:
        BadInput: it can't be built, or what is named for it isn't there.
    """
    flag = "init" if job.stage == "pretrain" else "model"
    source = next(iter(job.sources.get(flag, ())), None)
    if isinstance(source, Job) and not is_complete(source):
        return shape_of(source)
    if source is None:
        return config_of(pretrain_request(job), vocab_size=vocab_size(job))
    place = str(source.output) if isinstance(source, Job) else source
    if place.startswith(RANDOM):
        return replace(SIZES[place.removeprefix(RANDOM)], vocab_size=vocab_size(job))
    return open_stored(Path(place), None, flag=f"--{flag}").config


def vocab_size(job: Job) -> int:
    """Return the size of the vocabulary that something is made with, as far as the file says."""
    for each in job.made_from:
        if each.stage == "vocab":
            return vocab_request(each).vocab.vocab_size
        if each.stage == "shard":
            return vocab_size(each)
    return VocabSettings().vocab_size


def check_length(job: Job) -> None:
    """Raise `BadInput` where a fine-tuning's texts would be longer than what its model reads."""
    longest, reads = job.settings.get("max_seq_length"), shape_of(job).max_position_embeddings
    if longest is not None and longest > reads:
        raise BadInput(
            f"--max-seq-length is {longest}; its model reads at most {reads} tokens.",
            hint=f"Give --max-seq-length {reads} or less.",
        )


def _there(source: Job | str) -> ShardFacts:
    place = source.output if isinstance(source, Job) else Path(source)
    return ShardFacts.of(open_earlier(place, "shard"))


def _coming(job: Job) -> ShardFacts:
    instances = shard_request(job).instances
    return ShardFacts(
        vocab_size=vocab_size(job),
        pad_token_id=0,
        max_seq_length=instances.max_seq_length,
        dupe_factor=instances.dupe_factor,
        next_sentence=instances.next_sentence,
        masked_lm_prob=instances.masked_lm_prob,
        whole_word_mask=instances.whole_word_mask,
        rows={},
    )
