"""Arrow's own files and streams: how a reader scans them, and read to their end in a child."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from mlops.workloads.floor.scanning import scan_through

ARROW_FILE: Final = b"ARROW1"


def read_arrow_through(path: Path, name: str, columns: Sequence[str]) -> None:
    """Read those of the columns that there are to their end. Raises BadInput(FormatError) for a damaged file."""
    scan_through(arrow_scanner(path), "Arrow", name, columns)


def arrow_scanner(path: Path) -> Callable[[], pl.LazyFrame]:
    """Return what scans a file, or reads a stream."""
    with path.open("rb") as stream:
        is_file = stream.read(len(ARROW_FILE)) == ARROW_FILE
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
