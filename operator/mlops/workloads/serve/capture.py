"""What a served version records of its requests: rows in Parquet, partitioned by event time.

In the process that encodes, see `encoding`: the server itself imports none of this.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from mlops.workloads.floor.column_types import series_of
from mlops.workloads.floor.model.missing import is_missing
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
    shadow_prefix,
)
from mlops.workloads.serve.captured_rows import Array, Block, block_of_message
from mlops.workloads.serve.file_names import MOST_FILES, File, FileNames
from mlops.workloads.serve.record_plan import RecordPlan


class CaptureEncoder:
    """Turns answered requests into files; see `records.layout` for their columns."""

    def __init__(self, plan: RecordPlan, names: FileNames) -> None:
        self._plan, self._names = plan, names
        prefix = shadow_prefix if plan.shadow else captures_prefix
        self._prefix = prefix(plan.namespace, plan.model_name, plan.stage)

    def files(self, messages: Sequence[tuple[Mapping[str, Any], bytes | bytearray]]) -> list[File]:
        """Return a file per day of event time, or per month if there are many; see `captured_rows.messages_of`."""
        return partitioned(self.frame(messages), self._prefix, self._names)

    def frame(self, messages: Sequence[tuple[Mapping[str, Any], bytes | bytearray]]) -> pl.DataFrame:
        """Return the requests' rows, those of one request together."""
        parts = [self._part(block_of_message(document, data, self._plan)) for document, data in messages]
        return parts[0] if len(parts) == 1 else pl.concat(parts)

    def _part(self, block: Block) -> pl.DataFrame:
        total, plan = len(block.ids), self._plan
        return pl.DataFrame(
            [
                pl.Series("id", block.ids, dtype=pl.String),
                pl.Series("row", block.numbers, dtype=pl.Int64),
                pl.Series(TIME, block.time, dtype=pl.Int64).cast(TIMESTAMP),
                pl.Series(ARRIVED, block.arrived, dtype=pl.Int64).cast(TIMESTAMP),
                pl.repeat(plan.version, total, dtype=pl.Int64, eager=True).alias(VERSION),
                pl.repeat(plan.digest, total, dtype=pl.String, eager=True).alias(DIGEST),
                pl.repeat(plan.stage, total, dtype=pl.String, eager=True).alias(STAGE),
                *(self._input(one.name, one.type, one.redacted, block) for one in plan.inputs),
                *self._outputs(block),
            ]
        )

    def _input(self, name: str, kind: Any, redacted: bool, block: Block) -> pl.Series:
        if redacted:
            empty = series_of(INPUT + name, kind, np.empty(0, dtype=object))
            return empty.extend_constant(None, len(block.ids))
        values = block.inputs[name]
        return _whole_numbers(INPUT + name, values) if kind == "int64" else series_of(INPUT + name, kind, values)

    def _outputs(self, block: Block) -> list[pl.Series]:
        classes = self._plan.classes
        if classes is None:
            return [pl.Series(PREDICTION, block.prediction, dtype=pl.Float64)]
        columns = [pl.Series(PREDICTION, block.prediction, dtype=pl.String)]
        if block.probabilities is not None:
            columns += [
                pl.Series(PROBABILITY + one.name, block.probabilities[:, index], dtype=pl.Float64)
                for index, one in enumerate(classes)
            ]
        return columns


def _whole_numbers(name: str, values: Array) -> pl.Series:
    """Return an array as an int64 column; a missing number is null, and no other number changes by it."""
    gaps = is_missing(values)
    column = pl.Series(name, np.where(gaps, 0, values).astype(np.int64), dtype=pl.Int64)
    return column.set(pl.Series(gaps), None) if gaps.any() else column


# A flush of live traffic spans a day or two; one that spans more is a replay or a backfill.
_MOST_DAYS = 2


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
    own = counts["_begin"] if counts.height <= MOST_FILES else counts["_begin"].head(MOST_FILES - 1)
    marked = frame.with_columns(begins)
    for begin in own.sort():
        yield partition(begin, monthly=monthly), marked.filter(pl.col("_begin") == begin).drop("_begin")
    others = marked.filter(~pl.col("_begin").is_in(own.implode())).drop("_begin")
    if others.height:
        first, last = others["time"].min(), others["time"].max()
        assert isinstance(first, datetime)
        assert isinstance(last, datetime)
        yield partition_of_span(first, last), others
