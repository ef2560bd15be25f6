"""How many instances a GPU can compute at once: found by trying the largest batch there can be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from ...model.dropout import DropoutKey
from ...model.tokens import pack_causal_batch, pack_pretraining_batch
from ..errors import WorkFailed
from ..training.loop import TrainingState
from ..training.machine import Machine
from ..training.team import Team
from .course import has_pairs
from .plan import Plan

_MASKED = 0.15


def fitted(machine: Machine, plan: Plan, state: TrainingState, team: Team) -> Machine:
    """Return the machine with micro-batches that fit its memory, the same for the whole team.

    A processor's memory is no such limit: the system takes from others what it doesn't have.

    Raises:
        WorkFailed: not even the smallest fits.
    """
    if machine.tokens_at_once is None or machine.device.type == "cpu":
        return machine
    # They are there after a resume, too: a run that goes on finds the same micro-batch.
    state.optimizer.reserve()
    return largest_that_fits(
        machine,
        lambda tried: bool(team.smallest(int(_fits(tried, plan, state)))),
        longest=plan.longest,
    )


def largest_that_fits(
    machine: Machine, fits: Callable[[Machine], bool], *, longest: int
) -> Machine:
    """Halve what is computed at once until it fits."""
    while not fits(machine):
        assert machine.tokens_at_once is not None
        tokens = machine.tokens_at_once // 2
        if tokens < longest:
            raise WorkFailed(
                f"Not even one instance of {longest} tokens fits the memory of this device.",
                hint="Take a smaller --model, or shards of a smaller --max-seq-length.",
            )
        machine = replace(
            machine, tokens_at_once=tokens, micro_batch_size=max(1, tokens // longest)
        )
    return machine


def _fits(machine: Machine, plan: Plan, state: TrainingState) -> bool:
    """Tell whether forward and backward of the fullest micro-batch succeed."""
    count = machine.instances_at_once(plan.longest, plan.request.training.batch_size)
    lengths = torch.full((count,), plan.longest)
    input_ids = torch.full((count * plan.longest,), plan.config.pad_token_id)
    if plan.objective == "causal":
        batch = pack_causal_batch(input_ids, lengths, None)
    else:
        masked = max(1, round(_MASKED * plan.longest))
        batch = pack_pretraining_batch(
            input_ids,
            lengths,
            None,
            masked_lm_positions=torch.arange(masked).repeat(count),
            masked_lm_ids=torch.zeros(masked * count, dtype=torch.int64),
            num_masked=torch.full((count,), masked),
            next_sentence_labels=torch.zeros_like(lengths) if has_pairs(plan.objective) else None,
        )
    state.model.train()
    try:
        sums = state.model(batch.to(machine.device), DropoutKey(0, 0, 0))
        (sums.mlm_loss_sum + sums.nsp_loss_sum).backward()
    except torch.OutOfMemoryError:
        return False
    finally:
        state.optimizer.zero_grad()
        if machine.device.type == "cuda":
            torch.cuda.empty_cache()
    return True
