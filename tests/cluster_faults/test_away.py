"""The operator is away for a while, and the cluster goes on without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops.api import labels
from tests.cluster.programs import eventually
from tests.cluster_faults.example import condition, in_namespace, objects_of
from tests.cluster_faults.nodes import Nodes
from tests.cluster_faults.operators import operator
from tests.engine.objects import a_dataset
from tests.servers.api_proxy import api_proxy
from tests.servers.apiserver import ApiServer

pytestmark = [pytest.mark.apiserver, pytest.mark.slow]


def test_only_the_final_state_is_acted_on(server: ApiServer, namespace: str, tmp_path: Path) -> None:
    """F22: meanwhile a Job ends, one Dataset is changed there and back, another is made and changed, a third comes
    and goes. On return each of those that are there has had one Job, of its last spec."""

    def dataset(name: str, least: int) -> dict[str, object]:
        return in_namespace(a_dataset(name, validation={"minRows": least}), namespace)

    def apply(name: str, least: int) -> None:
        status, answer = server.apply(dataset(name, least))
        assert status in (200, 201), answer

    away: list[bool] = []
    held_back = {"ends": lambda: not away}
    with (
        api_proxy(server.url, server.token, tmp_path) as proxy,
        Nodes(server, namespace, lambda job: held_back.get(job["metadata"]["labels"][labels.DATASET], bool)()) as nodes,
        operator(proxy, namespace, restart=False) as running,
    ):
        for name in ("ends", "there-and-back"):
            apply(name, 3)
        eventually(lambda: _ready(server, dataset("there-and-back", 3)), 60)
        eventually(lambda: len(_jobs(server, namespace)) == 2)
        running.kill()
        running.wait(10)
        away.append(True)
        for least in (2, 3):
            apply("there-and-back", least)
        for least in (3, 2, 4):
            apply("new", least)
        apply("gone", 3)
        assert server.delete(dataset("gone", 3))[0] == 200
        written = len(proxy.writes)
        running.start_again()
        for name in ("ends", "there-and-back", "new"):
            eventually(lambda name=name: _ready(server, dataset(name, 3)), 60, running.log.read_text)
        assert sorted(_jobs(server, namespace)) == ["ends", "new", "there-and-back"]
        made = next(job for job in objects_of(server, namespace).values() if _of(job) == "new")
        assert '"minRows":4' in str(made["spec"]["template"])
        assert not any("gone" in write.request.body.decode() for write in proxy.writes[written:])
        assert nodes.errors == []


def _ready(server: ApiServer, manifest: dict[str, object]) -> bool:
    status, answer = server.get(manifest)
    current = answer["metadata"]["generation"] == answer["status"]["observedGeneration"] if status == 200 else False
    return current and condition(answer, "Ready")[0] == "True"


def _of(job: dict[str, dict[str, dict[str, str]]]) -> str | None:
    return job["metadata"].get("labels", {}).get(labels.DATASET) if job["kind"] == "Job" else None


def _jobs(server: ApiServer, namespace: str) -> list[str]:
    return [name for item in objects_of(server, namespace).values() if (name := _of(item))]
