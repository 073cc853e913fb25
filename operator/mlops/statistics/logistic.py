"""A small ridge-penalised logistic regression, deterministic and independent of row order, with cross-fitting.

It serves as the domain classifier (is this row reference or current?) and for residual tests. Not a model to ship.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mlops.statistics.arrays import BoolArray, FloatArray, IntArray, non_empty, row_weights

_STEPS = 100
_TOLERANCE = 1e-10


@dataclass(frozen=True, eq=False)
class LogisticRegression:
    """Fitted coefficients (d,) and intercept, for inputs in their own units."""

    coefficients: FloatArray
    intercept: float

    def probability(self, inputs: ArrayLike) -> FloatArray:
        """P(target is true) per row (n,) of `inputs` (n, d)."""
        table = _table(inputs)
        if table.shape[1] != self.coefficients.shape[0]:
            raise ValueError(f"inputs: has {table.shape[1]} columns, fitted on {self.coefficients.shape[0]}")
        return _sigmoid((table * self.coefficients).sum(axis=1) + self.intercept)


def fit_logistic(
    inputs: ArrayLike, target: ArrayLike, *, penalty: float = 1.0, weights: ArrayLike | None = None
) -> LogisticRegression:
    """Minimise log-loss sum plus `penalty` / 2 times the squared coefficients of the standardised inputs.

    `inputs` (n, d) finite, `target` (n,) of booleans with both values present. Newton steps with halving (IRLS); the
    intercept is not penalised. Equals scikit-learn's `LogisticRegression(C=1 / penalty)` on standardised inputs. Rows
    are sorted first, so their order does not matter. Raises ValueError on NaN, one class only or penalty <= 0.
    """
    if not penalty > 0:
        raise ValueError(f"penalty: is {penalty}, expected a positive number")
    table, truth = _table(inputs), np.asarray(target, dtype=np.bool_)
    if truth.shape != (table.shape[0],):
        raise ValueError(f"target: has shape {truth.shape}, expected ({table.shape[0]},)")
    if truth.all() or not truth.any():
        raise ValueError("target: has one class only; both are needed")
    w = row_weights(weights, table.shape[0])
    w = np.ones(table.shape[0]) if w is None else w
    order = np.lexsort([w, *table.T, truth])
    table, truth, w = table[order], truth[order], w[order]
    centre, scale = _moments(table)
    design = np.column_stack((np.ones(table.shape[0]), (table - centre) / scale))
    ridge = np.concatenate(([0.0], np.full(table.shape[1], penalty)))
    beta = _newton(design, truth.astype(np.float64), w, ridge)
    coefficients = beta[1:] / scale
    return LogisticRegression(coefficients, float(beta[0] - (coefficients * centre).sum()))


def cross_fitted_probability(
    inputs: ArrayLike, target: ArrayLike, *, folds: int = 5, penalty: float = 1.0, seed: int = 0
) -> FloatArray:
    """Out-of-fold P(target is true) per row (n,): each row is scored by a model that did not see it.

    Equal rows share a fold, so that none is scored by a model that saw its twin, and the result does not depend on the
    order of rows. Raises ValueError when a class has too few distinct rows to be present outside every fold.
    """
    table, truth = _table(inputs), np.asarray(target, dtype=np.bool_)
    fold = fold_of_rows(table, truth, folds=folds, seed=seed)
    result = np.empty(table.shape[0])
    for index in range(folds):
        held = fold == index
        result[held] = fit_logistic(table[~held], truth[~held], penalty=penalty).probability(table[held])
    return result


def fold_of_rows(inputs: FloatArray, target: BoolArray, *, folds: int, seed: int) -> IntArray:
    """Fold number (n,) of each row, drawn by content and stratified by target."""
    if folds < 2:
        raise ValueError(f"folds: is {folds}, expected at least 2")
    distinct, group = np.unique(inputs, axis=0, return_inverse=True)
    group = group.reshape(-1)
    positive = np.zeros(distinct.shape[0], dtype=np.bool_)
    positive[group[target]] = True
    rng = np.random.Generator(np.random.PCG64(seed))
    assigned = np.empty(distinct.shape[0], dtype=np.int64)
    for stratum in (positive, ~positive):
        members = np.flatnonzero(stratum)
        assigned[members] = rng.permutation(np.arange(members.shape[0]) % folds)
    fold = np.asarray(assigned[group])
    for index in range(folds):
        seen = target[fold != index]
        if seen.all() or not seen.any():
            raise ValueError(f"target: too few distinct rows of a class for {folds} folds; one would miss the class")
    return fold


def _newton(design: FloatArray, truth: FloatArray, weights: FloatArray, ridge: FloatArray) -> FloatArray:
    beta = np.zeros(design.shape[1])
    loss = _loss(design, truth, weights, ridge, beta)
    for _ in range(_STEPS):
        p = _sigmoid(np.einsum("nd,d->n", design, beta))
        gradient = np.einsum("nd,n->d", design, weights * (p - truth)) + ridge * beta
        curvature = np.einsum("nd,ne->de", design * (weights * p * (1.0 - p))[:, None], design)
        step = np.linalg.solve(curvature + np.diag(np.maximum(ridge, 1e-12)), gradient)
        factor = 1.0
        while (better := _loss(design, truth, weights, ridge, beta - factor * step)) > loss and factor > 1e-8:
            factor /= 2.0
        beta = beta - factor * step
        if float(np.abs(gradient * step).sum()) <= _TOLERANCE * max(1.0, abs(loss)):
            break
        loss = better
    return beta


def _loss(design: FloatArray, truth: FloatArray, weights: FloatArray, ridge: FloatArray, beta: FloatArray) -> float:
    logit = np.einsum("nd,d->n", design, beta)
    return float((weights * (np.logaddexp(0.0, logit) - truth * logit)).sum() + (ridge * beta * beta).sum() / 2.0)


def _sigmoid(logit: FloatArray) -> FloatArray:
    return np.asarray(np.exp(-np.logaddexp(0.0, -logit)))


def _moments(table: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation per column; a constant column gets scale 1."""
    scale = table.std(axis=0)
    return table.mean(axis=0), np.where(np.ptp(table, axis=0) > 0, np.where(scale > 0, scale, 1.0), 1.0)


def _table(inputs: ArrayLike) -> FloatArray:
    table = np.asarray(inputs, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] == 0:
        raise ValueError(f"inputs: has shape {table.shape}, expected rows and at least one column")
    non_empty(table, "inputs")
    if not np.isfinite(table).all():
        raise ValueError("inputs: holds NaN or infinity; impute first")
    return table + 0.0  # -0.0 becomes 0.0: one value, one set of bits
