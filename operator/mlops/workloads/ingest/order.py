"""Canonical order: rows sorted by their content, so that neither the order of files nor of rows in them matters.

More rows than fit into memory are dealt out to buckets by value first, then each bucket is sorted for itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl

from mlops.workloads.ingest.rows import PIECES, Rows, Spill

SAMPLE = 4096  # rows of each file that the borders of the buckets are chosen from, at most
# Files of rows that are sorted, and dealt out, at a time: both make a copy.
_SORTED, _DEALT = PIECES // 2, PIECES // 4


def canonical(rows: Rows, by: list[str], spill: Spill) -> Rows:
    """Return the rows in ascending order of the columns `by`: missing first, text by its UTF-8 bytes."""
    if len(rows.sources) <= 1:
        held = list(rows.chunks())
        # So that nobody but the sort holds them.
        del rows
        return Rows(tuple(sort(held.pop(), by) for _ in range(len(held))))
    if _all_ordered(rows, by):
        return rows
    borders, prefix = _borders(rows, by, max(2, math.ceil(len(rows.sources) / _SORTED)))
    buckets = _deal(rows, borders, prefix, spill)

    def sorted_buckets() -> Iterator[pl.DataFrame]:
        for bucket in buckets:
            if bucket:
                yield sort(pl.concat([pl.read_ipc(path) for path in bucket]), by)
            for path in bucket:
                path.unlink()

    return spill.collect(sorted_buckets())


def sort(frame: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """Return the frame in canonical order. Few columns decide as a rule, so few are compared first."""
    if is_ordered(frame, by):
        return frame
    columns = {column.name: column for column in frame}
    del frame
    width = 1
    while not _is_ordered(ordered := _Ordered(columns, by[:width]), by):
        width = min(width * 4, len(by))
    return ordered.whole()


class _Ordered:
    """Columns, each put in order when it is asked for: a sort of the whole frame would have it in memory three times,
    and an order that is not yet the last one is judged by few columns."""

    def __init__(self, columns: dict[str, pl.Series], by: list[str]) -> None:
        self._columns = columns
        self._order = pl.DataFrame([columns[name] for name in by]).select(pl.arg_sort_by(by)).to_series()
        self._found: dict[str, pl.Series] = {}

    def __getitem__(self, name: str) -> pl.Series:
        if name not in self._found:
            # In one piece: to find each row in one of many takes several times as long.
            self._found[name] = self._columns[name].rechunk().gather(self._order)
        return self._found[name]

    def whole(self) -> pl.DataFrame:
        """Return the frame and let go of the columns; two at a time, since most of it is waiting for memory."""
        with ThreadPoolExecutor(2) as pool:
            return pl.DataFrame(list(pool.map(self._taken, list(self._columns))))

    def _taken(self, name: str) -> pl.Series:
        found = self[name]
        del self._columns[name]
        return found


def is_ordered(frame: pl.DataFrame, by: list[str]) -> bool:
    """Return whether rows are in canonical order."""
    return _is_ordered(frame, by)


def _is_ordered(columns: pl.DataFrame | _Ordered, by: list[str]) -> bool:
    """Return the same of columns by name; asks for a further one only where the ones before are equal."""
    undecided: pl.Series | None = None
    for name in by:
        column = columns[name]
        left, right = column[:-1], column[1:]
        descends = ((left > right) | (left.is_not_null() & right.is_null())).fill_null(False)
        if undecided is not None:
            descends = descends & undecided
        if descends.any():
            return False
        equal = left.eq_missing(right)
        undecided = equal if undecided is None else undecided & equal
        if not undecided.any():
            return True
    return True


def _all_ordered(rows: Rows, by: list[str]) -> bool:
    last: pl.DataFrame | None = None
    for chunk in rows.chunks():
        if last is not None and not is_ordered(pl.concat([last, chunk[:1]]), by):
            return False
        if not is_ordered(chunk, by):
            return False
        # A copy: a slice would keep all of its chunk.
        last = pl.DataFrame(chunk[-1:].rows(), schema=chunk.schema, orient="row")
    return True


def _borders(rows: Rows, by: list[str], buckets: int) -> tuple[list[tuple[Any, ...]], list[str]]:
    """Return the borders, ascending, and the fewest leading columns that tell them apart.

    Few columns do as a rule, so few are read first.
    """
    width = 1
    while True:
        borders = _borders_by(rows, by[:width], buckets)
        if width >= len(by) or len(borders) == buckets - 1:
            return borders, _deciding_prefix(borders, by[:width])
        width = min(width * 4, len(by))


def _borders_by(rows: Rows, by: list[str], buckets: int) -> list[tuple[Any, ...]]:
    samples = [chunk.gather_every(max(1, chunk.height // SAMPLE)) for chunk in rows.chunks(by)]
    sample = pl.concat(samples).sort(by)
    found = [sample.row(len(sample) * i // buckets) for i in range(1, buckets)]
    return [one for i, one in enumerate(found) if i == 0 or one != found[i - 1]]


def _deciding_prefix(borders: list[tuple[Any, ...]], by: list[str]) -> list[str]:
    """Return the fewest leading columns that tell all borders apart."""
    for width in range(1, len(by)):
        if all(one[:width] != other[:width] for one, other in pairwise(borders)):
            return by[:width]
    return by


def _deal(rows: Rows, borders: list[tuple[Any, ...]], prefix: list[str], spill: Spill) -> list[list[Path]]:
    number = pl.lit(0, dtype=pl.UInt16)
    for border in borders:
        number = number + _not_less(prefix, border).cast(pl.UInt16)
    files: list[list[Path]] = [[] for _ in range(len(borders) + 1)]
    for start in range(0, len(rows.sources), _DEALT):
        some = Rows(rows.sources[start : start + _DEALT])
        for bucket, path in _dealt(some, number, spill).items():
            files[bucket].append(path)
        some.discard()
    return files


def _dealt(rows: Rows, number: pl.Expr, spill: Spill) -> dict[int, Path]:
    numbered = pl.concat(chunk.with_columns(number.alias("\0bucket")) for chunk in rows.chunks())
    parts = numbered.partition_by("\0bucket", as_dict=True, include_key=False)
    return {int(bucket): spill.write([part]) for (bucket,), part in parts.items()}


def _not_less(names: list[str], border: tuple[Any, ...]) -> pl.Expr:
    """Return the condition that a row's columns are, read as a tuple, not less than the border's."""
    result = pl.lit(True)
    for name, value in reversed(list(zip(names, border, strict=False))):
        column = pl.col(name)
        greater = column.is_not_null() if value is None else (column > value).fill_null(False)
        equal = column.is_null() if value is None else (column == value).fill_null(False)
        result = greater | (equal & result)
    return result
