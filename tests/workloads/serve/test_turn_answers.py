"""What many clients ask in one turn of a server's loop is answered with the bytes that each is answered with alone:
for a model of each format, in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.workloads.serve.servers import Served, serving, task_of
from tests.workloads.serve.test_bounds import HEAD
from tests.workloads.train.runs import Place, a_frame

FORMATS = {
    "LogisticRegression": ("onnx", {}),
    "RandomForestClassifier": ("onnx", {"n_estimators": "10"}),
    "MLPClassifier": ("onnx", {"hidden_layer_sizes": "[8, 4]", "max_iter": "50"}),
    "HistGradientBoostingClassifier": ("treelite", {"max_iter": "10"}),
    "NearestCentroid": ("skops", {}),
}
TYPES = {"demand": "FP64", "price": "FP64", "count": "INT64", "holiday": "BOOL", "region": "BYTES"}
CLIENTS = 150


def document(row: dict[str, Any], number: int) -> bytes:
    """The request of one row."""
    inputs = [{"name": name, "datatype": kind, "shape": [1], "data": [row[name]]} for name, kind in TYPES.items()]
    return json.dumps({"id": f"row-{number}", "inputs": inputs}).encode()


def bodies() -> list[bytes]:
    """Requests of one row, some of them bad: a missing value where none may be, text for a number, no JSON."""
    frame = a_frame(CLIENTS, seed=9).select(pl.col(*TYPES))
    found = [document(row, number) for number, row in enumerate(frame.rows(named=True))]
    for number in range(5, CLIENTS, 17):
        row = frame.row(number, named=True)
        found[number] = (
            document({**row, "price": None}, number),
            document({**row, "count": "many"}, number),
            found[number][:-1],
        )[number % 3]
    return found


def without_head(answer: bytes) -> tuple[bytes, bytes]:
    """The status line and the body."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.partition(b"\r\n")[0], body


def asked_together(served: Served, asked: list[bytes]) -> list[tuple[bytes, bytes]]:
    """The answers to requests that are all there when the server is let look."""
    with ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection(("127.0.0.1", served.port), timeout=30)) for _ in asked
        ]
        # Accepted before it is stopped: only the requests are new then.
        for connection in connections:
            connection.sendall(b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n")
            connection.recv(1 << 16)
        os.kill(served.process.pid, signal.SIGSTOP)
        try:
            for connection, body in zip(connections, asked, strict=True):
                connection.sendall(HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            time.sleep(0.1)
        finally:
            os.kill(served.process.pid, signal.SIGCONT)
        answers = []
        for connection in connections:
            answer = b""
            while part := connection.recv(1 << 16):
                answer += part
            answers.append(without_head(answer))
        return answers


@pytest.mark.parametrize("name", FORMATS)
def test_answers_of_a_turn_are_those_of_each_alone(tmp_path: Path, name: str) -> None:
    """Byte for byte, to the client that asked, bad rows among them; and the same rows alone again behind it."""
    want, params = FORMATS[name]
    place = Place(tmp_path)
    report = place.run(place.dataset(), name, params=params)
    assert report.format == want
    limits = {"MLOPS_MAX_CONCURRENCY": "1000", "MLOPS_MAX_WAIT_MILLISECONDS": "20000"}
    with serving(tmp_path / "pod", tmp_path / "store", task_of(report.output_digest), **limits) as served:
        asked = bodies()

        def alone() -> list[tuple[bytes, bytes]]:
            found = []
            for body in asked:
                status, _, answer = served.ask(
                    "POST", "/v2/models/weather/infer", body, {"content-type": "application/json"}
                )
                found.append((b"%d" % status, answer))
            return found

        first = alone()
        for _ in range(3):
            together = asked_together(served, asked)
            assert [(line.split()[1], body) for line, body in together] == first
        assert alone() == first
        counts = {status: sum(one == status for one, _ in first) for status in (b"200", b"400", b"422")}
        assert counts[b"200"] > 0.9 * CLIENTS
        assert counts[b"400"] > 0
        assert counts[b"422"] > 0
