"""All runs that are asked for, and which of them is best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from ..stage.engine import Site
from .attempts import Attempt, cells, final_runs, runs_of
from .kept import fault_of_model, forget_attempt, keep_only
from .plan import Plan
from .results import best_place, best_run, deviation_of, mean_of
from .seed_run import run_attempt

Taken = tuple[Attempt, Mapping[str, Any]]
"""A run and what it came to"""


@dataclass(frozen=True)
class Outcome:
    """What the runs came to."""

    grid: Sequence[Sequence[Taken]]
    """The runs of each cell; one cell where there is no grid"""
    validated: Sequence[Taken]
    """Those of the best cell"""
    final: Sequence[Taken]
    """Those whose models may be taken: the same, or after folds those over all rows"""
    best: Taken

    def table(self) -> list[dict[str, Any]]:
        """Return a line for each cell of the grid."""
        return [
            {
                **{
                    name: getattr(cell[0][0].settings, name)
                    for name in ("batch_size", "learning_rate", "epochs")
                },
                "mean": mean_of(results_of(cell), "validation"),
                "sd": deviation_of(results_of(cell), "validation"),
                "is_best": cell is self.validated,
            }
            for cell in self.grid
        ]


def results_of(runs: Sequence[Taken]) -> list[Mapping[str, Any]]:
    """Return what runs came to."""
    return [result for _, result in runs]


def take_runs(site: Site, plan: Plan) -> Outcome:
    """Take every run that isn't done, and choose; a best model that is damaged is made again."""
    outcome = _take_all(site, plan)
    attempt, result = outcome.best
    if fault := fault_of_model(site, attempt, result):
        site.reporter.warn(
            f"The best model so far, of seed {attempt.seed}, is damaged ({fault}): that seed is "
            "trained again."
        )
        forget_attempt(site, attempt)
        outcome = _take_all(site, plan)
    return outcome


def _take_all(site: Site, plan: Plan) -> Outcome:
    settings, by = plan.request.settings, plan.task.best_by
    every = [runs_of(cell) for cell in cells(settings)]
    total = sum(map(len, every))
    grid: list[list[Taken]] = []
    for attempts in every:
        grid.append([])
        for attempt in attempts:
            phase = _phase(attempt, sum(map(len, grid)) + 1, total)
            grid[-1].append((attempt, run_attempt(site, plan, attempt, phase=phase).result))
            _keep_best(site, grid, is_whole=len(grid[-1]) == len(attempts), by=by)
    validated = grid[_best_cell(grid, by)]
    final: Sequence[Taken] = validated
    if settings.folds is not None:
        final = _take_final(site, plan, validated)
    return Outcome(grid, validated, final, final[best_run(results_of(final), by)])


def _take_final(site: Site, plan: Plan, validated: Sequence[Taken]) -> list[Taken]:
    """Train on all rows for as many epochs as were best on average."""
    final: list[Taken] = []
    results = results_of(validated)
    attempts = final_runs(validated[0][0], mean_best_epoch(results), mean_tuned(results))
    for number, attempt in enumerate(attempts, start=1):
        phase = f"finetune on all rows, run {number} of {len(attempts)}"
        final.append((attempt, run_attempt(site, plan, attempt, phase=phase).result))
        keep_only(site, [each for each, _ in final], {final[0][0].name: final[0][1]})
    return final


def mean_best_epoch(results: Sequence[Mapping[str, Any]]) -> int:
    """Return which epoch was best on average over runs."""
    return round(fmean(result["best_epoch"] for result in results))


def mean_tuned(results: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the mean of what runs settled, each on its own rows."""
    names = {name for result in results for name in result["tuned"]}
    return {
        name: fmean(each["tuned"][name] for each in results if name in each["tuned"])
        for name in names
    }


def _phase(attempt: Attempt, number: int, total: int) -> str:
    if total == 1:
        return "finetune"
    what = "run" if attempt.cell or attempt.fold is not None else "seed"
    return f"finetune, {what} {number} of {total}"


def _best_cell(grid: Sequence[Sequence[Taken]], by: str) -> int:
    return best_place([mean_of(results_of(cell), "validation") for cell in grid], by)


def _keep_best(site: Site, grid: Sequence[Sequence[Taken]], *, is_whole: bool, by: str) -> None:
    """Keep the best model of the best cell so far, and of the one that isn't whole yet."""
    done = [each for cell in grid for each in cell]
    whole = grid if is_whole else grid[:-1]
    candidates = [] if is_whole else [grid[-1]]
    if whole:
        candidates.append(whole[_best_cell(whole, by)])
    kept = [cell[best_run(results_of(cell), by)] for cell in candidates]
    keep_only(
        site,
        [attempt for attempt, _ in done],
        # After folds it is another run whose model is taken.
        {attempt.name: result for attempt, result in kept if attempt.fold is None},
    )
