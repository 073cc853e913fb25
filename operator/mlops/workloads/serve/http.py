"""uvicorn with bounds: slow clients, endless heads, too many connections; every refusal is JSON."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import httptools
import orjson
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from mlops.api.pod_environment import ServerLimits
from mlops.workloads.serve.budget import Budget, Hold, Outgoing
from mlops.workloads.serve.request_ids import HEADER, RequestIds
from mlops.workloads.serve.upgrade import head_without_offer, offers_h2c_only, parser_of

# Where a request's scope has what it holds of the budget.
HOLD = "hold"
_SWEEP_SECONDS = 0.5
_MOST_HEADERS = 100
# Requests of one connection that wait for the answer before theirs.
_MOST_PIPELINED = 8
# What a request costs beside its bytes, and each of its headers; measured, rounded up.
_REQUEST_BYTES, _HEADER_BYTES = 4096, 128
# What the frame of a chunk may have: its size, ends of lines, a short extension.
_CHUNK_BYTES = 24
_RETRY = b"retry-after: 1"
_PHRASES = {
    400: b"Bad Request",
    408: b"Request Timeout",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}


def _answer(status: int, message: str, request_id: bytes, *headers: bytes) -> bytes:
    body = orjson.dumps({"error": message})
    return b"\r\n".join(
        [
            b"HTTP/1.1 %d %s" % (status, _PHRASES[status]),
            b"content-type: application/json",
            b"content-length: %d" % len(body),
            b"connection: close",
            b"%s: %s" % (HEADER, request_id),
            *headers,
            b"",
            body,
        ]
    )


class BoundedProtocol(HttpToolsProtocol):
    """One connection, bounded in every phase: uvicorn's parser bounds neither sizes nor times.

    docs/serving.md lists the phases with their bounds. What a connection holds is taken from the process's `budget`.
    """

    # Set on the class of one server, see `server_of`.
    limits: ServerLimits
    budget: Budget
    # Told the status, what is said and the request's id of what never reaches the application.
    refused: Callable[[int, str, bytes], None]
    ids: RequestIds

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # When the request that is being received began, on the loop's clock; None between requests.
        self._since: float | None = self.loop.time()
        self._closing_since: float | None = None
        # Nothing that still comes is listened to.
        self._is_deaf = False
        self._last_request = False
        self._requests = 0
        self._in_head = True
        # The head that is parsed once more, without its offer to upgrade; empty otherwise.
        self._again = b""
        # Of the request that is being received: all bytes, those of its body, the fields of its head, its chunks.
        self._raw_bytes = self._body_bytes = self._field_bytes = self._chunks = 0
        self._own: RequestResponseCycle | None = None
        self._hold: Hold | None = None
        # Requests whose answer is not complete, in their order.
        self._open: list[RequestResponseCycle] = []
        self._outgoing = Outgoing(self.budget)
        if len(self.connections) > self.limits.connections:
            message = f"this server has {self.limits.connections} connections, its limit; try again later"
            self._refuse(503, message, _RETRY)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._outgoing.note(0, 0.0)
        # Those that were started give back what they hold when they end.
        for cycle, _ in self.pipeline:
            _hold_of(cycle).release()
        self.pipeline.clear()
        if self._own is None and self._hold is not None:
            self._hold.release()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer what was asked before the client closed its side; what is only half there is not waited for."""
        earlier = self._unanswered()
        if not earlier or (self._since is not None and not self._is_deaf):
            return False
        self._answer_no_more_after(earlier[-1])
        return True

    def data_received(self, data: bytes) -> None:
        if self._is_deaf or self.transport.is_closing():
            return
        # The one request that these bytes may belong to, if all of them are of one.
        only = self._requests + (self._since is None or self._requests == 0)
        if self._since is None:
            self._since = self.loop.time()
            self._begin()
        self._unset_keepalive_if_required()
        self._parse(data)
        if self._since is not None and self._requests <= only and not self._is_deaf:
            self._raw_bytes += len(data)
            self._frame_fits()

    def _parse(self, data: bytes) -> None:
        while not self._is_deaf:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if not self._again:
                    self._is_deaf = True
                    return
                # What it says is where the head ends: nothing of the body was parsed.
                data = self._again + data[upgrade.args[0] :]
                self.parser = parser_of(self)
            except httptools.HttpParserError:
                self._refuse_what_is_no_http()
                return
            else:
                return

    def _begin(self) -> None:
        self._in_head = True
        self._raw_bytes = self._body_bytes = self._field_bytes = self._chunks = 0
        self._own = None
        self._hold = None

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._again:
            # The same request, in the time that it has.
            self._again = b""
            self._field_bytes = 0
        else:
            self._requests += 1
            if not self._in_head:
                # The next of a pipeline.
                self._begin()
            self._since = self.loop.time()
            self._hold = Hold(self.budget)
        self.scope["state"][HOLD] = self._hold

    def on_header(self, name: bytes, value: bytes) -> None:
        # A field after the body is a trailer. None is read here, so none is kept.
        if not self._in_head or self._is_deaf:
            return
        self._field_bytes += len(name) + len(value) + 4
        if len(self.headers) >= _MOST_HEADERS:
            self._refuse(431, f"the request has more than {_MOST_HEADERS} headers; send fewer")
        elif self._head_fits():
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._is_deaf or self._hold is None or not self._head_fits():
            return
        method, upgrades = self.parser.get_method(), self.parser.should_upgrade()
        if upgrades and offers_h2c_only(self.headers):
            self._again = head_without_offer(method, self.url, self.parser.get_http_version(), self.headers)
            self._in_head = True
            return
        if len(self.pipeline) >= _MOST_PIPELINED:
            # The client asks the rest again, over another connection.
            self._answer_no_more_after(self._unanswered()[-1])
            return
        if not self._hold.take_little(_REQUEST_BYTES + self._field_bytes + _HEADER_BYTES * len(self.headers)):
            self._refuse(503, "too many requests at a time; send fewer at once", _RETRY)
            return
        if upgrades and method not in (b"GET", b"HEAD"):
            # The parser takes what follows the head for another protocol, so the body would be lost.
            self._refuse(400, "this server speaks HTTP/1.1 only; send the request without Upgrade")
            return
        super().on_headers_complete()
        self._own = self.cycle
        self._open = [*self._unanswered(), self.cycle]
        if self._last_request or upgrades:
            self.cycle.keep_alive = False

    def on_chunk_header(self) -> None:
        self._chunks += 1

    def on_body(self, body: bytes) -> None:
        if self._own is None or self._is_deaf or self.transport.is_closing():
            return
        self._body_bytes += len(body)
        if self._own.response_complete:
            return
        if _hold_of(self._own).take(len(body)):
            super().on_body(body)
        else:
            # Whoever reads it sees that the rest is missing, and answers so.
            self._own.message_event.set()

    def on_message_complete(self) -> None:
        if self._again:
            return
        self._since = None
        if self._own is not None and not self._is_deaf and not self.transport.is_closing():
            super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        task = self.loop.create_task(self._ask(cycle, app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    async def _ask(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._note_outgoing()
        try:
            await cycle.run_asgi(app)
        finally:
            _hold_of(cycle).release()
            self._note_outgoing()

    def _refuse_what_is_no_http(self) -> None:
        # The parser gives up on the connection, and a refused head may have made it do so.
        if not self._is_deaf and not self.transport.is_closing():
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
        seconds = self.limits.request_seconds
        self._note_outgoing()
        if self._outgoing.waits_longer(seconds, now):
            self.transport.abort()
        elif self.transport.is_closing():
            self._closing_since = self._closing_since or now
            if now - self._closing_since > seconds:
                self.transport.abort()
        elif self._since is None or self._is_deaf:
            return
        elif any(cycle is not self._own for cycle in self._unanswered()):
            # Its answer comes first: the client cannot be blamed for a request that is not read meanwhile.
            self._since = now
        elif now - self._since > seconds:
            if self._nothing_came():
                self.transport.close()
            else:
                self._refuse(408, f"the request did not arrive within {seconds} seconds; send it faster")

    def _nothing_came(self) -> bool:
        return self._requests == 0 and self._raw_bytes == 0

    def _note_outgoing(self) -> None:
        if self in self.connections:
            self._outgoing.note(self.transport.get_write_buffer_size(), self.loop.time())

    def _unanswered(self) -> list[RequestResponseCycle]:
        self._open = [cycle for cycle in self._open if not cycle.response_complete]
        return self._open

    def _answer_no_more_after(self, last: RequestResponseCycle) -> None:
        """Close after the answer to `last`; nothing that comes is listened to any more."""
        self._is_deaf = True
        last.keep_alive = False

    def _head_fits(self) -> bool:
        return self._fits(len(self.url) + self._field_bytes, self.limits.head_bytes)

    def _frame_fits(self) -> None:
        """Refuse a request of which too much is not its body: line, headers, sizes of chunks, extensions, trailers."""
        allowed = self.limits.head_bytes * (1 if self._in_head else 2) + _CHUNK_BYTES * self._chunks
        self._fits(self._raw_bytes - self._body_bytes, allowed)

    def _fits(self, size: int, allowed: int) -> bool:
        if size > allowed:
            most = self.limits.head_bytes
            self._refuse(
                431, f"the request's line and headers, or its trailers, have more than {most} bytes; send fewer"
            )
        return size <= allowed

    def _refuse(self, status: int, message: str, *headers: bytes) -> None:
        request_id = self.ids.of(self.headers or ())
        self.refused(status, message, request_id)
        self._is_deaf = True
        own, earlier = self._own, [cycle for cycle in self._unanswered() if cycle is not self._own]
        if own is None and self._hold is not None:
            self._hold.release()
        if earlier:
            # Their answers come first, and whoever asked would take this one for theirs.
            self._forget_queued()
            earlier[-1].keep_alive = False
            return
        # Not after the beginning of an answer: two answers in one would be read as one.
        if own is None or not own.response_started:
            self.transport.write(_answer(status, message, request_id, *headers))
        self.transport.close()

    def _forget_queued(self) -> None:
        """Take the request that is being received off the pipeline."""
        for queued in list(self.pipeline):
            if queued[0] is self._own:
                self.pipeline.remove(queued)
                _hold_of(queued[0]).release()


def _hold_of(cycle: RequestResponseCycle) -> Hold:
    hold: Hold = cycle.scope["state"][HOLD]
    return hold


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


def server_of(
    app: Any, limits: ServerLimits, budget: Budget, *, refused: Callable[[int, str, bytes], None], ids: RequestIds
) -> Server:
    """Return a server of `app`; `refused` is told status, message and request id of what never reaches it."""
    told = {"limits": limits, "budget": budget, "refused": staticmethod(refused), "ids": ids}
    protocol = type("Protocol", (BoundedProtocol,), told)
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
