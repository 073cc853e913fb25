"""Which planner plans which kind of key."""

from __future__ import annotations

from collections.abc import Mapping

from mlops.engine.reconcile import Planner
from mlops.planning.dataset import planner as dataset
from mlops.planning.monitor import planner as monitor
from mlops.planning.serving import planner as serving
from mlops.planning.training import run as training

PLANNERS: Mapping[str, Planner] = {
    "Dataset": dataset.plan,
    "TrainingRun": training.plan,
    "Model": serving.plan,
    "DriftMonitor": monitor.plan,
}
