"""How far apart are the reference's own windows? What recurs in them, a season say, is no drift when it comes again.

A column that differs from the whole reference has still not drifted if the window is like one of the reference's own
windows of the same length. How alike those are says the reference itself: each one's distance to its nearest other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl

from mlops.statistics.arrays import FloatArray, within_reach
from mlops.statistics.special import student_isf
from mlops.statistics.two_sample import jensen_shannon, wasserstein

_MIN_BLOCK_ROWS = 30
_MIN_BLOCKS = 3
_MAX_BLOCKS = 40
# The standard deviation of a normal law in units of its median absolute deviation.
_DEVIATION_IN_MAD = 1.4826
_FEWEST_DEVIATIONS = 3.0
BEYOND_ALL = 1.5
MANY_BLOCKS = 8
_FAR_BEYOND = 2.5
# A spread that few windows show is itself uncertain: Student's law, with no fewer degrees of freedom than these.
_FEWEST_FREEDOMS = 4


@dataclass(frozen=True)
class Baseline:
    """The window's distance to the nearest of so many of the reference's windows, and how far those are at most.

    `rows` are those of the window with a value.
    """

    nearest: float
    limit: float
    windows: int
    rows: int


def windows_of(frame: pl.DataFrame, length: timedelta) -> tuple[pl.DataFrame, ...]:
    """Cut rows in time order into consecutive windows of `length`; at least three with thirty rows each, else none.

    Of more than forty, forty evenly spread ones are taken.
    """
    timed = frame.filter(pl.col("time").is_not_null())
    if timed.height < _MIN_BLOCKS * _MIN_BLOCK_ROWS or length <= timedelta(0):
        return ()
    first, last = timed["time"][0], timed["time"][-1]
    number = ((pl.col("time") - first).dt.total_microseconds() // (length // timedelta(microseconds=1))).alias("_n")
    parts = timed.with_columns(number).partition_by("_n", maintain_order=True, include_key=False)
    # The last window is cut short by the end of the data: it counts when it is at least half as long.
    if (last - first) % length < length / 2:
        parts = parts[:-1]
    parts = [part for part in parts if part.height >= _MIN_BLOCK_ROWS]
    if len(parts) < _MIN_BLOCKS:
        return ()
    if len(parts) > _MAX_BLOCKS:
        parts = [parts[index] for index in np.linspace(0, len(parts) - 1, _MAX_BLOCKS).round().astype(int)]
    return tuple(parts)


def baseline(
    windows: tuple[pl.DataFrame, ...], column: str, current: pl.Series, *, is_number: bool, alpha: float
) -> Baseline | None:
    """Compare `current` with each of `windows`, and those with each other; None with fewer than three to compare.

    Distances are Wasserstein in standard deviations of all windows, or Jensen-Shannon. A window of the same kind
    exceeds the limit at most at the rate `alpha`: the median of the distances to the nearest other window, plus three
    (robust) standard deviations of them, or as many as Student's law asks for, and half as far again as the farthest.
    """
    parts = [part for window in windows if (part := window[column].drop_nulls()).len() >= _MIN_BLOCK_ROWS]
    present = current.drop_nulls()
    if len(parts) < _MIN_BLOCKS or not present.len():
        return None
    table = _numeric(parts, present) if is_number else _categorical(parts, present)
    if table is None:
        return None
    to_current, between = table
    np.fill_diagonal(between, np.inf)
    limit = limit_of(between.min(axis=1), alpha, beyond_all=BEYOND_ALL)
    return Baseline(float(to_current.min()), limit, len(parts), present.len())


def limit_of(own: FloatArray, alpha: float, *, beyond_all: float) -> float:
    """What a number of a window of the same kind exceeds at most at the rate `alpha`, by those (w,) of the reference's
    own windows: `beyond_all` times the largest of them at least."""
    median = float(np.median(own))
    spread = _DEVIATION_IN_MAD * float(np.median(np.abs(own - median)))
    deviations = max(_FEWEST_DEVIATIONS, student_isf(alpha, max(_FEWEST_FREEDOMS, own.shape[0] - 1)))
    return max(median + deviations * spread, beyond_all * float(own.max()))


def beyond(found: Baseline | None, min_effect_size: float) -> bool:
    """Whether the window is unlike every one of the reference's own; with no windows to compare, nothing excuses it."""
    return found is None or found.nearest > max(found.limit, min_effect_size)


def far_beyond(found: Baseline | None) -> bool:
    """Whether the window is so unlike each of many that no p-value against the whole reference is needed: in a season
    rows say little of it, since all of a window's resemble each other, and yet no window was ever so far away."""
    return (
        found is not None
        and found.windows >= MANY_BLOCKS
        and found.rows >= _MIN_BLOCK_ROWS
        and found.nearest > _FAR_BEYOND * found.limit
    )


def _numeric(parts: list[pl.Series], current: pl.Series) -> tuple[FloatArray, FloatArray] | None:
    *arrays, here = within_reach(*(values.to_numpy() for values in (*parts, current)))
    spread = float(np.concatenate(arrays).std())
    if spread == 0.0:
        return None
    to_current = np.array([wasserstein(array, here) for array in arrays]) / spread
    between = np.zeros((len(arrays), len(arrays)))
    for i in range(len(arrays)):
        for j in range(i):
            between[i, j] = between[j, i] = wasserstein(arrays[i], arrays[j]) / spread
    return to_current, between


def _categorical(parts: list[pl.Series], current: pl.Series) -> tuple[FloatArray, FloatArray]:
    names = {name: code for code, name in enumerate(sorted(set().union(*(set(part) for part in (*parts, current)))))}
    counts = []
    for part in (*parts, current):
        line = np.zeros(len(names), dtype=np.int64)
        for name, rows in part.alias("value").value_counts(name="n").iter_rows():
            line[names[name]] = rows
        counts.append(line)
    *lines, here = counts
    to_current = np.array([jensen_shannon(line, here) for line in lines])
    between = np.zeros((len(lines), len(lines)))
    for i in range(len(lines)):
        for j in range(i):
            between[i, j] = between[j, i] = jensen_shannon(lines[i], lines[j])
    return to_current, between
