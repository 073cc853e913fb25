"""Tasks and reports of the pods of a TrainingRun."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mlops.api.base import Digest, Model
from mlops.api.costs import Costs
from mlops.api.estimator import Estimator
from mlops.api.training_run import MetricValue, Recalibration, Search


class TrainTask(Model):
    """Train, evaluate and export one model."""

    task: Literal["train"] = "train"
    namespace: str
    run: str
    model_name: str | None = None
    dataset_artifact: str
    dataset_digest: str
    since: str | None = None
    # Neither: the model is in the outputs folder, put there by the user's own container.
    estimator: Estimator | None = None
    recalibration: Recalibration | None = None
    search: Search | None = None
    costs: Costs | None = None
    seed: int = 0
    environment_digest: str
    champion_artifact: str | None = None


class TrainReport(Model):
    """The model made, and how good it is."""

    report: Literal["train"] = "train"
    output_digest: Digest
    prediction_digest: Digest
    environment_digest: Digest
    format: Literal["onnx", "treelite", "skops"]
    metrics: tuple[MetricValue, ...]
    champion_metrics: tuple[MetricValue, ...] = ()
    best_params: dict[str, str] | None = None
    trials: int | None = None
    # Of a classifier of two classes: the one that metrics of one class speak of.
    positive_class: str | None = None
    # What the training did with the data that nobody asked for, as far as it fits; all of it stands in the pod's log.
    notes: tuple[str, ...] = ()
    # sha256 of every file of the model, to name the first difference of two executions; left out when too many
    files: dict[str, str] = Field(default_factory=dict)


class FetchTask(Model):
    """Put the data of a run into the inputs folder, for a user's own container."""

    task: Literal["fetch"] = "fetch"
    namespace: str
    run: str
    dataset_artifact: str
    dataset_digest: str
    since: str | None = None
    seed: int = 0
    # For the user's code, which may learn by them.
    costs: Costs | None = None


class FetchReport(Model):
    """The data is there."""

    report: Literal["fetch"] = "fetch"
    rows: int
