"""What the first process knows of a training becomes everybody's, whatever they knew before."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from bertctl.model.optimiser import adamw, lamb
from bertctl.pipeline.training.loop import TrainingState
from bertctl.pipeline.training.place import Place
from bertctl.pipeline.training.sharing import share_state
from bertctl.pipeline.training.team import Team


@dataclass(frozen=True)
class Relayed(Team):
    """Hands what the first process said and shared to one that does the same after it."""

    said: list[Any] = field(default_factory=list[Any])

    def tell(self, value: Any) -> Any:
        if self.place.leads:
            self.said.append(value)
            return value
        return self.said.pop(0)

    def share(self, tensors: Iterable[Tensor]) -> None:
        for each in tensors:
            each.copy_(self.tell(each.clone()))


def _state(optimizer: Any, *, steps: int, seed: int) -> TrainingState:
    torch.manual_seed(seed)
    model = torch.nn.Linear(3, 5)
    made = optimizer(model, learning_rate=0.1, weight_decay=0.01)
    for _ in range(steps):
        made.zero_grad()
        model(torch.randn(7, 3)).square().sum().backward()
        made.step()
    return TrainingState(model, made, steps, {"steps": 9})


@pytest.mark.parametrize("optimizer", [adamw, lamb])
@pytest.mark.parametrize("steps", [0, 2])
def test_process_that_knows_nothing_has_weights_and_moments_of_the_first_one(
    optimizer: Any, steps: int
) -> None:
    said: list[Any] = []
    first, other = _state(optimizer, steps=steps, seed=1), _state(optimizer, steps=0, seed=2)
    for rank, state in enumerate((first, other)):
        share_state(state, Relayed(Place(rank=rank, size=2), said=said))
    assert (other.step, other.progress) == (steps, {"steps": 9})
    states = [list(each.optimizer.state.values()) for each in (first, other)]
    assert len(states[1]) == (2 if steps else 0)
    for mine, theirs in zip(*states, strict=True):
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    for mine, theirs in zip(first.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)
