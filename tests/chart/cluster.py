"""An API server of its own for the chart: what the chart installs is of the whole cluster."""

from __future__ import annotations

import json
import subprocess
import time
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.chart import helm
from tests.chart.helm import CHART, NAMESPACE, RELEASE, Object
from tests.servers.apiserver import ApiServer
from tests.servers.process import program

CRD = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
DEFINITIONS = [f"{plural}.mlops.dev" for plural in ("datasets", "driftmonitors", "modelversions", "trainingruns")]
A_DATASET = {
    "apiVersion": "mlops.dev/v1alpha1",
    "kind": "Dataset",
    "metadata": {"name": "kept", "namespace": "default"},
    "spec": {"source": {"s3": {"uri": "s3://raw/x/"}}, "fields": [{"name": "a", "type": "float64"}]},
}


@dataclass
class Cluster:
    """An API server of its own, because what the chart installs is of the whole cluster."""

    server: ApiServer
    kubeconfig: Path

    def helm(self, *words: str | Path, values: helm.Values | None = None) -> str:
        """Return what Helm says; it must succeed."""
        code, output, complaint = helm.run(*words, kubeconfig=self.kubeconfig, values=values)
        assert code == 0, complaint
        return output

    def refused(self, *words: str | Path, values: helm.Values | None = None) -> str:
        """Return what Helm says; it must fail."""
        code, output, complaint = helm.run(*words, kubeconfig=self.kubeconfig, values=values)
        assert code != 0, output
        return complaint

    def install(self, values: helm.Values | None = None, *, release: str = RELEASE, chart: Path = CHART) -> str:
        """Install the chart, or upgrade to it."""
        return self.helm("upgrade", "--install", release, chart, "--namespace", NAMESPACE, values=values or {})

    def kubectl(self, *words: str, given: str | None = None) -> str:
        """Return what kubectl prints."""
        command = [program("kubectl"), "--kubeconfig", str(self.kubeconfig), *words]
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=180, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, api_version: str, kind: str, name: str, namespace: str = NAMESPACE) -> Object:
        """Return an object that is there."""
        status, answer = self.server.get(
            {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": namespace}}
        )
        assert status == 200, answer
        return answer

    def definition(self, name: str) -> Object:
        """Return a CustomResourceDefinition."""
        return self.get(CRD["apiVersion"], CRD["kind"], name)

    def remove_definitions(self) -> None:
        """Delete the chart's CustomResourceDefinitions and wait until they are gone.

        The API server empties a kind before its definition goes. Of a kind that nobody has listed yet, it first finds
        that "storage is (re)initializing", and tries again 5 ms later with the definition of its cache; if that is
        behind by then, its write is in conflict, and it waits for an event that it ignores (crd_finalizer.go of
        Kubernetes 1.34). In a cluster somebody always lists every kind; here nobody does. A change of the object is an
        event that it does not ignore. Raises AssertionError if one is still there after a minute and a half.
        """
        for name in DEFINITIONS:
            self.server.delete({**CRD, "metadata": {"name": name}})
        deadline = time.monotonic() + 90
        requeue_at = time.monotonic() + 10
        while left := [name for name in DEFINITIONS if self.server.get({**CRD, "metadata": {"name": name}})[0] != 404]:
            now = time.monotonic()
            assert now < deadline, f"still there: {[self.definition(name).get('status') for name in left]}"
            if now > requeue_at:
                requeue_at = now + 10
                for name in left:
                    change = {"metadata": {"annotations": {"tests.mlops.dev/look-again": str(now)}}}
                    self.server.patch({**CRD, "metadata": {"name": name}}, change)
            time.sleep(0.1)
        self.server._resources.clear()

    def everything(self) -> list[Object]:
        """Return every object there is, of every kind that can be listed."""
        kinds = self.kubectl("api-resources", "--verbs=list", "--output=name", "--cached=false").split()
        kinds = [kind for kind in kinds if not kind.startswith("events")]
        found = self.kubectl("get", ",".join(kinds), "--all-namespaces", "--output=json")
        items: list[Object] = json.loads(found)["items"]
        return items


def write_kubeconfig(file: Path, server: ApiServer, token: str) -> Path:
    """Write how to reach the server as the owner of a token, and return the file."""
    authority = b64encode(server.ca.read_bytes()).decode()
    cluster = {"server": server.url, "certificate-authority-data": authority}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "user"}}],
        "current-context": "test",
    }
    file.write_text(yaml.safe_dump(document))
    file.chmod(0o600)
    return file
