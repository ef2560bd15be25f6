"""What a configuration says of a BERT's weights: every name and shape, written down anew.

H hidden, I intermediate, V vocabulary, P positions, S segment types, L labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Shape = tuple[int, ...]

WORDS = "bert.embeddings.word_embeddings.weight"
POSITIONS = "bert.embeddings.position_embeddings.weight"
TIED = {
    "cls.predictions.decoder.weight": WORDS,
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}
"""Weights that are stored twice or once; the second name is the one that counts."""

ARCHITECTURES = {
    "BertForPreTraining": ("pooler", "predictions", "next sentence"),
    "BertForMaskedLM": ("predictions",),
    "BertLMHeadModel": ("predictions",),
    "BertModel": ("pooler",),
    "BertForSequenceClassification": ("pooler", "labels"),
    "BertForMultipleChoice": ("pooler", "one score"),
    "BertForTokenClassification": ("labels",),
    "BertForQuestionAnswering": ("answers",),
    "BertMixForSequenceClassification": ("mix", "mixed labels"),
    "BertMixForMultipleChoice": ("mix", "mixed score"),
    "BertMixForTokenClassification": ("mix", "mixed labels"),
    "BertMixForQuestionAnswering": ("mix", "mixed answers"),
}
"""Class of transformers, or of ours over a mix of layers → what it has beside the encoder."""


def expected_weights(config: Mapping[str, Any], architecture: str) -> dict[str, Shape]:
    """Return the shape of every weight, by its name; those that are tied by one name."""
    parts = ARCHITECTURES[architecture]
    weights = dict(_embeddings(config))
    for layer in range(config["num_hidden_layers"]):
        weights.update(_layer(config, f"bert.encoder.layer.{layer}"))
    for part in parts:
        weights.update(_part(config, part))
    return weights


def _embeddings(config: Mapping[str, Any]) -> Iterator[tuple[str, Shape]]:
    hidden = config["hidden_size"]
    for name, count in (
        ("word", config["vocab_size"]),
        ("position", config["max_position_embeddings"]),
        ("token_type", config["type_vocab_size"]),
    ):
        yield f"bert.embeddings.{name}_embeddings.weight", (count, hidden)
    yield from _norm("bert.embeddings.LayerNorm", hidden)


def _layer(config: Mapping[str, Any], name: str) -> Iterator[tuple[str, Shape]]:
    hidden, wide = config["hidden_size"], config["intermediate_size"]
    for each in ("query", "key", "value"):
        yield from _affine(f"{name}.attention.self.{each}", hidden, hidden)
    yield from _affine(f"{name}.attention.output.dense", hidden, hidden)
    yield from _norm(f"{name}.attention.output.LayerNorm", hidden)
    yield from _affine(f"{name}.intermediate.dense", hidden, wide)
    yield from _affine(f"{name}.output.dense", wide, hidden)
    yield from _norm(f"{name}.output.LayerNorm", hidden)


def _part(config: Mapping[str, Any], part: str) -> Iterator[tuple[str, Shape]]:
    hidden = config["hidden_size"]
    match part:
        case "pooler":
            yield from _affine("bert.pooler.dense", hidden, hidden)
        case "predictions":
            yield "cls.predictions.bias", (config["vocab_size"],)
            yield from _affine("cls.predictions.transform.dense", hidden, hidden)
            yield from _norm("cls.predictions.transform.LayerNorm", hidden)
        case "next sentence":
            yield from _affine("cls.seq_relationship", hidden, 2)
        case "labels":
            yield from _affine("classifier", hidden, num_labels(config))
        case "one score":
            yield from _affine("classifier", hidden, 1)
        case "answers":
            yield from _affine("qa_outputs", hidden, 2)
        case "mix":
            yield "mix.layer_weights", (config["num_hidden_layers"] + 1,)
            yield "mix.gamma", ()
        case "mixed labels":
            yield from _affine("mix.classifier", hidden, num_labels(config))
        case "mixed score":
            yield from _affine("mix.classifier", hidden, 1)
        case "mixed answers":
            yield from _affine("mix.classifier", hidden, 2)
        case _:
            raise AssertionError(part)


def num_labels(config: Mapping[str, Any]) -> int:
    """Return how many labels a classifier tells apart: two where nothing is said."""
    return len(config.get("id2label") or "  ")


def _affine(name: str, in_features: int, out_features: int) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (out_features, in_features)
    yield f"{name}.bias", (out_features,)


def _norm(name: str, hidden: int) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (hidden,)
    yield f"{name}.bias", (hidden,)


def current_name(name: str) -> str:
    """Return a weight's name as it is written today, whoever wrote it."""
    for old, new in (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")):
        name = name.removesuffix(old) + new if name.endswith(old) else name
    return f"bert.{name}" if name.startswith(("embeddings.", "encoder.", "pooler.")) else name
