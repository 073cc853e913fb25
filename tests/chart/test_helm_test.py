"""The program of `helm test` against a real API server; an operator and a model are played."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.chart.cluster import DEFINITIONS, Cluster
from tests.chart.helm import CHART, Object

pytestmark = [pytest.mark.apiserver, pytest.mark.thorough]

NAMESPACE = "team-a"
_GROUP = "mlops.dev/v1alpha1"


@dataclass
class Program:
    """`helm test`'s program, with its store in a folder."""

    cluster: Cluster
    folder: Path

    def run(self, seconds: int, server: str = "http://127.0.0.1:1") -> tuple[int, list[str]]:
        """Return its exit code and what it said."""
        account, buckets = self.folder / "account", self.folder / "buckets"
        account.mkdir()
        (account / "ca.crt").write_bytes(self.cluster.server.ca.read_bytes())
        (account / "token").write_text(self.cluster.server.token)
        (buckets / "raw").mkdir(parents=True)
        environ = {
            **os.environ,
            "MLOPS_TEST_ACCOUNT": str(account),
            "MLOPS_TEST_API": self.cluster.server.url,
            "MLOPS_TEST_NAMESPACE": NAMESPACE,
            "MLOPS_TEST_SECONDS": str(seconds),
            "MLOPS_TEST_SERVER": server,
            "MLOPS_STORE": "s3://mlops",
            "MLOPS_TEST_DATA": "s3://raw/mlops-helm-test",
            "MLOPS_BUCKETS": buckets.as_uri(),
        }
        command = [sys.executable, str(CHART / "files" / "helm-test" / "loop.py")]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)
        assert not done.stderr, done.stderr
        return done.returncode, done.stdout.splitlines()

    def left(self) -> list[str]:
        """Return what it left behind, in the cluster and in the store."""
        found = self.cluster.kubectl(
            "--namespace", NAMESPACE, "get", "datasets,trainingruns,modelversions", "--output=name"
        )
        return [*found.split(), *(str(each) for each in (self.folder / "buckets").rglob("*") if each.is_file())]


@pytest.fixture
def tried(cluster: Cluster, tmp_path: Path) -> Program:
    cluster.install()
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{name}" for name in DEFINITIONS))
    return Program(cluster, tmp_path)


def _version(name: str) -> Object:
    labels = {"mlops.dev/model": "helm-test"}
    spec = {"modelName": "helm-test", "version": 1, "artifact": {"digest": f"sha256:{'a' * 64}"}}
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels}
    return {"apiVersion": _GROUP, "kind": "ModelVersion", "metadata": metadata, "spec": spec}


@contextmanager
def _played_operator(cluster: Cluster, stalled: str = "") -> Iterator[None]:
    """Whatever appears becomes ready at once, or stalls if it is of the kind `stalled`."""
    stop = threading.Event()

    def play() -> None:
        while not stop.wait(0.2):
            for kind in ("Dataset", "TrainingRun", "ModelVersion"):
                # Of a kind that is new, the server says briefly that it is not ready yet.
                for each in cluster.server.list(_GROUP, kind, NAMESPACE)[1].get("items", ()):
                    if kind == "TrainingRun":
                        cluster.server.apply(_version("helm-test-v1"))
                    cluster.server.apply(_done(kind, each["metadata"]["name"], bad=kind == stalled), "status")

    thread = threading.Thread(target=play)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _done(kind: str, name: str, *, bad: bool) -> Object:
    states = {"Ready": "False" if bad else "True", "Stalled": "True" if bad else "False"}
    conditions = [
        {
            "type": type_,
            "status": state,
            "reason": "Played",
            "message": "as the test wants it",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
            "observedGeneration": 1,
        }
        for type_, state in states.items()
    ]
    status: Object = {"observedGeneration": 1, "conditions": conditions}
    if kind == "TrainingRun":
        status["modelVersionRef"] = "helm-test-v1"
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": _GROUP, "kind": kind, "metadata": metadata, "status": status}


@contextmanager
def _played_model(says: str = "") -> Iterator[str]:
    """A model that says which number is greater, or always `says`; yields its address."""

    class Model(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            a, b = (tensor["data"][0] for tensor in asked["inputs"])
            answer = says or ("yes" if a > b else "no")
            body = json.dumps({"outputs": [{"name": "prediction", "data": [answer]}]}).encode()
            self.send_response(200 if self.path == "/v2/models/helm-test/infer" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Model) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_it_passes_and_leaves_nothing(tried: Program) -> None:
    """Also after a test that was cut off and left its version."""
    assert tried.cluster.server.create(_version("helm-test-v7"))[0] == 201
    with _played_operator(tried.cluster), _played_model() as address:
        code, said = tried.run(60, address)
    assert (code, said[-1]) == (0, "passed, and cleaned up"), said
    assert tried.left() == []


def test_it_fails_when_the_model_is_wrong(tried: Program) -> None:
    """An answer is not enough."""
    with _played_operator(tried.cluster), _played_model(says="maybe") as address:
        code, said = tried.run(60, address)
    assert (code, said[-1]) == (1, "FAILED: the model says 'maybe' of a=2.0, b=-2.0: it should say 'yes'"), said
    assert tried.left() == []


def test_it_does_not_wait_for_what_is_stalled(tried: Program) -> None:
    """The condition's words are repeated."""
    with _played_operator(tried.cluster, stalled="TrainingRun"):
        code, said = tried.run(60)
    assert (code, said[-1]) == (1, "FAILED: trainingruns/helm-test is stalled: Played: as the test wants it"), said
    # The played operator makes the version again as long as there is a run.
    assert [each for each in tried.left() if "modelversion" not in each] == []


def test_it_tells_that_nobody_works_and_cleans_up(tried: Program) -> None:
    """Without an operator."""
    code, said = tried.run(3)
    assert (code, said[-1]) == (
        1,
        "FAILED: datasets/helm-test was not ready in time: it has no status: does the operator run, and work in this "
        "namespace?",
    )
    assert tried.left() == []
