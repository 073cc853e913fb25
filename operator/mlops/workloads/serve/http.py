"""One connection of HTTP/1.1 on httptools' parser, bounded in every phase; every refusal is JSON.

The parser finds heads, chunks and ends of messages, and refuses what could be read in two ways (both Content-Length and
chunks, two lengths, spaces before colons). It bounds neither sizes nor times: that is done here, and docs/serving.md
lists the phases with their bounds. What a connection holds is taken from the process's `budget`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Final

import httptools

from mlops.workloads.serve.budget import Hold, Outgoing
from mlops.workloads.serve.exchange import Exchange, Fields
from mlops.workloads.serve.heads import RETRY, VERSIONS, path_of, refusal
from mlops.workloads.serve.known_head import KnownHead, head_of, known_head
from mlops.workloads.serve.upgrade import head_without_offer, offers_h2c_only, parser_of

if TYPE_CHECKING:
    from mlops.workloads.serve.server import Server

_MOST_HEADERS: Final = 100
# Requests of one connection that wait for the answer before theirs.
_MOST_PIPELINED: Final = 8
# What a request costs beside its bytes, and each of its headers; measured, rounded up.
_REQUEST_BYTES, _HEADER_BYTES = 4096, 128
# How long a connection beyond the limit may take to ask something.
_EXTRA_SECONDS: Final = 2.0
# What the frame of a chunk may have: its size, ends of lines, a short extension.
_CHUNK_BYTES: Final = 24


class HttpConnection(asyncio.Protocol):
    """A client's connection: its requests are answered one after the other, in their order."""

    def __init__(self, server: Server) -> None:
        self._server, self._limits, self._loop = server, server.limits, server.loop
        self._body_limit, self._head_limit = server.limits.body_bytes, server.limits.head_bytes
        self._transport: asyncio.Transport
        # When the request that is being received began, on the loop's clock; None between requests.
        self._since: float | None = self._loop.time()
        self._idle_since = self._since
        self._closing_since: float | None = None
        # Nothing that still comes is listened to.
        self._is_deaf = self._is_lost = False
        self._last_request = False
        # One beyond the limit of connections, for a probe.
        self._is_extra = False
        self._requests = 0
        self._in_head = True
        # The head that is parsed once more, without its offer to upgrade; empty otherwise.
        self._again = b""
        # Of the request that is being received: all bytes, those of its body, the fields of its head, its chunks.
        self._raw_bytes = self._body_bytes = self._field_bytes = self._chunks = 0
        self._url = b""
        self._headers: Fields = []
        self._expects_100 = False
        # The request that is being received, once its head is there, and what it holds.
        self._own: Exchange | None = None
        self._hold: Hold | None = None
        # The request whose turn it is, and those behind it.
        self._current: Exchange | None = None
        self._waiting: deque[Exchange] = deque()
        # The head of the last request that came whole, and alone.
        self._known: KnownHead | None = None
        self._reads = self._writes = True
        self._outgoing = Outgoing(server.budget)
        self._parser = parser_of(self)

    # What the event loop says

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._server.connections.add(self)
        if len(self._server.connections) > self._limits.connections:
            self._is_extra = True
            self._server.admit_extra(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        self._server.forget(self)
        self._outgoing.note(0, 0.0)
        for exchange in self._unanswered():
            exchange.drop()
        self._current = None
        self._waiting.clear()
        if self._own is None and self._hold is not None:
            self._hold.release()
        self._hold = None

    def eof_received(self) -> bool:
        """Answer what was asked before the client closed its side; what is only half there is not waited for."""
        whole = [one for one in self._unanswered() if one.is_whole]
        if not whole or self._is_deaf:
            return bool(whole)
        if self._own is not None and self._own in self._waiting:
            self._waiting.remove(self._own)
            self._own.drop()
        elif self._own is None and self._hold is not None:
            self._hold.release()
        self._answer_no_more_after(whole[-1])
        return True

    def pause_writing(self) -> None:
        self._writes = False

    def resume_writing(self) -> None:
        self._writes = True
        if self._current is None:
            self._next()

    def data_received(self, data: bytes) -> None:
        if self._is_deaf or self._transport.is_closing():
            return
        if self._known is not None and self._since is None and self._current is None and self._takes_known(data):
            return
        # The one request that these bytes may belong to, if all of them are of one.
        only = self._requests + (self._since is None or self._requests == 0)
        if self._since is None:
            self._since = self._loop.time()
            self._begin()
        self._parse(data)
        if self._since is not None and self._requests <= only and not self._is_deaf:
            self._raw_bytes += len(data)
            self._frame_fits()
        elif self._requests == only and self._raw_bytes == 0:
            self._note_head(data)

    def _note_head(self, data: bytes) -> None:
        """Note the head of a request that `data` is all of, to know it the next time."""
        # While one waits behind another, these bytes are not those of the one whose turn it is.
        if self._since is None and self._current is not None and not self._waiting:
            self._current.head = head_of(data, self._body_bytes)

    def _takes_known(self, data: bytes) -> bool:
        """Take a request whose head was there before; False: read it."""
        known = self._known
        body = None if known is None else known.body_of(data)
        if known is None or not body or len(body) > self._body_limit:
            return False
        if self._waiting or self._last_request or not self._writes:
            return False
        hold = Hold(self._server.budget)
        # If there is no room for both, reading it says so, or finds the little that is kept for heads.
        if not hold.take(known.size + len(body)):
            return False
        self._requests += 1
        own = Exchange(self, known.method, known.path, known.headers, hold, keep_alive=True)
        own.route, own.header_length, own.request_id = known.route, known.header_length, self._server.ids.new()
        own.body, own.received, own.is_whole = body, len(body), True
        self._current = own
        self._server.ready(own)
        return True

    def _parse(self, data: bytes) -> None:
        while not self._is_deaf:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if not self._again:
                    self._is_deaf = True
                    return
                # What it says is where the head ends: nothing of the body was parsed.
                data = self._again + data[upgrade.args[0] :]
                self._parser = parser_of(self)
            except httptools.HttpParserError:
                self._refuse_what_is_no_http()
                return
            else:
                return

    # What the parser says

    def _begin(self) -> None:
        self._in_head = True
        self._raw_bytes = self._body_bytes = self._field_bytes = self._chunks = 0
        self._own = None
        self._hold = None

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers = []
        self._expects_100 = False
        if self._again:
            # The same request, in the time that it has.
            self._again = b""
            self._field_bytes = 0
            return
        self._requests += 1
        if not self._in_head:
            # The next of a pipeline.
            self._begin()
        if self._since is None:
            self._since = self._loop.time()
        self._hold = Hold(self._server.budget)

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        # A field after the body is a trailer. None is read here, so none is kept.
        if not self._in_head or self._is_deaf:
            return
        self._field_bytes += len(name) + len(value) + 4
        if len(self._headers) >= _MOST_HEADERS:
            self._refuse(431, f"the request has more than {_MOST_HEADERS} headers; send fewer")
        elif len(self._url) + self._field_bytes <= self._head_limit or self._head_fits():
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self._expects_100 = True
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._is_deaf or self._hold is None:
            return
        if len(self._url) + self._field_bytes > self._head_limit and not self._head_fits():
            return
        parser = self._parser
        method, version, upgrades = parser.get_method(), parser.get_http_version(), parser.should_upgrade()
        if version not in VERSIONS:
            self._refuse(400, "this server speaks HTTP/1.1 only; send the request in it")
            return
        if upgrades and offers_h2c_only(self._headers):
            self._again = head_without_offer(method, self._url, version, self._headers)
            self._in_head = True
            return
        if len(self._waiting) >= _MOST_PIPELINED:
            # The client asks the rest again, over another connection.
            self._answer_no_more_after(self._waiting[-1])
            return
        if not self._hold.take_little(self._size_of(self._headers)):
            self._refuse(503, "too many requests at a time; send fewer at once", RETRY)
            return
        if upgrades and method not in (b"GET", b"HEAD"):
            # The parser takes what follows the head for another protocol, so the body would be lost.
            self._refuse(400, "this server speaks HTTP/1.1 only; send the request without Upgrade")
            return
        path = self._server.paths.get(self._url) or path_of(self._url)
        if self._is_extra and path not in self._server.vital:
            self.refuse_extra()
            return
        keeps = version != "1.0" and parser.should_keep_alive()
        keeps = keeps and not (self._last_request or upgrades or self._is_extra)
        own = Exchange(self, method, path, self._headers, self._hold, keep_alive=keeps)
        own.expects_100 = self._expects_100
        self._own = own
        if self._current is None and not self._waiting and self._writes:
            self._current = own
            self._server.ready(own)
        else:
            self._waiting.append(own)
            self._read(False)

    def on_chunk_header(self) -> None:
        self._chunks += 1

    def on_body(self, body: bytes) -> None:
        own = self._own
        if own is None or self._is_deaf:
            return
        self._body_bytes += len(body)
        if not own.is_answered and not own.take(body, self._body_limit) and own is self._current:
            self._server.ready(own)

    def on_message_complete(self) -> None:
        if self._again:
            return
        self._since = None
        self._idle_since = self._loop.time()
        own, self._own = self._own, None
        if own is None or self._is_deaf:
            return
        self._hold = None
        own.is_whole = True
        if own is self._current:
            self._server.ready(own)

    @cached_property
    def client(self) -> str:
        """Return the address of the other side: a proxy's, where one stands before the server. Empty if it has left."""
        peer = None
        with suppress(OSError):
            peer = self._transport.get_extra_info("peername")
        return str(peer[0]) if isinstance(peer, tuple) else ""

    # Answers

    def write(self, data: bytes) -> None:
        """Write something before an answer."""
        if not self._is_lost and not self._transport.is_closing():
            self._transport.write(data)

    def answered(self, exchange: Exchange, data: bytes) -> None:
        """Write the answer to the request whose turn it is, and go on to the next."""
        if not exchange.is_busy:
            exchange.hold.release()
        if self._is_lost or self._transport.is_closing():
            return
        self._transport.write(data)
        now = self._idle_since = self._loop.time()
        self._outgoing.note(self._transport.get_write_buffer_size(), now)
        self._current = None
        if exchange.keep_alive:
            if exchange.head:
                self._known = known_head(exchange, self._size_of(exchange.headers))
            if self._waiting or not self._reads:
                self._next()
            return
        for behind in self._waiting:
            behind.drop()
        self._waiting.clear()
        self._transport.close()

    def _next(self) -> None:
        """Give the next request its turn, unless the client does not take its answers."""
        self._idle_since = self._loop.time()
        if self._waiting and self._writes and not self._transport.is_closing():
            self._current = self._waiting.popleft()
            self._server.ready(self._current)
        if not self._waiting:
            self._read(True)

    def _read(self, reads: bool) -> None:
        if self._reads is not reads and not self._transport.is_closing():
            self._reads = reads
            (self._transport.resume_reading if reads else self._transport.pause_reading)()

    def _refuse_what_is_no_http(self) -> None:
        # The parser gives up on the connection, and a refused head may have made it do so.
        if not self._is_deaf and not self._transport.is_closing():
            self._refuse(400, "the request is no valid HTTP/1.1; send one with either Content-Length or chunks")

    def _refuse(self, status: int, message: str, more: bytes = b"") -> None:
        request_id = self._server.ids.of(self._headers)
        self._server.refused(status, message, request_id)
        self._is_deaf = True
        own, earlier = self._own, [one for one in self._unanswered() if one is not self._own]
        is_answered = own is not None and own.is_answered
        if own is not None:
            own.drop()
        elif self._hold is not None:
            self._hold.release()
        if earlier:
            # Their answers come first, and whoever asked would take this one for theirs.
            if own is not None and own in self._waiting:
                self._waiting.remove(own)
            earlier[-1].keep_alive = False
            return
        # Not after an answer: two answers to one request would be read as one.
        if not is_answered:
            self._transport.write(refusal(status, message, request_id, more))
        self._transport.close()

    # Time

    def shutdown(self) -> None:
        """Close now if nothing is being asked; else answer what is being received, and close then."""
        self._last_request = True
        unanswered = self._unanswered()
        if unanswered:
            unanswered[-1].keep_alive = False
        elif self._since is None or self._nothing_came():
            self._transport.close()

    def refuse_extra(self) -> None:
        """Send away a connection beyond the limit that asks for no probe, or for nothing in time."""
        if not (self._is_deaf or self._transport.is_closing()):
            self._refuse(
                503, f"this server has {self._limits.connections} connections, its limit; try again later", RETRY
            )

    def abort(self) -> None:
        """Close now, whatever is being asked."""
        self._transport.abort()

    def sweep(self, now: float) -> None:
        """End the connection if its request takes too long to arrive, its answer to be taken, or if it is idle."""
        seconds = self._limits.request_seconds
        self._outgoing.note(self._transport.get_write_buffer_size(), now)
        if self._outgoing.waits_longer(seconds, now):
            self._transport.abort()
        elif self._transport.is_closing():
            self._closing_since = self._closing_since or now
            if now - self._closing_since > seconds:
                self._transport.abort()
        elif self._since is None or self._is_deaf:
            if not self._unanswered() and now - self._idle_since > self._limits.keep_alive_seconds:
                self._transport.close()
        elif any(one is not self._own for one in self._unanswered()):
            # Its answer comes first: the client cannot be blamed for a request that is not read meanwhile.
            self._since = now
        elif self._is_extra and now - self._since > _EXTRA_SECONDS:
            self.refuse_extra()
        elif now - self._since > seconds:
            if self._nothing_came():
                self._transport.close()
            else:
                self._refuse(408, f"the request did not arrive within {seconds} seconds; send it faster")

    def _nothing_came(self) -> bool:
        return self._requests == 0 and self._raw_bytes == 0

    def _unanswered(self) -> list[Exchange]:
        """Return the requests whose answer is not written, in their order."""
        current = self._current
        return [*([current] if current is not None and not current.is_answered else []), *self._waiting]

    def _answer_no_more_after(self, last: Exchange) -> None:
        """Close after the answer to `last`; nothing that comes is listened to any more."""
        self._is_deaf = True
        last.keep_alive = False

    # Sizes

    @staticmethod
    def _size_of(headers: Fields) -> int:
        """Return what a request takes beside its body."""
        return _REQUEST_BYTES + sum(len(name) + len(value) + 4 + _HEADER_BYTES for name, value in headers)

    def _head_fits(self) -> bool:
        return self._fits(len(self._url) + self._field_bytes, self._head_limit)

    def _frame_fits(self) -> None:
        """Refuse a request of which too much is not its body: line, headers, sizes of chunks, extensions, trailers."""
        allowed = self._head_limit * (1 if self._in_head else 2) + _CHUNK_BYTES * self._chunks
        self._fits(self._raw_bytes - self._body_bytes, allowed)

    def _fits(self, size: int, allowed: int) -> bool:
        if size > allowed:
            most = self._head_limit
            self._refuse(
                431, f"the request's line and headers, or its trailers, have more than {most} bytes; send fewer"
            )
        return size <= allowed
