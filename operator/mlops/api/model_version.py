"""ModelVersion: an immutable artifact and its way to production."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from mlops.api.approval import Approval, ApprovalRule, Identity
from mlops.api.autoscaling import Autoscaling
from mlops.api.base import (
    Decimal,
    Digest,
    FieldName,
    Model,
    ModelName,
    Name,
    PrinterColumn,
    Resource,
    Rule,
    StageName,
    Text,
    Timestamp,
    exactly_one_of,
    readiness_columns,
    unchanged,
)
from mlops.api.canary import ASKED_BEFORE_JUDGED_CEL, Canary, CanaryStatus, Shadow
from mlops.api.conditions import Condition
from mlops.api.estimator import Estimator
from mlops.api.pod_template import PodTemplate
from mlops.api.resources import Resources
from mlops.api.stage_access import StageAuth, StageTls


class Golden(Model):
    """The served model must give the recorded answers on the recorded rows. Always checked, also without this gate."""


class Latency(Model):
    """How fast one row must be answered."""

    p99_milliseconds: Annotated[int, Field(ge=1, le=60_000)] = Field(
        description="The 99th percentile of one-row predictions, measured in the verifying pod."
    )


class StageGate(Model):
    """A condition for a version to enter a stage."""

    golden: Golden | None = Field(default=None, description="The recorded answers are reproduced.")
    latency: Latency | None = Field(default=None, description="One row is answered fast enough.")
    rules: ClassVar = (exactly_one_of("golden", "latency", path="gates[]"),)


# The Open Inference Protocol over HTTP and over gRPC, as KServe's serving runtimes name them.
ProtocolVersion = Literal["v2", "grpc-v2"]


class Stage(Model):
    """A place where a version is served, at `<modelName>-<stage>`."""

    name: StageName = Field(description="The stage's name, part of the Service's name.")
    gates: Annotated[tuple[StageGate, ...], Field(max_length=8)] = Field(
        default=(), description="Conditions to enter; all must hold."
    )
    approval: ApprovalRule | None = Field(
        default=None, description="Who has to approve of a version before it serves here; without it: nobody."
    )
    replicas: Annotated[int, Field(ge=1, le=100)] = Field(default=1, description="How many pods serve.")
    autoscaling: Autoscaling | None = Field(
        default=None, description="How many pods serve, by what they have to do; in the place of replicas."
    )
    protocol_versions: Annotated[tuple[ProtocolVersion, ...], Field(min_length=1, max_length=2)] = Field(
        default=("v2",),
        description="What its servers speak: v2, the Open Inference Protocol over HTTP, and grpc-v2, also over gRPC.",
    )
    resources: Resources | None = Field(default=None, description="Compute of each of its pods.")
    pod_template: PodTemplate | None = Field(default=None, description="What is added to its pods.")
    auth: StageAuth | None = Field(
        default=None, description="What its servers ask of a request; without it they answer whoever reaches them."
    )
    tls: StageTls | None = Field(default=None, description="The certificate of its servers; without it: plain HTTP.")
    canary: Canary | None = Field(
        default=None, description="How a version takes over here from the one that serves; without it: at once."
    )
    shadow: Shadow | None = Field(
        default=None, description="Requests that the next version answers too while its canary lasts, for the record."
    )
    rules: ClassVar = (
        Rule(
            "!has(self.autoscaling) || !has(self.replicas) || self.replicas == 1",
            "replicas and autoscaling exclude each other: autoscaling.minReplicas says how many there are at least",
            lambda self: self.autoscaling is None or self.replicas == 1,
        ),
        Rule(
            "!has(self.protocolVersions) || 'v2' in self.protocolVersions",
            "protocolVersions must name v2: probes and metrics go over HTTP; grpc-v2 comes beside it",
            lambda self: "v2" in self.protocol_versions,
        ),
        Rule(
            "!has(self.shadow) || has(self.canary)",
            "shadow needs canary: it lasts as long as that; canary.steps [{pause: 1h}] is one in which nobody is "
            "answered by the new version",
            lambda self: self.shadow is None or self.canary is not None,
        ),
        Rule(
            f"has(self.shadow) || !has(self.canary) || {ASKED_BEFORE_JUDGED_CEL}",
            "canary.steps: an analysis comes after a step with setWeight above 0, or beside shadow: before that the "
            "new version answers nothing that could be compared",
            lambda self: self.shadow is not None or self.canary is None or self.canary.is_asked_before_it_is_judged,
        ),
    )

    @property
    def asks(self) -> ApprovalRule | None:
        """Return who has to approve, if anybody has to."""
        return self.approval if self.approval is not None and self.approval.required else None

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the names of the Secrets that its servers are given."""
        auth, tls = self.auth, self.tls
        keys = auth.api_keys.secret_ref.name if auth and auth.api_keys else None
        issuer = auth.jwt.jwks_secret_ref.name if auth and auth.jwt else None
        return tuple(name for name in (keys, issuer, tls.secret_ref.name if tls else None) if name is not None)

    @property
    def speaks_grpc(self) -> bool:
        """Return whether its servers speak gRPC too."""
        return "grpc-v2" in self.protocol_versions

    @property
    def least_replicas(self) -> int:
        """Return how many pods have to be ready for a version to be available here."""
        return self.replicas if self.autoscaling is None else max(self.autoscaling.min_replicas, 1)


class Promotion(Model):
    """The stages in order. A version enters the next when it is available in the one before."""

    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=5)] = Field(
        default=(Stage(name="production"),),
        description="The stages in order, such as dev, staging, production.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )


class Capture(Model):
    """What a served version records of its requests, for drift checks and as training data."""

    percent: Annotated[int, Field(ge=0, le=100)] = Field(
        default=100, description="The share of requests that is recorded, chosen by the request's id."
    )
    flush_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(
        default=60, description="Rows reach the store after at most so long."
    )
    redact: Annotated[tuple[FieldName, ...], Field(max_length=256)] = Field(
        default=(), description="Inputs that are recorded as missing."
    )


class ArtifactRef(Model):
    """A model in the store."""

    digest: Digest = Field(description="The digest of its files' manifest: its address.")


class RunRef(Model):
    """A run of the same namespace."""

    name: Name = Field(description="The TrainingRun's name.")


class VersionSource(Model):
    """Where the artifact comes from."""

    training_run_ref: RunRef = Field(description="A TrainingRun; its output is pinned in the status.")


class Lineage(Model):
    """What the artifact was made of."""

    training_run: Name | None = Field(default=None, description="The run that made it.")
    dataset: Name | None = Field(default=None, description="The Dataset it was trained on.")
    dataset_version: int | None = Field(default=None, description="The version of that Dataset.")
    dataset_digest: Digest | None = Field(default=None, description="The digest of that version's content.")
    data_delivered_at: Timestamp | None = Field(
        default=None, description="When the newest of the data was delivered that the version was made of."
    )
    inputs_digest: Digest | None = Field(default=None, description="The digest of everything that went in.")
    environment_digest: Digest | None = Field(default=None, description="The digest of the training environment.")
    parent_version: Name | None = Field(default=None, description="The version it was compared with.")
    estimator: Estimator | None = Field(
        default=None, description="What was trained, with the parameters that a search had found: a Retrain keeps them."
    )
    since: Timestamp | None = Field(
        default=None, description="The event time from which rows were used: a Retrain keeps it."
    )


class ModelVersionSpec(Model):
    """What the user wants. The artifact never changes; promotion, capture, withdrawn and approvals may."""

    model_name: ModelName = Field(description="The model this is a version of.")
    version: Annotated[int, Field(ge=1, le=999_999)] = Field(description="Its number; the newest good one is live.")
    artifact: ArtifactRef | None = Field(default=None, description="The model, by digest.")
    source: VersionSource | None = Field(default=None, description="The model, by the run that makes it.")
    lineage: Lineage = Field(default_factory=Lineage, description="What it was made of; set by the run that made it.")
    promotion: Promotion = Field(default_factory=Promotion, description="The way to production.")
    capture: Capture = Field(default_factory=Capture, description="What is recorded of requests.")
    withdrawn: bool = Field(
        default=False, description="True takes it out of every stage; the previous good version takes over."
    )
    approvals: Annotated[tuple[Approval, ...], Field(max_length=32)] = Field(
        default=(), description="What people gave of the approvals that its stages ask for: each in their own name."
    )
    rules: ClassVar = (
        exactly_one_of("artifact", "source", path="spec"),
        Rule(
            unchanged(always=("modelName", "version"), optional=("artifact", "source", "lineage")),
            "spec.modelName, version, artifact, source and lineage are immutable: create a new ModelVersion",
            lambda self, old: (
                (self.model_name, self.version, self.artifact, self.source, self.lineage)
                == (old.model_name, old.version, old.artifact, old.source, old.lineage)
            ),
            transition=True,
        ),
    )


class VersionVerification(Model):
    """What the verifying pod found."""

    golden_rows: int = Field(description="Rows whose recorded answer was reproduced.")
    max_difference: Decimal = Field(description="The largest difference to a recorded answer.")
    p99_milliseconds: Decimal = Field(description="The 99th percentile of one-row predictions.")


class Transition(Model):
    """One step of the version's way."""

    time: Timestamp = Field(description="When.")
    to: Text = Field(
        description=(
            "The stage entered, or Superseded, Withdrawn, RolledBack, Failed, Left, Approved, Revoked, CanaryStarted."
        )
    )
    stage: StageName | None = Field(default=None, description="Of all but Superseded and Withdrawn: in which stage.")
    user: Identity | None = Field(default=None, description="Of Approved: who.")
    reason: Text = Field(default="", description="Why.")


class StageFailure(Model):
    """Why a version does not serve in a stage."""

    stage: StageName = Field(description="The stage.")
    reason: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=64)] = Field(
        description="Why, in one word: what its pods said, or ServingFailed."
    )
    message: Annotated[str, StringConstraints(max_length=1024)] = Field(
        default="", description="Why, in the words of its pods."
    )


class RolledBack(Model):
    """That a monitor found an older version better in a stage: this one is passed over there."""

    stage: StageName = Field(description="The stage.")
    time: Timestamp = Field(description="The scheduled time of the check that found it.")
    monitor: Name = Field(description="The DriftMonitor.")
    to: Name = Field(description="The older ModelVersion that serves instead.")
    to_artifact: Digest = Field(description="Its model.")
    reason: Text = Field(default="", description="Why.")
    ended: Literal["Undone", "OlderIsGone"] | None = Field(
        default=None,
        description=(
            "Why it no longer holds. Undone: a person asked for a retry of this version; it is not rolled back there "
            "again. OlderIsGone: the older version was withdrawn or deleted, or failed."
        ),
    )


class HistoryHead(Model):
    """How far the record of a model's history went: a record in which this entry stands no more was written over."""

    entries: Annotated[int, Field(ge=1)] = Field(description="The number of its newest entry.")
    hash: Digest = Field(description="That entry's hash, which follows from all entries before it.")


class ModelVersionStatus(Model):
    """What is."""

    observed_generation: int = Field(default=0, description="The generation of the spec this status is about.")
    artifact: Digest | None = Field(default=None, description="The address of the model, pinned.")
    lineage: Lineage | None = Field(default=None, description="What it was made of.")
    format: Literal["onnx", "treelite", "skops"] | None = Field(default=None, description="The model's format.")
    verification: VersionVerification | None = Field(default=None, description="What the verifying pod found.")
    attempts: int = Field(
        default=0, description="Verifications in a row that failed for a passing reason; the next one waits longer."
    )
    retried: Text | None = Field(
        default=None, description="The value of the annotation mlops.dev/retry that was last acted on."
    )
    passed_stages: Annotated[tuple[StageName, ...], Field(max_length=5)] = Field(
        default=(), description="The stages where it has been available: it may enter the one after."
    )
    failed_stages: Annotated[tuple[StageName, ...], Field(max_length=5)] = Field(
        default=(),
        description="The stages where its pods did not become ready; a change of the spec, or a retry, tries again.",
    )
    failures: Annotated[tuple[StageFailure, ...], Field(max_length=5)] = Field(
        default=(), description="Why, for each of these stages."
    )
    rolled_back: Annotated[tuple[RolledBack, ...], Field(max_length=5)] = Field(
        default=(), description="The stages where a monitor had an older version take over."
    )
    approved_stages: Annotated[tuple[StageName, ...], Field(max_length=5)] = Field(
        default=(), description="The stages that ask for an approval and have one of this model."
    )
    canary: CanaryStatus | None = Field(
        default=None, description="How far it has come beside the version that serves, or came before it failed there."
    )
    stage: StageName | None = Field(default=None, description="The furthest stage where it is live.")
    stages: Annotated[tuple[StageName, ...], Field(max_length=5)] = Field(
        default=(), description="The stages where it is live."
    )
    url: Text | None = Field(default=None, description="Where its furthest stage answers.")
    ready_replicas: int | None = Field(default=None, description="Pods that serve it there.")
    cycle_seconds: int | None = Field(
        default=None,
        description="From the delivery of its data until it was first live in its last stage: how long that took.",
    )
    transitions: Annotated[tuple[Transition, ...], Field(max_length=20)] = Field(
        default=(), description="Its way so far, the newest step first."
    )
    history_head: HistoryHead | None = Field(
        default=None, description="How far the record of its model's history went while this was the newest version."
    )
    conditions: tuple[Condition, ...] = Field(
        default=(),
        description=(
            "Ready, Reconciling, Stalled, ArtifactVerified, GatesPassed, Approved, CanaryHealthy, Available, "
            "Superseded, RolledBack."
        ),
    )


class ModelVersion(Resource):
    """An immutable model, verified by digest and golden predictions, served stage by stage."""

    kind: Literal["ModelVersion"] = "ModelVersion"
    spec: ModelVersionSpec
    status: ModelVersionStatus = Field(default_factory=ModelVersionStatus)

    plural: ClassVar = "modelversions"
    short_names: ClassVar = ("mver",)
    columns: ClassVar = (
        PrinterColumn("Model", ".spec.modelName"),
        PrinterColumn("Version", ".spec.version", "integer"),
        PrinterColumn("Stage", ".status.stage"),
        *readiness_columns(
            PrinterColumn("Pods", ".status.readyReplicas", "integer", priority=1),
            PrinterColumn("URL", ".status.url", priority=1),
            PrinterColumn("Artifact", ".status.artifact", priority=1),
        ),
    )
