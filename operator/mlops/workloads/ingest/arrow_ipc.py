"""Arrow's own files and streams (also Feather version 2): the contract's columns, as of Parquet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import polars as pl

from mlops.workloads.floor.isolation.parent import Child
from mlops.workloads.ingest.arrow_schema import ArrowError
from mlops.workloads.ingest.columnar import names_of, rows_of, scan_through, try_in_child
from mlops.workloads.ingest.contract import Contract
from mlops.workloads.ingest.problems import format_error
from mlops.workloads.ingest.zones import arrow_in_utc

_FILE_MAGIC: Final = b"ARROW1"
_STREAM_MAGIC: Final = b"\xff\xff\xff\xff"
_FEATHER_1: Final = b"FEA1"


def read_arrow(path: Path, name: str, contract: Contract, child: Child | None = None) -> Iterator[pl.DataFrame]:
    """Yield the contract's columns in the file's order. Raises BadInput for another kind of file or other types.

    A `child` reads every file first: its buffers may be packed, so what it grows to is not bounded by its size.
    """
    _prepare(path, name)
    if child is not None:
        try_in_child(child, "arrow", "Arrow", path, name, contract)
    yield from rows_of(_scanner(path), "Arrow", name, contract)


def arrow_columns(path: Path, name: str) -> list[str]:
    """Return the names of the file's columns. Raises BadInput for what is no Arrow file."""
    _prepare(path, name)
    return names_of(_scanner(path), "Arrow", name)


def _prepare(path: Path, name: str) -> None:
    _check_magic(path, name)
    try:
        arrow_in_utc(path)
    except ArrowError as error:
        raise format_error(name, f"the Arrow file is damaged: {error}: deliver it again") from error


def read_arrow_through(path: Path, name: str, columns: list[str]) -> None:
    """In a child: read those of the columns that there are to their end. Raises BadInput for a damaged file."""
    scan_through(_scanner(path), "Arrow", name, columns)


def _scanner(path: Path) -> Callable[[], pl.LazyFrame]:
    with path.open("rb") as stream:
        is_file = stream.read(len(_FILE_MAGIC)) == _FILE_MAGIC
    if is_file:
        return lambda: pl.scan_ipc(path, glob=False)
    return lambda: _stream(path)


def _stream(path: Path) -> pl.LazyFrame:
    try:
        return pl.read_ipc_stream(path).lazy()
    except OSError as error:
        if error.errno is not None:
            raise
        # No error of the system: the reader's word for a stream that ends too soon.
        raise pl.exceptions.ComputeError(str(error)) from error


def _check_magic(path: Path, name: str) -> None:
    with path.open("rb") as stream:
        head = stream.read(8)
    if head.startswith(_FEATHER_1):
        raise format_error(
            name, "this is Feather version 1, which is no longer read: write it as version 2, or Parquet"
        )
    if not head.startswith((_FILE_MAGIC, _STREAM_MAGIC)):
        raise format_error(name, "this is no Arrow file or stream: check spec.format")
