"""The rows that a check looks at: captured requests of a span of event time, joined with their labels.

Which rows and labels count says `records.reading`. Rows are kept by a hash of their identity, so memory is bounded by
`max_samples` however many requests there were, and the sample is the same in whatever order the files come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops.api.reasons import Reason
from mlops.store.artifacts import Store
from mlops.workloads.drift.label_dataset import JOIN
from mlops.workloads.drift.label_sources import LabelPlaces, SourceLabels, labels_from
from mlops.workloads.drift.reference import Reference
from mlops.workloads.drift.repeats import EarlierRows
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.floor.records import reading
from mlops.workloads.floor.records.layout import (
    ARRIVED,
    CANONICAL,
    CONTENT,
    DIGEST,
    INPUT,
    KEY,
    LABEL,
    PREDICTION,
    PROBABILITY,
    REQUEST,
    TIME,
    finite,
    label_text,
    prediction_type,
)
from mlops.workloads.floor.records.newest import newest_first
from mlops.workloads.floor.records.reading import RecordedLabels, first_of_each, identity, request_files


@dataclass(frozen=True)
class JudgedSpan(reading.Span):
    """Event time from `start` (left out) to `end` (included); labels are judged up to `judged_until`."""

    judged_until: datetime


@dataclass(frozen=True)
class Counts:
    """What was found. `rows` are distinct requests in the span, of which `samples` were looked at.

    `judged` rows are old enough to be judged by label, `labelled` of them have one. Duplicates are further captures of
    the same (id, row), or further labels that say the same; conflicting labels say something else, and the last one
    received counts. Unmatched labels carry a time in the span but belong to none of its rows: late labels of an earlier
    request, those of one that was not captured, and those that came before their request. Unknown labels are rows whose
    label is a class that the model does not know. Late labels came later than maxDelay after their request; they count.
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
    labels_unknown: int = 0
    labels_early: int = 0
    labels_late: int = 0
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

    `absent` are inputs of the reference that no captured file has. `unknown` are rows by class whose label is a class
    that the model does not know; in the frame they have no label. `missing` are rows without a value, by input that
    the model fills; in the frame they have its constant. `spoiled` are numeric inputs of which captures have values
    that are no finite numbers; in the frame they are missing. `sources` is what each of spec.labels.sources gave.
    """

    span: JudgedSpan
    frame: pl.DataFrame
    counts: Counts
    absent: tuple[str, ...]
    unknown: Mapping[str, int] = field(default_factory=dict)
    missing: Mapping[str, int] = field(default_factory=dict)
    spoiled: frozenset[str] = frozenset()
    sources: tuple[SourceLabels, ...] = ()
    # Of a window of so many rows: as many that are old enough to be judged by label, if those are others.
    cohort: pl.DataFrame | None = None
    # The event time of these.
    cohort_span: JudgedSpan | None = None
    # Whether it has the newest rows of its span, and is no sample of it.
    is_newest: bool = False
    # The rows of the window before, if they were read.
    earlier: EarlierRows | None = None

    @property
    def judged(self) -> pl.DataFrame:
        """Rows that are old enough to be judged by label."""
        return (self.frame if self.cohort is None else self.cohort).filter("judged")

    @property
    def judged_span(self) -> JudgedSpan:
        """The event time that holds the judged rows; of a window of so many rows they may be older than it."""
        return self.cohort_span or self.span

    @property
    def labelled(self) -> pl.DataFrame:
        """Judged rows with a label, of whatever version."""
        return self.judged.filter(pl.col("label").is_not_null())

    @property
    def truths(self) -> pl.Series:
        """The labels of judged rows, those of classes that the model does not know too."""
        new = [name for name, rows in self.unknown.items() for _ in range(rows)]
        known = self.labelled["label"]
        return known.extend(pl.Series("label", new, dtype=known.dtype)) if new else known

    @property
    def live_labelled(self) -> pl.DataFrame:
        """Judged rows with a label and an answer of the live version: a new one is not blamed for its predecessor."""
        return self.labelled.filter(pl.col("live") & pl.col(PREDICTION).is_not_null())


@dataclass
class _Kept:
    """The rows so far: at most `limit` with the smallest hashes, the hash of every row, and which inputs were seen."""

    limit: int
    # Of more than `limit`, the newest rows instead of a sample.
    newest: bool = False
    frames: list[pl.DataFrame] = field(default_factory=list)
    pending: int = 0
    hashes: list[NDArray[np.uint64]] = field(default_factory=list)
    outside: list[NDArray[np.uint64]] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    spoiled: set[str] = field(default_factory=set)

    def add(self, frame: pl.DataFrame) -> None:
        self.hashes.append(frame["_hash"].to_numpy())
        self.frames.append(frame)
        self.pending += frame.height
        if self.pending > 2 * self.limit + 10_000:
            self.shrink()

    def shrink(self) -> pl.DataFrame:
        rows = first_of_each(pl.concat(self.frames))
        if rows.height > self.limit:
            rows = newest_first(rows, self.limit) if self.newest else rows.sort("_hash", *KEY).head(self.limit)
        self.frames, self.pending = [rows], rows.height
        return rows


def load_window(
    store: Store,
    reference: Reference,
    span: JudgedSpan,
    *,
    requests: str,
    labels: LabelPlaces,
    live: str,
    max_samples: int,
    newest: bool = False,
) -> Window:
    """Read captures below the key `requests` and `labels`; `live` is the digest of the live model.

    Of more than `max_samples` rows it has a sample, or the newest ones.
    """
    kept = _Kept(max_samples, newest)
    shape = _captured_shape(reference, labels.join_keys)
    for frame in request_files(store, requests, span):
        _take(kept, frame, shape, span, live)
    if not kept.frames:
        empty = pl.DataFrame(schema={**shape, "live": pl.Boolean(), "_hash": pl.UInt64()})  # as `_take` makes it
        kept.add(empty)
    rows = kept.shrink()
    hashes = np.concatenate(kept.hashes)
    distinct = int(np.unique(hashes).shape[0])
    answers, sources = labels_from(
        labels,
        store,
        span,
        rows,
        as_text=reference.classes != (),
        classes=tuple(reference.classes),
        recorded=np.concatenate([hashes, *kept.outside]),
    )
    frame = (
        rows.drop("_hash", ARRIVED, CONTENT, *(JOIN + key for key in labels.join_keys))
        .join(answers.frame, on=KEY, how="left")
        .with_columns((pl.col("time") <= span.judged_until).alias("judged"))
        .sort(*CANONICAL)
    )
    # Only if the stage was used before has the delivery stopped.
    used = distinct > 0 or reading.was_recorded_before(store, requests, span.start)
    unknown = _unknown(frame, answers)
    counts = _count(frame, distinct, hashes.shape[0] - distinct, answers, used, sum(unknown.values()))
    absent = tuple(name for name in reference.fields if name not in kept.seen) if frame.height else ()
    missing = {name: frame[INPUT + name].null_count() for name in reference.constants}
    filled, spoiled = _filled(frame, reference), frozenset(kept.spoiled)
    return Window(span, filled, counts, absent, unknown, missing, spoiled, sources, is_newest=newest)


def _unknown(frame: pl.DataFrame, answers: RecordedLabels) -> dict[str, int]:
    """Return by class the judged rows whose label is a class that the model does not know."""
    if answers.unknown is None:
        return {}
    judged = answers.unknown.join(frame.filter("judged").select(KEY), on=KEY, how="inner")
    rows = judged[LABEL].value_counts(name="rows").sort(LABEL)
    return dict(zip(rows[LABEL].to_list(), rows["rows"].to_list(), strict=True))


def _filled(frame: pl.DataFrame, reference: Reference) -> pl.DataFrame:
    """Return the rows as the model saw them: what was missing became a constant, as in the reference.

    An input that is missing in every row was recorded without its values: nothing is known of what was missing.
    """
    filled = [
        pl.col(INPUT + name).fill_null(pl.lit(constant))
        for name, constant in reference.constants.items()
        if frame[INPUT + name].null_count() < frame.height
    ]
    return frame.with_columns(filled)


def with_cohort(window: Window, judged: Window) -> Window:
    """Return the window with the rows of another one, which ends earlier, to be judged by label."""
    counts = replace(
        judged.counts,
        rows=window.counts.rows,
        samples=window.counts.samples,
        duplicates=window.counts.duplicates,
        live=window.counts.live,
        captured_before=window.counts.captured_before,
    )
    return replace(
        window,
        counts=counts,
        unknown=judged.unknown,
        sources=judged.sources,
        cohort=judged.frame,
        cohort_span=judged.span,
    )


def window_of(frame: pl.DataFrame, span: JudgedSpan) -> Window:
    """A window of rows that are already joined: columns as in `Window.frame`, without `judged`."""
    frame = frame.with_columns((pl.col("time") <= span.judged_until).alias("judged")).sort(*CANONICAL)
    return Window(span, frame, _count(frame, frame.height, 0, RecordedLabels(frame.clear()), False), ())


def _count(
    frame: pl.DataFrame, rows: int, duplicates: int, answers: RecordedLabels, captured_before: bool, unknown: int = 0
) -> Counts:
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
        labels_unknown=unknown,
        labels_early=answers.early,
        labels_late=answers.late,
        captured_before=captured_before,
    )


def _captured_shape(reference: Reference, join_keys: tuple[str, ...] = ()) -> dict[str, Any]:
    """Names and types of the columns that are read of a captured file."""
    shape: dict[str, Any] = {
        **{column: REQUEST[column] for column in (*KEY, TIME, ARRIVED)},
        CONTENT: pl.UInt64(),
    }
    shape |= {INPUT + name: pl.Float64() for name in reference.numeric}
    shape |= {INPUT + name: pl.String() for name in reference.categorical}
    shape[PREDICTION] = prediction_type(classifies=bool(reference.classes))
    shape |= {c: pl.Float64() for c in sorted(reference.frame.columns) if c.startswith(PROBABILITY)}
    return shape | {JOIN + key: pl.String() for key in join_keys}


def _take(kept: _Kept, frame: pl.DataFrame, shape: dict[str, Any], span: JudgedSpan, live: str) -> None:
    present = frame.schema
    if DIGEST not in present:
        raise BadInput(Reason.DATA_UNUSABLE, f"a captured file lacks the column {DIGEST}")
    kept.seen |= {name.removeprefix(INPUT) for name in present.names() if name.startswith(INPUT)}
    rows = frame.select(
        *(_as(column, dtype, present) for column, dtype in shape.items()),
        (pl.col(DIGEST) == live).fill_null(False).alias("live"),
    ).with_columns(identity())
    inside = span.holds(TIME).fill_null(False)
    kept.spoiled |= _spoiled(frame.filter(inside), rows.filter(inside))
    kept.outside.append(rows.filter(~inside)["_hash"].to_numpy())
    kept.add(rows.filter(inside))


def _spoiled(frame: pl.DataFrame, rows: pl.DataFrame) -> set[str]:
    """Numeric inputs with values in a file that were none as numbers; `rows` are those of `frame` as they are read."""
    return {
        column.removeprefix(INPUT)
        for column, dtype in rows.schema.items()
        if column.startswith(INPUT) and column in frame.columns and dtype == pl.Float64()
        if rows[column].null_count() > frame[column].null_count()
    }


def _as(column: str, dtype: Any, present: pl.Schema) -> pl.Expr:
    if column.startswith(JOIN):
        return _key(column, present)
    if column not in present:
        return pl.lit(None, dtype).alias(column)
    if column in (*KEY, TIME, ARRIVED, CONTENT):
        return pl.col(column)
    if column == PREDICTION and dtype == pl.String():
        return label_text(column, present[column])
    if dtype == pl.Float64():
        return finite(column)
    return pl.col(column).cast(dtype, strict=False)


def _key(column: str, present: pl.Schema) -> pl.Expr:
    """What a request is about, as text: an input, or where it has none the request's id, as in a captured Dataset."""
    whole = pl.concat_str("id", pl.lit("/"), pl.col("row").cast(pl.String))
    own = pl.when(pl.col("row") == 0).then(pl.col("id")).otherwise(whole)
    recorded = INPUT + column.removeprefix(JOIN)
    if recorded not in present:
        return own.alias(column)
    return label_text(recorded, present[recorded]).fill_null(own).alias(column)
