"""The application: routes, headers, states. What needs the model is in `Served`."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ClassVar, Final

from mlops.api.pod_environment import ServerLimits
from mlops.api.serving_task import ServeTask
from mlops.store.errors import StoreError
from mlops.workloads.serve.bodies import stated_length, with_body
from mlops.workloads.serve.documents import Documents, model_statistics
from mlops.workloads.serve.encoder import EncoderGone
from mlops.workloads.serve.errors import RequestError, busy, is_fault, shown, unavailable, unknown_model
from mlops.workloads.serve.exchange import READ_ON, Exchange
from mlops.workloads.serve.failures import SERVER_ERROR, FailureLog
from mlops.workloads.serve.inference import InferenceRequest
from mlops.workloads.serve.line import late
from mlops.workloads.serve.metrics import CONTENT_TYPE, Metrics
from mlops.workloads.serve.request_ids import RequestIds
from mlops.workloads.serve.routes import NO_ROUTE, HttpAnswer, Route, json_answer
from mlops.workloads.serve.row_request import RowRequest
from mlops.workloads.serve.rows import Asked, RowBatches, Written
from mlops.workloads.serve.served import Served
from mlops.workloads.serve.trace_context import trace_of

_OCTETS: Final = b"application/octet-stream"
Read = Callable[[bytes | bytearray, int | None], InferenceRequest | RowRequest]
_MODEL: Final = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?(?:/[a-z]+)?")
# Of an answer that any request may have, a refusal or a health check's.
_LITTLE: Final = 64 << 10


class Application:
    """One model version over HTTP. `served` is None until the model has been loaded and checked."""

    # What answers rows together.
    batches: ClassVar[type[RowBatches]] = RowBatches

    def __init__(
        self, task: ServeTask, limits: ServerLimits, metrics: Metrics, ids: RequestIds, failures: FailureLog
    ) -> None:
        self.task, self.limits, self.metrics = task, limits, metrics
        self._ids, self._failures = ids, failures
        self.served: Served | None = None
        self.draining = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._fetched = False
        documents = Documents(task, self.model, lambda: self.versions, self.statistics)
        self._routes = self._routes_of(task) | documents.routes() | self.version_routes()

    def has_artifact(self) -> None:
        """Note that the artifact has been fetched; what comes from here on is up to the model."""
        self._fetched = True

    def _routes_of(self, task: ServeTask) -> dict[str, Route]:
        model, limit = f"/v2/models/{task.model_name}", self.limits.body_bytes
        version = f"{model}/versions/{task.version}"
        routes = {
            "/v2/health/live": Route("health", get=lambda: json_answer(200, {"live": True})),
            "/v2/health/fetched": Route("health", get=self._has_fetched),
            "/v2/health/ready": Route("health", get=self._server_ready),
            "/metrics": Route("metrics", get=self._exposition),
            "/-/flush": Route("flush", post=self._flush),
            f"{model}/feedback": with_body("feedback", self._feedback, limit),
        }
        for path in (model, version):
            routes[f"{path}/ready"] = Route("health", get=self._ready)
            routes[f"{path}/infer"] = with_body("infer", self.infer, limit)
            routes[f"{path}/predict"] = with_body("infer", self._predict, limit)
        return routes

    def version_routes(self) -> dict[str, Route]:
        """Return the addresses of requests that name a version, where there are several."""
        return {}

    @property
    def versions(self) -> list[str]:
        """Return the versions that answer."""
        return [str(self.task.version)]

    def statistics(self) -> list[dict[str, Any]]:
        """Return what each version has answered, as the statistics extension says it, the stage's own version first.

        Raises RequestError until the model is there.
        """
        served, metrics = self.model(), self.metrics
        return [model_statistics(self.task, self.task.version, metrics.rows, served.runs, metrics.inference())]

    @property
    def paths(self) -> list[str]:
        """Return the addresses that there are."""
        return list(self._routes)

    @property
    def vital(self) -> list[str]:
        """Return the addresses that say how the server is."""
        return [path for path, route in self._routes.items() if route.name in ("health", "metrics")]

    @property
    def is_busy(self) -> bool:
        """Whether requests are worked on beyond a turn of the loop."""
        return bool(self._tasks) or (self.served is not None and self.served.rows.is_busy)

    def serve(self, served: Served) -> None:
        """Answer by this model from now on."""
        served.rows.answered = self._answered
        self.served = served

    async def flush_until(self, deadline: float) -> int:
        """Store everything that was recorded, trying until `deadline` (of time.monotonic); return the rows that could
        not be stored."""
        return 0 if self.served is None else await self.served.flush_until(deadline)

    def close(self) -> None:
        """End what works for the model."""
        if self.served is not None:
            self.served.close()

    def handle(self, exchange: Exchange) -> None:
        """Answer a request, or wait for its body, or see to it that it is answered."""
        try:
            self._handle(exchange)
        except BaseException as error:
            if not is_fault(error):
                raise
            self._fail(exchange, error)

    def admits(self, exchange: Exchange) -> bool:
        """Whether a request whose head is there may go on; if not, it is answered."""
        return True

    def end_turn(self) -> None:
        """Answer the rows that were asked in this turn of the loop."""
        if self.served is not None:
            self.served.rows.end_turn()

    def _handle(self, exchange: Exchange) -> None:
        route: Route | None = exchange.route
        if route is None:
            route = self._entered(exchange)
            if exchange.method != b"POST" or route.post is None:
                self._answer_without_body(route, exchange)
                return
            length = stated_length(exchange)
            route = exchange.route
            if length > self.limits.body_bytes and exchange.expects_100:
                raise self._too_large()
        if exchange.hold.is_over:
            raise busy()
        if exchange.received > (1 if exchange.is_whole else READ_ON) * self.limits.body_bytes:
            raise self._too_large()
        if not exchange.is_whole:
            exchange.go_on()
        elif route.post is not None:
            route.post(exchange)

    def _entered(self, exchange: Exchange) -> Route:
        """Return what answers a request whose head is there, and note it. Raises RequestError of one that may not."""
        routes, path = self._routes, exchange.path
        exchange.route = route = routes.get(path) or routes.get(path.removesuffix("/"), NO_ROUTE)
        exchange.request_id = self._ids.of(exchange.headers)
        return route

    def _answer_without_body(self, route: Route, exchange: Exchange) -> None:
        if exchange.method in (b"GET", b"HEAD") and route.get is not None:
            self.answer(exchange, route.get())
            return
        if exchange.method in (b"GET", b"HEAD") and route.page is not None:
            self.answer(exchange, route.page(exchange.headers))
            return
        if route is NO_ROUTE:
            raise self._unknown(exchange.path)
        raise RequestError(
            405,
            f"{exchange.path} takes {route.allowed}, not {shown(exchange.method.decode('latin-1'))}",
            [(b"allow", route.allowed.encode())],
        )

    def answer(self, exchange: Exchange, answer: HttpAnswer) -> None:
        """Write an answer and count it. Raises RequestError if there is no room for it."""
        body = answer.body
        if len(body) > _LITTLE and not exchange.hold.take(len(body)):
            raise busy()
        exchange.answer(answer.status, body, answer.kind, answer.more, close=self.draining)
        self.metrics.count(exchange.route.name, answer.status, time.perf_counter() - exchange.started)

    def _fail(self, exchange: Exchange, error: BaseException) -> None:
        name, request_id = exchange.route.name, exchange.request_id
        closes = self.draining
        if isinstance(error, RequestError):
            self._failures.refused(name, error.status, error.message, request_id, trace_of(exchange.headers))
            refusal = error
        else:
            self._failures.failed(name, error, request_id, trace_of(exchange.headers))
            refusal = _unforeseen(request_id)
        exchange.refuse(refusal.status, refusal.message, refusal.headers, close=closes or refusal.closes)
        self.metrics.count(name, refusal.status, time.perf_counter() - exchange.started)

    def _later(self, exchange: Exchange, answer: Coroutine[Any, Any, HttpAnswer]) -> None:
        """Answer beyond this turn of the loop."""
        exchange.is_busy = True
        task = asyncio.get_running_loop().create_task(self._finish(exchange, answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish(self, exchange: Exchange, answer: Awaitable[HttpAnswer]) -> None:
        try:
            self.answer(exchange, await answer)
        except BaseException as error:
            if not is_fault(error):
                raise
            self._fail(exchange, error)
        finally:
            exchange.finish()

    def _unknown(self, path: str) -> RequestError:
        named = _MODEL.fullmatch(path)
        if named and (error := unknown_model(self.task, named[1], named[2])):
            return error
        return RequestError(404, f"{shown(path, 200)} is no address here; see /v2/models/{self.task.model_name}")

    # What GET answers

    def _has_fetched(self) -> HttpAnswer:
        if not self._fetched:
            raise unavailable("the artifact is being fetched")
        return json_answer(200, {"fetched": True})

    def _server_ready(self) -> HttpAnswer:
        self.model()
        # The specification shows `live`, its servers and clients go by `ready`.
        return json_answer(200, {"live": True, "ready": True})

    def _ready(self) -> HttpAnswer:
        # Also while it drains: of a stage's only pod, which is going, the routes are kept as long as it says so.
        self.model()
        return json_answer(200, {"name": self.task.model_name, "ready": True})

    def _exposition(self) -> HttpAnswer:
        return HttpAnswer(200, self.metrics.exposition(), CONTENT_TYPE)

    # What POST answers

    def _predict(self, exchange: Exchange) -> None:
        self.infer(exchange, self.model().read_objects)

    def infer(self, exchange: Exchange, read: Read | None = None) -> None:
        """Answer a request for predictions, which `read` reads: by default JSON with binary tensors behind it.

        Raises RequestError.
        """
        served = self.model()
        if time.perf_counter() - exchange.ready_at > 0.001 * self.limits.wait_milliseconds:
            # Those before it have taken so long: to read it only to answer later still would hold up those behind it.
            raise late(0.001 * self.limits.wait_milliseconds)
        request = (read or served.read)(exchange.body, exchange.header_length)
        if isinstance(request, RowRequest):
            served.ask(request, exchange, exchange.ready_at)
        elif served.is_quick(request):
            self.answer(exchange, inferred(served.infer_now(request)))
        else:
            self._later(exchange, self._predicted(served, request, exchange))

    async def _predicted(self, served: Served, request: InferenceRequest, exchange: Exchange) -> HttpAnswer:
        return inferred(await served.infer_later(request, exchange.hold, lambda: exchange.is_answered))

    def _answered(self, asked: Asked, found: Written | BaseException) -> None:
        """Answer a row that was asked among others."""
        exchange = asked.exchange
        if type(found) is tuple and found[1] is None and len(found[0]) <= _LITTLE and not exchange.is_busy:
            exchange.answer(200, found[0], close=self.draining)
            self.metrics.count("infer", 200, time.perf_counter() - exchange.started)
            return
        try:
            if isinstance(found, BaseException):
                raise found
            self.answer(exchange, inferred(found))
        except BaseException as error:
            if not is_fault(error):
                raise
            self._fail(exchange, error)
        finally:
            if exchange.is_busy:
                exchange.finish()

    def _feedback(self, exchange: Exchange) -> None:
        accepted, new = self.model().feedback(exchange.body)
        self.answer(exchange, json_answer(202, {"accepted": accepted, **({"newClasses": new} if new else {})}))

    def _flush(self, exchange: Exchange) -> None:
        self._later(exchange, self._flushed(self.model()))

    async def _flushed(self, served: Served) -> HttpAnswer:
        try:
            return json_answer(200, await self.flushed(served))
        except (StoreError, EncoderGone) as error:
            raise unavailable(f"the rows are kept, but not in the store: {error}", retry_seconds=5) from error

    async def flushed(self, served: Served) -> dict[str, Any]:
        """Store everything that was taken so far and say how much that was. Raises StoreError and EncoderGone."""
        return await served.flush()

    def model(self) -> Served:
        """Return the model. Raises RequestError until it is there."""
        if self.served is None:
            raise unavailable("the model is being loaded")
        return self.served

    def _too_large(self) -> RequestError:
        message = f"the body has more than {self.limits.body_bytes} bytes, the limit; send the rows in several requests"
        return RequestError(413, message, closes=True)


def inferred(written: Written) -> HttpAnswer:
    data, header_length = written
    if header_length is None:
        return HttpAnswer(200, data)
    return HttpAnswer(200, data, _OCTETS, b"inference-header-content-length: %d\r\n" % header_length)


def _unforeseen(request_id: bytes) -> RequestError:
    return RequestError(
        SERVER_ERROR, f"the server did not foresee this; its log says more of request {request_id.decode()}"
    )
