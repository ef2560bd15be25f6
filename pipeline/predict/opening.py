"""What `--model` names, opened: which question it answers, and how its texts are to be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import BadInput
from ..stage.ownership import recipe_at
from ..stage.settings import check_settings
from ..training.starting_point import StartingPoint, open_stored
from .request import PredictRequest
from .rows import Columns

_FITTED = {"BertForSequenceClassification": "sequence-classification"}
"""Class of transformers → the task whose models are such; see `predictors.py`."""
_UNKNOWN_YET = {
    "BertForTokenClassification": "token-classification",
    "BertForQuestionAnswering": "question-answering",
    "BertForMultipleChoice": "multiple-choice",
}
_LONGEST = 512


@dataclass(frozen=True)
class Opened:
    """A model that can answer, and what is asked."""

    start: StartingPoint
    task: str
    columns: Columns
    max_seq_length: int


def open_model(request: PredictRequest, *, wants_vectors: bool) -> Opened:
    """Open the model and settle what is `auto`; `wants_vectors` says that Parquet is written.

    Raises:
        BadInput: the model isn't there or isn't finished, or can't answer what is asked.
    """
    how = request.how
    check_settings(how, request.numerics)
    start = open_stored(request.model, None, flag="--model")
    recipe = recipe_at(request.model)
    fitted = recipe.what if recipe is not None and recipe.stage == "finetune" else {}
    columns = Columns(
        how.text_column or fitted.get("text_column"),
        how.text_pair_column or (None if how.text_column else fitted.get("text_pair_column")),
    )
    is_pair = how.text_pair is not None or how.text_pair_column is not None
    task = how.task
    if task == "auto":
        task = _task_of(start, request, is_pair=is_pair, wants_vectors=wants_vectors)
    _refuse_unfit(start, request, task)
    return Opened(start, task, columns, _max_seq_length(request, start, fitted))


def _task_of(
    start: StartingPoint, request: PredictRequest, *, is_pair: bool, wants_vectors: bool
) -> str:
    if wants_vectors:
        return "embeddings"
    architecture = _architecture(start)
    if architecture in _UNKNOWN_YET:
        raise BadInput(
            f"{request.model} is a model for {_UNKNOWN_YET[architecture]}, which predict can't do "
            "yet.",
            hint="`bertctl finetune --test FILE` can; --task embeddings gives vectors.",
        )
    return _FITTED.get(architecture) or ("next-sentence" if is_pair else "fill-mask")


def _refuse_unfit(start: StartingPoint, request: PredictRequest, task: str) -> None:
    if task == "fill-mask" and start.config.is_decoder:
        raise BadInput(
            f"{request.model} reads from left to right (is_decoder): it can't see what follows a "
            "[MASK].",
            hint="Take a model trained on masked tokens, or --task embeddings.",
        )
    if task in _FITTED.values() and _architecture(start) not in _FITTED:
        raise BadInput(
            f"{request.model} wasn't fitted to {task}: it is a {_architecture(start)}.",
            hint="Fit one with: bertctl finetune.",
        )
    is_pair = request.how.text_pair is not None or request.how.text_pair_column is not None
    if is_pair and start.config.type_vocab_size < 2:
        raise BadInput(
            f"{request.model} can't tell two texts apart: its type_vocab_size is 1.",
            hint="Give one text a row.",
        )


def _architecture(start: StartingPoint) -> str:
    return str((start.content.get("architectures") or ["BertModel"])[0])


def _max_seq_length(
    request: PredictRequest, start: StartingPoint, fitted: Mapping[str, Any]
) -> int:
    most = start.config.max_position_embeddings
    wanted = request.how.max_seq_length
    if wanted == "auto":
        return min(most, fitted.get("max_seq_length") or _LONGEST)
    if wanted > most:
        raise BadInput(
            f"--max-seq-length is {wanted}; the model {request.model} reads at most {most} tokens.",
            hint=f"Give --max-seq-length {most} or less.",
        )
    return wanted
