"""By how much rows of a reference and of a window say less than independent ones would, column by column."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import polars as pl

from mlops.statistics.dependence import (
    at_most,
    between,
    between_codes,
    beyond_chance,
    inflation_of_codes,
    inflation_of_values,
    stretched,
)
from mlops.workloads.drift.baseline import MANY_BLOCKS

# Of a sample, at least so many rows say something about its own inflation: the effective ones.
_FEWEST = 2.0
# Of the reference's own windows so many, evenly spread, say how long rows resemble each other.
_LOOKED_AT = 10


class Dependence:
    """Reference rows and rows of a window, each in time order, with their column `time`.

    A window is often shorter than the time for which rows resemble each other, and then cannot say for how long: what
    the reference says, in time, holds for it too. Of eight `blocks`, the reference's own windows, it is read off how
    they differ, also by who came in them, and how long rows resemble each other within them, in the mean; and if that
    does not contradict, what all of it says holds.
    """

    def __init__(self, reference: pl.DataFrame, current: pl.DataFrame, blocks: Sequence[pl.DataFrame] = ()) -> None:
        parts = [reference] if "part" not in reference.columns else list(_parts(reference))
        self._parts = [part for part in parts if part["time"].null_count() == 0]
        self._reference, self._current = reference, current
        self._blocks = blocks if len(blocks) >= MANY_BLOCKS else ()
        self._found: dict[str, tuple[float, float]] = {}

    def of(self, column: str, *, is_number: bool) -> tuple[float, float]:
        """The inflation of the column in the reference, and in the window: 1 for independent rows."""
        if column not in self._found:
            self._found[column] = self._measured(column, is_number=is_number)
        return self._found[column]

    def _measured(self, column: str, *, is_number: bool) -> tuple[float, float]:
        current = self._current.select("time", column).drop_nulls(column)
        here = _inflation(current[column], is_number=is_number)
        spacing = spacing_of(current["time"])
        there = longer = 1.0
        for part in self._parts:
            known = part.select("time", column).drop_nulls(column)
            found = _inflation(known[column], is_number=is_number)
            longer = max(longer, stretched(found, spacing_of(known["time"]), spacing))
            there = max(there, found)
        if not self._parts:
            # Rows without a time have no order of their own: they are taken to resemble each other as the window's do.
            there = here
        if self._blocks:
            here = max(here, self._within(column, spacing, is_number=is_number))
            ratio, most = self._between(column, is_number=is_number)
            there = max(there, ratio)
            mean = float(np.mean([block.height - block[column].null_count() for block in self._blocks]))
            more = current.height / max(1.0, mean)
            here = max(here, 1.0 + (ratio - 1.0) * more, min(longer, 1.0 + (most - 1.0) * more))
        else:
            here = max(here, longer)
        return (
            min(there, max(1.0, self._reference.height / _FEWEST)),
            min(here, max(1.0, current.height / _FEWEST)),
        )

    def within(self, column: str, *, is_number: bool) -> float:
        """The inflation of the column within a window, whatever windows differ by."""
        current = self._current.select("time", column).drop_nulls(column)
        here = _inflation(current[column], is_number=is_number)
        if self._blocks:
            here = max(here, self._within(column, spacing_of(current["time"]), is_number=is_number))
        return min(here, max(1.0, current.height / _FEWEST))

    def _within(self, column: str, spacing: float, *, is_number: bool) -> float:
        """The inflation within windows like those of the reference, of rows so many seconds apart: one window alone may
        show less of it by chance than it has."""
        found = []
        for place in np.unique(np.linspace(0, len(self._blocks) - 1, _LOOKED_AT).round().astype(int)):
            block = self._blocks[place].select("time", column).drop_nulls(column)
            inflated = _inflation(block[column], is_number=is_number)
            found.append(stretched(inflated, spacing_of(block["time"]), spacing))
        return float(np.mean(found))

    def _between(self, column: str, *, is_number: bool) -> tuple[float, float]:
        """By how much more the reference's own windows differ than independent rows, as far as it is no chance; and by
        how much at most."""
        blocks, found = len(self._blocks), self._ratio(column, is_number=is_number)
        return beyond_chance(found, blocks), at_most(max(1.0, found), blocks)

    def _ratio(self, column: str, *, is_number: bool) -> float:
        if is_number:
            return between([block[column].drop_nulls().to_numpy().astype(np.float64) for block in self._blocks])
        values = pl.concat([block[column] for block in self._blocks]).cast(pl.String).rank("dense").cast(pl.Int64)
        ends = np.cumsum([block.height for block in self._blocks]).tolist()
        codes = [values[end - block.height : end] for end, block in zip(ends, self._blocks, strict=True)]
        return between_codes([each.drop_nulls().to_numpy() - 1 for each in codes])


def _parts(frame: pl.DataFrame) -> tuple[pl.DataFrame, ...]:
    """The parts of a reference, each of which was thinned by itself."""
    return tuple(frame.partition_by("part", maintain_order=True))


def _inflation(values: pl.Series, *, is_number: bool) -> float:
    if is_number:
        return inflation_of_values(values.to_numpy().astype(np.float64))
    codes = values.cast(pl.String).rank("dense").to_numpy().astype(np.int64)
    return inflation_of_codes(codes - 1) if codes.shape[0] else 1.0


def spacing_of(times: pl.Series) -> float:
    """Seconds between two rows, in the mean; 0 of fewer than two."""
    if times.len() < 2:
        return 0.0
    first, last = times.min(), times.max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    return (last - first).total_seconds() / (times.len() - 1)
