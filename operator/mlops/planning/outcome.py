"""What came of a Job: its report, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from mlops.api import labels, tasks
from mlops.api.base import Model, is_timestamp, parse_time
from mlops.api.reasons import Reason, Trait, Word, having
from mlops.planning.not_started import NOT_STARTED
from mlops.planning.readiness import is_reason
from mlops.planning.views import JobView

R = TypeVar("R", bound=Model)

DEADLINE_EXCEEDED = Reason.DEADLINE_EXCEEDED
BACKOFF_LIMIT_EXCEEDED = Reason.BACKOFF_LIMIT_EXCEEDED
OUT_OF_MEMORY = Reason.OUT_OF_MEMORY
REPORT_MISSING = Reason.REPORT_MISSING

# Tried again ever more slowly, although pods give up on them at once.
_MENDED_OUTSIDE = having(Trait.MENDED_OUTSIDE)
_OUTAGES = _MENDED_OUTSIDE | having(Trait.PASSES)


@dataclass(frozen=True)
class Failure:
    """Why a Job has no result. `final`: trying the same again cannot help."""

    reason: Word
    message: str
    final: bool

    @property
    def outage(self) -> bool:
        """Return whether the store was away, or the keys to it, the node too busy, or no pod could start: that says
        nothing about the work itself."""
        return not self.final and (self.reason in _OUTAGES or self.reason in NOT_STARTED)


def scheduled_at(job: JobView) -> datetime | None:
    """Return the timestamp that a Job looks at: as it is noted, or the scheduled time in the name of a CronJob's Job.

    One that a person made (`kubectl create job --from=cronjob/...`) is about the time when it was made. None: nobody
    can tell.
    """
    metadata = job.manifest["metadata"]
    annotations = metadata.get("annotations") or {}
    noted = annotations.get(labels.AS_OF, "")
    if is_timestamp(noted):
        return parse_time(noted)
    owners = metadata.get("ownerReferences") or ()
    cron_jobs = [owner["name"] for owner in owners if owner["kind"] == "CronJob"]
    minutes = None if labels.INSTANTIATED in annotations else tasks.scheduled_time(job.name, *cron_jobs)
    if minutes is not None:
        return datetime.fromtimestamp(minutes * 60, UTC)
    born = metadata.get("creationTimestamp")
    return parse_time(born) if born else None


def outcome(job: JobView, wanted: type[R]) -> R | Failure:
    """Return the report of a finished Job, or why there is none."""
    if job.failed:
        return _failure(job)
    try:
        report = tasks.parse_report(job.message or "")
    except tasks.ReportError as error:
        return Failure(REPORT_MISSING, f"Job {job.name} succeeded, but {error}", final=False)
    if not isinstance(report, wanted):
        return Failure(REPORT_MISSING, f"Job {job.name} reports {type(report).__name__}, not what it was for", False)
    return report


def _failure(job: JobView) -> Failure:
    end = job.condition("Failed") or {}
    if end.get("reason") == DEADLINE_EXCEEDED:
        limit = job.manifest["spec"].get("activeDeadlineSeconds")
        return Failure(DEADLINE_EXCEEDED, f"Job {job.name} took longer than {limit} s", final=False)
    if job.reason == OUT_OF_MEMORY:
        return Failure(OUT_OF_MEMORY, f"Job {job.name} needed more memory than {_memory_limit(job)}", final=True)
    said = _said(job)
    if said is not None:
        message = said.message.strip() or f"Job {job.name} exited with code {job.exit_code}: see its pod's log"
        return _as_said(said.reason, message, job)
    if job.exit_code is not None and end.get("reason") in (BACKOFF_LIMIT_EXCEEDED, "PodFailurePolicy"):
        return Failure(
            BACKOFF_LIMIT_EXCEEDED,
            f"Job {job.name} exited with code {job.exit_code} and left no report: see its pod's log",
            final=job.exit_code == tasks.EXIT_BAD_INPUT,
        )
    return Failure(REPORT_MISSING, f"Job {job.name} failed and its pod left no report: it may have been lost", False)


def said_by_newest_pod(job: JobView) -> Failure | None:
    """Return why the newest pod of a Job failed that makes another one; None if a pod is at work."""
    if job.working or job.exit_code != tasks.EXIT_RETRY:
        return None
    said = _said(job)
    return _as_said(said.reason, said.message.strip() or "see the pod's log", job) if said is not None else None


def _as_said(reason: Word, message: str, job: JobView) -> Failure:
    final = job.exit_code == tasks.EXIT_BAD_INPUT and reason not in _MENDED_OUTSIDE
    return Failure(reason, message, final)


def _said(job: JobView) -> tasks.FailureReport | None:
    try:
        report = tasks.parse_report(job.message or "")
    except tasks.ReportError:
        return None
    return report if isinstance(report, tasks.FailureReport) and is_reason(report.reason) else None


def _memory_limit(job: JobView) -> str:
    containers = job.manifest["spec"]["template"]["spec"]["containers"]
    return str(containers[0].get("resources", {}).get("limits", {}).get("memory", "there was"))
