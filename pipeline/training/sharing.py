"""One process's training state made everybody's: the others needn't see its checkpoints."""

from __future__ import annotations

import torch
from torch import Tensor

from ...model.optimiser import kept_where
from .loop import TrainingState
from .team import Team


def share_state(state: TrainingState, team: Team) -> None:
    """Give every process of the team what the first one has, to the bit."""
    if team.is_alone:
        return
    state.step, state.progress = team.tell((state.step, state.progress))
    team.share(each.detach() for each in state.model.state_dict().values())
    owned = [(each, group) for group in state.optimizer.param_groups for each in group["params"]]
    known = [state.optimizer.state.get(each, {}) for each, _ in owned]
    # Counters are small and stay on the processor: they are told, not broadcast.
    counters = team.tell([{k: v.cpu() for k, v in each.items() if v.ndim == 0} for each in known])
    names = team.tell([[k for k, v in each.items() if v.ndim > 0] for each in known])
    for (parameter, group), counter, moments in zip(owned, counters, names, strict=True):
        if not counter and not moments:
            continue
        own: dict[str, Tensor] = state.optimizer.state.setdefault(parameter, {})
        for name, value in counter.items():
            own.setdefault(name, kept_where(value, parameter, group))
        for name in moments:
            own.setdefault(name, torch.empty_like(parameter))
        team.share(own[name] for name in moments)
