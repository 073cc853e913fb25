"""The metrics: the one table that API types, gates, searches, training, drift checks and their statistics read.

What a metric is called is here; how it is computed, of several classes too, is `mlops.statistics.metrics`.
This module imports nothing of ours, since statistics do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeVar

Metric = Literal[
    "roc_auc",
    "log_loss",
    "accuracy",
    "balanced_accuracy",
    "f1",
    "brier",
    "cost",
    "mae",
    "rmse",
    "r2",
]
Task = Literal["classification", "regression"]
# What a metric reads of the model's answer; "cost": what the answer costs, by the class that may be true.
Reads = Literal["score", "probability", "label", "cost", "value"]

C = TypeVar("C")


@dataclass(frozen=True)
class MetricFacts:
    """What is known of a metric without computing it. `of_one_class`: of two classes it speaks of the positive one."""

    task: Task
    reads: Reads
    higher_is_better: bool
    of_one_class: bool = False

    @property
    def needs_probabilities(self) -> bool:
        """Whether a model that answers with labels alone cannot be measured by it."""
        return self.reads in ("score", "probability")


METRICS: Mapping[str, MetricFacts] = MappingProxyType(
    {
        "roc_auc": MetricFacts("classification", "score", True),
        "log_loss": MetricFacts("classification", "probability", False),
        "accuracy": MetricFacts("classification", "label", True),
        "balanced_accuracy": MetricFacts("classification", "label", True),
        "f1": MetricFacts("classification", "label", True, of_one_class=True),
        "brier": MetricFacts("classification", "probability", False),
        "cost": MetricFacts("classification", "cost", False),
        "mae": MetricFacts("regression", "value", False),
        "rmse": MetricFacts("regression", "value", False),
        "r2": MetricFacts("regression", "value", True),
    }
)


def of_task(task: Task, *, costs: bool = True) -> tuple[str, ...]:
    """Return the metrics of models of a task; without `costs` those that need nobody to say what answers cost."""
    return tuple(name for name, facts in METRICS.items() if facts.task == task and (costs or facts.reads != "cost"))


def positive_last(classes: Sequence[C], positive: C | None) -> tuple[C, ...]:
    """Return classes in the order that metrics read them: of two, the positive one is the last.

    That is `positive` where the contract names one, else the last in sorted order, as scikit-learn encodes labels.
    """
    if len(classes) == 2 and positive is not None and classes[0] == positive:
        return classes[1], classes[0]
    return tuple(classes)
