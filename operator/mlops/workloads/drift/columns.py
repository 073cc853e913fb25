"""A numeric input on both sides, as the marks of broken deliveries are looked for in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from mlops.statistics.arrays import LARGEST_SQUARE, FloatArray
from mlops.workloads.drift.dependence import Dependence
from mlops.workloads.floor.records.layout import INPUT

MIN_ROWS = 30
# Distribution functions that are so far apart have moved; ones that are further apart have not one shape.
MOVED = 0.25
SHAPE = 0.15
# Columns are alike if they are so much nearer to each other than each is to itself.
ALIKE = 0.3


@dataclass(frozen=True, eq=False)
class NumericInput:
    """A numeric input that is there on both sides, in time order and sorted.

    `inflation` is by how much rows of the reference and of the window say less than independent ones.
    """

    name: str
    known: FloatArray
    seen: FloatArray
    known_sorted: FloatArray
    seen_sorted: FloatArray
    blocks: tuple[FloatArray, ...]
    inflation: tuple[float, float]

    def share_before(self, value: float) -> float:
        """The largest share that a value had in the reference, or in one of its own windows."""
        ordered = (self.known_sorted, *self.blocks)
        return max(count_of(each, value) / len(each) for each in ordered if len(each))

    @cached_property
    def distance(self) -> float:
        """How far the distribution functions are apart."""
        return apart(self.known_sorted, self.seen_sorted)

    @property
    def error(self) -> float:
        """The standard error of a mean of rows that vary by one, of the window against the reference."""
        return math.sqrt(self.inflation[0] / self.known.shape[0] + self.inflation[1] / self.seen.shape[0])

    @property
    def noise(self) -> float:
        """A distance of distribution functions that chance seldom exceeds."""
        return 1.95 * self.error


def column_of(
    name: str, known: pl.DataFrame, seen: pl.DataFrame, blocks: Sequence[pl.DataFrame], dependence: Dependence
) -> NumericInput | None:
    """The input of both frames; None with too few values, or with ones whose squares overflow."""
    before, after = (frame[INPUT + name].drop_nulls().to_numpy() for frame in (known, seen))
    if min(before.shape[0], after.shape[0]) < MIN_ROWS:
        return None
    known_sorted, seen_sorted = np.sort(before), np.sort(after)
    if max(abs(float(each)) for each in (*known_sorted[[0, -1]], *seen_sorted[[0, -1]])) > LARGEST_SQUARE:
        return None
    own = tuple(np.sort(block[INPUT + name].drop_nulls().to_numpy()) for block in blocks)
    inflation = dependence.of(INPUT + name, is_number=True)
    return NumericInput(name, before, after, known_sorted, seen_sorted, own, inflation)


def count_of(ordered: FloatArray, value: float) -> int:
    """How often a value is among ascending ones."""
    return int(ordered.searchsorted(value, "right") - ordered.searchsorted(value))


def apart(one: FloatArray, other: FloatArray) -> float:
    """The largest distance of two distribution functions, of ascending values."""
    at = np.concatenate((one, other))
    below_one, below_other = one.searchsorted(at, side="right"), other.searchsorted(at, side="right")
    return float(np.abs(below_one / one.shape[0] - below_other / other.shape[0]).max())
