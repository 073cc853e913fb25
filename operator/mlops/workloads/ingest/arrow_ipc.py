"""Arrow's own files and streams (also Feather version 2): the contract's columns, as of Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl

from mlops.workloads.floor.arrow_reading import ARROW_FILE, arrow_scanner
from mlops.workloads.floor.isolation.parent import Child
from mlops.workloads.ingest.arrow_schema import ArrowError
from mlops.workloads.ingest.columnar import names_of, rows_of, try_in_child
from mlops.workloads.ingest.contract import Contract
from mlops.workloads.ingest.problems import format_error
from mlops.workloads.ingest.zones import arrow_in_utc

_STREAM_MAGIC: Final = b"\xff\xff\xff\xff"
_FEATHER_1: Final = b"FEA1"


def read_arrow(
    path: Path, name: str, contract: Contract, child: Child | None = None, *, prepared: bool = False
) -> Iterator[pl.DataFrame]:
    """Yield the contract's columns in the file's order. Raises BadInput for another kind of file or other types.

    A `child` reads every file first: its buffers may be packed, so what it grows to is not bounded by its size.
    Unless it is `prepared`, it is prepared first.
    """
    if not prepared:
        prepare_arrow(path, name)
    if child is not None:
        try_in_child(child, "arrow", "Arrow", path, name, contract)
    yield from rows_of(arrow_scanner(path), "Arrow", name, contract)


def arrow_columns(path: Path, name: str, *, prepared: bool = False) -> list[str]:
    """Return the names of the file's columns. Raises BadInput for what is no Arrow file."""
    if not prepared:
        prepare_arrow(path, name)
    return names_of(arrow_scanner(path), "Arrow", name)


def prepare_arrow(path: Path, name: str) -> None:
    """Make a file's time zones UTC. Raises BadInput for what is no Arrow file or stream."""
    _check_magic(path, name)
    try:
        arrow_in_utc(path)
    except ArrowError as error:
        raise format_error(name, f"the Arrow file is damaged: {error}: deliver it again") from error


def _check_magic(path: Path, name: str) -> None:
    with path.open("rb") as stream:
        head = stream.read(8)
    if head.startswith(_FEATHER_1):
        raise format_error(
            name, "this is Feather version 1, which is no longer read: write it as version 2, or Parquet"
        )
    if not head.startswith((ARROW_FILE, _STREAM_MAGIC)):
        raise format_error(name, "this is no Arrow file or stream: check spec.format")
