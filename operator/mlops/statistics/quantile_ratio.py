"""How far a quantile of one sample is above that of another, of times that were counted in buckets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mlops.statistics.arrays import FloatArray, IntArray
from mlops.statistics.proportion import shares_of_tail
from mlops.statistics.special import beta_cdf


@dataclass(frozen=True)
class QuantileBounds:
    """Upper bound of the bucket that holds the quantile of the sample, and what the true quantile lies between."""

    value: float
    low: float
    high: float


def quantile_bounds(counts: IntArray, bounds: FloatArray, share: float, tail: float) -> QuantileBounds:
    """Return the quantile of times of which `counts` (k,) fell into buckets up to `bounds` (k,), ascending.

    Each bound misses with a probability of at most `tail`: it is that of an order statistic, which the binomial law
    gives (Hahn and Meeker 1991, 5.2), widened to the end of its bucket. The last bucket holds all above, too: a bound
    in it is infinite. Raises ValueError without a time.
    """
    total = int(counts.sum())
    if total == 0:
        raise ValueError("counts: is empty; at least one time must be counted")
    up_to = np.cumsum(counts)
    # So many of all lie below the quantile, but for the tail.
    least, most = _fewest(total, share, tail), total - _fewest(total, 1.0 - share, tail) + 1
    middle = min(total, math.ceil(share * total))
    ends = np.append(bounds[:-1], math.inf)
    found = int(up_to.searchsorted(middle))
    low = 0.0 if least < 1 else _lower_end(bounds, int(up_to.searchsorted(least)))
    high = math.inf if most > total else float(ends[int(up_to.searchsorted(most))])
    return QuantileBounds(float(bounds[found]), low, high)


def ratio_bounds(
    first: IntArray, second: IntArray, bounds: FloatArray, share: float, tail: float
) -> tuple[QuantileBounds, QuantileBounds, float, float]:
    """Return both quantiles, and the bounds of the second in units of the first, each of which misses with a
    probability of at most `tail`: the two samples share it."""
    of_first, of_second = shares_of_tail(int(first.sum()), int(second.sum()), tail)
    one = quantile_bounds(first, bounds, share, of_first)
    other = quantile_bounds(second, bounds, share, of_second)
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


def _lower_end(bounds: FloatArray, bucket: int) -> float:
    return float(bounds[bucket - 1]) if bucket else 0.0
