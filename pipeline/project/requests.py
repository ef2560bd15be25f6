"""A job as what its stage is asked for, so that a stage can be looked at without a process."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from ..corpus.settings import CorpusSettings, SentenceSettings
from ..finetune.request import FinetuneRequest
from ..finetune.settings import FinetuneHow, FinetuneSettings
from ..pretrain.request import PretrainRequest
from ..pretrain.settings import (
    ArchitectureSettings,
    PretrainHow,
    PretrainSettings,
    ProcessNumerics,
)
from ..pretrain.shape import read_config, refuse_two_shapes
from ..shard.request import ShardRequest
from ..shard.settings import InstanceSettings, ShardHow
from ..stage.settings import settings_of
from ..training.settings import NumericsSettings
from ..vocab.request import VocabRequest
from ..vocab.settings import VocabHow, VocabSettings
from .jobs import Job

Group = TypeVar("Group")


def vocab_request(job: Job) -> VocabRequest:
    """Return what `bertctl vocab` is asked for."""
    return VocabRequest(
        inputs=job.inputs,
        vocab=_collect(VocabSettings, job),
        corpus=_collect(CorpusSettings, job),
        how=_collect(VocabHow, job),
    )


def shard_request(job: Job) -> ShardRequest:
    """Return what `bertctl shard` is asked for."""
    (vocab,) = job.places("vocab")
    return ShardRequest(
        inputs=job.inputs,
        vocab=Path(vocab),
        corpus=_collect(CorpusSettings, job),
        sentences=_collect(SentenceSettings, job),
        instances=_collect(InstanceSettings, job),
        how=_collect(ShardHow, job),
    )


def pretrain_request(job: Job) -> PretrainRequest:
    """Return what `bertctl pretrain` is asked for.

    Raises:
        BadInput: what is to be built is said twice, or `config` names no model's configuration.
    """
    config, init = job.files.get("config"), next(map(Path, job.places("init")), None)
    refuse_two_shapes(names_model="model" in job.settings, config=config, init=init)
    return PretrainRequest(
        shards=tuple(map(Path, job.places("shards"))),
        init=init,
        config=None if config is None else read_config(config),
        architecture=_collect(ArchitectureSettings, job),
        training=_collect(PretrainSettings, job),
        numerics=_collect(NumericsSettings, job),
        processes=_collect(ProcessNumerics, job),
        how=_collect(PretrainHow, job),
    )


def finetune_request(job: Job) -> FinetuneRequest:
    """Return what `bertctl finetune` is asked for."""
    (model,) = job.places("model")
    return FinetuneRequest(
        model=model,
        train=job.files["train"],
        validation=job.files.get("validation"),
        test=job.files.get("test"),
        vocab=next(map(Path, job.places("vocab")), None),
        settings=_collect(FinetuneSettings, job),
        numerics=_collect(NumericsSettings, job),
        how=_collect(FinetuneHow, job),
    )


def _collect(kind: type[Group], job: Job) -> Group:
    names = {setting.name for setting in settings_of(kind)}
    return kind(**{name: value for name, value in job.settings.items() if name in names})
