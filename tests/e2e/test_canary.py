"""One machine, real pods: a new version takes over by a canary under requests all the time, or is stopped by it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import urllib3

from mlops.local.records import read_objects
from mlops.store import open_store
from tests.e2e.runs import one, run, started
from tests.workloads.serve.candidates import BAD, write_candidate
from tests.workloads.serve.models import rows, write_model
from tests.workloads.serve.servers import request_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

RATE, THREADS = 100, 10
VERSION = """
apiVersion: mlops.dev/v1alpha1
kind: ModelVersion
metadata: {{name: weather-v{number}}}
spec:
  modelName: weather
  version: {number}
  artifact: {{digest: "{digest}"}}
  capture: {{flushSeconds: 1}}
  promotion:
    stages:
      - name: production
        canary:
          steps:
            - setWeight: 30
            - analysis: {{errorRate: {{maxIncrease: "0.05"}}, predictionDrift: {{maxDistance: "0.4"}}, interval: 2s}}
            - setWeight: 60
            - pause: 1s
"""


@dataclass
class Clients:
    """Ask all the time, on a new connection each, and try nothing again; every tenth row is one that some models fail.

    An answer is the version that gave it, or what went wrong.
    """

    url: str
    answers: Counter[str] = field(default_factory=Counter)
    over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, number: int) -> None:
        pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(30))
        asked = number
        while not self.over.wait(THREADS / RATE):
            inputs = rows(1, seed=asked)
            if asked % 10 == 0:
                inputs["count"][:] = BAD
            said = self._ask(pool, request_of(inputs, id=f"request-{asked}"))
            with self.lock:
                self.answers[said] += 1
            asked += THREADS

    def _ask(self, pool: urllib3.PoolManager, body: dict[str, Any]) -> str:
        try:
            answer = pool.request(
                "POST",
                f"{self.url}/v2/models/weather/infer",
                body=json.dumps(body),
                headers={"Connection": "close", "Content-Type": "application/json"},
            )
        except urllib3.exceptions.HTTPError as error:
            return type(error).__name__
        return str(answer.json()["model_version"]) if answer.status == 200 else f"{answer.status} {answer.data!r}"


@contextmanager
def asking(url: str) -> Iterator[Clients]:
    """Clients that ask until the context is left."""
    clients = Clients(url)
    threads = [threading.Thread(target=clients.run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        yield clients
    finally:
        clients.over.set()
        for thread in threads:
            thread.join(60)


def tried(folder: Path, kind: str, until: str) -> tuple[Counter[str], dict[str, Any], dict[str, Any]]:
    """Serve version 1, then have version 2 come; return the answers meanwhile, and both versions once `until` stands
    among the steps of the second one's way."""
    scenario, state = folder / "scenario", folder / "state"
    scenario.mkdir()
    store = open_store((state / "store").absolute().as_uri(), os.environ)
    digests = [
        store.put_directory(place).digest
        for place in (write_model(folder / "stable"), write_candidate(folder / "candidate", kind))
    ]
    (scenario / "v1.yaml").write_text(VERSION.format(number=1, digest=digests[0]))
    assert run(scenario, state).code == 0
    (scenario / "v2.yaml").write_text(VERSION.format(number=2, digest=digests[1]))
    with started(scenario, state, "--keep-serving") as process:
        reading = threading.Thread(target=_show, args=(process,))
        reading.start()
        with asking(_address(state, process)) as clients:
            _wait_for(state, until, process)
            time.sleep(2)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
        reading.join(60)
    return clients.answers, one(state, "ModelVersion", "weather-v1"), one(state, "ModelVersion", "weather-v2")


def _show(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="")


def _address(state: Path, process: subprocess.Popen[str]) -> str:
    """Return where version 1 answers, once it does."""
    for _ in range(600):
        status = one(state, "ModelVersion", "weather-v1").get("status", {})
        if status.get("readyReplicas") and (url := status.get("url")):
            pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(5))
            try:
                if pool.request("GET", f"{url}/v2/health/ready").status == 200:
                    return str(url)
            except urllib3.exceptions.HTTPError:
                pass
        assert process.poll() is None
        time.sleep(0.1)
    raise AssertionError("version 1 never answered")


def _wait_for(state: Path, step: str, process: subprocess.Popen[str]) -> None:
    for _ in range(1200):
        second = [each for each in read_objects(state) if each["metadata"]["name"] == "weather-v2"]
        if any(each["to"] == step for one in second for each in one.get("status", {}).get("transitions", [])):
            return
        assert process.poll() is None
        time.sleep(0.1)
    raise AssertionError(f"never {step}: {second}")


def test_a_good_candidate_takes_over_and_no_request_fails(tmp_path: Path) -> None:
    """By its steps; both versions answered meanwhile, and at the end the new one alone."""
    answers, first, second = tried(tmp_path, "good", "production")

    assert set(answers) == {"1", "2"}, answers
    assert second["status"]["stages"] == ["production"]
    assert first["status"].get("stages", []) == []
    assert answers["2"] > 50


@pytest.mark.parametrize("kind", ["raises", "nan"])
def test_a_candidate_that_fails_requests_is_stopped_and_no_client_notices(tmp_path: Path, kind: str) -> None:
    """It reproduces its recorded answers, and fails a tenth of what is really asked."""
    answers, first, second = tried(tmp_path, kind, "Failed")

    assert set(answers) == {"1", "2"}, answers
    assert first["status"]["stages"] == ["production"]
    assert second["status"].get("stages", []) == []
    (failure,) = second["status"]["failures"]
    assert failure["reason"] == "CanaryFailed"
    assert "errorRate" in failure["message"]
