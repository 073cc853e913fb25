"""Each phase of a connection has its bound, and what a request held is given back, however it ends."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.workloads.serve.models import rows
from tests.workloads.serve.servers import (
    Served,
    artifact_of,
    metric,
    request_of,
    resident_kilobytes,
    serving,
    task_of,
)

HEAD = b"POST /v2/models/weather/infer HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAE\r\nUpgrade: h2c\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
BODY = json.dumps(request_of(rows(1))).encode()
GOOD = HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
ONE_CHUNK = b"%x\r\n%s\r\n" % (len(BODY), BODY)
STATUS_LINE = re.compile(rb"HTTP/1.1 (\d+) [A-Z]")
# The head of the request that reads the figure is held too.
OWN = 8192


def send_until_closed(server: Served, first: bytes, more: bytes, most: int) -> bytes:
    """What the server answers to `first` and then `more` again and again, at most so many bytes of it."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(first)
        try:
            for _ in range(most // len(more)):
                connection.sendall(more)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it closed
        return received(connection)


def received(connection: socket.socket) -> bytes:
    """Everything until the server closes."""
    found = b""
    try:
        while part := connection.recv(1 << 16):
            found += part
    except ConnectionResetError:
        pass
    return found


def exchange(server: Served, data: bytes) -> bytes:
    """What comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(data)
        return received(connection)


def statuses(answers: bytes) -> list[int]:
    """The status of each answer."""
    return [int(found) for found in STATUS_LINE.findall(answers)]


@pytest.mark.parametrize(
    ("first", "more"),
    [
        pytest.param(CHUNKED + ONE_CHUNK + b"0\r\n", b"X-Trailer: %s\r\n" % (b"x" * 1000), id="many trailers"),
        pytest.param(CHUNKED + ONE_CHUNK + b"0\r\nX-Trailer: ", b"x" * 60_000, id="one trailer without end"),
        pytest.param(CHUNKED + ONE_CHUNK + b"0\r\n" + b"X" * 9, b"x" * 60_000, id="a trailer's name without end"),
        pytest.param(CHUNKED + b"5;", b"extension" * 1000, id="a chunk's extension without end"),
        pytest.param(CHUNKED, b"1;%s\r\n \r\n" % (b"e" * 500), id="an extension on each chunk"),
        pytest.param(HEAD, b"a:b\r\n" * 1000, id="many small headers"),
        pytest.param(HEAD + b"X-One: ", b"x" * 60_000, id="one header without end"),
        pytest.param(HEAD + OFFER + b"X-One: ", b"x" * 60_000, id="one header without end behind an offer"),
        pytest.param(
            HEAD + OFFER + b"Transfer-Encoding: chunked\r\n\r\n0\r\n",
            b"X: %s\r\n" % (b"x" * 1000),
            id="trailers, offer",
        ),
        pytest.param(b"GET /", b"x" * 60_000, id="an address without end"),
        pytest.param(b"", b"\r\n" * 10_000, id="blank lines without end"),
    ],
)
def test_what_is_no_body_is_bounded(server: Served, first: bytes, more: bytes) -> None:
    """Whatever stands around a body, in the head or behind it, is cut off, and memory stays."""
    before = resident_kilobytes(server)
    answers = send_until_closed(server, first, more, 60 << 20)
    assert statuses(answers) in ([], [400], [431]), answers[:300]
    assert resident_kilobytes(server) - before < 12_000


def test_trailers_and_extensions_within_bounds_are_ignored(server: Served) -> None:
    """Honest senders of chunks are understood: small chunks, a signature on each, a checksum behind."""
    pieces = b"".join(b"%x;sig=%s\r\n%s\r\n" % (1, b"0" * 8, BODY[at : at + 1]) for at in range(len(BODY)))
    answers = exchange(server, CHUNKED + pieces + b"0\r\nX-Checksum: 1\r\n\r\n" + b"GET /v2 HTTP/1.0\r\n\r\n")
    assert statuses(answers) == [200, 200]


def test_answers_that_nobody_reads_do_not_hold_a_connection(model: Path, tmp_path: Path) -> None:
    """A client that takes no answer is cut off after the time that an answer has, and its memory is given back."""
    store = tmp_path / "store"
    limits = {"MLOPS_REQUEST_SECONDS": "2", "MLOPS_MAX_CONNECTIONS": "12"}
    with serving(tmp_path / "pod", store, task_of(artifact_of(store, model)), **limits) as served, ExitStack() as stack:
        body = json.dumps(request_of(rows(2000))).encode()
        ask = HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        for _ in range(12):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", served.port))
            stack.enter_context(asking(connection, ask))
        wait_for(lambda: is_answered(served), 30)
        assert served.infer(request_of(rows(1)))[0] == 200
        wait_for(lambda: metric(served, "mlops_in_flight_bytes") <= OWN, 30)


def is_answered(served: Served) -> bool:
    """Whether there is a connection to be had."""
    try:
        return served.ask("GET", "/v2")[0] == 200
    except OSError:
        return False


class asking:
    """A client that sends until it is cut off and reads nothing."""

    def __init__(self, connection: socket.socket, ask: bytes) -> None:
        self._connection, self._ask = connection, ask
        self._thread = threading.Thread(target=self._send, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._thread.join(10)

    def _send(self) -> None:
        try:
            while True:
                self._connection.sendall(self._ask)
        except OSError:
            pass


def test_a_slow_but_reading_client_gets_its_whole_answer(server: Served) -> None:
    """Only what is not taken within the time ends a connection."""
    body = json.dumps(request_of(rows(1000))).encode()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", server.port))
        for _ in range(3):
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            found = b""
            while not found.endswith(b"]}]}"):
                found += connection.recv(4096)
                time.sleep(0.03)
            assert statuses(found) == [200]


def test_a_flood_in_one_pipeline_is_cut_off_in_order(server: Served) -> None:
    """As many as may wait are answered, one after the other; the rest is asked again elsewhere."""
    before = resident_kilobytes(server)
    for _ in range(20):
        answers = exchange(server, b"GET /v2/models/weather HTTP/1.1\r\nHost: x\r\n\r\n" * 5000)
        found = statuses(answers)
        assert set(found) == {200}
        assert 1 <= len(found) < 5000
    assert resident_kilobytes(server) - before < 12_000


def test_garbage_behind_a_good_request_does_not_answer_it(server: Served) -> None:
    """The first answer belongs to the first request; then the connection is closed."""
    for garbage in (b"\x00\x01\x02\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", CHUNKED + b"ZZ\r\n"):
        answers = exchange(server, GOOD + garbage)
        assert statuses(answers)[:1] == [200], answers
        assert b'"prediction"' in answers


def test_a_client_that_closes_its_side_gets_its_answer(server: Served) -> None:
    """Half-closed: what was asked whole is answered, what is half there is not waited for."""
    for data, found in ((GOOD, [200]), (GOOD + GOOD, [200, 200]), (GOOD[:-5], []), (b"", [])):
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            assert statuses(received(connection)) == found


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(b"GET /v2 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nPRI", 200, id="get"),
        pytest.param(
            HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\n{}", 400, id="post"
        ),
        pytest.param(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nmore", 400, id="connect"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, id="http/2"),
        pytest.param(HEAD + b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n", 408, id="expect, and no body"),
        pytest.param(b"\r\n", 408, id="a blank line, and nothing"),
    ],
)
def test_no_other_protocol_and_no_silence_holds_a_connection(server: Served, data: bytes, status: int) -> None:
    """It is answered in HTTP/1.1, and closed."""
    answers = exchange(server, data)
    assert [found for found in statuses(answers) if found != 100][:1] == [status], answers


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"inputs": [' + b'{"a":0},' * 20_000 + b"0]}", id="objects"),
        pytest.param(b'{"inputs": [' + b"[]," * 60_000 + b"0]}", id="lists"),
    ],
)
def test_json_that_grows_when_it_is_read_is_refused(server: Served, body: bytes) -> None:
    """Few bytes that become many objects are refused before they do."""
    assert len(body) < 200_000
    status, _, answer = server.ask("POST", "/v2/models/weather/infer", body)
    assert status == 413
    assert "bytes of memory" in json.loads(answer)["error"]


@pytest.fixture
def small(model: Path, tmp_path: Path) -> Iterator[Served]:
    """A server of its own with little memory for requests: eight bodies of 100,000 bytes."""
    limits = {"MLOPS_MAX_BODY_BYTES": "100000", "MLOPS_REQUEST_SECONDS": "3"}
    with serving(tmp_path / "pod", tmp_path / "s", task_of(artifact_of(tmp_path / "s", model)), **limits) as served:
        yield served


def test_uploads_together_are_bounded_and_health_is_answered_meanwhile(small: Served) -> None:
    """Beyond the budget there is 503 with Retry-After, and when the uploads end all of it is there again."""
    with ExitStack() as stack:
        for _ in range(30):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", small.port), timeout=20))
            connection.sendall(HEAD + b"Content-Length: 99000\r\n\r\n" + b" " * 90_000)
        time.sleep(0.3)
        assert metric(small, "mlops_in_flight_bytes") <= 800_000 * 1.25
        assert small.ask("GET", "/v2/health/ready")[0] == 200
        status, headers, answer = small.ask("POST", "/v2/models/weather/infer", b" " * 90_000)
        assert (status, headers["retry-after"]) == (503, "1"), answer
    wait_for(lambda: metric(small, "mlops_in_flight_bytes") <= OWN)
    assert small.infer(request_of(rows(400)))[0] == 200


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(HEAD + b"Content-Length: 99000\r\n\r\n" + b" " * 50_000, id="closed in the middle"),
        pytest.param(CHUNKED + b"c350\r\n" + b" " * 50_000 + b"\r\nZZ\r\n", id="no chunk"),
        pytest.param(HEAD + b"Content-Length: 500000\r\n\r\n" + b" " * 500_000, id="too large"),
        pytest.param(HEAD + b"Content-Length: 50000\r\n\r\n" + b" " * 50_000, id="no JSON"),
        pytest.param(HEAD.replace(b"infer", b"other") + b"Content-Length: 50000\r\n\r\n" + b" " * 50_000, id="404"),
        pytest.param(HEAD + b"X-Long: " + b"x" * 17_000, id="large head"),
        pytest.param(GOOD * 6, id="pipeline"),
        pytest.param(GOOD * 3 + b"\x00", id="garbage behind a pipeline"),
        pytest.param(GOOD * 3 + HEAD + b"Content-Length: 99000\r\n\r\n" + b" " * 50_000, id="half a request behind"),
        pytest.param(HEAD + b"Expect: 100-continue\r\nContent-Length: 99000\r\n\r\n", id="expect"),
        pytest.param(HEAD + OFFER + b"Content-Length: 99000\r\n\r\n" + b" " * 50_000, id="half a body behind an offer"),
        pytest.param(GOOD + HEAD + OFFER + b"Content-Length: 50000\r\n\r\n" + b" " * 50_000, id="offer in a pipeline"),
    ],
)
@pytest.mark.parametrize("reads", [True, False], ids=["reads", "resets"])
def test_what_a_request_held_is_given_back_however_it_ends(small: Served, end: bytes, reads: bool) -> None:
    """Fifty times the budget in turn: were anything kept, the last ones would be refused."""
    for _ in range(40):
        with socket.create_connection(("127.0.0.1", small.port), timeout=20) as connection:
            try:
                connection.sendall(end)
                if reads:
                    connection.shutdown(socket.SHUT_WR)
                    received(connection)
            except OSError:
                pass  # it closed
    wait_for(lambda: metric(small, "mlops_in_flight_bytes") <= OWN)
    assert small.infer(request_of(rows(400)))[0] == 200
    wait_for(lambda: sockets(small) <= 2)


def sockets(server: Served) -> int:
    """How many sockets the server has open; one listens."""
    folder = f"/proc/{server.process.pid}/fd"
    count = 0
    for name in os.listdir(folder):
        try:
            count += os.readlink(f"{folder}/{name}").startswith("socket:")
        except OSError:
            continue
    # The event loop has a pair of its own for signals, twice.
    return count - 4


def test_labels_that_nobody_can_store_are_refused_and_sent_again(model: Path, tmp_path: Path) -> None:
    """Labels wait within their bytes too; whoever sends more is told to come again, and nothing is dropped silently."""
    store = tmp_path / "store"
    limits = {"MLOPS_CAPTURE_BUFFER_BYTES": "400000"}
    with serving(tmp_path / "pod", store, task_of(artifact_of(store, model)), **limits) as served:
        away = tmp_path / "away"
        store.rename(away)
        store.write_text("no folder")
        labels = [{"id": os.urandom(100).hex(), "label": "dry"} for _ in range(100)]
        answers = [served.ask("POST", "/v2/models/weather/feedback", json.dumps({"labels": labels}).encode())]
        while answers[-1][0] == 202 and len(answers) < 100:
            labels = [{"id": os.urandom(100).hex(), "label": "dry"} for _ in range(100)]
            answers.append(served.ask("POST", "/v2/models/weather/feedback", json.dumps({"labels": labels}).encode()))
        assert (answers[-1][0], answers[-1][1]["retry-after"]) == (503, "5")
        assert len(answers) < 20
        # What could never wait is told so: to come again would not help.
        many = [{"id": os.urandom(100).hex(), "label": "dry"} for _ in range(500)]
        status, _, said = served.ask("POST", "/v2/models/weather/feedback", json.dumps({"labels": many}).encode())
        assert (status, "send them in parts" in json.loads(said)["error"]) == (413, True)
        store.unlink()
        away.rename(store)
        served.flush()
        assert served.recorded("labels").height == 100 * (len(answers) - 1)


def wait_for(condition: Callable[[], Any], seconds: float = 15) -> None:
    """Return when the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.1)
