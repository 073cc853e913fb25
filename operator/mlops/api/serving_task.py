"""Tasks and reports of the pods of a ModelVersion."""

from __future__ import annotations

from typing import Literal

from mlops.api.base import Model
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


class ServeTask(Model):
    """Serve one version over the Open Inference Protocol."""

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
