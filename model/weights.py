"""Where a model's parameters come from: drawn from a seed, or somebody's state dict."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .config import BertConfig


@torch.no_grad()
def initialise(model: nn.Module, config: BertConfig, *, seed: int) -> None:
    """Draw weights from a normal distribution (Devlin et al. 2018; std `initializer_range`).

    Biases and the padding token's embedding are 0, normalisations the identity, and a mix of layers
    is of equal shares. Each parameter has a stream of its own, named by it: the encoder under any
    head begins with the same weights, on any device.
    """
    for name, parameter in model.named_parameters():
        if name.endswith(("bias", "mix.layer_weights")):
            parameter.zero_()
        elif name.endswith(("LayerNorm.weight", "mix.gamma")):
            parameter.fill_(1)
        else:
            digest = hashlib.blake2b(f"{seed} {name}".encode(), digest_size=8).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(digest, "little"))
            drawn = torch.empty(parameter.shape, dtype=torch.float32)
            drawn.normal_(0, config.initializer_range, generator=generator)
            if name.endswith("word_embeddings.weight"):
                drawn[config.pad_token_id] = 0
            parameter.copy_(drawn)


def canonical_state_dict(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return somebody's BERT weights under today's names, so that loading can be strict.

    Old names of normalisations (gamma, beta) become weight and bias, a bare encoder gets its
    `bert.` prefix, and what isn't a parameter of its own is left out: position_ids, and a decoder
    that repeats the word embeddings. `ValueError` where a decoder says something else than they.
    """
    renamed = {_current_name(name): tensor for name, tensor in state.items()}
    if not any(name.startswith("bert.") for name in renamed):
        renamed = {
            f"bert.{name}" if name.startswith(_ENCODER_PARTS) else name: tensor
            for name, tensor in renamed.items()
        }
    for repeated, own in _TIED.items():
        if repeated in renamed and own in renamed:
            if not torch.equal(renamed[repeated], renamed[own]):
                raise ValueError(f"{repeated} differs from {own}: this model's weights aren't tied")
            del renamed[repeated]
        elif repeated in renamed:
            renamed[own] = renamed.pop(repeated)
    return {name: tensor for name, tensor in renamed.items() if not name.endswith(_BUFFERS)}


_ENCODER_PARTS = ("embeddings.", "encoder.", "pooler.")
_BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")
_TIED = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}


def _current_name(name: str) -> str:
    name = re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", name)
    return re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", name)
