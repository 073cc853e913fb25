"""One request of a connection and the answer to it, from its head until the answer is written."""

from __future__ import annotations

import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import orjson

from mlops.workloads.serve.request_ids import HEADER

if TYPE_CHECKING:
    from mlops.workloads.serve.budget import Hold
    from mlops.workloads.serve.http import HttpConnection

Fields = list[tuple[bytes, bytes]]
JSON: Final = b"application/json"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
# A body that is too large is read on for so many times the limit, so that its sender gets to read the answer.
READ_ON: Final = 4
_OK: Final = 200
_CLOSE: Final = b"connection: close\r\n"
_BEGINS: Final = {
    (status.value, kind): b"HTTP/1.1 %d %s\r\ncontent-type: %s\r\ncontent-length: "
    % (status.value, status.phrase.encode(), kind)
    for status in HTTPStatus
    for kind in (JSON,)
}


class Exchange:
    """A request, whole or on its way, whose turn it is or will be. For the event loop's thread."""

    __slots__ = (
        "_connection",
        # Where two versions answer: see `two_versions.Assignment`. Elsewhere it is never set.
        "assigned",
        "body",
        "expects_100",
        "head",
        "header_length",
        "headers",
        "hold",
        "is_answered",
        "is_busy",
        "is_ready",
        "is_whole",
        "keep_alive",
        "method",
        "path",
        "ready_at",
        "received",
        "request_id",
        "route",
        "started",
    )

    def __init__(
        self, connection: HttpConnection, method: bytes, path: str, headers: Fields, hold: Hold, *, keep_alive: bool
    ) -> None:
        self._connection = connection
        self.method, self.path, self.headers, self.hold = method, path, headers, hold
        self.keep_alive = keep_alive
        # On the clock of time.perf_counter: when the head was there, and since when it waits to be looked at.
        self.started = self.ready_at = time.perf_counter()
        self.body: bytes | bytearray = b""
        # Bytes of the body that came, also of one that is too large to be kept.
        self.received = 0
        self.is_whole = self.is_answered = False
        # It waits for its turn in this turn of the loop; somebody works on it beyond this turn.
        self.is_ready = self.is_busy = False
        self.expects_100 = False
        # Its head's bytes, if it came whole and alone, and nothing was wrong with it.
        self.head = b""
        # What the application has found out about it.
        self.assigned: Any
        self.route: Any = None
        self.request_id = b""
        # How many bytes of the body are JSON before the binary tensors; None: all.
        self.header_length: int | None = None

    @property
    def client(self) -> str:
        """Return the address that it came from."""
        return self._connection.client

    def take(self, data: bytes, limit: int) -> bool:
        """Keep a part of the body, of at most `limit` bytes in all; whether it can go on as before."""
        self.received += len(data)
        if self.received > limit:
            return self.received <= READ_ON * limit
        if not self.hold.take(len(data)):
            return False
        if not self.body:
            self.body = data
        elif isinstance(self.body, bytearray):
            self.body += data
        else:
            self.body = bytearray(self.body) + data
        return True

    def go_on(self) -> None:
        """Ask for the body, if the client waits to be asked."""
        if self.expects_100:
            self.expects_100 = False
            if not self.received:
                self._connection.write(CONTINUE)

    def answer(self, status: int, body: bytes, kind: bytes = JSON, more: bytes = b"", *, close: bool = False) -> None:
        """Write the answer; `more` are lines of its head. A second answer, or one that nobody waits for, is none."""
        if self.is_answered:
            return
        self.is_answered = True
        if close or (self.expects_100 and not self.is_whole):
            # Who was not asked for the body may send it or leave it out: what comes next could be either.
            self.keep_alive = False
        if status != _OK:
            self.head = b""
        begin = _BEGINS.get((status, kind))
        if begin is None:
            phrase = HTTPStatus(status).phrase.encode()
            begin = b"HTTP/1.1 %d %s\r\ncontent-type: %s\r\ncontent-length: " % (status, phrase, kind)
        self._connection.answered(
            self,
            b"%b%d\r\n%b: %b\r\n%b%b\r\n%b"
            % (
                begin,
                len(body),
                HEADER,
                self.request_id,
                more,
                b"" if self.keep_alive else _CLOSE,
                b"" if self.method == b"HEAD" else body,
            ),
        )

    def refuse(
        self, status: int, message: str, headers: Sequence[tuple[bytes, bytes]] = (), *, close: bool = False
    ) -> None:
        """Write an answer that is a refusal, with these headers."""
        more = b"".join(b"%b: %b\r\n" % field for field in headers)
        self.answer(status, orjson.dumps({"error": message}), more=more, close=close)

    def drop(self) -> None:
        """Give back what it holds: nobody waits for the answer. What is worked on does so when it ends."""
        if not self.is_answered:
            self.is_answered = True
            if not self.is_busy:
                self.hold.release()

    def finish(self) -> None:
        """Give back what is held, at the end of work beyond a turn."""
        self.is_busy = False
        self.hold.release()
