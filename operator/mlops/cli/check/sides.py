"""Two tables as what a drift pod compares: a reference and a window."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import polars as pl

from mlops.cli.check.columns import Columns
from mlops.cli.check.options import CheckOptions
from mlops.cli.check.tables import HASH, Table
from mlops.cli.errors import UserError
from mlops.workloads.drift.reference import Reference, canonical, columns_by_kind
from mlops.workloads.drift.window import JudgedSpan, Window, window_of
from mlops.workloads.floor.records.layout import INPUT, LABEL, PREDICTION, PROBABILITY, TIME, TIMESTAMP, timestamp

# Of rows without a time: any will do, as long as it is always the same.
_NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, eq=False)
class Sides:
    """Both sides in the form in which a pod compares them."""

    reference: Reference
    window: Window


def sides_of(reference: Table, current: Table, columns: Columns, options: CheckOptions) -> Sides:
    """Return both sides. Raises UserError for a probability that is none, and for rows without their time."""
    before = _rows(reference, columns, options)
    before = before.with_columns(pl.lit("test" if columns.answers else "train").alias("part"))
    prepared = canonical(before, classifies=bool(columns.classes))
    numeric, categorical = columns_by_kind(before)
    known = Reference(
        frame=prepared,
        task=columns.task,
        numeric=numeric,
        categorical=categorical,
        classes=columns.classes,
        label=columns.label or "",
        required=frozenset(),
        costs=columns.costs,
    )
    return Sides(known, _window(current, known, columns, options))


def _rows(table: Table, columns: Columns, options: CheckOptions) -> pl.DataFrame:
    """Return the rows in the pod's columns; what the table lacks is missing."""
    frame = table.frame
    found = [
        (frame[name] if name in table.types else pl.Series(name, [None] * frame.height, dtype=pl.Float64)).alias(
            INPUT + name
        )
        for name in columns.inputs
    ]
    nothing = pl.Series(LABEL, [None] * frame.height, dtype=pl.String if columns.classes else pl.Float64)
    found.append(nothing if columns.label is None else frame[columns.label].alias(LABEL))
    probabilities = list(_probabilities(table, columns))
    if columns.prediction is not None:
        found.append(frame[columns.prediction].alias(PREDICTION))
    else:
        found.append(_most_likely(probabilities) if probabilities else nothing.alias(PREDICTION))
    if columns.time is not None:
        found.append(_times(table, columns.time))
    return pl.DataFrame([*found, *probabilities])


def _times(table: Table, name: str) -> pl.Series:
    values = table.frame[name]
    if missing := values.null_count():
        raise UserError(f"--time {name!r}: {missing:,} rows of {table.name} have no time: mend them, or leave --time")
    return table.frame.select(timestamp(name)).to_series().alias(TIME)


def _probabilities(table: Table, columns: Columns) -> Iterable[pl.Series]:
    """Yield out.p.<class> of every class."""
    if not columns.probabilities:
        return
    found = {}
    for name, column in columns.probabilities.items():
        values = table.frame[column]
        if not values.dtype.is_numeric():
            raise UserError(f"--probability {column!r}: {table.name} has {table.types[column]} there, and no numbers")
        values = values.cast(pl.Float64)
        if ((values < 0.0) | (values > 1.0)).any():
            raise UserError(
                f"--probability {column!r}: {table.name} has values from {values.min()!r} to {values.max()!r}: a "
                "probability is from 0 to 1"
            )
        found[name] = values
    if len(columns.classes) == 2 and columns.classes[0] not in found:
        found[columns.classes[0]] = 1.0 - found[columns.classes[1]]
    for name in columns.classes:
        yield found[name].alias(PROBABILITY + name)


def _most_likely(probabilities: list[pl.Series]) -> pl.Series:
    names = [one.name.removeprefix(PROBABILITY) for one in probabilities]
    table = pl.DataFrame(probabilities)
    best = table.select(pl.concat_list(pl.all()).list.arg_max()).to_series().to_list()
    return pl.Series(PREDICTION, [None if at is None else names[at] for at in best], dtype=pl.String)


def _window(current: Table, reference: Reference, columns: Columns, options: CheckOptions) -> Window:
    rows = _rows(current, columns, options)
    numeric = set(reference.numeric)
    text = [
        pl.col(INPUT + name).cast(pl.Float64 if name in numeric else pl.String, strict=False) for name in columns.inputs
    ]
    rows = rows.with_columns(*text)
    prepared = canonical(rows.with_columns(current.frame[HASH]), classifies=bool(columns.classes))
    if columns.time is None:
        prepared = prepared.with_columns(pl.lit(_NO_TIME, TIMESTAMP).alias(TIME))
    unknown: dict[str, int] = {}
    if columns.classes and columns.label is not None:
        others = prepared[LABEL].drop_nulls().filter(~prepared[LABEL].drop_nulls().is_in(list(columns.classes)))
        unknown = dict(sorted(others.value_counts(name="n").iter_rows()))
        prepared = prepared.with_columns(
            pl.when(pl.col(LABEL).is_in(list(columns.classes))).then(pl.col(LABEL)).alias(LABEL)
        )
    keyed = prepared.with_columns(
        # Rows of one time are in no order that says anything.
        pl.col(HASH).cast(pl.String).str.zfill(20).alias("id"),
        pl.lit(0, pl.Int64).alias("row"),
        pl.lit(True).alias("live"),
    ).drop(HASH)
    window = window_of(keyed, _span(keyed, timed=columns.time is not None))
    counts = replace(window.counts, rows=current.rows, labels_unknown=sum(unknown.values()))
    return replace(window, counts=counts, absent=columns.absent, unknown=unknown)


def _span(rows: pl.DataFrame, *, timed: bool) -> JudgedSpan:
    """Return the span of the rows' times: as long as so many rows at these distances stand for."""
    first, last, distinct = rows[TIME].min(), rows[TIME].max(), rows[TIME].n_unique()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    length = (last - first) * (distinct / (distinct - 1)) if timed and distinct > 1 else _TICK
    return JudgedSpan(last - max(length, _TICK), last, last)
