"""F44: a child that changes all the time, many objects at once, many that go at once."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mlops.api import labels
from mlops.cluster.kinds import WATCHED
from tests.cluster.programs import eventually
from tests.cluster_faults.example import condition, example, in_namespace, objects_of, settled
from tests.cluster_faults.nodes import Nodes
from tests.cluster_faults.operators import Operator, operator
from tests.cluster_faults.scale import FULL, RECOVERY_SECONDS
from tests.engine.objects import a_dataset
from tests.servers.api_proxy import ApiProxy, api_proxy
from tests.servers.apiserver import ApiServer

pytestmark = [pytest.mark.apiserver, pytest.mark.slow, pytest.mark.timeout(1500)]

MANY, GOING = (2000, 500) if FULL else (200, 50)
# A Job, two statuses and their Events, for each object; a status that lost a race is written once more.
WRITES_OF_ONE = 8
ROUNDS = 60
Object = dict[str, Any]


def _ready(proxy: ApiProxy, running: Operator) -> None:
    eventually(lambda: running.ready() and proxy.streams == len(WATCHED), 90, running.log.read_text)


def test_a_child_that_changes_all_the_time_is_answered_in_measure(
    server: ApiServer, namespace: str, tmp_path: Path
) -> None:
    """Sixty edits of a Deployment and sixty changes of its status in three seconds: no more than one answer to each,
    the end is what is wanted, and then nothing is written any more."""
    with (
        api_proxy(server.url, server.token, tmp_path) as proxy,
        Nodes(server, namespace) as nodes,
        operator(proxy, namespace, lease=False) as running,
    ):
        _ready(proxy, running)
        for manifest in example(namespace):
            status, answer = server.create(manifest)
            assert status == 201, answer
        eventually(lambda: settled(objects_of(server, namespace)), 90, running.log.read_text)
        deployment = objects_of(server, namespace)["Deployment", "rain-production"]
        time.sleep(2)
        written, start = len(proxy.writes), time.monotonic()
        for number in range(ROUNDS):
            server.patch(deployment, {"spec": {"replicas": 2 + number % 5}})
            server.patch(deployment, {"status": {"readyReplicas": number % 2}}, "status")
            time.sleep(max(0.0, start + 3 * (number + 1) / ROUNDS - time.monotonic()))
        eventually(lambda: _is_right(server, namespace), RECOVERY_SECONDS, running.log.read_text)
        recovered = time.monotonic() - start - 3
        answers = [str(write) for write in proxy.writes[written:]]
        applied = [answer for answer in answers if "/deployments/" in answer]
        assert len(applied) <= ROUNDS, applied
        assert len(answers) <= 4 * ROUNDS, answers
        time.sleep(3)
        settled_at = len(proxy.writes)
        time.sleep(10)
        assert len(proxy.writes) == settled_at, [str(write) for write in proxy.writes[settled_at:]]
        assert running.restarts == 0
        assert nodes.errors == []
    print(
        f"F44: {2 * ROUNDS} changes, {len(applied)} corrections, {len(answers)} writes; right {recovered:.1f} s later"
    )


def _is_right(server: ApiServer, namespace: str) -> bool:
    objects = objects_of(server, namespace)
    ready = condition(objects["ModelVersion", "rain-v1"], "Ready") == ("True", "Serving")
    return objects["Deployment", "rain-production"]["spec"]["replicas"] == 1 and ready


def test_many_at_once_take_turns(server: ApiServer, namespace: str, tmp_path: Path) -> None:
    """Many Datasets at once: one Job each, bounded writes, and who comes later waits no longer than who came before.
    A quarter of them go at once: nothing is written for them afterwards."""
    with (
        api_proxy(server.url, server.token, tmp_path) as proxy,
        operator(proxy, namespace, lease=False) as running,
    ):
        _ready(proxy, running)
        start, made = time.monotonic(), dict[str, float]()

        def create(number: int) -> None:
            name = f"many-{number:04d}"
            status, answer = server.create(in_namespace(a_dataset(name), namespace))
            assert status == 201, answer
            made[name] = time.time()

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(create, range(MANY)))
        created = time.monotonic() - start
        eventually(lambda: _with_status(server, namespace) >= MANY, 600, running.log.read_text)
        took = time.monotonic() - start
        job_at = dict(_jobs_made(proxy))
        waits = sorted(job_at[name] - made[name] for name in made)
        assert len(_jobs_made(proxy)) == MANY == len(job_at)
        assert len(proxy.writes) <= WRITES_OF_ONE * MANY
        order = [name for name, _ in sorted(job_at.items(), key=lambda item: item[1])]
        places = [abs(order.index(name) - place) for place, name in enumerate(sorted(made, key=lambda n: made[n]))]
        assert sorted(places)[int(0.95 * MANY)] <= 0.25 * MANY, "nobody is overtaken by a quarter of the others"
        p95 = waits[int(0.95 * MANY)]
        time.sleep(2)
        written, start = len(proxy.writes), time.monotonic()

        def delete(name: str) -> None:
            status, answer = server.delete(in_namespace(a_dataset(name), namespace))
            assert status == 200, answer

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(delete, sorted(made)[:GOING]))
        status, answer = server.create(in_namespace(a_dataset("after"), namespace))
        assert status == 201, answer
        eventually(lambda: _with_status(server, namespace) >= MANY - GOING + 1, 60, running.log.read_text)
        after = time.monotonic() - start
        late = [str(write) for write in proxy.writes[written:] if "after" not in _name_in(write.request.body)]
        assert late == []
        assert running.restarts == 0
    print(
        f"F44: {MANY} made in {created:.0f} s, all with Job and status after {took:.0f} s, p95 {p95:.1f} s, "
        f"{written / MANY:.1f} writes each; {GOING} deleted, the next one dealt with after {after:.1f} s"
    )


def _with_status(server: ApiServer, namespace: str) -> int:
    status, answer = server.list("mlops.dev/v1alpha1", "Dataset", namespace)
    assert status == 200, answer
    return sum(condition(item, "Ready")[1] == "Ingesting" for item in answer["items"])


def _jobs_made(proxy: ApiProxy) -> list[tuple[str, float]]:
    made = []
    for write in proxy.writes:
        if write.request.path.endswith("/jobs") and write.status == 201:
            made.append((json.loads(write.request.body)["metadata"]["labels"][labels.DATASET], write.answered))
    return made


def _name_in(body: bytes) -> str:
    written = json.loads(body or b"{}")
    regarding = written.get("regarding") or written.get("metadata") or {}
    return str(regarding.get("name", ""))
