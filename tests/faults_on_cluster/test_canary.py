"""A canary in a real cluster, under 200 requests a second: a good candidate takes over, bad ones are stopped, and one
that cannot be judged stays; a person withdraws the new version. No request goes without its answer."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlops.store import Store
from mlops.store.s3 import S3Bucket
from mlops.store.settings import s3_settings
from mlops.workloads.floor.model.predictor import Predictor
from tests.faults_on_cluster.conftest import Cluster
from tests.faults_on_cluster.place import Place
from tests.workloads.serve.candidates import BAD, write_candidate
from tests.workloads.serve.models import rows, write_model
from tests.workloads.serve.servers import request_of

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.timeout(1800),
    pytest.mark.xdist_group("cluster"),
]

RATE = 200
ERRORS = '{errorRate: {maxIncrease: "0.05"}, interval: 3s}'
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
        replicas: 2
        canary:
          steps:
            - setWeight: 30
            - analysis: {analysis}
            - setWeight: 60
            - pause: 2s
"""


class Asking:
    """Asks the Service 200 times a second, whether or not earlier answers are there, on a connection each; every tenth
    row is one that some models fail. An answer is the version that gave it, or what went wrong.

    With `truth`, a model, its answers come back as labels, a second after their requests.
    """

    def __init__(self, there: Place, truth: Predictor | None = None) -> None:
        spec = there.get("service", "weather-production")["spec"]
        self._at = (spec["clusterIP"], spec["ports"][0]["port"])
        self._over = threading.Event()
        self._truth = truth
        self._asked: list[tuple[float, str, dict[str, Any]]] = []
        self.answers: Counter[str] = Counter()

    def run(self) -> None:
        """Ask until told to stop."""
        asyncio.run(self._run())

    def stop(self) -> None:
        """Ask no more."""
        self._over.set()

    async def _run(self) -> None:
        start, sent = time.monotonic(), 0
        under_way: set[asyncio.Task[None]] = set()
        while not self._over.is_set():
            while start + sent / RATE <= time.monotonic():
                task = asyncio.create_task(self._ask(sent))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                sent += 1
            if self._truth is not None and self._asked and self._asked[0][0] < time.monotonic() - 2:
                task = asyncio.create_task(self._label(self._truth))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            await asyncio.sleep(0.002)
        await asyncio.gather(*under_way)

    async def _label(self, truth: Predictor) -> None:
        """Send the labels of what was asked a second ago or earlier."""
        due = [one for one in self._asked if one[0] < time.monotonic() - 1]
        self._asked = self._asked[len(due) :]
        columns = {name: np.concatenate([one[2][name] for one in due]) for name in due[0][2]}
        said = truth.predict(columns).prediction.tolist()
        labels = [{"id": one[1], "label": label} for one, label in zip(due, said, strict=True)]
        line = await self._post("feedback", {"labels": labels})
        if line[:2] != (202, ""):
            self.answers[f"labels: {line}"] += 1

    async def _ask(self, number: int) -> None:
        inputs = rows(1, seed=number)
        if number % 10 == 0:
            inputs["count"][:] = BAD
        identity = f"request-{number}"
        status, what = await self._post("infer", request_of(inputs, id=identity))
        if status != 200:
            self.answers[f"{status} {what}"] += 1
            return
        self.answers[json.loads(what)["model_version"]] += 1
        if self._truth is not None and number % 10:
            self._asked.append((time.monotonic(), identity, inputs))

    async def _post(self, route: str, document: dict[str, Any]) -> tuple[int, str]:
        """Return the status and the body of the answer (of labels: none); or 0 and what went wrong."""
        body = json.dumps(document).encode()
        head = (
            f"POST /v2/models/weather/{route} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        try:
            async with asyncio.timeout(20):
                reader, writer = await asyncio.open_connection(*self._at)
                writer.write(head.encode() + body)
                answer = await reader.read()
                writer.close()
        except (OSError, TimeoutError) as error:
            return 0, type(error).__name__
        said, _, rest = answer.partition(b"\r\n\r\n")
        status = int(said.split()[1]) if said else 0
        return status, "" if status == 202 else rest.decode()


@contextmanager
def asking(there: Place, truth: Predictor | None = None) -> Iterator[Asking]:
    """Somebody who asks until the context is left."""
    clients = Asking(there, truth)
    thread = threading.Thread(target=clients.run)
    thread.start()
    try:
        yield clients
    finally:
        clients.stop()
        thread.join(60)


def serving(there: Place, folder: Path, kind: str, analysis: str = ERRORS) -> str:
    """Have version 1 served; return the manifest of version 2, a candidate of this kind."""
    store = Store(S3Bucket(s3_settings(there.store.environ()), "mlops"))
    stable, candidate = (
        store.put_directory(place).digest
        for place in (write_model(folder / "stable"), write_candidate(folder / "candidate", kind))
    )
    there.apply(VERSION.format(number=1, digest=stable, analysis=analysis))
    there.ready("modelversion", "weather-v1")
    return VERSION.format(number=2, digest=candidate, analysis=analysis)


def stages(there: Place, number: int) -> list[str]:
    """Where a version is live."""
    found: list[str] = there.get("modelversion", f"weather-v{number}").get("status", {}).get("stages", [])
    return found


def canary(there: Place) -> dict[str, Any]:
    """Where the canary of version 2 stands."""
    found: dict[str, Any] = there.get("modelversion", "weather-v2").get("status", {}).get("canary", {})
    return found


def test_a_good_candidate_takes_over_and_a_person_takes_it_back(cluster: Cluster, tmp_path: Path) -> None:
    """The first version again by one field: one of the two answers each request."""
    with cluster.place("canary good") as there:
        second = serving(there, tmp_path, "good")
        with asking(there) as clients:
            there.apply(second)
            there.takes("it has a share", lambda: canary(there).get("weight") == 30, 240)
            took = there.takes("version 2 serves alone", lambda: stages(there, 2) == ["production"], 600)
            there.ready("modelversion", "weather-v2")
            time.sleep(3)
            there.patch("modelversion", "weather-v2", {"spec": {"withdrawn": True}})
            there.takes("version 1 serves again", lambda: stages(there, 1) == ["production"], 240)
            time.sleep(3)
        assert set(clients.answers) == {"1", "2"}, clients.answers
        print(f"good: {sum(clients.answers.values())} requests, taken over {took:.0f} s after it had a share")


@pytest.mark.parametrize("kind", ["raises", "nan", "stuck"])
def test_a_candidate_that_fails_requests_is_stopped(cluster: Cluster, tmp_path: Path, kind: str) -> None:
    """Its recorded answers are right; a tenth of what is really asked it cannot answer, or not in time."""
    with cluster.place(f"canary {kind}") as there:
        second = serving(there, tmp_path, kind)
        with asking(there) as clients:
            there.apply(second)
            there.says("modelversion", "weather-v2", "CanaryFailed", 600)
            # The pods without it are there: it answers nothing any more.
            there.takes("its weight is gone", lambda: canary(there).get("weight") == 0, 60)
            there.ready("modelversion", "weather-v1", 240)
            time.sleep(3)
        assert set(clients.answers) == {"1", "2"}, clients.answers
        assert stages(there, 1) == ["production"]
        assert stages(there, 2) == []
        message = there.get("modelversion", "weather-v2")["status"]["failures"][0]["message"]
        assert "errorRate" in message, message
        print(f"{kind}: {sum(clients.answers.values())} requests; {message}")


def test_a_candidate_that_cannot_be_judged_stays_and_says_what_it_waits_for(cluster: Cluster, tmp_path: Path) -> None:
    """Nobody sends labels, and the analysis asks for a metric on them."""
    with cluster.place("canary waits") as there:
        second = serving(there, tmp_path, "good", "{metric: {name: accuracy}, interval: 3s}")
        with asking(there) as clients:
            there.apply(second)
            said = there.says("modelversion", "weather-v2", "CanaryWaiting", 600)
            time.sleep(10)
        assert "label" in said["message"], said
        assert set(clients.answers) == {"1", "2"}, clients.answers
        assert canary(there)["weight"] == 30
        assert stages(there, 1) == ["production"]
        print(f"waits: {sum(clients.answers.values())} requests; {said['message']}")


# Twenty of each are asked for, some minutes each in all; fewer while working on this.
TRIES = int(os.environ.get("MLOPS_CANARY_TRIES", "20"))
ALL = (
    '{errorRate: {maxIncrease: "0.05"}, latency: {maxRatio: "3"}, metric: {name: accuracy, maxLoss: "0.1"}, '
    "interval: 3s}"
)
FAULTS = ("raises", "slow", "worse", "nan", "stuck")
# A slow one may also be too late for its requests.
SHOWN = {"slow": ("latency", "errorRate"), "worse": ("metric",)}


def test_each_of_many_good_candidates_takes_over_and_each_bad_one_is_stopped(cluster: Cluster, tmp_path: Path) -> None:
    """One after the other, beside whichever version serves: bad ones err, are slow, or are worse on labels."""
    with cluster.place("canary many") as there:
        store = Store(S3Bucket(s3_settings(there.store.environ()), "mlops"))
        place = write_model(tmp_path / "stable")
        digest = store.put_directory(place).digest
        there.apply(VERSION.format(number=1, digest=digest, analysis=ALL))
        there.ready("modelversion", "weather-v1")
        with asking(there, Predictor.load(place)) as clients:
            for number in range(2, 2 + 2 * TRIES):
                kind = "good" if number % 2 else FAULTS[number // 2 % len(FAULTS)]
                factor = 0.1 if kind == "worse" else 1.0 + number / 1000
                made = write_candidate(tmp_path / str(number), "good" if kind == "worse" else kind, factor=factor)
                digest, start = store.put_directory(made).digest, time.monotonic()
                there.apply(VERSION.format(number=number, digest=digest, analysis=ALL))
                name = f"weather-v{number}"
                if kind == "good":
                    there.takes(f"{name} serves alone", lambda at=number: stages(there, at) == ["production"], 900)
                    said = ""
                else:
                    there.says("modelversion", name, "CanaryFailed", 900)
                    said = there.get("modelversion", name)["status"]["failures"][0]["message"]
                    assert any(one in said for one in SHOWN.get(kind, ("errorRate",))), said
                print(f"{name}, {kind}: {time.monotonic() - start:.0f} s {said}", flush=True)
        wrong = {said: n for said, n in clients.answers.items() if not said.isdigit()}
        assert wrong == {}
        print(f"{2 * TRIES} canaries, {sum(clients.answers.values())} requests, none without an answer")
