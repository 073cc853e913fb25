"""The operator as the chart would run it: with the rendered environment, as the rendered ServiceAccount."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import urllib3

from tests.chart import helm
from tests.chart.cluster import A_DATASET, DEFINITIONS, Cluster, write_kubeconfig
from tests.chart.helm import NAMESPACE, RELEASE, Object
from tests.servers.process import free_port, running

pytestmark = [pytest.mark.apiserver, pytest.mark.thorough]

_HTTP = urllib3.PoolManager(retries=False, timeout=5)


@contextmanager
def _operator(cluster: Cluster, folder: Path, values: helm.Values) -> Iterator[str]:
    """The program, ready; yields the address of its health and metrics."""
    (container,) = helm.pods(helm.objects(values))[RELEASE]["containers"]
    environ = {each["name"]: each["value"] for each in container["env"] if "value" in each}
    path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{RELEASE}/token"
    status, answer = cluster.server.request("POST", path, {"apiVersion": "authentication.k8s.io/v1", "spec": {}})
    assert status == 201, answer
    address = f"127.0.0.1:{free_port()}"
    environ |= {
        "MLOPS_OPERATOR_LISTEN": address,
        "POD_NAME": "operator-0",
        "POD_NAMESPACE": NAMESPACE,
        "KUBECONFIG": str(write_kubeconfig(folder / "operator", cluster.server, answer["status"]["token"])),
    }

    def ready() -> bool:
        try:
            return _HTTP.request("GET", f"http://{address}/readyz").status == 200
        except urllib3.exceptions.HTTPError:
            return False

    program = str(Path(sys.executable).parent / "mlops-operator")
    kept = {name: "" for name in os.environ if name.startswith("MLOPS_OPERATOR_")}
    with running([sys.executable, program], ready, folder / "operator.log", {**kept, **environ}):
        yield f"http://{address}"


def _eventually(check: Callable[[], bool], seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if check():
            return True
        time.sleep(0.2)
    return check()


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"environmentDigest": f"sha256:{'e' * 64}"}, id="all namespaces"),
        pytest.param({"environmentDigest": f"sha256:{'e' * 64}", "namespaces": ["team-a"]}, id="one namespace"),
    ],
)
def test_the_operator_works_with_the_rights_that_the_chart_gives(
    cluster: Cluster, tmp_path: Path, values: helm.Values
) -> None:
    """It becomes ready, takes the Lease, writes a status, a Job and an Event, and is refused nothing."""
    cluster.install(values)
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{name}" for name in DEFINITIONS))
    dataset: Object = {**A_DATASET, "metadata": {"name": "kept", "namespace": "team-a"}}
    with _operator(cluster, tmp_path, values) as address:
        assert cluster.server.create(dataset)[0] == 201

        def children() -> list[Object]:
            jobs = cluster.server.list("batch/v1", "Job", "team-a")[1]["items"]
            return [{"apiVersion": "batch/v1", "kind": "Job", **each} for each in jobs]

        assert _eventually(lambda: bool(children())), (tmp_path / "operator.log").read_text()[-3000:]
        (job,) = children()
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert container["image"] == "mlops-workloads:0.1.0"
        environment = {each["name"]: each.get("value") for each in container["env"]}
        assert environment["MLOPS_STORE"] == "s3://mlops"
        assert container["envFrom"][0]["secretRef"]["name"] == "mlops-store"
        lease = cluster.get("coordination.k8s.io/v1", "Lease", RELEASE)
        assert lease["spec"]["holderIdentity"] == "operator-0"
        # An Event, too, needs a right.
        assert _eventually(lambda: bool(cluster.server.list("events.k8s.io/v1", "Event", "team-a")[1]["items"]))
        metrics = _HTTP.request("GET", f"{address}/metrics").data.decode()
        assert re.findall(r'^mlops_operator_api_errors_total\{code="40[13]"\}.*$', metrics, re.MULTILINE) == []
        assert "mlops_operator_lease_held 1.0" in metrics
        assert _HTTP.request("GET", f"{address}/healthz").status == 200
        cluster.server.delete(dataset)
        cluster.server.delete(job)
    assert "Forbidden" not in (tmp_path / "operator.log").read_text()
