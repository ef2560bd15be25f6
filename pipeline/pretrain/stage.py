"""`bertctl pretrain`: shards turned into an encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...model.config import BertConfig
from ..errors import BertctlError
from ..stage.engine import Completion, Finished, Site, complete, look
from ..stage.ownership import recipe_at, refused_if_unusable
from ..stage.recipe import Recipe, resolved
from ..stage.report import Reporter
from ..training.model_layout import CHECKPOINT_FILES, MODEL, MODEL_FILES
from .growing import explaining_growth, growable, may_keep_warmup
from .plan import Plan, plan_of
from .request import PretrainRequest

if TYPE_CHECKING:
    from ..training.team import Meeting

STAGE = "pretrain"
FORMAT_VERSION = 2
_OWNS = (
    *(f"{MODEL}/{name}" for name in MODEL_FILES),
    *CHECKPOINT_FILES,
    "log/metrics.jsonl",
    "log/checked.json",
    "log/tensorboard/events.out.tfevents.*",
)
_SETTLED = ("steps", "epochs", "warmup_proportion", "warmup_steps", "objective", "shares")
"""Settings that the recipe holds as what became of them."""


def pretrain(
    request: PretrainRequest, output: Path, *, reporter: Reporter, force: bool = False
) -> Completion | None:
    """Bring `output` to the model that `request` describes, going on where a run stopped.

    Of several processes that train together, all call this alike; only the first one looks at
    `output`, and the others return None.

    Raises:
        BadInput: a setting can't be used, or the shards aren't finished, damaged, or don't fit.
        OutputRefused: `output` isn't ours, is in use or was made by another recipe.
        Stopped: someone asked for it; its last step is kept.
        WorkFailed: the loss is no number, memory is too small, or another process is gone.
    """
    if request.place.size == 1:
        return _complete(request, output, reporter=reporter, force=force, meeting=None)
    # Importing torch to be told that there's nothing to do is the price of being several.
    from ..training.team import Meeting, leave

    meeting = Meeting(request.place)
    try:
        if not request.place.leads:
            return _follow(request, meeting)
        try:
            return _complete(request, output, reporter=reporter, force=force, meeting=meeting)
        finally:
            meeting.dismiss()
    finally:
        leave()


def look_at(request: PretrainRequest, output: Path, *, force: bool = False) -> Completion | None:
    """Return the output if it is complete; None where there is work to do, which can begin.

    Raises:
        BadInput, OutputRefused: as `pretrain`, before anything heavy is loaded.
    """
    recipe = recipe_of(_plan_for(request, output, force=force))
    with explaining_growth(recipe, output):
        return look(recipe, output, reads=_reads(request), force=force)


def recipe_of(plan: Plan) -> Recipe:
    """Return what decides the weights."""
    settings = resolved(plan.request.training)
    what = {name: value for name, value in settings.items() if name not in _SETTLED}
    several = len(plan.lessons) > 1
    earlier = {
        f"shards {number}" if several else "shards": lesson.stage.manifest.fingerprint
        for number, lesson in enumerate(plan.lessons, 1)
    }
    if plan.start is not None:
        earlier["init"] = plan.start.fingerprint
    return Recipe(
        stage=STAGE,
        format_version=FORMAT_VERSION,
        what={
            "steps": plan.total_steps,
            "warmup_steps": plan.warmup_steps,
            "objective": plan.objective,
            "shares": list(plan.shares) if several else None,
            **what,
            **asdict(plan.config),
        },
        earlier=earlier,
        numerics=resolved(plan.request.numerics, plan.request.processes),
        owns=_OWNS,
        growable=growable(plan),
    )


def _plan_for(request: PretrainRequest, output: Path, *, force: bool) -> Plan:
    """Settle a request; a run that it makes longer keeps its warm-up unless another is asked for.

    A run that was made longer is up to date for the same reason.
    """
    plan = plan_of(request)
    with refused_if_unusable(output):
        standing = None if force else recipe_at(output)
    if standing is None or not may_keep_warmup(plan):
        return plan
    kept = replace(plan, warmup_steps=standing.what.get("warmup_steps", plan.warmup_steps))
    recipe = recipe_of(kept)
    return kept if standing.grows_into(recipe) or not standing.differences(recipe) else plan


def _complete(
    request: PretrainRequest,
    output: Path,
    *,
    reporter: Reporter,
    force: bool,
    meeting: Meeting | None,
) -> Completion:
    plan = _plan_for(request, output, force=force)
    recipe = recipe_of(plan)
    with explaining_growth(recipe, output):
        return complete(
            recipe,
            output,
            partial(_work, plan=plan, meeting=meeting),
            reporter=reporter,
            reads=_reads(request),
            force=force,
        )


def _reads(request: PretrainRequest) -> list[Path]:
    return [*request.shards, *([] if request.init is None else [request.init])]


def _work(site: Site, plan: Plan, meeting: Meeting | None) -> Finished:
    if plan.request.config is not None:
        _tell_unused(site.reporter, plan.request.config, plan.config)
    # torch takes a second to import: only a run that has work to do pays for it.
    from .run import run

    return run(site, plan, meeting)


def _follow(request: PretrainRequest, meeting: Meeting) -> None:
    """Train along with the first process, if it finds that there is something to do."""
    try:
        plan = plan_of(request)
    except BertctlError:
        # What is wrong is wrong for the first one too, which says so; unless it calls to work.
        if meeting.is_called():
            raise
        return
    if meeting.is_called():
        from .run import follow

        follow(plan, meeting)


def _tell_unused(reporter: Reporter, given: Mapping[str, Any], config: BertConfig) -> None:
    """Say what of a configuration file has no part in the model that is built."""
    for name in ("vocab_size", "pad_token_id"):
        if name in given and given[name] != getattr(config, name):
            reporter.notice(
                f"--config says {name} {given[name]}; the shards' vocabulary has "
                f"{getattr(config, name)}, which is taken."
            )
    if unknown := BertConfig.unknown_keys(given):
        reporter.warn(
            f"--config holds {', '.join(unknown)}: no setting of this model, left aside. Check the "
            "spelling."
        )
