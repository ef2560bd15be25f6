import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bertctl.pipeline.finetune.results import best_place, best_run, summary
from bertctl.pipeline.finetune.tasks.labels import confusion_table
from bertctl.pipeline.finetune.tasks.metrics import (
    accuracy,
    log_softmax,
    macro_f1,
    pearson,
    ranks,
    spearman,
)
from bertctl.pipeline.finetune.tasks.numbers import number_figures

from .seqeval_oracle import entity_scores

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
    confusion = sklearn.metrics.confusion_matrix(labels, predicted, labels=range(classes))
    names = [f"l{id}" for id in range(classes)]
    assert confusion_table(labels, predicted, names) == {
        name: {names[id]: count for id, count in enumerate(row) if count}
        for name, row in zip(names, confusion.tolist(), strict=True)
        if any(row)
    }
    right = np.diagonal(confusion)
    total = confusion.sum(axis=0) + confusion.sum(axis=1)
    # Figures are kept: those of counts are those of the whole table, to the bit.
    assert accuracy(labels, predicted) == right.sum() / confusion.sum()
    found = macro_f1(labels, predicted, classes)
    assert found == np.mean(2 * right[total > 0] / total[total > 0])
    assert found == pytest.approx(sklearn.metrics.f1_score(labels, predicted, average="macro"))


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


# Few different values, so that many are equal: ranks of those are what implementations differ in.
COLUMNS = st.lists(
    st.tuples(st.integers(-3, 3), st.one_of(st.integers(-3, 3), st.floats(-1e3, 1e3))),
    min_size=3,
    max_size=40,
)


@given(COLUMNS)
@settings(max_examples=200, deadline=None)
def test_correlations_and_errors_are_those_of_scipy_and_scikit_learn(
    rows: list[tuple[float, float]],
) -> None:
    truth, said = np.array(rows, np.float64).T
    assert ranks(said) == pytest.approx(scipy.stats.rankdata(said))
    assume(np.ptp(truth) > 1e-3)
    assume(np.ptp(said) > 1e-3)
    found = number_figures(np.stack([truth, said], axis=1))
    expected = {
        "pearson": scipy.stats.pearsonr(truth, said).statistic,
        "spearman": scipy.stats.spearmanr(truth, said).statistic,
        "mse": sklearn.metrics.mean_squared_error(truth, said),
        "mae": sklearn.metrics.mean_absolute_error(truth, said),
    }
    assert found == pytest.approx(expected, abs=1e-9)


def test_column_that_never_changes_correlates_with_nothing() -> None:
    constant, other = np.full(4, 2.5), np.arange(4.0)
    assert (pearson(constant, other), spearman(other, constant)) == (0.0, 0.0)


TAGS = st.lists(
    st.lists(st.sampled_from(["O", *(f"{p}-{k}" for p in "BIES" for k in "AB")]), max_size=9),
    min_size=2,
    max_size=6,
)


@given(TAGS, TAGS)
@settings(max_examples=300, deadline=None)
def test_oracle_of_entities_is_seqeval_where_that_is_installed(
    truth: list[list[str]], said: list[list[str]]
) -> None:
    seqeval = pytest.importorskip("seqeval.metrics")
    rows = [(one, other[: len(one)]) for one, other in zip(truth, said, strict=False)]
    rows = [(one, other + ["O"] * (len(one) - len(other))) for one, other in rows]
    truth, said = [one for one, _ in rows], [other for _, other in rows]
    expected = [
        score(truth, said, zero_division=0)
        for score in (seqeval.precision_score, seqeval.recall_score, seqeval.f1_score)
    ]
    assert entity_scores(truth, said) == pytest.approx(expected)
