"""The whole loop on rows with personal data; afterwards every stored byte is read for it."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from mlops.local.records import read_objects
from mlops.store import open_store
from tests.cli.project import REPLAY, SCENARIO, mlops, rows
from tests.stored_bytes import found_in

MANIFESTS = """\
apiVersion: mlops.dev/v1alpha1
kind: Dataset
metadata: {{name: tiny}}
spec:
  source: {{s3: {{uri: "s3://raw/tiny/"}}}}
  format: csv
  fields:
    - {{name: id, type: string, role: entityKey}}
    - {{name: at, type: timestamp, role: timestamp}}
    - {{name: a, type: float64, max: "50"}}
    - {{name: b, type: float64}}
    - {{name: name, type: string, nullable: true}}
    - {{name: salary, type: float64, max: "900000"}}
    - {{name: "y", type: string, role: label, enum: ["no", "yes"]}}
  features:
    - {{name: loud, expression: "UPPER(name)"}}
    - {{name: twice, expression: "salary * 2"}}
  validation:
    rules: [{{name: not-quiet, expression: "loud <> '---'"}}]
    onFailure: Quarantine
    maxQuarantinedPercent: 5
  split: {{strategy: time}}
  governance: {{owner: tests, pii: [name, salary]}}
---
apiVersion: mlops.dev/v1alpha1
kind: TrainingRun
metadata: {{name: tiny}}
spec:
  datasetRef: {{name: tiny}}
  trainer: {{estimator: {{name: {estimator}}}}}
  search:
    algorithm: grid
    objective: {{metric: accuracy}}
    parameters: [{parameters}]
  gates: [{{metric: accuracy, min: "0.5"}}]
  register:
    modelName: tiny
    promotion: {{stages: [{{name: production, gates: [{{golden: {{}}}}]}}]}}
    capture: {{percent: 100, flushSeconds: 60, redact: [b]}}
---
apiVersion: mlops.dev/v1alpha1
kind: DriftMonitor
metadata: {{name: tiny}}
spec:
  targetRef: {{modelName: tiny}}
  schedule: "0 0 1 * *"
  window: {{duration: 60d, minSamples: 20}}
  labels: {{maxDelay: 1d, minCoverage: "0.1"}}
  checks:
    - {{name: inputs, type: DataDrift}}
    - {{name: delivery, type: DataQuality}}
    - {{name: worse, type: PerformanceDrop, metric: accuracy, minDrop: "0.02"}}
    - {{name: relation, type: ConceptDrift, metric: accuracy, minDrop: "0.02"}}
  actions: [{{when: [DataQuality], do: Hold}}]
"""
NAMES = [f"Braund, Mr. Owen Mark{number:02d}" for number in range(40)]
SALARIES = [f"6{number:02d}417.625" for number in range(40)]
# What a file may be called in which the rows themselves stand.
DATA = ("train.parquet", "validation.parquet", "test.parquet", "quarantine.parquet")


def people(count: int, start: int = 0) -> pl.DataFrame:
    """Return rows of people, whose names and salaries cannot be mistaken for anything else."""
    number = pl.int_range(pl.len()) + start
    return rows(count, start=start).with_columns(
        (number % 40).cast(pl.Int32).replace_strict(dict(enumerate(NAMES)), return_dtype=pl.String).alias("name"),
        (number % 40).cast(pl.Int32).replace_strict(dict(enumerate(map(float, SALARIES)))).alias("salary"),
    )


def write(folder: Path, estimator: str, parameters: str) -> Path:
    """Write a project whose delivery has rows that break the contract, in personal fields and in others."""
    folder.mkdir()
    bad = pl.int_range(pl.len())
    delivered = people(300).with_columns(
        pl.when(bad == 7).then(pl.lit(77.0)).otherwise("a").alias("a"),
        pl.when(bad == 11).then(pl.lit(987654.125)).otherwise("salary").alias("salary"),
        pl.when(bad == 13).then(pl.lit("---")).otherwise("name").alias("name"),
    )
    delivered.write_csv(folder / "rows.csv", datetime_format="%Y-%m-%dT%H:%M:%SZ")
    people(90, start=300).write_parquet(folder / "stream.parquet")
    (folder / "tiny.yaml").write_text(MANIFESTS.format(estimator=estimator, parameters=parameters))
    (folder / "scenario.toml").write_text((SCENARIO + REPLAY).replace("rows.parquet", "rows.csv"))
    return folder


def files_of_rows(state: Path) -> list[Path]:
    """Return the files below a state folder in which rows of the data stand: what was delivered, and its versions."""
    (dataset,) = [one for one in read_objects(state) if one["kind"] == "Dataset"]
    found = [path for path in (state / "buckets").rglob("*") if path.is_file()]
    store = open_store(f"file://{state}/store", {})
    for version in dataset["status"]["history"]:
        for entry in store.manifest(version["artifact"]).entries:
            if entry.path in DATA:
                found += [path for path in (state / "store").rglob("*") if entry.sha256.split(":")[-1] in path.name]
    return found


@pytest.mark.parametrize(
    ("estimator", "parameters", "form"),
    [
        pytest.param("LogisticRegression", '{name: C, values: ["0.5", "1"]}', "onnx", id="onnx"),
        pytest.param(
            "HistGradientBoostingClassifier", '{name: max_iter, values: ["5", "10"]}', "treelite", id="treelite"
        ),
        pytest.param("NearestCentroid", '{name: metric, values: ["manhattan", "euclidean"]}', "skops", id="skops"),
    ],
)
def test_no_stored_byte_outside_the_rows_holds_personal_data(
    tmp_path: Path, estimator: str, parameters: str, form: str
) -> None:
    """Profiles, models, captures, references, reports, logs, objects: ingest with quarantine to the drift report."""
    state, project = tmp_path / "state", write(tmp_path / "project", estimator, parameters)
    ended = mlops("run", "-f", project, "--state", state, "--plain")
    (version,) = [one for one in read_objects(state) if one["kind"] == "ModelVersion"]
    artifact = open_store(f"file://{state}/store", {}).manifest(version["spec"]["artifact"]["digest"])
    assert f"model.{form}" in [entry.path for entry in artifact.entries], ended.stdout + ended.stderr
    said = [ended.stdout, ended.stderr]
    for words in (["get", "all"], ["describe", "dset", "tiny"], ["lineage", "tiny"], ["report", "tiny"]):
        shown = mlops(*words, "--state", state)
        said += [shown.stdout, shown.stderr]
    marks = [*NAMES, *(name.upper() for name in NAMES), *SALARIES, "987654.125"]
    marks += [f"{float(salary) * 2:.2f}" for salary in SALARIES]
    rows_themselves = files_of_rows(state)
    assert found_in(tmp_path, marks, but=[*rows_themselves, *project.iterdir()]) == {}
    assert not [mark for mark in marks if mark in "".join(said)]
    # The rows were there to be found, the quarantined ones too, and the loop went round to the report.
    assert len({name for names in found_in(state, marks).values() for name in names}) > 100
    captured = [pl.read_parquet(path) for path in (state / "store").rglob("requests/**/*.parquet")]
    assert sum(frame.height for frame in captured) == 90, ended.stdout + ended.stderr
    assert all(frame["in.name"].null_count() == frame["in.salary"].null_count() == frame.height for frame in captured)
    assert list((state / "reports").rglob("*.html"))
