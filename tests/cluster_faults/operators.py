"""The operator as a real process behind a fault proxy, and what a kubelet does for it: restart it, probe it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import urllib3

from tests.cluster_faults.nursery import nursery
from tests.planning.builders import ENVIRONMENT
from tests.servers.api_proxy import ApiProxy
from tests.servers.logs import assert_no_traceback
from tests.servers.process import free_port

# As the chart's Deployment says.
PROBE_SECONDS, PROBE_FAILURES = 10.0, 6


@dataclass(frozen=True)
class Probe:
    """What /healthz and the proxy showed at a timestamp of time.monotonic()."""

    at: float
    healthy: bool
    streams: int


@dataclass
class Operator:
    """The operator's process, restarted when it ends with an error or its liveness probe fails six times in a row.

    `exits` are its exit codes, negative for a signal; `probes` what was seen twice a second.
    """

    proxy: ApiProxy
    namespace: str
    identity: str = "operator"
    arguments: Sequence[str] = ()
    lease: bool = True
    restart: bool = True
    exits: list[int] = field(default_factory=list)
    probes: list[Probe] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.port = free_port()
        self._over = threading.Event()
        self._http = urllib3.PoolManager(maxsize=4, retries=False, timeout=5)
        self._lock = threading.Lock()
        self.log = self.proxy.folder / f"{self.identity}.log"
        self._start()
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._keep, self._probe)]
        for thread in self._threads:
            thread.start()

    @property
    def restarts(self) -> int:
        return len(self.exits)

    @property
    def pid(self) -> int:
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; one that is gone already is left alone."""
        with self._lock:
            if self._process.poll() is None:
                self._process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def wait(self, seconds: float) -> int:
        """The exit code of the present process. Raises TimeoutExpired."""
        return self._process.wait(seconds)

    def start_again(self) -> None:
        """Start one that is not restarted by itself."""
        self._process.wait(10)
        self._start()

    def healthy(self) -> bool:
        return self._get("/healthz") == 200

    def ready(self) -> bool:
        return self._get("/readyz") == 200

    def metric(self, name: str, labels: str = "") -> float:
        """The sum of a metric's values whose labels contain `labels`."""
        answer = self._http.request("GET", f"http://127.0.0.1:{self.port}/metrics")
        found = re.findall(rf"(?m)^{name}(?:{{(.*)}})? (\S+)$", answer.data.decode())
        return sum(float(value) for shown, value in found if labels in shown)

    def stop(self) -> None:
        """End it and everything that looks after it."""
        self._over.set()
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self._process.wait(10)
        for thread in self._threads:
            thread.join(10)

    def _get(self, path: str) -> int:
        try:
            return self._http.request("GET", f"http://127.0.0.1:{self.port}{path}").status
        except urllib3.exceptions.HTTPError:
            return 0

    def _start(self) -> None:
        own = ["--identity", self.identity, "--lease-namespace", self.namespace] if self.lease else ["--no-lease"]
        command = ["--image", "workloads:test", "--namespace", self.namespace]
        command += ["--environment-digest", ENVIRONMENT, "--pod-env", "MLOPS_STORE=s3://artifacts/"]
        command += ["--listen", f"127.0.0.1:{self.port}", "--kubeconfig", str(self.proxy.kubeconfig()), *own]
        with self._lock:
            self._process = nursery().start([*command, *self.arguments], _environment(), self.log)

    def _keep(self) -> None:
        while not self._over.wait(0.1):
            code = self._process.poll()
            if code is not None and self.restart and not self._over.is_set():
                self.exits.append(code)
                self._start()

    def _probe(self) -> None:
        red_since: float | None = None
        started = restarts = 0  # a slow machine is no reason to kill what has just begun
        while not self._over.wait(0.5):
            seen = Probe(time.monotonic(), self.healthy(), self.proxy.streams)
            self.probes.append(seen)
            if restarts != self.restarts:
                started, restarts = 0, self.restarts
            started = started or seen.healthy
            red_since = None if seen.healthy or not started else red_since or seen.at
            if self.restart and red_since and seen.at - red_since > PROBE_SECONDS * PROBE_FAILURES:
                self.kill()
                red_since = None


def _environment() -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLOPS_", "KUBE"))}
    return {**kept, "OPENBLAS_NUM_THREADS": "1"}


@contextmanager
def operator(proxy: ApiProxy, namespace: str, **options: object) -> Iterator[Operator]:
    """The operator, started; ready is another matter. At the end no traceback may stand in its log."""
    started = Operator(proxy, namespace, **options)  # type: ignore[arg-type]
    try:
        yield started
    finally:
        started.stop()
    assert_no_traceback(started.log)
