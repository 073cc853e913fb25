"""The part of a drop that an unchanged relation does not explain: labels beside what is expected at their inputs.

Measured less expected value in the window, less the same on the reference re-weighted to the window's inputs: augmented
weighting (Robins, Rotnitzky and Zhao 1994), which is right if the weights are, or if the expectation is. Weights alone
fail where inputs moved to where the reference has few rows, and most of what is rare there is what the model knows
less of: then the model says so itself, by its probabilities. Where it is sure and wrong, the weights say it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from mlops.api.metrics import METRICS
from mlops.statistics.arrays import FloatArray
from mlops.statistics.expected import (
    ExpectedSample,
    Spread,
    added,
    beside,
    expectation,
    jackknife,
    joined,
    sampling_error,
)
from mlops.statistics.metrics import Sample
from mlops.workloads.drift.estimators import GROUPS, PerformanceEstimator, estimator_of
from mlops.workloads.drift.performance import Judged, Labelled, resampling
from mlops.workloads.floor.samples import sample_of

# Of fewer held-out rows nothing can be learnt that ten parts of them agree on.
_MIN_REFERENCE = 200
# Rows times the truths that each may have, which bounds memory and time.
_MAX_TRUTHS = 400_000
# A standard error is known to 5 % of so many.
_REPLICATES = 200
# Degrees of freedom of what is resampled: as good as the normal law.
_MANY = 1000


@dataclass(frozen=True)
class Explained:
    """A drop in two parts, in the metric's unit, positive if worse: that of the inputs, and that of the relation."""

    covariate: Spread
    concept: Spread


def explained(
    labelled: Labelled, judged: Judged, before: pl.DataFrame, after: pl.DataFrame, weights: FloatArray
) -> Explained | None:
    """Split a drop by what is expected of the window's rows `after`, given what is learnt of the reference's `before`.

    `weights` (n,) of `before` make it look like the window. Rows are in order of time. None where nothing can be
    learnt: too few rows, a model without probabilities, or a metric without an expected value.
    """
    if before.height < _MIN_REFERENCE:
        return None
    before, ratio = _thinned(labelled, before, weights)
    after, _ = _thinned(labelled, after, np.ones(after.height))
    try:
        return _explained(labelled, judged, before, after, ratio)
    except ValueError:
        return None


def _explained(
    labelled: Labelled, judged: Judged, before: pl.DataFrame, after: pl.DataFrame, ratio: FloatArray
) -> Explained:
    metric, of = judged.metric, labelled.reference
    known, seen = (sample_of(metric, rows, of.classes, of.costs) for rows in (before, after))
    estimator = estimator_of(labelled.reference, before)
    guess = estimator.expected(metric, after)
    past = _weighted(_out_of_fold(estimator, metric), ratio)
    plan = replace(resampling(after.height, labelled.seed), replicates=_REPLICATES)
    # Draws of their own: the two samples are independent.
    plan_of_past = replace(plan, seed=plan.seed + 1, block=max(2, min(plan.block, before.height // 4)))
    known = Sample(known.y, known.prediction, ratio, known.classes)
    now, error_now = beside(metric, guess, seen, plan)
    then, error_then = beside(metric, past, known, plan_of_past)

    def without(group: int) -> FloatArray:
        expected = (estimator.expected(metric, rows, group) for rows in (after, before))
        window, reference = (expectation(metric, one) for one in (next(expected), _weighted(next(expected), ratio)))
        return np.array([window - reference])

    learnt = (float(jackknife(estimator.groups, without)[0]) ** 2, GROUPS - 1)
    sign = 1.0 if METRICS[metric].higher_is_better else -1.0
    concept = sign * (then - now)
    inputs = sampling_error(metric, guess, plan)
    own = judged.test.reference.standard_error
    return Explained(
        added(judged.test.drop.value - concept, [(own**2 + inputs**2 + error_then**2, _MANY), learnt]),
        added(concept, [(error_now**2 + error_then**2, _MANY), learnt]),
    )


def _out_of_fold(estimator: PerformanceEstimator, metric: str) -> ExpectedSample:
    """What is expected of the reference's own rows, each learnt without its part: what was fitted to a row knows it."""
    names = np.unique(estimator.groups)
    return joined(
        [estimator.expected(metric, estimator.rows.filter(estimator.groups == name), int(name)) for name in names]
    )


def _weighted(expected: ExpectedSample, ratio: FloatArray) -> ExpectedSample:
    one = expected.sample
    assert one.weights is not None
    weights = one.weights * np.repeat(ratio, expected.together)
    return ExpectedSample(Sample(one.y, one.prediction, weights, one.classes), expected.together)


def _thinned(labelled: Labelled, rows: pl.DataFrame, ratio: FloatArray) -> tuple[pl.DataFrame, FloatArray]:
    """Fewer rows of many classes, evenly spread over time, with their weights."""
    most = _MAX_TRUTHS // max(1, len(labelled.reference.classes))
    if rows.height <= most:
        return rows, ratio
    kept = np.arange(most) * rows.height // most
    return rows[kept.tolist()], ratio[kept]
