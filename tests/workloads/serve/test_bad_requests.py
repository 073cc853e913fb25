"""Every bad request gets a 4xx with a sentence that names what is wrong; none stops the server."""

from __future__ import annotations

import gzip
import json
import re
import socket
import struct
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.workloads.serve.models import INPUTS, rows
from tests.workloads.serve.servers import Served, request_of, resident_kilobytes

INFER = "/v2/models/weather/infer"
JSON = {"content-type": "application/json"}
STATUS_LINE = re.compile(rb"HTTP/1.1 (\d+) [A-Z]")


def changed(name: str, **changes: Any) -> bytes:
    """A good request of two rows with one tensor changed; None removes a key."""
    document = request_of(rows(2))
    for tensor in document["inputs"]:
        if tensor["name"] == name:
            for key, value in changes.items():
                tensor.pop(key) if value is None else tensor.update({key: value})
    return json.dumps(document).encode()


def with_tensors(*tensors: Any) -> bytes:
    """A request with these tensors and no others."""
    return json.dumps({"inputs": list(tensors)}).encode()


GOOD = request_of(rows(2))
TENSORS = GOOD["inputs"]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        pytest.param(b"", 400, "the body is empty", id="empty"),
        pytest.param(b"{", 400, "no JSON", id="cut"),
        pytest.param(b"\xef\xbb\xbf{}", 400, "byte order mark", id="byte order mark"),
        pytest.param(b"\xff\xfe{\x00}\x00", 400, "no JSON", id="utf-16"),
        pytest.param(b"[]", 400, "no object", id="list"),
        pytest.param(b"{}", 400, '"inputs"', id="no inputs"),
        pytest.param(b'{"inputs": [' + b"[" * 10_000 + b"]" * 10_000 + b"]}", 400, "no JSON", id="nested 10,000 deep"),
        pytest.param(
            b'{"inputs": [{"name": "temperature", "shape": [1], "datatype": "FP64", "data": [NaN]}]}',
            400,
            "NaN at character",
            id="NaN literal",
        ),
        pytest.param(
            b'{"inputs": [{"name": "temperature", "shape": [1], "datatype": "FP64", "data": [-Infinity]}]}',
            400,
            "send null for a missing value",
            id="Infinity literal",
        ),
        pytest.param(
            json.dumps({f"k{number}": 0 for number in range(10_000)}).encode(), 400, '"inputs"', id="10,000 keys"
        ),
        pytest.param(with_tensors(7), 400, "no tensor object", id="tensor is a number"),
        pytest.param(with_tensors({}), 400, 'no "name"', id="tensor without name"),
        pytest.param(with_tensors(TENSORS[0], *TENSORS[2:]), 422, "input 'count' is missing", id="missing input"),
        pytest.param(with_tensors(*TENSORS, TENSORS[1]), 422, "input 'count' is there twice", id="input twice"),
        pytest.param(
            with_tensors(*TENSORS, {**TENSORS[0], "name": "pressure"}), 422, "'pressure' is unknown", id="unknown input"
        ),
        pytest.param(
            changed("temperature", datatype="BYTES"), 422, "'temperature' has datatype 'BYTES'", id="wrong datatype"
        ),
        pytest.param(changed("count", datatype="BOOL"), 422, "'count' has datatype 'BOOL'", id="boolean for integer"),
        pytest.param(changed("count", datatype="int64"), 422, "takes INT64", id="datatype in lower case"),
        pytest.param(changed("count", datatype=None), 422, "'count' has datatype None", id="no datatype"),
        pytest.param(changed("count", shape=None), 422, "'count' has shape None", id="no shape"),
        pytest.param(changed("count", shape=[-1]), 422, "'count' has shape [-1]", id="negative shape"),
        pytest.param(changed("count", shape=[0], data=[]), 422, "n of at least 1", id="no rows"),
        pytest.param(changed("count", shape=[1, 2]), 422, "[n] or [n, 1]", id="wide shape"),
        pytest.param(changed("count", shape=[True]), 422, "shape", id="boolean shape"),
        pytest.param(changed("count", shape=[3]), 400, "2 values", id="fewer values than the shape says"),
        pytest.param(changed("count", shape=[1], data=[1]), 422, "the inputs before it have 2", id="ragged"),
        pytest.param(changed("count", data=None), 400, "no list", id="no data"),
        pytest.param(changed("count", data=[1, [2]]), 422, "'count' has a list in row 1", id="half nested"),
        pytest.param(changed("count", data=[[1], [2, 3]]), 400, "one value each", id="ragged rows"),
        pytest.param(changed("count", data=[1, 2.5]), 422, "a fraction in row 1 (2.5)", id="fraction in integers"),
        pytest.param(changed("count", data=[1, True]), 422, "a boolean in row 1", id="boolean in integers"),
        pytest.param(changed("count", data=[1, None]), 422, "not nullable", id="null in a field that is not nullable"),
        pytest.param(changed("count", data=[1, 2**70]), 422, "count", id="more than 64 bits"),
        pytest.param(
            changed("count", datatype="INT8", data=[1, 300]), 422, "a number that INT8 cannot hold", id="overflow"
        ),
        pytest.param(
            changed("count", datatype="UINT64", data=[1, 2**63]),
            422,
            "above 9223372036854775807",
            id="too large",
        ),
        pytest.param(
            changed("temperature", data=[1, -1e39]),
            422,
            "temperature: row 1 holds a number beyond float32 (±3.4028235e+38); declare the input as double",
            id="a number beyond the graph's float32",
        ),
        pytest.param(
            json.dumps(request_of({**rows(1), "temperature": np.array([1e39])})).encode(),
            422,
            "temperature: row 0 holds a number beyond float32",
            id="a number beyond the graph's float32, alone",
        ),
        pytest.param(changed("temperature", data=["1.5", 2]), 422, "a string in row 0 ('1.5')", id="number as text"),
        pytest.param(
            changed("temperature", datatype="FP32", data=[1e300, 1]),
            422,
            "is infinite in row 0",
            id="FP32",
        ),
        pytest.param(changed("temperature", data=[{}, 2]), 422, "an object in row 0", id="object as value"),
        pytest.param(changed("windy", data=[0, 1]), 422, "an integer in row 0", id="integer as boolean"),
        pytest.param(changed("colour", data=["red", 1]), 422, "an integer in row 1", id="number as text field"),
        pytest.param(changed("count", parameters={"binary_data_size": 16}), 400, "send one of them", id="data twice"),
        pytest.param(
            changed("count", data=None, parameters={"binary_data_size": 16}),
            400,
            "0 bytes are left",
            id="no tail",
        ),
        pytest.param(
            json.dumps({**GOOD, "outputs": [{"name": "score"}]}).encode(),
            422,
            "'score' is unknown",
            id="output",
        ),
        pytest.param(
            json.dumps({**GOOD, "outputs": [{"name": "prediction"}] * 2}).encode(), 422, "twice", id="output twice"
        ),
        pytest.param(json.dumps({**GOOD, "outputs": [1]}).encode(), 400, 'no "name"', id="output is a number"),
        pytest.param(json.dumps({**GOOD, "outputs": {}}).encode(), 400, "no list", id="outputs is an object"),
        pytest.param(json.dumps({**GOOD, "id": 7}).encode(), 400, '"id" is 7', id="id is a number"),
        pytest.param(json.dumps({**GOOD, "id": "x" * 257}).encode(), 400, "1 to 256 characters", id="long id"),
        pytest.param(json.dumps({**GOOD, "parameters": []}).encode(), 400, "parameters", id="parameters is a list"),
        pytest.param(
            json.dumps({**GOOD, "parameters": {"event_time": "yesterday"}}).encode(), 422, "RFC 3339", id="event time"
        ),
        pytest.param(
            json.dumps({**GOOD, "parameters": {"event_time": "2024-01-01T00:00:00"}}).encode(),
            422,
            "with an offset",
            id="event time without offset",
        ),
        pytest.param(
            json.dumps({**GOOD, "parameters": {"event_time": ["2024-01-01T00:00:00Z"]}}).encode(),
            422,
            "1 times for 2 rows",
            id="too few event times",
        ),
        pytest.param(
            json.dumps({**GOOD, "parameters": {"event_time": "2024-02-30T00:00:00Z"}}).encode(),
            422,
            "is no time",
            id="30 February",
        ),
        pytest.param(json.dumps(request_of(rows(1001))).encode(), 413, "1001 rows, the limit is 1000", id="many rows"),
        pytest.param(b"[" + b" " * 300_000 + b"]", 413, "more than 200000 bytes", id="large body"),
    ],
)
def test_a_bad_body_is_refused_with_the_reason(server: Served, body: bytes, status: int, message: str) -> None:
    """The status is right, the sentence names the place, and nothing of the inside shows."""
    got, headers, answer = server.ask("POST", INFER, body, JSON)
    error = json.loads(answer)["error"]
    assert got == status, error
    assert message in error
    assert headers["content-type"] == "application/json"
    assert "Traceback" not in error
    assert len(error) < 500


def binary_request(colours: bytes, size: int | None = None, rows: int = 1, tail: bytes = b"") -> tuple[bytes, int]:
    """A request whose text tensor is binary, and the length of its JSON."""
    tensors = [
        {"name": "temperature", "datatype": "FP64", "shape": [1], "data": [1.0]},
        {"name": "count", "datatype": "INT64", "shape": [1], "data": [1]},
        {"name": "windy", "datatype": "BOOL", "shape": [1], "data": [True]},
        {
            "name": "colour",
            "datatype": "BYTES",
            "shape": [rows],
            "parameters": {"binary_data_size": len(colours) if size is None else size},
        },
    ]
    head = with_tensors(*tensors)
    return head + colours + tail, len(head)


def text(value: bytes) -> bytes:
    """One string of a binary tensor."""
    return struct.pack("<I", len(value)) + value


@pytest.mark.parametrize(
    ("body", "header_length", "status", "message"),
    [
        pytest.param(*binary_request(text(b"red")), 200, "", id="good"),
        pytest.param(*binary_request(b"\x00\x00"), 400, "ends within a length", id="half a length"),
        pytest.param(*binary_request(struct.pack("<I", 99) + b"red"), 400, "fewer are left", id="length too large"),
        pytest.param(*binary_request(text(b"\xff")), 422, "no UTF-8", id="not UTF-8"),
        pytest.param(*binary_request(text(b"a") * 2), 400, "2 strings, but its shape says 1", id="too many strings"),
        pytest.param(*binary_request(b""), 400, "0 strings", id="no bytes"),
        pytest.param(*binary_request(text(b"red"), tail=b"more"), 400, "4 bytes after the last", id="bytes left over"),
        pytest.param(*binary_request(text(b"red"), size=-1), 400, "binary_data_size -1", id="negative size"),
        pytest.param(*binary_request(text(b"red"), size=10**9), 400, "binary_data_size", id="size beyond the body"),
        pytest.param(binary_request(text(b"red"))[0], 10**6, 400, "but the body has", id="header length too large"),
        pytest.param(binary_request(text(b"red"))[0], 5, 400, "no JSON", id="header length too small"),
    ],
)
def test_a_bad_binary_tensor_is_refused(
    server: Served, body: bytes, header_length: int, status: int, message: str
) -> None:
    """Lengths are believed nowhere."""
    headers = {"Inference-Header-Content-Length": str(header_length)}
    got, _, answer = server.ask("POST", INFER, body, headers)
    assert got == status, answer
    assert message in json.loads(answer).get("error", "")


def test_a_binary_number_tensor_has_the_size_of_its_shape(server: Served) -> None:
    """Seven bytes are no FP64, and a boolean is 0 or 1."""
    for name, datatype, data, message in (
        ("temperature", "FP64", b"\x00" * 7, "7 bytes"),
        ("temperature", "FP64", struct.pack("<d", float("inf")), "infinite in row 0"),
        ("windy", "BOOL", b"\x02", "neither 0 (false) nor 1 (true)"),
    ):
        document = request_of(rows(1))
        tensor = next(tensor for tensor in document["inputs"] if tensor["name"] == name)
        del tensor["data"]
        tensor.update(datatype=datatype, parameters={"binary_data_size": len(data)})
        head = json.dumps(document).encode()
        status, _, answer = server.ask("POST", INFER, head + data, {"Inference-Header-Content-Length": str(len(head))})
        assert status in (400, 422)
        assert message in json.loads(answer)["error"]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "message"),
    [
        pytest.param("GET", "/index.html", {}, 404, "no address here", id="the page by a file's name"),
        pytest.param("POST", "/", JSON, 405, "takes GET, HEAD", id="POST page"),
        pytest.param("GET", "/v2/models/other", {}, 404, "model 'other' is unknown", id="unknown model"),
        pytest.param("POST", "/v2/models/other/infer", JSON, 404, "server has 'weather'", id="infer another model"),
        pytest.param("GET", "/v2/models/weather/versions/9", {}, 404, "version '9'", id="unknown version"),
        pytest.param("GET", "/v2/models/weather/../../etc/passwd", {}, 404, "no address", id="traversal"),
        pytest.param("GET", "/v2/models/%2e%2e%2f%2e%2e%2fetc%2fpasswd", {}, 404, "is unknown", id="encoded traversal"),
        pytest.param("GET", INFER, {}, 405, "takes POST, not 'GET'", id="GET infer"),
        pytest.param("DELETE", "/v2/models/weather", {}, 405, "takes GET, HEAD", id="DELETE model"),
        pytest.param("POST", "/v2/health/live", JSON, 405, "takes GET", id="POST health"),
        pytest.param("POST", INFER, {"content-type": "text/csv"}, 415, "'text/csv'", id="content type"),
        pytest.param(
            "POST",
            INFER,
            {"content-type": "application/x-www-form-urlencoded"},
            415,
            "send application/json",
            id="form",
        ),
        pytest.param("POST", INFER, {**JSON, "content-encoding": "br"}, 415, "send gzip, deflate", id="coding"),
        pytest.param("POST", INFER, {**JSON, "content-encoding": "gzip"}, 400, "no JSON", id="gzip of no JSON"),
        pytest.param(
            "POST",
            INFER,
            {"inference-header-content-length": "-1"},
            400,
            "no whole number",
            id="negative",
        ),
        pytest.param("GET", "/v2", {"x-large": "x" * 17_000}, 431, "more than 16384 bytes", id="large header"),
        pytest.param("GET", "/" + "x" * 17_000, {}, 431, "more than 16384 bytes", id="long address"),
    ],
)
def test_a_bad_address_or_header_is_refused(
    server: Served, method: str, path: str, headers: dict[str, str], status: int, message: str
) -> None:
    """Status and sentence say what is there instead."""
    body = gzip.compress(b"0" * 100_000) if method == "POST" else None
    got, got_headers, answer = server.ask(method, path, body, headers)
    assert got == status
    assert message in json.loads(answer)["error"]
    assert ("allow" in got_headers) == (status == 405)


def exchange(server: Served, *parts: bytes, pause: float = 0, seconds: float = 20) -> bytes:
    """What comes back on a raw connection until the server closes it."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=seconds) as connection:
        try:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
        except OSError:
            pass  # it closed early
        received = b""
        try:
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionResetError:
            pass
        return received


HEAD = b"POST /v2/models/weather/infer HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        pytest.param([b"\x16\x03\x01\x02\x00\x01\x00"], 400, id="TLS to a plain port"),
        pytest.param([b"GET / HTTP/1.1\r\nHost : x\r\n\r\n"], 400, id="space before the colon"),
        pytest.param([HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"], 400, id="two lengths"),
        pytest.param(
            [HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"], 400, id="length and chunks"
        ),
        pytest.param([HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n"], 400, id="bad chunk"),
        pytest.param([HEAD + b"Content-Length: -5\r\n\r\n"], 400, id="negative length"),
        pytest.param([HEAD + b"Content-Length: 100\r\n\r\n{"], 408, id="body never ends"),
        pytest.param([HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{    \r\n"], 408, id="chunks never end"),
        pytest.param([HEAD + b"X-Slow: "], 408, id="head never ends"),
        pytest.param([HEAD] + [b"X-%d: %s\r\n" % (n, b"y" * 1000) for n in range(40)], 431, id="head grows"),
    ],
)
def test_a_bad_or_slow_stream_is_ended(server: Served, parts: list[bytes], status: int) -> None:
    """The connection gets one JSON answer and is closed, within the time that requests have."""
    received = exchange(server, *parts, pause=0.01)
    assert received.startswith(b"HTTP/1.1 %d " % status), received[:200]
    assert len(STATUS_LINE.findall(received)) == 1
    assert "error" in json.loads(received.partition(b"\r\n\r\n")[2])


def test_a_drip_of_bytes_does_not_hold_a_connection(server: Served) -> None:
    """Slow senders are ended although they never fall silent."""
    started = time.monotonic()
    received = exchange(server, HEAD + b"Content-Length: 1000\r\n\r\n", *[b" "] * 100, pause=0.1)
    assert received.startswith(b"HTTP/1.1 408")
    assert time.monotonic() - started < 15


def test_an_upload_without_end_is_cut_and_memory_stays(server: Served) -> None:
    """A chunked body far beyond the limit is not kept."""
    before = resident_kilobytes(server)
    chunk = b"%x\r\n%s\r\n" % (65536, b" " * 65536)
    received = exchange(server, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 500)
    assert received == b"" or received.startswith(b"HTTP/1.1 413")
    assert resident_kilobytes(server) - before < 20_000


def test_a_client_that_waits_for_100_is_told_of_the_limit_before_it_sends(server: Served) -> None:
    """Expect: 100-continue saves the upload."""
    received = exchange(server, HEAD + b"Expect: 100-continue\r\nContent-Length: 9999999\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 413")


def test_pipelined_requests_are_answered_in_order(server: Served) -> None:
    """A refused request in between does not shift the answers."""
    one = json.dumps(request_of(rows(1), id="one")).encode()
    two = json.dumps(request_of(rows(1), id="two")).encode()
    requests = [HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(body), body) for body in (one, b"{", two)]
    received = exchange(server, b"".join(requests), b"GET /v2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert STATUS_LINE.findall(received) == [b"200", b"400", b"200", b"200"]
    assert received.index(b'"one"') < received.index(b'"two"')


@pytest.mark.parametrize(
    ("document", "status", "message"),
    [
        pytest.param({}, 400, '"labels"', id="no labels"),
        pytest.param({"labels": []}, 400, "at least one", id="empty"),
        pytest.param({"labels": [1]}, 400, "labels[0] is no object", id="number"),
        pytest.param({"labels": [{"label": "dry"}]}, 400, "labels[0].id", id="no id"),
        pytest.param({"labels": [{"id": "a"}]}, 422, "labels[0].label is None", id="no label"),
        pytest.param({"labels": [{"id": "a", "label": True}]}, 422, "classes are 'dry', 'rain'", id="other type"),
        pytest.param({"labels": [{"id": "a", "label": ""}]}, 422, "labels[0].label is ''", id="empty text"),
        pytest.param({"labels": [{"id": "a", "label": "x" * 257}]}, 422, "at most 256", id="long class"),
        pytest.param({"labels": [{"id": "a", "label": 1}]}, 422, "labels[0].label is 1", id="number for a class"),
        pytest.param({"labels": [{"id": "a", "label": ["dry"]}]}, 422, "labels[0].label", id="list"),
        pytest.param({"labels": [{"id": "a", "label": "dry", "row": -1}]}, 422, "labels[0].row", id="negative row"),
        pytest.param({"labels": [{"id": "a", "label": "dry", "time": 5}]}, 422, "labels[0].time", id="time"),
        pytest.param({"labels": [{"id": "a", "label": "dry", "when": 5}]}, 400, "'when'", id="unknown field"),
        pytest.param(
            {"labels": [{"id": "a", "label": "dry"}, {"id": "b", "label": 5}]}, 422, "labels[1].label", id="second"
        ),
        pytest.param({"labels": [{"id": "a", "label": "dry"}] * 1001}, 413, "1001 entries", id="too many"),
    ],
)
def test_bad_feedback_is_refused_whole(server: Served, document: Any, status: int, message: str) -> None:
    """One bad label refuses all, and is named."""
    got, answer = server.post("/v2/models/weather/feedback", document)
    assert got == status
    assert message in answer["error"]


def test_a_class_that_is_new_in_the_world_is_taken_with_its_neighbours(server: Served) -> None:
    """It is counted, in the answer and in the metrics, and the labels beside it are taken as ever."""
    labels = [{"id": "a", "label": "dry"}, {"id": "b", "label": "hail"}, {"id": "c", "label": "rain"}]
    assert server.post("/v2/models/weather/feedback", {"labels": labels}) == (202, {"accepted": 3, "newClasses": 1})
    assert server.post("/v2/models/weather/feedback", {"labels": labels[:1]}) == (202, {"accepted": 1})
    assert "mlops_unknown_labels_total 1.0" in server.ask("GET", "/metrics")[2].decode()


def test_clients_cannot_make_metrics(server: Served) -> None:
    """Names that clients invent become no label of a metric."""
    for number in range(50):
        server.ask("GET", f"/v2/models/made-up-{number}")
        server.ask("GET", f"/made/up/{number}")
    text = server.ask("GET", "/metrics")[2].decode()
    assert "made" not in text
    assert 'mlops_requests_total{code="404",route="other"}' in text
    assert len([line for line in text.splitlines() if not line.startswith("#")]) < 100


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
TENSOR = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from([one.name for one in INPUTS]) | JSON_VALUES,
        "datatype": st.sampled_from(["FP64", "FP32", "INT64", "INT8", "UINT64", "BOOL", "BYTES"]) | JSON_VALUES,
        "shape": st.lists(st.integers(-1, 3), max_size=3) | JSON_VALUES,
        "data": st.lists(JSON_VALUES, max_size=3) | JSON_VALUES,
        "parameters": st.fixed_dictionaries({}, optional={"binary_data_size": JSON_VALUES}) | JSON_VALUES,
    },
)
REQUEST = st.fixed_dictionaries(
    {"inputs": st.lists(TENSOR, max_size=5) | JSON_VALUES},
    optional={
        "id": JSON_VALUES,
        "parameters": st.fixed_dictionaries(
            {}, optional={"event_time": JSON_VALUES, "binary_data_output": JSON_VALUES}
        ),
        "outputs": st.lists(JSON_VALUES, max_size=2) | JSON_VALUES,
    },
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200) | JSON_VALUES.map(json.dumps).map(str.encode) | REQUEST.map(json.dumps).map(str.encode))
def test_no_body_makes_the_server_fail(server: Served, body: bytes) -> None:
    """Whatever is sent, the answer is 200 or a 4xx."""
    status, _, answer = server.ask("POST", INFER, body, JSON)
    assert status in (200, 400, 413, 422), answer


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_change_of_a_good_request_makes_the_server_fail(server: Served, data: st.DataObject) -> None:
    """A good request with one value replaced by anything."""
    document = request_of(rows(2))
    tensor = data.draw(st.sampled_from(document["inputs"]))
    tensor[data.draw(st.sampled_from(sorted(tensor)))] = data.draw(JSON_VALUES)
    status, answer = server.infer(document)
    assert status in (200, 400, 413, 422), answer
