"""What the outcome of a sync means: the last good version stays whatever came of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mlops.api import tasks
from mlops.api.base import format_time
from mlops.api.conditions import Condition, ConditionStatus, ConditionType
from mlops.api.dataset import Dataset, DatasetStatus, HistoryEntry
from mlops.api.mistakes.mistake import Mistake, listed
from mlops.api.reasons import Reason, Word
from mlops.planning.dataset.jobs import is_ours, mark_of
from mlops.planning.dataset.manifests import content_digest, sync_digest
from mlops.planning.dataset.removals import rests_on_removed
from mlops.planning.dataset.retention import trimmed
from mlops.planning.execution import Ended
from mlops.planning.outcome import Failure, scheduled_at
from mlops.planning.readiness import condition
from mlops.planning.timestamps import seconds_between, time_of
from mlops.planning.views import DatasetView, JobView

VERSIONED = ConditionType.VERSIONED

# The outcome of the newest sync: True good, False the delivery is bad, Unknown it could not be looked at.
VALIDATED = ConditionType.VALIDATED


def taken_in(view: DatasetView, status: DatasetStatus, ended: Ended[tasks.IngestReport]) -> DatasetStatus:
    """Return the status after this Job: the last good version stays whatever came of it."""
    # Never backwards: after the sync that is due, an earlier one than the newest, that one would be news again, and so
    # on for ever.
    dataset, job = view.dataset, ended.job
    if (ended.at, job.name) > mark_of(status):
        status = status.evolve(last_job=job.name, last_job_time=format_time(ended.at))
    outcome: tasks.IngestReport | Failure = ended.outcome
    if rests_on_removed(view, status, ended):
        message = "the same content was being removed by spec.retention meanwhile: the source is read again"
        outcome = Failure(Reason.STORE_UNAVAILABLE, message, final=False)
    match outcome:
        case tasks.IngestReport() as report:
            return _delivered(dataset, status, report, ended.at, view.spoken_for)
        case Failure(final=True) as failure:
            return _found_bad(dataset, status, _as_of(job), failure.reason, failure.message)
        case failure:
            return status.evolve(
                attempts=status.attempts + 1 if is_ours(job) else status.attempts,
                conditions=_validated("Unknown", failure.reason, failure.message),
            )


def refused(dataset: Dataset, status: DatasetStatus, as_of: str, mistakes: Sequence[Mistake]) -> DatasetStatus:
    """Return the status of a spec that cannot be read with: as if it had been looked at and found bad, without a pod.

    `as_of` is when the source would have been looked at, so that this look is due no longer.
    """
    said = listed([each.said for each in mistakes])
    return _found_bad(dataset, status, as_of, mistakes[0].reason, said)


def _found_bad(dataset: Dataset, status: DatasetStatus, as_of: str | None, reason: Word, message: str) -> DatasetStatus:
    """Return the status after a sync that found it bad: only a new spec or a later sync tries again."""
    return status.evolve(
        spec_digest=sync_digest(dataset),
        content_digest=content_digest(dataset),
        last_check_time=as_of or status.last_check_time,
        attempts=0,
        conditions=_validated("False", reason, message),
    )


def _delivered(
    dataset: Dataset, status: DatasetStatus, report: tasks.IngestReport, when: datetime, spoken_for: int
) -> DatasetStatus:
    unchanged = status.digest == report.digest
    number = status.version if unchanged and status.version else (status.version or spoken_for) + 1
    entry = HistoryEntry(
        version=number,
        digest=report.digest,
        artifact=report.artifact,
        time=format_time(when),
        rows=report.rows,
        delivered_at=report.delivered_at,
    )
    newest = max(filter(None, [time_of(status.last_check_time), time_of(report.as_of)]))
    broken = f"{report.validation.failed} rules broken" if report.validation.failed else "all rules met"
    told = f"{report.rows} rows, {broken}{_known(report)}{_read_as_utc(report)}"
    return status.evolve(
        version=number,
        digest=report.digest,
        artifact=status.artifact if unchanged and status.artifact else report.artifact,
        schema_digest=report.schema_digest,
        rows=report.rows,
        bytes=report.bytes,
        splits=report.splits,
        watermark=status.watermark if unchanged else report.watermark,
        last_check_time=format_time(newest),
        spec_digest=sync_digest(dataset),
        content_digest=content_digest(dataset),
        attempts=0,
        validation=report.validation,
        delivered_at=report.delivered_at,
        newest_event=report.newest_event,
        cycle_seconds=status.cycle_seconds if unchanged else seconds_between(report.delivered_at, when),
        history=status.history if unchanged else trimmed((entry, *status.history), dataset.spec.retention),
        conditions=_validated("True", Reason.UNCHANGED if unchanged else Reason.VALIDATED, told),
    )


def _known(report: tasks.IngestReport) -> str:
    """Return in words that a random split tells entities apart by chance."""
    splits = report.splits
    if not splits.known:
        return ""
    held_out = splits.validation + splits.test
    return f"; {splits.known} of {held_out} held-out rows are of entities in train: split.strategy hash separates them"


def _read_as_utc(report: tasks.IngestReport) -> str:
    """Return in words which times were read as UTC because nothing said of which zone they are."""
    if not report.read_as_utc:
        return ""
    return f"; times of {', '.join(report.read_as_utc)} have no offset and were read as UTC: timeZone says another zone"


def _as_of(job: JobView) -> str | None:
    """Return the timestamp that the Job looked at."""
    synced = scheduled_at(job)
    return format_time(synced) if synced else None


def _validated(status: ConditionStatus, reason: Word, message: str) -> tuple[Condition, ...]:
    return (condition(VALIDATED, status, reason, message),)
