"""An operator that gets next to no CPU, under the probes of the chart."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import urllib3

from tests.cluster.programs import Program, eventually, operator
from tests.cluster.test_program import synced_at
from tests.cluster_faults.example import in_namespace
from tests.cluster_faults.operators import PROBE_FAILURES, PROBE_SECONDS
from tests.engine.objects import a_dataset
from tests.servers.apiserver import ApiServer

pytestmark = [pytest.mark.apiserver, pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(900)]

# As the chart's Deployment says.
PROBE_TIMEOUT = 10.0


@contextmanager
def starved(program: Program, share: float, turn: float = 0.02) -> Iterator[None]:
    """The process runs for a turn and is stopped until its share is right, as by a CPU limit or busy neighbours."""
    over = threading.Event()

    def run() -> None:
        while not over.is_set() and program.process.poll() is None:
            os.kill(program.process.pid, signal.SIGSTOP)
            over.wait(turn / share - turn)
            os.kill(program.process.pid, signal.SIGCONT)
            over.wait(turn)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def killed_after(program: Program, seconds: float) -> float | None:
    """Probe as a kubelet does; the seconds after which it would have killed the container, None if it would not."""
    began, failures = time.monotonic(), 0
    while (passed := time.monotonic() - began) < seconds:
        failures = 0 if _answers(program) else failures + 1
        if failures == PROBE_FAILURES:
            return time.monotonic() - began
        time.sleep(max(0.0, PROBE_SECONDS - (time.monotonic() - began - passed)))
    return None


def _answers(program: Program) -> bool:
    try:
        url = f"http://127.0.0.1:{program.port}/healthz"
        return urllib3.request("GET", url, retries=False, timeout=PROBE_TIMEOUT).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def test_a_starved_operator_is_not_killed(server: ApiServer, namespace: str, tmp_path: Path, credentials: Path) -> None:
    """With a fortieth of a CPU and work to do, for longer than a kubelet waits: it is late, and alive."""
    with operator(tmp_path, credentials, "--namespace", namespace, "--no-lease") as program:
        with starved(program, 1 / 40):
            for number in range(20):
                assert server.create(in_namespace(a_dataset(f"rain-{number}"), namespace))[0] == 201
            assert killed_after(program, PROBE_SECONDS * PROBE_FAILURES + 40) is None, program.log
            assert program.process.poll() is None
        last = in_namespace(a_dataset("last"), namespace)
        server.create(last)
        eventually(lambda: synced_at(server, last), 60, lambda: program.log)
