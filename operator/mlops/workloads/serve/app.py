"""The ASGI application: routes, bodies, states. What needs the model is in `Served`."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, Final

import orjson

from mlops.api import tasks
from mlops.api.pod_environment import ServerLimits
from mlops.store.errors import StoreError
from mlops.workloads.floor.pod import is_panic
from mlops.workloads.serve.budget import Hold
from mlops.workloads.serve.errors import RequestError, shown, unavailable
from mlops.workloads.serve.failures import SERVER_ERROR, FailureLog
from mlops.workloads.serve.http import HOLD
from mlops.workloads.serve.metrics import CONTENT_TYPE, Metrics
from mlops.workloads.serve.request_ids import HEADER, RequestIds
from mlops.workloads.serve.served import Served

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

_JSON: Final = (b"content-type", b"application/json")
_OCTETS: Final = (b"content-type", b"application/octet-stream")
_CLOSE: Final = (b"connection", b"close")
_MODEL: Final = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?(?:/(?:ready|infer|feedback))?")
# Of an answer that any request may have, a refusal or a health check's.
_LITTLE: Final = 64 << 10
# A body that is too large is read on for so many times the limit, so that its sender gets to read the answer.
_READ_ON: Final = 4


class Disconnected(Exception):
    """The client went away."""


@dataclass(frozen=True)
class HttpAnswer:
    """A response; `headers` hold its content type."""

    status: int
    body: bytes
    headers: list[tuple[bytes, bytes]] = field(default_factory=lambda: [_JSON])


@dataclass(frozen=True)
class Body:
    """A request's body, the one header that says how to read it, and what the request holds of the memory."""

    data: bytes
    # How many of its bytes are JSON before the binary tensors; None: all.
    header_length: int | None
    hold: Hold


@dataclass(frozen=True)
class Route:
    """A name for the metrics, and what answers GET and POST."""

    name: str
    get: Callable[[], HttpAnswer] | None = None
    post: Callable[[Body], Awaitable[HttpAnswer]] | None = None

    @property
    def allowed(self) -> str:
        """Return the value of the header Allow."""
        return ", ".join((["GET", "HEAD"] if self.get else []) + (["POST"] if self.post else []))


class Application:
    """One model version over HTTP. `served` is None until the model has been loaded and checked."""

    def __init__(
        self, task: tasks.ServeTask, limits: ServerLimits, metrics: Metrics, ids: RequestIds, failures: FailureLog
    ) -> None:
        self._task, self._limits, self._metrics = task, limits, metrics
        self._ids, self._failures = ids, failures
        self.served: Served | None = None
        self.draining = False
        self._fetched = False
        self._version = metadata.version("mlops-operator")
        self._routes = self._routes_of(task)

    def has_artifact(self) -> None:
        """Note that the artifact has been fetched; what comes from here on is up to the model."""
        self._fetched = True

    def _routes_of(self, task: tasks.ServeTask) -> dict[str, Route]:
        model = f"/v2/models/{task.model_name}"
        version = f"{model}/versions/{task.version}"
        routes = {
            "/v2": Route("server", get=self._server),
            "/v2/health/live": Route("health", get=lambda: _json(200, {"live": True})),
            "/v2/health/fetched": Route("health", get=self._has_fetched),
            "/v2/health/ready": Route("health", get=self._ready),
            "/metrics": Route("metrics", get=self._exposition),
            "/-/flush": Route("flush", post=self._flush),
            f"{model}/feedback": Route("feedback", post=self._feedback),
        }
        for path in (model, version):
            routes[path] = Route("model", get=lambda: _json(200, self._model().interface.metadata()))
            routes[f"{path}/ready"] = Route("health", get=self._ready)
            routes[f"{path}/infer"] = Route("infer", post=self._infer)
        return routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = time.perf_counter()
        route = self._routes.get(scope["path"])
        name = "other" if route is None else route.name
        request_id = self._ids.of(scope["headers"])
        try:
            answer = self._fitting(await self._answer(route, scope, receive), scope["state"][HOLD])
        except RequestError as error:
            answer = HttpAnswer(error.status, orjson.dumps({"error": error.message}), [_JSON, *error.headers])
            self._failures.refused(name, error.status, error.message, request_id)
        except Disconnected:
            return
        except BaseException as error:
            # A library in Rust that gives up raises no Exception.
            if not isinstance(error, Exception) and not is_panic(error):
                raise
            self._failures.failed(name, error, request_id)
            answer = _unforeseen(request_id)
        headers = [*answer.headers, (b"content-length", b"%d" % len(answer.body)), (HEADER, request_id)]
        if self.draining:
            headers.append(_CLOSE)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})
        self._metrics.count(name, answer.status, time.perf_counter() - started)

    async def _answer(self, route: Route | None, scope: Scope, receive: Receive) -> HttpAnswer:
        if route is None:
            raise self._unknown(scope["path"])
        method = scope["method"]
        if method == "POST" and route.post is not None:
            return await route.post(await self._body(scope["headers"], receive, scope["state"][HOLD]))
        if method in ("GET", "HEAD") and route.get is not None:
            return route.get()
        raise RequestError(
            405,
            f"{scope['path']} takes {route.allowed}, not {shown(method)}",
            [(b"allow", route.allowed.encode())],
        )

    def _fitting(self, answer: HttpAnswer, hold: Hold) -> HttpAnswer:
        if len(answer.body) <= _LITTLE or hold.take(len(answer.body)):
            return answer
        raise _busy()

    def _unknown(self, path: str) -> RequestError:
        named = _MODEL.fullmatch(path)
        task = self._task
        if named and named[1] != task.model_name:
            return RequestError(404, f"model {shown(named[1])} is unknown; this server has {task.model_name!r}")
        if named and named[2] not in (None, str(task.version)):
            return RequestError(
                404, f"version {shown(named[2])} of {task.model_name!r} is unknown; this server has {task.version}"
            )
        return RequestError(404, f"{shown(path, 200)} is no address here; see /v2/models/{task.model_name}")

    # What GET answers

    def _server(self) -> HttpAnswer:
        return _json(200, {"name": "mlops", "version": self._version, "extensions": ["binary_tensor_data"]})

    def _has_fetched(self) -> HttpAnswer:
        if not self._fetched:
            raise unavailable("the artifact is being fetched")
        return _json(200, {"fetched": True})

    def _ready(self) -> HttpAnswer:
        # Also while it drains: of a stage's only pod, which is going, the routes are kept as long as it says so.
        self._model()
        return _json(200, {"name": self._task.model_name, "ready": True})

    def _exposition(self) -> HttpAnswer:
        return HttpAnswer(200, self._metrics.exposition(), [(b"content-type", CONTENT_TYPE)])

    # What POST answers

    async def _infer(self, body: Body) -> HttpAnswer:
        data, header_length = await self._model().infer(body.data, body.header_length, body.hold)
        if header_length is None:
            return HttpAnswer(200, data)
        return HttpAnswer(200, data, [_OCTETS, (b"inference-header-content-length", b"%d" % header_length)])

    async def _feedback(self, body: Body) -> HttpAnswer:
        accepted, new = self._model().feedback(body.data)
        return _json(202, {"accepted": accepted, **({"newClasses": new} if new else {})})

    async def _flush(self, _: Body) -> HttpAnswer:
        try:
            return _json(200, await self._model().flush())
        except StoreError as error:
            raise unavailable(f"the rows are kept, but not in the store: {error}", retry_seconds=5) from error

    def _model(self) -> Served:
        if self.served is None:
            raise unavailable("the model is being loaded")
        return self.served

    async def _body(self, headers: Headers, receive: Receive, hold: Hold) -> Body:
        length, header_length, is_expecting = self._checked(headers)
        if length > self._limits.body_bytes and is_expecting:
            raise self._too_large()
        message = await _next(receive, hold)
        data = message["body"]
        if message.get("more_body"):
            data = await self._rest(data, receive, hold)
        if len(data) > self._limits.body_bytes:
            raise self._too_large()
        return Body(data, header_length, hold)

    async def _rest(self, first: bytes, receive: Receive, hold: Hold) -> bytes:
        """Return the whole body; raises RequestError when it grows too large."""
        data = bytearray(first)
        received = len(data)
        while True:
            message = await _next(receive, hold)
            received += len(message["body"])
            if received > _READ_ON * self._limits.body_bytes:
                raise self._too_large()
            if received <= self._limits.body_bytes:
                data += message["body"]
            else:
                hold.give(len(message["body"]))
            if not message.get("more_body"):
                break
        if received > self._limits.body_bytes:
            raise self._too_large()
        return bytes(data)

    def _too_large(self) -> RequestError:
        message = (
            f"the body has more than {self._limits.body_bytes} bytes, the limit; send the rows in several requests"
        )
        return RequestError(413, message, [_CLOSE])

    def _checked(self, headers: Headers) -> tuple[int, int | None, bool]:
        """Return the body's stated length (0: none), the length of its JSON part, and whether it waits for a 100."""
        length = 0
        header_length = None
        is_expecting = False
        for name, value in headers:
            if name == b"content-length":
                length = int(value)
            elif name == b"content-type":
                kind = value.partition(b";")[0].strip().lower()
                if kind not in (b"application/json", b"application/octet-stream"):
                    raise RequestError(415, f"Content-Type is {shown(value.decode('latin-1'))}; send application/json")
            elif name == b"content-encoding":
                if value.strip().lower() not in (b"", b"identity"):
                    raise RequestError(
                        415, f"Content-Encoding is {shown(value.decode('latin-1'))}; send it uncompressed"
                    )
            elif name == b"inference-header-content-length":
                if not value.isdigit() or len(value) > 12:
                    raise RequestError(400, "Inference-Header-Content-Length is no whole number of bytes")
                header_length = int(value)
            elif name == b"expect":
                is_expecting = True
        return length, header_length, is_expecting


async def _next(receive: Receive, hold: Hold) -> MutableMapping[str, Any]:
    """Return more of the body; raises RequestError when what all requests hold together has left no room for it."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Disconnected
    if hold.is_over:
        raise _busy()
    return message


def _busy() -> RequestError:
    return unavailable("too many large requests at a time; send fewer at once")


def _unforeseen(request_id: bytes) -> HttpAnswer:
    return _json(
        SERVER_ERROR,
        {"error": f"the server did not foresee this; its log says more of request {request_id.decode()}"},
    )


def _json(status: int, document: Any) -> HttpAnswer:
    return HttpAnswer(status, orjson.dumps(document))
