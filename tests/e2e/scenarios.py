"""A small scenario with a change in it: data made by a formula, manifests, what the world does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

START = datetime(2024, 3, 1, tzinfo=UTC)
INPUTS = ("height", "width", "depth")

MANIFESTS = """
apiVersion: mlops.dev/v1alpha1
kind: Dataset
metadata: {name: parts}
spec:
  source:
    captured:
      modelName: parts
      window: 1d
      history: {s3: {uri: "s3://raw/parts/"}}
  format: parquet
  fields:
    - {name: id, type: string, role: entityKey}
    - {name: time, type: timestamp, role: timestamp}
    - {name: height, type: float64}
    - {name: width, type: float64}
    - {name: depth, type: float64}
    - {name: fits, type: string, role: label, enum: ["no", "yes"]}
  split: {strategy: time, fractions: {train: "0.6", validation: "0.1", test: "0.3"}}
---
apiVersion: mlops.dev/v1alpha1
kind: TrainingRun
metadata: {name: parts}
spec:
  datasetRef: {name: parts}
  trainer: {estimator: {name: LogisticRegression}}
  reproducibility: {seed: 1}
  gates:
    - {metric: roc_auc, min: "0.7"}
    - {metric: roc_auc, compareTo: champion}
  register: {modelName: parts}
  triggers: [{templateChange: {}}]
---
apiVersion: mlops.dev/v1alpha1
kind: DriftMonitor
metadata: {name: parts}
spec:
  targetRef: {modelName: parts}
  schedule: "0 0 * * *"
  window: {duration: 1d, minSamples: 50}
  labels: {maxDelay: 1m, minCoverage: "0.5"}
  checks:
    - {name: inputs, type: DataDrift, minEffectSize: "0.5"}
    - {name: worse, type: PerformanceDrop, metric: roc_auc, minDrop: "0.1"}
    - {name: relation, type: ConceptDrift, metric: roc_auc, minDrop: "0.1"}
  actions:
    - {when: [PerformanceDrop, ConceptDrift], do: Retrain}
  trainingRunRef: {name: parts}
  guard: {cooldown: 30h}
"""

WORLD = """
[[put]]
file = "data/history.parquet"
uri = "s3://raw/parts/history.parquet"

[replay]
file = "data/stream.parquet"
model = "parts"
id = "id"
time = "time"
label = "fits"
label-delay = "1m"
"""


@dataclass(frozen=True)
class Small:
    """`days` of requests, `rows` a day; from the beginning of day `change` on (counted from 0) the answer is turned."""

    folder: Path
    days: int
    change: int
    rows: int

    @property
    def changed_at(self) -> datetime:
        """The timestamp from which the relation is another."""
        return START + timedelta(days=self.change)


def small(folder: Path, *, days: int, change: int, rows: int) -> Small:
    """Write the scenario into `folder`."""
    made = Small(folder, days, change, rows)
    (folder / "data").mkdir(parents=True)
    (folder / "parts.yaml").write_text(MANIFESTS)
    (folder / "scenario.toml").write_text(WORLD)
    # 600 rows in the day before: inside the window of the data's first version.
    frame(600, START - timedelta(days=1), timedelta(days=1) / 600, seed=1).write_parquet(
        folder / "data/history.parquet"
    )
    stream = frame(days * rows, START, timedelta(days=1) / rows, seed=2, prefix="s", changed_at=made.changed_at)
    stream.write_parquet(folder / "data/stream.parquet")
    return made


def frame(
    number: int,
    start: datetime,
    step: timedelta,
    *,
    seed: int,
    prefix: str = "h",
    changed_at: datetime | None = None,
    stricter_at: datetime | None = None,
) -> pl.DataFrame:
    """Rows every `step`: whether a part fits is told by height and width, from `changed_at` on the other way, and from
    `stricter_at` on in the same way with another threshold."""
    random = np.random.default_rng(seed)
    values = {name: random.normal(size=number).round(6) for name in INPUTS}
    times = [start + index * step for index in range(number)]
    signs = np.array([-1.0 if changed_at and time >= changed_at else 1.0 for time in times])
    least = np.array([2.0 if stricter_at and time >= stricter_at else 0.0 for time in times])
    score = signs * (2 * values["height"] - values["width"]) + random.logistic(size=number) * 0.5
    return pl.DataFrame(
        {
            "id": [f"{prefix}{index:05d}" for index in range(number)],
            "time": pl.Series(times, dtype=pl.Datetime("us", "UTC")),
            **values,
            "fits": np.where(score > least, "yes", "no"),
        }
    )
