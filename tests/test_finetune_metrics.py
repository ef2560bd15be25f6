import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from bertctl.pipeline.finetune.results import best_place, best_run, summary
from bertctl.pipeline.finetune.tasks.metrics import (
    accuracy,
    confusion_matrix,
    log_softmax,
    macro_f1,
)

PAIRS = st.integers(2, 7).flatmap(
    lambda classes: st.tuples(
        st.just(classes),
        st.lists(
            st.tuples(st.integers(0, classes - 1), st.integers(0, classes - 1)),
            min_size=1,
            max_size=40,
        ),
    )
)


@given(PAIRS)
@settings(max_examples=100, deadline=None)
def test_figures_are_those_of_scikit_learn(case: tuple[int, list[tuple[int, int]]]) -> None:
    classes, pairs = case
    labels, predicted = np.array(pairs).T
    confusion = confusion_matrix(labels, predicted, classes)
    reference = sklearn.metrics.confusion_matrix(labels, predicted, labels=range(classes))
    assert (confusion == reference).all()
    assert accuracy(confusion) == pytest.approx(sklearn.metrics.accuracy_score(labels, predicted))
    expected = sklearn.metrics.f1_score(labels, predicted, average="macro")
    assert macro_f1(confusion) == pytest.approx(expected)


def test_log_probabilities_are_those_of_scipy_however_great_the_logits() -> None:
    from scipy.special import log_softmax as reference

    logits = np.array([[1000.0, -1000.0, 3.0], [0.1, 0.2, 0.3]], np.float32)
    assert log_softmax(logits) == pytest.approx(reference(logits.astype(np.float64), axis=1))


def test_best_is_the_greatest_and_the_first_of_equals_and_the_last_without_validation() -> None:
    figures = [{"accuracy": each} for each in (0.5, 0.8, 0.7, 0.8)]
    assert best_place(figures, "accuracy") == 1
    assert best_place([None, None, None], "accuracy") == 2
    runs = [{"seed": each, "validation": None} for each in (7, 8)]
    assert best_run(runs, "accuracy") == 0


def test_summary_is_the_mean_and_the_sample_deviation() -> None:
    values = [0.5, 0.7, 0.9, 0.8]
    runs = [{"validation": None, "test": {"accuracy": each}} for each in values]
    told = summary(dict.fromkeys(("validation", "test"), runs))
    assert told["mean"]["test"]["accuracy"] == pytest.approx(np.mean(values))
    assert told["sd"]["test"]["accuracy"] == pytest.approx(np.std(values, ddof=1))
    assert told["mean"]["validation"] is None
    assert summary({"test": runs[:1]})["sd"] is None
