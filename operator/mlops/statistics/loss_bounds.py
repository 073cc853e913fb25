"""By how much a metric is worse on one sample than on another, with bounds far out in the tails.

Percentiles of a bootstrap end where its replicates do, and say nothing of what no row has shown yet: of 100 rows that
are all answered well every replicate is perfect. So each bound is the bootstrap's standard error times Student's
quantile, and beyond it what rows may do that are too rare to have come: with a probability of at most p none came of
a kind that makes ln(1/p) / n of all rows. Of Bernstein's bound (Maurer and Pontil 2009) it is the second term, by its
value for rows that never came.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from mlops.statistics.arrays import FloatArray
from mlops.statistics.metrics import Sample, evaluate, metric_named, positive_class
from mlops.statistics.resampling import Resampling, replicate, row_losses
from mlops.statistics.special import student_isf

# Student's law with more degrees of freedom is the normal one.
_MOST_FREEDOMS = 1000


@dataclass(frozen=True)
class LossBounds:
    """The metric on both samples, by how much the second is worse, and how far the truth may be from that: what
    resampling says, and what rows that never came may do."""

    first: float
    second: float
    value: float
    sampled: float
    unseen: float

    @property
    def low(self) -> float:
        """Lower bound of the loss."""
        return self.value - self.sampled - self.unseen

    @property
    def high(self) -> float:
        """Upper bound of the loss."""
        return self.value + self.sampled + self.unseen


def loss_bounds(
    metric: str, first: Sample, second: Sample, plan: Resampling, tail: float, *, paired: bool = False
) -> LossBounds:
    """Return how much worse `second` is, whatever way the metric points; each bound is to miss with at most `tail`.

    `paired`: row i of both is one request. Both samples are in the order of their time. Raises ValueError where the
    metric is not defined, or most resamples lack a class.
    """
    sign = 1.0 if metric_named(metric).higher_is_better else -1.0
    before, after = evaluate(metric, first), evaluate(metric, second)
    # Blocks of more than one row keep the order of the rows: pairs then stay pairs.
    plan = replace(plan, block=max(2, plan.block))
    draws = [
        replicate(metric, sample, [None], plan, stream=0 if paired else stream)[:, 0]
        for stream, sample in enumerate((first, second))
    ]
    error = _standard_error(sign * (draws[0] - draws[1]))
    blocks = min(first.y.shape[0], second.y.shape[0]) // plan.block
    quantile = student_isf(tail, max(1, min(blocks - 1, _MOST_FREEDOMS)))
    reaches = [reach(metric, sample) for sample in (first, second)]
    unseen = -math.log(tail) * (max(reaches) if paired else sum(reaches))
    return LossBounds(before, after, sign * (before - after), quantile * error, unseen)


def reach(metric: str, sample: Sample) -> float:
    """Return how far one more row may move the metric: a row as bad as can be, or as the worst that came."""
    rows = len(sample.y)
    if metric == "accuracy":
        return 1.0 / rows
    if metric == "brier":
        return (2.0 if sample.has_several_classes else 1.0) / rows
    if metric in ("roc_auc", "balanced_accuracy", "f1"):
        return _reach_of_classes(metric, sample)
    # Of r2 the squares, over the variance of the truth.
    losses = row_losses("rmse" if metric == "r2" else metric, sample)
    widest = float(losses.max()) - min(0.0, float(losses.min()))
    if metric == "r2":
        spread = float(np.var(np.asarray(sample.y, dtype=np.float64)))
        return widest / (rows * spread) if spread else 0.0
    if metric == "rmse":
        root = math.sqrt(float(losses.mean()))
        return widest / (2.0 * root * rows) if root else 0.0
    return widest / rows


def _reach_of_classes(metric: str, sample: Sample) -> float:
    """Of a metric of classes: a row counts as one of its class's rows."""
    names, counted = np.unique(sample.y, return_counts=True)
    of_class = [int(each) for each in counted]
    rows = sum(of_class)
    if metric == "roc_auc":
        each = [1.0 / max(1, min(one, rows - one)) for one in of_class]
        return max(each) if len(each) == 2 else sum(each) / len(each)
    if metric == "balanced_accuracy":
        return 1.0 / (min(of_class) * len(of_class))
    if sample.has_several_classes:
        said = [int(np.count_nonzero(sample.prediction == name)) for name in names]
        return max(2.0 / (one + other) for one, other in zip(of_class, said, strict=True)) / len(said)
    positive = positive_class(sample.classes)
    either = int(np.count_nonzero(sample.y == positive)) + int(np.count_nonzero(sample.prediction == positive))
    return 2.0 / max(1, either)


def _standard_error(draws: FloatArray) -> float:
    defined = draws[np.isfinite(draws)]
    if defined.shape[0] < max(2, draws.shape[0] // 2):
        raise ValueError("y: a class has too few rows for an interval; most resamples do not contain it")
    return float(defined.std(ddof=1))
