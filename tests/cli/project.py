"""A small project of a user's: two features, a label that follows from them, manifests, and the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

MANIFESTS = """\
apiVersion: mlops.dev/v1alpha1
kind: Dataset
metadata: {name: tiny}
spec:
  source: {s3: {uri: "s3://raw/tiny/"}}
  format: parquet
  fields:
    - {name: id, type: string, role: entityKey}
    - {name: at, type: timestamp, role: timestamp}
    - {name: a, type: float64}
    - {name: b, type: float64}
    - {name: "y", type: string, role: label, enum: ["no", "yes"]}
  split: {strategy: time}
---
apiVersion: mlops.dev/v1alpha1
kind: TrainingRun
metadata: {name: tiny}
spec:
  datasetRef: {name: tiny}
  trainer: {estimator: {name: LogisticRegression}}
  gates: [{metric: accuracy, min: "0.6"}]
  register:
    modelName: tiny
    promotion: {stages: [{name: production, protocolVersions: [v2, grpc-v2], gates: [{golden: {}}]}]}
"""
MONITOR = """\
---
apiVersion: mlops.dev/v1alpha1
kind: DriftMonitor
metadata: {name: tiny}
spec:
  targetRef: {modelName: tiny}
  schedule: "0 0 1 * *"
  window: {duration: 60d, minSamples: 20}
  checks: [{name: inputs, type: DataDrift}]
  actions: [{when: [DataQuality], do: Hold}]
"""
SCENARIO = """\
[[put]]
file = "rows.parquet"
uri = "s3://raw/tiny/rows.parquet"
"""
REPLAY = """\
[replay]
file = "stream.parquet"
model = "tiny"
id = "id"
time = "at"
label = "y"
label-delay = "1d"
"""


def rows(count: int, *, start: int = 0, first: datetime = datetime(2020, 1, 1, tzinfo=UTC)) -> pl.DataFrame:
    """Return `count` days of rows from number `start` on."""
    random = np.random.default_rng(start + 7)
    a, b = random.normal(size=count), random.normal(size=count)
    noise = random.normal(scale=0.5, size=count)
    return pl.DataFrame(
        {
            "id": [f"r{start + index:05d}" for index in range(count)],
            "at": [first + timedelta(days=start + index) for index in range(count)],
            "a": a,
            "b": b,
            "y": np.where(a + b + noise > 0, "yes", "no"),
        },
        schema_overrides={"at": pl.Datetime("us", "UTC")},
    )


def write(folder: Path, *, replay: bool = False) -> Path:
    """Write the whole project; with `replay` a stream of 90 days and a monitor that looks every month."""
    folder.mkdir(parents=True, exist_ok=True)
    rows(300).write_parquet(folder / "rows.parquet")
    rows(90, start=300).write_parquet(folder / "stream.parquet")
    (folder / "tiny.yaml").write_text(MANIFESTS + (MONITOR if replay else ""))
    (folder / "scenario.toml").write_text(SCENARIO + (REPLAY if replay else ""))
    return folder


def environment() -> dict[str, str]:
    """Return the environment without what would turn the command line to another state."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MLOPS_")}


def command(*words: str | Path) -> list[str]:
    """Return `mlops` with these words, as a command."""
    return [sys.executable, "-m", "mlops.cli.main", *map(str, words)]


def mlops(*words: str | Path, given: bytes = b"", timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """Run `mlops` to its end. Nothing that it says may be a traceback."""
    ended = subprocess.run(command(*words), input=given, capture_output=True, env=environment(), timeout=timeout)
    out, err = ended.stdout.decode(), ended.stderr.decode()
    assert "Traceback" not in out + err, out + err
    return subprocess.CompletedProcess(ended.args, ended.returncode, out, err)


def processes_of(state: Path) -> list[str]:
    """Return the command lines of the processes that have to do with a state folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue  # it has ended meanwhile, or is another user's
        if str(state).encode() in text and int(entry.name) != os.getpid():
            found.append((entry / "cmdline").read_bytes().decode(errors="replace"))
    return found
