"""Lists against what watches miss: objects that went while a watch was away, and events that were lost."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from types import MappingProxyType

from mlops.cluster.client import JSON, METADATA, Client
from mlops.cluster.fetch import fetch
from mlops.cluster.kinds import WATCHED, ServedResource
from mlops.cluster.memory import Memory
from mlops.cluster.metrics import OperatorMetrics
from mlops.engine.cluster import ClusterError, NotAllowed, ObjectNotFound
from mlops.engine.queue import is_worth_a_line
from mlops.planning.plan import Key, Manifest

log = logging.getLogger(__name__)

_EVERY_SECONDS = 60.0
_AGAIN_SECONDS = 5.0
# So many objects that are news are looked up one by one; of more the list is asked for again, as a whole.
_FEW = 20
# No resourceVersion: as it is now, and not as a cache remembers it.
_NOW: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class ListTrouble:
    """Why a kind cannot be listed, since when (by time.monotonic()), and how often in a row that was tried."""

    error: ClusterError
    since: float
    tries: int

    @property
    def lasted(self) -> float:
        """Return for how many seconds it has been so."""
        return time.monotonic() - self.since

    @property
    def is_unserved(self) -> bool:
        """Return whether the API server does not know the kind: its definition is gone."""
        return isinstance(self.error, ObjectNotFound)


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
        # By kind that cannot be listed. Replaced as a whole: other threads read it.
        self.troubles: Mapping[str, ListTrouble] = {}
        self._in_doubt = {kind: asyncio.Event() for kind in WATCHED}
        # Namespaces in which nothing may be listed, while it may be in others: they are gone, or a Role in them is.
        # Nothing in them may be planned from what is known. Replaced as a whole.
        self.lost: frozenset[str] = frozenset()
        self._refused: dict[str | None, set[str]] = {namespace: set() for namespace in self._namespaces}
        # Told of each namespace that was lost, once everything in it is known.
        self.regained: Callable[[str], None] = lambda namespace: None

    async def fill(self) -> None:
        """List everything, as it is now and not as a cache remembers it; tries until that is done.

        In one go: of kinds that were listed long before the others, memory may be older than theirs.
        """
        while not all([await self.list_once(kind) for kind in WATCHED]):
            self._lose()
            await asyncio.sleep(_AGAIN_SECONDS * self._random.uniform(0.5, 1.0))
        self.filled.set()

    @property
    def unserved(self) -> frozenset[str]:
        """Return the kinds that the API server does not know."""
        return frozenset(kind for kind, trouble in self.troubles.items() if trouble.is_unserved)

    def doubt(self, kind: str) -> None:
        """Have a kind listed soon: its watch has died, and a list tells why."""
        self._in_doubt[kind].set()

    async def run(self) -> None:
        """Compare again and again, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for kind in WATCHED:
                group.create_task(self._repeat(kind))
            if len(self._namespaces) > 1:
                group.create_task(self._watch_namespaces())

    async def _watch_namespaces(self) -> None:
        while True:
            await asyncio.sleep(_AGAIN_SECONDS * self._random.uniform(0.75, 1.0))
            self._lose()
            for namespace in sorted(self.lost):
                if await self._list_all(namespace):
                    self._refused[namespace].clear()
                    self.lost -= {namespace}
                    log.info("namespace %s is worked in again", namespace)
                    self.regained(namespace)

    async def _list_all(self, namespace: str) -> bool:
        """List every kind in a namespace; returns whether that was possible, of all of them in one go."""
        try:
            for served in WATCHED.values():
                await self._list(served, namespace)
        except ClusterError as error:
            log.debug("namespace %s is still lost: %s", namespace, error)
            return False
        return True

    def _lose(self) -> None:
        """Give up the namespaces in which no kind may be listed, if there are others."""
        lost = {each for each, kinds in self._refused.items() if each is not None and len(kinds) == len(WATCHED)}
        if lost - self.lost and len(lost) < len(self._namespaces):
            log.warning(
                "nothing may be listed in the namespaces %s: each is gone, or the Role in it; the others are "
                "worked in. Take it out of the operator's namespaces, or make it again and run helm upgrade",
                ", ".join(sorted(lost - self.lost)),
            )
            self.lost |= lost

    async def _repeat(self, kind: str) -> None:
        good = True
        while True:
            if good:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_EVERY_SECONDS * self._random.uniform(0.75, 1.0)):
                        await self._in_doubt[kind].wait()
            else:
                await asyncio.sleep(_AGAIN_SECONDS * self._random.uniform(0.75, 1.0))
            good = await self.list_once(kind, cached=True)
            # What was in doubt is asked for no more often than what fails.
            if self._in_doubt[kind].is_set():
                self._in_doubt[kind].clear()
                good = False

    async def list_once(self, kind: str, *, cached: bool = False) -> bool:
        """List one kind and take it in; returns whether that was possible.

        A `cached` list costs the API server next to nothing. It may be older than memory, which minds that. Of one
        only metadata is read, and what is news is looked up: thousands of objects made and thrown away each minute
        leave holes in the memory of the process, which then grows.
        """
        failure = None
        for namespace in self._namespaces:
            self._metrics.attempted(kind)
            if namespace in self.lost:
                continue
            try:
                differences = await (self._compare if cached else self._list)(WATCHED[kind], namespace)
            except ClusterError as error:
                # A namespace that is gone, and the Role in it, must not hide what happens in the others.
                failure = failure or error
                if isinstance(error, NotAllowed):
                    self._refused[namespace].add(kind)
                continue
            self._refused[namespace].discard(kind)
            if self.filled.is_set():
                self._metrics.repaired(kind, differences)
        if failure is not None:
            self._failed(kind, failure)
            return False
        await self._sync_strangers(kind)
        self._metrics.heard(kind)
        self._succeeded(kind)
        return True

    async def _sync_strangers(self, kind: str) -> None:
        """Look up what has the name of a child and is not ours: nothing else tells that it is gone."""
        for key in self._memory.strangers(kind):
            try:
                await fetch(self._client, self._memory, key)
            except ClusterError as error:
                log.debug("not looked up: %s", error)

    def _failed(self, kind: str, error: ClusterError) -> None:
        before = self.troubles.get(kind)
        same = before is not None and type(before.error) is type(error)
        trouble = (
            ListTrouble(error, before.since, before.tries + 1)
            if same and before
            else ListTrouble(error, time.monotonic(), 1)
        )
        self.troubles = {**self.troubles, kind: trouble}
        served = WATCHED[kind]
        if trouble.is_unserved and is_worth_a_line(trouble.tries):
            log.warning(
                "the definition of %s is gone (%s); waiting until it is back", _definition(served), _whole(error)
            )
        elif is_worth_a_line(trouble.tries):
            log.warning("cannot list %s, tried %d times: %s", served.plural, trouble.tries, error)

    def _succeeded(self, kind: str) -> None:
        trouble = self.troubles.get(kind)
        if trouble is not None:
            self.troubles = {name: each for name, each in self.troubles.items() if name != kind}
            log.info("%s are listed again, after %.0f s", WATCHED[kind].plural, trouble.lasted)

    async def _compare(self, served: ServedResource, namespace: str | None) -> int:
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
            fetched = await self._ask(served, str(head["namespace"]), only)
            differences += sum(map(self._memory.take, _items(served, fetched)))
        uids = {str(head["uid"]) for head in heads}
        return differences + self._memory.forget_others(served.kind, namespace, uids, _version(found))

    async def _list(self, served: ServedResource, namespace: str | None, query: Mapping[str, str] = _NOW) -> int:
        """Take in all that there is; returns how many differed."""
        found = await self._ask(served, namespace, query)
        return await self._memory.take_list(served.kind, namespace, _items(served, found), _version(found))

    async def _ask(
        self, served: ServedResource, namespace: str | None, query: Mapping[str, str], accept: str = JSON
    ) -> Manifest:
        about = Key(served.kind, namespace or "", "")
        selector = {"labelSelector": served.selector} if served.selector else {}
        path = served.path(namespace)
        return await self._client.request(about, "GET", path, query={**query, **selector}, accept=accept)


def _definition(served: ServedResource) -> str:
    return f"{served.plural}.{served.group}".rstrip(".")


def _whole(error: ClusterError) -> str:
    return str(error).partition(": ")[2]


def _items(served: ServedResource, found: Manifest) -> Iterator[Manifest]:
    """Yield the objects of a list, which says once for all of them what they are."""
    for item in found.get("items") or ():
        yield {"apiVersion": served.api_version, "kind": served.kind, **item}


def _version(found: Manifest) -> int:
    return int(found.get("metadata", {}).get("resourceVersion") or 0)
