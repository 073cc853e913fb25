"""The whole program against a real API server, with the rights that it is granted when it is installed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.access import grant, kubeconfig, token_for
from tests.cluster.programs import DIGEST, Program, eventually, operator
from tests.cluster_faults.example import comparable, condition, example, in_namespace, objects_of, settled
from tests.cluster_faults.nodes import Nodes
from tests.engine.objects import a_dataset
from tests.servers.apiserver import ApiServer

pytestmark = [pytest.mark.apiserver, pytest.mark.slow]
Object = dict[str, Any]

WATCHLESS = """
import sys

if "mlops.cluster" in sys.orig_argv:
    import kopf

    async def operator(**_):
        raise KeyError("no watch begins")

    kopf.operator = operator
"""
NAMELESS = """
import pwd

def getpwuid(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")

pwd.getpwuid = getpwuid
"""


@pytest.fixture
def program(tmp_path: Path, credentials: Path, namespace: str) -> Iterator[Program]:
    """The operator of one namespace, ready."""
    with operator(tmp_path, credentials, "--namespace", namespace, "--lease-namespace", namespace) as started:
        yield started


def synced_at(server: ApiServer, manifest: Object) -> bool:
    return condition(server.get(manifest)[1], "Ready") != ("", "")


def until_quiet(program: Program) -> None:
    """Wait for what follows the last status: Events go out after it."""
    seen = -1.0
    for _ in range(20):
        before, seen = seen, program.metric("mlops_operator_writes_total")
        if before == seen:
            return
        time.sleep(2)
    raise AssertionError(f"it keeps writing:\n{program.log}")


def reasons_told(server: ApiServer, namespace: str) -> set[str]:
    return {event["reason"] for event in server.list("events.k8s.io/v1", "Event", namespace)[1]["items"]}


def test_the_loop_closes_and_a_restart_writes_nothing(
    server: ApiServer, namespace: str, tmp_path: Path, credentials: Path
) -> None:
    """A Dataset is pinned, a run trained, a version verified and served, a monitor runs. Then nothing is left to do,
    for this process and for the next one."""
    scope = ("--namespace", namespace, "--lease-namespace", namespace)
    with operator(tmp_path, credentials, *scope) as program, Nodes(server, namespace) as nodes:
        for manifest in example(namespace):
            assert server.create(manifest)[0] == 201
        eventually(lambda: settled(objects_of(server, namespace)), 60, lambda: program.log)
        assert not nodes.errors
        until_quiet(program)
        before = objects_of(server, namespace)
        writes = program.metric("mlops_operator_writes_total")
        time.sleep(5)
        assert program.metric("mlops_operator_writes_total") == writes, "a settled world costs no write"
        code, seconds = program.stop()
        assert (code, seconds < 5) == (0, True), program.log
    assert "Traceback" not in program.log
    with operator(tmp_path, credentials, *scope) as again:
        eventually(lambda: again.metric("mlops_operator_reconciles_total") >= 3, 60, lambda: again.log)
        time.sleep(3)
        assert again.metric("mlops_operator_writes_total") == 0, again.log
    after = objects_of(server, namespace)
    assert comparable(after, namespace) == comparable(before, namespace)
    version = after["ModelVersion", "rain-v1"]
    assert condition(version, "Ready") == ("True", "Serving")
    kinds = [kind for kind, _ in after]
    assert (kinds.count("Deployment"), kinds.count("Service")) == (1, 1)


def test_a_user_sees_what_it_says(server: ApiServer, namespace: str, program: Program) -> None:
    """Status, one Job, and Events with reasons; nothing of what the user wrote is touched."""
    dataset = in_namespace(a_dataset(), namespace)
    made = server.create(dataset)[1]
    eventually(lambda: synced_at(server, dataset), 60, lambda: program.log)
    there = server.get(dataset)[1]
    assert condition(there, "Ready")[0] == "Unknown"
    jobs = eventually(lambda: server.list("batch/v1", "Job", namespace)[1]["items"])
    assert len(jobs) == 1
    assert there["spec"] == made["spec"]
    for field in ("labels", "annotations", "finalizers"):
        assert there["metadata"].get(field) == made["metadata"].get(field)
    assert {entry["manager"] for entry in there["metadata"]["managedFields"]} >= {"mlops-operator"}
    # Each reason has an Event of its own, after its status: an earlier one may be there alone briefly.
    eventually(lambda: "Ingesting" in reasons_told(server, namespace), 60, lambda: program.log)


def test_what_happened_last_is_told_before_it_ends(server: ApiServer, namespace: str, program: Program) -> None:
    """A SIGTERM right after a status was written: its Event is there when the process is gone."""
    eventually(lambda: program.metric("mlops_operator_lease_held") == 1, 60)
    made = [in_namespace(a_dataset(f"rain-{number}"), namespace) for number in range(20)]
    for dataset in made:
        server.create(dataset)
    eventually(lambda: synced_at(server, made[-1]), 60, lambda: program.log)
    told = [dataset["metadata"]["name"] for dataset in made if synced_at(server, dataset)]
    assert program.stop()[0] == 0
    events = server.list("events.k8s.io/v1", "Event", namespace)[1]["items"]
    assert {event["regarding"]["name"] for event in events} >= set(told)


def test_a_strangers_object_is_told_and_left_alone(server: ApiServer, namespace: str, program: Program) -> None:
    """The name of the CronJob that is wanted is taken by one without our labels, which no watch shows."""
    pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "theirs"}]}
    stranger = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "rain-refresh", "namespace": namespace},
        "spec": {"schedule": "0 1 * * *", "jobTemplate": {"spec": {"template": {"spec": pod}}}},
    }
    assert server.create(stranger)[0] == 201
    dataset = in_namespace(a_dataset(refresh={"schedule": "0 0 * * *"}), namespace)
    server.create(dataset)
    eventually(lambda: condition(server.get(dataset)[1], "Stalled") == ("True", "NameTaken"), 60, lambda: program.log)
    there = server.get(stranger)[1]
    assert there["spec"]["schedule"] == "0 1 * * *"
    assert "labels" not in there["metadata"]


def test_a_child_that_somebody_deletes_comes_back(server: ApiServer, namespace: str, program: Program) -> None:
    server.create(in_namespace(a_dataset(), namespace))

    def jobs() -> list[Object]:
        return list(server.list("batch/v1", "Job", namespace)[1]["items"])

    (job,) = eventually(jobs, 60, lambda: program.log)
    server.delete({"apiVersion": "batch/v1", "kind": "Job", **job})
    again = eventually(lambda: [each for each in jobs() if each["metadata"]["uid"] != job["metadata"]["uid"]], 60)
    assert again[0]["metadata"]["name"] == job["metadata"]["name"]


def test_health_and_metrics(namespace: str, program: Program) -> None:
    """Every series that alerts and dashboards use is there from the start."""
    eventually(lambda: program.metric("mlops_operator_watches_missing") == 0, 60)
    assert program.probe("/healthz") == 200
    assert program.probe("/readyz") == 200
    eventually(lambda: program.metric("mlops_operator_lease_held") == 1)
    assert program.metric("mlops_operator_build_info", version="0.1.0") == 1
    assert program.metric("mlops_operator_watch_age_seconds", kind="Dataset") < 75
    assert program.metric("mlops_operator_queue_depth") == 0
    assert program.metric("process_resident_memory_bytes") < 200e6


def test_the_watches_run_though_the_image_does_not_know_the_user(
    namespace: str, tmp_path: Path, credentials: Path
) -> None:
    """A container's uid has no name in /etc/passwd, and no variable says one: kopf asks for it to name a peer."""
    (tmp_path / "sitecustomize.py").write_text(NAMELESS)
    environ = {"PATH": os.environ["PATH"], "HOME": "/tmp", "PYTHONPATH": str(tmp_path)}
    scope = ("--namespace", namespace, "--lease-namespace", namespace)
    with operator(tmp_path, credentials, *scope, environ=environ) as program:
        eventually(lambda: program.metric("mlops_operator_watches_missing") == 0, 60, lambda: program.log)
        time.sleep(3)
        assert program.metric("mlops_operator_watches_missing") == 0, program.log
        assert "the watches ended" not in program.log


@pytest.mark.long
def test_watches_that_never_begin_are_not_healthy(namespace: str, tmp_path: Path, credentials: Path) -> None:
    """Lists alone keep the operator going, a minute late: that must not look well."""
    (tmp_path / "sitecustomize.py").write_text(WATCHLESS)
    environ = {"PATH": os.environ["PATH"], "HOME": "/tmp", "PYTHONPATH": str(tmp_path)}
    scope = ("--namespace", namespace, "--lease-namespace", namespace)
    with operator(tmp_path, credentials, *scope, environ=environ) as program:
        eventually(lambda: program.probe("/healthz") == 503, 60, lambda: program.log)
        assert program.process.poll() is None


def test_a_second_replica_waits_and_takes_over(
    server: ApiServer, namespace: str, tmp_path: Path, credentials: Path
) -> None:
    """It is ready, writes nothing, and begins within seconds of the other's SIGTERM."""
    scope = ("--namespace", namespace, "--lease-namespace", namespace)
    with operator(tmp_path, credentials, *scope, "--identity", "one") as first:
        eventually(lambda: first.metric("mlops_operator_lease_held") == 1, 60)
        with operator(tmp_path, credentials, *scope, "--identity", "two") as second:
            dataset = in_namespace(a_dataset(), namespace)
            server.create(dataset)
            eventually(lambda: synced_at(server, dataset), 60, lambda: first.log)
            assert second.metric("mlops_operator_lease_held") == 0
            assert second.metric("mlops_operator_writes_total") == 0
            assert second.probe("/healthz") == 200
            code, seconds = first.stop()
            assert code == 0
            assert seconds < 5
            eventually(lambda: second.metric("mlops_operator_lease_held") == 1, 5, lambda: second.log)
            other = in_namespace(a_dataset("sun"), namespace)
            server.create(other)
            eventually(lambda: synced_at(server, other), 5, lambda: second.log)


def test_a_lease_that_is_taken_ends_the_process(server: ApiServer, namespace: str, program: Program) -> None:
    """With exit code 1: whoever holds the Lease is the only one that writes."""
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
    lease["metadata"] = {"name": "mlops-operator", "namespace": namespace}
    eventually(lambda: program.metric("mlops_operator_lease_held") == 1, 60)
    assert server.patch(lease, {"spec": {"holderIdentity": "somebody"}})[0] == 200
    assert program.process.wait(timeout=20) == 1
    assert "is lost" in program.log
    assert "Traceback" not in program.log


def test_cluster_wide(server: ApiServer, namespace: str, tmp_path: Path) -> None:
    """Without --namespace it works in every namespace, also in one that was made later."""
    token, user = token_for(server, namespace, "everywhere")
    grant(server, user)
    file = kubeconfig(tmp_path, server.url, server.ca, token)
    with operator(tmp_path, file, "--lease-namespace", namespace, "--log-format", "json") as program:
        later = in_namespace(a_dataset(), server.new_namespace())
        assert server.create(later)[0] == 201
        eventually(lambda: synced_at(server, later), 60, lambda: program.log)
        assert program.stop(signal.SIGINT)[0] == 0
    first, *_ = (json.loads(line) for line in program.log.splitlines())
    assert first["message"].startswith("mlops-operator 0.1.0: namespaces all, image mlops-workloads:test")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["--listen", "8081"], "write HOST:PORT", id="listen"),
        pytest.param(["--namespace", "Team"], "is not the name of a namespace", id="namespace"),
        pytest.param(["--pod-env", "STORE"], "write NAME=VALUE", id="pod-env"),
        pytest.param(["--environment-digest", "sha256:1"], "is no digest", id="digest"),
        pytest.param(["--workers", "0"], "is not in the range", id="workers"),
        pytest.param(["--kubeconfig", "/nowhere/config"], "--kubeconfig", id="kubeconfig"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(arguments: list[str], says: str) -> None:
    """Exit code 2 and the way out, no traceback."""
    command = [sys.executable, "-m", "mlops.cluster", "--image", "x", "--environment-digest", DIGEST, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_operator_with_a_lease_of_its_own_writes_nothing(
    server: ApiServer, namespace: str, tmp_path: Path, credentials: Path
) -> None:
    """Each is started as the docs say for different namespaces, and both are given the same one."""
    scope = ("--namespace", namespace, "--lease-namespace", namespace)
    (tmp_path / "second").mkdir()
    with operator(tmp_path, credentials, *scope) as first:
        assert server.create(example(namespace)[0])[0] == 201
        eventually(lambda: server.list("batch/v1", "Job", namespace)[1]["items"], 60, lambda: first.log)
        until_quiet(first)
        before = objects_of(server, namespace)
        with operator(tmp_path / "second", credentials, *scope, "--lease-name", "second") as second:
            why = f'namespace "{namespace}" belongs to the operator of Lease {namespace}/mlops-operator'
            eventually(lambda: why in second.log, 60, lambda: second.log)
            time.sleep(3)
            assert second.metric("mlops_operator_writes_total") == 0
        assert objects_of(server, namespace) == before
