"""Metrics are scikit-learn's, to 1e-12, with and without weights, whatever the order of the rows."""

import numpy as np
import pytest
import sklearn.metrics as oracle
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops.api.metrics import METRICS
from mlops.statistics import metrics
from mlops.statistics.metrics import Sample, evaluate
from tests.statistics.samples import COSTS

ROWS = [2, 3, 50, 1_003]


def weights_for(rng: np.random.Generator, n: int, weighted: bool) -> np.ndarray | None:
    """Positive weights, or none."""
    return rng.exponential(size=n) if weighted else None


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("n", ROWS)
@pytest.mark.parametrize("seed", range(4))
def test_binary_metrics_equal_scikit_learn(n: int, weighted: bool, seed: int) -> None:
    """Scores rounded to two digits, so that many are tied."""
    rng = np.random.default_rng([n, seed])
    y = rng.integers(0, 2, n)
    y[:2] = [0, 1]
    p = np.round(rng.normal(0.4 + 0.2 * y, 0.25).clip(0, 1), 2)
    said, w = (p > 0.5).astype(int), weights_for(rng, n, weighted)
    close = {"rel": 1e-12, "abs": 1e-12}
    assert metrics.roc_auc(y, p, w) == pytest.approx(oracle.roc_auc_score(y, p, sample_weight=w), **close)
    assert metrics.log_loss(y, p, w) == pytest.approx(oracle.log_loss(y, p, sample_weight=w), **close)
    assert metrics.brier(y, p, w) == pytest.approx(oracle.brier_score_loss(y, p, sample_weight=w), **close)
    assert metrics.accuracy(y, said, w) == pytest.approx(oracle.accuracy_score(y, said, sample_weight=w), **close)
    expected = oracle.balanced_accuracy_score(y, said, sample_weight=w)
    assert metrics.balanced_accuracy(y, said, w) == pytest.approx(expected, **close)
    expected = oracle.f1_score(y, said, sample_weight=w, zero_division=0.0)
    assert metrics.f1(y, said, w) == pytest.approx(expected, **close)
    expected = oracle.f1_score(y, said, sample_weight=w, average="macro", zero_division=0.0)
    assert metrics.f1_macro(y, said, w) == pytest.approx(expected, **close)


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("seed", range(4))
def test_multiclass_metrics_equal_scikit_learn(weighted: bool, seed: int) -> None:
    """Four named classes; columns in the order of the given classes."""
    rng = np.random.default_rng(seed)
    classes = ("ant", "bee", "cat", "dog")
    codes = rng.integers(0, 4, 400)
    y, w = np.array(classes)[codes], weights_for(rng, 400, weighted)
    p = rng.dirichlet(np.ones(4), 400) + 0.5 * np.eye(4)[codes]
    p /= p.sum(axis=1, keepdims=True)
    said = np.array(classes)[p.argmax(axis=1)]
    sample = Sample(y, p, w, classes)
    expected = oracle.roc_auc_score(y, p, sample_weight=w, multi_class="ovr", labels=classes)
    assert evaluate("roc_auc", sample) == pytest.approx(expected, rel=1e-12)
    expected = oracle.log_loss(y, p, sample_weight=w, labels=list(classes))
    assert evaluate("log_loss", sample) == pytest.approx(expected, rel=1e-12)
    expected = oracle.brier_score_loss(y, p, sample_weight=w, labels=list(classes))
    assert evaluate("brier", sample) == pytest.approx(expected, rel=1e-12)
    labels = Sample(y, said, w, classes)
    expected = oracle.balanced_accuracy_score(y, said, sample_weight=w)
    assert evaluate("balanced_accuracy", labels) == pytest.approx(expected, rel=1e-12)
    expected = oracle.f1_score(y, said, sample_weight=w, average="macro")
    assert evaluate("f1", labels) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("n", ROWS)
def test_regression_metrics_equal_scikit_learn(n: int, weighted: bool) -> None:
    """With targets far from zero, where a careless variance loses digits."""
    rng = np.random.default_rng(n)
    y = rng.normal(1_000.0, 3.0, n)
    said, w = y + rng.normal(0, 2.0, n), weights_for(rng, n, weighted)
    expected = oracle.mean_absolute_error(y, said, sample_weight=w)
    assert metrics.mae(y, said, w) == pytest.approx(expected, rel=1e-12)
    expected = oracle.root_mean_squared_error(y, said, sample_weight=w)
    assert metrics.rmse(y, said, w) == pytest.approx(expected, rel=1e-12)
    assert metrics.r2(y, said, w) == pytest.approx(oracle.r2_score(y, said, sample_weight=w), rel=1e-12)


@pytest.mark.parametrize("said", [2.0, 3.0])
@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 1.0]], ids=["plain", "weighted"])
def test_of_constant_targets_all_is_explained_or_nothing(said: float, weights: list[float] | None) -> None:
    y, answers = [2.0, 2.0, 2.0], [2.0, 2.0, said]
    assert metrics.r2(y, answers, weights) == oracle.r2_score(y, answers, sample_weight=weights)


def sample_for(name: str, n: int, rng: np.random.Generator, weighted: bool) -> Sample:
    """A binary or regression sample of the kind that `name` reads."""
    kind = METRICS[name].reads
    y = rng.normal(size=n) if kind == "value" else rng.integers(0, 2, n)
    if kind != "value":
        y[:2] = [0, 1]
    prediction = rng.integers(0, 2, n) if kind == "label" else np.round(rng.uniform(size=n), 1)
    if kind == "cost":
        prediction = COSTS[:, rng.integers(0, 2, n)].T
    return Sample(y, prediction, weights_for(rng, n, weighted))


@pytest.mark.parametrize("name", list(METRICS))
@given(n=st.integers(2, 80), seed=st.integers(0, 10_000), weighted=st.booleans())
@settings(deadline=None, max_examples=40)
def test_row_order_changes_no_bit(name: str, n: int, seed: int, weighted: bool) -> None:
    """The same rows in another order: the same float."""
    rng = np.random.default_rng(seed)
    sample = sample_for(name, n, rng, weighted)
    order = rng.permutation(n)
    moved = Sample(sample.y[order], sample.prediction[order], None if not weighted else sample.weights[order])
    assert evaluate(name, moved) == evaluate(name, sample)


@pytest.mark.parametrize("name", [name for name in METRICS if METRICS[name].reads not in ("value", "cost")])
@given(n=st.integers(2, 60), seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=30)
def test_classification_metrics_stay_within_their_bounds(name: str, n: int, seed: int) -> None:
    """Between 0 and 1, but for log-loss, which has no upper bound short of 36."""
    value = evaluate(name, sample_for(name, n, np.random.default_rng(seed), weighted=True))
    assert 0.0 <= value <= (37.0 if name == "log_loss" else 1.0 + 1e-12)


@pytest.mark.parametrize("name", list(METRICS))
def test_a_weight_of_two_is_a_row_twice(name: str) -> None:
    """Whole weights mean copies."""
    rng = np.random.default_rng(3)
    sample = sample_for(name, 40, rng, weighted=False)
    copies = rng.integers(1, 4, 40)
    weighted = Sample(sample.y, sample.prediction, copies.astype(float))
    repeated = Sample(np.repeat(sample.y, copies), np.repeat(sample.prediction, copies, axis=0))
    assert evaluate(name, weighted) == pytest.approx(evaluate(name, repeated), rel=1e-12)


def test_named_classes_with_one_score_column() -> None:
    """A vector speaks of the second class."""
    y = np.array(["no", "yes", "yes", "no"])
    score = np.array([0.1, 0.8, 0.6, 0.7])
    assert evaluate("roc_auc", Sample(y, score, classes=("no", "yes"))) == 0.75
    said = np.array(["no", "yes", "yes", "yes"])
    assert evaluate("f1", Sample(y, said, classes=("no", "yes"))) == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(lambda: metrics.roc_auc([1, 1], [0.1, 0.2]), "a class has no row", id="one class"),
        pytest.param(lambda: metrics.roc_auc([0, 1], [0.1, np.inf]), "score: holds NaN or infinity", id="infinity"),
        pytest.param(lambda: metrics.roc_auc([0, 2], [0.1, 0.2]), "label .*2.* is none of the classes", id="label"),
        pytest.param(lambda: metrics.log_loss([0, 1], [0.1, 1.2]), "between 0 and 1", id="no probability"),
        pytest.param(lambda: metrics.mae([], []), "y: is empty", id="no rows"),
        pytest.param(lambda: metrics.accuracy([], []), "y: is empty", id="no labels"),
        pytest.param(lambda: metrics.mae([1.0], [1.0, 2.0]), "value: has 2 rows, y has 1", id="lengths"),
        pytest.param(lambda: metrics.mae([1.0], [1.0], [-1.0]), "weights: holds negative", id="weight"),
        pytest.param(lambda: metrics.mae([1.0], [1.0], [0.0]), "weights: all are zero", id="no weight"),
        pytest.param(lambda: metrics.metric_named("gini"), "'gini' is unknown; one of roc_auc", id="name"),
        pytest.param(
            lambda: metrics.log_loss([0, 1], np.ones((2, 3)) / 3), "one column for each of 2 classes", id="columns"
        ),
    ],
)
def test_what_cannot_be_measured_is_refused(call, message: str) -> None:
    """The message names the argument and the reason."""
    with pytest.raises(ValueError, match=message):
        call()
