"""More than a server can take: who is answered is answered in time, who is not is told when to come again, and probes
are answered whatever clients do."""

from __future__ import annotations

import asyncio
import json
import random
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mlops.workloads.floor.model.lone_rows import RowAnswer
from mlops.workloads.serve.errors import RequestError
from mlops.workloads.serve.line import Line
from mlops.workloads.serve.row_request import RowRequest
from mlops.workloads.serve.rows import Asked, RowBatches
from tests.workloads.serve.models import rows
from tests.workloads.serve.servers import artifact_of, metric, request_of, resident_kilobytes, serving, task_of
from tests.workloads.serve.test_bounds import BODY, GOOD, HEAD, OWN, received, statuses, wait_for

SLOW_ROWS = 4000


async def one_client(port: int, body: bytes, until: float, found: list[tuple[int, float, bytes]]) -> None:
    """Ask again as soon as there is an answer; after 503 wait a little, much less than it was told."""
    head = HEAD + b"Content-Length: %d\r\n\r\n" % len(body)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.monotonic() < until:
        started = time.perf_counter()
        writer.write(head + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.split(b": ", 1) for line in answer.lower().split(b"\r\n")[1:] if b": " in line)
        rest = await reader.readexactly(int(fields[b"content-length"]))
        status = int(answer.split()[1])
        found.append((status, time.perf_counter() - started, answer if status != 200 else rest[:200]))
        if status != 200:
            await asyncio.sleep(0.02)
    writer.close()


async def load(port: int, bodies: Sequence[bytes], seconds: float) -> list[tuple[int, float, bytes]]:
    """What this many clients were answered."""
    found: list[tuple[int, float, bytes]] = []
    until = time.monotonic() + seconds
    await asyncio.gather(*(one_client(port, body, until, found) for body in bodies))
    return found


@pytest.mark.timeout(180)
def test_overload_is_told_at_once_and_the_rest_is_answered_in_time(model: Path, tmp_path: Path) -> None:
    """Large requests keep the thread busy for longer than anybody may wait: 503 with Retry-After, or 200 within the
    limit and what is being worked on; nothing else, and a probe is answered meanwhile."""
    store = tmp_path / "store"
    wait_seconds = 0.3
    limits = {"MLOPS_MAX_WAIT_MILLISECONDS": "300", "MLOPS_MAX_CONCURRENCY": "1000"}
    with serving(tmp_path / "pod", store, task_of(artifact_of(store, model)), **limits) as served:
        large = json.dumps(request_of(rows(SLOW_ROWS))).encode()
        alone = asyncio.run(load(served.port, [large], 1.5))
        assert {status for status, _, _ in alone} == {200}
        one = float(np.median([seconds for _, seconds, _ in alone]))
        before = resident_kilobytes(served)
        clients = [large] * 100 + [BODY] * 20
        probes: list[float] = []

        async def everything() -> list[tuple[int, float, bytes]]:
            async def probe() -> None:
                for _ in range(8):
                    started = time.perf_counter()
                    status, _, _ = await asyncio.to_thread(served.ask, "GET", "/v2/health/live")
                    assert status == 200
                    probes.append(time.perf_counter() - started)
                    await asyncio.sleep(0.5)

            found, _ = await asyncio.gather(load(served.port, clients, 5), probe())
            return found

        found = asyncio.run(everything())
        answered = [seconds for status, seconds, _ in found if status == 200]
        refused = [said for status, _, said in found if status == 503]
        p99 = float(np.quantile(answered, 0.99))
        print(f"\n{len(answered)} answered, {len(refused)} refused, one alone {one:.3f} s, p99 {p99:.3f} s, ")
        print(f"probes at most {max(probes):.3f} s")
        assert {status for status, _, _ in found} == {200, 503}
        assert all(b"retry-after: 1" in said.lower() for said in refused)
        # What is received and read beside it shares the processor with what is waited for.
        assert p99 < wait_seconds + 100 * one + 1
        assert max(probes) < 10
        wait_for(lambda: metric(served, "mlops_in_flight_bytes") <= OWN)
        assert served.infer(request_of(rows(1)))[0] == 200
        assert resident_kilobytes(served) - before < 300_000
        assert served.stop() == 0


def test_probes_are_answered_beyond_the_limit_of_connections(model: Path, tmp_path: Path) -> None:
    """Whoever holds all connections, and those beyond, does not have the pod ended: what asks at once gets through."""
    store = tmp_path / "store"
    limits = {"MLOPS_MAX_CONNECTIONS": "20", "MLOPS_REQUEST_SECONDS": "30"}
    with serving(tmp_path / "pod", store, task_of(artifact_of(store, model)), **limits) as served:
        with ExitStack() as stack:
            held = [
                stack.enter_context(socket.create_connection(("127.0.0.1", served.port), timeout=20)) for _ in range(90)
            ]
            for connection in held[::2]:
                connection.sendall(b"GET /v2/health/live HTTP/1.1\r\nX-Slow: ")
            for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/weather/ready", "/metrics"):
                status, headers, _ = served.ask("GET", path)
                assert (status, headers["connection"]) == (200, "close"), path
            status, headers, answer = served.ask("POST", "/v2/models/weather/infer", BODY)
            assert (status, headers["retry-after"]) == (503, "1")
            assert b"20 connections, its limit" in answer
            # The oldest of those beyond the limit were sent away for the newer ones, the others soon.
            assert statuses(received(held[21])) == [503]
            assert statuses(received(held[-1])) == [503]
            held[0].sendall(b"y\r\n\r\n")
            assert statuses(held[0].recv(1 << 16)) == [200]
        wait_for(lambda: served.ask("GET", "/v2")[0] == 200)


def test_connections_leave_room_for_the_store(model: Path, tmp_path: Path) -> None:
    """A runtime that starts a pod with few open files does not keep it from storing what it captured."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < 2048:
        pytest.skip(f"this machine allows {hard} open files")
    script = (
        "import resource; from mlops.workloads.serve.run import _raise_open_files; "
        f"resource.setrlimit(resource.RLIMIT_NOFILE, (256, {hard})); _raise_open_files(1024); "
        "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(found.stdout) == 1536


@pytest.mark.parametrize("seed", range(3))
def test_a_flood_of_clients_that_leave_harms_nobody(model: Path, tmp_path: Path, seed: int) -> None:
    """Requests whose clients go before, while and after they are answered; then a good one, and nothing is held."""
    store = tmp_path / "store"
    chance = random.Random(seed)
    with serving(tmp_path / "pod", store, task_of(artifact_of(store, model))) as served:
        large = json.dumps(request_of(rows(2000))).encode()
        slow = HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(large), large)
        for _ in range(150):
            with socket.create_connection(("127.0.0.1", served.port), timeout=20) as connection:
                connection.sendall(chance.choice([GOOD, GOOD * 3, slow, slow + GOOD, GOOD[:-9]]))
                if chance.random() < 0.3:
                    time.sleep(0.01)
                if chance.random() < 0.5:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert served.infer(request_of(rows(1)))[0] == 200
        wait_for(lambda: metric(served, "mlops_in_flight_bytes") <= OWN)
        assert served.stop() == 0


class Counting:
    """A model that says how many rows it was asked; of the row 13 it says in no foreseen way that it has no answer."""

    most = 64

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def answer(self, asked: Sequence[Any]) -> list[Any]:
        time.sleep(0.02)
        self.asked += [row[0] for row in asked]
        if any(row[0] == 13 for row in asked):
            raise RuntimeError("13")
        return [RowAnswer(row[0]) for row in asked]


def batches(model: Any, *, is_quick: bool) -> tuple[RowBatches, dict[int, Any]]:
    """Rows together, and what each was answered."""
    found: dict[int, Any] = {}
    made = RowBatches(model, Line(1000, 10), lambda asked, answer: (b"%d" % answer.value, None), is_quick=is_quick)
    made.answered = lambda asked, answer: found.__setitem__(asked.row[0], answer)
    return made, found


def asked_of(number: int, *, is_answered: bool = False) -> Asked:
    exchange = SimpleNamespace(is_busy=False, is_answered=is_answered)
    return Asked(exchange, RowRequest(str(number), [number], None, ()), [number], 0, time.perf_counter())


@pytest.mark.parametrize("is_quick", [True, False])
async def test_a_fault_in_a_run_is_answered_to_its_cause_only(is_quick: bool) -> None:
    """Also one that nobody foresaw."""
    made, found = batches(Counting(), is_quick=is_quick)
    for number in (11, 12, 13, 14):
        made.add(asked_of(number))
    made.end_turn()
    while made.is_busy:
        await asyncio.sleep(0.01)
    assert isinstance(found.pop(13), RuntimeError)
    assert found == {11: (b"11", None), 12: (b"12", None), 14: (b"14", None)}


async def test_nothing_is_worked_out_for_clients_that_have_left() -> None:
    """Whoever left while waiting holds up nobody behind."""
    model = Counting()
    made, found = batches(model, is_quick=False)
    waiting = [asked_of(number) for number in range(6)]
    for one in waiting:
        made.add(one)
        made.end_turn()
        await asyncio.sleep(0)
    for one in waiting[1::2]:
        one.exchange.is_answered = True
    while made.is_busy:
        await asyncio.sleep(0.01)
    assert set(model.asked) >= {0, 2, 4}
    assert not {3, 5} & set(model.asked)
    assert isinstance(found[3], RequestError)
    assert found[4] == (b"4", None)
