"""The whole loop on one machine: a cluster in a folder, the engine, and a node that runs pods as processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from random import Random
from typing import NamedTuple, Self

from mlops.api.kinds import InvalidObject, parse_written
from mlops.engine.cluster import Clock, Invalid
from mlops.engine.controller import Controller
from mlops.engine.planners import PLANNERS
from mlops.engine.reconcile import Planner
from mlops.local.clock import VirtualClock
from mlops.local.cluster import USER, LocalCluster
from mlops.local.cluster import Change as Outcome
from mlops.local.containers import Machine
from mlops.local.cron_jobs import CronJobController
from mlops.local.deployments import DeploymentController
from mlops.local.errors import LocalError, NotSettled
from mlops.local.jobs import JobController
from mlops.local.node import Node
from mlops.local.records import Records
from mlops.local.services import ServiceController
from mlops.planning.plan import Key, Manifest, Settings

_POLL_SECONDS = 0.005
# How long a pod may take to stop when the runtime stops; a server has its requests to finish.
STOP_GRACE = 10.0


class Change(NamedTuple):
    """An object before and after; made if `old` is None, gone if `new` is None."""

    old: Manifest | None
    new: Manifest | None


class LocalRuntime:
    """An async context manager; inside it, everything runs. Leaving it stops every process that it started."""

    def __init__(
        self,
        state: Path,
        *,
        settings: Settings,
        clock: Clock,
        planners: Mapping[str, Planner] = PLANNERS,
        images: Mapping[str, Path] | None = None,
        environment: Mapping[str, str] | None = None,
        pods: int | None = None,
        secrets: Mapping[tuple[str, str], Mapping[str, str]] | None = None,
    ) -> None:
        self._state, self._planners, self._settings, self._clock = state, planners, settings, clock
        # Not the settings' environment: our own containers carry it, a user's is given neither store nor credentials.
        self._machine = Machine(images or {}, environment or {}, secrets or {})
        self._pods = pods

    async def __aenter__(self) -> Self:
        """Open the state folder and take up where the last run ended. Raises StateInUse, StateUnreadable."""
        self._records = Records(self._state)
        if isinstance(self._clock, VirtualClock) and (shown := self._records.read_time()):
            self._clock.advance(shown)
        self.cluster = LocalCluster(self._records, self._clock)
        self._node = Node(self.cluster, self._clock, self._state, self._machine, slots=self._pods)
        self._node.recover()
        self.cluster.collect_garbage()
        self._services = ServiceController(self.cluster, self._node)
        self._jobs = JobController(self.cluster, self._node, self._clock)
        self._deployments = DeploymentController(self.cluster, self._node, self._clock)
        self._cron_jobs = CronJobController(self.cluster, self._clock)
        self.controller = Controller(self.cluster, self._planners, self._settings, self._clock, random=Random())
        self.cluster.watch(self.controller.observe)
        for part in (self._services, self._jobs, self._deployments, self._cron_jobs):
            part.start()
        self._engine = asyncio.create_task(self.controller.run(), name="engine")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop everything."""
        await self.stop()

    def apply(self, manifest: Manifest) -> Outcome:
        """Apply a manifest as a user does; raises InvalidObject with the fields that are wrong."""
        return applied_by_user(self.cluster, manifest)

    def delete(self, key: Key) -> bool:
        """Delete an object, and with it what it owns; returns whether it was there."""
        present = self.cluster.get(key)
        if present is not None:
            self.cluster.remove(key)
        return present is not None

    def get(self, key: Key) -> Manifest | None:
        """Return the object, or None."""
        return self.cluster.get(key)

    def list(
        self, kind: str, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> Sequence[Manifest]:
        """Return the objects of a kind that carry all `labels`, oldest first."""
        return self.cluster.list(kind, namespace, labels)

    async def watch(self) -> AsyncIterator[Change]:
        """Yield every change from now on, in order."""
        changes: asyncio.Queue[Change] = asyncio.Queue()
        stop = self.cluster.watch(lambda old, new: changes.put_nowait(Change(old, new)))
        try:
            while True:
                yield await changes.get()
        finally:
            stop()

    def moving(self) -> Sequence[str]:
        """Return the names of what is under way; nothing if the world is settled until something happens."""
        if self._engine.done():
            self._engine.result()
        queued = [f"{key.kind} {key.name}" for key in self.controller.queue.busy_with]
        return [*queued, *self._jobs.busy_with, *self._deployments.busy_with]

    async def settled(self, timeout: float) -> None:
        """Wait until nothing is under way: no plan to carry out, no Job unfinished, no Deployment half rolled out.

        Raises NotSettled after `timeout` seconds.
        """
        loop = asyncio.get_running_loop()
        deadline, quiet = loop.time() + timeout, 0
        # Twice in a row: a callback may stand between the end of one thing and the beginning of the next.
        while quiet < 2:
            await asyncio.sleep(_POLL_SECONDS)
            quiet = quiet + 1 if self.controller.idle and not self.moving() else 0
            if quiet == 0 and loop.time() > deadline:
                raise NotSettled(timeout, list(self.moving()))

    async def advance(self, to: datetime) -> None:
        """Move a virtual clock; whatever is due by then is started when this returns."""
        if not isinstance(self._clock, VirtualClock):
            raise LocalError("only a virtual clock can be moved")
        self._records.write_time(max(to, self._clock.now()))
        self._clock.advance(to)
        await asyncio.sleep(0)

    def next_tick(self) -> datetime | None:
        """Return the earliest timestamp at which a CronJob is due, or None."""
        return self._cron_jobs.next_tick()

    def next_requeue(self) -> datetime | None:
        """Return the earliest timestamp at which a plan asked to be made again (a retry, a cooldown's end), or None."""
        return self.controller.queue.next_requeue

    async def stop(self) -> None:
        """Stop everything that was started: SIGTERM, after a grace period SIGKILL. Unfinished Jobs run again later."""
        self._engine.cancel()
        await asyncio.gather(self._engine, return_exceptions=True)
        self._cron_jobs.close()
        # Before any pod goes: a sync that is due would start others in their place, which nobody stops.
        await self._deployments.close()
        stopping = asyncio.ensure_future(self._jobs.close())
        await self._node.stop(STOP_GRACE)
        await stopping
        self._services.close()
        self._records.close()


def applied_by_user(cluster: LocalCluster, manifest: Manifest) -> Outcome:
    """Apply a manifest as a user does; raises InvalidObject with the fields that are wrong."""
    manifest = {**manifest, "metadata": {"namespace": "default", **(manifest.get("metadata") or {})}}
    parse_written({name: value for name, value in manifest.items() if name != "status"})
    try:
        return cluster.apply_as(USER, manifest)[1]
    except Invalid as error:
        if isinstance(error.__cause__, InvalidObject):
            raise error.__cause__ from None
        raise
