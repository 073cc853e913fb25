"""Intervals for a metric, for a drop between two samples, and for the parts of a drop.

A drop is positive when the current sample is worse, whatever way the metric points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mlops.statistics.arrays import FloatArray, checked_weights
from mlops.statistics.metrics import Sample, evaluate, metric_named
from mlops.statistics.resampling import Resampling, replicate
from mlops.statistics.special import normal_sf


@dataclass(frozen=True)
class Interval:
    """An estimate with its percentile bootstrap interval.

    `undefined` counts the replicates that had no value (a class without a row); they are left out.
    """

    value: float
    low: float
    high: float
    standard_error: float
    level: float
    replicates: int
    undefined: int


@dataclass(frozen=True)
class DropTest:
    """Is the metric worse by more than `min_drop`? `z` counts standard errors beyond it, `pvalue` is one-sided."""

    reference: Interval
    current: Interval
    drop: Interval
    min_drop: float
    z: float
    pvalue: float


@dataclass(frozen=True)
class AttributedDrop:
    """A drop from the reference (A) to the current sample (C), split at the re-weighted reference (B).

    `covariate` is A to B: other inputs, same relation. `concept` is B to C: same inputs, other relation. Their values
    add up to `total`. `z` and `pvalue` ask whether the concept part exceeds `min_drop`.
    """

    total: Interval
    covariate: Interval
    concept: Interval
    reweighted: Interval
    min_drop: float
    z: float
    pvalue: float


def metric_interval(metric: str, sample: Sample, plan: Resampling, *, level: float = 0.95) -> Interval:
    """The metric on `sample` with its interval. Raises ValueError on fewer than two rows or blocks."""
    draws = replicate(metric, sample, [sample.weights], plan, stream=0)[:, 0]
    return _interval(evaluate(metric, sample), draws, level)


def drop_test(
    metric: str, reference: Sample, current: Sample, plan: Resampling, *, min_drop: float = 0.0, level: float = 0.95
) -> DropTest:
    """Compare the metric on two independent samples.

    The test is the normal one on the bootstrap standard error of the difference; with no spread in either sample the
    p-value is 0 or 1 as the drop is beyond `min_drop` or not.
    """
    before = replicate(metric, reference, [reference.weights], plan, stream=0)[:, 0]
    after = replicate(metric, current, [current.weights], plan, stream=1)[:, 0]
    value_before, value_after = evaluate(metric, reference), evaluate(metric, current)
    sign = 1.0 if metric_named(metric).higher_is_better else -1.0
    drop = _interval(sign * (value_before - value_after), sign * (before - after), level)
    z, pvalue = _beyond(drop, min_drop)
    return DropTest(
        _interval(value_before, before, level), _interval(value_after, after, level), drop, min_drop, z, pvalue
    )


def attribute_drop(
    metric: str,
    reference: Sample,
    current: Sample,
    importance: FloatArray,
    plan: Resampling,
    *,
    min_drop: float = 0.0,
    level: float = 0.95,
) -> AttributedDrop:
    """Split the drop by `importance` (n,), the weights that make the reference rows look like the current inputs.

    A and B are evaluated on the same draws of reference rows, C on independent draws. The weights are taken as given:
    the interval does not include the error of their estimation. Meaningful only where the samples overlap.
    """
    ratio = checked_weights(importance, reference.y.shape[0], "importance")
    reweighted = ratio if reference.weights is None else ratio * reference.weights
    pair = replicate(metric, reference, [reference.weights, reweighted], plan, stream=0)
    after = replicate(metric, current, [current.weights], plan, stream=1)[:, 0]
    a = evaluate(metric, reference)
    b = evaluate(metric, Sample(reference.y, reference.prediction, reweighted, reference.classes))
    c = evaluate(metric, current)
    sign = 1.0 if metric_named(metric).higher_is_better else -1.0
    concept = _interval(sign * (b - c), sign * (pair[:, 1] - after), level)
    z, pvalue = _beyond(concept, min_drop)
    return AttributedDrop(
        total=_interval(sign * (a - c), sign * (pair[:, 0] - after), level),
        covariate=_interval(sign * (a - b), sign * (pair[:, 0] - pair[:, 1]), level),
        concept=concept,
        reweighted=_interval(b, pair[:, 1], level),
        min_drop=min_drop,
        z=z,
        pvalue=pvalue,
    )


def _interval(value: float, draws: FloatArray, level: float) -> Interval:
    if not 0.0 < level < 1.0:
        raise ValueError(f"level: is {level}, expected a number between 0 and 1")
    defined = draws[~np.isnan(draws)]
    if defined.shape[0] < max(2, draws.shape[0] // 2):
        raise ValueError("y: a class has too few rows for an interval; most resamples do not contain it")
    low, high = np.quantile(defined, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(
        value=value,
        low=float(low),
        high=float(high),
        standard_error=float(defined.std(ddof=1)),
        level=level,
        replicates=draws.shape[0],
        undefined=draws.shape[0] - defined.shape[0],
    )


def _beyond(drop: Interval, min_drop: float) -> tuple[float, float]:
    excess = drop.value - min_drop
    if drop.standard_error == 0.0:
        return (math.inf, 0.0) if excess > 0.0 else (-math.inf, 1.0)
    z = excess / drop.standard_error
    return z, normal_sf(z)
