"""Metrics of predictions, as the decimal text that the API carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops.api.costs import Cost
from mlops.api.metrics import METRICS, Task, of_task, positive_last
from mlops.api.training_run import MetricValue, Part
from mlops.statistics.arrays import FloatArray
from mlops.statistics.metrics import Sample, Undefined, encode, evaluate
from mlops.workloads.floor.model.costs import cost_table
from mlops.workloads.floor.model.predictor import Prediction
from mlops.workloads.floor.model.signature import class_name

NO_PROBABILITIES = "the model answers with labels alone, without probabilities"


def decimal(value: float) -> str:
    """Return six significant digits: more would differ between processors."""
    return format(value, ".6g")


@dataclass(frozen=True, eq=False)
class CostedRows:
    """What answers cost, and the rows (n,) with the columns that costs are multiplied by."""

    costs: tuple[Cost, ...]
    rows: pl.DataFrame

    def table(self, answer: Prediction, classes: tuple[Any, ...]) -> FloatArray:
        """Return what each answer costs if a class is true, (n, k), columns as `classes`."""
        names = [class_name(one) for one in classes]
        return cost_table(self.costs, names, encode(answer.prediction, classes), self._amounts)

    def _amounts(self, name: str) -> FloatArray:
        return self.rows[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()


@dataclass(frozen=True)
class Measured:
    """The metrics that some rows define, and why they do not define the others."""

    values: Mapping[str, float] = field(default_factory=dict)
    undefined: Mapping[str, str] = field(default_factory=dict)


def measure(
    task: Task,
    truth: NDArray[Any],
    answer: Prediction,
    classes: tuple[Any, ...] | None,
    positive: Any = None,
    costed: CostedRows | None = None,
) -> Measured:
    """Return every metric that these rows define: none of an empty part, no area with one class only.

    Of two classes, metrics of one class speak of `positive` (None: the last). Without `costed` there is no cost. An
    answer that is none (NaN, no probabilities) is no question of the rows: it raises ValueError.
    """
    if truth.shape[0] == 0:
        return Measured()
    values: dict[str, float] = {}
    undefined: dict[str, str] = {}
    for name in of_task(task, costs=costed is not None):
        try:
            values[name] = _value(name, truth, answer, classes, positive, costed)
        except Undefined as error:
            undefined[name] = str(error)
    return Measured(values, undefined)


def _value(
    name: str,
    truth: NDArray[Any],
    answer: Prediction,
    classes: tuple[Any, ...] | None,
    positive: Any,
    costed: CostedRows | None,
) -> float:
    if classes is None:
        return evaluate(name, Sample(truth.astype(np.float64), answer.prediction))
    ordered = positive_last(classes, positive)
    if costed is not None and METRICS[name].reads == "cost":
        return evaluate(name, Sample(truth, costed.table(answer, ordered), classes=ordered))
    if not METRICS[name].needs_probabilities:
        return evaluate(name, Sample(truth, answer.prediction, classes=ordered))
    if answer.probabilities is None:
        raise Undefined(NO_PROBABILITIES)
    # Of two classes one column is enough: that of the class which the metrics speak of.
    scores = answer.probabilities[:, classes.index(ordered[1])] if len(classes) == 2 else answer.probabilities
    return evaluate(name, Sample(truth, scores, classes=ordered))


def reported(part: Part, values: Mapping[str, float]) -> list[MetricValue]:
    """Return metrics in the API's shape."""
    return [MetricValue(name=name, dataset=part, value=decimal(value)) for name, value in values.items()]
