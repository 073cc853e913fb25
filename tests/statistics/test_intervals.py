"""What an interval, a drop and its parts are made of: each number against what it is read off."""

import math

import numpy as np
import pytest
from scipy import stats

from mlops.statistics import resampling
from mlops.statistics.bootstrap import attribute_drop, drop_test, metric_interval
from mlops.statistics.metrics import Sample, evaluate
from mlops.statistics.resampling import Resampling, replicate
from tests.statistics.samples import sample_for


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_an_interval_is_read_off_its_replicates(weighted: bool) -> None:
    """Value, percentiles, standard error with n - 1, and how many replicates there were."""
    sample, plan = sample_for("brier", 80, 4, weighted=weighted), Resampling(replicates=200, seed=3)
    draws = replicate("brier", sample, [sample.weights], plan, stream=0)[:, 0]
    found = metric_interval("brier", sample, plan, level=0.8)
    assert found.value == evaluate("brier", sample)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(draws, [0.1, 0.9])), rel=1e-12)
    assert found.standard_error == pytest.approx(np.std(draws, ddof=1), rel=1e-12)
    assert (found.level, found.replicates, found.undefined) == (0.8, 200, 0)
    assert metric_interval("brier", sample, plan).level == 0.95


def test_two_windows_vary_independently_even_if_they_hold_the_same_rows() -> None:
    """Else a drop of nothing would be beyond doubt: the variances of the two add up, by Bienayme's formula."""
    sample, plan = sample_for("mae", 400, 5), Resampling(replicates=2_000)
    test = drop_test("mae", sample, sample, plan)
    parts = attribute_drop("mae", sample, sample, np.ones(400), plan)
    expected = math.hypot(test.reference.standard_error, test.current.standard_error)
    assert test.reference.standard_error == metric_interval("mae", sample, plan).standard_error
    for drop in (test.drop, parts.total, parts.concept):
        assert drop.standard_error == pytest.approx(expected, rel=0.05)
    assert (test.drop.value, test.z, test.pvalue) == (0.0, 0.0, 0.5)


@pytest.mark.parametrize("name", ["accuracy", "rmse"])
def test_the_p_value_is_the_normal_one_of_the_drop_beyond_the_minimum(name: str) -> None:
    """Counted in standard errors, above zero where worse; each number says what it was measured with."""
    before, after = sample_for(name, 500, 6), sample_for(name, 400, 7, noise=1.3)
    plan = Resampling(replicates=100)
    test = drop_test(name, before, after, plan, min_drop=0.02, level=0.9)
    sign = 1 if name == "accuracy" else -1
    assert test.drop.value == pytest.approx(sign * (evaluate(name, before) - evaluate(name, after)), rel=1e-12)
    assert test.z == pytest.approx((test.drop.value - 0.02) / test.drop.standard_error, rel=1e-12)
    assert test.pvalue == pytest.approx(stats.norm.sf(test.z), rel=1e-12)
    assert (test.reference.value, test.current.value) == (evaluate(name, before), evaluate(name, after))
    assert {part.level for part in (test.reference, test.current, test.drop)} == {0.9}
    assert test.min_drop == 0.02
    plain = drop_test(name, before, after, plan)
    assert (plain.min_drop, plain.drop.level) == (0.0, 0.95)
    assert plain.z == pytest.approx(plain.drop.value / plain.drop.standard_error, rel=1e-12)


@pytest.mark.parametrize("name", ["accuracy", "log_loss"])
def test_the_parts_of_a_drop_are_differences_of_metrics_on_weighted_rows(name: str) -> None:
    """Weights that the reference has already are kept under those that make it like the current window."""
    before, after = sample_for(name, 300, 8, weighted=True), sample_for(name, 200, 9, weighted=True, noise=1.4)
    importance = np.random.default_rng(1).exponential(size=300)
    parts = attribute_drop(name, before, after, importance, Resampling(replicates=100), min_drop=0.01, level=0.9)
    sign = 1 if name == "accuracy" else -1
    a, c = evaluate(name, before), evaluate(name, after)
    b = evaluate(name, Sample(before.y, before.prediction, before.weights * importance))
    assert parts.reweighted.value == b
    assert parts.total.value == pytest.approx(sign * (a - c), rel=1e-12)
    assert parts.covariate.value == pytest.approx(sign * (a - b), rel=1e-12)
    assert parts.concept.value == pytest.approx(sign * (b - c), rel=1e-12)
    assert parts.z == pytest.approx((parts.concept.value - 0.01) / parts.concept.standard_error, rel=1e-12)
    assert parts.pvalue == pytest.approx(stats.norm.sf(parts.z), rel=1e-12)
    assert parts.min_drop == 0.01
    for part in (parts.total, parts.covariate, parts.concept, parts.reweighted):
        assert (part.level, part.replicates) == (0.9, 100)
        assert part.low < part.value < part.high
    plain = attribute_drop(name, before, after, importance, Resampling(replicates=100))
    assert (plain.min_drop, plain.concept.level) == (0.0, 0.95)
    for ours in (parts, plain):
        assert ours.total.standard_error < ours.covariate.standard_error + ours.concept.standard_error


def test_importance_is_refused_by_its_name() -> None:
    """One weight for each reference row."""
    sample = sample_for("mae", 5, 0)
    with pytest.raises(ValueError, match=r"^importance: has 4 rows, expected 5$"):
        attribute_drop("mae", sample, sample, np.ones(4), Resampling())


def test_the_parts_of_a_drop_depend_on_no_order_of_the_rows() -> None:
    """Bit for bit, with both weights and with several classes."""
    rng = np.random.default_rng(3)
    classes = ("a", "b", "c")

    def window(n: int) -> Sample:
        codes = rng.integers(0, 3, n)
        return Sample(np.array(classes)[codes], rng.dirichlet(np.ones(3), n), rng.exponential(size=n), classes)

    before, after, importance, order = window(90), window(60), rng.exponential(size=90), rng.permutation(90)
    moved = Sample(before.y[order], before.prediction[order], before.weights[order], classes)
    plan = Resampling(replicates=30)
    expected = attribute_drop("log_loss", before, after, importance, plan)
    assert attribute_drop("log_loss", moved, after, importance[order], plan) == expected


@pytest.mark.parametrize("block", [1, 3])
@pytest.mark.parametrize("lines", [1, 7, 25])
def test_the_memory_for_replicates_changes_no_interval(monkeypatch: pytest.MonkeyPatch, lines: int, block: int) -> None:
    """They are made a few at a time, the last time the rest of them."""
    sample, plan = sample_for("roc_auc", 20, 3), Resampling(replicates=60, block=block)
    expected = metric_interval("roc_auc", sample, plan)
    monkeypatch.setattr(resampling, "_BUDGET", 20 * lines)
    assert metric_interval("roc_auc", sample, plan) == expected


def test_no_drop_beyond_the_minimum_is_certain_where_nothing_varies() -> None:
    """A drop of just the minimum is not beyond it."""
    right, wrong = Sample(np.ones(5), np.ones(5)), Sample(np.ones(5), np.zeros(5))
    result = drop_test("accuracy", right, wrong, Resampling(replicates=20), min_drop=1.0)
    assert (result.z, result.pvalue) == (-math.inf, 1.0)


@pytest.mark.parametrize("seed", range(30))
def test_half_of_the_resamples_have_to_have_a_value(seed: int) -> None:
    """Of two rows, one of each class, about half of the resamples hold both: on which side of it is the seed's."""
    two, plan = Sample(np.array([1, 0]), np.array([0.9, 0.1])), Resampling(replicates=20, seed=seed)
    undefined = int(np.isnan(replicate("roc_auc", two, [None], plan, 0)).sum())
    if undefined > 10:
        with pytest.raises(ValueError, match="too few rows"):
            metric_interval("roc_auc", two, plan)
    else:
        found = metric_interval("roc_auc", two, plan)
        assert (found.value, found.undefined, found.replicates) == (1.0, undefined, 20)


@pytest.mark.parametrize(
    ("label", "value"), [pytest.param(1, 1.0, id="nothing but it"), pytest.param(0, 0.0, id="nothing of it")]
)
def test_f1_of_rows_of_one_class(label: int, value: float) -> None:
    """1 of the class that the metric speaks of; 0, not nothing, where that neither occurs nor is said."""
    sample = Sample(np.full(6, label), np.full(6, label))
    found = metric_interval("f1", sample, Resampling(replicates=20))
    assert (found.value, found.low, found.high, found.undefined) == (value, value, value, 0)
    assert evaluate("f1", sample) == value
