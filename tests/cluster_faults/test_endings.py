"""Namespaces that go, and writes that are refused for good or for a while: what is told, where, and how often."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

import pytest

from mlops.cluster.kinds import WATCHED
from mlops.engine.claims import CLAIM
from tests.cluster.access import grant, kubeconfig, token_for
from tests.cluster.programs import Program, eventually, operator
from tests.cluster_faults.example import condition, example, in_namespace, objects_of, settled
from tests.cluster_faults.nodes import Nodes
from tests.engine.objects import a_dataset
from tests.servers.apiserver import ApiServer

pytestmark = [pytest.mark.apiserver, pytest.mark.slow, pytest.mark.timeout(600)]

Object = dict[str, Any]


@pytest.fixture
def system(server: ApiServer) -> str:
    """The namespace of the operator itself."""
    return server.new_namespace()


@pytest.fixture
def everywhere(server: ApiServer, system: str, tmp_path: Path) -> Path:
    """A kubeconfig of an operator of all namespaces."""
    token, user = token_for(server, system, "operator")
    grant(server, user)
    return kubeconfig(tmp_path, server.url, server.ca, token)


@pytest.fixture
def program(server: ApiServer, everywhere: Path, system: str, tmp_path: Path) -> Iterator[Program]:
    """An operator of all namespaces; those of other tests are gone, and their claims taken away as the docs say."""
    status, answer = server.list("v1", "ConfigMap", fieldSelector=f"metadata.name={CLAIM}")
    assert status == 200, answer
    for claim in answer["items"]:
        assert server.delete({"apiVersion": "v1", "kind": "ConfigMap", **claim})[0] in (200, 404)
    with operator(tmp_path, everywhere, "--lease-namespace", system) as started:
        eventually(lambda: started.metric("mlops_operator_lease_held") == 1, 60)
        yield started


def worse_than_info(program: Program) -> list[str]:
    return [line for line in program.log.splitlines() if " WARNING " in line or " ERROR " in line]


def started(server: ApiServer, dataset: Object) -> bool:
    return condition(server.get(dataset)[1], "Ready")[1] == "Ingesting"


def delete_namespace(server: ApiServer, name: str, random: Random, pause: float = 0.0) -> None:
    """Delete it, and do what the namespace controller does: its objects go kind by kind, in no order, then it."""
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    assert server.delete(manifest)[0] == 200
    kinds = [served.path(name) for served in WATCHED.values()]
    kinds += [f"/apis/rbac.authorization.k8s.io/v1/namespaces/{name}/{each}" for each in ("rolebindings", "roles")]
    kinds += [f"/api/v1/namespaces/{name}/{each}" for each in ("serviceaccounts", "secrets", "configmaps")]
    random.shuffle(kinds)
    for path in kinds:
        for item in server.request("GET", path)[1]["items"]:
            server.request("DELETE", f"{path}/{item['metadata']['name']}", gracePeriodSeconds="0")
        time.sleep(pause)
    status, answer = server.get(manifest)
    if status == 200:
        answer["spec"]["finalizers"] = []
        assert server.request("PUT", f"/api/v1/namespaces/{name}/finalize", answer)[0] == 200
    eventually(lambda: server.get(manifest)[0] == 404, 30)


@pytest.mark.parametrize(
    "pause", [pytest.param(0.0, id="at once"), pytest.param(0.7, id="slowly", marks=pytest.mark.long)]
)
def test_a_namespace_that_goes_is_no_trouble(server: ApiServer, system: str, program: Program, pause: float) -> None:
    """With everything in it, some of it done and some under way: not one line at WARNING, no storm of requests, and
    the others are worked on meanwhile."""
    going, staying = server.new_namespace(), server.new_namespace()
    with Nodes(server, going, lambda job: "pending" in str(job["metadata"]["labels"])):
        for manifest in example(going):
            assert server.create(manifest)[0] == 201
        eventually(lambda: settled(objects_of(server, going)), 60, lambda: program.log)
    for number in range(10):
        assert server.create(in_namespace(a_dataset(f"pending-{number}"), going))[0] == 201
    before = program.metric("mlops_operator_api_errors_total")
    delete_namespace(server, going, Random(1), pause)
    kept = in_namespace(a_dataset(), staying)
    assert server.create(kept)[0] == 201
    eventually(lambda: condition(server.get(kept)[1], "Ready")[1] == "Ingesting", 30, lambda: program.log)
    time.sleep(10)
    assert worse_than_info(program) == []
    refused = program.metric("mlops_operator_api_errors_total") - before
    assert refused <= 150
    assert program.metric("mlops_operator_queue_depth") == 0
    time.sleep(20)
    assert program.metric("mlops_operator_api_errors_total") - before - refused <= 2, "it is quiet in the end"
    assert worse_than_info(program) == []


@pytest.mark.long
@pytest.mark.parametrize("restart", [pytest.param(False, id="while it works"), pytest.param(True, id="at its start")])
def test_a_listed_namespace_that_goes_with_its_role_costs_the_others_nothing(
    server: ApiServer, system: str, tmp_path: Path, restart: bool
) -> None:
    """With the namespace goes the right to list it. The other namespaces are worked on, also by a process that starts
    then; the log does not fill up, and when the namespace is back, with its Role, so is the work in it."""
    going, staying = server.new_namespace(), server.new_namespace()
    token, user = token_for(server, system, "operator")
    grant(server, user, (going, staying, system))
    file = kubeconfig(tmp_path, server.url, server.ca, token)
    scope = ("--namespace", going, "--namespace", staying, "--lease-namespace", system)
    dataset = in_namespace(a_dataset(), going)
    with ExitStack() as stack:
        program = stack.enter_context(operator(tmp_path, file, *scope))
        eventually(lambda: program.metric("mlops_operator_lease_held") == 1, 60)
        assert server.create(dataset)[0] == 201
        eventually(lambda: started(server, dataset), 60, lambda: program.log)
        delete_namespace(server, going, Random(2))
        if restart:
            assert program.stop()[0] == 0
            program = stack.enter_context(operator(tmp_path, file, *scope))
        began = time.monotonic()
        kept = in_namespace(a_dataset(), staying)
        assert server.create(kept)[0] == 201
        eventually(lambda: started(server, kept), 30, lambda: program.log)
        eventually(lambda: program.metric("mlops_operator_namespaces_lost") == 1, 90, lambda: program.log)
        time.sleep(max(0.0, began + 45 - time.monotonic()))
        assert program.process.poll() is None
        assert (program.probe("/healthz"), program.probe("/readyz")) == (200, 200)
        # At the 1st, 2nd, 4th, 8th ... try of each list and each watch.
        assert len(worse_than_info(program)) <= 5 * len(WATCHED) + 10, program.log
        assert server.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": going}})[0] == 201
        grant(server, user, (going,))
        assert server.create(dataset)[0] == 201
        eventually(lambda: started(server, dataset), 30, lambda: program.log)
        assert program.metric("mlops_operator_namespaces_lost") == 0


def a_policy(namespace: str) -> list[Object]:
    """A ValidatingAdmissionPolicy that refuses Jobs in a namespace, by the answer that is its default: 422."""
    version, name = "admissionregistration.k8s.io/v1", f"no-jobs-{namespace}"
    rule = {"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["jobs"]}
    within = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    policy = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule], "namespaceSelector": within},
        "validations": [{"expression": "false", "message": "no Jobs before noon"}],
    }
    binding = {"policyName": name, "validationActions": ["Deny"]}
    return [
        {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}
        for kind, spec in (("ValidatingAdmissionPolicy", policy), ("ValidatingAdmissionPolicyBinding", binding))
    ]


def a_dead_webhook(namespace: str) -> list[Object]:
    """A webhook that has to be asked and that nobody serves."""
    rule = {"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["jobs"]}
    webhook = {
        "name": "policy.example.com",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "timeoutSeconds": 2,
        "clientConfig": {"url": "https://127.0.0.1:9/validate"},
        "rules": [rule],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
    }
    version = "admissionregistration.k8s.io/v1"
    name = {"metadata": {"name": f"dead-{namespace}"}}
    return [{"apiVersion": version, "kind": "ValidatingWebhookConfiguration", **name, "webhooks": [webhook]}]


@pytest.mark.parametrize(
    ("obstacle", "says"),
    [
        pytest.param(a_policy, "no Jobs before noon", id="a policy"),
        pytest.param(
            a_dead_webhook, "failed calling webhook", id="a webhook that does not answer", marks=pytest.mark.long
        ),
    ],
)
def test_a_refused_child_is_told_by_the_object_and_made_when_it_may(
    server: ApiServer, namespace: str, program: Program, obstacle: Any, says: str
) -> None:
    """Not only by the operator's log, which its user cannot read. It goes on by itself when the obstacle is gone."""
    manifests = obstacle(namespace)
    for manifest in manifests:
        assert server.create(manifest)[0] == 201

    def refused_job() -> bool:
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "try", "namespace": namespace}}
        pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "x"}]}
        return bool(server.create({**job, "spec": {"template": {"spec": pod}}}, dryRun="All")[0] >= 400)

    eventually(refused_job, 30)
    dataset = in_namespace(a_dataset(), namespace)
    assert server.create(dataset)[0] == 201
    eventually(lambda: condition(server.get(dataset)[1], "Ready") == ("False", "ChildRefused"), 90, lambda: program.log)
    ready = next(each for each in server.get(dataset)[1]["status"]["conditions"] if each["type"] == "Ready")
    assert says in ready["message"]
    assert condition(server.get(dataset)[1], "Stalled")[0] != "True"
    assert len(worse_than_info(program)) <= 10, program.log
    for manifest in manifests:
        assert server.delete(manifest)[0] == 200
    eventually(lambda: condition(server.get(dataset)[1], "Ready")[1] == "Ingesting", 90, lambda: program.log)
