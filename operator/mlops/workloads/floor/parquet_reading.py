"""A Parquet file read to its end, to see whether a reader survives it: in a child."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from mlops.api.reasons import Reason
from mlops.workloads.floor.parquet_file import ParquetError, check_parquet
from mlops.workloads.floor.pod import BadInput

_ROWS = 131_072
_SHOWN = 200


def read_through(path: Path, name: str, columns: Sequence[str]) -> None:
    """Read those of the columns that the file has to their end. Raises BadInput(FormatError) for a damaged file."""
    try:
        # Its parent did too: whoever calls this need not remember.
        check_parquet(path)
        scan = pl.scan_parquet(path, glob=False)
        found = scan.collect_schema()
        for _ in scan.select([one for one in columns if one in found]).collect_batches(chunk_size=_ROWS):
            pass
    except (ParquetError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        problem = str(error).partition("\n")[0][:_SHOWN]
        raise BadInput(Reason.FORMAT_ERROR, f"{name}: the Parquet file is damaged: {problem}") from error
