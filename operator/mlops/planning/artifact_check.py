"""A version before it may serve: its artifact pinned, bytes and answers verified, the gates of its stages judged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from mlops.api import tasks
from mlops.api.conditions import READY, RECONCILING, Condition, ConditionType, find, is_false, is_true
from mlops.api.model_version import Lineage, ModelVersion, ModelVersionStatus, VersionVerification
from mlops.api.reasons import Reason, Reported
from mlops.planning import retrying
from mlops.planning import standing as stand
from mlops.planning.outcome import Failure, finished_at, is_finished, outcome, retry_at, setback
from mlops.planning.plan import Manifest
from mlops.planning.serving_manifests import verify_job, verify_job_name
from mlops.planning.standing import Standing, condition
from mlops.planning.training_manifests import trained_as
from mlops.planning.views import JobView, ModelView

ARTIFACT_VERIFIED = ConditionType.ARTIFACT_VERIFIED


@dataclass(frozen=True)
class Checked:
    """What is known of a version. `obstacle`: why it cannot serve yet; None when it is verified."""

    status: ModelVersionStatus
    verified: Condition
    obstacle: Standing | None = None
    create: tuple[Manifest, ...] = ()
    look_again: datetime | None = None


def check(view: ModelView, version: ModelVersion) -> Checked:
    """Return the version with its artifact pinned and verified, as far as that has come."""
    status = version.status
    if status.artifact is None:
        pinned = _pinned(view, version)
        if isinstance(pinned, Standing):
            return Checked(status, condition(ARTIFACT_VERIFIED, "Unknown", pinned.reason, pinned.message), pinned)
        status = pinned
    artifact = str(status.artifact)
    if status.verification is not None:
        message = f"{status.verification.golden_rows} recorded answers reproduced"
        return Checked(status, condition(ARTIFACT_VERIFIED, "True", Reason.VERIFIED, message))
    if version.spec.withdrawn:
        # Nothing will be served of it, so nothing needs to be known of it.
        message = "not verified: spec.withdrawn is true"
        return Checked(status, condition(ARTIFACT_VERIFIED, "Unknown", Reason.WITHDRAWN, message))
    asked = retrying.wanted(version)
    if asked is not None:
        # What the last attempt said would make this one wait, or be the end.
        ended = _job(view, verify_job_name(version, artifact, status.attempts))
        failed = is_false(status.conditions, ARTIFACT_VERIFIED) or (ended is not None and ended.failed)
        again = {"attempts": status.attempts + failed, "conditions": ()}
        return _verify(view, version, status.model_copy(update=again), artifact)
    refused = find(status.conditions, ARTIFACT_VERIFIED)
    if refused is not None and is_false(status.conditions, ARTIFACT_VERIFIED):
        return Checked(status, refused, stand.stalled(Reported(refused.reason), refused.message))
    return _verify(view, version, status, artifact)


def _pinned(view: ModelView, version: ModelVersion) -> ModelVersionStatus | Standing:
    spec = version.spec
    if spec.artifact is not None:
        return version.status.model_copy(update={"artifact": spec.artifact.digest, "lineage": spec.lineage})
    name = spec.source.training_run_ref.name if spec.source else ""
    run = view.runs.get(name)
    if run is None:
        return stand.waiting(
            Reason.RUN_NOT_FOUND,
            f'spec.source.trainingRunRef: TrainingRun "{name}" not found in namespace "{view.namespace}"',
        )
    if run.status.output_digest is None or not is_true(run.status.conditions, "Succeeded"):
        ready = find(run.status.conditions, READY)
        why = f": {ready.reason}: {ready.message}" if ready else ""
        message = f'TrainingRun "{name}" has no model yet{why}'
        # One that failed, or rests because it is suspended, is not at work on a model.
        works = ready is None or is_true(run.status.conditions, RECONCILING)
        make = stand.in_progress if works else stand.waiting
        return make(Reason.RUN_NOT_READY, message)
    resolved = run.status.resolved
    lineage = Lineage(
        training_run=name,
        dataset=run.spec.dataset_ref.name,
        dataset_version=resolved.dataset_version if resolved else None,
        dataset_digest=resolved.dataset_digest if resolved else None,
        inputs_digest=run.status.inputs_digest,
        environment_digest=resolved.environment_digest if resolved else None,
        parent_version=resolved.champion_version if resolved else None,
        estimator=trained_as(run),
        since=run.spec.dataset_ref.since,
    )
    return version.status.model_copy(update={"artifact": run.status.output_digest, "lineage": lineage})


def _verify(view: ModelView, version: ModelVersion, status: ModelVersionStatus, artifact: str) -> Checked:
    job = _job(view, verify_job_name(version, artifact, status.attempts))
    if failed := setback(job):
        message = f"{failed.message}; the Job tries again"
        said = condition(ARTIFACT_VERIFIED, "Unknown", failed.reason, message)
        return Checked(status, said, Standing("False", failed.reason, message[:2048], reconciling=True))
    if job is None or not is_finished(job):
        return _verifying(view, version, status, artifact, started=job is not None)
    match outcome(job, tasks.VerifyReport):
        case tasks.VerifyReport() as report:
            found = VersionVerification(
                golden_rows=report.golden_rows,
                max_difference=report.max_difference,
                p99_milliseconds=report.p99_milliseconds,
            )
            known = status.model_copy(update={"verification": found, "format": report.format, "attempts": 0})
            message = f"{found.golden_rows} recorded answers reproduced"
            return Checked(known, condition(ARTIFACT_VERIFIED, "True", Reason.VERIFIED, message))
        case Failure(final=True) as failure:
            refused = condition(ARTIFACT_VERIFIED, "False", failure.reason, failure.message)
            return Checked(status, refused, stand.stalled(failure.reason, refused.message))
        case failure:
            return _to_be_tried_again(view, status, job, failure)


def _job(view: ModelView, name: str) -> JobView | None:
    return next((job for job in view.jobs if job.name == name), None)


def _verifying(
    view: ModelView, version: ModelVersion, status: ModelVersionStatus, artifact: str, *, started: bool
) -> Checked:
    before = _job(view, verify_job_name(version, artifact, status.attempts - 1)) if status.attempts else None
    due = retry_at(finished_at(before), status.attempts) if before is not None else view.now
    last = find(status.conditions, ARTIFACT_VERIFIED)
    if not started and due > view.now and last is not None and last.reason != Reason.VERIFYING:
        obstacle = Standing("False", Reported(last.reason), last.message, reconciling=True)
        return Checked(status, last, obstacle, look_again=due)
    message = "checking bytes, recorded answers and speed"
    return Checked(
        status,
        condition(ARTIFACT_VERIFIED, "Unknown", Reason.VERIFYING, message),
        stand.in_progress(Reason.VERIFYING, message),
        create=(verify_job(view.settings, version, artifact, attempt=status.attempts),),
    )


def _to_be_tried_again(view: ModelView, status: ModelVersionStatus, job: JobView, failure: Failure) -> Checked:
    attempts = status.attempts + 1
    message = f"{failure.message}; attempt {attempts + 1} follows"
    return Checked(
        status.model_copy(update={"attempts": attempts}),
        condition(ARTIFACT_VERIFIED, "Unknown", failure.reason, message),
        Standing("False", failure.reason, message[:2048], reconciling=True),
        look_again=max(retry_at(finished_at(job), attempts), view.now),
    )


@dataclass(frozen=True)
class Gates:
    """How many of a version's stages it may enter, and why no more."""

    open_stages: int
    message: str


def judge_gates(version: ModelVersion, verification: VersionVerification) -> Gates:
    """Return how far the gates let the version go: a stage whose gates fail closes itself and all after it."""
    p99 = Decimal(verification.p99_milliseconds)
    for index, stage in enumerate(version.spec.promotion.stages):
        for gate in stage.gates:
            if gate.latency is not None and p99 > gate.latency.p99_milliseconds:
                limit = gate.latency.p99_milliseconds
                return Gates(index, f"LatencyTooHigh for {stage.name}: p99 is {p99} ms, allowed {limit} ms")
    return Gates(len(version.spec.promotion.stages), f"the recorded answers are reproduced, p99 is {p99} ms")
