"""Captured requests and their labels become rows: joined on (id, row), in a window of event time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from mlops.api.base import earlier, parse_duration
from mlops.api.dataset import CapturedSource, DataField
from mlops.api.reasons import Reason
from mlops.store.artifacts import Store
from mlops.workloads.floor.column_types import DTYPES
from mlops.workloads.floor.log import say
from mlops.workloads.floor.model.missing import EXACT
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.floor.records.layout import (
    ARRIVED,
    CANONICAL,
    CONTENT,
    INPUT,
    KEY,
    LABEL,
    TIME,
    captures_prefix,
    feedback_prefix,
)
from mlops.workloads.floor.records.reading import SEND_EVENT_TIME, Span, first_of_each, labels_of, request_files
from mlops.workloads.ingest.contract import Contract
from mlops.workloads.ingest.rows import Rows
from mlops.workloads.ingest.widening import convert


@dataclass(frozen=True)
class Window(Span):
    """A span of event time: the start is out, the end is in, as in a drift check that ends then."""

    @classmethod
    def before(cls, end: datetime, source: CapturedSource) -> Window:
        """Return the source's window that ends at `end`."""
        return cls(earlier(end, parse_duration(source.window)), end)

    def of(self, chunk: pl.DataFrame, contract: Contract) -> pl.DataFrame:
        """Return the rows whose timestamp is in the window; one without a timestamp is not."""
        return chunk.filter(self.holds(str(contract.timestamp)))


def delivered_window(rows: Rows, contract: Contract, source: CapturedSource) -> Rows:
    """Return the history's rows in the window that ends with its last row, for there is no live model yet."""
    name = str(contract.timestamp)
    newest = [value for chunk in rows.chunks() if (value := chunk[name].max()) is not None]
    if not newest:
        return rows
    last: Any = max(newest)
    window = Window.before(last, source)
    return rows.map(lambda chunk: window.of(chunk, contract))


def captured_rows(
    store: Store,
    namespace: str,
    source: CapturedSource,
    contract: Contract,
    window: Window,
    note: Callable[[datetime], None] = lambda newest: None,
) -> Iterator[pl.DataFrame]:
    """Yield the window's captured rows in the contract's columns; which rows and labels count says `records.reading`.

    An input is the column `in.<field>`. The timestamp is that too, or else the request's time; an entity key is that
    too, or else the request's id (`<id>/<row>` for a further row of a request). The label is what came as feedback.
    `note` is told when the newest request arrived.
    """
    requests = _requests(store, captures_prefix(namespace, source.model_name, source.stage), contract, window)
    if requests is None:
        return
    newest: Any = requests[ARRIVED].max() or requests[TIME].max()
    if newest is not None:
        note(newest)
    labels = labels_of(
        store,
        feedback_prefix(namespace, source.model_name, source.stage),
        window,
        requests,
        # Whole numbers as text too: no float holds all of them.
        as_text=contract.label is None or contract.kinds[contract.label] != "float64",
    )
    if labels.unmatched:
        say(f"{labels.unmatched} labels belong to no captured row of the window, or came before their request")
    if labels.early:
        say(f"{labels.early} labels are dated more than a day before their request: {SEND_EVENT_TIME}")
    how: Any = "inner" if source.labels == "Required" and contract.label else "left"
    joined = requests.join(labels.frame, on=KEY, how=how, maintain_order="left")
    name = f"captures of {source.model_name} in {source.stage}"
    columns = {
        field.name: convert(_column(joined, field, name, contract), field, name, 0, contract.pii)
        for field in contract.fields
    }
    rows = pl.DataFrame(columns)
    _check_recorded(rows, contract, name)
    yield rows


def _column(joined: pl.DataFrame, field: DataField, name: str, contract: Contract) -> pl.Series:
    if field.role == "label":
        return joined[LABEL]
    given = _of_request(joined, field)
    if (recorded := INPUT + field.name) in joined.columns:
        # Of versions before a feature read the field, and where personal data stays out, the request's own counts.
        return joined[recorded] if given is None else joined[recorded].fill_null(given)
    if given is not None:
        return given
    if field.nullable or field.role == "ignored":
        return pl.Series(field.name, [None] * joined.height, dtype=DTYPES[field.type])
    raise BadInput(
        Reason.SCHEMA_MISMATCH,
        f'{name}: there is no column "{recorded}" for the field "{field.name}": '
        "the model was trained without it, or its capture leaves it out",
    )


def _of_request(joined: pl.DataFrame, field: DataField) -> pl.Series | None:
    """Return what each request says by itself: its time, and its id as the key of what it is about."""
    if field.role == "timestamp":
        return joined[TIME]
    if field.role == "entityKey" and field.type == "string":
        single = pl.when(pl.col("row") == 0).then(pl.col("id"))
        return joined.select(single.otherwise(pl.concat_str("id", pl.lit("/"), "row"))).to_series()
    return None


def _check_recorded(rows: pl.DataFrame, contract: Contract, name: str) -> None:
    """Raise BadInput for personal data that every row lacks and no row may lack: model servers leave it out."""
    for field in contract.fields:
        left_out = field.name in contract.pii and field.name in contract.requested and not field.nullable
        if left_out and rows.height and rows[field.name].null_count() == rows.height:
            raise BadInput(
                Reason.SCHEMA_MISMATCH,
                f'{name}: "{field.name}" is in governance.pii, so no row was recorded with it: name it in '
                "governance.piiInCaptures of the Dataset that the model is trained on, or set nullable: true",
            )


def _exact(rows: pl.DataFrame, contract: Contract, prefix: str) -> pl.DataFrame:
    """Return the rows with whole numbers as such: one file that has them as floats must not round those of all others.

    Raises BadInput for floats that are no whole numbers, or are beyond 2^53, where digits are lost.
    """
    for field in contract.fields:
        name = f"in.{field.name}"
        if field.type != "int64" or name not in rows.columns or not rows[name].dtype.is_float():
            continue
        present = rows[name].fill_nan(None).drop_nulls()
        if not ((present == present.floor()) & (present.abs() <= EXACT)).all():
            raise BadInput(
                Reason.DATA_UNUSABLE,
                f'{prefix}: a file has the column "{name}" as {rows[name].dtype}, with numbers that are not whole or '
                f'beyond 2^53, and "{field.name}" is an int64: take the file away',
            )
        rows = rows.with_columns(pl.col(name).fill_nan(None).cast(pl.Int64))
    return rows


def _requests(store: Store, prefix: str, contract: Contract, window: Window) -> pl.DataFrame | None:
    inputs = {INPUT + field.name for field in contract.fields if field.role != "label"}
    found = []
    for frame in request_files(store, prefix, window):
        wanted = [*KEY, TIME, ARRIVED, CONTENT, *sorted(inputs & set(frame.columns))]
        chosen = frame.select(wanted).filter(window.holds(TIME))
        if chosen.height:
            found.append(_exact(chosen, contract, prefix))
    if not found:
        return None
    try:
        together = pl.concat(found, how="diagonal_relaxed")
    except pl.exceptions.PolarsError as error:
        problem = "its files have columns of one name and of types that do not go together"
        raise BadInput(Reason.DATA_UNUSABLE, f"{prefix}: {problem} ({type(error).__name__})") from None
    return first_of_each(together).sort(*CANONICAL)
