"""Which model is built, by its size, a file or a stored model, and what it learns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

from ...model.config import SIZES, BertConfig, Objective
from ..errors import BadInput
from ..training.starting_point import StartingPoint
from .facts import ShardFacts
from .request import PretrainRequest

OBJECTIVES: Mapping[str, tuple[Objective, ...]] = MappingProxyType(
    {
        "random": ("mlm+nsp", "mlm", "causal"),
        "order": ("mlm+sop", "mlm", "causal"),
        "none": ("mlm", "causal"),
    }
)
"""What can be learnt from shards of each `--next-sentence`, first what they are made for."""
_DROPOUT = ("hidden_dropout_prob", "attention_probs_dropout_prob")


def refuse_two_shapes(*, names_model: bool, config: Path | None, init: Path | None) -> None:
    """Raise `BadInput` where more than one of them is given; `names_model`: --model is."""
    if config is not None and names_model:
        raise BadInput(
            "--model and --config both say what to build; expected one of them.",
            hint="--config describes the whole model; single settings, such as "
            "--num-hidden-layers 4, go with either.",
        )
    if init is not None and (config is not None or names_model):
        raise BadInput(
            f"--init and {'--model' if config is None else '--config'} both say what the model is; "
            "expected one of them.",
            hint="A stored model has a shape of its own.",
        )


def read_config(path: Path) -> dict[str, Any]:
    """Read a model's configuration.

    Raises:
        BadInput: there is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path} can't be read: {error.strerror}.") from error
    except ValueError as error:
        raise BadInput(f"{path} isn't JSON: {error}.") from error
    if not isinstance(content, dict):
        raise BadInput(f"{path} holds no JSON object; expected a model's config.json.")
    return content


def settle(
    request: PretrainRequest, facts: Sequence[ShardFacts], start: StartingPoint | None
) -> tuple[Objective, BertConfig]:
    """Return what is learnt and by which model, where they fit the shards."""
    objective = objective_of(request, facts)
    config = config_of(
        request,
        vocab_size=facts[0].vocab_size,
        pad_token_id=facts[0].pad_token_id,
        objective=objective,
        start=start,
    )
    for path, each in zip(request.shards, facts, strict=True):
        if each.max_seq_length > config.max_position_embeddings:
            raise BadInput(
                f"{path} has instances of up to {each.max_seq_length} tokens; the model reads "
                f"{config.max_position_embeddings}.",
                hint=f"Give --max-position-embeddings {each.max_seq_length}."
                if start is None
                else f"Make shards of --max-seq-length {config.max_position_embeddings}.",
            )
    return objective, config


def config_of(
    request: PretrainRequest,
    *,
    vocab_size: int,
    pad_token_id: int = 0,
    objective: Objective = "mlm+nsp",
    start: StartingPoint | None = None,
) -> BertConfig:
    """Return the model's configuration: the starting point's, the file's or the size's, then
    what was given singly.

    Raises:
        BadInput: the numbers can't make a model.
    """
    given = {
        name: value
        for name, value in asdict(request.architecture).items()
        if name != "model" and value is not None
    }
    if given.get("position_embedding_type") == "learned":
        given["position_embedding_type"] = "absolute"
    if start is not None:
        fixed = [name for name in given if name not in _DROPOUT]
        if fixed:
            flag = "--" + fixed[0].replace("_", "-")
            raise BadInput(
                f"{flag} and --init both say what the model's shape is; expected one of them.",
                hint="A stored model has a shape of its own; only its dropout can be changed.",
            )
        return replace(start.config, **given, is_decoder=objective == "causal")
    try:
        base = SIZES[request.architecture.model]
        if request.config is not None:
            base = BertConfig.from_dict(request.config)
        fixed_here = {
            "vocab_size": vocab_size,
            "pad_token_id": pad_token_id,
            "is_decoder": objective == "causal",
        }
        return replace(base, **{**given, **fixed_here})
    except (ValueError, TypeError) as error:
        raise BadInput(
            f"This isn't a model that can be built: {error}.",
            hint="--hidden-size must be a multiple of --num-attention-heads.",
        ) from error


def objective_of(request: PretrainRequest, facts: Sequence[ShardFacts]) -> Objective:
    """Return what is learnt, from all shards alike."""
    wanted = request.training.objective
    possible: set[Objective] = set(get_args(Objective))
    for path, each in zip(request.shards, facts, strict=True):
        here = OBJECTIVES.get(each.next_sentence, ())
        if wanted != "auto" and wanted not in here:
            raise BadInput(
                f"{path} was made with --next-sentence {each.next_sentence}; --objective {wanted} "
                "can't be learnt from it.",
                hint=f"Give --objective {' or '.join(here)}, or make shards with --next-sentence "
                + ("order." if wanted == "mlm+sop" else "random."),
            )
        possible &= set(here)
    if wanted != "auto":
        return wanted
    return next(each for each in (*OBJECTIVES[facts[0].next_sentence], "mlm") if each in possible)
