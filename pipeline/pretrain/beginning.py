"""The state that a run begins with: random weights, somebody's, or its own last checkpoint."""

from __future__ import annotations

from ...model.compiling import compile_layers
from ...model.config import BertConfig
from ...model.optimiser import adamw, lamb
from ...model.pretraining import BertForPreTraining
from ...model.weights import initialise
from ..stage.engine import Site
from ..stage.report import Reporter
from ..training.checkpoint import latest_checkpoint
from ..training.loop import TrainingState
from ..training.machine import Machine
from ..training.model_files import load_weights, read_model
from .growing import shared_steps
from .plan import Plan

_OPTIMIZERS = {"adamw": adamw, "lamb": lamb}
_HEADS = {
    "cls.predictions.": "head for masked tokens",
    "cls.seq_relationship.": "next-sentence head",
    "bert.pooler.": "pooler",
}


def empty_state(plan: Plan, machine: Machine) -> TrainingState:
    """Build model and optimizer; the weights are zero until somebody sets them."""
    model = BertForPreTraining(
        plan.config, precision=machine.precision, objective=plan.objective
    ).to(machine.device)
    if machine.compiled:
        compile_layers(model)
    settings = plan.request.training
    optimizer = _OPTIMIZERS[settings.optimizer](
        model, learning_rate=settings.learning_rate, weight_decay=settings.weight_decay
    )
    return TrainingState(model, optimizer)


def begin(site: Site, plan: Plan, machine: Machine) -> TrainingState:
    """Return the state after the last step that is kept, or before the first.

    Raises:
        BadInput: the weights to start from are damaged or aren't what their configuration says.
    """
    state = empty_state(plan, machine)
    checkpoint = latest_checkpoint(
        site.directory,
        site.reporter,
        # A run that was shorter went its own way after these: its rates were others.
        usable=lambda each: each.step <= shared_steps(each.progress["steps"], site.recipe),
    )
    if checkpoint is None:
        _first_weights(state, plan, site.reporter)
    else:
        checkpoint.restore(state.model, state.optimizer)
        state.step, state.progress = checkpoint.step, dict(checkpoint.progress)
    state.progress["steps"] = plan.total_steps
    return state


def _first_weights(state: TrainingState, plan: Plan, reporter: Reporter) -> None:
    config: BertConfig = plan.config
    initialise(state.model, config, seed=plan.request.training.seed)
    if plan.start is None or plan.start.directory is None:
        return
    files = read_model(plan.start.directory)
    load_weights(state.model, files, may_be_missing=tuple(_HEADS))
    for prefix, name in _HEADS.items():
        own = [each for each in state.model.state_dict() if each.startswith(prefix)]
        if own and not any(each in files.weights for each in own):
            reporter.notice(f"{plan.start.directory} has no {name}: that one begins at random.")
