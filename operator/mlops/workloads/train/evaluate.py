"""Metrics of predictions, as the decimal text that the API carries."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops.api.metrics import METRICS, Task, of_task
from mlops.api.training_run import MetricValue, Part
from mlops.statistics.metrics import Sample, evaluate
from mlops.workloads.floor.model.predictor import Prediction


def decimal(value: float) -> str:
    """Return six significant digits: more would differ between processors."""
    return format(value, ".6g")


def measure(task: Task, truth: NDArray[Any], answer: Prediction, classes: tuple[Any, ...] | None) -> dict[str, float]:
    """Return every metric that these rows define: none of an empty part, no area with one class only."""
    if truth.shape[0] == 0:
        return {}
    found: dict[str, float] = {}
    for name in of_task(task):
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
    if not METRICS[name].needs_probabilities:
        return evaluate(name, Sample(truth, answer.prediction, classes=classes))
    if answer.probabilities is None:
        return None
    scores = answer.probabilities[:, 1] if len(classes) == 2 else answer.probabilities
    return evaluate(name, Sample(truth, scores, classes=classes))


def reported(part: Part, values: dict[str, float]) -> list[MetricValue]:
    """Return metrics in the API's shape."""
    return [MetricValue(name=name, dataset=part, value=decimal(value)) for name, value in values.items()]
