"""One default object of each kind, and a small world that carries plans out: changes are merged into the YAML shape."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from mlops.api import kinds, tasks
from mlops.api.dataset import Dataset
from mlops.api.drift_monitor import DriftMonitor
from mlops.api.model_version import ModelVersion
from mlops.api.training_run import TrainingRun
from mlops.planning.plan import Manifest, Settings
from mlops.planning.views import JobView

NOW = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)
CREATED = "2026-01-10T11:00:00Z"
ENVIRONMENT = "sha256:" + "e" * 64
SETTINGS = Settings(
    image="mlops-workloads:test", environment_digest=ENVIRONMENT, environment={"MLOPS_STORE": "s3://artifacts/"}
)


def digest(letter: str) -> str:
    """Return a digest that a reader recognises."""
    return "sha256:" + letter * 64


def merged(base: Any, changes: Any) -> Any:
    """Return `base` with `changes` put over it; None removes a field."""
    if not (isinstance(base, Mapping) and isinstance(changes, Mapping)):
        return copy.deepcopy(changes)
    result = {**base}
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(base[key], value) if key in base else copy.deepcopy(value)
    return result


def _object(kind: str, name: str, spec: Manifest, changes: Mapping[str, Any]) -> Any:
    metadata = {"name": name, "namespace": "team", "uid": f"uid-{name}", "generation": 1, "creationTimestamp": CREATED}
    manifest = {"apiVersion": "mlops.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}
    return kinds.parse(merged(manifest, changes))


def a_dataset(**changes: Any) -> Dataset:
    """Return a Dataset of delivered Parquet."""
    spec = {
        "source": {"s3": {"uri": "s3://raw/weather/"}},
        "fields": [
            {"name": "time", "type": "timestamp", "role": "timestamp"},
            {"name": "wind", "type": "float64"},
            {"name": "rain", "type": "string", "role": "label", "enum": ["yes", "no"]},
        ],
    }
    return _object("Dataset", "weather", spec, changes)  # type: ignore[no-any-return]


def a_versioned_dataset(version: int = 1, **changes: Any) -> Dataset:
    """Return a Dataset that is Ready with `version`."""
    history = [
        {"version": n, "digest": digest(f"{n:x}"[-1]), "artifact": digest("a"), "time": CREATED, "rows": 100}
        for n in range(version, 0, -1)
    ]
    status = {
        "observedGeneration": 1,
        "version": version,
        "digest": history[0]["digest"],
        "artifact": digest("a"),
        "lastCheckTime": CREATED,
        "history": history,
        "conditions": [a_condition("Ready", "True", "Versioned"), a_condition("Versioned", "True", "Versioned")],
    }
    return a_dataset(**merged({"status": status}, changes))


def a_condition(type_: str, status: str, reason: str, message: str = "") -> Manifest:
    """Return a condition as it stands in a status."""
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": CREATED,
        "observedGeneration": 1,
    }


def a_run(**changes: Any) -> TrainingRun:
    """Return a run that registers what passes its gate."""
    spec = {
        "datasetRef": {"name": "weather"},
        "trainer": {"estimator": {"name": "LogisticRegression", "params": {"C": "0.1"}}},
        "gates": [{"metric": "roc_auc", "min": "0.80", "compareTo": "champion", "minDelta": "0.0"}],
        "register": {"modelName": "rain"},
    }
    return _object("TrainingRun", "rain-1", spec, changes)  # type: ignore[no-any-return]


def a_container_run(**changes: Any) -> TrainingRun:
    """Return a run of the user's own code."""
    container = {
        "image": "registry.example/train:1",
        "command": ["python", "train.py", "--data", "$(MLOPS_INPUTS)"],
        "args": ["--epochs", "3"],
        "env": [{"name": "DEPTH", "value": "4"}, {"name": "OMP_NUM_THREADS", "value": "16"}],
    }
    trainer = {"estimator": None, "container": container}
    return a_run(**merged({"spec": {"trainer": trainer}}, changes))


def a_template(**changes: Any) -> TrainingRun:
    """Return a template that fires on edits and on new data."""
    base = {"metadata": {"name": "rain"}, "spec": {"triggers": [{"templateChange": {}}, {"datasetVersion": {}}]}}
    base["metadata"]["uid"] = "uid-rain"
    return a_run(**merged(base, changes))


def a_version(number: int = 1, **changes: Any) -> ModelVersion:
    """Return a version with its artifact given by digest."""
    spec = {"modelName": "rain", "version": number, "artifact": {"digest": digest(f"{number:x}"[-1])}}
    return _object("ModelVersion", f"rain-v{number}", spec, changes)  # type: ignore[no-any-return]


def a_live_version(number: int = 1, **changes: Any) -> ModelVersion:
    """Return a version that is live in production."""
    status = {
        "observedGeneration": 1,
        "artifact": digest(f"{number:x}"[-1]),
        "lineage": {"trainingRun": "rain-0"},
        "verification": {"goldenRows": 64, "maxDifference": "0", "p99Milliseconds": "1.5"},
        "passedStages": ["production"],
        "stage": "production",
        "stages": ["production"],
        "transitions": [{"time": CREATED, "to": "production"}],
        "conditions": [a_condition("Ready", "True", "Serving")],
    }
    return a_version(number, **merged({"status": status}, changes))


def a_monitor(**changes: Any) -> DriftMonitor:
    """Return a monitor that checks every hour."""
    spec = {
        "targetRef": {"modelName": "rain"},
        "schedule": "0 * * * *",
        "window": {"duration": "24h"},
        "checks": [{"name": "inputs", "type": "DataDrift"}, {"name": "concept", "type": "ConceptDrift"}],
        "trainingRunRef": {"name": "rain"},
    }
    return _object("DriftMonitor", "rain-drift", spec, changes)  # type: ignore[no-any-return]


# --- Jobs ---


def finished(manifest: Manifest, report: tasks.Report | str | None, *, at: str = "2026-01-10T11:30:00Z") -> JobView:
    """Return the Job as it looks after its pod wrote `report` and exited with 0."""
    conditions = [{"type": "Complete", "status": "True", "lastTransitionTime": at}]
    status = {"succeeded": 1, "completionTime": at, "conditions": conditions}
    message = report if isinstance(report, str) or report is None else tasks.write_report(report)
    return JobView(_with(manifest, status), message=message, exit_code=0, reason="Completed")


def failed(
    manifest: Manifest,
    reason: str | None = None,
    *,
    message: str | None = None,
    exit_code: int | None = 2,
    container: str | None = "Error",
    why: str = "PodFailurePolicy",
    at: str = "2026-01-10T11:30:00Z",
) -> JobView:
    """Return the Job as it looks after it failed; `reason` is that of its pod's report, `why` the Job's own."""
    conditions = [{"type": "Failed", "status": "True", "reason": why, "lastTransitionTime": at}]
    text = message
    if reason is not None:
        text = tasks.write_report(tasks.FailureReport(reason=reason, message=message or f"told {reason}"))
    status = {"failed": 1, "conditions": conditions}
    return JobView(_with(manifest, status), message=text, exit_code=exit_code, reason=container)


def running(manifest: Manifest) -> JobView:
    """Return the Job as it looks while its pod works."""
    return JobView(_with(manifest, {"active": 1}))


def _with(manifest: Manifest, status: Manifest) -> Manifest:
    name = manifest["metadata"]["name"]
    return merged(manifest, {"metadata": {"uid": f"uid-of-{name}"}, "status": status})


# --- reports ---


def an_ingest_report(letter: str = "1", **changes: Any) -> tasks.IngestReport:
    """Return the report of a good delivery."""
    return tasks.IngestReport(
        **{
            "digest": digest(letter),
            "artifact": digest("a"),
            "schema_digest": digest("5"),
            "rows": 100,
            "bytes": 4096,
            "splits": {"train": 60, "validation": 20, "test": 20},
            "validation": {"passed": 3, "failed": 0},
            "as_of": CREATED,
            **changes,
        }
    )


def a_train_report(letter: str = "f", value: str = "0.8312", **changes: Any) -> tasks.TrainReport:
    """Return the report of a training whose roc_auc on the test part is `value`."""
    return tasks.TrainReport(
        **{
            "output_digest": digest(letter),
            "prediction_digest": digest("d"),
            "environment_digest": ENVIRONMENT,
            "format": "onnx",
            "metrics": [{"name": "roc_auc", "dataset": "test", "value": value}],
            **changes,
        }
    )


def a_remove_report(*artifacts: str) -> tasks.RemoveReport:
    """Return the report of a removal of these artifacts."""
    return tasks.RemoveReport(artifacts=artifacts, bytes=4096)


def a_verify_report(p99: str = "1.5") -> tasks.VerifyReport:
    """Return the report of a version that answers as recorded."""
    return tasks.VerifyReport(golden_rows=64, max_difference="0", p99_milliseconds=p99, format="onnx")


def an_analysis_report(outcome: str = "Successful", message: str = "", **found: str) -> tasks.AnalysisReport:
    """Return the report of a look that found this about the rate of errors."""
    criterion = {"name": "errorRate", "outcome": outcome, "stable": "0.001", "candidate": "0.05", "message": message}
    return tasks.AnalysisReport(outcome=outcome, criteria=[{**criterion, **found}])


def a_drift_report(verdict: str = "Stable", **changes: Any) -> tasks.DriftReport:
    """Return the report of a check."""
    found = {"DataDrift": "inputs", "ConceptDrift": "concept"}.get(verdict)
    results = [
        {"name": name, "type": type_, "result": "Detected" if name == found else "NotDetected", "message": "looked"}
        for name, type_ in (("inputs", "DataDrift"), ("concept", "ConceptDrift"))
    ]
    return tasks.DriftReport(
        **{
            "verdict": verdict,
            "window_start": "2026-01-09T11:00:00Z",
            "window_end": "2026-01-10T11:00:00Z",
            "samples": 1000,
            "labelled": 400,
            "label_coverage": "0.4",
            "checks": results,
            "report_digest": digest("7"),
            **changes,
        }
    )


def with_status(resource: Any, status: Manifest) -> Any:
    """Return the object as read back after `status` was written."""
    manifest = resource.dump()
    return kinds.parse({**manifest, "status": status})


def at(view: Any, **changes: Any) -> Any:
    """Return the view with changes."""
    return replace(view, **changes)
