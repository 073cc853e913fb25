from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import yaml

from hack.generate import ROOT
from mlops.cluster.client import Client
from mlops.cluster.connection import Connection
from mlops.cluster.memory import Memory
from mlops.cluster.metrics import OperatorMetrics
from mlops.cluster.writer import KubernetesCluster
from mlops.planning.plan import Manifest
from tests.cluster.access import grant, kubeconfig, token_for
from tests.servers.apiserver import ApiServer


@pytest.fixture(scope="session")
def server(apiserver: ApiServer) -> ApiServer:
    """The API server with the committed definitions."""
    apiserver.apply_crds([yaml.safe_load(file.read_text()) for file in sorted((ROOT / "crds").glob("*.yaml"))])
    return apiserver


@pytest.fixture
def namespace(server: ApiServer) -> str:
    """A namespace of its own."""
    return server.new_namespace()


@pytest.fixture
def credentials(server: ApiServer, namespace: str, tmp_path: Path) -> Path:
    """A kubeconfig with no more rights than the operator has, in `namespace` only."""
    token, user = token_for(server, namespace, "operator")
    grant(server, user, (namespace,))
    return kubeconfig(tmp_path, server.url, server.ca, token)


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
async def client(credentials: Path) -> AsyncIterator[Client]:
    client = Client(Connection(credentials), OperatorMetrics())
    yield client
    await client.close()


@pytest.fixture
def cluster(client: Client, memory: Memory) -> KubernetesCluster:
    """The engine's port on the real API server; nothing is watched, so memory has what was written through it."""
    return KubernetesCluster(client, memory, lambda: True)


@pytest.fixture
def by_user(server: ApiServer, memory: Memory) -> Callable[[Manifest], Manifest]:
    """Return what makes an object as a user does, and shows it to memory as a watch would."""

    def make(manifest: Manifest) -> Manifest:
        status, answer = server.create(manifest)
        assert status == 201, answer
        memory.take(answer)
        return answer

    return make
