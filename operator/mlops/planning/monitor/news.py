"""Which checks of a monitor are news."""

from __future__ import annotations

from datetime import datetime

from mlops.api import tasks
from mlops.api.base import parse_time
from mlops.planning import execution
from mlops.planning.execution import Ended
from mlops.planning.outcome import scheduled_at
from mlops.planning.views import DriftMonitorView, JobView


def news(view: DriftMonitorView) -> list[tuple[Ended[tasks.DriftReport], datetime]]:
    """Return the finished checks that are later than the newest one taken in, the oldest first.

    Those from before the monitor's own time are of a deleted one that left its CronJob behind (--cascade=orphan).
    """
    last = view.monitor.status.last_check_time or view.monitor.metadata.creation_timestamp
    over = execution.ended(view.jobs, tasks.DriftReport)
    ours = [each for each in over if not _is_of_a_namesake(view, each.job)]
    finished = [(each, at) for each in ours if (at := scheduled_at(each.job)) is not None]
    fresh = [(each, at) for each, at in finished if last is None or at > parse_time(last)]
    return sorted(fresh, key=lambda pair: (pair[1], pair[0].job.name))


def _is_of_a_namesake(view: DriftMonitorView, job: JobView) -> bool:
    """Return whether the check was made for a deleted monitor of the same name, whose remains are not gone yet."""
    uid = view.cron_job["metadata"].get("uid") if view.cron_job else None
    owners = job.manifest["metadata"].get("ownerReferences", [])
    return any(owner["kind"] == "CronJob" and owner["uid"] != uid for owner in owners)
