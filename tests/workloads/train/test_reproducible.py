"""The same inputs give the same bytes: in another process, another folder, with other threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlops.api import tasks
from tests.workloads.train.runs import Place, a_schema, a_task, labelled

ENVIRONMENTS = (
    {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "POLARS_MAX_THREADS": "1",
        "PYTHONHASHSEED": "0",
        "TZ": "UTC",
    },
    {
        "OMP_NUM_THREADS": "2",
        "OPENBLAS_NUM_THREADS": "2",
        "POLARS_MAX_THREADS": "2",
        "PYTHONHASHSEED": "9",
        "TZ": "Asia/Tokyo",
    },
)


def _run_in_process(place: Place, task: tasks.TrainTask, environ: dict[str, str]) -> dict[str, object]:
    log = place.new("pod") / "termination-log"
    environ = {
        **os.environ,
        **environ,
        "OPENBLAS_CORETYPE": "Haswell",
        "NPY_DISABLE_CPU_FEATURES": "X86_V4",
        tasks.STORE_VARIABLE: place.url,
        tasks.TASK_VARIABLE: json.dumps(task.dump()),
        tasks.TERMINATION_VARIABLE: str(log),
        "TMPDIR": str(place.new("tmp")),
    }
    done = subprocess.run([sys.executable, "-m", "mlops.workloads"], env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(log.read_text()))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "LogisticRegression",
        "RandomForestClassifier",
        "HistGradientBoostingClassifier",
        "SVC",
        "KNeighborsClassifier",
        "MLPClassifier",
        "NearestCentroid",
        "LinearDiscriminantAnalysis",
        "DecisionTreeClassifier",
        "Ridge",
        "GradientBoostingRegressor",
    ],
)
def test_two_processes_write_the_same_model(place: Place, name: str) -> None:
    """Threads, hash seed, time zone, folder and process leave no trace in the artifact."""
    schema = a_schema(labelled("value", "float64")) if name in ("Ridge", "GradientBoostingRegressor") else a_schema()
    task = a_task(place.dataset(schema=schema), name)
    first, second = (_run_in_process(place, task, environ) for environ in ENVIRONMENTS)
    assert first == second


def test_another_seed_makes_another_model(place: Place, dataset: str) -> None:
    """The seed is the only thing random about a run."""
    runs = [place.run(dataset, "RandomForestClassifier", params={"n_estimators": "5"}, seed=seed) for seed in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert runs[0].output_digest != runs[2].output_digest


@pytest.mark.slow
def test_bad_input_ends_the_process_with_code_2_and_a_report(place: Place, dataset: str) -> None:
    """The Job must not try again, and the condition must say why."""
    log = place.new("pod") / "termination-log"
    environ = {
        **os.environ,
        tasks.STORE_VARIABLE: place.url,
        tasks.TASK_VARIABLE: json.dumps(a_task(dataset, "RandomForest").dump()),
        tasks.TERMINATION_VARIABLE: str(log),
    }
    done = subprocess.run([sys.executable, "-m", "mlops.workloads"], env=environ, capture_output=True, text=True)
    assert done.returncode == tasks.EXIT_BAD_INPUT
    assert "Traceback" not in done.stderr
    report = tasks.parse_report(Path(log).read_text())
    assert isinstance(report, tasks.FailureReport)
    assert report.reason == "EstimatorUnknown"
