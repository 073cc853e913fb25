"""The Jobs of an object, with what their pods say of how they ended."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from mlops.api.base import Resource, earlier, parse_time
from mlops.engine.cluster import Clock, Reader, key_of, labels_of, owners_of
from mlops.engine.links import JOBS_ENDED_IN, UNFINISHED_JOBS
from mlops.engine.routes import JOB_NAME, linked
from mlops.planning.plan import Key, Manifest
from mlops.planning.training.manifests import USERS_CONTAINER
from mlops.planning.views import JobView

# How far back the Jobs that ended are asked for hour by hour.
_FARTHEST = timedelta(days=7)
_AN_HOUR = timedelta(hours=1)
# A Job may have ended before another that was taken in: by clocks that differ, or seen late.
_MARGIN = timedelta(hours=2)


class Jobs:
    """Reads Jobs and CronJobs by the labels that say whose they are."""

    def __init__(self, reader: Reader, clock: Clock) -> None:
        self._reader, self._clock = reader, clock

    def of(self, owner: Resource, label: str) -> tuple[JobView, ...]:
        """Return all Jobs of an owner."""
        return self.views(self._children("Job", owner, label))

    def cron_job(self, owner: Resource, label: str) -> Manifest | None:
        """Return the CronJob of an owner, if it is there."""
        return next(iter(self._children("CronJob", owner, label)), None)

    def not_taken_in(self, owner: Resource, label: str, since: str | None, *names: str) -> tuple[JobView, ...]:
        """Return the Jobs of an owner that are not over, that ended since or shortly before, or that are named."""
        namespace, name = owner.metadata.namespace, owner.metadata.name
        now = self._clock.now()
        first = earlier(parse_time(since), _MARGIN) if since else None
        if first is None or not timedelta() <= now - first <= _FARTHEST:
            return self.of(owner, label)
        found = list(linked(UNFINISHED_JOBS[label], namespace, name, self._reader))
        # A node's clock may be ahead; the calendar has an end.
        reach = min(now - first + _MARGIN, datetime.max.replace(tzinfo=UTC) - first)
        for hours in range(reach // _AN_HOUR + 1):
            hour = f"{first + hours * _AN_HOUR:%Y-%m-%dT%H}"
            found += linked(JOBS_ENDED_IN[label], namespace, f"{name}/{hour}", self._reader)
        named = filter(None, (self._reader.get(Key("Job", namespace, each)) for each in names))
        # A stranger's Job of that name is none of the owner's, whatever it says.
        found += (job for job in named if labels_of(job).get(label) == name)
        jobs = {key_of(job): job for job in found}.values()
        return self.views(job for job in jobs if not _of_a_namesake(job, owner))

    def views(self, jobs: Iterable[Manifest]) -> tuple[JobView, ...]:
        """Return Jobs with what their pods say."""
        return tuple(self._job_view(job) for job in jobs)

    def _job_view(self, job: Manifest) -> JobView:
        metadata = job["metadata"]
        pods = self._reader.list("Pod", str(metadata["namespace"]), {JOB_NAME: str(metadata["name"])})
        own = [pod for pod in pods if _owned_by(pod, job)]
        working = any(pod.get("status", {}).get("phase") == "Running" for pod in own)
        finished = [end for pod in own if (end := end_of(pod))]
        if not finished:
            return JobView(job, working=working)
        # Of two that finished in the same second the later one in the list, which was made later, counts.
        newest = max(reversed(finished), key=lambda end: str(end.get("finishedAt", "")))
        return JobView(job, newest.get("message"), newest.get("exitCode"), newest.get("reason"), working)

    def _children(self, kind: str, owner: Resource, label: str) -> list[Manifest]:
        found = self._reader.list(kind, owner.metadata.namespace, {label: owner.metadata.name})
        return [child for child in found if not _of_a_namesake(child, owner)]


def end_of(pod: Manifest) -> Manifest | None:
    """Return the terminated state that tells how a finished pod ended: that of the init container that failed, else
    that of the last container. What a user's own code says there is nobody's report: only its exit code counts."""
    status = pod.get("status", {})
    if status.get("phase") not in ("Succeeded", "Failed"):
        return None
    ends = [
        _without_message(container["state"]["terminated"])
        if container.get("name") == USERS_CONTAINER
        else container["state"]["terminated"]
        for field in ("initContainerStatuses", "containerStatuses")
        for container in status.get(field, ())
        if "terminated" in container.get("state", {})
    ]
    failed = (end for end in ends if end.get("exitCode") != 0)
    return next(failed, ends[-1] if ends else None)


def _without_message(end: Manifest) -> Manifest:
    return {key: value for key, value in end.items() if key != "message"}


def _owned_by(child: Manifest, owner: Manifest) -> bool:
    uid = owner["metadata"].get("uid")
    return any(reference.get("uid") == uid for reference in owners_of(child))


def _of_a_namesake(child: Manifest, owner: Resource) -> bool:
    """Return whether the child belongs to an object of the same kind and name that was deleted before."""
    return any(
        reference.get("kind") == owner.kind
        and reference.get("name") == owner.metadata.name
        and reference.get("uid") != owner.metadata.uid
        for reference in owners_of(child)
    )
