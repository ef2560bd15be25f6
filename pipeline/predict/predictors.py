"""Each question a pretrained model can be asked: which network answers, and its answer in words.

A task is a value, as in fine-tuning: `PREDICTORS` has them all, by name.
B sequences, T token rows, M masked tokens, H hidden, C labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...model.config import BertConfig
from ...model.encoder import BertModel
from ...model.precision import Precision
from ...model.pretraining import BertForPreTraining
from ...model.tokens import Tokens
from ..errors import BadInput
from ..training.model_files import ModelFiles
from ..wordpiece.vocabulary import Vocabulary
from .rows import Row

_DIGITS = 6
"""Decimal places of a probability that is told."""
_MLM, _NSP = "cls.predictions.bias", "cls.seq_relationship.weight"
_NEXT = ("next", "random")
"""The names of next-sentence labels 0 and 1."""

Answer = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """Some rows as the model reads them, and what is needed to tell of its answers."""

    rows: Sequence[Row]
    tokens: Tokens
    lengths: Tensor
    """(B,) int64"""
    vocabulary: Vocabulary
    top_k: int


@dataclass(frozen=True)
class Predictor:
    """How one question is answered."""

    build: Callable[[BertConfig, Precision, ModelFiles], nn.Module]
    """A network for the weights there are; raises `BadInput` where they can't answer."""
    answers: Callable[[nn.Module, Asked], list[Answer]]
    """What the network says of each row"""
    reads_masks: bool = False
    """Whether `[MASK]` in a text is a place to be filled"""


def _build_pretrained(needed: str, for_what: str) -> Callable[..., nn.Module]:
    def build(config: BertConfig, precision: Precision, files: ModelFiles) -> nn.Module:
        if needed not in files.weights:
            raise BadInput(
                f"{files.directory} has no head for {for_what}: it lacks {needed}.",
                hint="Take a pretrained model; fine-tuning leaves that head out.",
            )
        objective = "mlm+nsp" if _NSP in files.weights else "mlm"
        return BertForPreTraining(config, precision=precision, objective=objective)

    return build


def _fill(model: nn.Module, asked: Asked) -> list[Answer]:
    """Name the likeliest tokens for every `[MASK]`, in the order they stand."""
    assert isinstance(model, BertForPreTraining)
    places = [_own_rows(asked, number) for number in range(len(asked.rows))]
    # Where a text's rows lie is known on the CPU, and no tensor there is indexed by one on a GPU.
    is_mask = asked.tokens.input_ids.cpu() == asked.vocabulary.mask_id
    masked = [rows[is_mask[rows]] for rows in places]
    for row, each in zip(asked.rows, masked, strict=True):
        if not len(each):
            raise BadInput(
                f"{row.place}: there is no [MASK] to fill within its first tokens: "
                f"{row.text!r:.60}.",
                hint="Write [MASK] where a word is wanted. Other questions: --task next-sentence, "
                "--task embeddings.",
            )
    logits, _ = model.logits(asked.tokens, torch.cat(masked))
    # A table that was padded to a round size has rows that are no token.
    probabilities = logits[:, : len(asked.vocabulary)].softmax(dim=1)
    found = probabilities.topk(min(asked.top_k, len(asked.vocabulary)), dim=1)
    told = [
        [
            {"token": asked.vocabulary.tokens[id], "probability": round(probability, _DIGITS)}
            for id, probability in zip(ids, values, strict=True)
        ]
        for ids, values in zip(found.indices.tolist(), found.values.tolist(), strict=True)
    ]
    ends = torch.tensor([len(each) for each in masked]).cumsum(0).tolist()
    return [{"masks": told[end - len(each) : end]} for each, end in zip(masked, ends, strict=True)]


def _own_rows(asked: Asked, number: int) -> Tensor:
    start = int(asked.tokens.layout.starts[number])
    return torch.arange(start, start + int(asked.lengths[number]))


def _follow(model: nn.Module, asked: Asked) -> list[Answer]:
    """Tell how likely each second text follows the first (label 0)."""
    assert isinstance(model, BertForPreTraining)
    for row in asked.rows:
        if row.text_pair is None:
            raise BadInput(
                f"{row.place}: only one text; expected two, to tell whether one follows the other.",
                hint="Give the second with --text-pair, or its column with --text-pair-column.",
            )
    nothing = torch.empty(0, dtype=torch.int64)
    _, scores = model.logits(asked.tokens, nothing)
    assert scores is not None, "the head is there"
    return _named(scores.softmax(dim=1), _NEXT)


def _named(probabilities: Tensor, names: Sequence[str]) -> list[Answer]:
    """Name the likeliest of (B, C) probabilities, and all of them."""
    return [
        {
            "prediction": names[max(range(len(names)), key=each.__getitem__)],
            "probabilities": {
                name: round(probability, _DIGITS)
                for name, probability in zip(names, each, strict=True)
            },
        }
        for each in probabilities.tolist()
    ]


class _Encoder(nn.Module):
    """An encoder without any head, its parameters named as in every model."""

    def __init__(self, config: BertConfig, *, precision: Precision) -> None:
        super().__init__()
        self.bert = BertModel(config, precision=precision, pooler=False)


def _build_encoder(config: BertConfig, precision: Precision, files: ModelFiles) -> nn.Module:
    return _Encoder(config, precision=precision)


def _embed(model: nn.Module, asked: Asked) -> list[Answer]:
    """Return the last layer's [CLS], and its mean over all tokens, special ones included."""
    assert isinstance(model, _Encoder)
    hidden = model.bert(asked.tokens).float().cpu()
    rows = [_own_rows(asked, number) for number in range(len(asked.rows))]
    return [
        {"cls": hidden[each[0]].numpy(), "mean": hidden[each].mean(dim=0).numpy()} for each in rows
    ]


PREDICTORS: Mapping[str, Predictor] = {
    "fill-mask": Predictor(_build_pretrained(_MLM, "masked tokens"), _fill, reads_masks=True),
    "next-sentence": Predictor(_build_pretrained(_NSP, "next sentence"), _follow),
    "embeddings": Predictor(_build_encoder, _embed),
}
