"""Any task over a mix of all layers: another model, whose head has other names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor, nn

from ....model.config import BertConfig
from ....model.dropout import DropoutKey
from ....model.mixing import BertForMixedFeatures
from ....model.precision import Precision
from ....model.tokens import Tokens
from ..architectures import architecture_with
from .task import State, Task

_HEAD = "mix."
_CLASSIFIER = "mix.classifier."


def mixed(task: Task, *, num_outputs: int, reads_tokens: bool, is_flat: bool) -> Task:
    """Return the task with its head on the mix instead of the last layer (and the pooler).

    `num_outputs`: of the head for each sequence or token; `is_flat`: the task has one, and wants it
    without a dimension of its own.
    """

    def build(config: BertConfig, precision: Precision) -> BertForMixedFeatures:
        return BertForMixedFeatures(
            config,
            num_outputs=num_outputs,
            reads="tokens" if reads_tokens else "sequences",
            precision=precision,
        )

    def scores(model: nn.Module, tokens: Tokens, key: DropoutKey | None) -> Tensor:
        outputs: Tensor = model(tokens, key)
        return outputs.squeeze(-1) if is_flat else outputs

    return replace(
        task,
        architecture=architecture_with(task.architecture, "mix"),
        head=_HEAD,
        build=build,
        scores=scores,
        as_kept=_renamed(task.as_kept, task.head),
        as_trained=_renamed(task.as_trained, task.head),
    )


def _renamed(change: Callable[[State], State], head: str) -> Callable[[State], State]:
    """Return a change of a head's weights for a head of the other names."""

    def changed(state: State) -> State:
        plain = {name.replace(_CLASSIFIER, head, 1): each for name, each in state.items()}
        return {
            _CLASSIFIER + name.removeprefix(head) if name.startswith(head) else name: each
            for name, each in change(plain).items()
        }

    return changed
