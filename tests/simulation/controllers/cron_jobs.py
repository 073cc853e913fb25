"""The CronJob controller, after pkg/controller/cronjob of Kubernetes 1.34."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from mlops.api.base import format_time, parse_time
from mlops.engine.cluster import key_of, owners_of
from mlops.planning.plan import Key, Manifest
from tests.simulation.controllers.client import Client
from tests.simulation.controllers.clockwork import Clockwork, Reactions
from tests.simulation.controllers.graph import Graph
from tests.simulation.controllers.jobs import finish_of, is_finished

SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
# The real one wakes so much after the tick, against clocks that differ.
_AFTER_THE_TICK = 0.1


class CronJobController:
    """Makes a Job for each tick; of several ticks that were missed the last one counts."""

    def __init__(self, client: Client, clockwork: Clockwork, graph: Graph) -> None:
        self._client, self._clockwork, self._graph = client, clockwork, graph
        self._reactions = Reactions(clockwork, self._react)

    def changed(self, manifest: Manifest, *, gone: bool) -> None:
        """Take note of a change."""
        if manifest["kind"] == "CronJob":
            if gone:
                self._reactions.forget_later(key_of(manifest))
            else:
                self._reactions.add(key_of(manifest))
        elif manifest["kind"] == "Job":
            for owner in owners_of(manifest):
                if owner["kind"] == "CronJob" and owner["uid"] in self._graph.alive:
                    self._reactions.add(self._graph.alive[owner["uid"]])

    def _react(self, key: Key) -> None:
        cron_job = self._client.get(key)
        if cron_job is None:
            return
        status = dict(cron_job.get("status") or {})
        jobs = self._jobs_of(cron_job)
        self._take_in(status, jobs)
        if not cron_job["metadata"].get("deletionTimestamp") and not cron_job["spec"].get("suspend"):
            self._schedule(cron_job, status)
        self._remove_old(cron_job, jobs)
        if self._client.write_status(cron_job, {name: value for name, value in status.items() if value}) is None:
            self._reactions.add(key)

    def _jobs_of(self, cron_job: Manifest) -> list[Manifest]:
        uid = cron_job["metadata"]["uid"]
        found = (self._client.get(key) for key in self._graph.dependents(uid, "Job"))
        return [
            job
            for job in found
            if job is not None and any(each["uid"] == uid and each.get("controller") for each in owners_of(job))
        ]

    def _take_in(self, status: Manifest, jobs: list[Manifest]) -> None:
        """Take finished and vanished Jobs off the list of the active ones."""
        unfinished = [job["metadata"]["uid"] for job in jobs if not is_finished(job)]
        status["active"] = [each for each in status.get("active", ()) if each["uid"] in unfinished]
        ends = [job["status"]["completionTime"] for job in jobs if finish_of(job) == "Complete"]
        newest = max([*ends, *filter(None, [status.get("lastSuccessfulTime")])], default=None)
        if newest:
            status["lastSuccessfulTime"] = newest

    def _schedule(self, cron_job: Manifest, status: Manifest) -> None:
        """Make the Job that is due, if any, and set the alarm for the next tick."""
        now, key = self._clockwork.now(), key_of(cron_job)
        upcoming = _first(cron_job, now)
        if upcoming is not None:
            pause = (upcoming - now).total_seconds() + _AFTER_THE_TICK
            self._reactions.add_after(key, pause, counts=False)
        tick = self._due(cron_job, status, now)
        name = f"{key.name}-{int(tick.timestamp()) // 60}" if tick else ""
        active = status["active"]
        if tick is None or any(each["name"] == name for each in active):
            return
        policy = cron_job["spec"].get("concurrencyPolicy", "Allow")
        if policy == "Forbid" and active:
            return
        made = self._client.create(_job_of(cron_job, name, tick))
        if made is None:
            there = self._client.get(Key("Job", key.namespace, name))
            uid = cron_job["metadata"]["uid"]
            if there is None or not any(each["uid"] == uid for each in owners_of(there)):
                return
            made = there
        metadata = made["metadata"]
        entry = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
        }
        status["active"] = [*active, entry]
        status["lastScheduleTime"] = format_time(tick)

    def _due(self, cron_job: Manifest, status: Manifest, now: datetime) -> datetime | None:
        """Return the newest tick that has no Job yet, if it is not too late for it."""
        last = status.get("lastScheduleTime")
        since = parse_time(last or cron_job["metadata"]["creationTimestamp"])
        deadline = cron_job["spec"].get("startingDeadlineSeconds")
        tick = _last(cron_job, now)
        if tick is None or tick <= since:
            return None
        if deadline is not None and tick + timedelta(seconds=deadline) < now:
            return None
        return tick

    def _remove_old(self, cron_job: Manifest, jobs: list[Manifest]) -> None:
        spec = cron_job["spec"]
        limits = {
            "Complete": spec.get("successfulJobsHistoryLimit", 3),
            "Failed": spec.get("failedJobsHistoryLimit", 1),
        }
        for end, limit in limits.items():
            ended = [job for job in jobs if finish_of(job) == end]
            ended.sort(key=lambda job: (job["status"].get("startTime", "9"), job["metadata"]["name"]))
            for job in ended[: max(0, len(ended) - limit)]:
                self._client.delete(job, policy="Background")


def _job_of(cron_job: Manifest, name: str, tick: datetime) -> Manifest:
    metadata, template = cron_job["metadata"], cron_job["spec"]["jobTemplate"]
    given = template.get("metadata") or {}
    scheduled = tick.astimezone(_zone(cron_job)).isoformat().replace("+00:00", "Z")
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "labels": dict(given.get("labels") or {}),
            "annotations": {**(given.get("annotations") or {}), SCHEDULED: scheduled},
            "ownerReferences": [
                {
                    "apiVersion": "batch/v1",
                    "kind": "CronJob",
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": template["spec"],
    }


def _zone(cron_job: Manifest) -> ZoneInfo:
    return ZoneInfo(cron_job["spec"].get("timeZone") or "UTC")


def _last(cron_job: Manifest, until: datetime) -> datetime | None:
    """Return the last tick up to and including a timestamp."""
    just_after = until.replace(microsecond=0) + timedelta(seconds=1)
    return _first(cron_job, just_after, reverse=True)


def _first(cron_job: Manifest, start: datetime, *, reverse: bool = False) -> datetime | None:
    """Return the first tick after a timestamp, or before it; None of a schedule that never comes."""
    try:
        there = start.astimezone(_zone(cron_job))
        tick = next(CronSim(cron_job["spec"]["schedule"], there, reverse=reverse), None)
    except CronSimError:
        return None
    return tick.astimezone(UTC) if tick else None
