"""Labels of one source between two containers of a check's pod: one reads what is delivered, the other judges by it.

A folder per source holds files `part-<n>.parquet` with the columns of `DELIVERED` and `label`, in the type of the
model's label, and `source.json` with why there are none, if that is known.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import polars as pl

from mlops.api.reasons import Reason
from mlops.workloads.floor.parquet_file import ParquetError, check_parquet
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.floor.records.layout import RECEIVED, TIME, TIMESTAMP

# `row` is missing where an id stands for the row too: see `LabelColumns.row`. `received` is when the file was written.
DELIVERED: Final[Mapping[str, pl.DataType]] = {
    "id": pl.String(),
    "row": pl.Int64(),
    TIME: TIMESTAMP,
    RECEIVED: TIMESTAMP,
}
_SOURCE: Final = "source.json"


def folder_of_source(inputs: Path, number: int) -> Path:
    """Return the folder of the source that is number `number` of spec.labels.sources."""
    return inputs / f"labels-{number}"


def write_source(folder: Path, message: str) -> None:
    """Finish a source's folder: `message` says why there are no labels, or is empty."""
    (folder / _SOURCE).write_text(json.dumps({"message": message}))


def message_of(folder: Path) -> str:
    """Return why a source has no labels, if that is known."""
    return str(json.loads((folder / _SOURCE).read_text())["message"])


def label_files(folder: Path) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield the source's labels piece by piece, each with its file's name. Raises BadInput (DataUnusable)."""
    for path in sorted(folder.glob("part-*.parquet")):
        # The container that wrote it has read anybody's bytes.
        try:
            check_parquet(path, is_ours=True)
        except ParquetError as error:
            message = f"{path.name}, written by the container that reads the labels, cannot be read: {error}"
            raise BadInput(Reason.DATA_UNUSABLE, message) from error
        yield path.name, pl.read_parquet(path)
