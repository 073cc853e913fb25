"""Parquet: the contract's columns, widened where nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from mlops.api.dataset import DataField
from mlops.api.reasons import Reason
from mlops.workloads.floor.expressions.sql_expressions import DTYPES
from mlops.workloads.floor.isolation.parent import Child, Ended
from mlops.workloads.floor.log import say
from mlops.workloads.floor.parquet_file import ParquetError, check_parquet
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest.contract import Contract
from mlops.workloads.ingest.text import format_error
from mlops.workloads.ingest.typed import bad_value, check_columns, first_unread, from_text, in_calendar, normal, shown

MAGIC = b"PAR1"
_ROWS = 131_072
_TRIED_BYTES, _TRIED_SECONDS = 64 << 20, 300.0
# Starting a child takes a second: after a small file it waits for the next.
_KEPT_BYTES = 1 << 20
# For the child: what a file of that size may grow to in a reader, and its copies.
TRIED_MEMORY_BYTES = 4 << 30
_CUT_OFF = 12  # bytes of the smallest file: two magics and a length


def read_parquet(path: Path, name: str, contract: Contract, child: Child | None = None) -> Iterator[pl.DataFrame]:
    """Yield the contract's columns in the file's order. Raises BadInput for another kind of file or other types.

    A `child` reads a file of up to 64 MiB before this process does: a small file that takes a machine's memory ends the
    child. A larger one would take twice as long, and what it grows to is bounded by its size.
    """
    _check_magic(path, name)
    _check_structure(path, name)
    if child is not None and path.stat().st_size <= _TRIED_BYTES:
        columns = [field.name for field in contract.fields]
        try:
            child.ask("parquet", {"path": str(path), "name": name, "columns": columns}, seconds=_TRIED_SECONDS)
        except Ended as error:
            raise format_error(name, f"the Parquet file is not read: {error}: write it again") from error
        if path.stat().st_size > _KEPT_BYTES:
            # What it took is needed for the same file in this process.
            child.close()
    try:
        scan = pl.scan_parquet(path, glob=False)
        present = dict(scan.collect_schema())
        check_columns(name, list(present), contract.fields, contract.pii)
        for field in contract.fields:
            _check_type(name, field, present[field.name])
        if extra := [column for column in present if column not in contract.schema]:
            say(f"{name}: {len(extra)} columns are not in spec.fields and are left out: {shown(', '.join(extra))}")
        row = 0
        wanted = scan.select([field.name for field in contract.fields])
        for chunk in wanted.collect_batches(chunk_size=_ROWS, maintain_order=True):
            yield pl.DataFrame(
                {field.name: convert(chunk[field.name], field, name, row, contract.pii) for field in contract.fields}
            )
            row += chunk.height
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise format_error(name, f"the Parquet file is damaged: {shown(str(error).partition(chr(10))[0])}") from error


def convert(column: pl.Series, field: DataField, name: str, rows_before: int, pii: frozenset[str]) -> pl.Series:
    """Return the column in its field's type. Raises BadInput naming the first value that cannot be."""
    dtype, target = column.dtype, DTYPES[field.type]
    if dtype == pl.String and field.type != "string":
        values = from_text(column, field.type)
    elif field.type == "timestamp" and isinstance(dtype, pl.Datetime | pl.Date):
        timestamps = column.cast(pl.Datetime("us")) if isinstance(dtype, pl.Date) else column.dt.cast_time_unit("us")
        zoned = isinstance(dtype, pl.Datetime) and dtype.time_zone is not None
        values = in_calendar(
            timestamps.dt.convert_time_zone("UTC") if zoned else timestamps.dt.replace_time_zone("UTC")
        )
    else:
        values = column.cast(target, strict=False)
    if field.type != "float64" or dtype == pl.String:
        at = first_unread(column, values)
        if at is not None:
            raise bad_value(name, rows_before + at + 1, field, _shown_cell(column, at), pii)
    return normal(values)


def _shown_cell(column: pl.Series, at: int) -> object:
    """Return a cell; of a timestamp its number, since Python has none beyond the year 9999."""
    if not isinstance(column.dtype, pl.Datetime | pl.Date):
        return column[at]
    unit = column.dtype.time_unit if isinstance(column.dtype, pl.Datetime) else "days"
    return f"{column.to_physical()[at]} {unit} since 1970"


def _check_type(name: str, field: DataField, dtype: pl.DataType) -> None:
    text = isinstance(dtype, pl.String | pl.Categorical | pl.Enum)
    fits = {
        "float64": dtype.is_float() or dtype.is_integer() or dtype.is_decimal() or dtype == pl.String,
        "int64": dtype.is_integer() or dtype == pl.String,
        "string": text,
        "boolean": dtype == pl.Boolean or dtype == pl.String,
        "timestamp": isinstance(dtype, pl.Datetime | pl.Date | pl.String),
    }[field.type] or dtype == pl.Null
    if not fits:
        raise BadInput(
            Reason.SCHEMA_MISMATCH,
            f'{name}: column "{field.name}" is {dtype} in the file, and {field.type} in spec.fields',
        )


def _check_structure(source: Path | bytes, name: str) -> None:
    try:
        check_parquet(source)
    except ParquetError as error:
        raise format_error(name, f"the Parquet file is damaged: {error}") from error


def _check_magic(path: Path, name: str) -> None:
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(len(MAGIC))
        stream.seek(max(0, size - len(MAGIC)))
        tail = stream.read()
    if head != MAGIC:
        raise format_error(name, "this is no Parquet file (its first bytes are not PAR1): check spec.format")
    if tail != MAGIC or size < _CUT_OFF:
        raise format_error(name, f"the Parquet file is cut off after {size} bytes: deliver it again")
