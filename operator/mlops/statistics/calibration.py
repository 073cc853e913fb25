"""From a model's probabilities to ones that come true: of rows with 0.8, eight of ten are of the class.

Each class is calibrated against the rest, by Platt's logistic curve of the log-odds (a slope of one is no correction)
or by isotonic regression, whichever has the smaller squared error (Brier score, a proper score) on rows that it was
not fitted to; of many rows by isotonic regression, which takes no shape for granted. Probabilities are never taken for
calibrated: a score tells a curve that is a hundredth off from none on no fewer than tens of thousands of rows.
Curves are fitted to counts per distinct probability, so the order of the rows does not matter, bit for bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mlops.statistics.arrays import BoolArray, FloatArray, IntArray, finite_vector, non_empty, ordered_sum

Method = Literal["Platt", "isotonic"]
# Of equals the first is taken.
METHODS: tuple[Method, ...] = ("Platt", "isotonic")
# From so many rows on isotonic regression is off by less than the shape of a logistic curve is.
MANY_ROWS = 5_000
# Log-odds are taken of probabilities within this and one minus it.
_EDGE = 1e-6
_STEPS = 100
_CLOSE = 1e-10


@dataclass(frozen=True, eq=False)
class Curve:
    """How a probability is corrected: through `points` (m,) to `values` (m,), straight in between and level outside,
    or a logistic curve of the log-odds."""

    method: Method
    points: FloatArray | None = None
    values: FloatArray | None = None
    slope: float = 1.0
    intercept: float = 0.0

    def __call__(self, probability: FloatArray) -> FloatArray:
        """The corrected probabilities (n,)."""
        if self.method == "isotonic":
            assert self.points is not None
            assert self.values is not None
            return np.asarray(np.interp(probability, self.points, self.values))
        return _logistic(self.slope * _log_odds(probability) + self.intercept)


@dataclass(frozen=True, eq=False)
class Calibration:
    """One curve for the second of two classes, or one per class."""

    curves: tuple[Curve, ...]

    def __call__(self, probability: FloatArray) -> FloatArray:
        """Of probabilities (n,) or (n, k), those of all classes (n, k) that come true; they add up to one."""
        if probability.ndim == 1:
            second = self.curves[0](probability)
            return np.column_stack((1.0 - second, second))
        table = np.column_stack([curve(probability[:, code]) for code, curve in enumerate(self.curves)])
        total = table.sum(axis=1, keepdims=True)
        uniform = np.full_like(table, 1.0 / table.shape[1])
        return np.asarray(np.divide(table, total, out=uniform, where=total > 0.0))


def calibrate(probability: FloatArray, codes: IntArray, methods: tuple[Method, ...]) -> Calibration:
    """Fit to probabilities (n,) of the second of two classes, or (n, k), and the rows' classes, codes (n,) from 0.

    `methods` has one entry per curve. Raises ValueError when a class has no row, or all.
    """
    columns = [(1, probability)] if probability.ndim == 1 else list(enumerate(probability.T))
    curves = []
    for method, (code, column) in zip(methods, columns, strict=True):
        scores, is_class = finite_vector(column, "probability"), codes == code
        non_empty(scores, "probability")
        if not is_class.any() or is_class.all():
            raise ValueError("y: a class has no row, or all; its probabilities cannot be calibrated")
        curves.append(fit(method, scores, is_class))
    return Calibration(tuple(curves))


def best_methods(probability: FloatArray, codes: IntArray, fold: IntArray) -> tuple[Method, ...]:
    """The method, one for all curves, with the smallest squared error of held-out folds; isotonic for MANY_ROWS.

    `fold` (n,) says which rows are held out together.
    """
    curves = probability.shape[1] if probability.ndim > 1 else 1
    choices: dict[Method, tuple[Method, ...]] = {method: (method,) * curves for method in METHODS}
    if codes.shape[0] >= MANY_ROWS:
        return choices["isotonic"]
    truth = np.eye(max(2, curves))[codes]
    errors = []
    for methods in choices.values():
        corrected = np.empty_like(truth)
        for number in np.unique(fold):
            held = fold == number
            corrected[held] = calibrate(probability[~held], codes[~held], methods)(probability[held])
        errors.append(ordered_sum(np.square(corrected - truth).sum(axis=1)))
    return choices[METHODS[int(np.argmin(errors))]]


def fit(method: Method, probability: FloatArray, is_class: BoolArray) -> Curve:
    """Fit one curve to probabilities (n,) and whether each row is of the class (n,)."""
    points, inverse = np.unique(probability, return_inverse=True)
    rows = np.bincount(inverse, minlength=points.shape[0])
    hits = np.bincount(inverse[is_class], minlength=points.shape[0])
    if method == "isotonic":
        return Curve("isotonic", points, isotonic(hits, rows))
    slope, intercept = platt(points, hits, rows)
    return Curve("Platt", slope=slope, intercept=intercept)


def isotonic(hits: IntArray, rows: IntArray) -> FloatArray:
    """The shares (m,), rising, that are nearest to hits/rows by squares: pool adjacent violators (Barlow et al. 1972).

    Whole numbers are compared, so the pools are exact.
    """
    pooled: list[list[int]] = []
    for hit, row in zip(hits.tolist(), rows.tolist(), strict=True):
        pooled.append([hit, row, 1])
        while len(pooled) > 1 and pooled[-2][0] * pooled[-1][1] >= pooled[-1][0] * pooled[-2][1]:
            last = pooled.pop()
            pooled[-1] = [mine + theirs for mine, theirs in zip(pooled[-1], last, strict=True)]
    table = np.array(pooled, dtype=np.int64)
    return np.repeat(table[:, 0] / table[:, 1], table[:, 2])


def platt(points: FloatArray, hits: IntArray, rows: IntArray) -> tuple[float, float]:
    """Slope and intercept of the logistic curve of log-odds, by Newton's method on Platt's targets (1999).

    The targets are a little less than one and more than zero, so classes that are told apart without error have a
    finite slope too.
    """
    yes, no = int(hits.sum()), int((rows - hits).sum())
    wanted = hits * ((yes + 1.0) / (yes + 2.0)) + (rows - hits) / (no + 2.0)
    design = np.column_stack((_log_odds(points), np.ones(points.shape[0])))
    at = np.array([0.0, math.log((yes + 1.0) / (no + 1.0))])
    loss = _deviance(design @ at, wanted, rows)
    for _ in range(_STEPS):
        share = _logistic(design @ at)
        slope = design.T @ (rows * share - wanted)
        curvature = (design * (rows * share * (1.0 - share))[:, None]).T @ design
        step = np.linalg.solve(curvature + 1e-12 * np.trace(curvature) * np.eye(2), slope)
        while (new := _deviance(design @ (at - step), wanted, rows)) > loss and np.abs(step).max() > _CLOSE:
            step = step / 2.0
        at, loss = at - step, min(loss, new)
        if np.abs(step).max() <= _CLOSE * (1.0 + np.abs(at).max()):
            break
    return float(at[0]), float(at[1])


def _log_odds(probability: FloatArray) -> FloatArray:
    inside = np.clip(probability, _EDGE, 1.0 - _EDGE)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def _logistic(value: FloatArray) -> FloatArray:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * value)))


def _deviance(value: FloatArray, wanted: FloatArray, rows: IntArray) -> float:
    return float((rows * np.logaddexp(0.0, value) - wanted * value).sum())
