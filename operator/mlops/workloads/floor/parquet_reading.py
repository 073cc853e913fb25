"""A Parquet file read to its end, to see whether a reader survives it: in a child."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from mlops.api.reasons import Reason
from mlops.workloads.floor.failures import BadInput
from mlops.workloads.floor.parquet_file import ParquetError, check_parquet
from mlops.workloads.floor.scanning import scan_through


def read_through(path: Path, name: str, columns: Sequence[str]) -> None:
    """Read those of the columns that the file has to their end. Raises BadInput(FormatError) for a damaged file."""
    try:
        # Its parent did too: whoever calls this need not remember.
        check_parquet(path)
    except ParquetError as error:
        raise BadInput(Reason.FORMAT_ERROR, f"{name}: the Parquet file is damaged: {error}") from error
    scan_through(lambda: pl.scan_parquet(path, glob=False), "Parquet", name, columns)
