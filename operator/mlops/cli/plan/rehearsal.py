"""The planners at work on a copy of a state folder's objects, in which no pod ever starts."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from mlops.api.base import format_time
from mlops.api.dataset import Dataset
from mlops.api.kinds import KINDS, parse
from mlops.cli.approve.person import signed
from mlops.cli.run import request_sync
from mlops.engine.cluster import owners_of
from mlops.engine.controller import Controller
from mlops.engine.planners import PLANNERS
from mlops.local.clock import VirtualClock
from mlops.local.cluster import Change, LocalCluster
from mlops.local.cron_jobs import CronJobController
from mlops.local.errors import NotSettled
from mlops.local.records import Record, Records
from mlops.local.runtime import applied_by_user
from mlops.planning.dataset.manifests import content_digest, sync_digest
from mlops.planning.plan import Key, Manifest, Settings

_KINDS = (*KINDS, "Job")
_POLL_SECONDS = 0.001
# They take milliseconds; what fails again and again would have them wait forever.
_LONGEST_SECONDS = 120.0


@dataclass(frozen=True)
class Rehearsed:
    """The objects before and after, without those that only the cluster needs, and what applying did to each.

    A Job of a CronJob is also owned by the CronJob's owner.
    """

    before: Mapping[Key, Manifest]
    after: Mapping[Key, Manifest]
    applied: Mapping[Key, Change]

    def new(self, kind: str) -> list[Manifest]:
        """Return the objects of a kind that are made."""
        return [one for key, one in self.after.items() if key.kind == kind and key not in self.before]


def rehearse(
    records: Sequence[Record],
    now: datetime,
    settings: Settings,
    manifests: Mapping[Key, Manifest],
    *,
    asked: Collection[Key] = (),
    as_before: Collection[Key] = (),
) -> Rehearsed:
    """Apply the manifests and let the planners decide, at the timestamp `now`, until they wait for pods.

    `asked`: Datasets whose source is to be synced again. `as_before`: those whose sync is taken to be over, and to have
    found the rows of the version that is there. Raises InvalidObject for a change that is not allowed.
    """
    with tempfile.TemporaryDirectory(prefix="mlops-plan-") as place:
        store = Records(Path(place))
        try:
            for record in records:
                metadata = record.manifest["metadata"]
                store.put(Key(record.manifest["kind"], metadata.get("namespace", ""), metadata["name"]), record)
            clock = VirtualClock(now)
            cluster = LocalCluster(store, clock)
            before = _objects(cluster)
            # As in a run, what is due starts before anything is applied. What follows from equal rows, no check tells.
            cron_jobs = CronJobController(cluster, clock)
            if not as_before:
                cron_jobs.start()
            applied = {key: applied_by_user(cluster, signed(manifest)) for key, manifest in manifests.items()}
            for key in as_before:
                _take_as_synced(cluster, key, now)
            for key in asked:
                if key not in as_before and applied.get(key) == "unchanged":
                    request_sync(cluster, key, clock)
            asyncio.run(_settled(cluster, settings, clock))
            cron_jobs.close()
            return Rehearsed(before, _objects(cluster), applied)
        finally:
            store.close()


async def _settled(cluster: LocalCluster, settings: Settings, clock: VirtualClock) -> None:
    controller = Controller(cluster, PLANNERS, settings, clock, workers=1)
    stop = cluster.watch(controller.observe)
    await controller.resync()
    work = asyncio.create_task(controller.run())
    end = asyncio.get_running_loop().time() + _LONGEST_SECONDS
    try:
        while not controller.idle and not work.done():
            if asyncio.get_running_loop().time() > end:
                raise NotSettled(_LONGEST_SECONDS, [f"{key.kind} {key.name}" for key in controller.queue.busy_with])
            await asyncio.sleep(_POLL_SECONDS)
    finally:
        stop()
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


def _objects(cluster: LocalCluster) -> dict[Key, Manifest]:
    return {
        Key(kind, one["metadata"].get("namespace", ""), one["metadata"]["name"]): _with_owners(cluster, one)
        for kind in _KINDS
        for one in cluster.list(kind)
    }


def _with_owners(cluster: LocalCluster, manifest: Manifest) -> Manifest:
    metadata = manifest["metadata"]
    owners = owners_of(manifest)
    cron_jobs = [
        cluster.get(Key("CronJob", metadata["namespace"], one["name"])) for one in owners if one["kind"] == "CronJob"
    ]
    more = [owner for one in cron_jobs if one is not None for owner in owners_of(one)]
    return {**manifest, "metadata": {**metadata, "ownerReferences": [*owners, *more]}} if more else manifest


def _take_as_synced(cluster: LocalCluster, key: Key, now: datetime) -> None:
    """Write the status that a Dataset has after a sync that found nothing new."""
    dataset = parse(cluster.get(key) or {})
    if not isinstance(dataset, Dataset):
        raise TypeError(f"{key} is no Dataset")
    said = {"status": "True", "reason": "Versioned", "message": "", "lastTransitionTime": format_time(now)}
    status = dataset.status.evolve(
        observed_generation=dataset.metadata.generation,
        spec_digest=sync_digest(dataset),
        content_digest=content_digest(dataset),
        last_check_time=format_time(now + timedelta(seconds=1)),
        attempts=0,
        conditions=(),
    )
    cluster.set_status(
        key, {**status.dump(), "conditions": [{"type": name, **said} for name in ("Ready", "Versioned")]}
    )
