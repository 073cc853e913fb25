"""Corrections for many tests at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mlops.statistics.arrays import FloatArray, finite_vector


def benjamini_hochberg(pvalues: ArrayLike) -> FloatArray:
    """Adjusted p-values (k,): rejecting those <= alpha keeps the false discovery rate at or below alpha.

    For independent or positively dependent tests (Benjamini and Hochberg 1995); equals
    `scipy.stats.false_discovery_control`.
    """
    p = _pvalues(pvalues)
    k = p.shape[0]
    order = np.argsort(-p, kind="stable")
    scaled = p[order] * (k / np.arange(k, 0, -1))
    return _restored(np.minimum.accumulate(scaled), order)


def bonferroni(pvalues: ArrayLike) -> FloatArray:
    """Adjusted p-values (k,), each times k: the family-wise error under any dependence."""
    p = _pvalues(pvalues)
    return np.asarray(np.minimum(1.0, p * p.shape[0]))


def _pvalues(pvalues: ArrayLike) -> FloatArray:
    p = finite_vector(pvalues, "pvalues")
    if ((p < 0) | (p > 1)).any():
        raise ValueError("pvalues: must lie between 0 and 1")
    return p


def _restored(adjusted: FloatArray, order: np.ndarray[tuple[int], np.dtype[np.intp]]) -> FloatArray:
    result = np.empty_like(adjusted)
    result[order] = adjusted
    return result
