"""Importance weights that make reference rows look like current ones, and whether the two windows overlap at all.

By Bayes' rule the density ratio current / reference at a row is the odds of a domain classifier that it is current,
times the ratio of sample sizes (Sugiyama, Suzuki and Kanamori 2012, chapter 4). The probabilities must be out-of-fold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mlops.statistics.arrays import FloatArray, checked_weights, finite_vector, non_empty, ordered_sum
from mlops.statistics.metrics import roc_auc


@dataclass(frozen=True)
class Overlap:
    """Can performance under the current inputs be read off the reference?

    `ess` is the effective sample size of the weights in rows (Kish), `ess_share` its share of the reference rows;
    `domain_auc` how well current is told from reference (0.5: not at all); `clipped_share` the share of reference rows
    whose weight was cut. Not `identifiable` means: an attribution would be made up.
    """

    identifiable: bool
    ess: float
    ess_share: float
    domain_auc: float
    clipped_share: float


@dataclass(frozen=True, eq=False)
class ImportanceWeights:
    """Weights (n,) of the reference rows in their given order, with mean 1, and the verdict on the overlap."""

    weights: FloatArray
    overlap: Overlap


def importance_weights(
    reference_probability: ArrayLike,
    current_probability: ArrayLike,
    *,
    clip: float = 50.0,
    min_ess: float = 100.0,
    min_ess_share: float = 0.1,
    max_domain_auc: float = 0.95,
) -> ImportanceWeights:
    """From out-of-fold probabilities "this row is current" of the reference rows (n,) and the current rows (m,).

    Density ratios above `clip` are cut to it: a few rows with huge weights would otherwise decide alone. The windows
    overlap when at least `min_ess` effective rows and `min_ess_share` of the reference remain and the domain AUC is at
    most `max_domain_auc`.
    """
    p, q = (
        _probability(reference_probability, "reference_probability"),
        _probability(current_probability, "current_probability"),
    )
    if not clip > 0:
        raise ValueError(f"clip: is {clip}, expected a positive number")
    with np.errstate(divide="ignore"):
        ratio = p / (1.0 - p) * (p.shape[0] / q.shape[0])
    clipped = np.minimum(ratio, clip)
    total = ordered_sum(clipped)
    if total == 0.0:
        weights = np.ones_like(clipped)
        ess = 0.0
    else:
        weights = clipped * (clipped.shape[0] / total)
        ess = effective_sample_size(weights)
    is_current = np.repeat([0, 1], [p.shape[0], q.shape[0]])
    domain_auc = roc_auc(is_current, np.concatenate((p, q)))
    share = ess / p.shape[0]
    return ImportanceWeights(
        weights,
        Overlap(
            identifiable=ess >= min_ess and share >= min_ess_share and domain_auc <= max_domain_auc,
            ess=ess,
            ess_share=share,
            domain_auc=domain_auc,
            clipped_share=float((ratio > clip).mean()),
        ),
    )


def effective_sample_size(weights: ArrayLike) -> float:
    """Kish's (sum w)^2 / sum w^2 of weights (n,): how many equally weighted rows carry as much information."""
    array = np.asarray(weights, dtype=np.float64)
    non_empty(array, "weights")
    w = checked_weights(array, array.shape[0], "weights")
    w = w / w.max()
    return ordered_sum(w) ** 2 / ordered_sum(w * w)


def _probability(values: ArrayLike, name: str) -> FloatArray:
    p = finite_vector(values, name)
    non_empty(p, name)
    if ((p < 0) | (p > 1)).any():
        raise ValueError(f"{name}: must lie between 0 and 1")
    return p
