"""Columns with gaps, in arrays: how a missing value is written, and whole numbers that no float holds.

| type | without gaps | with gaps |
|---|---|---|
| float64 | float64 | float64, NaN |
| int64 | int64 | float64 with NaN while every number is within 2^53, else objects with None |
| boolean | bool | float64 with NaN |
| string | objects | objects with None |
| timestamp | datetime64[us], UTC | the same with NaT |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

# Every whole number up to here is a float64 of its own.
EXACT: Final = 1 << 53


def objects(values: Sequence[Any]) -> NDArray[Any]:
    """Return the values (n,) as objects, whatever they are."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def whole_numbers(values: Sequence[int | None]) -> NDArray[Any]:
    """Return whole numbers of 64 bits (n,), None where one is missing, in a form that keeps every digit.

    Raises OverflowError for a number beyond 64 bits.
    """
    if None not in values:
        return np.array(values, dtype=np.int64)
    present = np.array([value for value in values if value is not None], dtype=np.int64)
    if present.size and (present.min() < -EXACT or present.max() > EXACT):
        return objects(values)
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def is_missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where (n,) a value is missing."""
    if values.dtype.kind in "fM":
        gaps: NDArray[np.bool_] = np.isnat(values) if values.dtype.kind == "M" else np.isnan(values)
        return gaps
    if values.dtype.kind == "O":
        return np.array([value is None for value in values.tolist()], dtype=np.bool_)
    return np.zeros(values.shape[0], dtype=np.bool_)


def floats(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return numbers and booleans (n,) as float64, NaN where one is missing."""
    return np.asarray(values, dtype=np.float64)


_NO_TIME: Final = np.datetime64("NaT", "us")


def array_of_values(kind: str, values: Sequence[Any]) -> NDArray[Any]:
    """Return plain values of a declared type (n,) as an array, in the form above; None, and of numbers NaN, is missing.

    Times are microseconds since 1970.
    """
    if kind == "string":
        return objects(values)
    if kind == "int64":
        return whole_numbers(values)
    if kind == "timestamp":
        return np.array([_NO_TIME if value is None else value for value in values], dtype="datetime64[us]")
    if kind == "boolean" and None not in values:
        return np.array(values, dtype=np.bool_)
    return np.array([float("nan") if value is None else value for value in values], dtype=np.float64)
