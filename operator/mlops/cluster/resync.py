"""Lists against what watches miss: objects that went while a watch was away, and events that were lost."""

from __future__ import annotations

import asyncio
import logging
from random import Random

from mlops.cluster.client import Client
from mlops.cluster.kinds import WATCHED
from mlops.cluster.memory import Memory
from mlops.cluster.metrics import OperatorMetrics
from mlops.engine.cluster import ClusterError
from mlops.planning.plan import Key

log = logging.getLogger(__name__)

_EVERY_SECONDS = 60.0
_AGAIN_SECONDS = 5.0


class Resync:
    """Compares memory with the API server, one list per kind and namespace. Only differences are told to anybody, so
    in a settled cluster this costs a list and nothing else."""

    def __init__(
        self,
        client: Client,
        memory: Memory,
        namespaces: tuple[str, ...],
        metrics: OperatorMetrics,
        *,
        random: Random | None = None,
    ) -> None:
        self._client, self._memory, self._metrics = client, memory, metrics
        self._namespaces: tuple[str | None, ...] = namespaces or (None,)
        self._random = random or Random()
        # Whether each kind was listed once.
        self.filled = asyncio.Event()

    async def fill(self) -> None:
        """List everything, as it is now and not as a cache remembers it; tries until that is done."""
        for kind in WATCHED:
            while not await self.list_once(kind):
                await asyncio.sleep(_AGAIN_SECONDS * self._random.uniform(0.5, 1.0))
        self.filled.set()

    async def run(self) -> None:
        """Compare again and again, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for kind in WATCHED:
                group.create_task(self._repeat(kind))

    async def _repeat(self, kind: str) -> None:
        good = True
        while True:
            await asyncio.sleep((_EVERY_SECONDS if good else _AGAIN_SECONDS) * self._random.uniform(0.75, 1.0))
            good = await self.list_once(kind, cached=True)

    async def list_once(self, kind: str, *, cached: bool = False) -> bool:
        """List one kind and take it in; returns whether that was possible.

        A `cached` list costs the API server next to nothing. It may be older than memory, which minds that.
        """
        served = WATCHED[kind]
        query = {"resourceVersion": "0"} if cached else {}
        if served.selector:
            query = {**query, "labelSelector": served.selector}
        for namespace in self._namespaces:
            about = Key(kind, namespace or "", "")
            self._metrics.attempted(kind)
            try:
                found = await self._client.request(about, "GET", served.path(namespace), query=query)
            except ClusterError as error:
                log.warning("cannot list %s: %s", served.plural, error)
                return False
            version = int(found.get("metadata", {}).get("resourceVersion") or 0)
            items = found.get("items") or ()
            whole = ({"apiVersion": served.api_version, "kind": kind, **item} for item in items)
            differences = await self._memory.take_list(kind, namespace, whole, version)
            if self.filled.is_set():
                self._metrics.repaired(kind, differences)
        self._metrics.heard(kind)
        return True
