"""By how much a metric is worse: which way, how far the truth may be, and what has not been seen yet."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from mlops.api.metrics import METRICS
from mlops.statistics.loss_bounds import loss_bounds, reach
from mlops.statistics.metrics import Sample, evaluate
from mlops.statistics.resampling import Resampling
from tests.statistics.samples import COSTS

PLAN = Resampling(replicates=200, block=2, seed=1)


def a_sample(
    metric: str, rng: np.random.Generator, rows: int = 300, noise: float = 0.3, several: bool = False
) -> Sample:
    """Rows as the metric reads them; more noise is worse."""
    facts = METRICS[metric]
    if facts.task == "regression":
        y = rng.normal(size=rows)
        return Sample(y, y + noise * rng.normal(size=rows))
    classes = ("a", "b", "c") if several else ("no", "yes")
    code = rng.integers(0, len(classes), rows)
    y = np.array(classes)[code]
    said = np.where(rng.uniform(size=rows) < noise, rng.integers(0, len(classes), rows), code)
    if facts.reads == "label":
        return Sample(y, np.array(classes)[said], None, classes)
    if facts.reads == "cost":
        return Sample(y, COSTS.T[said], None, classes)
    table = np.eye(len(classes))[said] * 0.8 + 0.2 / len(classes) * rng.uniform(0.5, 1.0, (rows, len(classes)))
    table /= table.sum(axis=1, keepdims=True)
    return Sample(y, table if several else table[:, 1], None, classes)


@pytest.mark.parametrize("metric", METRICS)
def test_a_loss_is_positive_when_the_second_is_worse(metric: str) -> None:
    """Whatever way the metric points; the bounds lie around it, and further apart the rarer they may miss."""
    rng = np.random.default_rng(5)
    good, bad = a_sample(metric, rng, noise=0.1), a_sample(metric, rng, noise=0.6)
    worse, better = loss_bounds(metric, good, bad, PLAN, 0.01), loss_bounds(metric, bad, good, PLAN, 0.01)
    assert worse.value == pytest.approx(abs(evaluate(metric, good) - evaluate(metric, bad)))
    assert worse.low > 0.0 > better.high
    seldom = loss_bounds(metric, good, bad, PLAN, 1e-4)
    assert seldom.low < worse.low < worse.value < worse.high < seldom.high


@pytest.mark.parametrize("several", [False, True], ids=["two classes", "three"])
@pytest.mark.parametrize("metric", [name for name in METRICS if name != "cost"])
def test_no_row_moves_a_metric_further_than_its_reach(metric: str, several: bool) -> None:
    """Taking one away, any of them; but for what is left of a share when its denominator shrinks."""
    if several and METRICS[metric].task == "regression":
        return
    sample = a_sample(metric, np.random.default_rng(6), rows=120, several=several)
    whole, rows = evaluate(metric, sample), np.arange(120)
    without = [
        Sample(sample.y[rows != row], sample.prediction[rows != row], None, sample.classes) for row in rows.tolist()
    ]
    moved = [abs(whole - evaluate(metric, each)) for each in without]
    assert 0.0 < max(moved) <= 1.1 * reach(metric, sample)


def test_rows_that_are_all_right_do_not_prove_that_all_are() -> None:
    """Of 100 perfect answers the bound is at least that of Clopper and Pearson for none of 100."""
    y = np.array(["no", "yes"] * 50)
    perfect = Sample(y, y, None, ("no", "yes"))
    found = loss_bounds("accuracy", perfect, perfect, PLAN, 0.001, paired=True)
    assert found.sampled == 0.0
    assert found.high >= stats.binomtest(0, 100).proportion_ci(0.998, method="exact").high
    assert found.high == pytest.approx(-math.log(0.001) / 100)


def test_pairs_tell_more_than_as_many_rows_apart() -> None:
    """Two models that nearly always say the same: on the same rows the difference is small, and so is its error."""
    rng = np.random.default_rng(7)
    first = a_sample("accuracy", rng, rows=1000)
    changed = rng.uniform(size=1000) < 0.02
    second = Sample(first.y, np.where(changed, "no", first.prediction), None, first.classes)
    apart = loss_bounds("accuracy", first, second, PLAN, 0.001)
    paired = loss_bounds("accuracy", first, second, PLAN, 0.001, paired=True)
    assert paired.value == apart.value
    assert paired.sampled < apart.sampled / 2.0


def test_a_class_without_enough_rows_is_refused() -> None:
    y = np.array(["yes"] + ["no"] * 39)
    sample = Sample(y, np.linspace(0.0, 1.0, 40), None, ("no", "yes"))
    with pytest.raises(ValueError, match="a class has too few rows"):
        loss_bounds("roc_auc", sample, sample, PLAN, 0.01)


@pytest.mark.parametrize(("metric", "rows"), [("accuracy", 150), ("rmse", 150), ("roc_auc", 200)])
def test_bounds_miss_as_seldom_as_said(metric: str, rows: int) -> None:
    """In 150 draws each way, at a tail of a twentieth: the truth is that of 200,000 rows."""
    rng = np.random.default_rng(8)
    noises = (0.2, 0.3)
    good, bad = (evaluate(metric, a_sample(metric, rng, rows=200_000, noise=noise)) for noise in noises)
    truth = abs(good - bad)
    plan = Resampling(replicates=100, block=5, seed=2)
    missed = [0, 0]
    for _ in range(150):
        first, second = (a_sample(metric, rng, rows=rows, noise=noise) for noise in noises)
        found = loss_bounds(metric, first, second, plan, 0.05)
        missed[0] += found.low > truth
        missed[1] += found.high < truth
    assert max(missed) <= 150 * 0.05
