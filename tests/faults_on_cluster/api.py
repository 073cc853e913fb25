"""The API server over plain HTTP: who looks five times a second cannot start kubectl each time."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import urllib3

from hack import tools
from tests.e2e_cluster.kubectl import Kubectl
from tests.servers.process import WITH_PARENT

Object = dict[str, Any]
_OURS = "apis/mlops.dev/v1alpha1"
# What a person types, and where it is served.
PATHS = {
    "dataset": f"{_OURS}/datasets",
    "trainingrun": f"{_OURS}/trainingruns",
    "modelversion": f"{_OURS}/modelversions",
    "driftmonitor": f"{_OURS}/driftmonitors",
    "job": "apis/batch/v1/jobs",
    "cronjob": "apis/batch/v1/cronjobs",
    "deployment": "apis/apps/v1/deployments",
    "service": "api/v1/services",
    "pod": "api/v1/pods",
    "event": "apis/events.k8s.io/v1/events",
}
KINDS = {
    "dataset": "Dataset",
    "trainingrun": "TrainingRun",
    "modelversion": "ModelVersion",
    "driftmonitor": "DriftMonitor",
    "job": "Job",
    "cronjob": "CronJob",
    "deployment": "Deployment",
    "service": "Service",
    "pod": "Pod",
    "event": "Event",
}


class Api:
    """Reads objects; `kubectl proxy` has the keys."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool = urllib3.PoolManager(maxsize=16, retries=urllib3.Retry(5, backoff_factor=0.2), timeout=30)

    def find(self, kind: str, name: str, namespace: str) -> Object | None:
        """The object, or None."""
        answer = self._pool.request("GET", f"{self._path(kind, namespace)}/{name}")
        return None if answer.status == 404 else self._object(answer)

    def list(self, kinds: str, namespace: str, selector: str = "") -> list[Object]:
        """The objects of one kind or of several (`a,b`) that a label selector chooses."""
        found: list[Object] = []
        for kind in kinds.split(","):
            answer = self._pool.request("GET", self._path(kind, namespace), fields={"labelSelector": selector})
            found += [{"kind": KINDS[_singular(kind)], **each} for each in self._object(answer)["items"]]
        return found

    def _path(self, kind: str, namespace: str) -> str:
        group, _, plural = PATHS[_singular(kind)].rpartition("/")
        return f"{self._url}/{group}/namespaces/{namespace}/{plural}"

    @staticmethod
    def _object(answer: urllib3.BaseHTTPResponse) -> Object:
        found: Object = json.loads(answer.data)
        assert answer.status == 200, found
        return found


def _singular(kind: str) -> str:
    return kind.partition(".")[0].removesuffix("s")


@contextmanager
def api(kubectl: Kubectl) -> Iterator[Api]:
    """The API server of that kubeconfig."""
    program = tools.find("kubectl")
    assert program is not None, "python hack/tools.py build kubectl"
    command = [str(program), "--kubeconfig", str(kubectl.kubeconfig), "proxy", "--port=0"]
    with subprocess.Popen([sys.executable, "-c", WITH_PARENT, *command], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"127\.0\.0\.1:\d+", process.stdout.readline())
            assert found, "kubectl proxy does not say where it listens"
            yield Api(f"http://{found.group()}")
        finally:
            process.terminate()
