"""The listening side: connections, the turns of the event loop, and the end of both.

Requests are answered at the end of the turn in which they came: what several connections asked meanwhile is there at
once then, and the application may answer it at once. Nobody waits for more to come.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from mlops.api.pod_environment import ServerLimits
from mlops.workloads.serve.budget import Budget
from mlops.workloads.serve.exchange import Exchange
from mlops.workloads.serve.http import HttpConnection
from mlops.workloads.serve.request_ids import RequestIds

# Connections beyond the limit at a time.
_MOST_EXTRA = 32
_SWEEP_SECONDS = 0.5
_CLOSING_SECONDS = 0.02


class Handler(Protocol):
    """What answers requests. It raises nothing."""

    def handle(self, exchange: Exchange) -> None:
        """Go on with a request whose head is there; its body may not be, and then it comes again."""
        ...

    def end_turn(self) -> None:
        """Answer what was put off until all requests of the turn were seen."""
        ...

    @property
    def is_busy(self) -> bool:
        """Whether requests are worked on beyond a turn."""
        ...


class Listening(Protocol):
    """What accepts connections."""

    def close(self) -> None:
        """Accept nothing more."""
        ...


class Server:
    """A listening socket and its connections; `refused` is told status, message and request id of what never reaches
    the application. For the event loop's thread, in which it is made."""

    def __init__(
        self,
        handler: Handler,
        limits: ServerLimits,
        budget: Budget,
        *,
        refused: Callable[[int, str, bytes], None],
        ids: RequestIds,
        paths: Iterable[str] = (),
        vital: Iterable[str] = (),
    ) -> None:
        self._handler = handler
        self.limits, self.budget, self.refused, self.ids = limits, budget, refused, ids
        # The known targets, which need no parsing.
        self.paths = {path.encode("ascii", "ignore"): path for path in paths if path.isascii() and "%" not in path}
        self.loop = asyncio.get_running_loop()
        # What is answered beyond the limit of connections too: whoever holds all of them must not have the pod ended.
        self.vital = frozenset(vital)
        self.connections: set[HttpConnection] = set()
        self._extra: deque[HttpConnection] = deque()
        self._ready: list[Exchange] = []
        self._listening: Listening | None = None
        self._sweeper: asyncio.Task[None] | None = None

    def connection(self) -> HttpConnection:
        """Return the protocol of a new connection."""
        return HttpConnection(self)

    def admit_extra(self, connection: HttpConnection) -> None:
        """Let a connection beyond the limit ask for something vital, and send the oldest one away if they are many."""
        self._extra.append(connection)
        if len(self._extra) > _MOST_EXTRA:
            self._extra.popleft().refuse_extra()

    def forget(self, connection: HttpConnection) -> None:
        """Note that a connection is gone."""
        self.connections.discard(connection)
        with contextlib.suppress(ValueError):
            self._extra.remove(connection)

    def ready(self, exchange: Exchange) -> None:
        """Have a request looked at at the end of this turn."""
        if exchange.is_ready:
            return
        exchange.is_ready = True
        exchange.ready_at = time.perf_counter()
        self._ready.append(exchange)
        if len(self._ready) == 1:
            self.loop.call_soon(self._turn)

    def _turn(self) -> None:
        ready, self._ready = self._ready, []
        handle = self._handler.handle
        for exchange in ready:
            exchange.is_ready = False
            if not exchange.is_answered and not exchange.is_busy:
                handle(exchange)
        self._handler.end_turn()

    async def start(
        self, listener: socket.socket, listening: Callable[[Server, socket.socket], Listening] | None = None
    ) -> None:
        """Accept connections of a listening socket, in plain HTTP unless `listening` does otherwise."""
        if listening is None:
            self._listening = await self.loop.create_server(self.connection, sock=listener)
        else:
            self._listening = listening(self, listener)
        self._sweeper = asyncio.create_task(self._sweep())

    async def close(self) -> None:
        """Accept nothing more, answer what is being asked within the time of grace, and cut off the rest."""
        if self._listening is None:
            return
        self._listening.close()
        for connection in list(self.connections):
            connection.shutdown()
        until = self.loop.time() + self.limits.grace_seconds
        while (self.connections or self._handler.is_busy) and self.loop.time() < until:
            await asyncio.sleep(_CLOSING_SECONDS)
        for connection in list(self.connections):
            connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._listening = None

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = self.loop.time()
            for connection in list(self.connections):
                connection.sweep(now)
