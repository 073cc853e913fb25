"""Windows that are drawn from quiet history in blocks of time, and changes that are made in them.

A window is put together of blocks of consecutive time, each a quarter of its length, from anywhere in the history but
for where its other blocks are from (moving block bootstrap, Kuensch 1989). Blocks of a day or longer begin at the time
of day at which they are put, so that days stay days.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from mlops.cli.tune.choices import BLOCKS
from mlops.cli.tune.quiet import QuietHistory
from mlops.workloads.drift.repeats import compared_inputs, earlier_rows
from mlops.workloads.drift.window import JudgedSpan, Window, window_of
from mlops.workloads.floor.records.layout import INPUT

_DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)
_MOST_TRIES = 200


@dataclass(frozen=True)
class InputShift:
    """An input that moves by so many of the reference's standard deviations."""

    input: str
    size: float


class Drawing:
    """Draws windows of a history; the same seed gives the same windows."""

    def __init__(self, history: QuietHistory, seed: int) -> None:
        self.history = history
        self._frame = history.frame
        self._times = history.frame["time"].dt.timestamp("us").to_numpy()
        self._rng = np.random.Generator(np.random.PCG64(seed))
        self._drawn = 0

    def window(self, length: timedelta) -> Window:
        """Draw a quiet window that ends with the history."""
        return self.cut(self.path(length, BLOCKS, length / BLOCKS), self.history.end, length)

    def path(self, length: timedelta, blocks: int, block: timedelta) -> pl.DataFrame:
        """Draw rows of so many blocks in a row; the last one ends `blocks * block - length` after the history."""
        start = self.history.end - length
        self._drawn += 1
        begins: list[datetime] = []
        for number in range(blocks):
            begins.append(self._begin(start + number * block, block, begins[-BLOCKS:]))
        rows = pl.concat([self._block(start + number * block, begun, block) for number, begun in enumerate(begins)])
        return rows.with_columns(pl.format("w{}-{}", pl.lit(self._drawn), pl.int_range(pl.len())).alias("id"))

    def cut(self, rows: pl.DataFrame, end: datetime, length: timedelta) -> Window:
        """Return the window of drawn rows that ends then."""
        inside = rows.filter((pl.col("time") > end - length) & (pl.col("time") <= end))
        return window_of(inside, JudgedSpan(end - length, end, end - self.history.wait))

    def uniform(self) -> float:
        """Draw a number from 0 to 1."""
        return float(self._rng.random())

    def change(self, size: float) -> InputShift:
        """Draw the input that moves, and which way."""
        names = self.history.reference.numeric
        return InputShift(
            names[int(self._rng.integers(len(names)))], size * (1.0 if self._rng.random() < 0.5 else -1.0)
        )

    def changed(self, frame: pl.DataFrame, change: InputShift, since: datetime) -> pl.DataFrame:
        """Return rows of which those after `since` have the change."""
        column = INPUT + change.input
        spread = self.history.reference.frame[column].std()
        moved = pl.col(column) + change.size * (float(spread) if isinstance(spread, float) else 0.0)
        return frame.with_columns(pl.when(pl.col("time") > since).then(moved).otherwise(column).alias(column))

    def _begin(self, at: datetime, length: timedelta, others: list[datetime]) -> datetime:
        """Draw where a block begins that is put `at`: apart from the `others`, for rows that a window has twice would
        be a fault of the delivery."""
        begun = self._anywhere(at, length)
        for _ in range(_MOST_TRIES):
            if all(abs(begun - other) >= length for other in others):
                break
            begun = self._anywhere(at, length)
        return begun

    def _anywhere(self, at: datetime, length: timedelta) -> datetime:
        spare = (self.history.length - length) // _MICROSECOND
        begun = self.history.start + int(self._rng.integers(max(1, spare + 1))) * _MICROSECOND
        if length >= _DAY and self.history.length - length >= _DAY:
            # The time of day is that of its place.
            begun += (at - begun) % _DAY
            begun -= _DAY if begun + length > self.history.end else timedelta(0)
        return begun

    def _block(self, at: datetime, begun: datetime, length: timedelta) -> pl.DataFrame:
        """Return the rows of a stretch of history, dated as if it had begun `at`."""
        first, last = np.searchsorted(self._times, [_us(begun), _us(begun + length)], side="right")
        rows = self._frame[int(first) : int(last)]
        return rows.with_columns(pl.col("time") + (at - begun))


def _us(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=at.tzinfo)) // _MICROSECOND


def recorded_windows(history: QuietHistory, length: timedelta, most: int) -> list[Window]:
    """Return the history's own windows, one after the other, the newest last, and at most so many.

    Each knows the rows of the one before, as that of a check does; drawn windows follow none.
    """
    count = min(most, history.length // length)
    return [_recorded(history, history.end - number * length, length) for number in reversed(range(count))]


def _recorded(history: QuietHistory, end: datetime, length: timedelta) -> Window:
    start = end - length
    before, rows = (
        history.frame.filter((pl.col("time") > until - length) & (pl.col("time") <= until)) for until in (start, end)
    )
    window = window_of(rows, JudgedSpan(start, end, end - history.wait))
    columns = compared_inputs(history.reference, window.frame)
    return replace(window, earlier=earlier_rows(history.reference, before, columns)) if columns else window
