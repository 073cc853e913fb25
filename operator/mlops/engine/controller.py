"""The loop: events in, keys through the queue, workers that reconcile them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from random import Random

from mlops.api.kinds import KINDS
from mlops.engine.claims import Claims
from mlops.engine.cluster import Clock, Cluster, ClusterError, Conflict, Ending
from mlops.engine.gather import Gatherer
from mlops.engine.metrics import Counters, LoopMetrics
from mlops.engine.queue import Queue, is_worth_a_line
from mlops.engine.reconcile import Planner, Reconciler
from mlops.engine.routes import keys_of
from mlops.planning.plan import Key, Manifest, Settings

log = logging.getLogger(__name__)

# How many objects are looked through before others have their turn.
_AT_A_TIME = 100


class Controller:
    """Runs every planner on one cluster.

    Whoever watches the cluster calls `observe` for each change; time and randomness come from outside, so that the
    same controller runs in a cluster, on one machine and in a simulation. `identity` tells one installation from
    another, see `Claims`; None where there can be only one.
    """

    def __init__(
        self,
        cluster: Cluster,
        planners: Mapping[str, Planner],
        settings: Settings,
        clock: Clock,
        *,
        workers: int = 4,
        metrics: LoopMetrics | None = None,
        random: Random | None = None,
        longest_delay: float = 60.0,
        identity: str | None = None,
    ) -> None:
        self._cluster, self._workers = cluster, workers
        self.metrics: LoopMetrics = metrics or Counters()
        # Whether not everything in a namespace may be known: nothing in it is planned, also what was queued before.
        self.is_lost: Callable[[str], bool] = lambda namespace: False
        self.queue = Queue(clock, random=random or Random(0), longest_delay=longest_delay)
        self._gatherer = Gatherer(cluster, settings, clock)
        self._reconciler = Reconciler(cluster, self._gatherer, planners, clock, self.metrics, Claims(cluster, identity))

    def observe(self, old: Manifest | None, new: Manifest | None) -> None:
        """Take in one change: made (old is None), changed, or gone (new is None)."""
        for manifest in (old, new):
            if manifest is not None:
                for key in sorted(keys_of(manifest, self._cluster)):
                    self.queue.add(key)
        if new is None and old is not None:
            self._gatherer.forget(old)
        self.metrics.queued(self.queue.depth)

    async def resync(self) -> None:
        """Look at everything: after a start. What changes meanwhile is observed as ever."""
        # Of a model whose versions are all gone only its history is left, which does not know yet that they are.
        for kind in (*KINDS, "ConfigMap"):
            for number, manifest in enumerate(self._cluster.list(kind), start=1):
                self.observe(None, manifest)
                if number % _AT_A_TIME == 0:
                    await asyncio.sleep(0)

    @property
    def idle(self) -> bool:
        """Return whether there is nothing to do until something happens or the clock moves."""
        return self.queue.idle

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            await self.resync()
            async with asyncio.TaskGroup() as group:
                for _ in range(self._workers):
                    group.create_task(self._work())
        finally:
            self.queue.close()

    async def _work(self) -> None:
        while True:
            await self._work_on(await self.queue.take())
            # A worker that never has to wait would keep everybody else from running.
            await asyncio.sleep(0)

    async def _work_on(self, key: Key) -> None:
        start = asyncio.get_running_loop().time()
        if self.is_lost(key.namespace):
            # Whoever finds the namespace again has everything in it looked at.
            self.queue.done(key, None)
            return
        try:
            requeue_at = await self._reconciler.reconcile(key)
        except (Conflict, Ending) as error:
            # Both are the course of things: somebody else was quicker, or a namespace goes with all that is in it.
            outcome = type(error).__name__
            log.debug("%s; trying again in %.2f s", error, self.queue.failed(key), extra=_fields(key))
        except ClusterError as error:
            outcome = "Unavailable"
            delay = self.queue.failed(key)
            level = logging.WARNING if is_worth_a_line(self.queue.failures(key)) else logging.DEBUG
            log.log(level, "%s; trying again in %.2g s", error, delay, extra=_fields(key))
        except Exception:
            outcome = "Error"
            delay = self.queue.failed(key)
            log.exception("a bug in the plan of %s %s/%s; trying again in %.1f s", *key, delay, extra=_fields(key))
        else:
            outcome = "Done"
            self.queue.done(key, requeue_at)
        self.metrics.reconciled(key.kind, outcome, asyncio.get_running_loop().time() - start)
        self.metrics.queued(self.queue.depth)


def _fields(key: Key) -> dict[str, str]:
    """Return what a log of JSON lines can be searched by."""
    return {"kind": key.kind, "namespace": key.namespace, "object": key.name}
