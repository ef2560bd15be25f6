"""What a BERT is: the numbers that fix its computation, under Hugging Face's names.

Nothing heavy is imported here: the command line reads sizes and checks settings without torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal, TypeGuard, get_args

Objective = Literal["mlm+nsp", "mlm", "mlm+sop", "causal"]
"""What a model is pretrained on: masked tokens, alone or with next sentence or sentence order, or
the next token from those before it (the ablations of Devlin et al. 2018, 5.1)."""

ARCHITECTURES: Mapping[Objective, str] = MappingProxyType(
    {
        "mlm+nsp": "BertForPreTraining",
        "mlm": "BertForMaskedLM",
        "mlm+sop": "BertForPreTraining",
        "causal": "BertLMHeadModel",
    }
)
"""The class of transformers that computes what a model trained on each objective does."""

HiddenAct = Literal["gelu", "gelu_new", "gelu_pytorch_tanh", "relu"]
"""`gelu` is exact (erf), `gelu_new` and `gelu_pytorch_tanh` its tanh approximation: what
google-research/bert's own code computes where its files say `gelu`, and no released model needs."""


PositionEmbeddingType = Literal["absolute", "sinusoidal"]
"""`absolute` is learned, as in every released BERT; `sinusoidal` a fixed table (Vaswani et al.
2017, 3.5)."""


@dataclass(frozen=True, kw_only=True)
class BertConfig:
    """The shape of a BERT and its dropout; the defaults are google-research/bert's base model.

    Raises `ValueError`, naming the field, where the numbers can't make a model.
    """

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: HiddenAct = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    classifier_dropout: float | None = None
    """Dropout before a fine-tuning head; `None` is `hidden_dropout_prob`."""
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int = 0
    position_embedding_type: PositionEmbeddingType = "absolute"
    is_decoder: bool = False
    """No token attends to a later one."""

    def __post_init__(self) -> None:
        for name in _SIZES:
            _require_whole_number(name, getattr(self, name), minimum=1)
        _require_whole_number("pad_token_id", self.pad_token_id, minimum=0)
        for name in _PROBABILITIES:
            _require_probability(name, getattr(self, name))
        if self.classifier_dropout is not None:
            _require_probability("classifier_dropout", self.classifier_dropout)
        for name in ("initializer_range", "layer_norm_eps"):
            if not _is_number(getattr(self, name)) or getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)!r}")
        if self.hidden_act not in get_args(HiddenAct):
            raise ValueError(
                f"hidden_act {self.hidden_act!r} is not known; known are "
                + ", ".join(get_args(HiddenAct))
            )
        if self.position_embedding_type not in get_args(PositionEmbeddingType):
            raise ValueError(
                f"position_embedding_type {self.position_embedding_type!r} is not known; known are "
                + ", ".join(get_args(PositionEmbeddingType))
            )
        _require_flag("is_decoder", self.is_decoder)
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of num_attention_heads "
                f"{self.num_attention_heads}"
            )
        if self.pad_token_id >= self.vocab_size:
            raise ValueError(
                f"pad_token_id {self.pad_token_id} is outside the vocabulary of {self.vocab_size}"
            )

    @property
    def attention_head_size(self) -> int:
        """The width of one attention head."""
        return self.hidden_size // self.num_attention_heads

    def to_dict(self) -> dict[str, Any]:
        """Return the content of a Hugging Face `config.json`.

        A sinusoidal table stands among the weights, where transformers looks positions up as long
        as it is told `absolute`: what kind of table it is stands in a key of its own.
        """
        content = {"model_type": "bert", "tie_word_embeddings": True, **dataclasses.asdict(self)}
        if self.position_embedding_type == "sinusoidal":
            content |= {"position_embedding_type": "absolute", _SINUSOIDAL: True}
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> BertConfig:
        """Read the content of a Hugging Face `config.json` or of Google's `bert_config.json`.

        Keys that describe something else (labels, versions) are left aside; one that would change
        the computation into something this model does not do raises `ValueError`.
        """
        for name, accepted in _ONLY.items():
            if name in content and content[name] not in accepted:
                raise ValueError(
                    f"{name} is {content[name]!r}: such a model computes something else than BERT; "
                    f"only {accepted[0]!r} is supported"
                )
        fields = _field_names(cls)
        known = {name: value for name, value in content.items() if name in fields}
        if content.get(_SINUSOIDAL):
            known["position_embedding_type"] = "sinusoidal"
        return cls(**known)

    @classmethod
    def unknown_keys(cls, content: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the keys of a configuration file that neither this class nor its makers know."""
        known = _field_names(cls) | _ONLY.keys() | _ABOUT_ELSE | {_SINUSOIDAL}
        return tuple(name for name in content if name not in known)


def _field_names(kind: type[BertConfig]) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}


_SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
)
_SINUSOIDAL = "sinusoidal_pos_embds"
"""What Hugging Face's DistilBERT, which has such tables, calls this."""

_PROBABILITIES = ("hidden_dropout_prob", "attention_probs_dropout_prob")

_ONLY: Mapping[str, tuple[object, ...]] = MappingProxyType(
    {
        "model_type": ("bert",),
        "tie_word_embeddings": (True,),
        "is_encoder_decoder": (False,),
        "add_cross_attention": (False,),
        "pruned_heads": ({}, None),
        "quantization_config": (None,),
    }
)
"""Keys of a `config.json` without a field here, and the values under which they change nothing."""

_ABOUT_ELSE = frozenset(
    "_name_or_path architectures bos_token_id chunk_size_feed_forward directionality dtype "
    "eos_token_id finetuning_task gradient_checkpointing id2label label2id language name_or_path "
    "num_labels output_attentions output_hidden_states problem_type return_dict sep_token_id "
    "torch_dtype torchscript transformers_version use_cache".split()
)
"""Keys of a `config.json` that say nothing of the computation: labels, versions, what is cached."""


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _require_flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false, not {value!r}")


def _require_whole_number(name: str, value: object, *, minimum: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
        raise ValueError(f"{name} must be a whole number of at least {minimum}, not {value!r}")


def _require_probability(name: str, value: object) -> None:
    if not _is_number(value) or not 0 <= value <= 0.99:
        raise ValueError(f"{name} must be between 0 and 0.99, not {value!r}")


def _of_size(num_hidden_layers: int, hidden_size: int) -> BertConfig:
    """All of Google's sizes have heads of 64 and an intermediate layer four times as wide."""
    return replace(
        BertConfig(),
        num_hidden_layers=num_hidden_layers,
        hidden_size=hidden_size,
        num_attention_heads=hidden_size // 64,
        intermediate_size=4 * hidden_size,
    )


SIZES: Mapping[str, BertConfig] = MappingProxyType(
    {
        "tiny": _of_size(2, 128),
        "mini": _of_size(4, 256),
        "small": _of_size(4, 512),
        "medium": _of_size(8, 512),
        "base": _of_size(12, 768),
        "large": _of_size(24, 1024),
    }
)
"""google-research/bert's sizes by name; `dataclasses.replace` sets the vocabulary of one's own."""
