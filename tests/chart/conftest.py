from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.chart.cluster import Cluster, write_kubeconfig
from tests.chart.helm import NAMESPACE
from tests.servers.apiserver import api_server
from tests.servers.process import program


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("chart")
    program("helm")
    program("kubectl")
    with api_server(folder) as server:
        kubeconfig = write_kubeconfig(folder / "kubeconfig", server, server.token)
        for name in (NAMESPACE, "team-a", "team-b", "elsewhere"):
            server.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        yield Cluster(server, kubeconfig)


@pytest.fixture
def cluster(started: Cluster) -> Iterator[Cluster]:
    """The cluster without any release, before and after."""
    yield started
    for each in json.loads(started.helm("list", "--all-namespaces", "--output", "json")):
        started.helm("uninstall", each["name"], "--namespace", each["namespace"])
    started.remove_definitions()
