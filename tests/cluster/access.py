"""What the operator may do: exactly the verbs that it is granted when it is installed, and a token that has them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from tests.servers.apiserver import ApiServer

RULES: list[dict[str, Any]] = [
    {
        "apiGroups": ["mlops.dev"],
        "resources": ["datasets", "trainingruns", "modelversions", "driftmonitors"],
        "verbs": ["list", "watch"],
    },
    {
        "apiGroups": ["mlops.dev"],
        "resources": ["datasets/status", "trainingruns/status", "modelversions/status", "driftmonitors/status"],
        "verbs": ["patch"],
    },
    {"apiGroups": ["mlops.dev"], "resources": ["trainingruns", "modelversions"], "verbs": ["create"]},
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["list", "watch", "create", "delete"]},
    {"apiGroups": ["batch"], "resources": ["cronjobs"], "verbs": ["list", "watch", "create", "patch", "delete"]},
    {
        "apiGroups": ["policy"],
        "resources": ["poddisruptionbudgets"],
        "verbs": ["list", "watch", "create", "patch", "delete"],
    },
    {
        "apiGroups": ["autoscaling"],
        "resources": ["horizontalpodautoscalers"],
        "verbs": ["list", "watch", "create", "patch", "delete"],
    },
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["list", "watch", "create", "patch", "delete"]},
    {"apiGroups": [""], "resources": ["services"], "verbs": ["list", "watch", "create", "patch", "delete"]},
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch", "create", "patch"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]},
    {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]},
]


def grant(server: ApiServer, user: str, namespaces: tuple[str, ...] = ()) -> None:
    """Let `user` do what the operator may, in `namespaces` or, without any, everywhere."""
    binding = {"subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}]}
    version = "rbac.authorization.k8s.io/v1"
    for namespace in namespaces or (None,):
        prefix = "" if namespace else "Cluster"
        metadata: dict[str, Any] = {"name": user, **({"namespace": namespace} if namespace else {})}
        role = {"apiVersion": version, "kind": f"{prefix}Role", "metadata": metadata, "rules": RULES}
        ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": f"{prefix}Role", "name": user}
        bound = {"apiVersion": version, "kind": f"{prefix}RoleBinding", "metadata": metadata, "roleRef": ref, **binding}
        for manifest in (role, bound):
            status, answer = server.apply(manifest)
            assert status in (200, 201), answer


def token_for(server: ApiServer, namespace: str, name: str) -> tuple[str, str]:
    """Make a service account; return a token of it and the user name that it means."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}
    status, answer = server.apply(account)
    assert status in (200, 201), answer
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    status, answer = server.request("POST", path, request)
    assert status == 201, answer
    return answer["status"]["token"], f"system:serviceaccount:{namespace}:{name}"


def kubeconfig(folder: Path, url: str, ca: Path, token: str) -> Path:
    """Write a kubeconfig file."""
    named = {"name": "test"}
    authority = base64.b64encode(ca.read_bytes()).decode()
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{**named, "cluster": {"server": url, "certificate-authority-data": authority}}],
        "users": [{**named, "user": {"token": token}}],
        "contexts": [{**named, "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }
    file = folder / "kubeconfig"
    file.write_text(json.dumps(content), "utf-8")
    return file
