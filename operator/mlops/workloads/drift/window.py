"""The rows that a check looks at: captured requests of a span of event time, joined with their labels.

Files are read a few at a time and rows are kept by a hash of their identity, so memory is bounded by `max_samples`
however many requests there were, and the sample is the same in whatever order the files come.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops.api.tasks import partition_span
from mlops.store.artifacts import Store
from mlops.workloads.drift.columns import CANONICAL, INPUT, KEY, MOMENT, PROBABILITY, finite, label_text, moment
from mlops.workloads.drift.reference import Reference
from mlops.workloads.parquet_file import ParquetError, check_parquet
from mlops.workloads.pod import BadInput

_FILES_AT_ONCE = 16
_MONTHS_LISTED_APART = 36


@dataclass(frozen=True)
class Span:
    """Event time from `start` (left out) to `end` (included); labels are judged up to `judged_until`."""

    start: datetime
    end: datetime
    judged_until: datetime


@dataclass(frozen=True)
class Counts:
    """What was found. `rows` are distinct requests in the span, of which `samples` were looked at.

    `judged` rows are old enough to be judged by label, `labelled` of them have one. Duplicates are further captures of
    the same (id, row), or further labels that say the same; conflicting labels say something else, and the last one
    received counts. Unmatched labels carry a time in the span but belong to none of its rows: late labels of an earlier
    request, or those of one that was not captured.
    """

    rows: int = 0
    samples: int = 0
    duplicates: int = 0
    judged: int = 0
    labelled: int = 0
    live: int = 0
    live_judged: int = 0
    live_labelled: int = 0
    too_young: int = 0
    label_duplicates: int = 0
    label_conflicts: int = 0
    labels_unmatched: int = 0
    labels_unusable: int = 0
    captured_before: bool = False

    @property
    def coverage(self) -> float:
        """The share of judged rows that have a label; 0 without any."""
        return self.labelled / self.judged if self.judged else 0.0

    @property
    def live_coverage(self) -> float:
        """The same among the rows that the live version answered itself."""
        return self.live_labelled / self.live_judged if self.live_judged else 0.0


@dataclass(frozen=True, eq=False)
class Window:
    """Rows in time order: id, row, time, live (answered by the live version), judged, `in.*`, `out.*`, label.

    `absent` are inputs of the reference that no captured file has.
    """

    span: Span
    frame: pl.DataFrame
    counts: Counts
    absent: tuple[str, ...]

    @property
    def labelled(self) -> pl.DataFrame:
        """Judged rows with a label, of whatever version."""
        return self.frame.filter(pl.col("judged") & pl.col("label").is_not_null())

    @property
    def live_labelled(self) -> pl.DataFrame:
        """Judged rows with a label and an answer of the live version: a new one is not blamed for its predecessor."""
        return self.labelled.filter(pl.col("live") & pl.col("out.prediction").is_not_null())


@dataclass
class _Kept:
    """The rows so far: at most `limit` with the smallest hashes, the hash of every row, and which inputs were seen."""

    limit: int
    frames: list[pl.DataFrame] = field(default_factory=list)
    pending: int = 0
    hashes: list[NDArray[np.uint64]] = field(default_factory=list)
    outside: list[NDArray[np.uint64]] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def add(self, frame: pl.DataFrame) -> None:
        self.hashes.append(frame["_hash"].to_numpy())
        self.frames.append(frame)
        self.pending += frame.height
        if self.pending > 2 * self.limit + 10_000:
            self.shrink()

    def shrink(self) -> pl.DataFrame:
        rows = pl.concat(self.frames)
        rest = sorted(set(rows.columns) - set(CANONICAL))
        # Of several captures of one request the first one counts; equal times are decided by content.
        rows = rows.sort(*CANONICAL, *rest, nulls_last=True).unique(subset=KEY, keep="first", maintain_order=True)
        if rows.height > self.limit:
            rows = rows.sort("_hash", *KEY).head(self.limit)
        self.frames, self.pending = [rows], rows.height
        return rows


def load_window(
    store: Store, reference: Reference, span: Span, *, requests: str, labels: str, live: str, max_samples: int
) -> Window:
    """Read captures below the key `requests` and labels below `labels`; `live` is the digest of the live model."""
    kept = _Kept(max_samples)
    shape = _captured_shape(reference)
    for frame in _files(store, _keys(store, requests, span.start, span.end)):
        _take(kept, frame, shape, span, live)
    if not kept.frames:
        empty = pl.DataFrame(schema={**shape, "live": pl.Boolean(), "_hash": pl.UInt64()})
        kept.add(empty)
    rows = kept.shrink()
    hashes = np.concatenate(kept.hashes)
    distinct = int(np.unique(hashes).shape[0])
    answers = _labels(store, labels, span, reference, rows, np.concatenate([hashes, *kept.outside]))
    frame = (
        rows.drop("_hash")
        .join(answers.frame, on=KEY, how="left")
        .with_columns((pl.col("time") <= span.judged_until).alias("judged"))
        .sort(*CANONICAL)
    )
    counts = _count(frame, distinct, hashes.shape[0] - distinct, answers, _any_before(store, requests, span, distinct))
    absent = tuple(name for name in reference.fields if name not in kept.seen) if frame.height else ()
    return Window(span, frame, counts, absent)


def window_of(frame: pl.DataFrame, span: Span) -> Window:
    """A window of rows that are already joined: columns as in `Window.frame`, without `judged`."""
    frame = frame.with_columns((pl.col("time") <= span.judged_until).alias("judged")).sort(*CANONICAL)
    return Window(span, frame, _count(frame, frame.height, 0, _Answers(frame.clear()), False), ())


@dataclass(frozen=True, eq=False)
class _Answers:
    frame: pl.DataFrame
    duplicates: int = 0
    conflicts: int = 0
    unmatched: int = 0
    unusable: int = 0


def _count(frame: pl.DataFrame, rows: int, duplicates: int, answers: _Answers, captured_before: bool) -> Counts:
    judged, known = frame["judged"], frame["label"].is_not_null()
    live = frame["live"]
    return Counts(
        rows=rows,
        samples=frame.height,
        duplicates=duplicates,
        judged=int(judged.sum()),
        labelled=int((judged & known).sum()),
        live=int(live.sum()),
        live_judged=int((judged & live).sum()),
        live_labelled=int((judged & live & known).sum()),
        too_young=int((~judged).sum()),
        label_duplicates=answers.duplicates,
        label_conflicts=answers.conflicts,
        labels_unmatched=answers.unmatched,
        labels_unusable=answers.unusable,
        captured_before=captured_before,
    )


def _captured_shape(reference: Reference) -> dict[str, Any]:
    """Names and types of the columns that are read of a captured file."""
    shape: dict[str, Any] = {"id": pl.String(), "row": pl.Int64(), "time": MOMENT}
    shape |= {INPUT + name: pl.Float64() for name in reference.numeric}
    shape |= {INPUT + name: pl.String() for name in reference.categorical}
    shape["out.prediction"] = pl.String() if reference.classes else pl.Float64()
    shape |= {c: pl.Float64() for c in sorted(reference.frame.columns) if c.startswith(PROBABILITY)}
    return shape


def _take(kept: _Kept, frame: pl.DataFrame, shape: dict[str, Any], span: Span, live: str) -> None:
    present = frame.schema
    _need(present.names(), ("id", "row", "time", "modelDigest"), "a captured file")
    kept.seen |= {name.removeprefix(INPUT) for name in present.names() if name.startswith(INPUT)}
    rows = frame.select(
        *(_as(column, dtype, present) for column, dtype in shape.items()),
        (pl.col("modelDigest") == live).fill_null(False).alias("live"),
    ).with_columns(_hash())
    inside = (pl.col("time") > span.start) & (pl.col("time") <= span.end)
    kept.outside.append(rows.filter(~inside)["_hash"].to_numpy())
    kept.add(rows.filter(inside))


def _as(column: str, dtype: Any, present: pl.Schema) -> pl.Expr:
    if column not in present:
        return pl.lit(None, dtype).alias(column)
    if column == "time":
        return moment(column)
    if column == "out.prediction" and dtype == pl.String():
        return label_text(column, present[column])
    if dtype == pl.Float64():
        return finite(column)
    return pl.col(column).cast(dtype, strict=False)


def _labels(
    store: Store, prefix: str, span: Span, reference: Reference, rows: pl.DataFrame, captured: NDArray[np.uint64]
) -> _Answers:
    """The labels of the rows. A label arrives after its request, so partitions from the span's first day on are read,
    without an end: cohorts are made by the request's time, however late the label came."""
    wanted = rows.select(*KEY)
    matched: list[pl.DataFrame] = []
    unmatched = unusable = 0
    for frame in _files(store, _keys(store, prefix, span.start - timedelta(days=1), None)):
        present = frame.schema
        _need(present.names(), ("id", "row", "label", "received"), "a file of labels")
        text = reference.classes != ()
        given = frame.select(
            pl.col("id").cast(pl.String),
            pl.col("row").cast(pl.Int64),
            label_text("label", present["label"]) if text else finite("label"),
            moment("received"),
            moment("time") if "time" in present else pl.lit(None, MOMENT).alias("time"),
        ).with_columns(_hash())
        inside = (pl.col("time") > span.start) & (pl.col("time") <= span.end)
        loose = given.filter(inside)["_hash"].to_numpy()
        unmatched += int((~np.isin(loose, captured)).sum())
        mine = given.join(wanted, on=KEY, how="semi").drop("_hash")
        usable = pl.col("label").is_in(list(reference.classes)) if text else pl.col("label").is_not_null()
        good = mine.filter(usable.fill_null(False))
        unusable += mine.height - good.height
        matched.append(good)
    shape = {"id": pl.String(), "row": pl.Int64(), "label": pl.String() if reference.classes else pl.Float64()}
    if not matched:
        return _Answers(pl.DataFrame(schema=shape), unmatched=unmatched)
    every = pl.concat(matched).sort(*KEY, "received", "time", "label", nulls_last=False)
    spread = every.group_by(*KEY).agg(pl.len().alias("n"), pl.col("label").n_unique().alias("k"))
    last = every.unique(subset=KEY, keep="last", maintain_order=True).select(*shape)
    conflicting = spread.filter(pl.col("k") > 1).height
    repeated = int(spread.filter(pl.col("k") == 1)["n"].sum()) - (spread.height - conflicting)
    return _Answers(last, repeated, conflicting, unmatched, unusable)


def _hash() -> pl.Expr:
    return pl.struct(*KEY).hash(seed=20_260_101).alias("_hash")


def _need(present: list[str], needed: tuple[str, ...], what: str) -> None:
    missing = [column for column in needed if column not in present]
    if missing:
        raise BadInput("DataUnusable", f"{what} lacks the columns {', '.join(missing)}")


def _keys(store: Store, prefix: str, first: datetime, last: datetime | None) -> list[str]:
    """The files whose partition may hold rows from `first` to `last`; a bounded span is listed month by month.

    A month's prefix finds the partitions of its days and those of the whole month.
    """
    prefixes = [prefix]
    if last is not None:
        months = range(first.year * 12 + first.month - 1, last.year * 12 + last.month)
        if len(months) <= _MONTHS_LISTED_APART:
            prefixes = [f"{prefix}date={month // 12:04d}-{month % 12 + 1:02d}" for month in months]
    listed = [found.key for one in prefixes for found in store.list(one)]
    return sorted(key for key in listed if key.endswith(".parquet") and _covers(key, first, last))


def _covers(key: str, first: datetime, last: datetime | None) -> bool:
    found = partition_span(key)
    return found is not None and found[1] > first and (last is None or found[0] <= last)


def _any_before(store: Store, prefix: str, span: Span, rows: int) -> bool:
    """Whether the stage was used before an empty window: only then has the delivery stopped."""
    if rows:
        return True
    partitions = (partition_span(found.key) for found in store.list(prefix))
    return any(found is not None and found[0] <= span.start for found in partitions)


def _files(store: Store, keys: list[str]) -> Iterator[pl.DataFrame]:
    """The tables of the files in the order of their keys, fetched a few at a time."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        for first in range(0, len(keys), _FILES_AT_ONCE):
            some = keys[first : first + _FILES_AT_ONCE]
            for key, data in zip(some, pool.map(store.get_object, some), strict=True):
                try:
                    check_parquet(data)
                    frame = pl.read_parquet(io.BytesIO(data))
                except (ParquetError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
                    raise BadInput("DataUnusable", f"{key} is no readable Parquet file: {error}") from error
                yield frame
