"""Data sets, tasks and pods for training tests: one default object each, real stores, real fits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mlops.api import tasks
from mlops.api.training_run import Estimator
from mlops.store import open_store
from mlops.workloads.floor.pod import Pod
from mlops.workloads.train.run import train

DIGEST = "sha256:" + "0" * 64
PARTS = ("train", "validation", "test")


def field(name: str, kind: str, role: str = "feature", nullable: bool = False) -> dict[str, Any]:
    """One column of the contract."""
    return {"name": name, "type": kind, "role": role, "nullable": nullable}


FIELDS = [
    field("time", "timestamp", "timestamp"),
    field("id", "string", "entityKey"),
    field("demand", "float64", nullable=True),
    field("price", "float64"),
    field("count", "int64"),
    field("holiday", "boolean"),
    field("region", "string", nullable=True),
    field("label", "string", "label"),
]
FEATURES = [{"name": "gap", "expression": "price * 2 - count", "type": "float64"}]


def a_frame(rows: int = 500, seed: int = 0) -> pl.DataFrame:
    """Rows with a signal, missing numbers, missing texts, and the computed column."""
    random = np.random.default_rng(seed)
    demand, price = random.normal(size=rows), random.normal(size=rows)
    count = random.integers(0, 9, rows)
    region = random.choice(["north", "south", "west"], rows)
    score = demand + price + (region == "north") + random.normal(size=rows) * 0.3
    frame = pl.DataFrame(
        {
            "time": pl.datetime_range(
                pl.datetime(2024, 1, 1), pl.datetime(2024, 12, 31), "1h", time_unit="us", eager=True
            )[:rows].dt.replace_time_zone("UTC"),
            "id": [f"e{number}" for number in range(rows)],
            "demand": np.where(random.random(rows) < 0.1, np.nan, demand),
            "price": price,
            "count": count,
            "holiday": random.random(rows) < 0.3,
            "region": region,
            "label": np.where(score > 0.4, "UP", "DOWN"),
            "value": score * 10 + 50,
            "three": np.where(score > 1, 3, np.where(score > 0, 2, 1)),
            "flag": score > 0.4,
        }
    )
    return frame.with_columns(
        pl.col("demand").fill_nan(None),
        pl.when(pl.int_range(pl.len()) % 17 == 0).then(None).otherwise(pl.col("region")).alias("region"),
        (pl.col("price") * 2 - pl.col("count")).alias("gap"),
    )


def labelled(name: str, kind: str) -> list[dict[str, Any]]:
    """The contract with another label."""
    return [*(one for one in FIELDS[:-1] if one["name"] != name), field(name, kind, "label")]


def a_schema(fields: list[dict[str, Any]] | None = None, **changes: Any) -> dict[str, Any]:
    """schema.json as ingest writes it."""
    fields = FIELDS if fields is None else fields
    schema = {
        "formatVersion": 1,
        "fields": fields,
        "features": FEATURES,
        "split": {"strategy": "time", "seed": 1, "fractions": {"train": "0.6", "validation": "0.2", "test": "0.2"}},
        "label": next((one["name"] for one in fields if one["role"] == "label"), None),
        "timestamp": next((one["name"] for one in fields if one["role"] == "timestamp"), None),
        "entityKey": "id",
        "pii": [],
    }
    return schema | changes


class Place:
    """A store on disk and as many pods as a test starts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"file://{folder}/store"
        self.store = open_store(self.url, {})
        self._count = 0

    def new(self, name: str) -> Path:
        """Return an empty folder of its own."""
        self._count += 1
        folder = self.folder / f"{name}{self._count}"
        folder.mkdir()
        return folder

    def dataset(self, frame: pl.DataFrame | None = None, schema: dict[str, Any] | None = None) -> str:
        """Store a version cut 60/20/20 and return its address."""
        frame = a_frame() if frame is None else frame
        folder = self.new("dataset")
        first, second = int(frame.height * 0.6), int(frame.height * 0.8)
        for part, rows in zip(PARTS, (frame[:first], frame[first:second], frame[second:]), strict=True):
            rows.write_parquet(folder / f"{part}.parquet")
        (folder / "schema.json").write_text(json.dumps(a_schema() if schema is None else schema))
        return self.store.put_directory(folder).digest

    def pod(self, **environ: str) -> Pod:
        """Return a pod with an empty scratch folder."""
        return Pod({tasks.STORE_VARIABLE: self.url, **environ}, self.new("scratch"))

    def run(self, dataset: str, estimator: str | None = "LogisticRegression", **changes: Any) -> tasks.TrainReport:
        """Train and return the report."""
        return train(changes.pop("pod", None) or self.pod(), a_task(dataset, estimator, **changes))

    def model(self, report: tasks.TrainReport) -> Path:
        """Return the folder of the model that a run stored."""
        folder = self.folder / report.output_digest[-12:]
        self.store.get(report.output_digest, folder)
        return folder


def a_task(dataset: str, estimator: str | None = "LogisticRegression", **changes: Any) -> tasks.TrainTask:
    """Return a task; `params` are the estimator's."""
    params = changes.pop("params", {})
    values: dict[str, Any] = {
        "namespace": "default",
        "run": "electricity",
        "dataset_artifact": dataset,
        "dataset_digest": dataset,
        "environment_digest": DIGEST,
        "seed": 7,
        "estimator": None if estimator is None else Estimator(name=estimator, params=params),
    }
    return tasks.TrainTask(**(values | changes))


def metric(report: tasks.TrainReport, name: str, dataset: str = "test", champion: bool = False) -> float | None:
    """Return one value of a report, or None."""
    values = report.champion_metrics if champion else report.metrics
    return next((float(one.value) for one in values if (one.name, one.dataset) == (name, dataset)), None)
