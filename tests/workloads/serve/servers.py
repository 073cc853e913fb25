"""A model server as a process of its own, over a folder store, and a plain client."""

from __future__ import annotations

import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mlops.api import tasks
from mlops.api.model_version import Capture
from mlops.store.address import open_store
from tests.servers.process import WITH_PARENT, free_port
from tests.workloads.serve.models import INPUTS

STATED = {"float64": "FP64", "int64": "INT64", "boolean": "BOOL", "string": "BYTES"}


@dataclass(frozen=True)
class Served:
    """A running server and what it needs."""

    process: subprocess.Popen[bytes]
    port: int
    task: tasks.ServeTask
    store: Path
    folder: Path
    # Whose certificates are taken; None: it speaks plain HTTP.
    trusted: ssl.SSLContext | None = None

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        source: str | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers in lower case, and body of one request over a connection of its own, from `source`."""
        own = None if source is None else (source, 0)
        connection = (
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=60, source_address=own)
            if self.trusted is None
            else http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=60, source_address=own, context=self.trusted
            )
        )
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        finally:
            connection.close()

    def post(self, path: str, document: Any) -> tuple[int, dict[str, Any]]:
        """Status and JSON of one request with a JSON body."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        status, _, answer = self.ask("POST", path, body, {"content-type": "application/json"})
        return status, json.loads(answer)

    def infer(self, document: Any) -> tuple[int, dict[str, Any]]:
        """Status and JSON of one inference request."""
        return self.post("/v2/models/weather/infer", document)

    def flush(self) -> dict[str, Any]:
        """Have all that was recorded stored."""
        status, answer = self.post("/-/flush", b"")
        assert status == 200, answer
        return answer

    def stop(self) -> int:
        """The exit code after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def recorded(self, kind: str = "requests") -> pl.DataFrame:
        """All stored rows of captures ("requests") or feedback ("labels")."""
        return pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in self.files(kind)])

    def files(self, kind: str = "requests") -> list[Path]:
        """The stored files of captures or feedback."""
        return sorted((self.store / f"objects/captures/team/weather/production/{kind}").rglob("*.parquet"))

    @property
    def report(self) -> dict[str, Any]:
        """What the pod wrote into its termination message."""
        report: dict[str, Any] = json.loads((self.folder / "termination-log").read_text())
        return report


def artifact_of(store: Path, model: Path) -> str:
    """The address of the model in the store, after it was put there."""
    return open_store(f"file://{store}", {}).put_directory(model).digest


def task_of(artifact: str, **capture: Any) -> tasks.ServeTask:
    """A task with one default for everything but the model."""
    return tasks.ServeTask(
        namespace="team",
        model_name="weather",
        version=3,
        stage="production",
        artifact=artifact,
        capture=Capture(**capture),
    )


@contextmanager
def started(
    folder: Path, store: Path, task: tasks.ServeTask, trusted: ssl.SSLContext | None = None, **environ: str
) -> Iterator[Served]:
    """A server process, just started."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", WITH_PARENT, sys.executable, "-W", "error", "-m", "mlops.workloads"],
            env={
                **os.environ,
                tasks.TASK_VARIABLE: json.dumps(task.dump()),
                tasks.STORE_VARIABLE: f"file://{store}",
                tasks.TERMINATION_VARIABLE: str(folder / "termination-log"),
                tasks.PORT_VARIABLE: str(port),
                "MLOPS_HOST": "127.0.0.1",
                "MLOPS_DRAIN_SECONDS": "0",
                **environ,
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield Served(process, port, task, store, folder, trusted)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def serving(
    folder: Path, store: Path, task: tasks.ServeTask, trusted: ssl.SSLContext | None = None, **environ: str
) -> Iterator[Served]:
    """A server process that is ready."""
    with started(folder, store, task, trusted, **environ) as served:
        wait_until_ready(served)
        yield served


def wait_until_ready(served: Served, seconds: float = 60) -> None:
    """Return when the server is ready; fails with its log."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert served.process.poll() is None, (served.folder / "server.log").read_text()
        try:
            if served.ask("GET", "/v2/health/ready")[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError((served.folder / "server.log").read_text())


def request_of(inputs: Mapping[str, np.ndarray[Any, Any]], **more: Any) -> dict[str, Any]:
    """The inference request with these columns, each in the datatype that the model states."""
    types = {one.name: STATED[one.type] for one in INPUTS}
    return {
        "inputs": [
            {"name": name, "datatype": types[name], "shape": [len(values)], "data": values.tolist()}
            for name, values in inputs.items()
        ],
        **more,
    }


def resident_kilobytes(server: Served) -> int:
    """The server's resident memory."""
    with open(f"/proc/{server.process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def metric(server: Served, name: str) -> float:
    """The figure of a metric, by its name with its labels."""
    text = server.ask("GET", "/metrics")[2].decode()
    return float(next(line for line in text.splitlines() if line.startswith(name + " ")).split()[-1])
