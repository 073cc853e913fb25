"""The CronJob controller, on the cluster's clock."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from mlops.api.base import format_time, parse_time
from mlops.engine.cluster import AlreadyExists, Clock, key_of, owners_of
from mlops.local.cluster import LocalCluster
from mlops.local.jobs import finished_condition, is_finished
from mlops.planning.plan import Key, Manifest

SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
_MANAGER = "cronjob-controller"


class CronJobController:
    """Makes a Job for each tick. Of several ticks that were missed only the last one counts, as in Kubernetes."""

    def __init__(self, cluster: LocalCluster, clock: Clock) -> None:
        self._cluster, self._clock = cluster, clock
        self._alarms: dict[Key, Callable[[], None]] = {}
        self._closing = False

    def start(self) -> None:
        """Take up every CronJob, and from now on each that is made."""
        self._cluster.watch(self._on_change)
        for cron_job in self._cluster.list("CronJob"):
            self._sync(key_of(cron_job))

    def close(self) -> None:
        """Make no more Jobs."""
        self._closing = True
        for cancel in self._alarms.values():
            cancel()
        self._alarms.clear()

    def next_tick(self) -> datetime | None:
        """Return the earliest timestamp at which a CronJob is due, or None if there is none."""
        ticks = (
            _next(cron_job, self._clock.now())
            for cron_job in self._cluster.list("CronJob")
            if not cron_job["spec"].get("suspend")
        )
        return min((tick for tick in ticks if tick), default=None)

    def _on_change(self, old: Manifest | None, new: Manifest | None) -> None:
        manifest = new or old
        if manifest is None or self._closing:
            return
        if manifest["kind"] == "CronJob":
            if old is None or new is None or old["spec"] != new["spec"]:
                self._sync(key_of(manifest))
        elif manifest["kind"] == "Job":
            for reference in owners_of(manifest):
                if reference["kind"] == "CronJob":
                    self._sync(Key("CronJob", manifest["metadata"]["namespace"], reference["name"]))

    def _sync(self, key: Key) -> None:
        """Make the Job that is due, if any; set the alarm for the next; tidy up."""
        if cancel := self._alarms.pop(key, None):
            cancel()
        cron_job = self._cluster.get(key)
        if cron_job is None or self._closing:
            return
        jobs = self._jobs(cron_job)
        self._write_status(cron_job, jobs)
        self._remove_old(cron_job, jobs)
        if cron_job["spec"].get("suspend"):
            return
        tick = self._due(cron_job)
        forbidden = cron_job["spec"].get("concurrencyPolicy", "Allow") == "Forbid"
        # A tick that falls into a Job's time is made up for when that Job is done, unless the next one has come.
        if tick and not (forbidden and any(not is_finished(job) for job in jobs)):
            self._make(cron_job, tick)
        self._set_alarm(key, _next(cron_job, self._clock.now()))

    def _set_alarm(self, key: Key, upcoming: datetime | None) -> None:
        # Making a Job may already have led back here.
        if cancel := self._alarms.pop(key, None):
            cancel()
        if upcoming:
            self._alarms[key] = self._clock.call_at(upcoming, lambda: self._sync(key))

    def _due(self, cron_job: Manifest) -> datetime | None:
        """Return the newest tick that has no Job yet, if it is not too late for it."""
        now, spec, status = self._clock.now(), cron_job["spec"], cron_job.get("status", {})
        tick = _latest(cron_job, now)
        since = parse_time(status.get("lastScheduleTime") or cron_job["metadata"]["creationTimestamp"])
        if tick is None or tick <= since:
            return None
        deadline = spec.get("startingDeadlineSeconds")
        if deadline is not None and now - tick > timedelta(seconds=deadline):
            return None
        return tick

    def _make(self, cron_job: Manifest, tick: datetime) -> None:
        metadata, template = cron_job["metadata"], cron_job["spec"]["jobTemplate"]
        given = template.get("metadata", {})
        job = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                **given,
                # The name that Kubernetes gives: minutes since 1970.
                "name": f"{metadata['name']}-{int(tick.timestamp()) // 60}",
                "namespace": metadata["namespace"],
                "annotations": {
                    **given.get("annotations", {}),
                    SCHEDULED: tick.astimezone(_zone(cron_job)).isoformat(),
                },
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
        # First made, then on record: after a kill between the two, the Job is there under the name of its tick.
        with contextlib.suppress(AlreadyExists):
            self._cluster.create_as(_MANAGER, job)
        status = self._cluster.get(key_of(cron_job)) or cron_job
        self._cluster.set_status(key_of(cron_job), {**status.get("status", {}), "lastScheduleTime": format_time(tick)})

    def _jobs(self, cron_job: Manifest) -> list[Manifest]:
        uid = cron_job["metadata"]["uid"]
        return [
            job
            for job in self._cluster.list("Job", cron_job["metadata"]["namespace"])
            if any(reference["uid"] == uid for reference in owners_of(job))
        ]

    def _write_status(self, cron_job: Manifest, jobs: list[Manifest]) -> None:
        status = {name: value for name, value in cron_job.get("status", {}).items() if name != "active"}
        active = [
            {"apiVersion": "batch/v1", "kind": "Job", **{n: job["metadata"][n] for n in ("name", "namespace", "uid")}}
            for job in jobs
            if not is_finished(job)
        ]
        ends = [job["status"]["completionTime"] for job in jobs if finished_condition(job) == "Complete"]
        more = {"active": active} if active else {}
        newest = {"lastSuccessfulTime": max(ends)} if ends else {}
        self._cluster.set_status(key_of(cron_job), {**status, **more, **newest})

    def _remove_old(self, cron_job: Manifest, jobs: list[Manifest]) -> None:
        limits = {
            "Complete": cron_job["spec"].get("successfulJobsHistoryLimit", 3),
            "Failed": cron_job["spec"].get("failedJobsHistoryLimit", 1),
        }
        for end, limit in limits.items():
            ended = [job for job in jobs if finished_condition(job) == end]
            for job in ended[: max(0, len(ended) - limit)]:
                self._cluster.remove(key_of(job))


def _zone(cron_job: Manifest) -> ZoneInfo:
    return ZoneInfo(cron_job["spec"].get("timeZone") or "UTC")


def _next(cron_job: Manifest, after: datetime) -> datetime | None:
    """Return the first tick after a timestamp; None if the schedule never comes."""
    return _first(cron_job, after.astimezone(_zone(cron_job)))


def _latest(cron_job: Manifest, until: datetime) -> datetime | None:
    """Return the last tick up to and including a timestamp."""
    just_after = until.astimezone(_zone(cron_job)) + timedelta(seconds=1)
    return _first(cron_job, just_after, reverse=True)


def _first(cron_job: Manifest, start: datetime, *, reverse: bool = False) -> datetime | None:
    try:
        tick = next(CronSim(cron_job["spec"]["schedule"], start, reverse=reverse), None)
    except CronSimError:
        # A day that no month has: a valid line that never comes.
        return None
    return tick.astimezone(UTC) if tick else None
