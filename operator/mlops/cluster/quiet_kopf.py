"""kopf with everything switched off that an informer has no use for; ADR 1 says what and why.

What kopf has no public setting for is done by its private names, all of them in this file and in the names of watches
that `informers` looks for. The version is pinned to one minor release, and tests/cluster hold each against a real API
server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator
from contextvars import ContextVar
from random import Random
from typing import Any, Final, Literal

import kopf
from kopf._cogs.clients import scanning
from kopf._cogs.structs.references import Insights, Resource
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory

from mlops.cluster.kinds import WATCHED

_LONGEST_PAUSE = 10.0
# The server ends each watch after this time, and it is renewed from where it was: a stream that is silent because
# its packets are dropped is given up soon after.
_WATCH_SECONDS = 45.0
_SILENCE_SECONDS = 50.0


class NoMemories(ResourceMemories):
    """kopf keeps some kilobytes for each object that there is, for handlers that are tried again; ours are not."""

    async def recall(self, raw_body: Any, **how: Any) -> ResourceMemory:
        return await super().recall(raw_body, **{**how, "ephemeral": True})


class _Revised(asyncio.Condition):
    """A condition whose news nobody misses: what was told before somebody began to wait is told to them at once, once.

    kopf waits in a new task each time. Whoever entered the condition is known by the context, which its tasks inherit.
    """

    def __init__(self) -> None:
        super().__init__()
        self._told = 0

    async def __aenter__(self) -> None:
        await super().__aenter__()
        _heard.set([0])

    def notify_all(self) -> None:
        self._told += 1
        super().notify_all()

    async def wait(self) -> Literal[True]:
        heard = _heard.get()
        while heard[0] == self._told:
            await super().wait()
        heard[0] = self._told
        return True


# How much of the news whoever waits has heard: one number, in a list that its tasks share.
_heard: Final[ContextVar[list[int]]] = ContextVar("heard")


async def _known(**_: Any) -> Collection[Resource]:
    """Return what kopf would find by discovery: it is known. One API group whose discovery fails, an aggregated one for
    example, would keep every watch from beginning."""
    ours = [(served.group, served.version, served.plural, kind) for kind, served in WATCHED.items()]
    # kopf waits until these two are there, and does not ask for them.
    asked = [("", "v1", "namespaces", "Namespace")]
    asked += [("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition")]
    verbs = frozenset({"list", "watch", "patch"})
    return {
        Resource(
            group=group,
            version=version,
            plural=plural,
            kind=kind,
            singular=kind.lower(),
            namespaced=(group, version, plural, kind) not in asked,
            preferred=True,
            verbs=verbs,
        )
        for group, version, plural, kind in [*ours, *asked]
    }


scanning.scan_resources = _known


class _Backoffs(Iterable[float]):
    """Seconds between attempts, without end: kopf lets a watch die when they run out."""

    def __iter__(self) -> Iterator[float]:
        return pauses()


def pauses() -> Iterator[float]:
    """Yield seconds between attempts: longer and longer, up to a bound."""
    random, pause = Random(), 0.5
    while True:
        yield pause * (0.75 + 0.25 * random.random())
        pause = min(_LONGEST_PAUSE, pause * 2)


def insights() -> Insights:
    """Return what kopf is told of the cluster."""
    return Insights(revised=_Revised())


class _NoDiffBase(kopf.DiffBaseStorage):
    """kopf copies each object that it sees, to compare it with what it saw before, for handlers of changes. There are
    none: nothing is copied."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        """Write nothing."""


class _NoProgress(kopf.ProgressStorage):
    """Nor is it remembered in objects how far handlers are."""

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        """Write nothing."""

    def purge(self, **_: Any) -> None:
        """Write nothing."""

    def touch(self, **_: Any) -> None:
        """Write nothing."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence


def settings() -> kopf.OperatorSettings:
    """Return settings with which kopf lists, watches and hands over, and does nothing else."""
    settings = kopf.OperatorSettings()
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.persistence.progress_storage = _NoProgress()
    settings.posting.enabled = False
    # Neither CustomResourceDefinitions nor namespaces are listed or watched: no permission for them is needed.
    settings.scanning.disabled = True
    settings.process.ultimate_exiting_timeout = None
    settings.networking.error_backoffs = _Backoffs()
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.watching.connect_timeout = 5
    settings.watching.server_timeout = int(_WATCH_SECONDS)
    settings.watching.inactivity_timeout = _SILENCE_SECONDS
    settings.watching.reconnect_backoff = 0.1
    settings.queueing.idle_timeout = 1.0
    settings.queueing.exit_timeout = 0.5
    for served in WATCHED.values():
        if served.selector:
            settings.watching.label_selectors[served.group, served.version, served.plural] = served.selector
    return settings
