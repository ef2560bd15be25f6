"""A finished run made longer: where its schedule allows that, and why where it doesn't."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from ...model.schedule import Schedule, agrees_until
from ..errors import OutputRefused
from ..stage.ownership import recipe_at
from ..stage.recipe import Recipe
from .plan import Plan

GROWABLE: Mapping[Schedule, tuple[str, ...]] = MappingProxyType(
    {"constant": ("steps",), "wsd": ("steps",)}
)
"""The settings that may be raised later, by schedule: what was trained stays part of the run."""
_LENGTH = {"--steps", "--warmup-steps"}


def growable(plan: Plan) -> tuple[str, ...]:
    """Return the settings that may be raised later; none of a curriculum, whose borders move."""
    if len(plan.lessons) > 1:
        return ()
    return GROWABLE.get(plan.request.training.schedule, ())


def may_keep_warmup(plan: Plan) -> bool:
    """Whether a run that is made longer keeps its warm-up: where no other is asked for.

    The share that is taken unless one is given would make it longer, too.
    """
    training = plan.request.training
    asked = training.warmup_steps is not None or training.warmup_proportion is not None
    return bool(growable(plan)) and not asked


def shared_steps(checkpoint_total: int, recipe: Recipe) -> int:
    """Return how many first steps of a run of `checkpoint_total` are this longer run's, too."""
    warmup = recipe.what["warmup_steps"]
    return agrees_until(
        checkpoint_total,
        recipe.what["steps"],
        old_warmup_steps=warmup,
        new_warmup_steps=warmup,
        schedule=recipe.what["schedule"],
    )


def departs_after(plan: Plan) -> int | None:
    """Return after which step a longer run would go another way, where that is before the end.

    The checkpoint after it is the one that a longer run goes on from.
    """
    if not growable(plan):
        return None
    shared = agrees_until(
        plan.total_steps,
        2 * plan.total_steps,
        old_warmup_steps=plan.warmup_steps,
        new_warmup_steps=plan.warmup_steps,
        schedule=plan.request.training.schedule,
    )
    return shared if 0 < shared < plan.total_steps else None


@contextmanager
def explaining_growth(recipe: Recipe, output: Path) -> Generator[None]:
    """Add to a refusal why what is in `output` can't be made longer, where that was asked for."""
    try:
        yield
    except OutputRefused as refused:
        standing = recipe_at(output)
        differences = () if standing is None else standing.differences(recipe)
        names = {each.name for each in differences}
        if standing is None or "--steps" not in names or not names <= _LENGTH:
            raise
        schedule = recipe.what["schedule"]
        if recipe.what["steps"] < standing.what["steps"]:
            why = "A run can't be made shorter; its checkpoints are what it was on the way."
        elif recipe.what["shares"] is not None:
            why = "The borders between several SHARDS would move: a longer run is another one."
        elif not recipe.growable:
            why = (
                f"With --schedule {schedule} every step's learning rate depends on how many there "
                "are: a longer run is another one from its first step. Only constant and wsd can "
                "be made longer."
            )
        else:
            why = (
                "Its warm-up would be another. To make it longer keep that: --warmup-steps "
                f"{standing.what['warmup_steps']}."
            )
        raise OutputRefused(f"{refused.message}\n{why}", hint=refused.hint) from refused
