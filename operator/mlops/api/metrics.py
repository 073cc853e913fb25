"""The metrics: the one table that API types, gates, searches, training, drift checks and their statistics read.

What a metric is called is here, and what it means of several classes; how it is computed is `mlops.statistics.metrics`.
This module imports nothing of ours, since statistics do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Metric = Literal[
    "roc_auc",
    "log_loss",
    "accuracy",
    "balanced_accuracy",
    "f1",
    "brier",
    "mae",
    "rmse",
    "r2",
]
Task = Literal["classification", "regression"]
# What a metric reads of the model's answer.
Reads = Literal["score", "probability", "label", "value"]
# What it is of more than two classes: the mean over the classes that occur, of one class against the rest; or the same
# formula as of two, over rows or added over the classes. Of two classes, f1 is that of the second.
SeveralClasses = Literal["macro", "rows", "sum", "none"]


@dataclass(frozen=True)
class MetricFacts:
    """What is known of a metric without computing it."""

    task: Task
    reads: Reads
    higher_is_better: bool
    several_classes: SeveralClasses

    @property
    def needs_probabilities(self) -> bool:
        """Whether a model that answers with labels alone cannot be measured by it."""
        return self.reads in ("score", "probability")


METRICS: Mapping[str, MetricFacts] = MappingProxyType(
    {
        "roc_auc": MetricFacts("classification", "score", True, "macro"),
        "log_loss": MetricFacts("classification", "probability", False, "rows"),
        "accuracy": MetricFacts("classification", "label", True, "rows"),
        "balanced_accuracy": MetricFacts("classification", "label", True, "macro"),
        "f1": MetricFacts("classification", "label", True, "macro"),
        "brier": MetricFacts("classification", "probability", False, "sum"),
        "mae": MetricFacts("regression", "value", False, "none"),
        "rmse": MetricFacts("regression", "value", False, "none"),
        "r2": MetricFacts("regression", "value", True, "none"),
    }
)


def of_task(task: Task) -> tuple[str, ...]:
    """Return the metrics of models of a task."""
    return tuple(name for name, facts in METRICS.items() if facts.task == task)
