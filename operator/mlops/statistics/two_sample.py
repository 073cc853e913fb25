"""Did one column move? Distances and tests between a reference sample and a current sample.

Missing values (NaN) never enter a distance: their share is compared apart, by the chi-square test of homogeneity.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from mlops.statistics.arrays import FloatArray, IntArray, non_empty, without_missing
from mlops.statistics.dependence import pooled
from mlops.statistics.kolmogorov import kolmogorov_sf, two_sample_exact_sf
from mlops.statistics.reference import SortedReference, bin_counts
from mlops.statistics.special import chi2_sf

KsMethod = Literal["auto", "exact", "asymptotic"]

_EXACT_PATHS = 10_000
"""Up to this many pairs n * m the exact law of the KS statistic costs no more than the asymptotic one."""

_PSEUDO_COUNT = 0.5

_STRIDE = 64
"""Current values between two that are looked up first, in the search for the KS statistic."""


@dataclass(frozen=True)
class Statistic:
    """A test statistic and the probability of one at least as large when nothing moved."""

    value: float
    pvalue: float


@dataclass(frozen=True)
class NumericComparison:
    """One numeric column, reference against current. All distances are 0 for equal samples.

    `ks` in [0, 1]; `wasserstein` in the column's unit; `wasserstein_normalised` in standard deviations of the reference
    (as Evidently does; infinite when the reference is constant and the current is not); `psi` and `jensen_shannon` over
    the reference's bins. `missing` compares the shares of NaN.
    """

    rows_reference: int
    rows_current: int
    missing_share_reference: float
    missing_share_current: float
    missing: Statistic
    ks: Statistic
    wasserstein: float
    wasserstein_normalised: float
    psi: float
    jensen_shannon: float


@dataclass(frozen=True)
class CategoricalComparison:
    """One categorical column. `unseen_share` is the share of current rows in categories the reference lacks."""

    rows_reference: int
    rows_current: int
    missing_share_reference: float
    missing_share_current: float
    missing: Statistic
    chi_square: Statistic
    degrees_of_freedom: int
    psi: float
    jensen_shannon: float
    unseen_share: float


def compare_numeric(
    reference: SortedReference,
    current: ArrayLike,
    *,
    name: str = "current",
    inflation: tuple[float, float] = (1.0, 1.0),
) -> NumericComparison:
    """All numeric measures in one pass over a sorted reference: only the current window (m,) is sorted here.

    `inflation` is by how much rows of either sample say less than independent ones would (`dependence`). Raises
    ValueError when the window holds infinity or no present value.
    """
    present, missing = without_missing(current, name)
    non_empty(present, name)
    ordered = np.sort(present)
    distance = _ks_integer(reference.values, ordered)
    w1 = _wasserstein_sorted(reference.values, ordered)
    counts = bin_counts(ordered, reference.edges)
    n, m = reference.values.shape[0], ordered.shape[0]
    return NumericComparison(
        rows_reference=n + reference.missing,
        rows_current=m + missing,
        missing_share_reference=reference.missing / (n + reference.missing),
        missing_share_current=missing / (m + missing),
        missing=_missing_test(n, reference.missing, m, missing),
        ks=Statistic(distance / (n * m), _ks_pvalue(n, m, distance, "auto", inflation)),
        wasserstein=w1,
        wasserstein_normalised=_normalised(w1, reference.std),
        psi=population_stability_index(reference.counts, counts),
        jensen_shannon=jensen_shannon(reference.counts, counts),
    )


def compare_categorical(
    reference: Mapping[str, int],
    current: Mapping[str, int],
    *,
    missing_reference: int = 0,
    missing_current: int = 0,
    min_expected: float = 5.0,
    inflation: tuple[float, float] = (1.0, 1.0),
) -> CategoricalComparison:
    """All categorical measures from counts per category (missing rows counted apart).

    `inflation` is by how much rows of either sample say less than independent ones would (`dependence`): the statistic
    is divided by their mean, which is Rao and Scott's first correction (1981).

    For the chi-square test, categories expected less than `min_expected` times in either sample are pooled into one
    cell, since the chi-square law does not hold for rare ones (Cochran's rule). The distances see every category.
    """
    names = sorted(set(reference) | set(current))
    r, c = np.array([[counts.get(name, 0) for name in names] for counts in (reference, current)], dtype=np.int64)
    _check_counts(r, "reference")
    _check_counts(c, "current")
    n, m = int(r.sum()), int(c.sum())
    test, dof = chi_square_homogeneity(*_pool_rare(r, c, min_expected))
    if dof and max(inflation) > 1.0:
        test = Statistic(test.value, chi2_sf(test.value / pooled(inflation[0], n, inflation[1], m), dof))
    return CategoricalComparison(
        rows_reference=n + missing_reference,
        rows_current=m + missing_current,
        missing_share_reference=missing_reference / (n + missing_reference),
        missing_share_current=missing_current / (m + missing_current),
        missing=_missing_test(n, missing_reference, m, missing_current),
        chi_square=test,
        degrees_of_freedom=dof,
        psi=population_stability_index(r, c),
        jensen_shannon=jensen_shannon(r, c),
        unseen_share=float(c[r == 0].sum() / m),
    )


def kolmogorov_smirnov(reference: ArrayLike, current: ArrayLike, *, method: KsMethod = "auto") -> Statistic:
    """Two-sided two-sample Kolmogorov-Smirnov test; NaN are left out, infinity is refused.

    "asymptotic" is scipy's `ks_2samp(method="asymp")`: the one-sample law with round(n m / (n + m)) rows. "exact"
    counts paths (no ties assumed, conservative with ties). "auto" is exact up to 10,000 pairs.
    """
    r, c = _ordered(reference, "reference"), _ordered(current, "current")
    distance = _ks_integer(r, c)
    n, m = r.shape[0], c.shape[0]
    return Statistic(distance / (n * m), _ks_pvalue(n, m, distance, method))


def wasserstein(reference: ArrayLike, current: ArrayLike) -> float:
    """Wasserstein-1 (earth mover's) distance in the unit of the values; NaN are left out, infinity is refused."""
    return _wasserstein_sorted(_ordered(reference, "reference"), _ordered(current, "current"))


def chi_square_homogeneity(reference: ArrayLike, current: ArrayLike) -> tuple[Statistic, int]:
    """Chi-square test that two rows of counts (k,) have one distribution, and its degrees of freedom.

    No continuity correction. Categories absent from both are ignored; with fewer than two left the p-value is 1.
    """
    r, c = _counts(reference, "reference"), _counts(current, "current")
    _same_length(r, c)
    total = (r + c).astype(np.float64)
    kept = total > 0
    r, c, total = r[kept], c[kept], total[kept]
    dof = total.shape[0] - 1
    if dof < 1:
        return Statistic(0.0, 1.0), 0
    n, m = float(r.sum()), float(c.sum())
    deviation = r - total * (n / (n + m))
    # Both rows deviate by the same amount, and 1 / e_r + 1 / e_c = (n + m)^2 / (n m total).
    value = float((deviation * deviation / total).sum() * ((n + m) / n) * ((n + m) / m))
    return Statistic(value, chi2_sf(value, dof)), dof


def jensen_shannon(reference: ArrayLike, current: ArrayLike) -> float:
    """Jensen-Shannon distance (base 2, the square root of the divergence, in [0, 1]) of two rows of counts (k,)."""
    r, c = _counts(reference, "reference"), _counts(current, "current")
    _same_length(r, c)
    p, q = r / r.sum(), c / c.sum()
    middle = (p + q) / 2.0
    divergence = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / (2.0 * math.log(2.0))
    return math.sqrt(min(1.0, max(0.0, divergence)))


def population_stability_index(reference: ArrayLike, current: ArrayLike) -> float:
    """PSI, sum of (q - p) ln(q / p), of two rows of counts (k,); half a row is added to each bin of both samples."""
    r, c = _counts(reference, "reference"), _counts(current, "current")
    _same_length(r, c)
    kept = (r + c) > 0
    extra = _PSEUDO_COUNT * float(kept.sum())
    p = (r[kept] + _PSEUDO_COUNT) / (float(r.sum()) + extra)
    q = (c[kept] + _PSEUDO_COUNT) / (float(c.sum()) + extra)
    return float(((q - p) * np.log(q / p)).sum())


def _ks_integer(r: FloatArray, c: FloatArray) -> int:
    """The KS statistic times n * m, exactly, of two ascending arrays (n,) and (m,).

    Both distribution functions rise, so every `_STRIDE`-th current value bounds them in between: only the stretches
    that could hold the maximum are searched in full.
    """
    m = c.shape[0]
    stops = np.append(np.arange(0, m, _STRIDE), m)
    starts, ends = stops[:-1], stops[1:]
    found = _largest_gap(r, c, starts)
    low, high = _ranks(r, c, starts)[0], _ranks(r, c, ends - 1)[1]
    n = r.shape[0]
    possible = np.maximum(ends * n - low * m, high * m - starts * n)
    open_ = np.flatnonzero(possible > found)
    if open_.shape[0]:
        rows = (starts[open_][:, None] + np.arange(_STRIDE)).ravel()
        found = max(found, _largest_gap(r, c, rows[rows < m]))
    return found


def _largest_gap(r: FloatArray, c: FloatArray, rows: IntArray) -> int:
    """The largest distance of the distribution functions at, or just before, the current values c[rows], times n m."""
    n, m = r.shape[0], c.shape[0]
    below, up_to = _ranks(r, c, rows)
    return int(max(((rows + 1) * n - up_to * m).max(), (below * m - rows * n).max()))


def _ranks(r: FloatArray, c: FloatArray, rows: IntArray) -> tuple[IntArray, IntArray]:
    """How many reference values are < and <= each current value c[rows]."""
    values = c[rows]
    return r.searchsorted(values), r.searchsorted(values, side="right")


def _ks_pvalue(n: int, m: int, distance: int, method: KsMethod, inflation: tuple[float, float] = (1.0, 1.0)) -> float:
    if max(inflation) > 1.0:
        few = max(1, round(n / inflation[0])), max(1, round(m / inflation[1]))
        if few[0] * few[1] <= _EXACT_PATHS:
            return two_sample_exact_sf(*few, math.floor(distance / (n * m) * few[0] * few[1] + 1e-9))
        return kolmogorov_sf(max(1, round(1.0 / (inflation[0] / n + inflation[1] / m))), distance / (n * m))
    if method == "exact" or (method == "auto" and n * m <= _EXACT_PATHS):
        return two_sample_exact_sf(n, m, distance)
    return kolmogorov_sf(max(1, round(n * m / (n + m))), distance / (n * m))


def _wasserstein_sorted(r: FloatArray, c: FloatArray) -> float:
    """The area between two quantile functions, which step only at multiples of 1 / n and 1 / m."""
    n, m = r.shape[0], c.shape[0]
    if n == m:
        return float(np.abs(r - c).sum() / n)
    from_r, from_c, width = _quantile_steps(n, m)
    return float((np.abs(r[from_r] - c[from_c]) * width).sum() / (n * m))


@lru_cache(maxsize=2)
def _quantile_steps(n: int, m: int) -> tuple[IntArray, IntArray, IntArray]:
    """Where both quantile functions are constant: row of each sample, and width in units of 1 / (n m)."""
    steps = np.concatenate((np.arange(1, n + 1) * m, np.arange(1, m + 1) * n))
    steps.sort(kind="stable")
    return (steps - 1) // m, (steps - 1) // n, np.diff(steps, prepend=0)


def _normalised(distance: float, std: float) -> float:
    if distance == 0.0:
        return 0.0
    return distance / std if std > 0.0 else math.inf


def _relative_entropy(p: FloatArray, q: FloatArray) -> float:
    positive = p > 0
    return float((p[positive] * np.log(p[positive] / q[positive])).sum())


def _missing_test(n: int, missing_n: int, m: int, missing_m: int) -> Statistic:
    return chi_square_homogeneity([n, missing_n], [m, missing_m])[0]


def _pool_rare(r: IntArray, c: IntArray, min_expected: float) -> tuple[IntArray, IntArray]:
    """One cell for all rare categories; should even that be rare, the least frequent of the others joins it."""
    n, m = int(r.sum()), int(c.sum())
    order = (r + c).argsort(kind="stable")
    r, c = r[order], c[order]
    expected = (r + c) * (min(n, m) / (n + m))
    pooled = int((expected < min_expected).sum())
    if pooled and float(expected[:pooled].sum()) < min_expected:
        pooled += 1
    if not pooled:
        return r, c
    return np.append(r[pooled:], r[:pooled].sum()), np.append(c[pooled:], c[:pooled].sum())


def _ordered(values: ArrayLike, name: str) -> FloatArray:
    present, _ = without_missing(values, name)
    non_empty(present, name)
    return np.sort(present)


def _counts(counts: ArrayLike, name: str) -> IntArray:
    array = np.asarray(counts)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(f"{name}: expected one row of whole counts, got {array.dtype} with {array.ndim} dimensions")
    result = np.asarray(array, dtype=np.int64)
    _check_counts(result, name)
    return result


def _check_counts(counts: IntArray, name: str) -> None:
    if (counts < 0).any():
        raise ValueError(f"{name}: holds negative counts")
    if not counts.any():
        raise ValueError(f"{name}: is empty; at least one row must be counted")


def _same_length(r: IntArray, c: IntArray) -> None:
    if r.shape != c.shape:
        raise ValueError(f"current: has {c.shape[0]} categories, the reference {r.shape[0]}")
