"""Which planner plans which kind of key."""

from __future__ import annotations

from collections.abc import Mapping

from mlops.engine.reconcile import Planner
from mlops.planning import dataset, drift_monitor, model_version, training_run

PLANNERS: Mapping[str, Planner] = {
    "Dataset": dataset.plan,
    "TrainingRun": training_run.plan,
    "Model": model_version.plan,
    "DriftMonitor": drift_monitor.plan,
}
