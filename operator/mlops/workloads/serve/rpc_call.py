"""One call over gRPC and its answer: an exchange like one over HTTP, so that the application knows no difference."""

from __future__ import annotations

import asyncio
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import grpc

from mlops.workloads.serve.budget import Hold
from mlops.workloads.serve.exchange import JSON, Exchange, Fields
from mlops.workloads.serve.request_ids import HEADER
from mlops.workloads.serve.routes import Route

# What a client does about it tells them apart: send another request, a smaller one, or the same one later.
_CODES: Final = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
}
# The status travels in a header, whose length clients bound.
_LONGEST_MESSAGE: Final = 1500
_RETRY: Final = b"retry-after"
# After so many milliseconds a client may try again by itself, as gRPC's retries read it.
_PUSHBACK: Final = "grpc-retry-pushback-ms"


class RpcAnswer(NamedTuple):
    """A status with what is said, or the bytes of a message; and the metadata behind it."""

    body: bytes
    code: Any = grpc.StatusCode.OK
    message: str = ""
    metadata: tuple[tuple[str, str], ...] = ()


class RpcCall(Exchange):
    """A call whose message is on its way. For the event loop's thread."""

    __slots__ = ("_peer", "answered", "is_over")

    def __init__(self, route: Route, path: str, headers: Fields, request_id: bytes, hold: Hold, peer: str = "") -> None:
        # There is no connection of ours: whoever waits for `answered` writes the answer.
        super().__init__(None, b"POST", path, headers, hold, keep_alive=True)  # type: ignore[arg-type]
        self.route, self.request_id = route, request_id
        self.answered: asyncio.Future[RpcAnswer] = asyncio.get_running_loop().create_future()
        self.is_over = False
        self._peer = peer

    @property
    def client(self) -> str:
        """See Exchange; the library names it as `ipv4:127.0.0.1:50001` or `ipv6:%5B::1%5D:50001`."""
        return unquote(self._peer.partition(":")[2]).rpartition(":")[0].strip("[]")

    def arrived(self, body: bytes) -> None:
        """Note that the message is whole."""
        self.body, self.received, self.is_whole = body, len(body), True

    def answer(self, status: int, body: bytes, kind: bytes = JSON, more: bytes = b"", *, close: bool = False) -> None:
        """See Exchange; there are no lines of a head, and a connection is closed between calls only."""
        self._give(RpcAnswer(body))

    def refuse(self, status: int, message: str, headers: Any = (), *, close: bool = False) -> None:
        """See Exchange."""
        if len(message) > _LONGEST_MESSAGE:
            message = message[: _LONGEST_MESSAGE - 1] + "…"
        retry = tuple((_PUSHBACK, f"{int(value) * 1000}") for name, value in headers if name == _RETRY)
        self._give(RpcAnswer(b"", _CODES.get(status, grpc.StatusCode.UNKNOWN), message, retry))

    def _give(self, answer: RpcAnswer) -> None:
        if self.is_answered:
            return
        self.is_answered = True
        if not self.answered.done():
            name = (HEADER.decode(), self.request_id.decode())
            self.answered.set_result(answer._replace(metadata=(name, *answer.metadata)))

    def finish(self) -> None:
        """See Exchange. What is held is held until the client has the answer."""
        self.is_busy = False
        if self.is_over:
            self.hold.release()

    def end(self) -> None:
        """Note that the client has its answer, or waits for none."""
        self.is_over = self.is_answered = True
        if not self.is_busy:
            self.hold.release()
