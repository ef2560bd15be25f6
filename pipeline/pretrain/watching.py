"""What is kept and shown of a run's figures: log, curves, the live line, and how it went."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..training.curves import Curves
from ..training.log import MetricsLog
from ..training.loop import Figures, TrainingState
from .health import diagnose
from .held_out import HeldOut

_CURVES = ("loss", "mlm_loss", "mlm_accuracy", "nsp_loss", "nsp_accuracy", "learning_rate")
_REMEMBERED = ("first", "best", "last")
"""Evaluations of a lesson that are kept for what is said at the end"""


class Watch:
    """Writes a run's figures beside its output, and remembers what is said of it at the end."""

    def __init__(
        self, directory: Path, *, done: int, log_every: int, peak: float, has_pairs: bool
    ) -> None:
        """`done`: steps before this process; `peak`: FLOP/s of all processes together."""
        self._log = MetricsLog(directory / "log" / "metrics.jsonl")
        self._log.forget_after(done)
        self._curves = Curves(directory / "log" / "tensorboard", done=done)
        self._log_every = log_every
        self._peak = peak
        self._has_pairs = has_pairs

    def after_step(self, state: TrainingState, figures: Figures) -> None:
        """Write down a step's figures, if it is time."""
        if state.step != 1 and state.step % self._log_every:
            return
        speed = figures["tokens"] / figures["seconds"]
        of_peak = self._share_of_peak(figures)
        kept = {name: value for name, value in figures.items() if name != "flops"}
        rates = {"tokens_per_second": speed}
        if of_peak is not None:
            rates["share_of_peak"] = of_peak
        self._log.write({"step": state.step, **kept, **rates})
        shown = {name: figures[name] for name in _CURVES if self._counts(name)}
        norm = {"gradient_norm": figures["gradient_norm"]}
        self._curves.write("train", state.step, {**shown, **norm, **rates})

    def after_evaluation(self, state: TrainingState, measured: Mapping[str, float]) -> None:
        """Write down what was measured, and remember the first, the best and the last."""
        entry = {"step": state.step, **measured}
        state.progress["first"] = state.progress.get("first") or entry
        best = state.progress.get("best")
        if best is None or entry["mlm_loss"] < best["mlm_loss"]:
            state.progress["best"] = entry
        state.progress["last"] = entry
        self._log.write({"step": state.step, "validation": dict(measured)})
        self._curves.write("held-out", state.step, measured)

    def shown(self, figures: Figures) -> dict[str, float | str]:
        """Return what people watch of a step."""
        nsp = {"NSP": f"{figures['nsp_accuracy']:.0%}"} if self._has_pairs else {}
        of_peak = self._share_of_peak(figures)
        return {
            "loss": figures["loss"],
            "MLM": f"{figures['mlm_accuracy']:.0%}",
            **nsp,
            "tokens/s": figures["tokens"] / figures["seconds"],
            **({} if of_peak is None else {"of peak": f"{of_peak:.0%}"}),
        }

    def close(self) -> None:
        """Bring everything to the disk."""
        self._curves.close()

    def _share_of_peak(self, figures: Figures) -> float | None:
        """Return it; None where the machine was too busy when its peak was measured."""
        share = figures["flops"] / figures["seconds"] / self._peak
        return share if share <= 1 else None

    def _counts(self, name: str) -> bool:
        return self._has_pairs or not name.startswith("nsp")


def forget_until(progress: dict[str, Any], step: int) -> None:
    """Forget evaluations up to one after `step`: where a lesson ends, so does what it held out."""
    for name in _REMEMBERED:
        if name in progress and progress[name]["step"] <= step:
            del progress[name]


def findings(progress: Mapping[str, Any], held_out: HeldOut, *, clip_grad_norm: float) -> list[str]:
    """Return what looks unhealthy about a run that ended."""
    return diagnose(
        [progress["first"], progress["best"], progress["last"]],
        held_out.baseline(),
        pairs=held_out.num_pairs,
        gradient_norm=progress["gradient_norm"],
        clip_grad_norm=clip_grad_norm,
    )
