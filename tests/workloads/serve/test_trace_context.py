"""A request that is part of a trace is found in the log by it; what is no traceparent is ignored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops.workloads.serve.request_ids import RequestIds
from mlops.workloads.serve.trace_context import trace_and_span, trace_of
from tests.workloads.serve.models import rows
from tests.workloads.serve.servers import artifact_of, request_of, serving, task_of

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("value", "is_taken"),
    [
        pytest.param(GOOD, True, id="as it should be"),
        pytest.param(f"00-{TRACE}-{SPAN}-00", True, id="not sampled"),
        pytest.param(f"cc-{TRACE}-{SPAN}-01-more", True, id="a later version"),
        pytest.param(f"cc-{TRACE}-{SPAN}-01", True, id="a later version, as long as this one"),
        pytest.param(f"cc-{TRACE}-{SPAN}-01more", False, id="a later version, without a dash"),
        pytest.param(f"00-{TRACE}-{SPAN}-01-more", False, id="more behind it"),
        pytest.param(f"ff-{TRACE}-{SPAN}-01", False, id="the version that is none"),
        pytest.param(f"00-{'0' * 32}-{SPAN}-01", False, id="no trace"),
        pytest.param(f"00-{TRACE}-{'0' * 16}-01", False, id="no span"),
        pytest.param(GOOD.upper(), False, id="capital letters"),
        pytest.param(GOOD[:-1], False, id="short"),
        pytest.param("", False, id="empty"),
    ],
)
def test_a_traceparent_is_read_as_the_recommendation_says(value: str, is_taken: bool) -> None:
    found = trace_and_span(value.encode())
    assert found == ((TRACE.encode(), SPAN.encode()) if is_taken else None)
    made = RequestIds().of([(b"traceparent", value.encode())])
    assert (made == f"{TRACE}-{SPAN}".encode()) is is_taken


def test_an_id_of_the_clients_own_comes_first() -> None:
    """In whatever order; one that is refused is replaced by the trace's."""
    ids, trace = RequestIds(), (b"traceparent", GOOD.encode())
    for headers in ([trace, (b"x-request-id", b"mine")], [(b"x-request-id", b"mine"), trace]):
        assert ids.of(headers) == b"mine"
    assert ids.of([trace, (b"x-request-id", b"a b")]) == f"{TRACE}-{SPAN}".encode()


def test_of_two_traces_neither_is_taken() -> None:
    """Neither for the log nor for the request's id."""
    other = (b"traceparent", GOOD.replace("0a", "0b").encode())
    assert trace_of([(b"traceparent", GOOD.encode())]) == TRACE
    assert trace_of([(b"traceparent", GOOD.encode()), other]) is None
    for further in ([], [other]):
        found = RequestIds().of([(b"traceparent", GOOD.encode()), other, *further])
        assert TRACE.encode() not in found
        assert TRACE.replace("0a", "0b").encode() not in found
    assert trace_of([(b"host", b"x")]) is None


@given(st.binary(max_size=80))
def test_whatever_is_sent_names_nothing_but_hexadecimal(value: bytes) -> None:
    found = trace_and_span(value)
    assert found is None or (len(found[0]), len(found[1])) == (32, 16)


def test_a_server_names_the_trace_in_answer_and_log(model: Path, tmp_path: Path) -> None:
    """The answer by trace and span, the log by trace; two requests of one trace are both recorded."""
    store = tmp_path / "store"
    environ = {"MLOPS_LOG_FORMAT": "json", "MLOPS_LOG_LEVEL": "debug"}
    with serving(tmp_path / "pod", store, task_of(artifact_of(store, model), percent=100), **environ) as served:
        path, headers = "/v2/models/weather/infer", {"traceparent": GOOD}
        for _ in range(2):
            body = json.dumps(request_of(rows(1))).encode()
            status, answered, _ = served.ask("POST", path, body, headers)
            assert (status, answered["x-request-id"]) == (200, f"{TRACE}-{SPAN}")
        assert served.ask("POST", path, b"{", headers)[0] == 400
        assert served.ask("POST", path, b"[", headers | {"X-Request-Id": "mine"})[0] == 400
        assert served.flush()["captures"]["rows"] == 2
    lines = [json.loads(line) for line in (tmp_path / "pod" / "server.log").read_text().splitlines()]
    assert [line["request_id"] for line in lines if line.get("trace_id") == TRACE] == [f"{TRACE}-{SPAN}", "mine"]
