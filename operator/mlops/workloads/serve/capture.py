"""What a served version records of its requests: rows in Parquet, partitioned by event time."""

from __future__ import annotations

import hashlib
import io
import itertools
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from mlops.api import tasks
from mlops.workloads.model.features import series_of
from mlops.workloads.model.signature import Signature, class_name
from mlops.workloads.serve.recorder import File
from mlops.workloads.serve.tensors import Array

TIME = pl.Datetime("us", "UTC")


@dataclass(frozen=True, eq=False)
class CapturedRequest:
    """One answered request of n rows."""

    id: str
    rows: int
    # Microseconds since 1970: one for all rows, or (n,).
    time: int | Array
    inputs: Mapping[str, Array]
    prediction: Array
    probabilities: Array | None


def is_sampled(identity: str, percent: int) -> bool:
    """Whether the request with this id is recorded: the same answer in every replica and on every day."""
    if percent >= 100:
        return True
    bucket = int.from_bytes(hashlib.blake2b(identity.encode(), digest_size=8).digest(), "big") % 10_000
    return bucket < percent * 100


class FileNames:
    """Names that no other process and no earlier life of this pod gives: nothing is ever overwritten."""

    def __init__(self, host: str) -> None:
        readable = re.sub(r"[^A-Za-z0-9.-]", "-", host)[:63].strip(".-") or "pod"
        self._process = f"{readable}-{uuid.uuid4().hex[:12]}"
        self._numbers = itertools.count()

    def name(self, data: bytes) -> str:
        """Return the next name."""
        digest = hashlib.sha256(data).hexdigest()[:12]
        return f"{self._process}-{next(self._numbers):08d}-{digest}.parquet"


class CaptureEncoder:
    """Turns answered requests into files; see `tasks.captures_prefix` for their columns."""

    def __init__(self, task: tasks.ServeTask, signature: Signature, names: FileNames) -> None:
        self._task, self._signature, self._names = task, signature, names
        self._prefix = tasks.captures_prefix(task.namespace, task.model_name, task.stage)
        personal = [one.name for one in signature.inputs if one.pii]
        self._redacted = frozenset([*task.capture.redact, *personal])

    def __call__(self, requests: Sequence[CapturedRequest]) -> list[File]:
        """Return a file per day of event time, or per month if there are many."""
        return partitioned(self.frame(requests), self._prefix, self._names)

    def frame(self, requests: Sequence[CapturedRequest]) -> pl.DataFrame:
        """Return the requests' rows, those of one request together."""
        counts = [request.rows for request in requests]
        total = sum(counts)
        times = np.concatenate([np.broadcast_to(request.time, (request.rows,)) for request in requests])
        columns = [
            pl.Series("id", [request.id for request in requests for _ in range(request.rows)], dtype=pl.String),
            pl.Series("row", np.concatenate([np.arange(count) for count in counts]), dtype=pl.Int64),
            pl.Series("time", times, dtype=pl.Int64).cast(TIME),
            pl.repeat(self._task.version, total, dtype=pl.Int64, eager=True).alias("modelVersion"),
            pl.repeat(self._task.artifact, total, dtype=pl.String, eager=True).alias("modelDigest"),
            pl.repeat(self._task.stage, total, dtype=pl.String, eager=True).alias("stage"),
            *(self._input(one.name, one.type, requests) for one in self._signature.inputs),
            *self._outputs(requests),
        ]
        return pl.DataFrame(columns)

    def _input(self, name: str, kind: Any, requests: Sequence[CapturedRequest]) -> pl.Series:
        if name in self._redacted:
            total = sum(request.rows for request in requests)
            empty = series_of(f"in.{name}", kind, np.empty(0, dtype=object))
            return empty.extend_constant(None, total)
        # Some requests may carry gaps (float64) and others not (int64, bool): together they are float64 again.
        return series_of(f"in.{name}", kind, np.concatenate([request.inputs[name] for request in requests]))

    def _outputs(self, requests: Sequence[CapturedRequest]) -> list[pl.Series]:
        predictions = np.concatenate([request.prediction for request in requests])
        classes = self._signature.classes
        if classes is None:
            return [pl.Series("out.prediction", predictions, dtype=pl.Float64)]
        names = [class_name(value) for value in predictions.tolist()]
        columns = [pl.Series("out.prediction", names, dtype=pl.String)]
        given = [request.probabilities for request in requests if request.probabilities is not None]
        if given:
            table = np.concatenate(given)
            columns += [
                pl.Series(f"out.p.{class_name(value)}", table[:, index], dtype=pl.Float64)
                for index, value in enumerate(classes)
            ]
        return columns


# A flush of live traffic spans a day or two; one that spans more is a replay or a backfill.
_MOST_DAYS = 2


def partitioned(frame: pl.DataFrame, prefix: str, names: FileNames) -> list[File]:
    """Return the frame as Parquet files `<prefix>date=…/<name>`, by its column `time`: by day, or by month if many."""
    monthly = frame["time"].dt.date().n_unique() > _MOST_DAYS
    partitions = pl.Series("_partition", [tasks.partition(moment, monthly=monthly) for moment in frame["time"]])
    marked = frame.with_columns(partitions)
    files: list[File] = []
    for (place,), part in marked.partition_by("_partition", as_dict=True, maintain_order=True).items():
        buffer = io.BytesIO()
        part.drop("_partition").write_parquet(buffer, compression="zstd")
        data = buffer.getvalue()
        files.append(File(f"{prefix}{place}{names.name(data)}", data, part.height))
    return files
