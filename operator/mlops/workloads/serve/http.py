"""uvicorn with bounds: slow clients, endless heads, too many connections; every refusal is JSON."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mlops.workloads.serve.limits import Limits

_SWEEP_SECONDS = 0.5
_PHRASES = {
    400: b"Bad Request",
    408: b"Request Timeout",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}


def _answer(status: int, message: str, *headers: bytes) -> bytes:
    body = orjson.dumps({"error": message})
    return b"\r\n".join(
        [
            b"HTTP/1.1 %d %s" % (status, _PHRASES[status]),
            b"content-type: application/json",
            b"content-length: %d" % len(body),
            b"connection: close",
            *headers,
            b"",
            body,
        ]
    )


class BoundedProtocol(HttpToolsProtocol):
    """One connection. uvicorn's parser bounds neither the head's size nor the time that a request takes to arrive."""

    # Set on the class of one server, see `server_of`.
    limits: Limits
    refused: Callable[[int], None]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # When the request that is being received began, on the loop's clock; None between requests.
        self._since: float | None = self.loop.time()
        self._closing_since: float | None = None
        self._in_head = True
        self._head_bytes = 0
        self._requests = 0
        self._last_request = False
        if len(self.connections) > self.limits.connections:
            message = f"this server has {self.limits.connections} connections, its limit; try again later"
            self._refuse(503, message, b"retry-after: 1")

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        # The one request that these bytes may belong to, if all of them are of one head.
        only = self._requests + (self._since is None or self._requests == 0)
        if self._since is None:
            self._since = self.loop.time()
            self._in_head = True
            self._head_bytes = 0
        in_head = self._in_head
        super().data_received(data)
        if in_head and self._in_head and self._requests <= only:
            self._head_bytes += len(data)
            self._head_fits(self._head_bytes)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._requests += 1
        if not self._in_head:
            # The next of a pipeline.
            self._in_head = True
            self._head_bytes = 0
        self._since = self.loop.time()

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._head_fits(len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)):
            super().on_headers_complete()
            if self._last_request:
                self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._since = None
        if not self.transport.is_closing():
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        # The parser gives up on the connection, and a refused head may have made it do so.
        if not self.transport.is_closing():
            self._refuse(400, "the request is no valid HTTP/1.1; send one with either Content-Length or chunks")

    def shutdown(self) -> None:
        """Close now if nothing is being asked; else answer what is being received, and close then."""
        self._last_request = True
        if self._since is None or self._nothing_came():
            super().shutdown()
        elif self.cycle is not None:
            self.cycle.keep_alive = False

    def sweep(self, now: float) -> None:
        """End the connection if its request takes too long to arrive, or its answer too long to be taken."""
        if self.transport.is_closing():
            self._closing_since = self._closing_since or now
            if now - self._closing_since > self.limits.request_seconds:
                self.transport.abort()
        elif self._since is not None and now - self._since > self.limits.request_seconds:
            if self._nothing_came():
                self.transport.close()
            else:
                seconds = self.limits.request_seconds
                self._refuse(408, f"the request did not arrive within {seconds} seconds; send it faster")

    def _nothing_came(self) -> bool:
        return self._requests == 0 and self._head_bytes == 0

    def _head_fits(self, size: int) -> bool:
        if size <= self.limits.head_bytes:
            return True
        self._refuse(431, f"the request's line and headers have more than {self.limits.head_bytes} bytes; send fewer")
        return False

    def _refuse(self, status: int, message: str, *headers: bytes) -> None:
        # Not after the beginning of an answer: two answers in one would be read as one.
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(_answer(status, message, *headers))
        self.refused(status)
        self.transport.close()


class Server(uvicorn.Server):
    """uvicorn that leaves signals to its caller and looks after slow connections."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn would raise the signal again at the end, and a finished flush would look like a killed process.
        yield

    async def main_loop(self) -> None:
        sweeper = asyncio.create_task(self._sweep())
        try:
            await super().main_loop()
        finally:
            self._sweeper = sweeper

    async def shutdown(self, sockets: Any = None) -> None:
        try:
            await super().shutdown(sockets)
        finally:
            self._sweeper.cancel()

    async def _sweep(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = clock()
            for connection in list(self.server_state.connections):
                if isinstance(connection, BoundedProtocol):
                    connection.sweep(now)


def server_of(app: Any, limits: Limits, *, refused: Callable[[int], None]) -> Server:
    """Return a server of `app`; `refused` is told the status of what never reaches it."""
    protocol = type("Protocol", (BoundedProtocol,), {"limits": limits, "refused": staticmethod(refused)})
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="error",
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=limits.keep_alive_seconds,
        timeout_graceful_shutdown=limits.grace_seconds,
    )
    return Server(config)
