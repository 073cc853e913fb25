"""Captured requests and their labels become rows: joined on (id, row), in a window of event time."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from mlops.api.base import parse_duration
from mlops.api.dataset import CapturedSource, DataField, Reason
from mlops.api.tasks import captures_prefix, feedback_prefix, partition_span
from mlops.store.artifacts import Store
from mlops.workloads.expressions import DTYPES
from mlops.workloads.ingest.columnar import convert, schema_of
from mlops.workloads.ingest.contract import Contract
from mlops.workloads.ingest.rows import Rows
from mlops.workloads.parquet_file import ParquetError, check_parquet
from mlops.workloads.pod import BadInput

_KEY = ["id", "row"]


@dataclass(frozen=True)
class Window:
    """A span of event time: the start is in, the end is not."""

    start: datetime
    end: datetime

    @classmethod
    def before(cls, end: datetime, source: CapturedSource) -> Window:
        """Return the source's window that ends at `end`."""
        return cls(end - parse_duration(source.window), end)

    def of(self, chunk: pl.DataFrame, contract: Contract) -> pl.DataFrame:
        """Return the rows whose timestamp is in the window; one without a timestamp is not."""
        return chunk.filter(self.holds(str(contract.timestamp)))

    def holds(self, name: str) -> pl.Expr:
        """Return the condition that the moment in column `name` is in the window."""
        return (pl.col(name) >= self.start) & (pl.col(name) < self.end)


def delivered_window(rows: Rows, contract: Contract, source: CapturedSource) -> Rows:
    """Return the history's rows in the window that ends with its last row, for there is no live model yet."""
    name = str(contract.timestamp)
    newest = [value for chunk in rows.chunks() if (value := chunk[name].max()) is not None]
    if not newest:
        return rows
    last: Any = max(newest)
    # The last row itself belongs to the window.
    window = Window.before(last + timedelta(microseconds=1), source)
    return rows.map(lambda chunk: window.of(chunk, contract))


def captured_rows(
    store: Store, namespace: str, source: CapturedSource, contract: Contract, window: Window
) -> Iterator[pl.DataFrame]:
    """Yield the window's captured rows in the contract's columns.

    An input is the column `in.<field>`. The timestamp is that too, or else the request's time; an entity key is that
    too, or else the request's id (`<id>/<row>` for a further row of a request). The label is what came as feedback.
    """
    requests = _requests(store, captures_prefix(namespace, source.model_name, source.stage), contract, window)
    labels = _labels(store, feedback_prefix(namespace, source.model_name, source.stage), window)
    if requests is None:
        return
    how: Any = "inner" if source.labels == "Required" and contract.label else "left"
    joined = requests.join(labels, on=_KEY, how=how, maintain_order="left")
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
        label = joined["label"]
        if label.dtype == pl.Float64 and field.type == "int64":
            return label.cast(pl.Int64, strict=False)
        return label.cast(pl.String) if field.type == "string" else label
    if f"in.{field.name}" in joined.columns:
        return joined[f"in.{field.name}"]
    if field.role == "timestamp":
        return joined["time"]
    if field.role == "entityKey" and field.type == "string":
        single = pl.when(pl.col("row") == 0).then(pl.col("id"))
        return joined.select(single.otherwise(pl.concat_str("id", pl.lit("/"), "row"))).to_series()
    if field.nullable or field.role == "ignored":
        return pl.Series(field.name, [None] * joined.height, dtype=DTYPES[field.type])
    raise BadInput(
        Reason.SCHEMA_MISMATCH,
        f'{name}: there is no column "in.{field.name}" for the field "{field.name}": '
        "the model was trained without it, or its capture leaves it out",
    )


def _check_recorded(rows: pl.DataFrame, contract: Contract, name: str) -> None:
    """Raise BadInput for personal data that every row lacks and no row may lack: model servers leave it out."""
    for field in contract.fields:
        left_out = field.name in contract.pii and field.role == "feature" and not field.nullable
        if left_out and rows.height and rows[field.name].null_count() == rows.height:
            raise BadInput(
                Reason.SCHEMA_MISMATCH,
                f'{name}: "{field.name}" is in governance.pii, so no row was recorded with it: name it in '
                "governance.piiInCaptures of the Dataset that the model is trained on, or set nullable: true",
            )


def _requests(store: Store, prefix: str, contract: Contract, window: Window) -> pl.DataFrame | None:
    inputs = [f"in.{field.name}" for field in contract.fields if field.role != "label"]
    event_time = f"in.{contract.timestamp}"
    found = []
    for name, data in _objects(store, prefix, window):
        there = schema_of(data, name)
        frame = _parquet(data, [*_KEY, "time", *(one for one in inputs if one in there)], name)
        time = event_time if event_time in frame.columns else "time"
        moments = frame[time]
        if moments.dtype == pl.String:
            field = next(one for one in contract.fields if one.name == contract.timestamp)
            frame = frame.with_columns(convert(moments, field, name, 0, contract.pii).alias(time))
        chosen = frame.filter(window.holds(time))
        if chosen.height:
            found.append(chosen)
    if not found:
        return None
    # A request that was sent again under its id counts once: the last one, by its time and then by its file.
    together = pl.concat(found, how="diagonal_relaxed").sort("time", maintain_order=True)
    return together.unique(_KEY, keep="last", maintain_order=True)


def _labels(store: Store, prefix: str, window: Window) -> pl.DataFrame:
    found = []
    # A label may come long after its request, never before it.
    for name, data in _objects(store, prefix, Window(window.start, datetime.max.replace(tzinfo=UTC))):
        found.append(_parquet(data, [*_KEY, "label", "received"], name))
    if not found:
        return pl.DataFrame(schema={"id": pl.String, "row": pl.Int64, "label": pl.String})
    together = pl.concat(found, how="vertical_relaxed").sort("received", maintain_order=True)
    return together.unique(_KEY, keep="last", maintain_order=True).drop("received")


def _objects(store: Store, prefix: str, window: Window) -> Iterator[tuple[str, bytes]]:
    """Yield (key, bytes) of the files whose partition reaches into the window."""
    for one in store.list(prefix):
        span = partition_span(one.key)
        if one.key.endswith(".parquet") and (span is None or (span[1] > window.start and span[0] < window.end)):
            yield one.key, store.get_object(one.key)


def _parquet(data: bytes, columns: list[str], name: str) -> pl.DataFrame:
    try:
        check_parquet(data)
        return pl.read_parquet(io.BytesIO(data), columns=columns)
    except (ParquetError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        problem = str(error).partition("\n")[0]
        raise BadInput(Reason.FORMAT_ERROR, f"{name}: the captured file cannot be read: {problem}") from error
