"""What a request of one row costs, in calls of functions of ours: time depends on who else is on the machine."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from mlops.api.pod_environment import ServerSettings
from mlops.workloads.floor.model.lone_rows import lone_rows
from mlops.workloads.floor.model.opening import Loaded, open_checked
from mlops.workloads.serve.app import Application
from mlops.workloads.serve.budget import Budget
from mlops.workloads.serve.failures import FailureLog
from mlops.workloads.serve.http import HttpConnection
from mlops.workloads.serve.metrics import Metrics
from mlops.workloads.serve.request_ids import RequestIds
from mlops.workloads.serve.served import Served
from mlops.workloads.serve.server import Server
from tests.workloads.serve.models import rows
from tests.workloads.serve.servers import request_of, task_of
from tests.workloads.serve.test_known_head import Transport

# As measured, and a few more. Whoever needs more of them has a reason to say so here.
MOST_CALLS = {0: 50, 100: 55}
CONNECTIONS = 8
HEAD = b"POST /v2/models/weather/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"


class Nowhere:
    """A store that takes everything."""

    def put_object(self, key: str, data: bytes) -> None:
        """Keep nothing."""


@pytest.fixture(scope="module")
def loaded(model: Path) -> Loaded:
    return open_checked(model)


def server_here(loaded: Loaded, percent: int) -> tuple[Server, Application]:
    """A server in this process that is ready."""
    task, limits = task_of("sha256:" + "0" * 64, percent=percent), ServerSettings()
    metrics, ids = Metrics("weather", 3, "production", task.artifact), RequestIds()
    app = Application(task, limits, metrics, ids, FailureLog())
    lone = lone_rows(loaded.predictor, loaded.golden.inputs, time.monotonic() + 60)
    assert lone is not None
    lone.most = CONNECTIONS
    app.serve(
        Served(
            task,
            loaded,
            one_row_seconds=1e-5,
            lone=lone,
            sink=Nowhere(),
            limits=limits,
            metrics=metrics,
            host="pod",
            sampling_key=b"key",
        )
    )
    server = Server(
        app, limits, Budget(limits.buffered_bytes), refused=lambda *_: None, ids=ids, paths=app.paths, vital=app.vital
    )
    return server, app


async def serving_here(loaded: Loaded, percent: int) -> list[tuple[HttpConnection, Transport]]:
    """Connections to such a server."""
    server, _ = server_here(loaded, percent)
    made = []
    for _ in range(CONNECTIONS):
        connection, transport = server.connection(), Transport()
        connection.connection_made(transport)
        made.append((connection, transport))
    return made


@pytest.mark.parametrize("percent", MOST_CALLS)
async def test_a_request_of_one_row_makes_few_calls(loaded: Loaded, percent: int) -> None:
    """Of several connections in one turn, each with a head that it sent before."""
    connections = await serving_here(loaded, percent)
    body = json.dumps(request_of(rows(1))).encode()
    request = HEAD % len(body) + body
    calls: Counter[str] = Counter()

    def count(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and "/mlops/workloads/" in frame.f_code.co_filename:
            calls[f"{Path(frame.f_code.co_filename).name}: {frame.f_code.co_qualname}"] += 1

    async def ask() -> None:
        for connection, transport in connections:
            transport.written.clear()
            connection.data_received(request)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    await ask()
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        await ask()
    finally:
        sys.setprofile(before)
    assert all(transport.written[0].startswith(b"HTTP/1.1 200") for _, transport in connections)
    a_request = sum(calls.values()) / CONNECTIONS
    assert a_request <= MOST_CALLS[percent], "\n".join(f"{name} {number}" for name, number in calls.most_common())
