"""What depends on what, declared once: what a plan reads, whom a change wakes, and what a reader keeps an index of.

A link holds between an object and a key whose plan reads it, when a field of the one has the value of a field of the
other. Fields are paths such as `spec.modelName`; `NAME` is an object's name, `label:...` a label, `unfinished:...` and
`unsettled:...` a field of what is not over, and `derived....` one of `over.DERIVED`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mlops.api import labels
from mlops.engine import over

NAME: Final = "name"
# Stands for every kind of child: a child says by a label whose it is.
CHILD: Final = "*"


@dataclass(frozen=True)
class Link:
    """The plan of a `planned` key reads objects of the kind `read`, of which the field `at` has the value of `by`.

    `by` stands in an object of the kind `holder`: the planned one, but for a model, whose versions hold it.
    """

    planned: str
    read: str
    at: str
    by: str = NAME
    holder: str = ""
    # Whether a change of what is read wakes the planned key. If not, it is read as it is when something else does.
    wakes: bool = True
    # Who is woken only as long as it is not over; it reads all the same, since a person may ask for a retry.
    unfinished: bool = False
    # The label of what is woken that names another key of the kind to wake: a run's template stands as the run does.
    onward: str | None = None

    @property
    def held_by(self) -> str:
        """Return the kind of the objects that hold `by`."""
        return self.holder or self.planned

    @property
    def woken_by(self) -> str:
        """Return the field by which those are found whom a change wakes."""
        return f"{over.UNFINISHED}{self.by}" if self.unfinished else self.by


def label(name: str) -> str:
    """Return the field that is a label."""
    return f"{over.LABEL}{name}"


# By label: the kind of key that a child belongs to.
OWNERS: Final = {
    labels.DATASET: "Dataset",
    labels.RUN: "TrainingRun",
    labels.MODEL: "Model",
    labels.MONITOR: "DriftMonitor",
}
CHILDREN: Final = tuple(Link(planned, CHILD, label(name)) for name, planned in OWNERS.items())

# --- Dataset ---
WAITING_RUNS: Final = Link("Dataset", "TrainingRun", over.WAITS_FOR_REFRESH)
RUNS_EVER: Final = Link("Dataset", "TrainingRun", "spec.datasetRef.name", wakes=False)
# Of a Dataset that removes old versions: what needs one, or no longer does.
RUNS_ON_IT: Final = Link("Dataset", "TrainingRun", "spec.datasetRef.name", by=over.RETAINS)
MODELS_OF_IT: Final = Link("Dataset", "ModelVersion", "spec.lineage.dataset", by=over.RETAINS)
ASKING_MONITORS: Final = Link("Dataset", "DriftMonitor", "status.nothingNew.dataset")
CAPTURED_VERSIONS: Final = Link("Dataset", "ModelVersion", "spec.modelName", by="spec.source.captured.modelName")
MONITORS_ON_IT: Final = Link("Dataset", "DriftMonitor", "spec.reference.datasetRef.name", by=over.RETAINS)
# --- TrainingRun, and templates ---
DATASET: Final = Link("TrainingRun", "Dataset", NAME, by="spec.datasetRef.name", unfinished=True)
EQUAL_RUNS: Final = Link("TrainingRun", "TrainingRun", "status.inputsDigest", by="status.inputsDigest", unfinished=True)
RUNS_OF_TEMPLATE: Final = Link("TrainingRun", "TrainingRun", label(labels.TEMPLATE))
UNFINISHED_OF_TEMPLATE: Final = Link(
    "TrainingRun", "TrainingRun", f"{over.UNFINISHED}{label(labels.TEMPLATE)}", wakes=False
)
ON_A_VERSION: Final = Link("TrainingRun", "TrainingRun", over.VERSION_OF_TEMPLATE, wakes=False)
NAMING_A_VERSION: Final = Link("TrainingRun", "TrainingRun", "status.modelVersionRef", wakes=False)
MADE_VERSION: Final = Link("TrainingRun", "ModelVersion", "spec.lineage.trainingRun", onward=labels.TEMPLATE)
VERSION_FROM_RUN: Final = Link("TrainingRun", "ModelVersion", "spec.source.trainingRunRef.name", onward=labels.TEMPLATE)
NAMED_VERSION: Final = Link("TrainingRun", "ModelVersion", NAME, by="status.modelVersionRef")
# Of the run's model: what was withdrawn is not made again by the loop.
WITHDRAWN_VERSIONS: Final = Link(
    "TrainingRun", "ModelVersion", over.WITHDRAWN_OF_MODEL, by="spec.register.modelName", wakes=False
)
# --- Model ---
VERSIONS: Final = Link("Model", "ModelVersion", "spec.modelName")
UNSETTLED_VERSIONS: Final = Link("Model", "ModelVersion", f"{over.UNSETTLED}spec.modelName", wakes=False)
NUMBERED_VERSIONS: Final = Link("Model", "ModelVersion", over.NUMBER_OF_MODEL, wakes=False)
SOURCE_RUN: Final = Link("Model", "TrainingRun", NAME, by="spec.source.trainingRunRef.name", holder="ModelVersion")
ASKED_ROLLBACKS: Final = Link("Model", "DriftMonitor", over.ASKS_ROLLBACK_OF)
# --- DriftMonitor ---
TARGET_VERSIONS: Final = Link("DriftMonitor", "ModelVersion", "spec.modelName", by="spec.targetRef.modelName")
TEMPLATE: Final = Link("DriftMonitor", "TrainingRun", NAME, by="spec.trainingRunRef.name")
RUNS_OF_ITS_TEMPLATE: Final = Link("DriftMonitor", "TrainingRun", label(labels.TEMPLATE), by="spec.trainingRunRef.name")
ASKED_DATASET: Final = Link("DriftMonitor", "Dataset", NAME, by="status.nothingNew.dataset")
LABEL_DATASET: Final = Link("DriftMonitor", "Dataset", NAME, by=over.LABELLED_BY)
REFERENCE_DATASET: Final = Link("DriftMonitor", "Dataset", NAME, by="spec.reference.datasetRef.name")
# --- Jobs of those that have many ---
UNFINISHED_JOBS: Final = {
    name: Link(OWNERS[name], "Job", f"{over.UNFINISHED}{label(name)}", wakes=False) for name in over.OWNERS_OF_MANY
}
JOBS_ENDED_IN: Final = {name: Link(OWNERS[name], "Job", field, wakes=False) for name, field in over.ENDED_IN.items()}

LINKS: Final = (
    *(WAITING_RUNS, RUNS_EVER, RUNS_ON_IT, MODELS_OF_IT, ASKING_MONITORS, CAPTURED_VERSIONS),
    *(DATASET, EQUAL_RUNS, RUNS_OF_TEMPLATE, UNFINISHED_OF_TEMPLATE, ON_A_VERSION, NAMING_A_VERSION),
    *(MADE_VERSION, VERSION_FROM_RUN, NAMED_VERSION, WITHDRAWN_VERSIONS),
    *(VERSIONS, UNSETTLED_VERSIONS, NUMBERED_VERSIONS, SOURCE_RUN, ASKED_ROLLBACKS),
    *(TARGET_VERSIONS, TEMPLATE, RUNS_OF_ITS_TEMPLATE, ASKED_DATASET),
    *(LABEL_DATASET, REFERENCE_DATASET, MONITORS_ON_IT),
    *(*UNFINISHED_JOBS.values(), *JOBS_ENDED_IN.values()),
)


def _indexed() -> Mapping[str, tuple[str, ...]]:
    """Return by kind the fields that objects are looked up by: to read them, and to find whom a change wakes."""
    found: dict[str, dict[str, None]] = {}
    for link in LINKS:
        if link.at != NAME and not link.at.startswith(over.LABEL):
            found.setdefault(link.read, {})[link.at] = None
        if link.wakes and link.by != NAME:
            found.setdefault(link.held_by, {})[link.woken_by] = None
    return {kind: tuple(fields) for kind, fields in found.items()}


# By kind: the fields that objects are looked up by. A reader that holds many should keep an index of each.
FIELDS: Final = _indexed()
