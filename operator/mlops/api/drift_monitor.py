"""DriftMonitor: scheduled checks of what a served model sees, a verdict, an action."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar, Final, Literal, get_args

from pydantic import Field

from mlops.api.base import (
    Cron,
    Decimal,
    Digest,
    Duration,
    FieldName,
    Fraction,
    Model,
    ModelName,
    Name,
    PrinterColumn,
    Resource,
    Rule,
    StageName,
    Text,
    Timestamp,
    TimeZone,
    exactly_one_of,
    readiness_columns,
)
from mlops.api.calibration import MovedCalibration
from mlops.api.conditions import Condition
from mlops.api.drift_reference import DriftReference, PinnedDataset, ReferenceSource
from mlops.api.label_sources import LabelSource, LabelSourceResult
from mlops.api.metrics import Metric
from mlops.api.pod_template import PodTemplate
from mlops.api.resources import Resources

CheckType = Literal[
    "DataQuality",
    "DataDrift",
    "PredictionDrift",
    "LabelShift",
    "PerformanceDrop",
    "EstimatedPerformance",
    "ConceptDrift",
]
# What each asks of the window, in the order of the types: the schema and docs/drift.md repeat it.
QUESTIONS: Final[Mapping[CheckType, str]] = MappingProxyType(
    {
        "DataQuality": "is the delivery broken?",
        "DataDrift": "did an input move?",
        "PredictionDrift": "did the answers move?",
        "LabelShift": "did the class balance move?",
        "PerformanceDrop": "is it worse now?",
        "EstimatedPerformance": "is it worse, as far as can be told without labels?",
        "ConceptDrift": "did the relation of input to target move?",
    }
)
# What a check may find, or that it found nothing, or cannot tell.
Verdict = Literal["Stable", CheckType, "Inconclusive"]
ActionName = Literal[
    "Retrain", "Rebuild", "Recalibrate", "Hold", "Rollback", "RollbackAndRebuild", "AskForLabels", "Notify"
]
ActionOutcome = Literal["Pending", "Running", "Promoted", "NothingNew", "Rejected", "Failed", "RolledBack"]
# What makes a run of the template, and what puts an older version back.
MAKES_A_RUN: Final[frozenset[ActionName]] = frozenset({"Retrain", "Rebuild", "Recalibrate", "RollbackAndRebuild"})
ROLLS_BACK: Final[frozenset[ActionName]] = frozenset({"Rollback", "RollbackAndRebuild"})
# Verdicts that come of labelled rows: on those older versions can be measured, too.
BY_LABEL: Final[tuple[CheckType, ...]] = ("PerformanceDrop", "ConceptDrift")
# Rows of a window that an AskForLabels asks for.
LABEL_BUDGET: Final = 200


class TargetRef(Model):
    """What is watched."""

    model_name: ModelName = Field(description="The model.")
    stage: StageName = Field(default="production", description="The stage whose requests are looked at.")


class Window(Model):
    """Which captured rows a check looks at: those of a span of event time, or the newest so many."""

    duration: Duration | None = Field(
        default=None, description="Event time that the window spans, up to the scheduled time, such as 24h."
    )
    rows: Annotated[int, Field(ge=2, le=10_000_000)] | None = Field(
        default=None, description="The newest so many rows up to the scheduled time, however long they took to come."
    )
    min_samples: Annotated[int, Field(ge=2, le=10_000_000)] = Field(
        default=500, description="With fewer rows the verdict is Inconclusive."
    )
    max_samples: Annotated[int, Field(ge=100, le=10_000_000)] = Field(
        default=100_000, description="More rows are sampled with a fixed seed; the report says so."
    )
    rules: ClassVar = (
        exactly_one_of("duration", "rows", path="spec.window"),
        Rule(
            "self.minSamples <= self.maxSamples",
            "minSamples must not be greater than maxSamples",
            lambda self: self.min_samples <= self.max_samples,
        ),
        Rule(
            "!has(self.rows) || (self.minSamples <= self.rows && self.rows <= self.maxSamples)",
            "rows must be at least minSamples and at most maxSamples",
            lambda self: self.rows is None or self.min_samples <= self.rows <= self.max_samples,
        ),
    )


class Labels(Model):
    """Where labels come from, and how far they can be relied on."""

    sources: Annotated[tuple[LabelSource, ...], Field(min_length=1, max_length=8)] | None = Field(
        default=None,
        description="Where labels come from; of several that have one for a row the first counts. The feedback "
        "endpoint alone if left out.",
    )
    max_delay: Duration = Field(
        default="0s", description="Labels arrive at most so late; younger rows are not judged by label."
    )
    min_coverage: Fraction = Field(
        default="0.2", description="With a smaller share of labelled rows, checks that need labels are Inconclusive."
    )
    rules: ClassVar = (
        Rule(
            "!has(self.sources) || self.sources.filter(s, has(s.datasetRef)).size() <= 1",
            "spec.labels.sources has more than one datasetRef: keep one",
            lambda self: sum(each.dataset_ref is not None for each in self.sources or ()) <= 1,
        ),
        Rule(
            "!has(self.sources) || self.sources.filter(s, has(s.feedback)).size() <= 1",
            "spec.labels.sources has feedback more than once: keep one",
            lambda self: sum(each.feedback is not None for each in self.sources or ()) <= 1,
        ),
    )

    @property
    def dataset(self) -> str | None:
        """Return the name of the Dataset that labels come from, if they do."""
        return next((each.dataset_ref.name for each in self.sources or () if each.dataset_ref), None)


class Segments(Model):
    """By which columns a check asks again where the whole looks stable."""

    columns: Annotated[tuple[FieldName, ...], Field(min_length=1, max_length=8)] = Field(
        description="Inputs of the model, such as a country: the same check of each of their values."
    )
    min_samples: Annotated[int, Field(ge=30, le=10_000_000)] = Field(
        default=200, description="Values with fewer rows, in the window or in the reference, are not looked at."
    )


class Check(Model):
    """One question asked of the window."""

    name: Name = Field(description="The check's name, in status and report.")
    type: CheckType = Field(description=" ".join(f"{type_}: {question}" for type_, question in QUESTIONS.items()))
    alpha: Fraction = Field(default="0.01", description="The rate of false alarms to keep below, over all features.")
    correction: Literal["BenjaminiHochberg", "Bonferroni"] = Field(
        default="BenjaminiHochberg", description="How p-values of several features are corrected."
    )
    min_effect_size: Decimal = Field(
        default="0.1",
        description=(
            "A shift smaller than this is no drift, however significant: for numbers the Wasserstein distance in "
            "standard deviations of the reference, for categories the Jensen-Shannon distance."
        ),
    )
    min_share: Fraction | None = Field(
        default=None,
        description=(
            "DataDrift: this share of the features must have moved; one is enough if left out. DataQuality: the "
            "smallest share of the rows that is a fault; 0.01 if left out."
        ),
    )
    metric: Metric | None = Field(
        default=None,
        description=(
            "PerformanceDrop, EstimatedPerformance and ConceptDrift: what is measured or estimated; roc_auc and brier, "
            "or mae, if left out."
        ),
    )
    min_drop: Decimal | None = Field(
        default=None,
        description=(
            "PerformanceDrop, EstimatedPerformance and ConceptDrift: a smaller drop is no drop, however significant, "
            "in units of the metric. If left out: 0.02, and of errors (brier, cost, log_loss, mae, rmse) a tenth of "
            "what they were."
        ),
    )
    segments: Segments | None = Field(
        default=None,
        description="Where the whole looks stable, the same check of each value of a column, corrected over all of "
        "them. Half of alpha is for the whole then. Not for DataQuality.",
    )
    rules: ClassVar = (
        Rule(
            "!has(self.segments) || self.type != 'DataQuality'",
            "segments are not for DataQuality: a broken delivery is looked for in all rows",
            lambda self: self.segments is None or self.type != "DataQuality",
        ),
        Rule(
            "!has(self.minEffectSize) || double(self.minEffectSize) >= 0.0",
            "minEffectSize must be at least 0",
            lambda self: float(self.min_effect_size) >= 0,
        ),
        Rule(
            "!has(self.minDrop) || double(self.minDrop) >= 0.0",
            "minDrop must be at least 0",
            lambda self: self.min_drop is None or float(self.min_drop) >= 0,
        ),
        Rule(
            "!has(self.alpha) || (double(self.alpha) > 0.0 && double(self.alpha) <= 0.5)",
            "alpha must be greater than 0 and at most 0.5",
            lambda self: 0 < float(self.alpha) <= 0.5,
        ),
    )


class Action(Model):
    """What is done about a verdict."""

    when: Annotated[tuple[Verdict, ...], Field(min_length=1, max_length=len(get_args(Verdict)))] = Field(
        description="The verdicts."
    )
    do: ActionName = Field(
        description=(
            "Retrain: the same recipe on refreshed data. Rebuild: the search re-opened, on rows from after the change "
            "point. Recalibrate: the live model with a map of its scores, if calibration alone moved; else the next "
            "action that names the verdict counts. Rollback: an older version that is better on the window serves "
            "again. RollbackAndRebuild: both. "
            "AskForLabels: the report names rows to label. Notify: it is said, and nothing is done. Hold: nothing is "
            "trained."
        )
    )
    budget: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None,
        description="AskForLabels: so many rows of one window at most are asked for, by all checks; 200 if left out.",
    )
    rules: ClassVar = (
        Rule(
            "!(self.do in ['Rollback', 'RollbackAndRebuild'])"
            " || self.when.all(v, v in ['PerformanceDrop', 'ConceptDrift'])",
            "do: Rollback and RollbackAndRebuild take when: [PerformanceDrop, ConceptDrift] only, which labels show",
            lambda self: self.do not in ROLLS_BACK or all(verdict in BY_LABEL for verdict in self.when),
        ),
        Rule(
            "self.do != 'Recalibrate' || self.when.all(v, v == 'ConceptDrift')",
            "do: Recalibrate takes when: [ConceptDrift] only, of which the check says whether calibration alone moved",
            lambda self: self.do != "Recalibrate" or all(verdict == "ConceptDrift" for verdict in self.when),
        ),
        Rule(
            "!has(self.budget) || self.do == 'AskForLabels'",
            "budget is of do: AskForLabels only",
            lambda self: self.budget is None or self.do == "AskForLabels",
        ),
    )


def action_of(actions: tuple[Action, ...], verdict: Verdict, *, mends: bool = False) -> Action | None:
    """Return the first action that names the verdict; a drift of the answers alone counts as one of the inputs.

    Recalibrate is passed over unless it `mends` what was found.
    """
    possible = [action for action in actions if mends or action.do != "Recalibrate"]
    named = next((action for action in possible if verdict in action.when), None)
    if named is None and verdict == "PredictionDrift":
        return next((action for action in possible if "DataDrift" in action.when), None)
    return named


class Guard(Model):
    """Limits for actions, so that retraining cannot run away."""

    cooldown: Duration = Field(default="24h", description="Time between two actions.")
    max_runs_per_week: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=3, description="Runs in any seven days, by the scheduled times of the checks."
    )
    max_rejected_challengers: Annotated[int, Field(ge=1, le=100)] = Field(
        default=3,
        description=(
            "After so many runs in a row for one verdict without a new version, that verdict calls for no more: its "
            "circuit is open."
        ),
    )
    circuit_reset_after: Duration = Field(
        default="7d",
        description="So long after a circuit opened, one more run is let through: a new version closes it.",
    )
    confirmations: Annotated[int, Field(ge=1, le=100)] = Field(
        default=1, description="A verdict must come from so many checks in a row before it is acted on."
    )


class TemplateRef(Model):
    """A template of the same namespace."""

    name: Name = Field(description="A TrainingRun with triggers.")


class DriftMonitorSpec(Model):
    """What the user wants."""

    target_ref: TargetRef = Field(description="The model and stage to watch.")
    schedule: Cron = Field(description='A cron line of five fields, such as "0 * * * *".')
    time_zone: TimeZone | None = Field(default=None, description="The schedule's time zone; UTC if left out.")
    starting_deadline_seconds: Annotated[int, Field(ge=10, le=31_536_000)] | None = Field(
        default=None, description="A check that could not start for so long is left out."
    )
    suspend: bool = Field(default=False, description="Make no checks.")
    reference: DriftReference | None = Field(
        default=None, description="What the window is compared with; the live version's training data if left out."
    )
    window: Window = Field(description="Which captured rows a check looks at.")
    labels: Labels = Field(
        default_factory=Labels, description="Where labels come from, and how far they can be relied on."
    )
    checks: Annotated[tuple[Check, ...], Field(min_length=1, max_length=32)] = Field(
        description="The questions asked of the window.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    actions: Annotated[tuple[Action, ...], Field(max_length=16)] = Field(
        default=(
            Action(when=("DataDrift", "LabelShift"), do="Retrain"),
            Action(when=("ConceptDrift",), do="Recalibrate"),
            Action(when=("ConceptDrift",), do="Rebuild"),
            Action(when=("DataQuality",), do="Hold"),
        ),
        description="What is done about which verdict; the first that names the verdict counts, Recalibrate only "
        "where it mends what was found.",
    )
    training_run_ref: TemplateRef | None = Field(
        default=None, description="The template that Retrain, Rebuild and Recalibrate make a run of."
    )
    guard: Guard = Field(default_factory=Guard, description="Limits for actions.")
    resources: Resources | None = Field(default=None, description="Compute of each container of a check.")
    pod_template: PodTemplate | None = Field(default=None, description="What is added to the pods of checks.")
    rules: ClassVar = (
        Rule(
            "has(self.trainingRunRef)"
            " || (has(self.actions)"
            " && !self.actions.exists(a, a.do in ['Retrain', 'Rebuild', 'Recalibrate', 'RollbackAndRebuild']))",
            "spec.actions with Retrain, Rebuild or Recalibrate (the default) need spec.trainingRunRef",
            lambda self: (
                self.training_run_ref is not None or not any(action.do in MAKES_A_RUN for action in self.actions)
            ),
        ),
    )


class SegmentResult(Model):
    """The rows of the window in which a column has a value."""

    column: FieldName = Field(description="The column.")
    value: Text = Field(description="The value.")
    rows: int = Field(description="Its rows in the window.")


class CheckResult(Model):
    """What a check found."""

    name: Name = Field(description="The check.")
    type: CheckType = Field(description="Its type.")
    result: Literal["Detected", "NotDetected", "Inconclusive"] = Field(description="Its answer.")
    message: Text = Field(default="", description="Its answer in a sentence.")
    segment: SegmentResult | None = Field(
        default=None, description="Where it detected, if the whole looks stable: the one with the most rows."
    )


class FeatureShift(Model):
    """How far one input moved."""

    name: Text = Field(description="The field.")
    effect_size: Decimal = Field(description="How far.")
    p_value: Decimal = Field(description="How surprising, corrected.")
    drifted: bool = Field(description="Whether both limits were passed.")


class Attribution(Model):
    """How much of a drop comes from the inputs and how much from the relation of input to target."""

    identifiable: bool = Field(description="Whether the windows overlap enough to tell.")
    covariate: Decimal | None = Field(default=None, description="The part of the inputs, in units of the metric.")
    concept: Decimal | None = Field(default=None, description="The part of the relation, in units of the metric.")
    effective_sample_size: Decimal | None = Field(default=None, description="Of the re-weighted reference.")
    domain_auc: Decimal | None = Field(default=None, description="How well the two windows can be told apart.")


class LastAction(Model):
    """The newest action."""

    time: Timestamp = Field(description="The scheduled time of the check that called for it.")
    kind: ActionName = Field(description="What was done.")
    verdict: Verdict = Field(description="The verdict that called for it.")
    ref: Name | None = Field(default=None, description="The TrainingRun made.")
    version: Name | None = Field(default=None, description="Rollback: the ModelVersion that serves again.")
    since: Timestamp | None = Field(
        default=None, description="Rebuild, Recalibrate: the event time from which rows are used."
    )
    recalibrates: Digest | None = Field(default=None, description="Recalibrate: the model that gets the map.")
    metric: Metric | None = Field(
        default=None, description="Recalibrate: the metric by which it has to be better than the live version."
    )
    outcome: ActionOutcome = Field(description="What came of it.")


class Circuit(Model):
    """What the guard remembers of the runs for one verdict."""

    verdict: Verdict = Field(description="The verdict that called for them.")
    rejected: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        default=0, description="Runs in a row that did not lead to a new version."
    )
    opened: Timestamp | None = Field(
        default=None, description="Open since: the scheduled time of the check whose run was the last one too many."
    )


class NothingNew(Model):
    """A run that gave the model that serves already: the same is not asked for again."""

    kind: ActionName = Field(description="The action.")
    recipe: Digest = Field(description="The digest of what the run was made of, beside the data.")
    dataset: Name = Field(description="The Dataset.")
    dataset_digest: Digest = Field(description="The digest of its content.")
    asked: Timestamp | None = Field(
        default=None,
        description="The scheduled time of the check for which the source is synced again; news makes a run.",
    )


class Rollback(Model):
    """What a monitor asks of a model: that a version be passed over in a stage. There until it has come to its end."""

    time: Timestamp = Field(description="The scheduled time of the check that asks for it.")
    stage: StageName = Field(description="The stage.")
    version: Name = Field(description="The ModelVersion to pass over.")
    artifact: Digest = Field(description="Its model.")
    to: Name = Field(description="The older ModelVersion that is to serve.")
    to_artifact: Digest = Field(description="Its model.")
    reason: Text = Field(default="", description="Why.")


class OlderVersion(Model):
    """The best of the older versions on the window's labelled rows, against the live one on the same rows."""

    version: Name = Field(description="The ModelVersion.")
    artifact: Digest = Field(description="Its model.")
    against: Digest = Field(description="The model of the live version that it was compared with.")
    metric: Metric = Field(description="The metric of the check that detected.")
    live: Decimal = Field(description="What the live version has.")
    older: Decimal = Field(description="What this one has.")
    gain: Decimal = Field(description="By how much it is better.")
    low: Decimal = Field(description="Lower end of the gain's 95 % interval.")
    high: Decimal = Field(description="Upper end of the gain's 95 % interval.")
    p_value: Decimal = Field(description="How surprising, if it were not better by minDrop; corrected for all tried.")
    better: bool = Field(description="Whether it is better by the check's minDrop, at its alpha.")


class LabelRequest(Model):
    """Rows that people are asked to label."""

    time: Timestamp = Field(description="The scheduled time of the check that asks.")
    rows: int = Field(description="How many rows it asks for.")
    asked_before: int = Field(description="How many rows of the window earlier checks had asked for.")
    needed: int = Field(description="How many labels the window lacks to be judged.")
    report: Digest = Field(description="The report beside which they are listed.")
    file: Text = Field(description="The file in it: a JSON object a line.")


class DataFault(Model):
    """A fault of the data that a check found, and has not found mended since."""

    check: Name = Field(description="The check, of type DataQuality.")
    since: Timestamp = Field(description="The scheduled time when it detected first.")


class HistoryCheck(Model):
    """One earlier check."""

    time: Timestamp = Field(description="Its scheduled time.")
    verdict: Verdict = Field(description="Its verdict.")
    action: Text = Field(default="", description="What was done, or why nothing.")
    metric: Decimal | None = Field(default=None, description="The performance in its window.")
    report: Digest | None = Field(default=None, description="The address of its report in the store.")
    job: Text | None = Field(default=None, description="The Job that made it.")


class MetricReading(Model):
    """A metric on the reference and in the window, with the interval of the window's."""

    name: Metric = Field(description="The metric.")
    reference: Decimal = Field(description="On the reference: held-out rows of the training data.")
    current: Decimal = Field(description="In the window.")
    low: Decimal = Field(description="Lower end of the window's 95 % interval.")
    high: Decimal = Field(description="Upper end of the window's 95 % interval.")


class DriftMonitorStatus(Model):
    """What is."""

    observed_generation: int = Field(default=0, description="The generation of the spec this status is about.")
    verdict: Verdict | None = Field(default=None, description="The newest verdict.")
    last_check_time: Timestamp | None = Field(default=None, description="The scheduled time of the newest check.")
    last_job: str | None = Field(default=None, description="The Job whose result was last taken in.")
    checks: Annotated[tuple[CheckResult, ...], Field(max_length=32)] = Field(
        default=(), description="What each check found last."
    )
    samples: int | None = Field(default=None, description="Rows in the newest window.")
    labelled: int | None = Field(default=None, description="Rows of them with a label.")
    label_coverage: Decimal | None = Field(default=None, description="Their share.")
    label_sources: Annotated[tuple[LabelSourceResult, ...], Field(max_length=8)] = Field(
        default=(), description="What each of spec.labels.sources gave; empty if they are left out."
    )
    reference: ReferenceSource | None = Field(
        default=None, description="What the newest window was compared with, with its digest."
    )
    reference_dataset: PinnedDataset | None = Field(
        default=None,
        description="The version that spec.reference.datasetRef names, as it was found: it is compared with also when "
        "the Dataset has so many newer ones that it stands in its history no more.",
    )
    metric: MetricReading | None = Field(default=None, description="The performance, reference against window.")
    estimated_metric: MetricReading | None = Field(
        default=None, description="The performance as estimated without labels, if a check asks for it."
    )
    top_features: Annotated[tuple[FeatureShift, ...], Field(max_length=20)] = Field(
        default=(), description="The inputs that moved furthest."
    )
    attribution: Attribution | None = Field(default=None, description="Where a drop comes from.")
    calibration: MovedCalibration | None = Field(
        default=None, description="Which way the relation moved, if it did and that can be told."
    )
    change_point: Timestamp | None = Field(
        default=None, description="The event time when the loss changed, as estimated."
    )
    report: Digest | None = Field(default=None, description="The address of the newest report in the store.")
    breaches: int = Field(default=0, description="Checks in a row with the newest verdict, if it calls for an action.")
    last_action: LastAction | None = Field(default=None, description="The newest action.")
    action: ActionName | None = Field(
        default=None, description="What the newest verdict calls for; if it calls for nothing, the newest action."
    )
    rejected_in_a_row: int = Field(
        default=0, description="Runs in a row for one verdict that did not lead to a new version: the most of any."
    )
    circuit: Literal["Closed", "Open"] = Field(
        default="Closed",
        description="Open: a verdict calls for no more runs; a change of the spec, a retry or time closes it.",
    )
    circuits: Annotated[tuple[Circuit, ...], Field(max_length=len(get_args(Verdict)))] = Field(
        default=(), description="By verdict: runs without a new version, and whether they have stopped."
    )
    circuit_generation: int | None = Field(default=None, description="The generation that the open circuits are of.")
    rollback: Rollback | None = Field(default=None, description="The rollback that is under way.")
    older: OlderVersion | None = Field(
        default=None, description="The best older version on the newest window, if older ones were measured."
    )
    label_request: LabelRequest | None = Field(default=None, description="The newest rows that are asked for.")
    faults: Annotated[tuple[DataFault, ...], Field(max_length=32)] = Field(
        default=(), description="Known faults of the data: nothing is trained while there is one."
    )
    nothing_new: NothingNew | None = Field(
        default=None, description="What the last run that gave nothing new was made of."
    )
    retried: Text | None = Field(
        default=None, description="The value of the annotation mlops.dev/retry that was last acted on."
    )
    action_times: Annotated[tuple[Timestamp, ...], Field(max_length=50)] = Field(
        default=(), description="Scheduled times of the actions of the last seven days."
    )
    history: Annotated[tuple[HistoryCheck, ...], Field(max_length=100)] = Field(
        default=(), description="The newest checks, the last one first."
    )
    conditions: tuple[Condition, ...] = Field(
        default=(),
        description=(
            "Ready, Reconciling, Stalled, Checked, LabelsAvailable, DataDriftDetected, ConceptDriftDetected, "
            "RetrainingTriggered."
        ),
    )


class DriftMonitor(Resource):
    """Scheduled checks that tell data drift from concept drift, and the action that each calls for."""

    kind: Literal["DriftMonitor"] = "DriftMonitor"
    spec: DriftMonitorSpec
    status: DriftMonitorStatus = Field(default_factory=DriftMonitorStatus)

    plural: ClassVar = "driftmonitors"
    short_names: ClassVar = ("dmon",)
    columns: ClassVar = (
        PrinterColumn("Model", ".spec.targetRef.modelName"),
        PrinterColumn("Verdict", ".status.verdict"),
        PrinterColumn("Last Check", ".status.lastCheckTime", "date"),
        PrinterColumn("Action", ".status.action"),
        *readiness_columns(
            PrinterColumn("Outcome", ".status.lastAction.outcome", priority=1),
            PrinterColumn("Circuit", ".status.circuit", priority=1),
            PrinterColumn("Rows", ".status.samples", "integer", priority=1),
            PrinterColumn("Labelled", ".status.labelled", "integer", priority=1),
        ),
    )
