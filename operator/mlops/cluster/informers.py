"""kopf as an informer: it lists and watches, and hands over what it sees. It writes nothing and decides nothing.

kopf runs on an event loop of its own, in a thread. When a watch dies of what kopf does not survive (a 401, 404 or 410
on the watch request, an ERROR in the stream, a line of JSON that was cut off), the whole of kopf is restarted
there, and the rest of the program goes on with what is in memory. A kind whose definition is gone is left out until it
is back: its watch would die again and again, and take those of all other kinds with it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Collection
from typing import Any, cast

import kopf

from mlops.cluster import own_loop, quiet_kopf
from mlops.cluster.connection import Connection
from mlops.cluster.kinds import WATCHED
from mlops.planning.plan import Manifest

log = logging.getLogger(__name__)

# Called on the main loop with a watch event's type (None for an object of a list) and object.
Sink = Callable[[str | None, Manifest], None]

_POLL_SECONDS = 0.5
_CHANGED = "other kinds are served than before"
# How long the first watch may take to be there, and from then on, how long one of them may be missing before kopf is
# restarted: it begins all of them together, and does not bring one back that has died.
_PATIENCE, _GONE_PATIENCE = 20.0, 2.0
_END_SECONDS = 1.0
# After so long without trouble the next trouble is a new one.
_HEALTHY_SECONDS = 60.0


class Informers:
    """The watches of every kind in every namespace, kept alive."""

    def __init__(
        self, connection: Connection, namespaces: tuple[str, ...], sink: Sink, beat: Callable[[], None] = lambda: None
    ) -> None:
        self._connection, self._namespaces, self._sink = connection, namespaces, sink
        # Called again and again as long as the thread does its work.
        self._beat = beat
        self._main = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="informers", daemon=True)
        self._stopping = threading.Event()
        # By the name of a watch: its kind.
        self._kind_of = {
            f"watcher for {served.plural}.{served.version}.{served.group}".rstrip(".") + f"@{namespace}": kind
            for kind, served in WATCHED.items()
            for namespace in (namespaces or (None,))
        }
        # Told by the main loop, and what the present watches began with. Each is replaced as a whole.
        self._wanted_out = self._left_out = frozenset[str]()
        # Read from the main loop; replaced as a whole.
        self._missing = frozenset(self._kind_of)
        self._ever_complete = False
        self.restarts = 0

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End soon; nothing waits for that."""
        self._stopping.set()

    def leave_out(self, kinds: Collection[str]) -> None:
        """Watch all kinds but these, from soon on: nobody serves them."""
        self._wanted_out = frozenset(kinds)

    @property
    def alive(self) -> bool:
        """Return whether the thread of the watches is there."""
        return self._thread.is_alive()

    @property
    def ever_complete(self) -> bool:
        """Return whether every watch has run at the same time."""
        return self._ever_complete

    @property
    def missing(self) -> frozenset[str]:
        """Return the names of the watches that do not run; before the first start has succeeded, none."""
        return self._missing if self._ever_complete or not self._thread.is_alive() else frozenset()

    @property
    def missing_kinds(self) -> frozenset[str]:
        """Return the kinds of which a watch should run and does not."""
        return frozenset(self._kind_of[name] for name in self._missing)

    def _run(self) -> None:
        pauses = quiet_kopf.pauses()
        while not self._stopping.is_set():
            started = time.monotonic()
            self._beat()
            self._left_out = self._wanted_out
            why = own_loop.run(self._watch())
            self._beat()
            if self._stopping.is_set():
                return
            if why == _CHANGED:
                log.info("the watches begin again: %s", why)
                continue
            if time.monotonic() - started > _HEALTHY_SECONDS:
                pauses = quiet_kopf.pauses()
            pause = next(pauses)
            self.restarts += 1
            log.warning("the watches ended (%s); starting them again in %.1f s", why, pause)
            self._stopping.wait(pause)

    def _expected(self) -> frozenset[str]:
        """Return the names of the watches that should run now."""
        return frozenset(name for name, kind in self._kind_of.items() if kind not in self._left_out)

    async def _watch(self) -> str:
        """Run kopf until it ends or a watch is missing for too long; returns why."""
        guard = asyncio.create_task(self._guard(), name="guard of the watches")
        # kopf ends all tasks of its loop that began after it did: the guard has to be there before.
        operator = asyncio.create_task(self._kopf(), name="kopf")
        done, _ = await asyncio.wait({guard, operator}, return_when=asyncio.FIRST_COMPLETED)
        # From here on nothing is watched; until it is again, whoever asks has to list.
        self._note(self._expected())
        for task in (operator, guard):
            task.cancel()
        # kopf waits for its streams to end in order, which may be never; what is left is cancelled with its loop.
        await asyncio.wait({guard, operator}, timeout=_END_SECONDS)
        ended = guard if guard in done else operator
        error = None if ended.cancelled() else ended.exception()
        return str(ended.result()) if error is None else f"{type(error).__name__}: {error}"

    async def _kopf(self) -> str:
        await kopf.operator(
            registry=self._registry(),
            settings=quiet_kopf.settings(),
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            standalone=True,
            memories=quiet_kopf.NoMemories(),
            insights=quiet_kopf.insights(),
            # Only kopf's peering, which is off, has a use for it; made by kopf itself it would be the name of a user
            # that an image need not have, and the lack of one ends all watches.
            identity=cast(Any, "mlops-operator"),
        )
        return "kopf stopped"

    async def _guard(self) -> str:
        """Look whether every watch has its task. Returns when one is missing for too long, or at the end."""
        since, patience = time.monotonic(), _PATIENCE
        while not self._stopping.is_set():
            await asyncio.sleep(_POLL_SECONDS)
            self._beat()
            if self._wanted_out != self._left_out:
                return _CHANGED
            running = {task.get_name() for task in asyncio.all_tasks() if not task.done()}
            expected = self._expected()
            self._note(expected - running)
            if not self._missing or (patience == _PATIENCE and running & expected):
                since, patience = time.monotonic(), _GONE_PATIENCE
            elif time.monotonic() - since > patience:
                return f"{len(self._missing)} of {len(expected)} are missing"
        return "stopped"

    def _note(self, missing: frozenset[str]) -> None:
        self._ever_complete = self._ever_complete or not missing
        self._missing = missing

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry, errors=kopf.ErrorsMode.TEMPORARY, backoff=2)
        async def login(**_: object) -> kopf.ConnectionInfo:
            return await self._connection.for_kopf()

        async def seen(event: kopf.RawEvent, **_: object) -> None:
            if not self._stopping.is_set():
                self._main.call_soon_threadsafe(self._sink, event["type"], dict(event["object"]))

        for kind, served in WATCHED.items():
            if kind not in self._left_out:
                kopf.on.event(served.group, served.version, served.plural, registry=registry, id=served.plural)(seen)
        return registry
