"""Tasks and reports of the pods of a DriftMonitor."""

from __future__ import annotations

from typing import Literal

from mlops.api.base import Decimal, Digest, Model, Timestamp
from mlops.api.calibration import MovedCalibration
from mlops.api.drift_monitor import (
    Action,
    Attribution,
    Check,
    CheckResult,
    FeatureShift,
    Guard,
    Labels,
    MetricReading,
    OlderVersion,
    TargetRef,
    Verdict,
    Window,
)
from mlops.api.drift_reference import DriftReference, PinnedDataset, ReferenceSource
from mlops.api.label_sources import LabelSource, LabelSourceResult


class OlderCandidate(Model):
    """A version that has served in the stage before."""

    version: str
    artifact: str


class RollbackQuestion(Model):
    """Is one of these better on the window than the live version? Asked when the verdict is one of `when`."""

    when: tuple[Verdict, ...]
    older: tuple[OlderCandidate, ...]
    # How many more there are, which are not measured.
    left_out: int = 0


class LabelQuestion(Model):
    """Which rows are to be labelled? Asked when the verdict is one of `when`."""

    when: tuple[Verdict, ...]
    # So many of one window at most, over all checks of it.
    budget: int


class LabelsWanted(Model):
    """The rows that a check asks labels for: a line each in `file`, beside the report."""

    rows: int
    asked_before: int
    needed: int
    file: str


class MonitorPolicy(Model):
    """What is done about verdicts, for the report; the operator does it."""

    actions: tuple[Action, ...]
    guard: Guard
    # The template that runs are made of.
    template: str | None = None


class LabelsTask(Model):
    """Read the delivered labels of one source into the inputs folder, for the check that follows in the same pod."""

    task: Literal["labels"] = "labels"
    namespace: str
    monitor: str
    # The place of the source in spec.labels.sources.
    number: int
    source: LabelSource
    # The model, whose label has a type.
    artifact: str
    # The spec's window, and the end of it: as of a DriftTask.
    window: Window
    reference: DriftReference | None = None
    as_of: str | None = None


class LabelsReport(Model):
    """The labels are there."""

    report: Literal["labels"] = "labels"
    rows: int


class DriftTask(Model):
    """Compare what a served model saw with what it was trained on."""

    task: Literal["drift"] = "drift"
    namespace: str
    monitor: str
    target: TargetRef
    # The live version and the address of its model, which holds the reference.
    model_version: str
    artifact: str
    window: Window
    labels: Labels
    checks: tuple[Check, ...]
    # The version of the Dataset that labels come from.
    label_dataset: PinnedDataset | None = None
    # What the window is compared with, and the version if it is a Dataset's. None: the model's training data.
    reference: DriftReference | None = None
    reference_dataset: PinnedDataset | None = None
    # The end of the window: an RFC 3339 time. None in the Jobs of a CronJob, whose names carry their time.
    as_of: str | None = None
    rollback: RollbackQuestion | None = None
    label_request: LabelQuestion | None = None
    # None: of an operator that does not say it.
    policy: MonitorPolicy | None = None


class DriftReport(Model):
    """The verdict and what it rests on. The end of the window is the scheduled time in the Job's name."""

    report: Literal["drift"] = "drift"
    verdict: Verdict
    window_start: str
    window_end: str
    samples: int
    labelled: int
    label_coverage: Decimal
    label_sources: tuple[LabelSourceResult, ...] = ()
    reference: ReferenceSource | None = None
    checks: tuple[CheckResult, ...]
    metric: MetricReading | None = None
    estimated_metric: MetricReading | None = None
    top_features: tuple[FeatureShift, ...] = ()
    attribution: Attribution | None = None
    calibration: MovedCalibration | None = None
    change_point: Timestamp | None = None
    # The best of the older versions, if they were measured, and in a few words why others were not.
    older: OlderVersion | None = None
    not_measured: str | None = None
    labels_wanted: LabelsWanted | None = None
    report_digest: Digest
