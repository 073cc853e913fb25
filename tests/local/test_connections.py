"""Connections through a Service end when both sides have ended them: none is kept open for ever."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

from tests.local.test_deployments import SERVICE, a_server, port_of
from tests.local.world import a_runtime, make, until


def ask_and_close(port: int) -> bytes:
    """Ask as `curl` with `Connection: close` does: read to the end, which the server closes first."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
    return answer


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_a_connection_that_both_sides_have_ended_leaves_no_file_open(tmp_path: Path) -> None:
    """Else a runtime that serves has no file left after a few hundred requests, and starts no pod any more."""
    async with a_runtime(tmp_path) as runtime:
        make(runtime, SERVICE)
        make(runtime, a_server("here"))
        await runtime.settled(20)
        before = open_files()
        for _ in range(40):
            assert b"here" in await asyncio.to_thread(ask_and_close, port_of(runtime))
        await until(lambda: open_files() <= before + 6)
