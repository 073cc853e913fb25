"""The operator's process: connects, fills memory, waits for the Lease, and works until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Iterable, Sequence
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
from mlops.cluster.memory import Memory
from mlops.cluster.metrics import OperatorMetrics
from mlops.cluster.options import SERVICE_ACCOUNT, Options
from mlops.cluster.port import KubernetesCluster
from mlops.cluster.resync import Resync
from mlops.cluster.stopping import wind_down
from mlops.cluster.writer import Writer
from mlops.engine.clock import RealClock
from mlops.engine.controller import Controller
from mlops.engine.planners import PLANNERS
from mlops.planning.plan import Manifest

log = logging.getLogger(__name__)

STOPPED, RESTART = 0, 1

# Of a key that cannot be written because the API server is away: it is tried again this soon after it is back.
_LONGEST_DELAY = 15.0
_STUCK_SECONDS = 60.0
_SILENT_SECONDS = 150.0
# For how long the watches may be gone although lists are answered, before the process gives up on kopf.
_HOPELESS_SECONDS = 120.0
# For how long a start's watches may be on their way once lists are answered.
_BEGIN_SECONDS = 30.0


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
        writer = Writer(self._write_client, self._memory, self._may_write)
        self._events = Events(self._write_client, self._holds_lease, self._metrics)
        cluster = KubernetesCluster(self._memory, writer, self._events)
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
        self._informers = Informers(connection, options.namespaces, self._seen)

    async def run(self) -> int:
        """Work until SIGTERM or SIGINT (returns 0), or until only a new process can help (returns 1)."""
        self._log_start()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        async with serving(
            self._options.host,
            self._options.port,
            healthy=self._problems,
            ready=self._not_ready,
            metrics=self._exposition,
        ):
            return await self._work()

    async def _work(self) -> int:
        self._informers.start()
        stop = asyncio.create_task(self._stopping.wait(), name="stop")
        tasks = [
            asyncio.create_task(self._look(), name="resync"),
            asyncio.create_task(self._lead(), name="controller"),
            asyncio.create_task(self._watch_watches(), name="watchdog"),
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

    async def _look(self) -> None:
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
        self._memory.watch(self._controller.observe)
        log.info("reconciling")
        await self._controller.run()

    async def _watch_watches(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            answered = all(self._metrics.heard_age(kind) < _SILENT_SECONDS for kind in WATCHED)
            if answered and self._informers.missing_seconds > _HOPELESS_SECONDS:
                return

    async def _stop(self, tasks: Sequence[asyncio.Task[Any]]) -> None:
        self._stopping.set()
        self._informers.stop()
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

    def _problems(self) -> Sequence[str]:
        """Return why a new process would help."""
        problems = [f"{name} is gone" for name in sorted(self._informers.missing)]
        if self._resync.filled.is_set() and self._informers.missing_seconds > _BEGIN_SECONDS:
            # Lists are answered, so it is not the API server that keeps the watches from beginning.
            problems.append(f"the watches are not all there for {self._informers.missing_seconds:.0f} s")
        for kind in WATCHED:
            if (age := self._metrics.attempt_age(kind)) > _SILENT_SECONDS:
                problems.append(f"nothing was heard of {kind} for {age:.0f} s")
        if (age := self._controller.queue.stuck_for()) > _STUCK_SECONDS:
            problems.append(f"the queue has not moved for {age:.0f} s")
        return problems

    def _not_ready(self) -> Sequence[str]:
        return () if self._resync.filled.is_set() else ("not every kind was listed yet",)

    def _exposition(self) -> bytes:
        return self._metrics.exposition(
            oldest=self._controller.queue.oldest_age(),
            held=self._may_write(),
            missing=len(self._informers.missing),
            restarts=self._informers.restarts,
            lag=self._lag,
            count=self._memory.count,
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
