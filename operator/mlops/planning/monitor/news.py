"""Which checks of a monitor are news."""

from __future__ import annotations

from datetime import datetime

from mlops.api import tasks
from mlops.api.base import format_time, parse_time
from mlops.api.drift_monitor import HistoryCheck
from mlops.planning import execution, retrying
from mlops.planning.execution import Ended
from mlops.planning.monitor.manifests import check_job_name
from mlops.planning.monitor.progress import LONGEST_HISTORY
from mlops.planning.outcome import scheduled_at
from mlops.planning.views import DriftMonitorView, JobView


def news(view: DriftMonitorView) -> list[tuple[Ended[tasks.DriftReport], datetime]]:
    """Return the finished checks that were not taken in, the oldest first: by name, since one may look at an earlier
    time than another that ended before it, or at the same one.

    Those from before the monitor's own time are of a deleted one that left its CronJob behind (--cascade=orphan).
    """
    born = view.monitor.metadata.creation_timestamp
    over = execution.ended(view.jobs, tasks.DriftReport)
    ours = [each for each in over if not _is_of_a_namesake(view, each.job)]
    finished = [(each, at) for each in ours if (at := scheduled_at(each.job)) is not None]
    fresh = [(each, at) for each, at in finished if born is None or at > parse_time(born)]
    return sorted((pair for pair in fresh if _is_new(view, *pair)), key=lambda pair: (pair[1], pair[0].job.name))


def _is_new(view: DriftMonitorView, ended: Ended[tasks.DriftReport], at: datetime) -> bool:
    """Return whether a check was not taken in. What is no verdict is in no history: of those only the newest count, and
    one that a person asked for."""
    monitor, status, name = view.monitor, view.monitor.status, ended.job.name
    last = status.last_check_time
    if last is None or at > parse_time(last):
        return True
    if name == status.last_job or any(_is_of(entry, name, at) for entry in status.history):
        return False
    if isinstance(ended.outcome, tasks.DriftReport):
        return len(status.history) < LONGEST_HISTORY or at > parse_time(status.history[-1].time)
    asked = retrying.newest(monitor)
    return at == parse_time(last) and bool(asked) and name == check_job_name(monitor, asked)


def _is_of(entry: HistoryCheck, job: str, at: datetime) -> bool:
    return entry.job == job if entry.job else entry.time == format_time(at)


def _is_of_a_namesake(view: DriftMonitorView, job: JobView) -> bool:
    """Return whether the check was made for a deleted monitor of the same name, whose remains are not gone yet."""
    uid = view.cron_job["metadata"].get("uid") if view.cron_job else None
    owners = job.manifest["metadata"].get("ownerReferences", [])
    return any(owner["kind"] == "CronJob" and owner["uid"] != uid for owner in owners)
