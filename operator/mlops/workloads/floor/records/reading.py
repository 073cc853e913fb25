"""The rule by which recorded rows and their labels are chosen, whoever reads them.

- A row belongs to the window (start, end] of its request's event time.
- Of several rows with one (id, row) in a window the first that arrived counts: nobody replaces what was answered.
- A label counts if it was received after its request arrived, and is dated at most a day before it. Of those the last
  one received counts.

So what a drift check saw of a window is what a Dataset of that window holds.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops.api.base import earlier
from mlops.api.reasons import Reason
from mlops.store.artifacts import Store
from mlops.workloads.floor.parquet_file import ParquetError, check_parquet
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.floor.records.layout import (
    ARRIVED,
    CONTENT,
    DIGEST,
    KEY,
    LABEL,
    LABELS,
    RECEIVED,
    REQUEST,
    SPANS,
    TIME,
    TIMESTAMP,
    finite,
    label_text,
    partition_span,
    prediction_type,
    timestamp,
)

_FILES_AT_ONCE: Final = 16
_MONTHS_LISTED_APART: Final = 36
# A label's own time may be a whole day without hours, or of another clock.
LABEL_DATED_BEFORE: Final = timedelta(days=1)
_SEED: Final = 20_260_101
# By how much clocks of a store, of servers and of the operator may differ.
_CLOCKS_APART: Final = timedelta(hours=1)
SEND_EVENT_TIME: Final = "send event_time with requests about the past"


@dataclass(frozen=True)
class Span:
    """Event time from `start` (left out) to `end` (included)."""

    start: datetime
    end: datetime

    def holds(self, column: str) -> pl.Expr:
        """Return the condition that the timestamp in `column` is in the span."""
        return (pl.col(column) > self.start) & (pl.col(column) <= self.end)


def request_files(store: Store, prefix: str, span: Span) -> Iterator[pl.DataFrame]:
    """Yield the recorded files that may hold rows of the span, whole, with the columns `arrived` and `_content`.

    Choose rows by `Span.holds("time")`, put them together, and give them to `first_of_each`. Raises BadInput for a file
    that cannot be read or lacks a column.
    """
    yield from rows_of_files(store, _keys(store, prefix, span.start, span.end))


def rows_of_files(store: Store, keys: list[str]) -> Iterator[pl.DataFrame]:
    """Yield the recorded files at these keys, as `request_files` does."""
    for key, frame in _files(store, keys):
        _need(frame, (*KEY, TIME), key)
        # Servers of an earlier release did not record when a request arrived: those were before all others.
        arrived = timestamp(ARRIVED) if ARRIVED in frame.columns else pl.lit(None, TIMESTAMP).alias(ARRIVED)
        content = pl.struct(sorted(set(frame.columns) - {ARRIVED})).hash(seed=_SEED).alias(CONTENT)
        _plain(frame, key)
        with _as_recorded(key):
            rows = frame.with_columns(
                *(pl.col(one).cast(REQUEST[one]) for one in KEY), timestamp(TIME), arrived, content
            )
        yield rows


def first_of_each(rows: pl.DataFrame) -> pl.DataFrame:
    """Return of all rows with one (id, row) the first that arrived; equal ones are told apart by time and content."""
    ordered = rows.sort(ARRIVED, TIME, CONTENT, nulls_last=False, maintain_order=True)
    return ordered.unique(subset=KEY, keep="first", maintain_order=True)


def identity() -> pl.Expr:
    """Return the hash of a row's (id, row), the same in every process."""
    return pl.struct(*KEY).hash(seed=_SEED).alias("_hash")


@dataclass(frozen=True, eq=False)
class RecordedLabels:
    """One label per row at most: id, row, label.

    Duplicates are further labels that say the same, conflicts rows whose labels differ. Unmatched are labels dated in
    the span of no row that was recorded, or that came before their request. Early are those dated more than a day
    before their request. Unusable are those that say nothing.
    """

    frame: pl.DataFrame
    duplicates: int = 0
    conflicts: int = 0
    unmatched: int = 0
    unusable: int = 0
    early: int = 0
    # Of rows whose last label is none of the classes that were asked for: id, row, label; they are not in the frame.
    unknown: pl.DataFrame | None = None
    # Rows whose last label came later than it was said to.
    late: int = 0


def labels_of(
    store: Store,
    prefix: str,
    span: Span,
    rows: pl.DataFrame,
    *,
    as_text: bool,
    classes: tuple[str, ...] = (),
    recorded: NDArray[np.uint64] | None = None,
) -> RecordedLabels:
    """Return the labels of `rows` that came as feedback below the key `prefix`: see `chosen_labels`."""
    files = feedback_files(store, prefix, span)
    return chosen_labels(files, span, rows, as_text=as_text, classes=classes, recorded=recorded)


def feedback_files(store: Store, prefix: str, span: Span) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield the recorded files that may hold labels of the span's rows, with their keys. Raises BadInput."""
    # A label comes after its request: partitions are read without an end.
    yield from labels_of_files(store, _keys(store, prefix, earlier(span.start, LABEL_DATED_BEFORE), None))


def labels_of_files(store: Store, keys: list[str]) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield the recorded files of labels at these keys, as `feedback_files` does."""
    for key, frame in _files(store, keys):
        _need(frame, (*KEY, LABEL, RECEIVED), key)
        yield key, frame


def written_since(store: Store, prefix: str, since: datetime) -> list[str]:
    """Return the keys of recorded files below a prefix that may hold what came since: those written then, whatever
    event time their rows have. The store's clock may be an hour behind that of who says `since`."""
    first = earlier(since, _CLOCKS_APART).timestamp()
    listed = (found for found in store.list(prefix) if found.modified >= first)
    return sorted(found.key for found in listed if found.key.endswith(".parquet") and partition_span(found.key))


def chosen_labels(
    files: Iterable[tuple[str, pl.DataFrame]],
    span: Span,
    rows: pl.DataFrame,
    *,
    as_text: bool,
    classes: tuple[str, ...] = (),
    recorded: NDArray[np.uint64] | None = None,
    after_arrival: bool = True,
    late_after: timedelta | None = None,
) -> RecordedLabels:
    """Return the labels of `rows` (id, row, time, arrived).

    `as_text` gives them as text, in one spelling, else as finite numbers; a label that is none of `classes` (if there
    are any) is unknown. `recorded` are the identities of all rows that are known, if `rows` are a part of them. Files
    are read a few at a time: labels that belong to none of the rows take no memory.

    Not `after_arrival`: when a label came says when its file was written, and dates it if nothing else does; files may
    be written before a replay's requests. Labels that came later than `late_after` after their request are counted.
    """
    asked = rows.select(*KEY, pl.col(TIME).alias("_asked"), pl.col(ARRIVED).alias("_arrived"))
    known = rows.select(identity())["_hash"].to_numpy() if recorded is None else recorded
    found: list[pl.DataFrame] = []
    unmatched = early = 0
    came = pl.col(RECEIVED) - pl.col("_arrived") if after_arrival else pl.coalesce(RECEIVED, TIME) - pl.col("_asked")
    late = (came > late_after).fill_null(False) if late_after else pl.lit(False)
    dated = pl.col(TIME) if after_arrival else pl.coalesce(TIME, RECEIVED)
    for key, frame in files:
        _plain(frame, key)
        with _as_recorded(key):
            given = frame.select(
                *(pl.col(one).cast(LABELS[one]) for one in KEY),
                label_text(LABEL, frame.schema[LABEL]) if as_text else finite(LABEL),
                timestamp(RECEIVED),
                timestamp(TIME) if TIME in frame.columns else pl.lit(None, TIMESTAMP).alias(TIME),
            )
        loose = given.with_columns(dated.alias("_dated")).filter(span.holds("_dated")).select(identity())
        unmatched += int((~np.isin(loose["_hash"].to_numpy(), known)).sum())
        mine = given.join(asked, on=KEY, how="inner")
        # What is not known (null) forbids nothing.
        comes_after = (pl.col(RECEIVED) >= pl.col("_arrived")).fill_null(True) if after_arrival else pl.lit(True)
        after = mine.filter(comes_after)
        timely = after.filter((dated >= pl.col("_asked") - LABEL_DATED_BEFORE).fill_null(True))
        unmatched += mine.height - after.height
        early += after.height - timely.height
        found.append(timely.select(*KEY, LABEL, RECEIVED, TIME, late.alias("_late")))
    return replace(_chosen(found, unmatched, as_text=as_text, classes=classes), early=early)


def _chosen(found: list[pl.DataFrame], unmatched: int, *, as_text: bool, classes: tuple[str, ...]) -> RecordedLabels:
    if not found:
        schema = {**{one: LABELS[one] for one in KEY}, LABEL: prediction_type(classifies=as_text)}
        return RecordedLabels(pl.DataFrame(schema=schema), unmatched=unmatched)
    says, usable = pl.col(LABEL).is_not_null(), pl.col(LABEL).is_in(list(classes)) if classes else pl.lit(True)
    every = (
        pl.concat(found)
        .with_columns((says & usable).fill_null(False).alias("_usable"), says.alias("_says"))
        .sort(*KEY, RECEIVED, TIME, LABEL, nulls_last=False)
    )
    newest = every.unique(subset=KEY, keep="last", maintain_order=True)
    last = newest.filter("_usable").select(*KEY, LABEL)
    new = newest.filter(pl.col("_says") & ~pl.col("_usable")).select(*KEY, LABEL)
    saying = every.filter("_says")
    spread = saying.group_by(*KEY).agg(pl.len().alias("n"), pl.col(LABEL).n_unique().alias("k"))
    conflicts = spread.filter(pl.col("k") > 1).height
    repeated = int(spread.filter(pl.col("k") == 1)["n"].sum()) - (spread.height - conflicts)
    return RecordedLabels(
        last,
        repeated,
        conflicts,
        unmatched,
        every.height - saying.height,
        unknown=new,
        late=int(newest["_late"].sum()),
    )


def was_recorded_before(store: Store, prefix: str, timestamp: datetime) -> bool:
    """Whether there are recorded rows from before the timestamp."""
    partitions = (partition_span(found.key) for found in store.list(prefix))
    return any(found is not None and found[0] <= timestamp for found in partitions)


def _keys(store: Store, prefix: str, first: datetime, last: datetime | None) -> list[str]:
    """The files whose partition may hold rows from `first` to `last`; a bounded span is listed month by month.

    A month's prefix finds the partitions of its days and those of the whole month. A file in no partition is none of
    a server's, and is not read.
    """
    prefixes = [prefix]
    if last is not None:
        months = range(first.year * 12 + first.month - 1, last.year * 12 + last.month)
        if len(months) <= _MONTHS_LISTED_APART:
            prefixes = [f"{prefix}date={month // 12:04d}-{month % 12 + 1:02d}" for month in months]
            prefixes.append(prefix + SPANS)
    listed = [found.key for one in prefixes for found in store.list(one)]
    return sorted(key for key in listed if key.endswith(".parquet") and _covers(key, first, last))


def _covers(key: str, first: datetime, last: datetime | None) -> bool:
    found = partition_span(key)
    return found is not None and found[1] > first and (last is None or found[0] <= last)


def _files(store: Store, keys: list[str]) -> Iterator[tuple[str, pl.DataFrame]]:
    """The files with their keys, in the keys' order, fetched a few at a time."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        for first in range(0, len(keys), _FILES_AT_ONCE):
            some = keys[first : first + _FILES_AT_ONCE]
            for key, data in zip(some, pool.map(store.get_object, some), strict=True):
                try:
                    check_parquet(data)
                    frame = pl.read_parquet(io.BytesIO(data))
                except (ParquetError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
                    problem = str(error).partition("\n")[0]
                    raise BadInput(Reason.DATA_UNUSABLE, f"{key} is no readable Parquet file: {problem}") from error
                yield key, frame


def _need(frame: pl.DataFrame, needed: tuple[str, ...], key: str) -> None:
    missing = [column for column in needed if column not in frame.columns]
    if missing:
        raise BadInput(Reason.DATA_UNUSABLE, f"{key} lacks the columns {', '.join(missing)}")


def _plain(frame: pl.DataFrame, key: str) -> None:
    """Refuse lists and structs, and a digest that is no text: no server records them, and no reader expects them."""
    for column, dtype in frame.schema.items():
        if dtype.is_nested() or (column == DIGEST and dtype not in (pl.String, pl.Null)):
            raise BadInput(Reason.DATA_UNUSABLE, f"{key}: the column {column} is {dtype}, which no model server writes")


@contextmanager
def _as_recorded(key: str) -> Iterator[None]:
    """Name the file whose columns are of other types than servers write; not the value, which may be personal."""
    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OverflowError, ValueError, TypeError) as error:
        raise BadInput(
            Reason.DATA_UNUSABLE,
            f"{key}: its columns are of other types than model servers write ({type(error).__name__}): take the file "
            "away",
        ) from None
