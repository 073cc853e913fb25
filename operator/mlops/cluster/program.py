"""The operator's process: connects, fills memory, waits for the Lease, and works until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from random import Random
from typing import Any

from mlops.cluster.client import Client
from mlops.cluster.connection import Connection
from mlops.cluster.events import Events
from mlops.cluster.health import serving
from mlops.cluster.informers import Informers
from mlops.cluster.job_ends import JobEnds
from mlops.cluster.kinds import WATCHED
from mlops.cluster.lag import Lag
from mlops.cluster.lease import Lease, LeaseLost
from mlops.cluster.lease_api import ApiLease, owners_from
from mlops.cluster.liveness import Liveness
from mlops.cluster.memory import Memory
from mlops.cluster.metrics import OperatorMetrics
from mlops.cluster.options import SERVICE_ACCOUNT, Options
from mlops.cluster.own_time import OwnTime
from mlops.cluster.resync import ListTrouble, Resync
from mlops.cluster.stopping import wind_down
from mlops.cluster.writer import KubernetesCluster
from mlops.engine.clock import RealClock
from mlops.engine.cluster import key_of
from mlops.engine.controller import Controller
from mlops.engine.planners import PLANNERS
from mlops.planning.plan import Manifest

log = logging.getLogger(__name__)

STOPPED, RESTART = 0, 1

# Of a key that cannot be written because the API server is away: it is tried again this soon after it is back.
_LONGEST_DELAY = 15.0
# One object is worked on for so long, or none is taken although some wait. Each write has its own limit of seconds, but
# an object may need many, and an API server that is slow is not mended by a new process.
_STUCK_SECONDS = 120.0
_SILENT_SECONDS = 150.0
# What is wrong by these limits has to be so for some time: the measure is of the wall, the patience of own time.
_PATIENCE_SECONDS = 60.0
# For how long watches may be gone although their kinds are served, before it is told, and before the process gives up
# on kopf. Whether a kind is served is known after a list.
_GONE_SECONDS = 5.0
_HOPELESS_SECONDS = 120.0
# For how long a start's watches may be on their way once lists are answered.
_BEGIN_SECONDS = 30.0
# A definition that is gone is told at the second list, a right that was taken away when it is more than a server's
# start, at which 403 is a common answer.
_UNSERVED_SECONDS, _FORBIDDEN_SECONDS = 4.0, 120.0
_WATCHES_GONE = "watches do not run though their kinds are served"


class Operator:
    """Everything of one process, wired together. `run` returns the exit code."""

    def __init__(self, options: Options, connection: Connection) -> None:
        self._options = options
        self._metrics = OperatorMetrics()
        self._client = Client(connection, self._metrics)
        self._lease_client = Client(connection, self._metrics, seconds=5.0)
        # Shorter than what lies between the Lease's renew deadline and its end: a write that hangs on its way when the
        # Lease is lost is given up before another may write.
        self._write_client = Client(connection, self._metrics, seconds=4.5)
        self._memory = Memory()
        self._lag = Lag()
        self._lease = self._make_lease()
        self._stopping = asyncio.Event()
        self._events = Events(self._write_client, self._holds_lease, self._metrics)
        cluster = KubernetesCluster(self._write_client, self._memory, self._may_write, self._events)
        self._controller = Controller(
            cluster,
            PLANNERS,
            options.settings,
            RealClock(),
            workers=options.workers,
            metrics=self._metrics,
            random=Random(),
            longest_delay=_LONGEST_DELAY,
            identity=f"{options.lease.namespace}/{options.lease.name}" if options.lease else None,
        )
        self._resync = Resync(self._client, self._memory, options.namespaces, self._metrics)
        self._job_ends = JobEnds(self._client, self._memory)
        self._own_time = OwnTime()
        self._liveness = Liveness(self._own_time.now)
        self._informers = Informers(connection, options.namespaces, self._seen, self._watches_beat)
        self._watches_known = False

    async def run(self) -> int:
        """Work until SIGTERM or SIGINT (returns 0), or until only a new process can help (returns 1)."""
        self._log_start()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        async with serving(
            self._options.host,
            self._options.port,
            healthy=self._liveness.problems,
            ready=self._not_ready,
            metrics=self._exposition,
        ):
            return await self._work()

    async def _work(self) -> int:
        self._own_time.judge(threading.get_native_id())
        self._own_time.start()
        # From the first second on: a loop that hangs at the start is as dead as any.
        self._liveness.beat("the program")
        self._informers.start()
        stop = asyncio.create_task(self._stopping.wait(), name="stop")
        tasks = [
            asyncio.create_task(self._resync_loop(), name="resync"),
            asyncio.create_task(self._lead(), name="controller"),
            asyncio.create_task(self._watch_tasks(), name="watchdog"),
            asyncio.create_task(self._job_ends.run(), name="ends of Jobs"),
            asyncio.create_task(self._events.run(), name="Events"),
            asyncio.create_task(self._lag.run(), name="lag of the loop"),
        ]
        if self._lease is not None:
            tasks.append(asyncio.create_task(self._lease.run(), name="lease"))
        try:
            done, _ = await asyncio.wait([stop, *tasks], return_when=asyncio.FIRST_COMPLETED)
            return STOPPED if stop in done else _reason_to_restart(done)
        finally:
            await self._stop([stop, *tasks])

    async def _resync_loop(self) -> None:
        await self._resync.fill()
        # Pods were listed after Jobs just now; from here on the watches go each at its own pace.
        self._job_ends.start()
        log.info("every kind was listed: %s", ", ".join(f"{self._memory.count(kind)} {kind}" for kind in WATCHED))
        await self._resync.run()

    async def _lead(self) -> None:
        await self._resync.filled.wait()
        if self._lease is not None:
            await self._lease.acquired()
            # What another leader wrote last may not have come over the watch yet.
            await self._resync.fill()
        self._resync.regained = self._request_resync
        self._controller.is_lost = lambda namespace: namespace in self._resync.lost
        self._memory.watch(self._observe)
        log.info("reconciling")
        await self._controller.run()

    def _observe(self, old: Manifest | None, new: Manifest | None) -> None:
        """Take in a change, unless it is in a namespace of which not everything may be known."""
        seen = new or old
        if seen is not None and key_of(seen).namespace not in self._resync.lost:
            self._controller.observe(old, new)

    def _request_resync(self, namespace: str) -> None:
        """Look at everything in a namespace."""
        for kind in WATCHED:
            for manifest in self._memory.list(kind, namespace):
                self._controller.observe(None, manifest)

    async def _watch_tasks(self) -> None:
        """Say each second what is wrong; returns when the watches do not come back, though their kinds are served."""
        while True:
            await asyncio.sleep(1.0)
            self._liveness.beat("the program")
            unserved = self._resync.unserved
            self._informers.leave_out(unserved)
            missing = self._informers.missing_kinds - unserved
            if self._resync.filled.is_set():
                for kind in missing - self._resync.troubles.keys():
                    self._resync.doubt(kind)
            self._liveness.troubles(self._troubles(missing))
            if self._liveness.lasted(_WATCHES_GONE) > _HOPELESS_SECONDS:
                return

    def _watches_beat(self) -> None:
        """Take note that the thread of the watches works; called by it."""
        if not self._watches_known:
            self._watches_known = True
            self._own_time.judge(threading.get_native_id())
        self._liveness.beat("the watches")

    async def _stop(self, tasks: Sequence[asyncio.Task[Any]]) -> None:
        self._stopping.set()
        self._informers.stop()
        self._own_time.stop()
        await wind_down(self._write_client, self._events, tasks, self._lease)
        for client in (self._client, self._lease_client, self._write_client):
            await client.close()

    def _seen(self, type_: str | None, manifest: Manifest) -> None:
        """Take in what a watch shows."""
        self._metrics.heard(str(manifest["kind"]))
        if type_ == "DELETED":
            self._memory.forget(manifest)
        else:
            self._memory.take(manifest)

    def _may_write(self) -> bool:
        return not self._stopping.is_set() and self._holds_lease()

    def _holds_lease(self) -> bool:
        return self._lease is None or self._lease.held

    def _troubles(self, missing: Iterable[str]) -> Mapping[str, float]:
        """Return what only a new process could mend if it lasts, and how long it may: see `Liveness`.

        `missing` are the kinds of which a watch does not run. One that cannot be listed either is not this process's
        fault.
        """
        found = {}
        if not self._informers.alive and not self._stopping.is_set():
            found["the thread of the watches is gone"] = 0.0
        if self._resync.filled.is_set() and any(kind not in self._resync.troubles for kind in missing):
            found[_WATCHES_GONE] = _GONE_SECONDS if self._informers.ever_complete else _BEGIN_SECONDS
        for kind in WATCHED:
            if self._metrics.attempt_age(kind) > _SILENT_SECONDS:
                found[f"nothing was heard or tried of {kind}"] = _PATIENCE_SECONDS
        if self._controller.queue.stuck_for() > _STUCK_SECONDS:
            found["the queue has not moved"] = _PATIENCE_SECONDS
        return found

    def _not_ready(self) -> Sequence[str]:
        """Return why it cannot do its work; asked by the thread of the probes."""
        troubles = self._resync.troubles
        if not self._resync.filled.is_set():
            return ("not every kind was listed yet", *(str(trouble.error) for trouble in troubles.values()))
        return [words for kind, trouble in troubles.items() if (words := _keeps_waiting(kind, trouble))]

    def _exposition(self) -> bytes:
        return self._metrics.exposition(
            oldest=self._controller.queue.oldest_age(),
            held=self._may_write(),
            missing=len(self._informers.missing),
            unavailable=self._resync.troubles,
            lost=len(self._resync.lost),
            restarts=self._informers.restarts,
            lag=self._lag,
            count=self._memory.count,
            datasets=self._memory.list("Dataset"),
            versions=self._memory.list("ModelVersion"),
            monitors=self._memory.list("DriftMonitor"),
        )

    def _make_lease(self) -> Lease | None:
        wanted = self._options.lease
        if wanted is None:
            return None
        owners = owners_from(SERVICE_ACCOUNT / "token", wanted.namespace)
        api = ApiLease(self._lease_client, wanted.namespace, wanted.name, owners)
        return Lease(api, namespace=wanted.namespace, name=wanted.name, identity=wanted.identity)

    def _log_start(self) -> None:
        options = self._options
        log.info(
            "mlops-operator %s: namespaces %s, image %s, environment %s, %s",
            version("mlops-operator"),
            ",".join(options.namespaces) or "all",
            options.settings.image,
            options.settings.environment_digest,
            f"Lease {options.lease.namespace}/{options.lease.name} as {options.lease.identity}"
            if options.lease
            else "no Lease",
        )


def _keeps_waiting(kind: str, trouble: ListTrouble) -> str:
    """Return why a kind that cannot be listed makes the process useless; empty if that may pass soon."""
    if trouble.lasted > (_UNSERVED_SECONDS if trouble.is_unserved else _FORBIDDEN_SECONDS):
        why = "its CustomResourceDefinition or API is gone" if trouble.is_unserved else "it cannot be listed"
        return f"{kind}: {why} for {trouble.lasted:.0f} s: {trouble.error}"
    return ""


def _reason_to_restart(done: Iterable[asyncio.Task[Any]]) -> int:
    for task in done:
        error = task.exception()
        if isinstance(error, LeaseLost):
            log.error("%s", error)
        elif error is not None:
            log.error("%s ended", task.get_name(), exc_info=error)
        else:
            log.error("%s ended: the watches do not come back", task.get_name())
    return RESTART
