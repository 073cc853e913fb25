"""Two exchanged inputs of one distribution: neither moved, but each has the correlations that the other had."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

import numpy as np
import polars as pl

from mlops.statistics.arrays import FloatArray
from mlops.statistics.special import chi2_sf
from mlops.workloads.drift.columns import NumericInput
from mlops.workloads.drift.correlation import rank_correlations
from mlops.workloads.floor.records.layout import INPUT

_MAX_COLUMNS = 100
# Alike: quantiles that differ by no more than so many of their spreads.
_ALIKE = 0.15
_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
# The correlations as they were are out of the question, at so small a share of alpha, and with room for what is not
# independent among them; those of exchanged inputs are not.
_SHARE_OF_ALPHA, _ROOM, _POSSIBLE = 0.01, 2.0, 0.001


def exchanged_alike(
    columns: Sequence[NumericInput], known: pl.DataFrame, seen: pl.DataFrame, alpha: float
) -> Iterator[tuple[str, str]]:
    """Pairs of `columns` of both frames that are exchanged, as (name, sentence); the second one's is empty."""
    columns = columns[:_MAX_COLUMNS]
    suspects = list(_suspects(columns))
    if len(columns) < 3 or not suspects:
        return
    names = [INPUT + each.name for each in columns]
    before, after = (rank_correlations(frame, names) for frame in (known, seen))
    if before is None or after is None:
        return
    errors_of = _errors(columns)
    was, now = np.arctanh(before), np.arctanh(after)
    for i, j in suspects:
        others = [k for k in range(len(columns)) if k not in (i, j)]
        errors = errors_of(i, j)[others]
        kept, crossed = (_distance(now[[i, j]][:, others], was[rows][:, others], errors) for rows in ([i, j], [j, i]))
        freedoms = 2 * len(others)
        if (
            chi2_sf(kept / _ROOM, freedoms) <= alpha * _SHARE_OF_ALPHA / len(suspects)
            and chi2_sf(crossed / _ROOM, freedoms) >= _POSSIBLE
        ):
            one, other = columns[i].name, columns[j].name
            yield one, f"{one} and {other} are exchanged: each goes with the other inputs as the other one did"
            yield other, ""


def _suspects(columns: Sequence[NumericInput]) -> Iterator[tuple[int, int]]:
    at = [np.quantile(each.known_sorted, _QUANTILES) for each in columns]
    for i, j in combinations(range(len(columns)), 2):
        spread = max(at[i][-1] - at[i][0], at[j][-1] - at[j][0])
        if spread > 0.0 and np.abs(at[i] - at[j]).max() <= _ALIKE * spread:
            yield i, j


def _errors(columns: Sequence[NumericInput]) -> Callable[[int, int], FloatArray]:
    """The standard errors (k,) of transformed rank correlations of two columns with all: of the least dependent rows
    and the fewest."""
    inflation = np.array([each.inflation for each in columns])
    rows = np.array([(each.known.shape[0], each.seen.shape[0]) for each in columns], dtype=np.float64)

    def errors(i: int, j: int) -> FloatArray:
        least, few = (np.minimum(np.minimum(table, table[i]), table[j]) for table in (inflation, rows))
        return np.asarray(np.sqrt(1.06 * (least / np.maximum(1.0, few - 3.0 * least)).sum(axis=1)))

    return errors


def _distance(now: FloatArray, was: FloatArray, errors: FloatArray) -> float:
    return float(np.square((now - was) / errors).sum())
