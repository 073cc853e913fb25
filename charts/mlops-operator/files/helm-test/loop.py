"""`helm test`: a table of 240 rows becomes a Dataset, a model and a served prediction; then all of it is removed.

Runs in the workloads image with the rights of templates/tests.yaml and the store's Secret. What stays are the artifacts
in the store, some kilobytes under their digests, the same at every test; and the model's history, in the ConfigMap
helm-test-history.
"""

from __future__ import annotations

import os
import random
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import urllib3

from mlops.store import StoreError
from mlops.store.address import open_source

NAME = "helm-test"
ACCOUNT = Path(os.environ.get("MLOPS_TEST_ACCOUNT", "/var/run/secrets/kubernetes.io/serviceaccount"))
API = os.environ.get("MLOPS_TEST_API", "https://kubernetes.default.svc")
NAMESPACE = os.environ["MLOPS_TEST_NAMESPACE"]
SERVER = os.environ.get("MLOPS_TEST_SERVER", f"http://{NAME}-production.{NAMESPACE}.svc")
DATA = os.environ["MLOPS_TEST_DATA"]
ROWS = f"{DATA}/{NAMESPACE}/rows.csv"
GROUP = f"/apis/mlops.dev/v1alpha1/namespaces/{NAMESPACE}"

Object = dict[str, Any]


class Failed(Exception):
    """What went wrong, and where to look."""


def objects() -> dict[str, Object]:
    """Return what is applied, by the plural of its kind."""
    features = [{"name": "a", "type": "float64"}, {"name": "b", "type": "float64"}]
    dataset = {
        "source": {"s3": {"uri": ROWS}},
        "format": "csv",
        "fields": [*features, {"name": "y", "type": "string", "role": "label", "enum": ["no", "yes"]}],
    }
    run = {
        "datasetRef": {"name": NAME},
        "trainer": {"estimator": {"name": "LogisticRegression"}},
        "gates": [{"metric": "accuracy", "min": "0.8"}],
        "register": {
            "modelName": NAME,
            "promotion": {"stages": [{"name": "production", "gates": [{"golden": {}}]}]},
            "capture": {"percent": 0},
        },
        "resources": {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"cpu": "1", "memory": "2Gi"}},
    }
    return {"datasets": _object("Dataset", dataset), "trainingruns": _object("TrainingRun", run)}


def _object(kind: str, spec: Object) -> Object:
    return {"apiVersion": "mlops.dev/v1alpha1", "kind": kind, "metadata": {"name": NAME}, "spec": spec}


def rows() -> bytes:
    """Return the table: y says which of two numbers is greater."""
    chance = random.Random(0)
    drawn = [(chance.gauss(0, 1), chance.gauss(0, 1)) for _ in range(240)]
    return "\n".join(["a,b,y", *(f"{a:.4f},{b:.4f},{'yes' if a > b else 'no'}" for a, b in drawn), ""]).encode()


class Cluster:
    """The API server, as the test's own ServiceAccount."""

    def __init__(self) -> None:
        trust = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
        self._pool = urllib3.PoolManager(ssl_context=trust, timeout=10, retries=urllib3.Retry(3, backoff_factor=0.5))

    def request(self, method: str, path: str, body: Object | None = None, fine: tuple[int, ...] = ()) -> Object:
        """Return the answer; raises Failed unless it is a success or its status is `fine`."""
        headers = {"Authorization": f"Bearer {(ACCOUNT / 'token').read_text().strip()}"}
        answer = self._pool.request(method, API + path, json=body, headers=headers)
        if answer.status >= 300 and answer.status not in fine:
            raise Failed(f"{method} {path}: the API server answers {answer.status}: {answer.data.decode()[:500]}")
        found: Object = answer.json()
        return found

    def ready(self, plural: str, name: str, deadline: float) -> Object:
        """Wait until the object is ready and return it; raises Failed as soon as it cannot become so any more."""
        told = "it has no status: does the operator run, and work in this namespace?"
        while time.monotonic() < deadline:
            found = self.request("GET", f"{GROUP}/{plural}/{name}")
            conditions = {each["type"]: each for each in found.get("status", {}).get("conditions", ())}
            if "Ready" in conditions:
                told = f"{conditions['Ready']['reason']}: {conditions['Ready'].get('message', '')}"
            if conditions.get("Ready", {}).get("status") == "True":
                say(f"{plural}/{name} is ready: {told}")
                return found
            if conditions.get("Stalled", {}).get("status") == "True":
                raise Failed(f"{plural}/{name} is stalled: {told}")
            time.sleep(1)
        raise Failed(f"{plural}/{name} was not ready in time: {told}")

    def remove(self) -> None:
        """Delete what a test makes, this one or one before it that was cut off, and wait until it is gone."""
        # The run first: while it is there, it wants its version. What the operator made goes with its owners.
        names = [("trainingruns", NAME), ("datasets", NAME)]
        versions = self.request("GET", f"{GROUP}/modelversions?labelSelector=mlops.dev%2Fmodel%3D{NAME}")["items"]
        names[1:1] = [("modelversions", version["metadata"]["name"]) for version in versions]
        for plural, name in names:
            self.request("DELETE", f"{GROUP}/{plural}/{name}", fine=(404,))
        for plural, name in names:
            gone = time.monotonic() + 30
            while self.request("GET", f"{GROUP}/{plural}/{name}", fine=(404,)).get("code") != 404:
                if time.monotonic() > gone:
                    raise Failed(f"{plural}/{name} does not go: does it have a finalizer?")
                time.sleep(0.5)


def answer(a: float, b: float, deadline: float) -> str:
    """Return what the served model says of one row. A Service that is new may not be known everywhere yet."""
    pool = urllib3.PoolManager(timeout=5, retries=False)
    inputs = [{"name": n, "datatype": "FP64", "shape": [1], "data": [v]} for n, v in (("a", a), ("b", b))]
    told = "no answer"
    while time.monotonic() < deadline:
        try:
            reply = pool.request("POST", f"{SERVER}/v2/models/{NAME}/infer", json={"inputs": inputs})
        except urllib3.exceptions.HTTPError as error:
            told = str(error)
        else:
            if reply.status == 200:
                return str(reply.json()["outputs"][0]["data"][0])
            told = f"{reply.status}: {reply.data.decode()[:500]}"
        time.sleep(1)
    raise Failed(f"{SERVER} did not answer: {told}")


def loop(cluster: Cluster, deadline: float) -> None:
    """The whole way, from rows to answers."""
    if not DATA:
        raise Failed("the store takes the whole bucket: say in tests.dataUri where the table can be put beside it")
    bucket, key = open_source(ROWS, os.environ)
    bucket.put(key, rows())
    say(f"{ROWS} is written")
    try:
        for plural, manifest in objects().items():
            cluster.request("POST", f"{GROUP}/{plural}", manifest)
        cluster.ready("datasets", NAME, deadline)
        version = cluster.ready("trainingruns", NAME, deadline)["status"]["modelVersionRef"]
        cluster.ready("modelversions", version, deadline)
        for a, b, want in ((2.0, -2.0, "yes"), (-2.0, 2.0, "no")):
            got = answer(a, b, deadline)
            if got != want:
                raise Failed(f"the model says {got!r} of a={a}, b={b}: it should say {want!r}")
            say(f"{SERVER} says {got!r} of a={a}, b={b}")
    finally:
        bucket.delete(key)


def say(text: str) -> None:
    """Tell whoever reads the log."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Exit with 0 if the whole way was gone and nothing is left, else with 1 and the reasons."""
    cluster = Cluster()
    deadline = time.monotonic() + float(os.environ.get("MLOPS_TEST_SECONDS", "270"))
    done = [attempt(step) for step in (cluster.remove, lambda: loop(cluster, deadline), cluster.remove)]
    if all(done):
        say("passed, and cleaned up")
    return 0 if all(done) else 1


def attempt(step: Callable[[], None]) -> bool:
    """Take the step; return whether it went well. A step that failed does not keep the next one from cleaning up."""
    try:
        step()
    except (Failed, StoreError, urllib3.exceptions.HTTPError) as error:
        say(f"FAILED: {error}")
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
