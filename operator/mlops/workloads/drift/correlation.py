"""Did inputs move together while each by itself stayed where it was? Rank correlations of all pairs of numbers."""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from mlops.api.drift_monitor import Check
from mlops.statistics.arrays import FloatArray
from mlops.statistics.special import normal_sf
from mlops.workloads.drift.baseline import BEYOND_ALL
from mlops.workloads.drift.dependence import Dependence
from mlops.workloads.drift.findings import Pair
from mlops.workloads.drift.reference import Reference
from mlops.workloads.floor.records.layout import INPUT

_MIN_ROWS = 50
_MAX_ROWS = 20_000
_MAX_COLUMNS = 100
# The variance of the transformed rank correlation, in units of 1 / (n - 3) (Fieller, Hartley and Pearson 1957).
_OF_RANKS = 1.06
_ALMOST_ONE = 0.999999
_MOSTLY = 0.8
_MOST_MISSING = 0.2
# Units of a correlation in one unit of minEffectSize: a tenth is a weak shift of a mean, and two tenths of a
# correlation explain as little.
_CORRELATION = 2.0


def moved_pairs(
    reference: Reference,
    known: pl.DataFrame,
    seen: pl.DataFrame,
    dependence: Dependence,
    blocks: tuple[pl.DataFrame, ...],
    check: Check,
) -> tuple[Pair, ...]:
    """The pairs whose rank correlation moved, the furthest first.

    Significant at `alpha`, corrected over all pairs, by more than twice `minEffectSize`, and unlike each of the
    reference's own `blocks`. Rows with a missing value in any column are left out; of more than 20,000 rows evenly
    spread ones are taken. The first hundred columns are compared, of those of which a fifth at most is missing.
    """
    # One column that is mostly missing would leave no complete row to any pair.
    present = [name for name in reference.numeric if max(_missing(known, name), _missing(seen, name)) <= _MOST_MISSING]
    names = present[:_MAX_COLUMNS]
    if len(names) < 2:
        return ()
    complete = [_complete(frame, [INPUT + name for name in names]) for frame in (known, seen)]
    names = [name for place, name in enumerate(names) if all(_varies(rows[:, place]) for rows in complete)]
    if len(names) < 2:
        return ()
    columns = [INPUT + name for name in names]
    before, after = (_complete(frame, columns) for frame in (known, seen))
    n, m = before.shape[0], after.shape[0]
    if min(n, m) < _MIN_ROWS:
        return ()
    was, now = _correlations(before), _correlations(after)
    inflations = np.array([dependence.of(column, is_number=True) for column in columns])
    upper = [(i, j) for i in range(len(names)) for j in range(i)]
    p_values = []
    for i, j in upper:
        there, here = np.minimum(inflations[i], inflations[j])
        error = math.sqrt(_OF_RANKS * (there / max(1.0, n - 3.0 * there) + here / max(1.0, m - 3.0 * here)))
        z = abs(math.atanh(now[i, j]) - math.atanh(was[i, j])) / error
        p_values.append(min(1.0, 2.0 * normal_sf(z) * len(upper)))
    smallest = _CORRELATION * float(check.min_effect_size)
    suspected = [
        (pair, p)
        for pair, p in zip(upper, p_values, strict=True)
        if p <= float(check.alpha) and abs(now[pair] - was[pair]) >= smallest
    ]
    if suspected and blocks:
        own = [
            _correlations(part) for part in (_complete(block, columns) for block in blocks) if len(part) >= _MIN_ROWS
        ]
        suspected = [(pair, p) for pair, p in suspected if _is_new(now[pair], [each[pair] for each in own], smallest)]
    found = [Pair(names[j], names[i], float(was[i, j]), float(now[i, j]), p) for (i, j), p in suspected]
    return tuple(sorted(found, key=lambda pair: (-abs(pair.current - pair.reference), pair.one, pair.other)))


def rank_correlations(frame: pl.DataFrame, columns: list[str]) -> FloatArray | None:
    """Rank correlations (k, k) of the rows in which all `columns` have a value; None if these are fewer than fifty."""
    ranks = _complete(frame, columns)
    return _correlations(ranks) if ranks.shape[0] >= _MIN_ROWS else None


def _is_new(now: float, own: list[float], smallest: float) -> bool:
    """Whether a correlation is unlike those of all of the reference's windows, by more than they differ."""
    if not own:
        return True
    gaps = [min((abs(one - other) for j, other in enumerate(own) if j != i), default=0.0) for i, one in enumerate(own)]
    return bool(min(abs(now - each) for each in own) >= max(smallest / 2.0, BEYOND_ALL * max(gaps)))


def _missing(frame: pl.DataFrame, name: str) -> float:
    return frame[INPUT + name].null_count() / max(1, frame.height)


def _varies(ranks: FloatArray) -> bool:
    """Whether a column is more than one value and a few others, of whose ranks nothing is known."""
    most = int(np.unique(ranks, return_counts=True)[1].max()) if len(ranks) else 0
    return 0 < most <= _MOSTLY * len(ranks)


def _complete(frame: pl.DataFrame, columns: list[str]) -> FloatArray:
    rows = frame.select(columns).drop_nulls()
    if rows.height > _MAX_ROWS:
        rows = rows[(np.arange(_MAX_ROWS) * rows.height // _MAX_ROWS).tolist()]
    return rows.select(pl.all().rank("average")).to_numpy().astype(np.float64)


def _correlations(ranks: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore", divide="ignore"):
        table = np.corrcoef(ranks, rowvar=False)
    return np.asarray(np.clip(np.nan_to_num(table), -_ALMOST_ONE, _ALMOST_ONE))
