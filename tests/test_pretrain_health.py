"""What is said of a run that ended: is its loss healthy, and if not, why."""

from typing import Any

import pytest

from bertctl.pipeline.pretrain.health import diagnose

BASELINE = {"mlm_loss": 6.7, "mlm_accuracy": 0.06, "nsp_loss": 0.693, "nsp_accuracy": 0.5}


def at(step: int, mlm_loss: float, nsp_accuracy: float = 0.8) -> dict[str, Any]:
    return {"step": step, "mlm_loss": mlm_loss, "nsp_accuracy": nsp_accuracy}


def said(*evaluations: dict[str, Any], pairs: int = 4096, norm: float = 1.3) -> list[str]:
    return diagnose(
        list(evaluations), BASELINE, pairs=pairs, gradient_norm=norm, clip_grad_norm=1.0
    )


def test_run_that_learns_is_found_healthy() -> None:
    assert said(at(100, 6.0, 0.51), at(900, 3.1), at(900, 3.1)) == []
    assert said(at(100, 6.9), at(900, 6.4), at(900, 6.4)) == []


@pytest.mark.parametrize(
    ("evaluations", "pairs", "norm", "words"),
    [
        (
            [at(100, 6.9), at(100, 6.8), at(900, 6.8)],
            4096,
            1.0,
            "no better than knowing word counts",
        ),
        (
            [at(100, 6.9), at(900, 6.63), at(900, 6.63)],
            4096,
            1.0,
            "6.63 is hardly better than knowing word counts (6.70)",
        ),
        ([at(100, 6.0), at(500, 3.0), at(900, 3.6)], 4096, 1.0, "lowest after step 500"),
        ([at(100, 6.0), at(900, 3.0, 0.51), at(900, 3.0, 0.51)], 4096, 1.0, "isn't above a coin's"),
        ([at(100, 6.0), at(900, 3.0), at(900, 3.0)], 4096, 31.0, "norm of 31.0, clipped to 1"),
    ],
)
def test_what_is_wrong_is_said(
    evaluations: list[dict[str, Any]], pairs: int, norm: float, words: str
) -> None:
    (found,) = said(*evaluations, pairs=pairs, norm=norm)
    assert words in found


def test_accuracy_on_few_pairs_proves_nothing() -> None:
    assert said(at(1, 6.0), at(900, 3.0, 0.4), at(900, 3.0, 0.4), pairs=30) == []


def test_objective_without_pairs_is_not_judged_by_them() -> None:
    last = {"step": 9, "mlm_loss": 3.0}
    assert said(last, last, last, pairs=0) == []
