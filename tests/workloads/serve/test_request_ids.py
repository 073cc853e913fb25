"""Client, answer and log tell of one request by one id, and nobody writes into the log by it."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops.api.pod_environment import ServerLimits
from mlops.workloads.serve.app import Application, Route
from mlops.workloads.serve.budget import Budget, Hold
from mlops.workloads.serve.exchange import Exchange
from mlops.workloads.serve.failures import FailureLog
from mlops.workloads.serve.metrics import Metrics
from mlops.workloads.serve.request_ids import RequestIds
from tests.workloads.serve.models import rows
from tests.workloads.serve.servers import artifact_of, request_of, serving, task_of

PLAIN = re.compile(rb"[A-Za-z0-9._:/=+@-]{1,128}")


@given(st.binary(max_size=200))
def test_an_id_is_short_and_plain_whatever_is_sent(given_id: bytes) -> None:
    """What is so is kept, all else is replaced."""
    found = RequestIds().of([(b"accept", b"*/*"), (b"x-request-id", given_id)])
    assert PLAIN.fullmatch(found)
    assert (found == given_id) is (PLAIN.fullmatch(given_id) is not None)


@pytest.mark.parametrize("given_id", [b"", b"a" * 129, b"a b", b"a\nb", b'a"b', b"\xc3\xa9", b"a%0a"])
def test_an_id_that_is_not_is_replaced(given_id: bytes) -> None:
    assert RequestIds().of([(b"x-request-id", given_id)]) != given_id


def test_made_ids_are_all_different_also_those_of_two_processes() -> None:
    one, other = RequestIds(), RequestIds()
    made = [ids.of([]) for ids in (one, other) for _ in range(1000)]
    assert len(set(made)) == 2000


def test_refusals_cannot_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Who sends many of them chooses how many; what is left out is counted."""
    now = [0.0]
    failures = FailureLog(lambda: now[0])
    for number in range(1000):
        failures.refused("infer", 503, "too many", b"%d" % number)
    assert len(caplog.records) == 20
    now[0] = 1.5
    failures.failed("infer", KeyError("Alice"), b"last")
    assert "(980 more before are not told)" in caplog.records[-1].message
    assert caplog.records[-1].request_id == "last"


def test_of_a_clients_mistake_the_log_says_nothing_unless_asked(caplog: pytest.LogCaptureFixture) -> None:
    """Its message repeats what was sent. Probes that wait for a model are no failures."""
    failures = FailureLog()
    failures.refused("infer", 422, "'Alice' is no number", b"a")
    failures.refused("health", 503, "the model is being loaded", b"b")
    assert not caplog.records
    caplog.set_level("DEBUG", "mlops.workloads")
    failures.refused("infer", 422, "'Alice' is no number", b"c")
    assert [record.message for record in caplog.records] == ["infer: answered 422"]


def test_a_server_echoes_ids_and_names_them_in_its_log(model: Path, tmp_path: Path) -> None:
    """Of a prediction, a mistake, and a request that is no HTTP at all."""
    artifact = artifact_of(tmp_path / "store", model)
    environ = {"MLOPS_LOG_FORMAT": "json", "MLOPS_LOG_LEVEL": "debug"}
    with serving(tmp_path / "pod", tmp_path / "store", task_of(artifact), **environ) as served:
        body = json.dumps(request_of(rows(1))).encode()
        kind = {"content-type": "application/json"}
        path = "/v2/models/weather/infer"
        status, headers, _ = served.ask("POST", path, body, {**kind, "X-Request-Id": "mine-1"})
        assert (status, headers["x-request-id"]) == (200, "mine-1")
        status, headers, _ = served.ask("POST", path, b"{", {**kind, "x-request-id": "mine-2"})
        assert (status, headers["x-request-id"]) == (400, "mine-2")
        status, headers, _ = served.ask("GET", "/v2", None, {"X-Request-Id": 'a" level="error'})
        assert status == 200
        assert re.fullmatch(r"[0-9a-f]{12}-[0-9a-f]+", headers["x-request-id"])
        with socket.create_connection(("127.0.0.1", served.port)) as raw:
            raw.sendall(b"nonsense\r\n\r\n")
            assert re.search(rb"\r\nx-request-id: [0-9a-f]{12}-[0-9a-f]+\r\n", raw.recv(4096))
    lines = [json.loads(line) for line in (tmp_path / "pod" / "server.log").read_text().splitlines()]
    assert {"mine-2"} < {line.get("request_id") for line in lines}
    assert all(line["kind"] == "ModelVersion" and line["object"] == "weather-v3" for line in lines)
    assert "mine-1" not in {line.get("request_id") for line in lines}


class _Wire:
    """What a connection is to an exchange."""

    written = b""

    def answered(self, _: Exchange, data: bytes) -> None:
        self.written = data


def _asked(app: Application, path: str, request_id: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body of one GET."""
    wire: Any = _Wire()
    app.handle(Exchange(wire, b"GET", path, [(b"x-request-id", request_id)], Hold(Budget(1 << 20)), keep_alive=True))
    head, _, body = wire.written.partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    return int(line.split()[1]), dict(tuple(field.split(b": ", 1)) for field in fields), body


@pytest.fixture
def app() -> Application:
    """A server that has no model yet."""
    task = task_of("sha256:" + "0" * 64)
    metrics = Metrics(task.model_name, task.version, task.stage, task.artifact)
    return Application(task, ServerLimits(), metrics, RequestIds(), FailureLog())


def test_a_request_that_comes_too_early_is_told_with_its_id(app: Application, caplog: pytest.LogCaptureFixture) -> None:
    """A 503 is a failed request; a probe's is not."""
    for path, name in (("/v2/models/weather", b"early"), ("/v2/health/ready", b"probe")):
        status, headers, _ = _asked(app, path, name)
        assert (status, headers[b"x-request-id"]) == (503, name)
    (record,) = caplog.records
    assert (record.request_id, record.message) == ("early", "model: answered 503: the model is being loaded")


def test_what_the_server_did_not_foresee_is_told_by_its_id(app: Application, caplog: pytest.LogCaptureFixture) -> None:
    """The client learns the id and no more; the log has the traceback under it."""

    def fail() -> NoReturn:
        raise KeyError("Alice")

    app._routes["/v2"] = Route("server", get=fail)
    status, headers, body = _asked(app, "/v2", b"mine")
    assert (status, headers[b"x-request-id"]) == (500, b"mine")
    assert json.loads(body) == {"error": "the server did not foresee this; its log says more of request mine"}
    (record,) = caplog.records
    assert (record.levelname, record.request_id) == ("ERROR", "mine")
    assert record.exc_info is not None
    assert "Alice" not in record.message


def test_a_request_that_has_waited_too_long_is_told_when_to_come_again(app: Application) -> None:
    """It is not even read; a health check is answered however late."""
    app.served = SimpleNamespace(interface=SimpleNamespace(metadata=dict))  # type: ignore[assignment]
    wire: Any = _Wire()
    for method, path, status in ((b"POST", "/v2/models/weather/infer", 503), (b"GET", "/v2/health/ready", 200)):
        exchange = Exchange(wire, method, path, [], Hold(Budget(1 << 20)), keep_alive=True)
        exchange.is_whole = True
        exchange.ready_at -= 2.1
        app.handle(exchange)
        assert wire.written.startswith(b"HTTP/1.1 %d " % status)
        assert (b"\r\nretry-after: 1\r\n" in wire.written) is (status == 503)
        assert b"connection: close" not in wire.written


def test_whoever_stops_the_server_is_not_held_up(app: Application) -> None:
    def stop() -> NoReturn:
        raise KeyboardInterrupt

    app._routes["/v2"] = Route("server", get=stop)
    with pytest.raises(KeyboardInterrupt):
        _asked(app, "/v2", b"mine")
