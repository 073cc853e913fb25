"""Thousands of mutated requests beside good traffic: nobody's request fails by them, and memory stays."""

from __future__ import annotations

import gzip
import json
import random
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.workloads.serve.models import rows
from tests.workloads.serve.servers import artifact_of, metric, request_of, resident_kilobytes, serving, task_of
from tests.workloads.serve.test_bounds import HEAD, OWN, received, statuses

LABELS = b'{"labels": [{"id": "guess", "label": "dry", "time": "1900-01-01T00:00:00Z"}]}'
# Sixteen times a thousand times its size.
BOMB = gzip.compress(bytes(16 << 20), mtime=0)
VALUES = [None, True, -1, 0, 1 << 70, 1e308, "", "x" * 5000, [], {}, [[]], "1678-01-01T00:00:00Z", "\u0000", "🦀" * 50]
HEADERS = [
    b"Transfer-Encoding: chunked",
    b"Content-Length: 7",
    b"Expect: 100-continue",
    b"Connection: Upgrade, close",
    b"Upgrade: websocket",
    b"Connection: Upgrade\r\nUpgrade: h2c",
    b"Inference-Header-Content-Length: 40",
    b"Content-Encoding: gzip",
    b"Content-Encoding: deflate",
    b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    b": empty",
    b"X: " + b"y" * 9000,
]


def mutated(chance: random.Random) -> bytes:
    """One request, or what is left of it."""
    document = request_of(rows(chance.randint(1, 3)), id=str(chance.random()))
    if chance.random() < 0.6:
        tensor = chance.choice(document["inputs"])
        tensor[chance.choice(sorted(tensor))] = chance.choice(VALUES)
    if chance.random() < 0.3:
        document["parameters"] = {"event_time": chance.choice(VALUES)}
    body = LABELS if chance.random() < 0.2 else json.dumps(document).encode()
    head = HEAD.replace(b"infer", chance.choice([b"infer", b"feedback", b"predict"]))
    if b"predict" in head:
        body = json.dumps({"rows": [_object(document)] * chance.randint(0, 3)}).encode()
    if chance.random() < 0.2:
        body = chance.choice([BOMB, gzip.compress(body), gzip.compress(body), gzip.compress(body)[:-9]])
        head += b"Content-Encoding: gzip\r\n"
    if chance.random() < 0.3:
        head += chance.choice(HEADERS) + b"\r\n"
    if chance.random() < 0.3:
        chunk = b"%x%s\r\n%s\r\n" % (len(body), chance.choice([b"", b";e=1", b";" + b"e" * 20_000]), body)
        trailers = b"X-T: %s\r\n" % (b"t" * 100) * chance.choice([0, 1, 400])
        data = head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + b"0\r\n" + trailers + b"\r\n"
    else:
        data = head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    damaged = bytearray(data * chance.choice([1, 1, 1, 2, 20]))
    for _ in range(chance.choice([0, 0, 1, 5])):
        damaged[chance.randrange(len(damaged))] = chance.randrange(256)
    return bytes(damaged[: chance.randint(1, len(damaged))] if chance.random() < 0.2 else damaged)


def _object(document: dict[str, Any]) -> dict[str, Any]:
    """The tensors of a request as one object, whatever they are."""
    return {str(tensor.get("name")): tensor.get("data") for tensor in document["inputs"]}


def attack(port: int, data: bytes, *, reads: bool) -> bytes:
    """What the server answers; half of the attackers do not read it."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it closed
        return received(connection) if reads else b""


@pytest.mark.parametrize(
    "count", [pytest.param(2_000, id="short"), pytest.param(50_000, id="full", marks=pytest.mark.long)]
)
@pytest.mark.timeout(1800)
def test_mutated_requests_harm_nobody(model: Path, tmp_path: Path, count: int) -> None:
    """No 5xx but a 503 that says when to come again, every good request answered, memory within 1.2 times."""
    store = tmp_path / "store"
    task = task_of(artifact_of(store, model), flush_seconds=5)
    with serving(tmp_path / "pod", store, task, MLOPS_REQUEST_SECONDS="5") as served:
        for number in range(500):
            attack(served.port, mutated(random.Random(-1 - number)), reads=True)
        served.flush()
        before = resident_kilobytes(served)
        wrong: list[bytes] = []
        good: list[int] = []
        numbers = iter(range(count))
        lock = threading.Lock()
        ended = threading.Event()

        def attacker() -> None:
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                answers = attack(served.port, mutated(random.Random(number)), reads=number % 8 > 0)
                bad = [status for status in statuses(answers) if status >= 500]
                if bad and (set(bad) != {503} or b"retry-after" not in answers):
                    wrong.append(b"%d: %s" % (number, answers[:300]))

        def neighbour() -> None:
            while not ended.is_set():
                good.append(served.infer(request_of(rows(1)))[0])
                time.sleep(0.01)

        attackers = [threading.Thread(target=attacker) for _ in range(4)]
        beside = threading.Thread(target=neighbour)
        for thread in (*attackers, beside):
            thread.start()
        for thread in attackers:
            thread.join()
        ended.set()
        beside.join()
        after = resident_kilobytes(served)
        print(f"\n{count} mutated and {len(good)} good requests, {before} KiB before, {after} KiB after")
        assert not wrong, wrong[:3]
        assert len(good) > 20
        assert set(good) == {200}
        assert after <= 1.2 * before
        deadline = time.monotonic() + 15
        while metric(served, "mlops_in_flight_bytes") > OWN:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert served.stop() == 0
