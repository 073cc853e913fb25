"""The second port: gRPC beside HTTP. Only this module and `rpc_call` know of the library, which is imported when a
server is told to speak gRPC: it takes 23 MB of memory.

Calls come in the event loop's thread and join what came over HTTP in the same turn. The library bounds connections, the
size of messages and of metadata; how long a message may be on its way, and what those that are take together, is
bounded here. It reads a message as a whole and says nothing of its size before: one that is not there at once counts as
the largest that there may be.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Any, Final

from mlops.api.pod_environment import ServerSettings
from mlops.workloads.serve.budget import Budget, Hold
from mlops.workloads.serve.errors import RequestError, busy, unavailable
from mlops.workloads.serve.exchange import Fields
from mlops.workloads.serve.request_ids import RequestIds
from mlops.workloads.serve.routes import NO_ROUTE
from mlops.workloads.serve.rpc_methods import RpcMethods
from mlops.workloads.serve.server import Server
from mlops.workloads.serve.tls import HANDSHAKE_SECONDS, Certificate, PemPair

# Its own lines are in no form of ours; what goes wrong with a call, its client is told.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
logging.getLogger("grpc").setLevel(logging.CRITICAL)

import grpc  # noqa: E402
import grpc.aio  # noqa: E402

from mlops.workloads.serve.rpc_call import RpcCall  # noqa: E402

# What a call takes beside its message.
_CALL_BYTES: Final = 16 << 10
# After so long a message is not "there at once".
_SOON_SECONDS: Final = 0.05
# Calls of one connection at a time; others wait at the client.
_MOST_STREAMS: Final = 128
_LEAST_PING_MILLISECONDS: Final = 10_000
# How long a connection lives where a server does not go on after it was told to stop.
_AGE_SECONDS: Final = 30


class RpcServer:
    """Answers calls on a port of its own, over TLS where there is a certificate. For the event loop's thread, in which
    it is made."""

    def __init__(
        self,
        methods: RpcMethods,
        server: Server,
        settings: ServerSettings,
        ids: RequestIds,
        certificate: Certificate | None = None,
    ) -> None:
        self._server, self._settings, self._ids = server, settings, ids
        self._methods, self._routes, self._certificate = methods, methods.routes(), certificate
        self._calls = 0
        # What messages that are on their way may become.
        self._arriving = Budget(settings.buffered_bytes)
        self._grpc = grpc.aio.server(options=_options(settings))
        self._grpc.add_generic_rpc_handlers((_Handler(self),))
        self.port = 0

    async def start(self) -> None:
        """Accept connections. Raises OSError if the port cannot be had."""
        host, port = self._settings.host, self._settings.grpc_port
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            if self._certificate is None:
                self.port = self._grpc.add_insecure_port(address)
            else:
                self.port = self._grpc.add_secure_port(address, _credentials(self._certificate))
        except RuntimeError as error:
            await self.close(0)
            also = ", or the certificate is none that gRPC takes" if self._certificate else ""
            raise OSError(
                f"cannot listen on {host}:{port} for gRPC; it is taken, or no address of this machine{also}"
            ) from error
        await self._grpc.start()

    async def close(self, seconds: float) -> None:
        """Accept nothing more, and cut off what is not answered within so many seconds."""
        await self._grpc.stop(seconds)

    async def call(self, path: str, context: Any) -> bytes:
        """Answer a call, as the library asks for it."""
        headers, route = _headers(context.invocation_metadata()), self._routes.get(path, NO_ROUTE)
        call = RpcCall(route, path, headers, self._ids.of(headers), Hold(self._server.budget), context.peer())
        self._calls += 1
        context.add_done_callback(lambda _: self._done(call))
        # Before a byte of its message is asked for.
        if self._methods.admits(call):
            if route is NO_ROUTE:
                self._server.refused(404, "the call is unknown", call.request_id)
                await context.abort(grpc.StatusCode.UNIMPLEMENTED, "this server has no such call; see docs/serving.md")
            await self._take(call, context)
        answer = await call.answered
        if answer.code is not grpc.StatusCode.OK:
            await context.abort(answer.code, answer.message, answer.metadata)
        context.set_trailing_metadata(answer.metadata)
        return answer.body

    async def _take(self, call: RpcCall, context: Any) -> None:
        """Have a call answered whose message is still to come."""
        try:
            call.arrived(await self._message(call, context))
            if not call.hold.take(call.received):
                raise busy()
        except RequestError as error:
            self._server.refused(error.status, error.message, call.request_id)
            call.refuse(error.status, error.message, error.headers)
        else:
            self._server.ready(call)

    def _done(self, call: RpcCall) -> None:
        self._calls -= 1
        call.end()

    async def _message(self, call: RpcCall, context: Any) -> bytes:
        """Return the message of a call. Raises RequestError."""
        if self._calls > self._settings.connections:
            raise unavailable(f"this server has {self._settings.connections} calls, its limit; try again later")
        if not call.hold.take_little(_CALL_BYTES):
            raise busy()
        arrival = _Arrival(self._arriving, self._settings, self._server.loop)
        try:
            body = await context.read()
        except asyncio.CancelledError:
            if arrival.refusal is None:
                raise
            raise arrival.refusal from None
        finally:
            arrival.end()
        if body is grpc.aio.EOF:
            # The library has told the client already.
            raise RequestError(413, f"the call has no message, or one of more than {self._settings.body_bytes} bytes")
        found: bytes = body
        return found


class _Arrival:
    """The time that a message may take, and what it counts for once it takes long. Ends the task that waits for it."""

    def __init__(self, budget: Budget, settings: ServerSettings, loop: asyncio.AbstractEventLoop) -> None:
        self._budget, self._settings, self._loop = budget, settings, loop
        self._held = 0
        self._task = asyncio.current_task()
        self.refusal: RequestError | None = None
        self._timer = loop.call_later(_SOON_SECONDS, self._is_slow)

    def end(self) -> None:
        """Note that the message is there, or will not come."""
        self._timer.cancel()
        self._budget.give(self._held)
        self._held = 0

    def _is_slow(self) -> None:
        if not self._budget.take(self._settings.body_bytes):
            self._refuse(busy())
            return
        self._held = self._settings.body_bytes
        self._timer = self._loop.call_later(self._settings.request_seconds - _SOON_SECONDS, self._is_late)

    def _is_late(self) -> None:
        seconds = self._settings.request_seconds
        self._refuse(RequestError(408, f"the request did not arrive within {seconds} seconds; send it faster"))

    def _refuse(self, error: RequestError) -> None:
        self.refusal = error
        if self._task is not None:
            self._task.cancel()


class _Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Finds what answers a call."""

    def __init__(self, server: RpcServer) -> None:
        self._server = server

    def service(self, handler_call_details: Any) -> Any:
        path = handler_call_details.method

        async def behave(_: Any, context: Any) -> bytes:
            return await self._server.call(path, context)

        # As a stream of messages, of which one is read: so a call is seen before its message is there.
        return grpc.stream_unary_rpc_method_handler(behave)


def _headers(given: Any) -> Fields:
    """Return metadata as headers of HTTP."""
    return [
        (name.encode(), value if isinstance(value, bytes) else value.encode("latin-1", "replace"))
        for name, value in given
    ]


def _credentials(certificate: Certificate) -> Any:
    """Return what shows, in each handshake, the certificate of then; TLS 1.2 and newer, as the library has it."""
    shown = certificate.pair

    def changed() -> Any:
        nonlocal shown
        # In a thread of the library.
        newest = certificate.pair
        if newest is shown:
            return None
        shown = newest
        return _configuration(newest)

    return grpc.dynamic_ssl_server_credentials(_configuration(shown), changed)


def _configuration(pair: PemPair) -> Any:
    return grpc.ssl_server_certificate_configuration([(pair.key, pair.certificate)])


def _options(settings: ServerSettings) -> list[tuple[str, int]]:
    """Return the library's own bounds."""
    return [
        # Two processes on one port would each get a part of the calls.
        ("grpc.so_reuseport", 0),
        ("grpc.max_allowed_incoming_connections", settings.connections),
        ("grpc.max_concurrent_streams", _MOST_STREAMS),
        ("grpc.server_handshake_timeout_ms", int(1000 * HANDSHAKE_SECONDS)),
        ("grpc.max_receive_message_length", settings.body_bytes),
        # What a model answers is bounded by the rows that are asked.
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", settings.head_bytes),
        ("grpc.absolute_max_metadata_size", settings.head_bytes),
        # It would decompress without a bound.
        ("grpc.per_message_decompression", 0),
        ("grpc.max_connection_idle_ms", 1000 * settings.keep_alive_seconds),
        # An old connection is ended between two calls, so that a client's calls spread over the pods of a stage, and
        # none is on its way to a pod when that ends. Who does not take an answer keeps it for no longer.
        ("grpc.max_connection_age_ms", 500 * settings.drain_seconds or 1000 * _AGE_SECONDS),
        ("grpc.max_connection_age_grace_ms", 1000 * settings.request_seconds),
        ("grpc.http2.min_ping_interval_without_data_ms", _LEAST_PING_MILLISECONDS),
        ("grpc.keepalive_permit_without_calls", 1),
    ]
