"""What a served version records of its requests: rows in Parquet, partitioned by event time.

Imported by a server when the first rows are to be encoded: polars takes a third of its memory.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np
import polars as pl

from mlops.api import tasks
from mlops.workloads.floor.model.features import series_of
from mlops.workloads.floor.model.missing import is_missing
from mlops.workloads.floor.model.signature import Signature, class_name
from mlops.workloads.floor.records.layout import (
    ARRIVED,
    DIGEST,
    INPUT,
    PREDICTION,
    PROBABILITY,
    STAGE,
    TIME,
    TIMESTAMP,
    VERSION,
    captures_prefix,
    partition,
    partition_of_span,
)
from mlops.workloads.serve.captured_rows import Block, CapturedRequest, CapturedRow, block_of, runs_of
from mlops.workloads.serve.file_names import FileNames
from mlops.workloads.serve.recorder import File
from mlops.workloads.serve.tensors import Array

# Rows that are made columns in one go.
_AT_A_TIME: Final = 1000


class CaptureEncoder:
    """Turns answered requests into files; see `records.layout` for their columns."""

    def __init__(self, task: tasks.ServeTask, signature: Signature, names: FileNames) -> None:
        self._task, self._signature, self._names = task, signature, names
        self._prefix = captures_prefix(task.namespace, task.model_name, task.stage)
        personal = [one.name for one in signature.inputs if one.pii]
        self._redacted = frozenset([*task.capture.redact, *personal])

    def __call__(self, requests: Sequence[CapturedRequest | CapturedRow]) -> list[File]:
        """Return a file per day of event time, or per month if there are many."""
        return partitioned(self.frame(requests), self._prefix, self._names)

    def frame(self, requests: Sequence[CapturedRequest | CapturedRow]) -> pl.DataFrame:
        """Return the requests' rows, those of one request together."""
        # A piece at a time: the event loop gets its turns meanwhile.
        parts = [self._part(self._block(run)) for run in runs_of(requests, _AT_A_TIME)]
        return parts[0] if len(parts) == 1 else pl.concat(parts)

    def _block(self, run: Sequence[CapturedRequest | CapturedRow]) -> Block:
        rows = [one for one in run if isinstance(one, CapturedRow)]
        if rows:
            return block_of(rows, self._signature)
        (request,) = run
        assert isinstance(request, CapturedRequest)
        return request.block()

    def _part(self, block: Block) -> pl.DataFrame:
        total = len(block.ids)
        return pl.DataFrame(
            [
                pl.Series("id", block.ids, dtype=pl.String),
                pl.Series("row", block.numbers, dtype=pl.Int64),
                pl.Series(TIME, block.time, dtype=pl.Int64).cast(TIMESTAMP),
                pl.Series(ARRIVED, block.arrived, dtype=pl.Int64).cast(TIMESTAMP),
                pl.repeat(self._task.version, total, dtype=pl.Int64, eager=True).alias(VERSION),
                pl.repeat(self._task.artifact, total, dtype=pl.String, eager=True).alias(DIGEST),
                pl.repeat(self._task.stage, total, dtype=pl.String, eager=True).alias(STAGE),
                *(self._input(one.name, one.type, block) for one in self._signature.inputs),
                *self._outputs(block),
            ]
        )

    def _input(self, name: str, kind: Any, block: Block) -> pl.Series:
        if name in self._redacted:
            empty = series_of(INPUT + name, kind, np.empty(0, dtype=object))
            return empty.extend_constant(None, len(block.ids))
        values = block.inputs[name]
        return _whole_numbers(INPUT + name, values) if kind == "int64" else series_of(INPUT + name, kind, values)

    def _outputs(self, block: Block) -> list[pl.Series]:
        classes = self._signature.classes
        if classes is None:
            return [pl.Series(PREDICTION, block.prediction, dtype=pl.Float64)]
        names = [class_name(value) for value in block.prediction.tolist()]
        columns = [pl.Series(PREDICTION, names, dtype=pl.String)]
        if block.probabilities is not None:
            columns += [
                pl.Series(PROBABILITY + class_name(value), block.probabilities[:, index], dtype=pl.Float64)
                for index, value in enumerate(classes)
            ]
        return columns


def _whole_numbers(name: str, values: Array) -> pl.Series:
    """Return an array as an int64 column; a missing number is null, and no other number changes by it."""
    gaps = is_missing(values)
    column = pl.Series(name, np.where(gaps, 0, values).astype(np.int64), dtype=pl.Int64)
    return column.set(pl.Series(gaps), None) if gaps.any() else column


# A flush of live traffic spans a day or two; one that spans more is a replay or a backfill.
_MOST_DAYS = 2
# Event times are the clients' choice: ten thousand rows could name seven thousand months.
MOST_PARTITIONS = 24


def partitioned(frame: pl.DataFrame, prefix: str, names: FileNames) -> list[File]:
    """Return the frame as at most 24 Parquet files `<prefix><partition>/<name>`, by its column `time`.

    A file per day; per month if there are many days; and if there are many months, the fullest of them have files of
    their own, and the rows of all others share one.
    """
    files: list[File] = []
    for place, part in _parts(frame):
        buffer = io.BytesIO()
        part.write_parquet(buffer, compression="zstd")
        data = buffer.getvalue()
        files.append(File(f"{prefix}{place}{names.name(data)}", data, part.height))
    return files


def _parts(frame: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    monthly = frame["time"].dt.date().n_unique() > _MOST_DAYS
    begins = frame["time"].dt.truncate("1mo" if monthly else "1d").alias("_begin")
    counts = begins.value_counts(name="_rows").sort("_rows", "_begin", descending=[True, False])
    own = counts["_begin"] if counts.height <= MOST_PARTITIONS else counts["_begin"].head(MOST_PARTITIONS - 1)
    marked = frame.with_columns(begins)
    for begin in own.sort():
        yield partition(begin, monthly=monthly), marked.filter(pl.col("_begin") == begin).drop("_begin")
    others = marked.filter(~pl.col("_begin").is_in(own.implode())).drop("_begin")
    if others.height:
        first, last = others["time"].min(), others["time"].max()
        assert isinstance(first, datetime)
        assert isinstance(last, datetime)
        yield partition_of_span(first, last), others
