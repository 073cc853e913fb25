"""What a client over gRPC can cost: messages, time, memory, connections; and how the server ends."""

from __future__ import annotations

import gzip
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.workloads.serve.models import rows
from tests.workloads.serve.rpc import (
    EXHAUSTED,
    METHOD,
    NOT_FOUND,
    UNAVAILABLE,
    Both,
    ends,
    message_of,
    messages,
    raw_call,
    refused,
    serving_both,
)
from tests.workloads.serve.servers import artifact_of, metric, request_of, serving, started, task_of

ROW = message_of(request_of(rows(1)), raw=True)


def counted(both: Both, status: int, route: str = "refused") -> float:
    """How many calls were answered so."""
    name = f'mlops_requests_total{{code="{status}",route="{route}"}}'
    text = both.served.ask("GET", "/metrics")[2].decode()
    return float(next((line.split()[-1] for line in text.splitlines() if line.startswith(name + " ")), 0))


def wait_until_nothing_is_held(both: Both, seconds: float = 10) -> None:
    """Return when no request holds memory, but for the one that asks."""
    until = time.monotonic() + seconds
    while metric(both.served, "mlops_in_flight_bytes") > 8192:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_message_over_the_limit_is_refused(both: Both, stub: Any) -> None:
    """Its bytes, what they are when decompressed, and its rows; the connection goes on."""
    before = counted(both, 413)
    error = refused(stub.ModelInfer, message_of(request_of(rows(1000)) | {"id": "x" * 200_000}, raw=True))
    assert (error.code(), "larger than max" in error.details()) == (EXHAUSTED, True)
    assert counted(both, 413) == before + 1
    error = refused(stub.ModelInfer, message_of(request_of(rows(1001)), raw=True))
    assert error.code() == EXHAUSTED
    assert "1001 rows, the limit is 1000" in error.details()
    assert stub.ModelInfer(ROW).model_name == "weather"
    wait_until_nothing_is_held(both)


def test_a_bomb_ends_at_the_limit(both: Both) -> None:
    """The library does not unpack it."""
    with grpc.insecure_channel(f"127.0.0.1:{both.port}") as channel:
        bomb = gzip.compress(b"\0" * 50_000_000)
        assert len(bomb) < 200_000
        error = refused(channel.unary_unary(METHOD), bomb)
        assert error.code() == EXHAUSTED
        assert "more than 200000 bytes, the limit, when it is decompressed" in error.details()
        damaged = refused(channel.unary_unary(METHOD), gzip.compress(ROW.SerializeToString())[:-4])
        assert damaged.code() == grpc.StatusCode.INVALID_ARGUMENT
    wait_until_nothing_is_held(both)


def test_a_call_that_is_unknown_says_so(both: Both) -> None:
    """Also one that Triton has."""
    with both.stub() as stub:
        error = refused(stub.ModelStatistics, messages.ModelStatisticsRequest())
        assert error.code() == grpc.StatusCode.UNIMPLEMENTED
        error = refused(stub.ModelReady, messages.ModelReadyRequest(name="snow"))
        assert (error.code(), error.details()) == (NOT_FOUND, "model 'snow' is unknown; this server has 'weather'")


def test_a_call_has_an_id(both: Both, stub: Any) -> None:
    """The client's own, of an answer and of a refusal."""
    _, call = stub.ModelInfer.with_call(ROW, metadata=(("x-request-id", "mine"),))
    assert dict(call.trailing_metadata())["x-request-id"] == "mine"
    error = refused(stub.ModelInfer, messages.ModelInferRequest())
    assert dict(error.trailing_metadata())["x-request-id"]


def test_a_message_that_does_not_come_is_not_waited_for(both: Both) -> None:
    """It ends after MLOPS_REQUEST_SECONDS; others are answered meanwhile."""
    before = counted(both, 408)
    with raw_call(both.port, bytes(1000), sent=10) as connection, both.stub() as stub:
        assert stub.ModelInfer(ROW).model_name == "weather"
        assert ends(connection)
    assert counted(both, 408) == before + 1
    wait_until_nothing_is_held(both)


def test_messages_on_their_way_take_a_bounded_memory(both: Both) -> None:
    """Of each that is slow the largest is to be expected: no more than eight at a time, the ninth is sent away at once.
    Who sends at once is answered, and so is HTTP."""
    before = counted(both, 503)
    with ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(raw_call(both.port, bytes(1000), sent=10))
        time.sleep(0.5)
        assert counted(both, 503) == before
        ninth = stack.enter_context(raw_call(both.port, bytes(1000), sent=10))
        ninth.settimeout(1)
        assert ends(ninth)
        assert counted(both, 503) == before + 1
        stub = stack.enter_context(both.stub())
        assert stub.ModelInfer(ROW).model_name == "weather"
        assert both.served.infer(request_of(rows(1)))[0] == 200
    wait_until_nothing_is_held(both)


def test_an_answer_that_nobody_takes_is_not_kept(model: Path, tmp_path: Path) -> None:
    """It counts as long as it waits. Its connection is ended when it is old and its time for an answer is over; another
    client's is ended between two calls, and the client notices nothing."""
    store = tmp_path / "store"
    limits = {"MLOPS_REQUEST_SECONDS": "2", "MLOPS_DRAIN_SECONDS": "2"}
    message = message_of(request_of(rows(300)), raw=True).SerializeToString()
    with (
        serving_both(tmp_path / "pod", store, task_of(artifact_of(store, model)), **limits) as both,
        raw_call(both.port, message, window=0) as connection,
        both.stub() as stub,
    ):
        until = time.monotonic() + 5
        while metric(both.served, "mlops_in_flight_bytes") < 16384 + len(message):
            assert time.monotonic() < until
            time.sleep(0.01)
        until = time.monotonic() + 4
        while time.monotonic() < until:
            assert stub.ModelInfer(ROW, timeout=20).model_name == "weather"
        assert ends(connection)
        wait_until_nothing_is_held(both, 1)


def test_a_client_that_leaves_gives_back_what_it_held(both: Both) -> None:
    for sent in (0, 10, None):
        for _ in range(20):
            with raw_call(both.port, ROW.SerializeToString(), sent=sent):
                pass
    wait_until_nothing_is_held(both)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_change_of_a_good_message_makes_the_server_fail(both: Both, stub: Any, data: st.DataObject) -> None:
    """Whatever becomes of its bytes: an answer, or a refusal with a code that says whose fault it is."""
    good = bytearray(ROW.SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(good)))
    with grpc.insecure_channel(f"127.0.0.1:{both.port}") as channel:
        call = channel.unary_unary(METHOD).future(bytes(good[: cut or len(good)]), timeout=20)
        code = call.code()
        assert code.name in ("OK", "INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED"), call.details()


def test_overload_is_told_when_to_come_again(model: Path, tmp_path: Path) -> None:
    """Predictions that wait are as many as over HTTP; the code is one after which clients try again by themselves."""
    store = tmp_path / "store"
    limits = {"MLOPS_MAX_CONCURRENCY": "1"}
    large = message_of(request_of(rows(4000)), raw=True)
    with serving_both(tmp_path / "pod", store, task_of(artifact_of(store, model)), **limits) as both:
        with both.stub(("grpc.enable_retries", 0)) as stub:
            calls = [stub.ModelInfer.future(large, timeout=60) for _ in range(30)]
            errors = [error for call in calls if (error := call.exception()) is not None]
        assert 0 < len(errors) < 30
        for error in errors:
            assert error.code() == UNAVAILABLE
            assert error.details() == "1 predictions are waiting, the limit; send fewer at once"
            assert dict(error.trailing_metadata())["grpc-retry-pushback-ms"] == "1000"
        assert counted(both, 503, "infer") == len(errors)


def test_connections_and_calls_are_bounded(model: Path, tmp_path: Path) -> None:
    """By MLOPS_MAX_CONNECTIONS; HTTP has its own."""
    store = tmp_path / "store"
    limits = {"MLOPS_MAX_CONNECTIONS": "3"}
    with (
        serving_both(tmp_path / "pod", store, task_of(artifact_of(store, model)), **limits) as both,
        ExitStack() as stack,
    ):
        for _ in range(3):
            stub = stack.enter_context(both.stub())
            assert stub.ModelInfer(ROW, timeout=20).model_name == "weather"
        other = stack.enter_context(both.stub(("grpc.enable_retries", 0)))
        assert refused(other.ModelInfer, ROW).code() == UNAVAILABLE
        assert both.served.infer(request_of(rows(1)))[0] == 200
        # Over one of the connections: more calls at a time than the limit.
        large = message_of(request_of(rows(4000)), raw=True)
        calls = [stub.ModelInfer.future(large, timeout=60) for _ in range(30)]
        said = {error.details() for call in calls if (error := call.exception()) is not None}
        assert "this server has 3 calls, its limit; try again later" in said


def test_a_stop_under_load_loses_no_answered_call(model: Path, tmp_path: Path) -> None:
    """What was answered is in the store after SIGTERM, nothing breaks on its way, and the exit code is 0."""
    store = tmp_path / "store"
    task = task_of(artifact_of(store, model), flush_seconds=3600)
    answered: list[str] = []
    broken: list[Any] = []

    def ask_until_gone(both: Both, name: str) -> None:
        with both.stub(("grpc.enable_retries", 0)) as stub:
            for number in range(1_000_000):
                message = messages.ModelInferRequest()
                message.CopyFrom(ROW)
                message.id = f"{name}-{number}"
                try:
                    stub.ModelInfer(message, timeout=30)
                except grpc.RpcError as error:
                    # Nobody listens any more, or has seen this call: it came as the server ended.
                    if error.code() not in (UNAVAILABLE, grpc.StatusCode.CANCELLED):
                        broken.append(error)
                    return
                answered.append(message.id)

    with serving_both(tmp_path / "pod", store, task, MLOPS_DRAIN_SECONDS="1") as both:
        clients = [threading.Thread(target=ask_until_gone, args=(both, f"client-{number}")) for number in range(4)]
        for client in clients:
            client.start()
        until = time.monotonic() + 60
        while len(answered) < 200:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert both.served.stop() == 0
        for client in clients:
            client.join(60)
    assert not broken, broken[:3]
    recorded = both.served.recorded()["id"].to_list()
    assert set(answered) <= set(recorded)
    assert len(recorded) - len(answered) <= len(clients)


def test_a_taken_port_is_said_in_words(model: Path, both: Both, tmp_path: Path) -> None:
    """It may be tried again later; and both on one port is a mistake."""
    store = tmp_path / "store"
    task = task_of(artifact_of(store, model))
    with started(tmp_path / "one", store, task, MLOPS_GRPC_PORT=str(both.port)) as served:
        assert served.process.wait(timeout=60) == 1
    assert f"cannot listen on 127.0.0.1:{both.port} for gRPC" in served.report["message"]
    with started(tmp_path / "two", store, task, MLOPS_GRPC_PORT="9000", MLOPS_PORT="9000") as served:
        assert served.process.wait(timeout=60) == 2
    assert served.report["message"] == "MLOPS_GRPC_PORT: 9000 is MLOPS_PORT too; name another port"


def test_who_speaks_http_only_does_not_load_the_library(model: Path, both: Both, tmp_path: Path) -> None:
    """It costs memory and time at the start."""
    store = tmp_path / "store"
    with serving(tmp_path / "pod", store, task_of(artifact_of(store, model))) as served:
        assert "cygrpc" not in Path(f"/proc/{served.process.pid}/maps").read_text()
    assert "cygrpc" in Path(f"/proc/{both.served.process.pid}/maps").read_text()
