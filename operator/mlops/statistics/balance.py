"""Two samples that are compared come of the same time: where their shares changed, time of day would pass for a
difference (Simpson 1951)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from mlops.statistics.arrays import BoolArray, FloatArray, IntArray
from mlops.statistics.two_sample import chi_square_homogeneity

# Of each slot of time, so that its share is known to a tenth, and how many there are at most.
ROWS_OF_SLOT: Final = 100
_MOST_SLOTS: Final = 20
# With a smaller share of the slot's rows the first sample says nothing about it.
_LEAST_SHARE: Final = 0.05
_CHANCE: Final = 0.001


@dataclass(frozen=True, eq=False)
class Balance:
    """What counts of each slot of time (k,): how much of the first sample's rows, and whether the second's do."""

    first: FloatArray
    second: BoolArray

    @property
    def is_even(self) -> bool:
        """Whether all counts as it is."""
        return bool(self.second.all() and (self.first == 1.0).all())


def balance(first: IntArray, second: IntArray) -> Balance:
    """Return what counts of two samples with so many rows per slot of time (k,), so that the first lies in time as the
    second does.

    All of both, unless their shares differ between slots by more than chance makes them (chi-square, at 0.001). It
    depends on numbers of rows alone, so bounds hold as they did.
    """
    all_of_it = Balance(np.ones(first.shape[0]), np.ones(first.shape[0], dtype=np.bool_))
    if first.shape[0] < 2 or not first.sum() or not second.sum():
        return all_of_it
    if chi_square_homogeneity(first, second)[0].pvalue > _CHANCE:
        return all_of_it
    both = first >= _LEAST_SHARE * (first + second)
    if not (both & (second > 0)).any():
        return all_of_it
    ratio = np.where(both, second / np.maximum(1, first), 0.0)
    return Balance(ratio / ratio.max(), both)


def slots(second: IntArray) -> IntArray:
    """Return the slot of each unit of time (n,), in order, from how many rows of the second sample it has.

    All slots have about as many, at least ROWS_OF_SLOT; there are at most twenty.
    """
    before = np.cumsum(second) - second
    total = max(1, int(second.sum()))
    count = max(1, min(_MOST_SLOTS, total // ROWS_OF_SLOT))
    return np.asarray(np.minimum(before * count // total, count - 1), dtype=np.int64)
