"""`bertctl pretrain`: shards turned into an encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from ...model.config import SIZES, BertConfig
from ..errors import BadInput
from ..shard.settings import FORMAT_VERSION as SHARD_FORMAT_VERSION
from ..stage.earlier import EarlierStage, open_earlier
from ..stage.engine import Completion, Finished, Site, complete
from ..stage.recipe import Recipe, resolved
from ..stage.report import Reporter
from ..stage.settings import check_settings
from ..training.model_layout import CHECKPOINT_FILES, MODEL, MODEL_FILES
from .facts import ShardFacts
from .request import PretrainRequest

STAGE = "pretrain"
FORMAT_VERSION = 1
_OWNS = (
    *(f"{MODEL}/{name}" for name in MODEL_FILES),
    *CHECKPOINT_FILES,
    "log/metrics.jsonl",
    "log/checked.json",
)


def pretrain(
    request: PretrainRequest, output: Path, *, reporter: Reporter, force: bool = False
) -> Completion:
    """Bring `output` to the model that `request` describes, going on where a run stopped.

    Raises:
        BadInput: a setting can't be used, or the shards aren't finished, damaged, or don't fit.
        OutputRefused: `output` isn't ours, is in use or was made by another recipe.
        Stopped: someone asked for it; its last step is kept.
    """
    check_settings(request.architecture, request.training, request.numerics, request.how)
    if (request.training.steps is None) == (request.training.epochs is None):
        raise BadInput(
            "How long to train isn't said, or said twice: expected either --steps or --epochs.",
            hint="BERT was trained for about 40 epochs: --epochs 40.",
        )
    shards = open_earlier(request.shards, "shard", format_version=SHARD_FORMAT_VERSION)
    facts = ShardFacts.of(shards)
    if facts.next_sentence == "none":
        raise BadInput(
            f"{request.shards} was made with --next-sentence none; expected sentence pairs, from "
            "which next-sentence prediction is learnt beside masked tokens.",
            hint="Make shards with --next-sentence random or order.",
        )
    config = config_of(request, vocab_size=facts.vocab_size, pad_token_id=facts.pad_token_id)
    if facts.max_seq_length > config.max_position_embeddings:
        raise BadInput(
            f"{request.shards} has instances of up to {facts.max_seq_length} tokens; the model "
            f"reads {config.max_position_embeddings}.",
            hint=f"Give --max-position-embeddings {facts.max_seq_length}.",
        )
    recipe = Recipe(
        stage=STAGE,
        format_version=FORMAT_VERSION,
        what={**resolved(request.training), **asdict(config)},
        earlier={"shards": shards.manifest.fingerprint},
        numerics=resolved(request.numerics),
        owns=_OWNS,
    )
    work = partial(_work, request=request, shards=shards, facts=facts, config=config)
    return complete(recipe, output, work, reporter=reporter, reads=[request.shards], force=force)


def config_of(request: PretrainRequest, *, vocab_size: int, pad_token_id: int = 0) -> BertConfig:
    """Return the model's configuration: the file's or the size's, then what was given singly.

    Raises:
        BadInput: the numbers can't make a model.
    """
    given = {
        name: value
        for name, value in asdict(request.architecture).items()
        if name != "model" and value is not None
    }
    try:
        base = SIZES[request.architecture.model]
        if request.config is not None:
            base = BertConfig.from_dict(request.config)
        return replace(base, **{**given, "vocab_size": vocab_size, "pad_token_id": pad_token_id})
    except (ValueError, TypeError) as error:
        raise BadInput(
            f"This isn't a model that can be built: {error}.",
            hint="--hidden-size must be a multiple of --num-attention-heads.",
        ) from error


def _work(
    site: Site,
    request: PretrainRequest,
    shards: EarlierStage,
    facts: ShardFacts,
    config: BertConfig,
) -> Finished:
    if request.config is not None:
        _tell_unused(site.reporter, request.config, config)
    # torch takes a second to import: only a run that has work to do pays for it.
    from .run import run

    return run(site, request, shards, facts, config)


def _tell_unused(reporter: Reporter, given: Mapping[str, Any], config: BertConfig) -> None:
    """Say what of a configuration file has no part in the model that is built."""
    for name in ("vocab_size", "pad_token_id"):
        if name in given and given[name] != getattr(config, name):
            reporter.notice(
                f"--config says {name} {given[name]}; the shards' vocabulary has "
                f"{getattr(config, name)}, which is taken."
            )
    if unknown := BertConfig.unknown_keys(given):
        reporter.warn(
            f"--config holds {', '.join(unknown)}: no setting of this model, left aside. Check the "
            "spelling."
        )
