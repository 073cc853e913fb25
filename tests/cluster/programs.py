"""The operator as a process against a real API server, and what the rest of a cluster would do to its children."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import urllib3
from prometheus_client.parser import text_string_to_metric_families

from tests.servers.logs import assert_no_traceback
from tests.servers.process import WITH_PARENT, free_port

DIGEST = "sha256:" + "e" * 64
Value = Any


class Program:
    """A running `mlops-operator`."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process, self.port, self._log = process, port, log

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self._log.read_text("utf-8", "replace")

    def probe(self, path: str) -> int:
        """The HTTP status of a probe; 0 if nobody answers."""
        try:
            return urllib3.request("GET", f"http://127.0.0.1:{self.port}{path}", retries=False, timeout=2).status
        except urllib3.exceptions.HTTPError:
            return 0

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that carry `labels`."""
        text = urllib3.request("GET", f"http://127.0.0.1:{self.port}/metrics", retries=False, timeout=5).data.decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def stop(self, number: int = signal.SIGTERM, seconds: float = 15) -> tuple[int, float]:
        """Send a signal; return the exit code and the seconds that it took."""
        start = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(timeout=seconds)
        return code, time.monotonic() - start


@contextmanager
def operator(
    folder: Path, kubeconfig: Path, *arguments: str, ready: bool = True, environ: Mapping[str, str] | None = None
) -> Iterator[Program]:
    """Run the program; it is ready when the context begins, and gone when it ends. `environ` replaces the shell's.

    No traceback may stand in its log then.
    """
    port = free_port()
    log = folder / f"operator-{port}.log"
    command = [
        *(sys.executable, "-c", WITH_PARENT, sys.executable, "-W", "error", "-m", "mlops.cluster"),
        *("--kubeconfig", str(kubeconfig), "--image", "mlops-workloads:test", "--environment-digest", DIGEST),
        *("--pod-env", "MLOPS_STORE=s3://mlops", "--listen", f"127.0.0.1:{port}", *arguments),
    ]
    if environ is None:
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("MLOPS_", "KUBE"))}
    with log.open("ab") as output:
        process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    program = Program(process, port, log)
    try:
        if ready:
            eventually(lambda: program.probe("/readyz") == 200 or process.poll() is not None, 60, lambda: program.log)
            assert process.poll() is None, program.log
        yield program
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert_no_traceback(log)


def eventually(condition: Callable[[], Value], seconds: float = 60, explain: Callable[[], str] = str) -> Value:
    """Return the condition's value once it is true."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {explain()}"
        time.sleep(0.1)
