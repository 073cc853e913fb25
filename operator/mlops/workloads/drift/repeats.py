"""Rows that come again: within a window, or those of the window before it, as when yesterday's file is sent once more.

Rows are the same if all inputs are. How often that happens by itself the reference says: of few inputs with few values
rows are alike, and a service may be asked about the same things each day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops.store.artifacts import Store
from mlops.workloads.drift.reference import Reference
from mlops.workloads.floor.records.layout import INPUT, finite
from mlops.workloads.floor.records.reading import Span, request_files

# Rows may come again: a client that asks twice, or a test of load. From this share on it is the delivery.
_AGAIN = 0.1
# And if so many times as many as ever come again; or, where many do, if so many times fewer are new.
_TIMES = 3.0

Contents = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class EarlierRows:
    """The distinct contents (k,), ascending, of the `rows` of the window before, of the inputs `columns`."""

    columns: tuple[str, ...]
    contents: Contents
    rows: int


def compared_inputs(reference: Reference, window: pl.DataFrame) -> tuple[str, ...]:
    """The inputs that a window has values of: rows are compared by these."""
    columns = (INPUT + name for name in reference.fields)
    return tuple(column for column in columns if window[column].null_count() < window.height)


def contents(reference: Reference, frame: pl.DataFrame, columns: Sequence[str]) -> Contents:
    """A hash (n,) of each row's inputs, as the model saw them: equal for equal rows within a process."""
    filled = (
        pl.col(column).fill_null(pl.lit(constant)) if constant is not None else pl.col(column)
        for column in columns
        for constant in (reference.constants.get(column.removeprefix(INPUT)),)
    )
    return frame.select(filled).hash_rows(seed=0).to_numpy()


def earlier_rows(reference: Reference, frame: pl.DataFrame, columns: Sequence[str]) -> EarlierRows:
    """The rows of the window before, which are at hand."""
    found = contents(reference, frame, columns)
    return EarlierRows(tuple(columns), np.unique(found), found.shape[0])


def load_earlier(
    store: Store, reference: Reference, span: Span, columns: Sequence[str], *, requests: str
) -> EarlierRows:
    """Read the captured rows of `span` below the key `requests`, a file at a time: what stays is eight bytes a row."""
    found: list[Contents] = []
    for file in request_files(store, requests, span):
        inside = file.filter(span.holds("time").fill_null(False))
        if inside.height and set(columns) <= set(inside.columns):
            found.append(contents(reference, inside.select(_typed(reference, columns)), columns))
    every = np.concatenate(found) if found else np.zeros(0, dtype=np.uint64)
    return EarlierRows(tuple(columns), np.unique(every), every.shape[0])


def repeated_rows(
    reference: Reference,
    window: pl.DataFrame,
    blocks: Sequence[pl.DataFrame],
    earlier: EarlierRows | None,
    min_share: float,
) -> str:
    """How many rows come again, in a sentence; empty if no more do than in the reference."""
    columns = compared_inputs(reference, window)
    if not columns:
        return ""
    seen = contents(reference, window, columns)
    parts = [contents(reference, block, columns) for block in blocks or _cut(reference.frame, window.height)]
    again, before = _within(seen, parts)
    if _is_fault(again, before, min_share):
        return f"{again:.0%} of the rows repeat another one in all inputs, {before:.0%} at most before"
    if earlier is None or not earlier.rows or earlier.columns != columns:
        return ""
    again, before = float(np.isin(seen, earlier.contents).mean()), _between(parts, earlier.rows)
    if not _is_fault(again, before, min_share):
        return ""
    return (
        f"{again:.0%} of the rows are rows of the window before in all inputs, {before:.0%} at most in the reference: "
        "was it sent again?"
    )


def _is_fault(again: float, before: float, min_share: float) -> bool:
    if again < _AGAIN or again <= min_share:
        return False
    fewer_are_new = 1.0 - again <= (1.0 - before) / _TIMES and again - before >= _AGAIN
    return again >= _TIMES * before or fewer_are_new


def _within(seen: Contents, parts: Sequence[Contents]) -> tuple[float, float]:
    """The share of rows that repeat another one; and the largest in parts of the reference.

    Of more rows more are alike, where few different ones are possible.
    """
    m = seen.shape[0]
    before = max((_share(part) * max(1.0, m / part.shape[0]) for part in parts), default=0.0)
    return _share(seen), min(1.0, before)


def _share(rows: Contents) -> float:
    return 1.0 - np.unique(rows).size / rows.size


def _between(parts: Sequence[Contents], rows: int) -> float:
    """The largest share of rows of a part that are rows of the one before; of more rows more are found."""
    found = (float(np.isin(now, then).mean()) * max(1.0, rows / then.shape[0]) for then, now in pairwise(parts))
    return min(1.0, max(found, default=0.0))


def _cut(frame: pl.DataFrame, rows: int) -> list[pl.DataFrame]:
    """Parts of the reference as long as the window; two halves of a smaller one."""
    size = max(1, min(rows, frame.height // 2))
    return [frame[start : start + size] for start in range(0, frame.height - size + 1, size)]


def _typed(reference: Reference, columns: Sequence[str]) -> list[pl.Expr]:
    numeric = {INPUT + name for name in reference.numeric}
    return [finite(column) if column in numeric else pl.col(column).cast(pl.String) for column in columns]
