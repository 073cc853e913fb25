"""A real store in a folder, with a model's reference, captures and labels in it, and the check run on them."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from bench.drift_streams import LENGTH, Stream, make_stream, signature_of
from mlops.api import tasks
from mlops.api.drift_monitor import Check, Labels, TargetRef
from mlops.api.drift_monitor import Window as WindowSpec
from mlops.store import Store, open_store
from mlops.workloads.drift.run import check
from mlops.workloads.floor.pod import Pod
from mlops.workloads.floor.records.layout import captures_prefix, feedback_prefix

REQUESTS = captures_prefix("shop", "churn", "production")
LABELS = feedback_prefix("shop", "churn", "production")


def parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


@dataclass
class World:
    """One served model and everything that the store holds of it."""

    root: Path
    stream: Stream
    number: int
    model: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        description = signature_of(self.stream.reference.frame, **self.model).dump()
        files = {
            "model.json": json.dumps(description).encode(),
            "reference.parquet": parquet(self.stream.reference.frame),
        }
        self.artifact = self.store.put_files(files).digest

    @property
    def store(self) -> Store:
        return open_store(f"file://{self.root}", {})

    @property
    def end(self) -> datetime:
        return self.stream.windows[self.number].span.end

    @property
    def captured(self) -> pl.DataFrame:
        """The rows of the window as a server captures them."""
        frame = self.stream.windows[self.number].frame.drop("live", "judged", "label")
        return frame.with_columns(
            pl.lit(3, pl.Int64).alias("modelVersion"),
            pl.lit(self.artifact).alias("modelDigest"),
            pl.lit("production").alias("stage"),
        )

    @property
    def labels(self) -> pl.DataFrame:
        """A label for every row, received an hour after the request."""
        return self.stream.windows[self.number].frame.select(
            "id",
            "row",
            "label",
            pl.col("time") + timedelta(hours=1),
            (pl.col("time") + timedelta(hours=1)).alias("received"),
        )

    def write(self, prefix: str, frame: pl.DataFrame, name: str = "a", *, monthly: bool = False) -> None:
        pattern = "date=%Y-%m" if monthly else "date=%Y-%m-%d"
        parts = frame.with_columns(pl.col("time").dt.strftime(pattern).alias("_part"))
        for (part,), rows in parts.partition_by("_part", as_dict=True, include_key=False).items():
            # Many files: written to where the folder store keeps them, without a sync of each.
            path = self.root / "objects" / f"{prefix}{part}/{name}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(parquet(rows))

    def write_all(self) -> None:
        self.write(REQUESTS, self.captured)
        self.write(LABELS, self.labels)

    def task(self, *types: str, window: dict[str, Any] | None = None, **labels: str) -> tasks.DriftTask:
        wanted = types or (
            "DataQuality",
            "DataDrift",
            "PredictionDrift",
            "LabelShift",
            "PerformanceDrop",
            "ConceptDrift",
        )
        return tasks.DriftTask(
            namespace="shop",
            monitor="churn",
            target=TargetRef(model_name="churn"),
            model_version="churn-3",
            artifact=self.artifact,
            window=WindowSpec(duration=f"{LENGTH.days}d", **(window or {})),
            labels=Labels(**labels),
            checks=tuple(Check(name=kind.lower(), type=kind) for kind in wanted),  # type: ignore[arg-type]
        )

    def pod(self, end: datetime | None = None) -> Pod:
        minutes = int(((end or self.end) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() // 60)
        return Pod({tasks.STORE_VARIABLE: f"file://{self.root}", tasks.JOB_VARIABLE: f"churn-{minutes}"}, self.root)

    def check(self, *types: str, end: datetime | None = None, **settings: Any) -> tasks.DriftReport:
        report = check(self.pod(end), self.task(*types, **settings))
        assert tasks.parse_report(tasks.write_report(report)) == report
        return report

    def document(self, report: tasks.DriftReport) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.store.read_file(report.report_digest, "report.json"))
        return found

    def page(self, report: tasks.DriftReport) -> str:
        return self.store.read_file(report.report_digest, "report.html").decode()


@pytest.fixture(scope="session")
def streams() -> dict[str, Stream]:
    """One stream of each kind, shared: making one trains a model."""
    return {kind: make_stream(kind, 7, rows=1200, windows=2) for kind in ("stable", "concept")}


@pytest.fixture
def stable(tmp_path: Path, streams: dict[str, Stream]) -> World:
    return World(tmp_path / "store", streams["stable"], 0)


@pytest.fixture
def changed(tmp_path: Path, streams: dict[str, Stream]) -> World:
    """The window in which the relation has moved."""
    return World(tmp_path / "store", streams["concept"], 1)
