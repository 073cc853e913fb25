"""Checked input: a wrong array is refused by name before any arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_LARGEST = 1e280
# Sums of squares of numbers up to here are finite.
LARGEST_SQUARE = 1e145


def finite_vector(values: ArrayLike, name: str) -> FloatArray:
    """A one-dimensional float64 array (n,) without NaN or infinity. Raises ValueError naming `name`."""
    array = _vector(values, name)
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: holds NaN or infinity; drop or impute those rows first")
    return array


def non_empty(array: NDArray[Any], name: str) -> None:
    """Raise ValueError when `array` has no rows."""
    if array.shape[0] == 0:
        raise ValueError(f"{name}: is empty; at least one row is needed")


def without_missing(values: ArrayLike, name: str) -> tuple[FloatArray, int]:
    """The values (n,) that are not NaN, and how many were.

    Infinity is refused, since it has no distance to anything, and so are numbers beyond 1e280, whose sums overflow.
    """
    array = _vector(values, name)
    missing = np.isnan(array)
    count = int(missing.sum())
    present = (array[~missing] if count else array) + 0.0  # -0.0 becomes 0.0: one value, one set of bits
    if (np.abs(present) > _LARGEST).any():
        raise ValueError(f"{name}: holds infinity or values beyond {_LARGEST}; replace them by NaN or a sane bound")
    return present, count


def within_reach(*arrays: FloatArray) -> tuple[FloatArray, ...]:
    """Return finite arrays, all divided by one power of two where their sums and squares could overflow.

    Shapes, ranks, and distances in units of a spread stay as they are: the division is exact, but for values that are
    less than a 1e-300th of the largest.
    """
    largest = max((float(np.abs(one).max()) for one in arrays if one.shape[0]), default=0.0)
    if largest <= LARGEST_SQUARE:
        return arrays
    exponent = int(np.frexp(largest)[1])
    return tuple(np.ldexp(one, -exponent) for one in arrays)


def row_weights(weights: ArrayLike | None, rows: int) -> FloatArray | None:
    """Weights as `checked_weights` has them; None stays None."""
    return None if weights is None else checked_weights(weights, rows, "weights")


def checked_weights(weights: ArrayLike, rows: int, name: str) -> FloatArray:
    """Non-negative finite weights (rows,), not all zero. Raises ValueError naming `name`."""
    array = finite_vector(weights, name)
    if array.shape[0] != rows:
        raise ValueError(f"{name}: has {array.shape[0]} rows, expected {rows}")
    if (array < 0).any():
        raise ValueError(f"{name}: holds negative values; weights are >= 0")
    if rows and not array.any():
        raise ValueError(f"{name}: all are zero; at least one must be positive")
    return array


def ordered_sum(terms: FloatArray) -> float:
    """The sum of `terms` (n,), the same bits whatever the order of the rows: they are added from small to large."""
    return float(np.sort(terms).sum())


def _vector(values: ArrayLike, name: str) -> FloatArray:
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"{name}: has {array.ndim} dimensions, expected 1")
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name}: has type {array.dtype}, expected numbers")
    return np.asarray(array, dtype=np.float64)
