"""The engine's writes on a real API server, with the rights that the operator has, and what it says to errors."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from mlops.api import labels
from mlops.cluster.client import Client
from mlops.cluster.connection import Connection
from mlops.cluster.memory import Memory
from mlops.cluster.metrics import OperatorMetrics
from mlops.cluster.writer import KubernetesCluster
from mlops.engine.cluster import AlreadyExists, ClusterError, Conflict, Invalid, Unavailable, key_of
from mlops.planning.plan import Key, Manifest
from tests.api.objects import a_dataset
from tests.servers.apiserver import ApiServer

pytestmark = pytest.mark.apiserver
OURS = {labels.MANAGED_BY: labels.MANAGER}


def a_service(namespace: str, port: int = 80, **own: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "rain", "namespace": namespace, "labels": own or OURS},
        "spec": {"selector": {"app": "rain"}, "ports": [{"name": "http", "port": port, "targetPort": "http"}]},
    }


def a_job(namespace: str, **own: str) -> Manifest:
    pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "x"}]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "train", "namespace": namespace, "labels": own or OURS},
        "spec": {"template": {"spec": pod}},
    }


def in_namespace(namespace: str, manifest: Manifest) -> Manifest:
    return {**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}}


async def test_a_write_is_in_memory_when_it_returns(cluster: KubernetesCluster, namespace: str) -> None:
    """The next plan must not write it again only because the watch is late."""
    job = await cluster.create(a_job(namespace))
    there = cluster.get(key_of(job))
    assert there is not None
    assert there["metadata"]["uid"] == job["metadata"]["uid"]
    await cluster.apply(a_service(namespace))
    assert cluster.list("Service", namespace)[0]["spec"]["ports"][0]["port"] == 80


@pytest.mark.parametrize(
    "ports",
    [
        pytest.param([{"name": "http", "port": 81, "targetPort": "http"}], id="another number"),
        pytest.param([{"name": "web", "port": 80, "targetPort": "http"}], id="another name"),
        pytest.param(
            [{"name": "http", "port": 80, "targetPort": "http"}, {"name": "more", "port": 90}], id="one more port"
        ),
    ],
)
async def test_apply_corrects_what_somebody_edited(
    cluster: KubernetesCluster, server: ApiServer, memory: Memory, namespace: str, ports: list[Manifest]
) -> None:
    """Ports are merged by their number: applying ours alone would leave the other, or be refused for its name."""
    service = a_service(namespace)
    want = (await cluster.apply(service))["spec"]["ports"]
    status, edited = server.patch(service, {"spec": {"ports": ports}}, fieldManager="kubectl-edit")
    assert status == 200, edited
    memory.take(edited)
    await cluster.apply(service)
    assert server.get(service)[1]["spec"]["ports"] == want


async def test_another_owner_beside_ours_stays(
    cluster: KubernetesCluster, server: ApiServer, memory: Memory, namespace: str
) -> None:
    """What somebody else made theirs as well is put right without taking it from them."""
    ours, theirs = ({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": name} for name in ("ours", "theirs"))
    service = a_service(namespace)
    service["metadata"]["ownerReferences"] = [ours]
    await cluster.apply(service)
    edit = {
        "metadata": {"ownerReferences": [theirs, ours]},
        "spec": {"ports": [{"name": "http", "port": 80, "targetPort": "http"}, {"name": "more", "port": 90}]},
    }
    status, edited = server.patch(service, edit, fieldManager="kubectl-edit")
    assert status == 200, edited
    memory.take(edited)
    await cluster.apply(service)
    there = server.get(service)[1]
    assert {each["name"] for each in there["metadata"]["ownerReferences"]} == {"ours", "theirs"}
    assert [each["port"] for each in there["spec"]["ports"]] == [80]


async def test_a_strangers_object_is_found_and_not_overwritten(
    cluster: KubernetesCluster, server: ApiServer, namespace: str
) -> None:
    """It has none of our labels, so no watch shows it; a forced apply would take it over."""
    stranger = a_service(namespace, port=8888, app="theirs")
    assert server.create(stranger)[0] == 201
    with pytest.raises(Conflict):
        await cluster.apply(a_service(namespace))
    assert server.get(stranger)[1]["spec"]["ports"][0]["port"] == 8888
    there = cluster.get(key_of(stranger))
    assert there is not None, "the next round has to see whose it is"
    assert there["metadata"]["labels"] == {"app": "theirs"}


def a_config_map(namespace: str, data: dict[str, str], **own: str) -> Manifest:
    metadata = {"name": "rain-history", "namespace": namespace, "labels": own or OURS}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def a_budget(namespace: str, **own: str) -> Manifest:
    metadata = {"name": "rain-production", "namespace": namespace, "labels": own or OURS}
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "rain"}}}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec}


async def test_a_record_is_only_written_over_as_it_was_seen(
    cluster: KubernetesCluster, server: ApiServer, namespace: str
) -> None:
    """An operator that is late, or sees an old state, takes no line away that another one has added."""
    first = await cluster.apply(a_config_map(namespace, {"history.jsonl": "1\n"}))

    def after(seen: Manifest, text: str, **more: Any) -> Manifest:
        wanted = a_config_map(namespace, {"history.jsonl": text})
        version = seen["metadata"]["resourceVersion"]
        return {**wanted, "metadata": {**wanted["metadata"], "resourceVersion": version}, **more}

    second = await cluster.apply(after(first, "1\n2\n"))
    with pytest.raises(Conflict):
        await cluster.apply(after(first, "1\n"))
    full = await cluster.apply(after(second, "1\n2\n3\n", immutable=True))
    assert (full["immutable"], full["data"]["history.jsonl"]) == (True, "1\n2\n3\n")
    with pytest.raises(Invalid, match="immutable"):
        await cluster.apply(after(full, "1\n"))
    assert server.get(full)[1]["data"] == full["data"]
    assert server.delete(full)[0] == 200
    with suppress(ClusterError):
        # Whether it comes again or is refused is the server's to say: no other one is written over.
        await cluster.apply(after(full, "4\n"))


@pytest.mark.parametrize("kind", ["ConfigMap", "PodDisruptionBudget"])
async def test_an_object_of_other_fields_is_not_taken_over(
    cluster: KubernetesCluster, server: ApiServer, namespace: str, kind: str
) -> None:
    """Server-side apply finds no conflict where no field is set twice to different values: it would be ours then."""
    theirs = a_config_map(namespace, {"a": "b"}, app="theirs")
    ours = a_config_map(namespace, {"history.jsonl": "{}"})
    if kind == "PodDisruptionBudget":
        theirs, ours = a_budget(namespace, app="theirs"), a_budget(namespace)
    there = server.create(theirs)[1]
    with pytest.raises(Conflict):
        await cluster.apply(ours)
    assert server.get(theirs)[1] == there
    found = cluster.get(key_of(theirs))
    assert found is not None
    assert found["metadata"]["labels"] == {"app": "theirs"}


@pytest.mark.parametrize("own", [pytest.param({}, id="ours"), pytest.param({"app": "theirs"}, id="a stranger's")])
async def test_what_exists_is_told_with_the_object(
    cluster: KubernetesCluster, server: ApiServer, namespace: str, own: dict[str, str]
) -> None:
    """Also if memory does not show it: made by a process that was killed before it saw the answer."""
    made = server.create(a_job(namespace, **own))[1]
    with pytest.raises(AlreadyExists) as caught:
        await cluster.create(a_job(namespace))
    assert caught.value.present["metadata"]["uid"] == made["metadata"]["uid"]


async def test_a_status_is_replaced_as_a_whole(
    cluster: KubernetesCluster, by_user: Callable[[Manifest], Manifest], namespace: str
) -> None:
    dataset = by_user(in_namespace(namespace, a_dataset()))
    await cluster.write_status(dataset, {"observedGeneration": 1, "attempts": 3, "conditions": []})
    there = cluster.get(key_of(dataset))
    assert there is not None
    await cluster.write_status(there, {"observedGeneration": 1, "conditions": []})
    there = cluster.get(key_of(dataset))
    assert there is not None
    assert there["status"] == {"observedGeneration": 1, "conditions": []}


async def test_a_stale_view_cannot_overwrite_a_status(
    cluster: KubernetesCluster, server: ApiServer, by_user: Callable[[Manifest], Manifest], namespace: str
) -> None:
    seen = by_user(in_namespace(namespace, a_dataset()))
    server.patch(seen, {"metadata": {"labels": {"touched": "yes"}}})
    with pytest.raises(Conflict):
        await cluster.write_status(seen, {"observedGeneration": 1})


async def test_an_object_that_is_gone_is_no_outage(
    cluster: KubernetesCluster, server: ApiServer, by_user: Callable[[Manifest], Manifest], namespace: str
) -> None:
    """Read again, plan again: the log of a healthy operator does not warn of what users delete."""
    seen = by_user(in_namespace(namespace, a_dataset()))
    server.delete(seen)
    with pytest.raises(Conflict):
        await cluster.write_status(seen, {"observedGeneration": 1})


async def test_a_status_outside_the_schema_is_invalid(
    cluster: KubernetesCluster, by_user: Callable[[Manifest], Manifest], namespace: str
) -> None:
    """The message is the API server's own: it names the field."""
    seen = by_user(in_namespace(namespace, a_dataset()))
    condition = {"type": "Ready", "status": "Maybe", "reason": "Looked", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    with pytest.raises(Invalid, match=r"status\.conditions\[0\]\.status"):
        await cluster.write_status(seen, {"observedGeneration": 1, "conditions": [condition]})


async def test_a_child_that_is_refused_is_invalid(cluster: KubernetesCluster, namespace: str) -> None:
    job = a_job(namespace)
    job["spec"]["template"]["spec"]["restartPolicy"] = "Always"
    with pytest.raises(Invalid, match="restartPolicy"):
        await cluster.create(job)


async def test_only_the_object_that_was_seen_is_deleted(
    cluster: KubernetesCluster, server: ApiServer, namespace: str
) -> None:
    job = await cluster.create(a_job(namespace))
    key = key_of(job)
    await cluster.delete(key, "another-uid")
    assert server.get(job)[0] == 200
    await cluster.delete(key, job["metadata"]["uid"])
    assert server.get(job)[0] == 404 or server.get(job)[1]["metadata"]["deletionTimestamp"]
    await cluster.delete(Key("Job", namespace, "never-there"), "uid")


async def test_without_the_lease_nothing_is_sent(
    client: Client, memory: Memory, server: ApiServer, namespace: str
) -> None:
    writer = KubernetesCluster(client, memory, lambda: False)
    with pytest.raises(Unavailable, match="Lease"):
        await writer.create(a_job(namespace))
    with pytest.raises(Unavailable, match="Lease"):
        await writer.delete(Key("Job", namespace, "train"), "uid")
    assert server.list("batch/v1", "Job", namespace)[1]["items"] == []


async def test_what_is_not_allowed_is_tried_again_later(cluster: KubernetesCluster, server: ApiServer) -> None:
    """A binding may be on its way; another namespace than that of the binding is refused with 403."""
    with pytest.raises(Unavailable, match="403"):
        await cluster.create(a_job(server.new_namespace()))


# --- answers that a healthy API server does not give ---


class _Answers(BaseHTTPRequestHandler):
    """Gives the server's next answer: (status, headers, body)."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        answers: list[tuple[int, dict[str, str], bytes]] = self.server.answers  # type: ignore[attr-defined]
        status, headers, body = answers.pop(0) if len(answers) > 1 else answers[0]
        self.server.tokens.append(self.headers["Authorization"])  # type: ignore[attr-defined]
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Silence."""


@contextmanager
def answering(*answers: tuple[int, dict[str, str], bytes]) -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), _Answers)
    server.answers, server.tokens = list(answers), []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def to(port: int, folder: Path, token: str = "first") -> Path:
    config = {
        "clusters": [{"name": "t", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "t", "user": {"token": token}}],
        "contexts": [{"name": "t", "context": {"cluster": "t", "user": "t"}}],
        "current-context": "t",
    }
    file = folder / "config"
    file.write_text(json.dumps(config), "utf-8")
    return file


async def post(file: Path, client: Client | None = None) -> Manifest:
    client = client or Client(Connection(file), OperatorMetrics(), seconds=1)
    try:
        return await client.request(Key("Job", "team", "train"), "POST", "/apis/batch/v1/namespaces/team/jobs", {})
    finally:
        await client.close()


@pytest.mark.parametrize(
    ("answer", "want", "says"),
    [
        pytest.param((500, {}, b'{"message": "etcd leader changed"}'), Unavailable, "etcd leader", id="500"),
        pytest.param((503, {}, b"upstream is gone"), Unavailable, "upstream is gone", id="503 of a proxy"),
        pytest.param((401, {}, b"{}"), Unavailable, "401", id="401 again and again"),
        pytest.param((429, {"Retry-After": "1"}, b'{"message": "slow"}'), Unavailable, "slow", id="429"),
        pytest.param((201, {}, b'{"kind": "Jo'), Unavailable, "not what the API server", id="half a body"),
        pytest.param((400, {}, b'{"message": "bad"}'), Invalid, "bad", id="400"),
    ],
)
async def test_every_answer_has_its_error(
    tmp_path: Path, answer: tuple[int, dict[str, str], bytes], want: type[ClusterError], says: str
) -> None:
    with answering(answer) as server, pytest.raises(want, match=says):
        await post(to(server.server_port, tmp_path))


async def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with answering((200, {}, b"{}")) as server:
        file = to(server.server_port, tmp_path)
    with pytest.raises(Unavailable, match="no answer"):
        await post(file)


async def test_a_rotated_token_is_read_again(tmp_path: Path) -> None:
    with answering((401, {}, b"{}"), (201, {}, b'{"kind": "Job"}')) as server:
        file = to(server.server_port, tmp_path)
        client = Client(Connection(file), OperatorMetrics())
        with answering((201, {}, b"{}")) as other:
            await post(to(other.server_port, tmp_path), client)
        to(server.server_port, tmp_path, token="second")
        await post(file, client)
    assert server.tokens == ["Bearer second", "Bearer second"]  # type: ignore[attr-defined]


async def test_a_server_that_asks_for_patience_is_left_alone(tmp_path: Path) -> None:
    with answering((429, {"Retry-After": "1"}, b"{}"), (201, {}, b'{"kind": "Job"}')) as server:
        client = Client(Connection(to(server.server_port, tmp_path)), OperatorMetrics())
        for _ in range(3):
            with pytest.raises(Unavailable):
                await post(tmp_path, client)
        assert len(server.tokens) == 1  # type: ignore[attr-defined]
        await asyncio.sleep(1.05)
        assert (await post(tmp_path, client))["kind"] == "Job"
