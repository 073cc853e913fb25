"""One machine, real pods: no label comes to the feedback endpoint; files and a Dataset have them all the same."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.cli.project import MANIFESTS, SCENARIO, mlops, rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MONITOR = """\
---
apiVersion: mlops.dev/v1alpha1
kind: Dataset
metadata: {name: outcomes}
spec:
  source: {s3: {uri: "s3://raw/outcomes/"}}
  format: parquet
  fields:
    - {name: id, type: string, role: entityKey}
    - {name: at, type: timestamp, role: timestamp}
    - {name: "y", type: string, role: label, enum: ["no", "yes"]}
---
apiVersion: mlops.dev/v1alpha1
kind: DriftMonitor
metadata: {name: tiny}
spec:
  targetRef: {modelName: tiny}
  schedule: "0 0 1 * *"
  window: {duration: 30d, minSamples: 20}
  labels:
    maxDelay: 2d
    sources:
      - {feedback: {}}
      - {s3: {uri: "s3://raw/labels/", format: csv, columns: {label: truth, time: known}}}
      - {datasetRef: {name: outcomes}, joinKeys: [id], within: 1d}
  checks: [{name: worse, type: PerformanceDrop, metric: accuracy}]
  actions: [{when: [DataQuality], do: Hold}]
"""
PUTS = """
[[put]]
file = "labels.csv"
uri = "s3://raw/labels/labels.csv"

[[put]]
file = "outcomes.parquet"
uri = "s3://raw/outcomes/outcomes.parquet"

[replay]
file = "stream.parquet"
model = "tiny"
id = "id"
time = "at"
"""


def write(folder: Path) -> None:
    folder.mkdir()
    rows(300).write_parquet(folder / "rows.parquet")
    stream = rows(90, start=300)
    stream.drop("y").write_parquet(folder / "stream.parquet")
    turned = pl.when(pl.col("y") == "yes").then(pl.lit("no")).otherwise(pl.lit("yes"))
    truth = stream.select("id", "at", y=pl.when(pl.int_range(90) < 40).then("y").otherwise(turned))
    of_files = truth[:60].select("id", pl.col("y").alias("truth"), known=pl.col("at") + timedelta(hours=3))
    of_files.write_csv(folder / "labels.csv", datetime_format="%Y-%m-%dT%H:%M:%SZ")
    truth[60:].write_parquet(folder / "outcomes.parquet")
    (folder / "tiny.yaml").write_text(MANIFESTS + MONITOR)
    (folder / "scenario.toml").write_text(SCENARIO + PUTS)


def test_labels_of_files_and_of_a_dataset_tell_that_the_model_is_worse(tmp_path: Path) -> None:
    """Each source says what it gave; the relation turned, and only these labels show it."""
    write(tmp_path / "project")
    state = tmp_path / "state"
    ended = mlops("run", "-f", tmp_path / "project", "--state", state, timeout=500)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    status = json.loads(mlops("get", "dmon", "tiny", "-o", "json", "--state", state).stdout)["status"]
    assert "PerformanceDrop" in [check["verdict"] for check in status["history"]], status["history"]
    given = {one["source"]: one["labelled"] for one in status["labelSources"]}
    assert given["feedback"] == 0
    assert given["Dataset outcomes"] > 0
    assert status["labelled"] >= status["samples"] - 2
    logs = mlops("logs", "dmon", "tiny", "--all", "--state", state).stdout
    assert "labels of s3://raw/labels/" in logs
    assert "60 labels of s3://raw/labels/" in logs
