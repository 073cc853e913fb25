"""Put the data of a run where a user's own container finds it."""

from __future__ import annotations

import shutil
from pathlib import Path

from mlops.api.metrics import of_task
from mlops.api.training_run import Part
from mlops.api.training_task import FetchReport, FetchTask
from mlops.workloads.floor.model.signature import write_json
from mlops.workloads.floor.pod import Pod
from mlops.workloads.train.data import PARTS, SCHEMA_FILE, Data, fetch_artifact, read_data


def fetch(pod: Pod, task: FetchTask) -> FetchReport:
    """Write train, validation and test.parquet, schema.json and task.json into the inputs folder.

    Raises BadInput(DataUnusable), and the store's errors.
    """
    source = fetch_artifact(pod, task.dataset_artifact, pod.scratch / "data")
    data = read_data(source, task.since)
    target = pod.inputs
    target.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        _write_part(data, part, target)
    shutil.copyfile(source / SCHEMA_FILE, target / SCHEMA_FILE)
    write_json(describe(data, task), target / "task.json")
    return FetchReport(rows=sum(frame.height for frame in data.parts.values()))


def describe(data: Data, task: FetchTask) -> dict[str, object]:
    """Return task.json: what the container is asked for, and how its outputs must look."""
    # Whole numbers may be classes or amounts: the model's outputs will tell.
    regression = of_task("regression") if data.label.type in ("float64", "int64") else ()
    classification = of_task("classification", costs=task.costs is not None) if data.label.type != "float64" else ()
    return {
        "formatVersion": 1,
        "namespace": task.namespace,
        "run": task.run,
        "seed": task.seed,
        "label": data.label.name,
        "labelType": data.label.type,
        "columns": [column.dump() for column in data.columns],
        "metrics": [*classification, *regression],
        **({} if task.costs is None else {"costs": [one.dump() for one in task.costs]}),
    }


def _write_part(data: Data, part: Part, target: Path) -> None:
    data.parts[part].write_parquet(target / f"{part}.parquet", compression="zstd")
