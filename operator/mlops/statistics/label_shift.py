"""Did the class balance move, and by how much, with or without labels on the current window?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mlops.statistics.arrays import FloatArray
from mlops.statistics.metrics import Label
from mlops.statistics.two_sample import Statistic, chi_square_homogeneity, jensen_shannon


@dataclass(frozen=True)
class LabelCounts:
    """Chi-square and Jensen-Shannon distance of two class balances; `ratio` is current share / reference share."""

    chi_square: Statistic
    degrees_of_freedom: int
    jensen_shannon: float
    ratio: Mapping[Label, float]


@dataclass(frozen=True, eq=False)
class BlackBoxShift:
    """Estimated class ratios current / reference (k,), the class shares (k,) they imply, and how far to trust them.

    `condition` is the condition number of the confusion matrix: the factor by which sampling error grows.
    """

    weights: FloatArray
    shares: FloatArray
    condition: float


def compare_labels(reference: Mapping[Label, int], current: Mapping[Label, int]) -> LabelCounts:
    """Compare labels counted per class. A class that the reference lacks has ratio infinity."""
    names = sorted(set(reference) | set(current), key=lambda label: (type(label).__name__, str(label)))
    r = np.array([reference.get(name, 0) for name in names], dtype=np.int64)
    c = np.array([current.get(name, 0) for name in names], dtype=np.int64)
    test, dof = chi_square_homogeneity(r, c)
    shares = c / c.sum() / np.where(r > 0, r / r.sum(), np.nan)
    ratio = {name: float(share) if np.isfinite(share) else np.inf for name, share in zip(names, shares, strict=True)}
    return LabelCounts(test, dof, jensen_shannon(r, c), ratio)


def black_box_shift(confusion: ArrayLike, predicted: ArrayLike) -> BlackBoxShift:
    """BBSE (Lipton, Wang and Smola 2018): class weights without current labels.

    `confusion` (k, k) holds held-out reference rows per (true, predicted) class, `predicted` (k,) the current rows per
    predicted class. Valid when only the class balance moved. Negative solutions are cut to 0 and the rest rescaled.
    Raises ValueError when a class has no row or the classifier cannot tell the classes apart (singular matrix).
    """
    table, counts = np.asarray(confusion, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    k = table.shape[0]
    if table.shape != (k, k) or counts.shape != (k,):
        raise ValueError(f"confusion: has shape {table.shape}, predicted {counts.shape}; expected (k, k) and (k,)")
    if not (np.isfinite(table).all() and np.isfinite(counts).all()) or (table < 0).any() or (counts < 0).any():
        raise ValueError("confusion: counts must be finite and >= 0")
    if (table.sum(axis=1) == 0).any() or counts.sum() == 0:
        raise ValueError("confusion: a class has no reference row, or the window no prediction")
    joint = (table / table.sum()).T
    condition = float(np.linalg.cond(joint))
    if not condition < 1e8:
        raise ValueError("confusion: is singular; the predictions do not tell the classes apart")
    prior = joint.sum(axis=0)
    weights = np.maximum(np.linalg.solve(joint, counts / counts.sum()), 0.0)
    weights = weights / float((weights * prior).sum())
    return BlackBoxShift(weights, weights * prior, condition)
