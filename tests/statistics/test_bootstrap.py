"""Intervals: the replicates are the metric on resampled rows, and a drop is told from noise."""

import math

import numpy as np
import pytest

from mlops.api.metrics import METRICS
from mlops.statistics.bootstrap import attribute_drop, drop_test, metric_interval
from mlops.statistics.metrics import Sample, evaluate
from mlops.statistics.resampling import Resampling, _draws, replicate
from tests.statistics.samples import sample_for


@pytest.mark.parametrize("block", [1, 7])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("name", list(METRICS))
def test_each_replicate_is_the_metric_on_the_rows_drawn(name: str, weighted: bool, block: int) -> None:
    """The vectorised evaluation equals the plain one, row draw by row draw."""
    sample, plan = sample_for(name, 60, 1, weighted=weighted), Resampling(replicates=25, block=block, seed=5)
    if block == 1:  # the canonical order of rows that the replicates are drawn in
        keys = [*np.atleast_2d(sample.prediction.T), sample.y]
        order = np.lexsort(keys if not weighted else [sample.weights, *keys])
        weights = None if sample.weights is None else sample.weights[order]
        sample = Sample(sample.y[order], sample.prediction[order], weights)
    values = replicate(name, sample, [sample.weights], plan, stream=0)[:, 0]
    rows = np.concatenate(list(_draws(60, plan, np.random.Generator(np.random.PCG64([5, 0])))))
    for value, drawn in zip(values, rows, strict=True):
        weights = None if sample.weights is None else sample.weights[drawn]
        expected = evaluate(name, Sample(sample.y[drawn], sample.prediction[drawn], weights))
        assert value == pytest.approx(expected, rel=1e-11)


def test_several_classes_are_replicated_like_two() -> None:
    """Macro ROC area over three named classes."""
    rng = np.random.default_rng(0)
    classes = ("a", "b", "c")
    codes = rng.integers(0, 3, 90)
    sample = Sample(np.array(classes)[codes], rng.dirichlet(np.ones(3), 90) + np.eye(3)[codes], None, classes)
    plan = Resampling(replicates=10, block=3)
    values = replicate("roc_auc", sample, [None], plan, stream=0)[:, 0]
    rows = np.concatenate(list(_draws(90, plan, np.random.Generator(np.random.PCG64([0, 0])))))
    expected = [evaluate("roc_auc", Sample(sample.y[d], sample.prediction[d], None, classes)) for d in rows]
    np.testing.assert_allclose(values, expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "f1"])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_a_class_that_no_drawn_row_has_does_not_count(name: str, weighted: bool) -> None:
    """Neither in fact nor in what was said: one row of thirty is of it, and many draws miss that."""
    rng = np.random.default_rng(1)
    y, said = rng.integers(0, 2, 30), rng.integers(0, 2, 30)
    y[4] = said[17] = 2
    classes, weights = (0, 1, 2), rng.uniform(0.5, 2.0, 30) if weighted else None
    plan = Resampling(replicates=60, block=2)
    values = replicate(name, Sample(y, said, weights, classes), [weights], plan, stream=3)[:, 0]
    rows = np.concatenate(list(_draws(30, plan, np.random.Generator(np.random.PCG64([0, 3])))))
    drawn = [Sample(y[d], said[d], None if weights is None else weights[d], classes) for d in rows]
    np.testing.assert_allclose(values, [evaluate(name, each) for each in drawn], rtol=1e-12)
    assert 5 < sum(2 in each.y for each in drawn) < 55


def test_blocks_keep_neighbouring_rows_together() -> None:
    """Rows are drawn in runs of the block length, around the end of the window too."""
    rows = next(_draws(20, Resampling(replicates=50, block=6), np.random.Generator(np.random.PCG64(0))))
    assert rows.shape == (50, 20)
    runs = rows[:, :18].reshape(50, 3, 6)
    assert ((np.diff(runs, axis=2) % 20) == 1).all()


@pytest.mark.parametrize("name", list(METRICS))
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_row_order_changes_no_bit(name: str, weighted: bool) -> None:
    """Without blocks, shuffled rows give the same interval."""
    sample = sample_for(name, 200, 2, weighted=weighted)
    order = np.random.default_rng(9).permutation(200)
    weights = None if sample.weights is None else sample.weights[order]
    moved = Sample(sample.y[order], sample.prediction[order], weights)
    plan = Resampling(replicates=50)
    assert metric_interval(name, moved, plan) == metric_interval(name, sample, plan)


def test_the_seed_decides() -> None:
    """The same seed repeats the interval, another does not."""
    sample = sample_for("log_loss", 300, 3)
    first = metric_interval("log_loss", sample, Resampling(seed=1))
    assert first == metric_interval("log_loss", sample, Resampling(seed=1))
    assert first != metric_interval("log_loss", sample, Resampling(seed=2))


@pytest.mark.parametrize("name", ["roc_auc", "accuracy", "rmse"])
def test_intervals_cover_the_truth_as_often_as_they_say(name: str) -> None:
    """95 % intervals over 300 samples of 300 rows: between 91 % and 98 % hold the value of a huge sample."""
    truth = evaluate(name, sample_for(name, 400_000, 123))
    plan = Resampling(replicates=300)
    intervals = [metric_interval(name, sample_for(name, 300, seed), plan) for seed in range(300)]
    assert 0.91 <= np.mean([i.low <= truth <= i.high for i in intervals]) <= 0.98


def test_blocks_widen_the_interval_of_dependent_rows() -> None:
    """Errors that come in runs of 20: an ordinary bootstrap is far too sure of itself."""
    rng = np.random.default_rng(0)
    y = np.zeros(2_000)
    sample = Sample(y, np.repeat(rng.normal(size=100), 20))
    alone = metric_interval("mae", sample, Resampling(block=1)).standard_error
    blocked = metric_interval("mae", sample, Resampling(block=40)).standard_error
    assert blocked > 3 * alone


@pytest.mark.parametrize("name", list(METRICS))
def test_a_worse_model_has_a_positive_drop(name: str) -> None:
    """Whatever way the metric points, worse is a positive drop beyond doubt; the reverse is none."""
    good, bad = sample_for(name, 1_500, 1, noise=0.5), sample_for(name, 1_500, 2, noise=2.5)
    plan = Resampling(replicates=300)
    worse, better = drop_test(name, good, bad, plan), drop_test(name, bad, good, plan)
    assert worse.drop.low > 0
    assert worse.pvalue < 1e-4
    assert better.drop.high < 0
    assert better.pvalue > 0.99
    assert worse.drop.low <= worse.drop.value <= worse.drop.high


def test_a_drop_below_the_minimum_is_no_alarm() -> None:
    """Significant but small: the test asks whether the drop exceeds `min_drop`."""
    good, bad = sample_for("accuracy", 20_000, 1, noise=1.0), sample_for("accuracy", 20_000, 2, noise=1.1)
    plan = Resampling(replicates=200)
    assert drop_test("accuracy", good, bad, plan).pvalue < 0.01
    assert drop_test("accuracy", good, bad, plan, min_drop=0.05).pvalue > 0.99


@pytest.mark.parametrize("name", ["roc_auc", "log_loss"])
def test_stable_streams_are_flagged_as_rarely_as_promised(name: str) -> None:
    """500 pairs of windows from one law: at the 5 % level between 2.5 % and 7.5 % look worse."""
    plan = Resampling(replicates=200)
    pairs = [(sample_for(name, 400, 2 * s), sample_for(name, 300, 2 * s + 1)) for s in range(500)]
    flagged = np.mean([drop_test(name, a, b, plan).pvalue < 0.05 for a, b in pairs])
    assert 0.025 <= flagged <= 0.075


def test_attribution_tells_other_inputs_from_another_relation() -> None:
    """Harder inputs are the covariate part, a moved relation the concept part; the parts add up."""
    rng = np.random.default_rng(0)

    def window(n: int, hard: float, flipped: float) -> tuple[Sample, np.ndarray]:
        difficult = rng.uniform(size=n) < hard
        y = rng.integers(0, 2, n)
        wrong = rng.uniform(size=n) < np.where(difficult, 0.4, 0.1)
        relation_moved = rng.uniform(size=n) < flipped
        return Sample(y, np.where(wrong ^ relation_moved, 1 - y, y)), difficult

    reference, difficult = window(6_000, 0.2, 0.0)
    importance = np.where(difficult, 0.6 / 0.2, 0.4 / 0.8)
    plan = Resampling(replicates=300)
    harder = attribute_drop("accuracy", reference, window(6_000, 0.6, 0.0)[0], importance, plan)
    moved = attribute_drop("accuracy", reference, window(6_000, 0.2, 0.3)[0], np.ones(6_000), plan)
    assert harder.covariate.low > 0.08
    assert harder.concept.low < 0 < harder.concept.high
    assert harder.pvalue > 0.01
    assert (moved.covariate.value, moved.covariate.standard_error) == (0.0, 0.0)
    assert moved.concept.low > 0.1
    assert moved.pvalue < 1e-6
    for parts in (harder, moved):
        assert parts.covariate.value + parts.concept.value == pytest.approx(parts.total.value)


def test_a_resample_without_a_class_is_left_out_and_counted() -> None:
    """Three positives in 30 rows: some resamples have none, and no ROC area."""
    y = np.array([1] * 3 + [0] * 27)
    interval = metric_interval("roc_auc", Sample(y, np.linspace(1, 0, 30)), Resampling(replicates=400))
    assert 1 <= interval.undefined <= 60
    assert (interval.low, interval.high) == (1.0, 1.0)


def test_no_spread_makes_the_answer_certain() -> None:
    """All right before, all wrong now."""
    right, wrong = Sample(np.ones(5), np.ones(5)), Sample(np.ones(5), np.zeros(5))
    result = drop_test("accuracy", right, wrong, Resampling(replicates=20))
    assert (result.z, result.pvalue) == (math.inf, 0.0)
    assert drop_test("accuracy", right, right, Resampling(replicates=20)).pvalue == 1.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(lambda: metric_interval("mae", Sample(np.ones(1), np.ones(1)), Resampling()), "too few", id="one"),
        pytest.param(
            lambda: metric_interval("mae", Sample(np.ones(9), np.ones(9)), Resampling(block=9)),
            "blocks of 9",
            id="block",
        ),
        pytest.param(lambda: Resampling(replicates=1), "replicates: is 1", id="replicates"),
        pytest.param(lambda: Resampling(block=0), "block: is 0", id="no block"),
        pytest.param(lambda: Resampling(seed=-1), "seed: is -1", id="seed"),
        pytest.param(
            lambda: metric_interval("mae", Sample(np.ones(3), np.ones(3)), Resampling(), level=95), "level", id="level"
        ),
    ],
)
def test_impossible_requests_are_refused(call, message: str) -> None:
    """One row has no spread; the message says which argument is wrong."""
    with pytest.raises(ValueError, match=message):
        call()
