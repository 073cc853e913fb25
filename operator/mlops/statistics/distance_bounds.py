"""How far apart two distributions are, with bounds that hold for any sizes: of numbers, and of categories.

The estimates are plain: the largest distance of two empirical distribution functions, half the sum of differences of
shares. They are too large in the mean, the more so the fewer rows there are: equal distributions are never at 0.

Rows count as independent; `sizes` may be numbers that were made smaller (`dependence`). Paired rows, of which one
sample holds the answers of another model to the rows of the other, may depend on each other in any way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mlops.statistics.arrays import FloatArray, IntArray
from mlops.statistics.proportion import shares_of_tail


@dataclass(frozen=True)
class DistanceBounds:
    """The distance of the samples, and what that of the distributions lies between."""

    value: float
    low: float
    high: float


def ks_distance(first: FloatArray, second: FloatArray) -> float:
    """Return the largest distance of the empirical distribution functions of numbers (n,) and (m,)."""
    one, other = np.sort(first), np.sort(second)
    at = np.concatenate((one, other))
    apart = one.searchsorted(at, "right") / one.shape[0] - other.searchsorted(at, "right") / other.shape[0]
    return float(np.abs(apart).max())


def total_variation(first: IntArray, second: IntArray) -> float:
    """Return half the sum of the differences of shares, from counts (k,) of categories."""
    return float(np.abs(first / first.sum() - second / second.sum()).sum()) / 2.0


def ks_bounds(value: float, sizes: tuple[float, float], tail: float, *, paired: bool = False) -> DistanceBounds:
    """Return what a Kolmogorov-Smirnov distance lies between; each bound misses with a probability of at most `tail`.

    Above: the mean of `value` is no less than the distance of the distributions, and no row moves it by more than 1 / n
    (McDiarmid 1989). Below: no sample is further from its distribution than by Dvoretzky, Kiefer and Wolfowitz, with
    Massart's constant (1990).
    """
    one, other = (
        math.sqrt(math.log(2.0 / share) / (2.0 * size))
        for share, size in zip(shares_of_tail(*sizes, tail), sizes, strict=True)
    )
    return DistanceBounds(value, max(0.0, value - one - other), min(1.0, value + deviation(sizes, tail, paired=paired)))


def variation_bounds(
    value: float, categories: int, sizes: tuple[float, float], tail: float, *, paired: bool = False
) -> DistanceBounds:
    """Return what a total variation lies between; each bound misses with a probability of at most `tail`.

    Above as `ks_bounds`. Below, what the samples add in the mean is taken off, at most sqrt(k - 1) / 2 times the
    root of 1 / n + 1 / m: the expected difference of a share is no more than its standard error.
    """
    away = deviation(sizes, tail, paired=paired)
    added = math.sqrt(categories - 1) / 2.0 * scale(sizes, paired=paired)
    return DistanceBounds(value, max(0.0, value - added - away), min(1.0, value + away))


def deviation(sizes: tuple[float, float], tail: float, *, paired: bool = False) -> float:
    """Return by how much a distance of samples exceeds its mean, or stays below it, with at most `tail`."""
    return math.sqrt(math.log(1.0 / tail) / 2.0) * scale(sizes, paired=paired)


def scale(sizes: tuple[float, float], *, paired: bool) -> float:
    """Return the root of 1 / n + 1 / m; of n pairs, in which one row moves both samples, that of 4 / n."""
    if paired:
        return 2.0 / math.sqrt(min(sizes))
    return math.sqrt(1.0 / sizes[0] + 1.0 / sizes[1])
