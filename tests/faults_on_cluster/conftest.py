"""One real cluster with the operator in it, as the chart installs it; every fault gets a namespace and a store.

With KUBECONFIG set to a cluster of hack/cluster.py, the tests use that one as it is: images and chart must be in it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e_cluster.conftest import CHART, OPERATOR, RELEASE, ROOT, SYSTEM, World
from tests.e2e_cluster.kubectl import Kubectl
from tests.faults_on_cluster import example
from tests.faults_on_cluster.api import Api, api
from tests.faults_on_cluster.place import Place, place

IMAGES = ("operator", "workloads", "own-trainer")
OPERATORS = "app.kubernetes.io/name=mlops-operator"


@dataclass
class Cluster:
    """`host` is the address at which pods reach servers of this machine, `runtime` the socket of containerd."""

    world: World
    api: Api
    host: str
    runtime: Path
    folder: Path

    @property
    def kubectl(self) -> Kubectl:
        return self.world.kubectl

    @contextmanager
    def place(self, name: str) -> Iterator[Place]:
        """A new namespace for what `name` says."""
        short = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
        namespace = f"{short}-{time.monotonic_ns() % 100_000}"
        folder = self.folder / namespace
        folder.mkdir()
        with place(self.kubectl, self.api, self.host, namespace, folder) as made:
            yield made

    def operators(self) -> list[dict[str, Any]]:
        """The operator's pods."""
        return self.kubectl.list("pods", SYSTEM, OPERATORS)

    def surprises(self) -> list[str]:
        """Tracebacks in the operators' logs, and more than the one restart that a lost Lease costs."""
        found = []
        for pod in self.operators():
            name = pod["metadata"]["name"]
            log = self.kubectl.run("logs", name, "-n", SYSTEM).stdout
            if "Traceback" in log:
                found.append(f"{name}: {log[log.index('Traceback') - 500 :][:3000]}")
            restarts = sum(each["restartCount"] for each in pod["status"].get("containerStatuses", ()))
            found += [f"{name} was restarted {restarts} times"] if restarts > 1 else []
        return found


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster with the operator in it."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("a cluster on this machine needs Linux and root")
    folder = tmp_path_factory.mktemp("faults")
    if own := os.environ.get("KUBECONFIG"):
        with _as_it_is(Path(own), folder) as found:
            yield found
        return
    name, images = f"f-{os.getpid()}", tmp_path_factory.mktemp("images")
    with ThreadPoolExecutor() as pool:
        building = pool.submit(_hack, "images.py", "build", *IMAGES, "--output", str(images))
        try:
            kubeconfig = Path(_hack("cluster.py", "up", "--name", name).splitlines()[-1])
            building.result()
            _hack("cluster.py", "load-image", "--name", name, *(str(path) for path in sorted(images.glob("*.tar"))))
            with _as_it_is(kubeconfig, folder) as made:
                install(made.world)
                yield made
        finally:
            _hack("cluster.py", "down", "--name", name)


@pytest.fixture(scope="session")
def undisturbed(cluster: Cluster) -> dict[str, Any]:
    """What the example comes to when nothing happens to it."""
    with cluster.place("undisturbed") as there:
        start = time.monotonic()
        example.deploy(there)
        print(f"undisturbed: {time.monotonic() - start:.0f} s")
        return example.outcome(there) | {"jobs": example.jobs(there)}


def install(world: World) -> None:
    """Install the chart: two operators, no MinIO, and a store whose address stands in the Secret of each namespace."""
    world.kubectl("create", "namespace", SYSTEM)
    world.kubectl("label", "namespace", SYSTEM, "pod-security.kubernetes.io/enforce=restricted")
    world.helm("install", RELEASE, str(CHART), "-n", SYSTEM, "--wait", "--timeout", "4m")
    assert world.kubectl.get("deployment", OPERATOR, SYSTEM)["status"]["readyReplicas"] == 2


@contextmanager
def _as_it_is(kubeconfig: Path, folder: Path) -> Iterator[Cluster]:
    server = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    found = re.fullmatch(r"https://(10\.\d+\.0)\.2:6443", server)
    if found is None:
        pytest.skip(f"{server} is no cluster of hack/cluster.py: its pods cannot reach servers of this machine")
    socket = kubeconfig.parent / "containerd.sock"
    kubectl = Kubectl(kubeconfig)
    with api(kubectl) as opened:
        yield Cluster(World(kubectl, None), opened, f"{found[1]}.1", socket, folder)


def _hack(script: str, *arguments: str) -> str:
    """Run one of the project's own tools, its progress on our standard error; return what it prints."""
    done = subprocess.run([sys.executable, str(ROOT / "hack" / script), *arguments], stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0, f"hack/{script} {' '.join(arguments)} ended with {done.returncode}"
    return done.stdout
