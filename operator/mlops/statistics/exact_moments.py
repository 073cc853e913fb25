"""Mean and deviation summed exactly, so that neither the order of rows nor the chunks they come in change a bit.

Each value is a 53-bit whole number times a power of two. Whole numbers are added per power of two, in halves of 27 bits
that float64 adds without rounding; the result is rounded once, at the end.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from mlops.statistics.arrays import FloatArray, IntArray

_HALF = 27
_ROWS_AT_ONCE = 1 << 22


class ExactMoments:
    """Running count, sum and sum of squares of finite values; a few kilobytes whatever the number of rows."""

    def __init__(self) -> None:
        self.count = 0
        self._sum: dict[int, int] = {}
        self._squares: dict[int, int] = {}

    def add(self, values: FloatArray) -> None:
        """Take finite values (n,)."""
        for first in range(0, values.shape[0], _ROWS_AT_ONCE):
            self._add(values[first : first + _ROWS_AT_ONCE])

    def _add(self, values: FloatArray) -> None:
        self.count += values.shape[0]
        fraction, exponent = np.frexp(values)
        whole = np.ldexp(fraction, 53).astype(np.int64)
        power = exponent.astype(np.int64) - 53
        _accumulate(self._sum, whole, power)
        size = np.abs(whole)
        high, low = size >> _HALF, size & ((1 << _HALF) - 1)
        _accumulate(self._squares, high * high, 2 * power + 2 * _HALF)
        _accumulate(self._squares, high * low, 2 * power + _HALF + 1)
        _accumulate(self._squares, low * low, 2 * power)

    @property
    def mean(self) -> float:
        """The mean, correctly rounded. Raises ZeroDivisionError without values."""
        return float(_total(self._sum) / self.count)

    @property
    def std(self) -> float:
        """The standard deviation (divided by n), to the last bit but one. Raises ZeroDivisionError without values."""
        mean = _total(self._sum) / self.count
        variance = _total(self._squares) / self.count - mean * mean
        half = (variance.numerator.bit_length() - variance.denominator.bit_length()) // 2
        return math.ldexp(math.sqrt(variance / Fraction(4) ** half), half)


def _accumulate(totals: dict[int, int], whole: IntArray, power: IntArray) -> None:
    """Add whole * 2**power, |whole| < 2**54, into exact totals per power."""
    sign = np.sign(whole)
    size = np.abs(whole)
    lowest = int(power.min())
    place = power - lowest
    for part, shift in ((size >> _HALF, _HALF), (size & ((1 << _HALF) - 1), 0)):
        sums = np.bincount(place, weights=(sign * part).astype(np.float64))
        for index in np.flatnonzero(sums):
            key = int(index) + lowest + shift
            totals[key] = totals.get(key, 0) + int(sums[index])


def _total(totals: dict[int, int]) -> Fraction:
    if not totals:
        return Fraction(0)
    lowest = min(totals)
    whole = sum(value << (key - lowest) for key, value in totals.items())
    return Fraction(whole) * Fraction(2) ** lowest
