"""How far a quantile of one sample is above that of another, of times that were counted in buckets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mlops.statistics.arrays import FloatArray
from mlops.statistics.proportion import shares_of_tail
from mlops.statistics.special import beta_cdf


@dataclass(frozen=True)
class QuantileBounds:
    """Upper bound of the bucket that holds the quantile of the sample, and what the true quantile lies between."""

    value: float
    low: float
    high: float


def quantile_bounds(
    counts: FloatArray, bounds: FloatArray, share: float, tail: float, inflation: float = 1.0
) -> QuantileBounds:
    """Return the quantile of times of which `counts` (k,) fell into buckets up to `bounds` (k,), ascending; numbers of
    times that are weighed need not be whole.

    Each bound misses with a probability of at most `tail`: it is that of an order statistic, which the binomial law
    gives (Hahn and Meeker 1991, 5.2), widened to the end of its bucket. The last bucket holds all above, too: a bound
    in it is infinite. Of times that come in bursts (`dependence.between_counts`) so many say as much as one. Raises
    ValueError without a time.
    """
    total = float(counts.sum())
    if total <= 0.0:
        raise ValueError("counts: is empty; at least one time must be counted")
    up_to = np.cumsum(counts)
    independent = max(1, int(total / inflation))
    # So many of all lie below the quantile, and so many above it, but for the tail.
    below, above = (_fewest(independent, one, tail) for one in (share, 1.0 - share))

    def bucket(rank: float) -> int:
        return min(int(up_to.searchsorted(rank)), len(bounds) - 1)

    found, low, high = bucket(share * total), 0.0, math.inf
    if below and (last := bucket(below * total / independent)):
        low = float(bounds[last - 1])
    if above and (last := bucket((independent - above + 1) * total / independent)) < len(bounds) - 1:
        high = float(bounds[last])
    return QuantileBounds(float(bounds[found]), low, high)


def ratio_bounds(
    first: FloatArray,
    second: FloatArray,
    bounds: FloatArray,
    share: float,
    tail: float,
    inflations: tuple[float, float] = (1.0, 1.0),
) -> tuple[QuantileBounds, QuantileBounds, float, float]:
    """Return both quantiles, and the bounds of the second in units of the first, each of which misses with a
    probability of at most `tail`: the two samples share it."""
    sizes = [float(counts.sum()) / inflation for counts, inflation in zip((first, second), inflations, strict=True)]
    of_first, of_second = shares_of_tail(sizes[0], sizes[1], tail)
    one = quantile_bounds(first, bounds, share, of_first, inflations[0])
    other = quantile_bounds(second, bounds, share, of_second, inflations[1])
    low = other.low / one.high if one.high < math.inf else 0.0
    high = other.high / one.low if one.low > 0.0 else math.inf
    return one, other, low, high


@lru_cache(maxsize=1 << 12)
def _fewest(total: int, share: float, tail: float) -> int:
    """Return the largest k of which fewer than k of `total` rows of this share come with at most `tail`; 0 if none."""
    low, high = 0, total + 1
    while high - low > 1:
        middle = (low + high) // 2
        fewer = beta_cdf(1.0 - share, total - middle + 1, middle)
        low, high = (middle, high) if fewer <= tail else (low, middle)
    return low
