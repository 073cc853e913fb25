"""Lists against what watches miss: objects that went while a watch was away, and events that were lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from random import Random
from types import MappingProxyType

from mlops.cluster.client import JSON, METADATA, Client
from mlops.cluster.kinds import WATCHED, Served
from mlops.cluster.memory import Memory
from mlops.cluster.metrics import OperatorMetrics
from mlops.engine.cluster import ClusterError
from mlops.planning.plan import Key, Manifest

log = logging.getLogger(__name__)

_EVERY_SECONDS = 60.0
_AGAIN_SECONDS = 5.0
# So many objects that are news are looked up one by one; of more the list is asked for again, as a whole.
_FEW = 20
# No resourceVersion: as it is now, and not as a cache remembers it.
_NOW: Mapping[str, str] = MappingProxyType({})


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

        A `cached` list costs the API server next to nothing. It may be older than memory, which minds that. Of one
        only metadata is read, and what is news is looked up: thousands of objects made and thrown away each minute
        leave holes in the memory of the process, which then grows.
        """
        for namespace in self._namespaces:
            self._metrics.attempted(kind)
            try:
                differences = await (self._compare if cached else self._list)(WATCHED[kind], namespace)
            except ClusterError as error:
                log.warning("cannot list %s: %s", WATCHED[kind].plural, error)
                return False
            if self.filled.is_set():
                self._metrics.repaired(kind, differences)
        self._metrics.heard(kind)
        return True

    async def _compare(self, served: Served, namespace: str | None) -> int:
        """Take in what a cached list has that is news here; returns how much that was."""
        found = await self._ask(served, namespace, {"resourceVersion": "0"}, accept=METADATA)
        heads = [item["metadata"] for item in found.get("items") or ()]
        news = [head for head in heads if self._memory.lacks(served.kind, head)]
        if len(news) > _FEW:
            return await self._list(served, namespace, {"resourceVersion": "0"})
        differences = 0
        for head in news:
            # By name: that takes no other permission than the one to list.
            only = {"fieldSelector": f"metadata.name={head['name']}"}
            looked_up = await self._ask(served, str(head["namespace"]), only)
            differences += sum(map(self._memory.take, _items(served, looked_up)))
        uids = {str(head["uid"]) for head in heads}
        return differences + self._memory.forget_others(served.kind, namespace, uids, _version(found))

    async def _list(self, served: Served, namespace: str | None, query: Mapping[str, str] = _NOW) -> int:
        """Take in all that there is; returns how many differed."""
        found = await self._ask(served, namespace, query)
        return await self._memory.take_list(served.kind, namespace, _items(served, found), _version(found))

    async def _ask(
        self, served: Served, namespace: str | None, query: Mapping[str, str], accept: str = JSON
    ) -> Manifest:
        about = Key(served.kind, namespace or "", "")
        selector = {"labelSelector": served.selector} if served.selector else {}
        path = served.path(namespace)
        return await self._client.request(about, "GET", path, query={**query, **selector}, accept=accept)


def _items(served: Served, found: Manifest) -> Iterator[Manifest]:
    """Yield the objects of a list, which says once for all of them what they are."""
    for item in found.get("items") or ():
        yield {"apiVersion": served.api_version, "kind": served.kind, **item}


def _version(found: Manifest) -> int:
    return int(found.get("metadata", {}).get("resourceVersion") or 0)
