"""Parquet and Arrow: the contract's columns, widened where nothing is lost, with nested ones by their path."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import polars as pl

from mlops.api.reasons import Reason
from mlops.workloads.floor.isolation.parent import Child, ChildEnded
from mlops.workloads.floor.log import say
from mlops.workloads.floor.parquet_file import ParquetError, check_parquet
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.floor.scanning import batches, top_of, unreadable
from mlops.workloads.ingest.contract import Contract
from mlops.workloads.ingest.problems import format_error, shown
from mlops.workloads.ingest.typed import check_columns, column_of
from mlops.workloads.ingest.widening import check_type, convert
from mlops.workloads.ingest.zones import parquet_in_utc

MAGIC = b"PAR1"
_ENCRYPTED: Final = b"PARE"
_ROWS = 131_072
_TRIED_BYTES, _TRIED_SECONDS = 64 << 20, 300.0
# Starting a child takes a second: after a small file it waits for the next.
_KEPT_BYTES = 1 << 20
# For the child: what a file of that size may grow to in a reader, and its copies.
TRIED_MEMORY_BYTES = 4 << 30
_CUT_OFF = 12  # bytes of the smallest file: two magics and a length


def read_parquet(path: Path, name: str, contract: Contract, child: Child | None = None) -> Iterator[pl.DataFrame]:
    """Yield the contract's columns in the file's order. Raises BadInput for another kind of file or other types.

    The file is this process's copy: time zones in its description are made UTC, which no value depends on.

    A `child` reads a file of up to 64 MiB before this process does: a small file that takes a machine's memory ends the
    child. A larger one would take twice as long, and what it grows to is bounded by its size.
    """
    _check_magic(path, name)
    _check_structure(path, name)
    parquet_in_utc(path)
    if child is not None and path.stat().st_size <= _TRIED_BYTES:
        try_in_child(child, "parquet", "Parquet", path, name, contract)
    yield from rows_of(lambda: pl.scan_parquet(path, glob=False), "Parquet", name, contract)


def parquet_columns(path: Path, name: str) -> list[str]:
    """Return the names of the file's columns. Raises BadInput for what is no Parquet file."""
    _check_magic(path, name)
    _check_structure(path, name)
    parquet_in_utc(path)
    return names_of(lambda: pl.scan_parquet(path, glob=False), "Parquet", name)


def names_of(scan: Callable[[], pl.LazyFrame], what: str, name: str) -> list[str]:
    """Return the names of the columns that a reader scans."""
    try:
        return list(scan().collect_schema())
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise unreadable(error, what, name) from error


def try_in_child(child: Child, work: str, what: str, path: Path, name: str, contract: Contract, **how: Any) -> None:
    """Have a child read the file to its end. Raises BadInput if that ends the child."""
    columns = [column_of(field) for field in contract.fields]
    try:
        child.ask(work, {"path": str(path), "name": name, "columns": columns, **how}, seconds=_TRIED_SECONDS)
    except ChildEnded as error:
        raise format_error(name, f"the {what} file is not read: {error}: write it again") from error
    if path.stat().st_size > _KEPT_BYTES:
        # What it took is needed for the same file in this process.
        child.close()


def rows_of(scan: Callable[[], pl.LazyFrame], what: str, name: str, contract: Contract) -> Iterator[pl.DataFrame]:
    """Yield the contract's columns of what a reader scans, in chunks. Raises BadInput; `what` names the format."""
    try:
        frame = scan()
        present = dict(frame.collect_schema())
        wanted = _wanted(present, name, contract)
        row = 0
        cut: set[str] = set()
        for chunk in batches(frame, wanted, _ROWS):
            for field in contract.fields:
                contract.note_zone(chunk[field.name], field)
            yield pl.DataFrame(
                {field.name: convert(chunk[field.name], field, name, row, contract.pii) for field in contract.fields}
            )
            row += chunk.height
            _note_cut(chunk, cut, name)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise unreadable(error, what, name) from error


def _note_cut(chunk: pl.DataFrame, noted: set[str], name: str) -> None:
    """Say once of a column that its times have digits beyond microseconds."""
    for column in chunk:
        is_fine = isinstance(column.dtype, pl.Datetime) and column.dtype.time_unit == "ns"
        if is_fine and column.name not in noted and (column.to_physical() % 1000 != 0).any():
            noted.add(column.name)
            say(f'{name}: field "{column.name}" has times with digits beyond microseconds: they are cut')


def _wanted(present: dict[str, pl.DataType], name: str, contract: Contract) -> list[pl.Expr]:
    """Return the contract's columns as expressions, after checking that they are there, and of a type that fits."""
    found = {column_of(field): _found(column_of(field), present) for field in contract.fields}
    named = [*present, *(column for column, one in found.items() if one is not None and column not in present)]
    check_columns(name, named, contract.fields, contract.pii)
    wanted = []
    used = set()
    for field in contract.fields:
        one = found[column_of(field)]
        if one is None:
            raise BadInput(Reason.SCHEMA_MISMATCH, f'{name}: column "{column_of(field)}" of spec.fields not found')
        expression, dtype, top = one
        check_type(name, field, dtype)
        used.add(top)
        wanted.append(expression.alias(field.name))
    if extra := [column for column in present if column not in used]:
        say(f"{name}: {len(extra)} columns are not in spec.fields and are left out: {shown(', '.join(extra))}")
    return wanted


def _found(column: str, present: dict[str, pl.DataType]) -> tuple[pl.Expr, pl.DataType, str] | None:
    """Return a column by its name, or by the path through structs that the name is; with the top-level column."""
    if (top := top_of(column, present)) is None:
        return None
    expression, dtype = pl.col(top), present[top]
    rest = column.removeprefix(top).removeprefix(".")
    while rest:
        if not isinstance(dtype, pl.Struct):
            return None
        inner = {one.name: pl.Series([], dtype=one.dtype).dtype for one in dtype.fields}
        step = top_of(rest, inner)
        if step is None:
            return None
        expression, dtype = expression.struct.field(step), inner[step]
        rest = rest.removeprefix(step).removeprefix(".")
    return expression, dtype, top


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
    if _ENCRYPTED in (head, tail):
        raise format_error(name, "the Parquet file is encrypted: write it without encryption")
    if head != MAGIC:
        raise format_error(name, "this is no Parquet file (its first bytes are not PAR1): check spec.format")
    if tail != MAGIC or size < _CUT_OFF:
        raise format_error(name, f"the Parquet file is cut off after {size} bytes: deliver it again")
