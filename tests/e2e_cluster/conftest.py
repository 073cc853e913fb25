"""One real cluster for all tests here: made, the images built and loaded, the chart installed by Helm, data delivered.

With KUBECONFIG set, the tests use that cluster instead; its nodes must have the images already
(`python hack/images.py build`, then `kind load image-archive` or the like).
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hack import tools
from mlops.store.s3 import S3Bucket
from mlops.store.settings import s3_settings
from tests.e2e_cluster.kubectl import Kubectl, eventually

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts/mlops-operator"
SYSTEM = "mlops-system"
RELEASE = "mlops"
# The operator's service account, and the first part of its pods' names.
OPERATOR = "mlops-mlops-operator"
EXAMPLES = ("weather", "employment", "housing", "own-trainer")
# Every namespace that pods of ours run in enforces the strictest Pod Security.
NAMESPACES = (*EXAMPLES, "parts")
IMAGES = ("operator", "workloads", "demo-minio", "own-trainer")


@dataclass(frozen=True)
class World:
    """The cluster with the operator in it; `seconds` says how long each step took."""

    kubectl: Kubectl
    audit_log: Path | None
    seconds: dict[str, float] = field(default_factory=dict)
    # The RBAC rules that are bound to the operator's service account.
    rules: list[dict[str, Any]] = field(default_factory=list)

    def helm(self, *arguments: str, timeout: float = 300) -> str:
        """Run Helm; a command that fails is an AssertionError with what it said."""
        program = tools.find("helm")
        assert program is not None, "python hack/tools.py build helm"
        command = [str(program), "--kubeconfig", str(self.kubectl.kubeconfig), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, f"helm {' '.join(arguments)}: {done.stderr}{done.stdout}"
        return done.stdout

    def service(self, name: str, namespace: str) -> str:
        """Return host:port of a Service; the host of the one-machine cluster has a route to it."""
        spec = self.kubectl.get("service", name, namespace)["spec"]
        return f"{spec['clusterIP']}:{spec['ports'][0]['port']}"

    def bucket(self, name: str) -> S3Bucket:
        """Return a bucket of the demo MinIO."""
        data = self.kubectl.get("secret", f"{RELEASE}-minio", SYSTEM)["data"]
        names = {"AWS_ACCESS_KEY_ID": "rootUser", "AWS_SECRET_ACCESS_KEY": "rootPassword"}
        environ = {name: base64.b64decode(data[key]).decode() for name, key in names.items()}
        environ["MLOPS_S3_ENDPOINT"] = f"http://{self.service(f'{RELEASE}-minio', SYSTEM)}"
        return S3Bucket(s3_settings(environ), name)

    def timed(self, step: str, start: float) -> None:
        """Note and print how long a step took."""
        self.seconds[step] = time.monotonic() - start
        print(f"{step}: {self.seconds[step]:.0f} s", flush=True)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The cluster; it is gone afterwards, and its going is checked."""
    if own := os.environ.get("KUBECONFIG"):
        yield _with_operator(World(Kubectl(Path(own)), None))
        return
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("a cluster on this machine needs Linux and root; or set KUBECONFIG")
    name, start = f"e2e-{os.getpid()}", time.monotonic()
    images = tmp_path_factory.mktemp("images")
    with ThreadPoolExecutor() as pool:
        building = pool.submit(_hack, "images.py", "build", *IMAGES, "--output", str(images))
        try:
            kubeconfig = Path(_hack("cluster.py", "up", "--name", name, "--audit-log").splitlines()[-1])
            status = _hack("cluster.py", "status", "--name", name).splitlines()
            (audit,) = (line.removeprefix("audit log").strip() for line in status if line.startswith("audit log"))
            world = World(Kubectl(kubeconfig), Path(audit))
            world.timed("cluster up", start)
            building.result()
            world.timed("images built", start)
            loading = time.monotonic()
            _hack("cluster.py", "load-image", "--name", name, *(str(path) for path in sorted(images.glob("*.tar"))))
            world.timed("images loaded", loading)
            yield _with_operator(world)
        finally:
            _hack("cluster.py", "down", "--name", name)


def _hack(script: str, *arguments: str) -> str:
    """Run one of the project's own tools, its progress on our standard error; return what it prints."""
    done = subprocess.run([sys.executable, str(ROOT / "hack" / script), *arguments], stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0, f"hack/{script} {' '.join(arguments)} ended with {done.returncode}"
    return done.stdout


def _with_operator(world: World) -> World:
    start, kubectl = time.monotonic(), world.kubectl
    for namespace in (SYSTEM, *NAMESPACES):
        kubectl("create", "namespace", namespace)
        kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    world.helm("install", RELEASE, str(CHART), "-n", SYSTEM, "--wait", "--timeout", "4m", *_values())
    world.timed("chart installed", start)
    world.rules.extend(_rules(kubectl))
    start = time.monotonic()
    raw = eventually("the demo MinIO answers", lambda: _raw(world), 60)
    for example, prefix in {**{name: name for name in EXAMPLES}, "own-trainer": "rain"}.items():
        source = "weather" if example == "own-trainer" else example
        raw.put(f"{prefix}/history.parquet", (ROOT / f"examples/{source}/data/history.parquet").read_bytes())
    world.timed("data delivered", start)
    return world


def _rules(kubectl: Kubectl) -> list[dict[str, Any]]:
    account = {"kind": "ServiceAccount", "name": OPERATOR, "namespace": SYSTEM}
    rules: list[dict[str, Any]] = []
    for binding in kubectl.list("clusterrolebindings,rolebindings"):
        if any(account.items() <= subject.items() for subject in binding.get("subjects", ())):
            role = binding["roleRef"]
            where = binding["metadata"].get("namespace", SYSTEM)
            rules += kubectl.get(role["kind"].lower(), role["name"], where)["rules"]
    return rules


def _values() -> list[str]:
    namespaces = ",".join(NAMESPACES)
    given = {
        "demoMinio.enabled": "true",
        "demoMinio.namespaces": f"{{{namespaces}}}",
        "demoMinio.image.repository": "mlops-demo-minio",
        "demoMinio.image.tag": "0.1.0",
    }
    return [word for name, value in given.items() for word in ("--set", f"{name}={value}")]


def _raw(world: World) -> S3Bucket | None:
    bucket = world.bucket("raw")
    try:
        list(bucket.list(""))
    except Exception as error:  # noqa: BLE001 the service is not up yet, whatever that looks like
        print(f"not yet: {error}")
        return None
    return bucket
