"""The Jobs of a Dataset: which are its own, under way, news, or no longer wanted."""

from __future__ import annotations

from datetime import UTC, datetime

from mlops.api import labels, tasks
from mlops.api.dataset import DatasetStatus
from mlops.api.mistakes.of_dataset import of_dataset
from mlops.planning import execution
from mlops.planning.dataset.due import captures, lacks_a_live_model, need_of
from mlops.planning.dataset.manifests import INGEST, REMOVE, refresh_cron_job, sync_digest
from mlops.planning.execution import Ended
from mlops.planning.ownership import key_and_uid
from mlops.planning.plan import Key, Manifest
from mlops.planning.timestamps import time_of
from mlops.planning.views import DatasetView, JobView


def of_this_content(view: DatasetView, job: JobView) -> bool:
    wanted = labels.short(sync_digest(view.dataset), 16)
    return bool(job.manifest["metadata"].get("labels", {}).get(labels.DIGEST) == wanted)


def is_ours(job: JobView) -> bool:
    """Return whether the planner made the Job, not the CronJob."""
    return bool(job.manifest["metadata"].get("labels", {}).get("app.kubernetes.io/component") == INGEST)


def is_removal(job: JobView) -> bool:
    """Return whether the Job removes versions: it syncs nothing."""
    return bool(job.manifest["metadata"].get("labels", {}).get(labels.COMPONENT) == REMOVE)


def is_of_a_namesake(view: DatasetView, job: JobView) -> bool:
    """Return whether the Job was made for a deleted Dataset of the same name, whose remains are not gone yet."""
    metadata = job.manifest["metadata"]
    made = time_of(view.dataset.metadata.creation_timestamp)
    planned = is_ours(job) or is_removal(job)
    if planned and (owners := metadata.get("ownerReferences")):
        return any(owner["uid"] != view.dataset.metadata.uid for owner in owners)
    if planned:
        # Orphaned with its Dataset, or stripped of its owner by hand: only its age tells whose it was.
        born = time_of(metadata.get("creationTimestamp"))
        return made is not None and born is not None and born < made
    state = execution.state_of(job, tasks.IngestReport)
    return isinstance(state, Ended) and made is not None and state.at < made


def jobs_under_way(view: DatasetView) -> tuple[JobView, ...]:
    """Return our unfinished Jobs for the present spec: while one syncs, a second sync would only compete with it."""
    return tuple(
        job
        for job in execution.running(view.jobs)
        if is_ours(job) and of_this_content(view, job) and not is_of_a_namesake(view, job)
    )


def news(view: DatasetView, status: DatasetStatus) -> list[Ended[tasks.IngestReport]]:
    """Return the finished Jobs whose outcome is not in the status yet, in the order in which they finished.

    Jobs of an earlier spec are no news. The Job that is due now counts even if it finished in the same second as
    the last one taken in.
    """
    need = need_of(view, status)
    mark = mark_of(status)
    fresh = [
        each
        for each in execution.ended(view.jobs, tasks.IngestReport)
        if of_this_content(view, each.job)
        and not is_of_a_namesake(view, each.job)
        and ((each.at, each.job.name) > mark or (need is not None and each.job.name == need.job_name))
    ]
    return sorted(fresh, key=lambda each: (each.at, each.job.name))


def mark_of(status: DatasetStatus) -> tuple[datetime, str]:
    """Return when the newest Job that was taken in had finished, and its name."""
    return time_of(status.last_job_time) or datetime.fromtimestamp(0, UTC), status.last_job or ""


def no_longer_wanted(view: DatasetView) -> list[tuple[Key, str]]:
    """Return unfinished Jobs of an earlier spec (or of any, when suspended), and a CronJob without a schedule."""
    outdated = [
        key_and_uid(job.manifest)
        for job in execution.running(view.jobs)
        if is_ours(job) and (view.dataset.spec.suspend or not of_this_content(view, job))
    ]
    if view.cron_job is not None and view.dataset.spec.refresh is None:
        outdated.append(key_and_uid(view.cron_job))
    return outdated


def spent(view: DatasetView, status: DatasetStatus) -> list[tuple[Key, str]]:
    """Return our failed Jobs that were taken in, but for the newest: an outage of days would leave hundreds."""
    return [
        key_and_uid(each.job.manifest)
        for each in execution.ended(view.jobs, tasks.IngestReport)
        if each.job.failed
        and is_ours(each.job)
        and not is_of_a_namesake(view, each.job)
        and (each.at, each.job.name) < mark_of(status)
    ]


def cron_jobs(view: DatasetView, *, paused: bool = False) -> tuple[Manifest, ...]:
    """Return the CronJob of spec.refresh; `paused` while a removal is at work, beside which nothing syncs."""
    refresh = view.dataset.spec.refresh
    # A spec with mistakes leads to pods that all say the same.
    nothing_to_read = lacks_a_live_model(view) or bool(of_dataset(view.dataset.spec))
    if refresh is None or (nothing_to_read and view.cron_job is None):
        return ()
    return (
        refresh_cron_job(
            view.settings,
            view.dataset,
            schedule=refresh.schedule,
            time_zone=refresh.time_zone,
            suspend=view.dataset.spec.suspend or nothing_to_read or paused,
            captures=captures(view),
        ),
    )
