"""Tasks and reports of the pods of a ModelVersion."""

from __future__ import annotations

from typing import Literal

from mlops.api.base import Digest, Model, Timestamp
from mlops.api.canary import Analysis, AnalysisOutcome, CriterionResult
from mlops.api.model_version import Capture, VersionVerification
from mlops.api.stage_access import StageAuth, StageTls


class VerifyTask(Model):
    """Check a model's bytes and its recorded answers, and measure how fast it is."""

    task: Literal["verify"] = "verify"
    namespace: str
    model_name: str
    version: int
    # Of the ModelVersion, for the log.
    object_name: str | None = None
    artifact: str
    # The tightest latency gate: it is measured again while it is not kept, for a busy node is not the model's fault.
    p99_milliseconds: int | None = None


class VerifyReport(VersionVerification):
    """What was found."""

    report: Literal["verify"] = "verify"
    format: Literal["onnx", "treelite", "skops"]


class ServeCandidate(Model):
    """A version that answers a share of the requests, in the same process as the stable one."""

    version: int
    object_name: str | None = None
    artifact: str
    # Percent of the requests that it answers, and of the others those that it answers for the record only.
    weight: int
    shadow_percent: int = 0
    # The header by whose value a request is sent to one of the two; None: by the request's id.
    sticky_header: str | None = None


class ServeTask(Model):
    """Serve one version over the Open Inference Protocol, and a share of the requests by another one."""

    task: Literal["serve"] = "serve"
    namespace: str
    model_name: str
    version: int
    # Of the ModelVersion, for the log.
    object_name: str | None = None
    stage: str
    artifact: str
    capture: Capture
    # What is asked of requests, and the certificate that is shown, as far as the stage says; both name Secrets.
    auth: StageAuth | None = None
    tls: StageTls | None = None
    candidate: ServeCandidate | None = None


class Arm(Model):
    """One of the two versions of a canary."""

    version: int
    artifact: Digest


class AnalysisTask(Model):
    """Compare the candidate of a canary with the stable version by what both have answered."""

    task: Literal["analysis"] = "analysis"
    namespace: str
    model_name: str
    # Of the candidate's ModelVersion, for the log.
    object_name: str | None = None
    stage: str
    stable: Arm
    candidate: Arm
    # Since when the candidate is asked: what either answered before does not count.
    since: Timestamp
    analysis: Analysis
    # The how-manyth look at this step, from 1: each has its share of alpha.
    look: int


class AnalysisReport(Model):
    """What was found."""

    report: Literal["analysis"] = "analysis"
    outcome: AnalysisOutcome
    criteria: tuple[CriterionResult, ...]
