"""Scoring as a pod's program, in this process or in one of its own: a task with one default, and what it wrote."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mlops.api import tasks
from mlops.api.dataset import DatasetSpec
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.score.run import score
from tests.servers.process import WITH_PARENT
from tests.workloads.ingest.conftest import Desk
from tests.workloads.serve.models import rows, write_model
from tests.workloads.serve.servers import artifact_of

KEYS = [
    {"name": "id", "type": "string", "role": "entityKey"},
    {"name": "at", "type": "timestamp", "role": "timestamp"},
]
FIELDS = [
    *KEYS,
    {"name": "temperature", "type": "float64", "nullable": True},
    {"name": "count", "type": "int64"},
    {"name": "windy", "type": "boolean"},
    {"name": "colour", "type": "string", "nullable": True},
]
SPEC = DatasetSpec.model_validate(
    {"source": {"s3": {"uri": "s3://raw/things/"}}, "format": "csv", "csv": {"delimiter": ";"}, "fields": FIELDS}
)


def asked(number: int, seed: int = 0) -> pl.DataFrame:
    """Rows of the model made by hand, with their keys."""
    found = {name: values.tolist() for name, values in rows(number, seed).items()}
    return pl.DataFrame({"id": [f"r{at}" for at in range(number)], **found}).with_columns(
        at=pl.datetime(2024, 1, 1, time_zone="UTC") + pl.duration(seconds=pl.int_range(number))
    )


def as_csv(frame: pl.DataFrame) -> str:
    """The rows as the Dataset of SPEC has them delivered."""
    return frame.with_columns(pl.col("at").dt.strftime("%Y-%m-%dT%H:%M:%SZ")).write_csv(separator=";")


@dataclass
class ScoringDesk(Desk):
    """A machine with a store, buckets, and one model in the store."""

    artifact: str = ""

    def with_model(self, classes: Any = ("dry", "rain")) -> ScoringDesk:
        """Put the model made by hand into the store."""
        self.artifact = artifact_of(self.root / "store", write_model(self.root / "model", classes))
        return self

    def task(self, **changes: Any) -> tasks.ScoreTask:
        """Rows of s3://raw/things/, answers to s3://out/things/."""
        values: dict[str, Any] = {
            "namespace": "team",
            "model_name": "weather",
            "version": 3,
            "artifact": self.artifact,
            "input": {"uri": "s3://raw/things/"},
            "output": "s3://out/things/",
            "spec": SPEC,
        }
        return tasks.ScoreTask.model_validate(values | changes)

    def score(self, **changes: Any) -> tasks.ScoreReport:
        """Score in this process."""
        return score(self.pod(), self.task(**changes))

    def refused(self, **changes: Any) -> str:
        """Score what must be refused, and return why."""
        with pytest.raises(BadInput) as caught:
            self.score(**changes)
        return caught.value.message

    def started(self, task: tasks.ScoreTask, **environ: str) -> subprocess.Popen[bytes]:
        """Start the program of a pod."""
        with (self.root / "score.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-c", WITH_PARENT, sys.executable, "-W", "error", "-m", "mlops.workloads"],
                env={
                    **os.environ,
                    **self.environ,
                    tasks.TASK_VARIABLE: json.dumps(task.dump()),
                    tasks.TERMINATION_VARIABLE: str(self.root / "termination-log"),
                    **environ,
                },
                stdin=subprocess.DEVNULL,
                stderr=log,
            )

    @property
    def out(self) -> Path:
        """The folder of the answers."""
        return self.root / "buckets/out/things"

    def answers(self) -> pl.DataFrame:
        """All answers."""
        return pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in sorted(self.out.glob("part-*"))])

    def manifest(self) -> dict[str, Any]:
        """What stands in the manifest."""
        found: dict[str, Any] = json.loads((self.out / "_manifest.json").read_text())
        return found


def bits(values: Any) -> bytes:
    """Numbers to the last bit."""
    return np.asarray(values, dtype=np.float64).tobytes()
