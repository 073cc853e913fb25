"""Calls over gRPC in a server of this process: what they share with requests over HTTP, and what they hold."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import grpc
import pytest

from mlops.workloads.floor.model.opening import Loaded
from mlops.workloads.serve.app import Application
from mlops.workloads.serve.budget import Budget, Hold
from mlops.workloads.serve.rpc_call import RpcCall
from mlops.workloads.serve.rpc_methods import RpcMethods
from tests.workloads.serve.models import rows
from tests.workloads.serve.rpc import METHOD, answered, message_of, messages
from tests.workloads.serve.servers import request_of
from tests.workloads.serve.test_hot_path import CONNECTIONS, HEAD, Transport, server_here
from tests.workloads.serve.test_hot_path import loaded as loaded


def call_of(app: Application, document: dict[str, Any], budget: Budget, **more: Any) -> RpcCall:
    """A call whose message is there."""
    route = RpcMethods(app).routes()[METHOD]
    call = RpcCall(route, METHOD, [], b"mine", Hold(budget))
    call.arrived(message_of(document, raw=True, **more).SerializeToString())
    assert call.hold.take(call.received)
    return call


async def test_calls_and_requests_of_one_turn_are_one_run(loaded: Loaded) -> None:
    """Each is answered with its own row's bits."""
    server, app = server_here(loaded, 100)
    assert app.served is not None
    calls = [call_of(app, request_of(rows(1, seed=seed)), server.budget) for seed in range(CONNECTIONS - 2)]
    transports = []
    for seed in range(2):
        connection, transport = server.connection(), Transport()
        connection.connection_made(transport)
        body = json.dumps(request_of(rows(1, seed=seed))).encode()
        connection.data_received(HEAD % len(body) + body)
        transports.append(transport)
    for call in calls:
        server.ready(call)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert app.served.runs == 1
    found = [answered(messages.ModelInferResponse.FromString(call.answered.result().body)) for call in calls]
    over_http = [json.loads(transport.written[0].partition(b"\r\n\r\n")[2])["outputs"] for transport in transports]
    assert found[:2] == over_http
    assert len({str(one) for one in found}) > 2


async def test_what_a_call_holds_is_given_back_when_its_answer_is_taken(loaded: Loaded) -> None:
    """Not before: an answer that nobody takes counts."""
    server, app = server_here(loaded, 0)
    call = call_of(app, request_of(rows(1)), server.budget)
    server.ready(call)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert call.answered.done()
    assert server.budget.used == call.received
    call.end()
    assert server.budget.used == 0


async def test_who_leaves_is_not_answered(loaded: Loaded) -> None:
    """What waits for the thread meanwhile goes on holding what it works on, until it ends."""
    server, app = server_here(loaded, 0)
    call = call_of(app, request_of(rows(300)), server.budget)
    server.ready(call)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert call.is_busy
    call.end()
    assert server.budget.used > 0
    while app.is_busy:
        await asyncio.sleep(0.01)
    assert server.budget.used == 0
    assert not call.answered.done()


@pytest.mark.parametrize(
    ("status", "code", "headers", "metadata"),
    [
        pytest.param(400, "INVALID_ARGUMENT", (), (), id="no request"),
        pytest.param(422, "INVALID_ARGUMENT", (), (), id="not what the model takes"),
        pytest.param(404, "NOT_FOUND", (), (), id="unknown"),
        pytest.param(408, "DEADLINE_EXCEEDED", (), (), id="too slow"),
        pytest.param(413, "RESOURCE_EXHAUSTED", (), (), id="too large"),
        pytest.param(500, "INTERNAL", (), (), id="unforeseen"),
        pytest.param(
            503, "UNAVAILABLE", ((b"retry-after", b"5"),), (("grpc-retry-pushback-ms", "5000"),), id="come again"
        ),
    ],
)
async def test_a_refusal_has_its_code(status: int, code: str, headers: Any, metadata: Any) -> None:
    """With the request's id, and when to try again as gRPC's retries read it; a long message is cut."""
    call = RpcCall(None, METHOD, [], b"mine", Hold(Budget(1 << 20)))  # type: ignore[arg-type]
    call.refuse(status, "x" * 5000, headers)
    call.refuse(500, "a second answer is none")
    answer = call.answered.result()
    assert answer.code is grpc.StatusCode[code]
    assert answer.message == "x" * 1499 + "…"
    assert answer.metadata == (("x-request-id", "mine"), *metadata)


@pytest.mark.parametrize("number", [1, 3])
async def test_event_times_are_one_or_one_per_row(loaded: Loaded, number: int) -> None:
    """More or fewer are refused with the words of HTTP."""
    server, app = server_here(loaded, 0)
    document = request_of(rows(number), parameters={"event_time": "2024-05-01T00:00:00Z,2024-05-02T00:00:00Z"})
    call = call_of(app, document, server.budget)
    app.handle(call)
    answer = call.answered.result()
    assert answer.code is grpc.StatusCode.INVALID_ARGUMENT
    assert answer.message == f"parameters.event_time has 2 times for {number} rows; send one, or one per row"


async def test_before_it_is_ready_a_server_says_so(loaded: Loaded) -> None:
    """Alive, not ready, and no predictions: UNAVAILABLE, with HTTP's words."""
    server, app = server_here(loaded, 0)
    served, app.served = app.served, None

    def asked(name: str, message: Any) -> Any:
        path = f"/inference.GRPCInferenceService/{name}"
        call = RpcCall(RpcMethods(app).routes()[path], path, [], b"mine", Hold(server.budget))
        call.arrived(message.SerializeToString())
        app.handle(call)
        return call.answered.result()

    def is_ready(call: str, **request: Any) -> bool:
        answer = asked(call, getattr(messages, f"{call}Request")(**request))
        ready: bool = getattr(messages, f"{call}Response").FromString(answer.body).ready
        return ready

    assert messages.ServerLiveResponse.FromString(asked("ServerLive", messages.ServerLiveRequest()).body).live
    assert not is_ready("ServerReady")
    assert not is_ready("ModelReady", name="weather")
    for name, request in (("ModelInfer", message_of(request_of(rows(1)), raw=True)), ("ModelMetadata", None)):
        answer = asked(name, request or messages.ModelMetadataRequest(name="weather"))
        assert answer.code is grpc.StatusCode.UNAVAILABLE
        assert answer.message == "the model is being loaded"
    app.served = served
    assert is_ready("ServerReady")
    assert is_ready("ModelReady", name="weather", version="3")
