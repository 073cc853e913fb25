"""The Jobs that remove the bytes of versions from the store, in attempts, never beside a sync of the same Dataset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from mlops.api import labels, tasks
from mlops.api.base import format_time, parse_time
from mlops.api.conditions import Condition, find
from mlops.api.dataset import DatasetStatus, HistoryEntry
from mlops.api.reasons import Reason
from mlops.planning import execution
from mlops.planning.dataset.jobs import is_of_a_namesake, is_removal
from mlops.planning.dataset.manifests import removal_job, removal_job_name
from mlops.planning.dataset.retention import WITHIN_RETENTION, going, is_erasing, marked, next_time, said, to_erase
from mlops.planning.execution import Ended, Running, Waiting
from mlops.planning.outcome import Failure
from mlops.planning.ownership import key_and_uid
from mlops.planning.plan import Key, Manifest
from mlops.planning.readiness import condition
from mlops.planning.views import DatasetView, JobView


@dataclass(frozen=True)
class Removing:
    """What is to be done of removals: the status that says so, the Job to make, and when to think of it again."""

    status: DatasetStatus
    said: Condition | None = None
    job: Manifest | None = None
    at: datetime | None = None


@dataclass(frozen=True)
class _Batch:
    """Addresses that one Job removes, and since when it is on record that they go: that tells a removal from an earlier
    one of the same bytes, which were delivered again meanwhile."""

    artifacts: tuple[str, ...]
    since: str

    def names(self, view: DatasetView) -> Callable[[int], str]:
        """Return what gives the name of the Job of an attempt."""
        return lambda attempt: removal_job_name(view.dataset, self.artifacts, self.since, attempt)


def removing(view: DatasetView, status: DatasetStatus) -> Removing:
    """Return what is removed now. A record without uses marks nothing."""
    status = marked(view, _with_reports(view, status))
    batch = _batch(to_erase(view, status))
    at = next_time(view, status)
    if batch is None:
        return Removing(status.evolve(removal_attempts=None), said(view, status), at=at)
    attempts, before = status.removal_attempts or 0, find(view.dataset.status.conditions, WITHIN_RETENTION)
    failed = before is not None and before.reason == Reason.REMOVAL_FAILED and attempts > 0
    telling = before if failed else said(view, status)
    found = execution.execution(_removals(view), batch.names(view), attempts, view.now, tasks.RemoveReport, begun=False)
    match found:
        case Ended():
            return _failed(view, status, found)
        case Waiting(until):
            return Removing(status, telling, at=until)
        case Running():
            return Removing(status, telling, at=at)
    # What a sync stores may rest on files of versions that go, so it is finished first; so is another removal.
    if any(execution.running(view.jobs)):
        return Removing(status, telling, at=at)
    job = removal_job(view.settings, view.dataset, batch.artifacts, batch.since, attempts)
    return Removing(status, telling, job, at)


def is_under_way(view: DatasetView) -> bool:
    """Return whether a removal is at work: no sync starts beside it."""
    return any(execution.running(_removals(view)))


def spent_removals(view: DatasetView) -> list[tuple[Key, str]]:
    """Return the removing Jobs that nobody asks for any more: what they report is on record, or another followed."""
    status = view.dataset.status
    batch, attempts = _batch(to_erase(view, status)), status.removal_attempts or 0
    kept = {batch.names(view)(number) for number in (attempts, attempts - 1)} if batch else set()
    open_ = {(each.artifact, each.removed.erasing) for each in status.history if each.removed and is_erasing(each)}
    return [
        key_and_uid(each.job.manifest)
        for each in execution.ended(_removals(view), tasks.RemoveReport)
        if each.job.name not in kept and open_.isdisjoint(_gone(each))
    ]


def rests_on_removed(view: DatasetView, status: DatasetStatus, ended: Ended[tasks.IngestReport]) -> bool:
    """Return whether what a sync stored has the address of what was being removed meanwhile: files that it found in
    place may be gone. What a version has that stays, here or in another Dataset, is not being removed."""
    report = ended.outcome
    if not isinstance(report, tasks.IngestReport):
        return False
    born = ended.job.manifest["metadata"].get("creationTimestamp")
    return report.artifact in going(view, status) or any(
        each.artifact == report.artifact and each.removed is not None and _before(born, each.removed.erased)
        for each in status.history
    )


def _before(born: str | None, erased: str | None) -> bool:
    return bool(born and erased) and parse_time(str(born)) <= parse_time(str(erased))


def _batch(entries: list[HistoryEntry]) -> _Batch | None:
    """Return the versions that have waited longest of those whose bytes go."""
    since = min((each.removed.erasing for each in entries if each.removed and each.removed.erasing), default=None)
    if since is None:
        return None
    artifacts = dict.fromkeys(each.artifact for each in entries if each.removed and each.removed.erasing == since)
    return _Batch(tuple(artifacts)[: tasks.MOST_REMOVED], since)


def _with_reports(view: DatasetView, status: DatasetStatus) -> DatasetStatus:
    """Return the status after what removing Jobs report: each may be taken in again, which changes nothing."""
    gone: dict[tuple[str, str | None], str] = {}
    for ended in execution.ended(_removals(view), tasks.RemoveReport):
        gone |= dict.fromkeys(_gone(ended), format_time(ended.at))

    def after(entry: HistoryEntry) -> HistoryEntry:
        removed = entry.removed
        erased = gone.get((entry.artifact, removed.erasing)) if removed and is_erasing(entry) else None
        return entry.evolve(removed=removed.evolve(erased=erased)) if removed and erased else entry

    history = tuple(map(after, status.history))
    return status if history == status.history else status.evolve(history=history, removal_attempts=None)


def _gone(ended: Ended[tasks.RemoveReport]) -> set[tuple[str, str | None]]:
    """Return the addresses that a Job reports to be gone, with what it was made for."""
    outcome = ended.outcome
    since = (ended.job.manifest["metadata"].get("annotations") or {}).get(labels.AS_OF)
    return {(each, since) for each in outcome.artifacts} if isinstance(outcome, tasks.RemoveReport) else set()


def _failed(view: DatasetView, status: DatasetStatus, ended: Ended[tasks.RemoveReport]) -> Removing:
    """Return: another Job follows, later each time, whatever the reason: it is on record that the bytes go."""
    outcome = ended.outcome
    why = f"{outcome.reason}: {outcome.message}" if isinstance(outcome, Failure) else "it reports other artifacts"
    attempts = (status.removal_attempts or 0) + 1
    told = condition(WITHIN_RETENTION, "False", Reason.REMOVAL_FAILED, f"{why}; attempt {attempts + 1} follows")
    return Removing(status.evolve(removal_attempts=attempts), told, at=ended.next_at(attempts, view.now))


def _removals(view: DatasetView) -> list[JobView]:
    return [job for job in view.jobs if is_removal(job) and not is_of_a_namesake(view, job)]
