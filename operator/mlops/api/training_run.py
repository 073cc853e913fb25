"""TrainingRun: one immutable execution, or (with triggers) the template of many."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from mlops.api.base import (
    Decimal,
    Digest,
    Model,
    ModelName,
    Name,
    PrinterColumn,
    Resource,
    Rule,
    Text,
    Timestamp,
    exactly_one_of,
    readiness_columns,
    text,
    unchanged,
)
from mlops.api.conditions import Condition
from mlops.api.costs import Costs, has_no_pair_twice
from mlops.api.env_var import EnvVar
from mlops.api.estimator import ClassName as ClassName
from mlops.api.estimator import Estimator, ParamName
from mlops.api.metrics import Metric
from mlops.api.model_version import Capture, Promotion
from mlops.api.pod_template import PodTemplate
from mlops.api.resources import Resources

Part = Literal["train", "validation", "test"]
MetricName = Annotated[str, text(r"^[a-z][a-z0-9_]*$", "a metric's name has lower-case letters, digits and _", 64)]
# Host and port, path, tag, digest: https://github.com/distribution/reference, with hosts in lower case only.
_PART = "[a-z0-9]+([._-]+[a-z0-9]+)*"
Image = Annotated[
    str,
    text(
        rf"^([a-z0-9][a-z0-9.-]*(:[0-9]+)?/)?{_PART}(/{_PART})*"
        r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@[a-z0-9]+:[a-f0-9]{32,128})?$",
        "an image reference, such as registry.example.com/team/trainer:1.2",
        512,
    ),
]


# Of a run.
MAX_GATES = 32
# Notes of a run, in its report and its status; the pod's log has all.
MAX_NOTES = 8


class DatasetRef(Model):
    """The data of a run."""

    name: Name = Field(description="A Dataset of the same namespace.")
    version: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="One of its versions; the current one if left out, pinned when the run starts."
    )
    not_before: Timestamp | None = Field(
        default=None,
        description="Wait until the Dataset's source was synced since this timestamp; the Dataset refreshes for it.",
    )
    since: Timestamp | None = Field(
        default=None,
        description="Use only rows from this event time on; they are split again. For a rebuild after a change.",
    )
    rules: ClassVar = (
        Rule(
            "!(has(self.version) && has(self.notBefore))",
            "version and notBefore exclude each other: a fixed version is not refreshed",
            lambda self: self.version is None or self.not_before is None,
        ),
    )


Argument = Annotated[str, StringConstraints(max_length=4096)]


class Container(Model):
    """Your own code: reads $(MLOPS_INPUTS), writes a model and metrics.json to $(MLOPS_OUTPUTS)."""

    image: Image = Field(description="The image of your code.")
    command: Annotated[tuple[Argument, ...], Field(min_length=1, max_length=64)] = Field(
        description="The command; $(MLOPS_INPUTS) and $(MLOPS_OUTPUTS) are the two folders."
    )
    args: Annotated[tuple[Argument, ...], Field(max_length=64)] = Field(default=(), description="Its arguments.")
    env: Annotated[tuple[EnvVar, ...], Field(max_length=64)] = Field(
        default=(),
        description="Environment variables.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )


class Recalibration(Model):
    """A model that stays as it is, and gets a map of its scores that is fitted to the rows to train on."""

    artifact: Digest = Field(description="The address of the model in the store: status.artifact of a ModelVersion.")
    trained_as: Estimator | None = Field(
        default=None,
        description="What the model was trained as, for the lineage: a later Retrain takes the parameters from there.",
    )


class Trainer(Model):
    """What trains."""

    estimator: Estimator | None = Field(default=None, description="A scikit-learn estimator.")
    container: Container | None = Field(default=None, description="Your own code in a container.")
    recalibration: Recalibration | None = Field(
        default=None, description="A model that is there, of which only the calibration is fitted."
    )
    rules: ClassVar = (exactly_one_of("estimator", "container", "recalibration", path="spec.trainer"),)


class Objective(Model):
    """What a search makes best, measured on the validation part."""

    metric: Metric = Field(description="The metric, computed on the validation part.")


class SearchParameter(Model):
    """The values that a search tries for one parameter."""

    name: ParamName = Field(description="A parameter of the estimator.")
    values: Annotated[tuple[Text, ...], Field(min_length=1, max_length=64)] = Field(
        description="The values, written as text."
    )


class Search(Model):
    """A search over parameters; the best trial on the validation part is the run's model."""

    algorithm: Literal["grid", "random"] = Field(default="grid", description="All combinations, or a seeded sample.")
    objective: Objective = Field(description="What to make best.")
    parameters: Annotated[tuple[SearchParameter, ...], Field(min_length=1, max_length=16)] = Field(
        description="What to vary.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    max_trials: Annotated[int, Field(ge=1, le=200)] = Field(default=20, description="At most so many trials.")


class Reproducibility(Model):
    """How equal two executions are."""

    seed: Annotated[int, Field(ge=0, le=2_147_483_647)] = Field(default=0, description="The seed of everything random.")
    verify: Literal["Never", "Once"] = Field(
        default="Never", description="Once: train a second time in a fresh pod and compare the digests."
    )


class Gate(Model):
    """A condition for the model to be registered."""

    metric: MetricName = Field(description="A metric of the run.")
    dataset: Part = Field(default="test", description="The part it is measured on.")
    min: Decimal | None = Field(default=None, description="The value must be at least this.")
    max: Decimal | None = Field(default=None, description="The value must be at most this.")
    compare_to: Literal["champion"] | None = Field(
        default=None,
        description="Compare with the live version, on the same rows; passes where there is none.",
    )
    min_delta: Decimal = Field(
        default="0", description="How much better than the champion it must be; negative allows to be worse."
    )
    rules: ClassVar = (
        Rule(
            "has(self.min) || has(self.max) || has(self.compareTo)",
            "a gate needs at least one of min, max, compareTo",
            lambda self: not (self.min is None and self.max is None and self.compare_to is None),
        ),
        Rule(
            "!has(self.min) || !has(self.max) || double(self.min) <= double(self.max)",
            "min must not be greater than max",
            lambda self: self.min is None or self.max is None or float(self.min) <= float(self.max),
        ),
    )


class Register(Model):
    """The ModelVersion to make when the gates pass."""

    model_name: ModelName = Field(description="The model that gets a new version.")
    promotion: Promotion = Field(default_factory=Promotion, description="The version's way to production.")
    capture: Capture = Field(default_factory=Capture, description="What the served version records of its requests.")


class Empty(Model):
    """Nothing to set."""


class DatasetGrowth(Model):
    """How many more rows are worth a run."""

    percent: Annotated[int, Field(ge=1, le=10_000)] = Field(
        description="So many percent more rows than the version had that the newest model of the template was trained "
        "on, or more."
    )


class Trigger(Model):
    """What makes a run of a template. A DriftMonitor that names the template makes runs of it as well."""

    template_change: Empty | None = Field(
        default=None,
        description="Every edit of what decides a run's result makes a run; the template's creation is the first.",
    )
    dataset_version: Empty | None = Field(default=None, description="Every new version of the Dataset makes a run.")
    dataset_growth: DatasetGrowth | None = Field(
        default=None,
        description="A version of the Dataset with so many more rows than the newest model was trained on makes a run.",
    )
    rules: ClassVar = (exactly_one_of("templateChange", "datasetVersion", "datasetGrowth", path="spec.triggers[]"),)


class TrainingRunSpec(Model):
    """What the user wants. Of a run it is immutable, except suspend; of a template it may be edited."""

    dataset_ref: DatasetRef = Field(description="The data.")
    trainer: Trainer = Field(description="What trains: exactly one of estimator, container, recalibration.")
    search: Search | None = Field(default=None, description="A search over the estimator's parameters.")
    costs: Costs | None = Field(
        default=None,
        description="What answers of a classifier cost, for the metric cost: their mean over the rows. A pair of "
        "classes that is not named costs nothing.",
    )
    reproducibility: Reproducibility = Field(
        default_factory=Reproducibility, description="The seed, and whether to prove that it is all there is."
    )
    gates: Annotated[tuple[Gate, ...], Field(max_length=MAX_GATES)] = Field(
        default=(), description="Conditions for the model to be registered; all must hold."
    )
    register_: Register | None = Field(
        default=None, alias="register", description="The ModelVersion to make when the gates pass."
    )
    triggers: Annotated[tuple[Trigger, ...], Field(max_length=8)] = Field(
        default=(),
        description="With triggers this is a template: it never runs itself, each event of a trigger makes a run.",
    )
    resources: Resources = Field(default_factory=Resources, description="Compute of the training pod.")
    pod_template: PodTemplate | None = Field(default=None, description="What is added to the training pods.")
    active_deadline_seconds: Annotated[int, Field(ge=1, le=2_592_000)] = Field(
        default=3600, description="A run that takes longer has failed."
    )
    backoff_limit: Annotated[int, Field(ge=0, le=10)] = Field(
        default=2, description="How often a pod that failed for a passing reason is tried again."
    )
    suspend: bool = Field(default=False, description="Do not start, or stop what has started.")
    rules: ClassVar = (
        Rule(
            "!has(self.search) || has(self.trainer.estimator)",
            "spec.search needs spec.trainer.estimator",
            lambda self: self.search is None or self.trainer.estimator is not None,
        ),
        Rule(
            "!has(self.costs) || self.costs.all(one, self.costs.exists_one(other,"
            " one.actual == other.actual && one.predicted == other.predicted))",
            "spec.costs names a pair of actual and predicted twice: leave one of the two out",
            lambda self: has_no_pair_twice(self.costs or ()),
        ),
        Rule(
            "!has(self.datasetRef.version) || !has(self.triggers)"
            " || !self.triggers.exists(each, has(each.datasetGrowth))",
            "spec.triggers[].datasetGrowth needs spec.datasetRef without version: one version does not grow",
            lambda self: self.dataset_ref.version is None or not any(each.dataset_growth for each in self.triggers),
        ),
        Rule(
            "(has(self.triggers) && self.triggers.size() > 0)"
            " == (has(oldSelf.triggers) && oldSelf.triggers.size() > 0)",
            "spec.triggers cannot turn a run into a template or back: create a new TrainingRun",
            lambda self, old: bool(self.triggers) == bool(old.triggers),
            transition=True,
        ),
        Rule(
            "(has(self.triggers) && self.triggers.size() > 0) || ("
            + unchanged(
                always=("datasetRef", "trainer", "activeDeadlineSeconds", "backoffLimit"),
                optional=("search", "costs", "reproducibility", "gates", "register", "resources", "podTemplate"),
            )
            + ")",
            "spec of a run is immutable except suspend: create a new TrainingRun",
            lambda self, old: bool(self.triggers) or self.evolve(suspend=False) == old.evolve(suspend=False),
            transition=True,
        ),
    )


class MetricValue(Model):
    """One measurement; the value is text, so that it is the same everywhere."""

    name: MetricName = Field(description="The metric.")
    dataset: Text = Field(description="The part it was measured on.")
    value: Decimal = Field(description="Its value.")


class Resolved(Model):
    """What the run was pinned to when it started. Never changes afterwards."""

    dataset_version: int = Field(description="The Dataset's version.")
    dataset_digest: Digest = Field(description="The digest of its logical content.")
    dataset_artifact: Digest = Field(description="The address of its files in the store.")
    data_delivered_at: Timestamp | None = Field(
        default=None, description="When the newest of the data was delivered that the version was made of."
    )
    environment_digest: Digest = Field(description="The digest of the training environment.")
    champion_version: Name | None = Field(default=None, description="The ModelVersion to compare with.")
    champion_artifact: Digest | None = Field(default=None, description="The address of its model.")


class Verification(Model):
    """The outcome of a second execution."""

    equal: bool = Field(description="Whether the digests were equal.")
    first_difference: Text | None = Field(default=None, description="The first file that differs.")


class TrainedOn(Model):
    """A version of a Dataset that a model was trained on."""

    dataset: Name = Field(description="The Dataset.")
    version: int = Field(description="Its version.")
    rows: int = Field(description="The rows of that version.")


class TriggerRecord(Model):
    """Why a run of a template was made."""

    kind: Literal["TemplateChange", "DatasetVersion", "DatasetGrowth", "DriftMonitor", "Retry"] = Field(
        description="What fired."
    )
    ref: Text = Field(default="", description="Which object fired.")
    reason: Text = Field(default="", description="Why.")


class TrainingRunStatus(Model):
    """What is."""

    observed_generation: int = Field(default=0, description="The generation of the spec this status is about.")
    resolved: Resolved | None = Field(default=None, description="What the run was pinned to when it started.")
    inputs_digest: Digest | None = Field(
        default=None, description="The digest of data, recipe, parameters, seed and environment."
    )
    attempts: int = Field(
        default=0,
        description="Executions that an outage took, or that were asked for again; each has a Job of its own.",
    )
    without_report: int | None = Field(
        default=None, description="Of these, how many in a row were lost without a report."
    )
    output_digest: Digest | None = Field(default=None, description="The address of the model's files in the store.")
    prediction_digest: Digest | None = Field(default=None, description="The digest of its answers on a fixed batch.")
    format: Literal["onnx", "treelite", "skops"] | None = Field(default=None, description="The model's format.")
    metrics: Annotated[tuple[MetricValue, ...], Field(max_length=64)] = Field(
        default=(), description="The model's metrics."
    )
    champion_metrics: Annotated[tuple[MetricValue, ...], Field(max_length=64)] = Field(
        default=(), description="The champion's metrics on the same rows."
    )
    positive_class: Text | None = Field(
        default=None, description="Of a classifier of two classes: the one that f1 speaks of."
    )
    notes: Annotated[tuple[Text, ...], Field(max_length=MAX_NOTES)] | None = Field(
        default=None,
        description="What the training did with the data that nobody asked for: categories that count as unknown, "
        "numbers that count as missing, metrics that the rows do not define.",
    )
    best_params: dict[str, Text] | None = Field(default=None, description="The parameters that a search found best.")
    trials: int | None = Field(default=None, description="How many trials a search made.")
    verification: Verification | None = Field(default=None, description="The outcome of a second execution.")
    model_version_ref: Name | None = Field(default=None, description="The ModelVersion made of this run.")
    cached_from: Name | None = Field(default=None, description="The run with equal inputs whose result this is.")
    last_run: Name | None = Field(default=None, description="Of a template: the newest run made of it.")
    last_trigger: TriggerRecord | None = Field(
        default=None, description="Of a template: what called for the newest run."
    )
    last_template_digest: Digest | None = Field(
        default=None, description="Of a template: the digest of the spec that was last seen."
    )
    last_recipe_digest: Digest | None = Field(
        default=None,
        description="Of a template: the digest of the part of the spec that decides a run's result, as last run.",
    )
    last_dataset_version: int | None = Field(
        default=None, description="Of a template: the Dataset's version that a run was last made of."
    )
    trained_on: TrainedOn | None = Field(
        default=None,
        description="Of a template with the trigger datasetGrowth: the newest version that a run of it has made a "
        "model of, which the current one's rows are compared with.",
    )
    retried: Text | None = Field(
        default=None, description="The value of the annotation mlops.dev/retry that was last acted on."
    )
    conditions: tuple[Condition, ...] = Field(
        default=(), description="Ready, Reconciling, Stalled, DatasetReady, Succeeded, GatesPassed, Reproducible."
    )


class TrainingRun(Resource):
    """One reproducible training on pinned data, or the template of such runs."""

    kind: Literal["TrainingRun"] = "TrainingRun"
    spec: TrainingRunSpec
    status: TrainingRunStatus = Field(default_factory=TrainingRunStatus)

    plural: ClassVar = "trainingruns"
    short_names: ClassVar = ("trun",)
    columns: ClassVar = (
        PrinterColumn("Dataset", ".spec.datasetRef.name"),
        PrinterColumn("Version", ".status.resolved.datasetVersion", "integer"),
        PrinterColumn("Model", ".status.modelVersionRef"),
        # The first that was measured on held-out rows; the gates' own figures stand in the message.
        PrinterColumn("Metric", ".status.metrics[?(@.dataset=='test')].name"),
        PrinterColumn("Value", ".status.metrics[?(@.dataset=='test')].value"),
        *readiness_columns(
            PrinterColumn("Last Run", ".status.lastRun", priority=1),
            PrinterColumn("Inputs", ".status.inputsDigest", priority=1),
            PrinterColumn("Output", ".status.outputDigest", priority=1),
        ),
    )
