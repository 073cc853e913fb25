"""A proxy between a client and a real server that misbehaves as told, one connection after the other."""

from __future__ import annotations

import re
import select
import socket
import struct
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

CHUNK = 1 << 16


@dataclass(frozen=True)
class Answer:
    """Answer the connection's first request with this status and S3 error code instead of passing it on."""

    status: int
    code: str


@dataclass(frozen=True)
class Reset:
    """Reset the connection after it passed `sent` bytes of the client's or `received` bytes of the server's.

    `politely` closes it in order instead: a body that is cut short without any error of the connection.
    """

    sent: int | None = None
    received: int | None = None
    politely: bool = False


@dataclass(frozen=True)
class Hold:
    """Stop passing anything on after `sent` bytes of the client's, without closing: a server that hangs."""

    sent: int


Fault = Answer | Reset | Hold


@dataclass
class FaultyProxy:
    """`port` is where it listens; each new connection takes the next of `faults`, and `otherwise` when none is left.

    `requests` are the request lines it has seen; `holding` is set as soon as a connection is held.
    """

    target: tuple[str, int]
    faults: deque[Fault]
    port: int
    otherwise: Fault | None = None
    requests: list[str] = field(default_factory=list)
    holding: threading.Event = field(default_factory=threading.Event)
    _over: threading.Event = field(default_factory=threading.Event)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return  # closed: the test is over
            fault = self.faults.popleft() if self.faults else self.otherwise
            threading.Thread(target=self._connection, args=(client, fault), daemon=True).start()

    def close(self) -> None:
        """Let go of what is held."""
        self._over.set()

    def _connection(self, client: socket.socket, fault: Fault | None) -> None:
        try:
            if isinstance(fault, Answer):
                self._answer(client, fault)
            else:
                with socket.create_connection(self.target) as server:
                    self._pass(client, server, fault)
        except OSError:
            return  # one of the ends went away: so does the other
        finally:
            client.close()

    def _answer(self, client: socket.socket, fault: Answer) -> None:
        request = client.recv(CHUNK)
        self._note(request)
        # The rest of the request is read first: closing with bytes unread would reset the connection.
        head, _, body = request.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        left = int(length.group(1)) - len(body) if length else 0
        while left > 0 and (data := client.recv(CHUNK)):
            left -= len(data)
        document = f"<Error><Code>{fault.code}</Code><Message>told to</Message></Error>".encode()
        head = f"HTTP/1.1 {fault.status} Told\r\nContent-Type: application/xml\r\nConnection: close\r\n".encode()
        client.sendall(head + b"Content-Length: %d\r\n\r\n" % len(document) + document)
        client.close()

    def _pass(self, client: socket.socket, server: socket.socket, fault: Fault | None) -> None:
        """Pass bytes both ways, in one thread: a socket that another thread waits for cannot be reset."""
        left = {client: getattr(fault, "sent", None), server: getattr(fault, "received", None)}
        while True:
            for source in select.select([client, server], [], [])[0]:
                data = source.recv(CHUNK)
                if not data:
                    return
                if source is client:
                    self._note(data)
                limit = left[source]
                if limit is not None:
                    left[source] = limit - len(data)
                (server if source is client else client).sendall(data if limit is None else data[:limit])
                if limit is None or len(data) <= limit:
                    continue
                if isinstance(fault, Hold):
                    self.holding.set()
                    self._over.wait()
                if not (isinstance(fault, Reset) and fault.politely):
                    # Lingering for no time turns the close that follows into a reset.
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return

    def _note(self, data: bytes) -> None:
        found = re.match(rb"(GET|HEAD|PUT|POST|DELETE) (\S+) HTTP/1.1\r\n", data)
        if found:
            self.requests.append(found.group().decode().strip())


@contextmanager
def faulty_proxy(endpoint: str, faults: Iterable[Fault] = (), otherwise: Fault | None = None) -> Iterator[FaultyProxy]:
    """A proxy in front of `endpoint` (`http://127.0.0.1:port`)."""
    host, _, port = endpoint.removeprefix("http://").partition(":")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = FaultyProxy((host, int(port)), deque(faults), listener.getsockname()[1], otherwise)
        thread = threading.Thread(target=proxy.serve, args=(listener,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.close()
            listener.shutdown(socket.SHUT_RDWR)
    thread.join()
