"""TLS at the server's port: one certificate, renewed without a restart, and handshakes that are bounded."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from mlops.workloads.serve.http import HttpConnection
from mlops.workloads.serve.mounted_files import Files, Unusable
from mlops.workloads.serve.server import Server

CERTIFICATE, KEY = "tls.crt", "tls.key"
# Handshakes at a time: of more the oldest is cut off, so that whoever holds many keeps nobody out for long.
MOST_HANDSHAKES: Final = 128
HANDSHAKE_SECONDS: Final = 10.0
# How long a client may take to say goodbye, too.
_GOODBYE_SECONDS: Final = 1.0
_WAITING_BYTES: Final = 64 << 10
_PAUSE_SECONDS: Final = 0.5


class PemPair(NamedTuple):
    """A certificate, with those that signed it behind it, and its key."""

    certificate: bytes
    key: bytes


class Certificate(ssl.SSLContext):
    """What each new connection is given: the newest certificate that was of use."""

    def __init__(self, *_: Any) -> None:
        self._newest: ssl.SSLContext | None = None
        # The same, certificate and key as PEM, for whoever brings TLS of its own.
        self.pair = PemPair(b"", b"")

    def take(self, files: Files, place: Path) -> None:
        """Show the certificate in `place` from the next handshake on. Raises Unusable, and the one before is kept."""
        self._newest = _context_of(files, place)
        self.pair = PemPair(files[CERTIFICATE], files[KEY])

    def wrap_bio(self, *given: Any, **named: Any) -> ssl.SSLObject:
        """Return the TLS side of one connection."""
        assert self._newest is not None
        return self._newest.wrap_bio(*given, **named)


def certificate() -> Certificate:
    """Return one that has taken no files yet."""
    return Certificate(ssl.PROTOCOL_TLS_SERVER)


def _context_of(files: Files, place: Path) -> ssl.SSLContext:
    if missing := [name for name in (CERTIFICATE, KEY) if not files.get(name)]:
        raise Unusable(f"it must hold {' and '.join(missing)}, as a Secret of type kubernetes.io/tls does")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    # Who would rather speak HTTP/2 is told that there is none.
    context.set_alpn_protocols(["http/1.1"])
    try:
        # A key with a password is asked for on a terminal, unless this says it is empty.
        context.load_cert_chain(place / CERTIFICATE, place / KEY, password="")
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", None) or type(error).__name__
        raise Unusable(
            f"{CERTIFICATE} and {KEY} are no PEM certificate with its unencrypted key ({why}): put a pair there"
        ) from error
    return context


class TlsConnection(HttpConnection):
    """A client's connection over TLS."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        transport.set_write_buffer_limits(high=_WAITING_BYTES)
        super().connection_made(transport)

    def eof_received(self) -> bool:
        """A TLS connection that its client has closed cannot be answered."""
        super().eof_received()
        return False


def tls_listening(context: ssl.SSLContext) -> Callable[[Server, socket.socket], TlsListener]:
    """Return what listens on a socket with this certificate."""
    return lambda server, listener: TlsListener(server, listener, context)


class TlsListener:
    """Accepts connections of a listening socket, each after its handshake."""

    def __init__(self, server: Server, listener: socket.socket, context: ssl.SSLContext) -> None:
        self._server, self._listener, self._context = server, listener, context
        # In the order in which they began.
        self._handshakes: dict[asyncio.Task[None], socket.socket] = {}
        self._again: asyncio.TimerHandle | None = None
        self._listen()

    def _listen(self) -> None:
        self._server.loop.add_reader(self._listener.fileno(), self._accept)

    def close(self) -> None:
        """Accept nothing more."""
        if self._again is not None:
            self._again.cancel()
        self._server.loop.remove_reader(self._listener.fileno())
        self._listener.close()
        for task in self._handshakes:
            task.cancel()

    def _accept(self) -> None:
        # As many at a time as there may be handshakes: the loop has other work.
        for _ in range(MOST_HANDSHAKES):
            try:
                accepted, _address = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:
                # No more open files: those who wait do so until some are closed.
                self._server.loop.remove_reader(self._listener.fileno())
                self._again = self._server.loop.call_later(_PAUSE_SECONDS, self._listen)
                return
            accepted.setblocking(False)
            if len(self._handshakes) >= MOST_HANDSHAKES:
                next(iter(self._handshakes)).cancel()
            task = self._server.loop.create_task(self._begin(accepted))
            self._handshakes[task] = accepted
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        accepted = self._handshakes.pop(task)
        if task.cancelled():
            # Before it had begun.
            accepted.close()

    async def _begin(self, accepted: socket.socket) -> None:
        try:
            await self._server.loop.connect_accepted_socket(
                lambda: TlsConnection(self._server),
                accepted,
                ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=_GOODBYE_SECONDS,
            )
        except (OSError, asyncio.CancelledError):
            # Who speaks no TLS, or is too slow, gets no answer that it could read.
            with suppress(OSError):
                accepted.close()
