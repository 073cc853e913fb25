"""Metrics of predictions, as the decimal text that the API carries."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops.api.training_run import MetricValue, Part
from mlops.statistics.metrics import Sample, balanced_accuracy, evaluate, f1_macro
from mlops.workloads.model.predictor import Prediction
from mlops.workloads.model.signature import Task

CLASSIFICATION = ("roc_auc", "log_loss", "accuracy", "balanced_accuracy", "f1", "brier")
REGRESSION = ("mae", "rmse", "r2")
_PROBABILISTIC = frozenset({"roc_auc", "log_loss", "brier"})


def metric_names(task: Task) -> tuple[str, ...]:
    """Return what is measured of a model."""
    return CLASSIFICATION if task == "classification" else REGRESSION


def decimal(value: float) -> str:
    """Return six significant digits: more would differ between processors."""
    return format(value, ".6g")


def measure(task: Task, truth: NDArray[Any], answer: Prediction, classes: tuple[Any, ...] | None) -> dict[str, float]:
    """Return every metric that these rows define: none of an empty part, no area with one class only."""
    if truth.shape[0] == 0:
        return {}
    found: dict[str, float] = {}
    for name in metric_names(task):
        try:
            value = _value(name, truth, answer, classes)
        except ValueError:
            # Not defined on these rows: one class only, or a class that the model does not know.
            continue
        if value is not None and math.isfinite(value):
            found[name] = value
    return found


def _value(name: str, truth: NDArray[Any], answer: Prediction, classes: tuple[Any, ...] | None) -> float | None:
    if classes is None:
        return evaluate(name, Sample(truth.astype(np.float64), answer.prediction))
    binary = len(classes) == 2
    if name in _PROBABILISTIC:
        if answer.probabilities is None or (name == "brier" and not binary):
            return None
        scores = answer.probabilities[:, 1] if binary else answer.probabilities
        return evaluate(name, Sample(truth, scores, classes=classes))
    if name == "f1" and not binary:
        return f1_macro(truth, answer.prediction)
    if name == "balanced_accuracy":
        return balanced_accuracy(truth, answer.prediction)
    return evaluate(name, Sample(truth, answer.prediction, classes=classes))


def reported(part: Part, values: dict[str, float]) -> list[MetricValue]:
    """Return metrics in the API's shape."""
    return [MetricValue(name=name, dataset=part, value=decimal(value)) for name, value in values.items()]
