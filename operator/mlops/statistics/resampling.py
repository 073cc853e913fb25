"""Bootstrap replicates of a metric, vectorised over replicates, in bounded memory.

A replicate draws as many rows as there are, in blocks of consecutive rows (circular block bootstrap, Politis and Romano
1992; blocks of one row are the ordinary bootstrap). Metrics are re-evaluated from sums, cell counts or, for the ROC
area, row counts over scores that were sorted once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mlops.statistics.arrays import FloatArray, IntArray, row_weights
from mlops.statistics.metrics import (
    Sample,
    brier_rows,
    cost_rows,
    log_loss_rows,
    metric_named,
    positive_class,
    scored_classes,
)

_BUDGET = 1 << 19
"""Row draws held at once: 4 MB per temporary array."""


class _Replicator(Protocol):
    def __call__(self, rows: IntArray) -> FloatArray:
        """The metric (b,) on each line of row numbers (b, n); NaN where it is undefined."""


@dataclass(frozen=True)
class Resampling:
    """How to resample: replicates, rows per block (more than one when rows in time depend on each other), and seed."""

    replicates: int = 1000
    block: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.replicates < 2:
            raise ValueError(f"replicates: is {self.replicates}, expected at least 2")
        if self.block < 1:
            raise ValueError(f"block: is {self.block}, expected at least 1 row")
        if self.seed < 0:
            raise ValueError(f"seed: is {self.seed}, expected a whole number >= 0")


def replicate(
    metric: str,
    sample: Sample,
    weightings: list[FloatArray | None],
    plan: Resampling,
    stream: int,
    *,
    together: int = 1,
) -> FloatArray:
    """Replicates (replicates, len(weightings)) of the metric; all weightings see the same draws, hence are paired.

    `stream` separates independent samples under one seed. With blocks of one row the order of the rows does not matter,
    bit for bit; with longer blocks the order of the rows is their order in time. `together` consecutive rows count as
    one, and are drawn as one: the truths that a row without a label may have.
    """
    metric_named(metric)
    every = sample.y.shape[0]
    n = every // together
    if n < 2 or (n + plan.block - 1) // plan.block < 2:
        raise ValueError(f"{metric}: {n} rows are too few for an interval with blocks of {plan.block}; two are needed")
    if plan.block == 1 and together == 1:
        sample, weightings = _canonical(sample, weightings)
    kernels = [_replicator(metric, sample, row_weights(weights, every)) for weights in weightings]
    parts = [
        np.column_stack([kernel(rows) for kernel in kernels])
        for rows in _draws(n, plan, np.random.Generator(np.random.PCG64([plan.seed, stream])), together)
    ]
    return np.concatenate(parts)


def _draws(n: int, plan: Resampling, rng: np.random.Generator, together: int = 1) -> Iterator[IntArray]:
    """Row numbers (b, n * together), b replicates at a time."""
    at_once = max(1, _BUDGET // (n * together))
    blocks = -(-n // plan.block)
    offsets = np.arange(plan.block)
    for first in range(0, plan.replicates, at_once):
        b = min(at_once, plan.replicates - first)
        starts = rng.integers(0, n, size=(b, blocks))
        drawn = starts if plan.block == 1 else ((starts[:, :, None] + offsets) % n).reshape(b, -1)[:, :n]
        yield drawn if together == 1 else (drawn[:, :, None] * together + np.arange(together)).reshape(b, -1)


def _canonical(sample: Sample, weightings: list[FloatArray | None]) -> tuple[Sample, list[FloatArray | None]]:
    """The same rows in an order that depends on their content only."""
    table = sample.prediction if sample.prediction.ndim > 1 else sample.prediction[:, None]
    keys = [w for w in weightings if w is not None]
    keys += [_ranks(table[:, column]) for column in range(table.shape[1])]
    order = np.lexsort([*keys, _ranks(sample.y)])
    moved = Sample(sample.y[order], sample.prediction[order], None, sample.classes)
    return moved, [None if w is None else w[order] for w in weightings]


def _ranks(column: NDArray[Any]) -> NDArray[Any]:
    """The column itself, or whole numbers in the same order where lexsort cannot read it."""
    return column if column.dtype.kind in "biuf" else np.unique(column, return_inverse=True)[1]


def _replicator(metric: str, sample: Sample, weights: FloatArray | None) -> _Replicator:
    reads = metric_named(metric).reads
    if metric == "roc_auc":
        return _roc_auc(sample, weights)
    if reads == "label":
        return _confusion(metric, sample, weights)
    if metric == "r2":
        return _r2(sample, weights)
    return _mean(row_losses(metric, sample), weights, np.sqrt if metric == "rmse" else None)


def row_losses(metric: str, sample: Sample) -> FloatArray:
    """What the metric is the mean of (n,), rmse the root of it; of those that are a mean of rows."""
    if metric == "log_loss":
        return log_loss_rows(sample.y, sample.prediction, sample.classes)
    if metric == "brier":
        return brier_rows(sample.y, sample.prediction, sample.classes)
    if metric == "cost":
        return cost_rows(sample.y, sample.prediction, sample.classes)
    error = np.asarray(sample.y, dtype=np.float64) - np.asarray(sample.prediction, dtype=np.float64)
    return np.abs(error) if metric == "mae" else np.square(error)


def _mean(
    terms: FloatArray, weights: FloatArray | None, finish: Callable[[FloatArray], FloatArray] | None
) -> _Replicator:
    weighted = terms if weights is None else terms * weights

    def mean(rows: IntArray) -> FloatArray:
        total = weighted[rows].sum(axis=1)
        result = total / rows.shape[1] if weights is None else _ratio(total, weights[rows].sum(axis=1))
        return finish(result) if finish else result

    return mean


def _r2(sample: Sample, weights: FloatArray | None) -> _Replicator:
    y = np.asarray(sample.y, dtype=np.float64)
    error = np.square(y - np.asarray(sample.prediction, dtype=np.float64))
    centred = y - y.mean()
    w = np.ones_like(y) if weights is None else weights
    columns = [w, w * centred, w * centred * centred, w * error]

    def r2(rows: IntArray) -> FloatArray:
        mass, first, second, residual = (column[rows].sum(axis=1) for column in columns)
        return 1.0 - _ratio(residual, second - _ratio(first * first, mass))

    return r2


def _confusion(metric: str, sample: Sample, weights: FloatArray | None) -> _Replicator:
    truth, said = sample.y, sample.prediction
    of_one_class = metric == "f1" and not sample.has_several_classes
    if of_one_class:
        positive = positive_class(sample.classes)
        truth, said = truth == positive, said == positive
    names, codes = np.unique(np.concatenate((truth, said)), return_inverse=True)
    k, n = names.shape[0], truth.shape[0]
    cells = codes[:n] * k + codes[n:]

    def from_cells(rows: IntArray) -> FloatArray:
        b = rows.shape[0]
        line = np.arange(b)[:, None] * (k * k)
        drawn = None if weights is None else weights[rows].ravel()
        table = np.bincount((cells[rows] + line).ravel(), weights=drawn, minlength=b * k * k)
        counts = table.astype(np.float64).reshape(b, k, k)
        return _second_class_f1(counts) if of_one_class else _from_confusion(metric, counts)

    if of_one_class and not truth.any() and not said.any():
        return lambda rows: np.zeros(rows.shape[0])
    return from_cells


def _second_class_f1(table: FloatArray) -> FloatArray:
    total = table.sum(axis=2)[:, -1] + table.sum(axis=1)[:, -1]
    return np.where(total > 0, _ratio(2.0 * table[:, -1, -1], np.where(total > 0, total, 1.0)), 0.0)


def _from_confusion(metric: str, table: FloatArray) -> FloatArray:
    hits = table.diagonal(axis1=1, axis2=2)
    true, said = table.sum(axis=2), table.sum(axis=1)
    if metric == "accuracy":
        return _ratio(hits.sum(axis=1), true.sum(axis=1))
    total = true if metric == "balanced_accuracy" else (true + said) / 2.0
    seen = total > 0
    each = np.where(seen, hits / np.where(seen, total, 1.0), 0.0)
    return _ratio(each.sum(axis=1), seen.sum(axis=1).astype(np.float64))


def _roc_auc(sample: Sample, weights: FloatArray | None) -> _Replicator:
    codes, columns = scored_classes(sample.y, sample.prediction, sample.classes)
    problems = [_ScoredProblem.of(codes == code, column, weights) for code, column in columns]
    n = codes.shape[0]

    def auc(rows: IntArray) -> FloatArray:
        b = rows.shape[0]
        line = np.arange(b)[:, None] * n
        counts = np.bincount((rows + line).ravel(), minlength=b * n).reshape(b, n)
        return np.asarray(sum(problem.area(counts) for problem in problems) / len(problems))

    return auc


@dataclass(frozen=True, eq=False)
class _ScoredProblem:
    """One class against the rest: rows by ascending score, and where each positive stands among the negatives."""

    high: IntArray
    low: IntArray
    left: IntArray
    right: IntArray
    weights: FloatArray | None

    @classmethod
    def of(cls, positive: NDArray[np.bool_], score: FloatArray, weights: FloatArray | None) -> _ScoredProblem:
        order = np.argsort(score, kind="stable")
        high, low = order[positive[order]], order[~positive[order]]
        left = score[low].searchsorted(score[high])
        right = score[low].searchsorted(score[high], "right")
        return cls(high, low, left, right, weights)

    def area(self, counts: IntArray) -> FloatArray:
        """The ROC area (b,) under row counts (b, n)."""
        high, low = self._mass(counts, self.high), self._mass(counts, self.low)
        below = np.zeros((counts.shape[0], self.low.shape[0] + 1))
        np.cumsum(low, axis=1, out=below[:, 1:])
        mass = (below[:, self.left] + below[:, self.right]) / 2.0
        return _ratio((high * mass).sum(axis=1), high.sum(axis=1) * below[:, -1])

    def _mass(self, counts: IntArray, rows: IntArray) -> FloatArray:
        drawn = counts[:, rows].astype(np.float64)
        return drawn if self.weights is None else drawn * self.weights[rows]


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Element-wise quotient, NaN where the denominator is not positive."""
    defined = denominator > 0
    return np.where(defined, numerator / np.where(defined, denominator, 1.0), np.nan)
