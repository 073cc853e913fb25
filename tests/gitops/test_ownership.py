"""What a Git tool applied stays as it applied it, while the real operator works on it on a real API server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops.api.crd import crds
from tests.cluster.access import grant, kubeconfig, token_for
from tests.cluster.programs import eventually, operator
from tests.cluster_faults.example import condition, objects_of
from tests.cluster_faults.nodes import Nodes
from tests.gitops.overlays import text_of
from tests.kstatus.kubectl import kubectl
from tests.servers.apiserver import ApiServer

pytestmark = [pytest.mark.apiserver, pytest.mark.slow]
Object = dict[str, Any]
ARGO = "argocd-controller"
OURS = ("Dataset", "TrainingRun", "DriftMonitor")
KEPT = ("labels", "annotations", "ownerReferences", "finalizers", "generation")


def in_git(namespace: str) -> str:
    """Return the overlay of production, for this namespace; a second stage and a second training are in it."""
    return text_of("production").replace("housing-production", namespace)


def tracked(text: str) -> str:
    """Return the manifests with the mark that Argo CD puts on what it applies."""
    objects = list(yaml.safe_load_all(text))
    for each in objects:
        each["metadata"]["labels"]["app.kubernetes.io/instance"] = "housing"
        each["metadata"]["annotations"] = {"argocd.argoproj.io/tracking-id": f"housing:mlops.dev/{each['kind']}:x/y"}
    return yaml.safe_dump_all(objects)


def users_part(manifest: Object) -> Object:
    return {**{name: manifest["metadata"].get(name) for name in KEPT}, "spec": manifest["spec"]}


def written_by(manifest: Object, manager: str) -> list[Object]:
    return [each for each in manifest["metadata"]["managedFields"] if each["manager"] == manager]


def test_nothing_that_a_git_tool_applied_is_written(apiserver: ApiServer, namespace: str, tmp_path: Path) -> None:
    """From the first sync to a live version and a check: spec, labels and annotations stay, applying again is neither
    a conflict nor a change, nothing is left to prune."""
    apiserver.apply_crds(crds().values())
    token, user = token_for(apiserver, namespace, "operator")
    grant(apiserver, user, (namespace,))
    git = tracked(in_git(namespace))
    apply = ["apply", "--server-side", f"--field-manager={ARGO}", "-f", "-"]
    code, _, complaint = kubectl(*apply, server=apiserver, given=git)
    assert code == 0, complaint
    before = {kind: objects_of(apiserver, namespace)[kind, "housing"] for kind in OURS}
    access = kubeconfig(tmp_path, apiserver.url, apiserver.ca, token)
    scope = ("--namespace", namespace, "--lease-namespace", namespace)
    with operator(tmp_path, access, *scope) as program, Nodes(apiserver, namespace) as nodes:

        def done() -> bool:
            there = objects_of(apiserver, namespace)
            monitor = there["DriftMonitor", "housing"]
            return bool(monitor["status"].get("history")) and condition(monitor, "Ready") == ("True", "Checked")

        eventually(done, 90, lambda: f"{program.log}{_said(apiserver, namespace)}")
        assert not nodes.errors
        after = objects_of(apiserver, namespace)
        _check_parents(before, after)
        _check_again(apiserver, namespace, git, apply)
        _check_children(after)
        program.stop()


def _said(server: ApiServer, namespace: str) -> str:
    """Return what each object says, for whoever reads why nothing came of it."""
    found = objects_of(server, namespace)
    lines = [f"{kind} {name}: {each.get('status', {}).get('conditions')}" for (kind, name), each in found.items()]
    return "\n".join(lines)


def _check_parents(before: dict[str, Object], after: dict[tuple[str, str], Object]) -> None:
    for kind in OURS:
        there = after[kind, "housing"]
        assert users_part(there) == users_part(before[kind])
        assert there["status"]["observedGeneration"] == there["metadata"]["generation"]
        ours = written_by(there, "mlops-operator")
        assert [each["subresource"] for each in ours] == ["status"]
        assert all(list(each["fieldsV1"]) == ["f:status"] for each in ours)
        [theirs] = written_by(there, ARGO)
        assert set(theirs["fieldsV1"]) == {"f:metadata", "f:spec"}


def _check_again(server: ApiServer, namespace: str, git: str, apply: list[str]) -> None:
    for diff in (["diff", "--server-side", f"--field-manager={ARGO}"], ["diff"]):
        code, printed, complaint = kubectl(*diff, "-f", "-", server=server, given=git)
        assert (code, printed) == (0, ""), complaint
    before = objects_of(server, namespace)
    code, _, complaint = kubectl(*apply, server=server, given=git)
    assert code == 0, complaint
    again = objects_of(server, namespace)
    for kind in OURS:
        assert users_part(again[kind, "housing"]) == users_part(before[kind, "housing"])
        assert again[kind, "housing"]["status"] == before[kind, "housing"]["status"]


def _check_children(after: dict[tuple[str, str], Object]) -> None:
    """Argo CD prunes what carries its mark and has no owner; nothing that the operator made is such."""
    children = {key: each for key, each in after.items() if not (key[0] in OURS and key[1] == "housing")}
    assert {kind for kind, _ in children} >= {"Job", "CronJob", "Deployment", "Service", "TrainingRun", "ModelVersion"}
    for (kind, name), child in children.items():
        if kind == "Pod":
            continue
        metadata = child["metadata"]
        assert "argocd.argoproj.io" not in json.dumps(metadata.get("annotations", {})), (kind, name)
        assert "environment" not in metadata["labels"], (kind, name)
        if not metadata.get("ownerReferences"):
            assert kind in ("ModelVersion", "ConfigMap"), name
            assert "app.kubernetes.io/instance" not in metadata["labels"]
