"""A version before it may serve: its artifact pinned, bytes and answers verified, the gates of its stages judged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from mlops.api import tasks
from mlops.api.conditions import READY, RECONCILING, Condition, ConditionType, find, is_false, is_true
from mlops.api.model_version import Lineage, ModelVersion, ModelVersionStatus, VersionVerification
from mlops.api.reasons import Reason, Reported
from mlops.planning import execution, retrying
from mlops.planning import readiness as say
from mlops.planning.liveness import closed_gates
from mlops.planning.outcome import Failure
from mlops.planning.plan import Key, Manifest
from mlops.planning.readiness import Readiness, condition
from mlops.planning.serving.manifests import verify_job, verify_job_name
from mlops.planning.training.children import trained_as
from mlops.planning.views import JobView, ModelView

ARTIFACT_VERIFIED = ConditionType.ARTIFACT_VERIFIED


@dataclass(frozen=True)
class Checked:
    """What is known of a version. `obstacle`: why it cannot serve yet; None when it is verified."""

    status: ModelVersionStatus
    verified: Condition
    obstacle: Readiness | None = None
    create: tuple[Manifest, ...] = ()
    requeue_at: datetime | None = None


def check(view: ModelView, version: ModelVersion) -> Checked:
    """Return the version with its artifact pinned and verified, as far as that has come."""
    status = version.status
    if status.artifact is None:
        pinned = _pinned(view, version)
        if isinstance(pinned, Readiness):
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
        return _verify(view, version, status.evolve(attempts=status.attempts + failed, conditions=()), artifact)
    refused = find(status.conditions, ARTIFACT_VERIFIED)
    if refused is not None and is_false(status.conditions, ARTIFACT_VERIFIED):
        return Checked(status, refused, say.stalled(Reported(refused.reason), refused.message))
    return _verify(view, version, status, artifact)


def _pinned(view: ModelView, version: ModelVersion) -> ModelVersionStatus | Readiness:
    spec = version.spec
    if spec.artifact is not None:
        return version.status.evolve(artifact=spec.artifact.digest, lineage=spec.lineage)
    name = spec.source.training_run_ref.name if spec.source else ""
    run = view.runs.get(name)
    if run is None:
        return say.waiting(
            Reason.RUN_NOT_FOUND,
            f'spec.source.trainingRunRef: TrainingRun "{name}" not found in namespace "{view.namespace}"',
        )
    if run.status.output_digest is None or not is_true(run.status.conditions, "Succeeded"):
        ready = find(run.status.conditions, READY)
        why = f": {ready.reason}: {ready.message}" if ready else ""
        message = f'TrainingRun "{name}" has no model yet{why}'
        # One that failed, or rests because it is suspended, is not at work on a model.
        works = ready is None or is_true(run.status.conditions, RECONCILING)
        make = say.in_progress if works else say.waiting
        return make(Reason.RUN_NOT_READY, message)
    resolved = run.status.resolved
    lineage = Lineage(
        training_run=name,
        dataset=run.spec.dataset_ref.name,
        dataset_version=resolved.dataset_version if resolved else None,
        dataset_digest=resolved.dataset_digest if resolved else None,
        data_delivered_at=resolved.data_delivered_at if resolved else None,
        inputs_digest=run.status.inputs_digest,
        environment_digest=resolved.environment_digest if resolved else None,
        parent_version=resolved.champion_version if resolved else None,
        estimator=trained_as(run),
        since=run.spec.dataset_ref.since,
    )
    return version.status.evolve(artifact=run.status.output_digest, lineage=lineage)


def _verify(view: ModelView, version: ModelVersion, status: ModelVersionStatus, artifact: str) -> Checked:
    last = find(status.conditions, ARTIFACT_VERIFIED)
    found = execution.execution(
        view.jobs,
        lambda attempt: verify_job_name(version, artifact, attempt),
        status.attempts,
        view.now,
        tasks.VerifyReport,
        begun=last is None or last.reason == Reason.VERIFYING,
    )
    if isinstance(found, execution.Ended):
        return _verified(view, status, found)
    if obstacle := execution.meanwhile(found, last):
        if isinstance(found, execution.Waiting) and last is not None:
            return Checked(status, last, obstacle, requeue_at=found.until)
        return Checked(status, condition(ARTIFACT_VERIFIED, "Unknown", obstacle.reason, obstacle.message), obstacle)
    message = "checking bytes, recorded answers and speed"
    return Checked(
        status,
        condition(ARTIFACT_VERIFIED, "Unknown", Reason.VERIFYING, message),
        say.in_progress(Reason.VERIFYING, message),
        create=(verify_job(view.settings, version, artifact, attempt=status.attempts),),
    )


def _verified(view: ModelView, status: ModelVersionStatus, ended: execution.Ended[tasks.VerifyReport]) -> Checked:
    match ended.outcome:
        case tasks.VerifyReport() as report:
            found = VersionVerification(
                golden_rows=report.golden_rows,
                max_difference=report.max_difference,
                p99_milliseconds=report.p99_milliseconds,
            )
            known = status.evolve(verification=found, format=report.format, attempts=0)
            message = f"{found.golden_rows} recorded answers reproduced"
            return Checked(known, condition(ARTIFACT_VERIFIED, "True", Reason.VERIFIED, message))
        case Failure(final=True) as failure:
            refused = condition(ARTIFACT_VERIFIED, "False", failure.reason, failure.message)
            return Checked(status, refused, say.stalled(failure.reason, refused.message))
        case failure:
            attempts = status.attempts + 1
            again = execution.attempt_follows(failure.reason, failure.message, attempts)
            return Checked(
                status.evolve(attempts=attempts),
                condition(ARTIFACT_VERIFIED, "Unknown", again.reason, again.message),
                again,
                requeue_at=ended.next_at(attempts, view.now),
            )


def spent(view: ModelView, version: ModelVersion, status: ModelVersionStatus) -> tuple[tuple[Key, str], ...]:
    """Return the failed Jobs of earlier attempts to verify the version."""
    artifact = status.artifact
    if artifact is None:
        return ()
    return execution.spent(view.jobs, lambda number: {verify_job_name(version, artifact, number)}, status.attempts)


def _job(view: ModelView, name: str) -> JobView | None:
    return next((job for job in view.jobs if job.name == name), None)


@dataclass(frozen=True)
class Gates:
    """How many of a version's stages it may enter, why no more, and the stages whose own gates fail."""

    open_stages: int
    message: str
    closed: frozenset[str] = frozenset()


def judge_gates(version: ModelVersion, verification: VersionVerification) -> Gates:
    """Return how far the gates let the version go: a stage whose gates fail closes itself, and all after it that the
    version has not served in."""
    p99, stages = Decimal(verification.p99_milliseconds), version.spec.promotion.stages
    failed = closed_gates(version, verification)
    if failed:
        index, first, limit = failed[0]
        message = f"LatencyTooHigh for {first}: p99 is {p99} ms, allowed {limit} ms"
        return Gates(index, message, frozenset(name for _, name, _ in failed))
    return Gates(len(stages), f"the recorded answers are reproduced, p99 is {p99} ms")
