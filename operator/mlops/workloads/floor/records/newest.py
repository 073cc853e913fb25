"""The newest so many recorded rows up to a time, in bounded memory and whatever order they were written in."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import groupby

import polars as pl

from mlops.store.artifacts import Store
from mlops.workloads.floor.records.layout import ARRIVED, CONTENT, KEY, TIME, partition_span
from mlops.workloads.floor.records.reading import Span, first_of_each, identity, rows_of_files

_TICK = timedelta(microseconds=1)


def newest_first(rows: pl.DataFrame, count: int) -> pl.DataFrame:
    """Return at most so many of the rows (time, _hash), the newest; of those of one time the ones with small hashes."""
    if rows.height <= count:
        return rows
    return rows.sort(TIME, "_hash", *KEY, descending=[True, False, *(False for _ in KEY)]).head(count)


def newest_span(store: Store, prefix: str, end: datetime, count: int) -> Span:
    """Return the span up to `end` with the newest `count` distinct (id, row), and what else is as old as the last.

    Partitions are read from the newest one back, until no older one can hold any of them. Without a row the span is a
    moment.
    """
    kept: list[pl.DataFrame] = []
    found = pl.DataFrame()
    oldest: datetime | None = None
    for limit, keys in _from_newest(store, prefix, end):
        if found.height >= count and oldest is not None and limit <= oldest:
            break
        for frame in rows_of_files(store, keys):
            inside = frame.filter((pl.col(TIME) <= end).fill_null(False))
            kept.append(inside.select(*KEY, TIME, ARRIVED, CONTENT, identity()))
            if sum(each.height for each in kept) > 2 * count + 10_000:
                kept = [newest_first(first_of_each(pl.concat(kept)), count)]
        found = newest_first(first_of_each(pl.concat(kept)), count) if kept else found
        oldest = found[TIME].sort()[0] if found.height else None
    return Span((end if oldest is None else oldest) - _TICK, end)


def _from_newest(store: Store, prefix: str, end: datetime) -> Iterator[tuple[datetime, list[str]]]:
    """Yield the files by the time before which all of their rows are, the latest first."""
    spans = [
        (span[1], found.key)
        for found in store.list(prefix)
        if found.key.endswith(".parquet") and (span := partition_span(found.key)) is not None and span[0] <= end
    ]
    for limit, files in groupby(sorted(spans, reverse=True), key=lambda each: each[0]):
        yield limit, sorted(key for _, key in files)
