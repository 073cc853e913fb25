"""What becomes of a case's manifest at a real kube-apiserver."""

from __future__ import annotations

import copy
from typing import Any

from tests.api.objects import VALID, changed
from tests.bad_input.catalogue import Case, value_of
from tests.servers.apiserver import Answer, ApiServer

Object = dict[str, Any]


def manifest_of(case: Case, namespace: str = "default") -> Object:
    """Return the valid object that the case begins with, with the user's mistake in it."""
    base = copy.deepcopy(VALID[case["object"]])
    base["metadata"]["namespace"] = namespace
    return changed(base, {path: value_of(value) for path, value in case["change"].items()})


def attempt(server: ApiServer, case: Case, namespace: str, validation: str = "Strict") -> Answer:
    """Make the case's object, and if it is about a change, change it; nothing of what is refused is left.

    `validation` is as of `kubectl --validate`: Strict refuses unknown fields, Ignore drops them.
    """
    manifest = manifest_of(case, namespace)
    if "then" not in case:
        return server.create(manifest, fieldValidation=validation, dryRun="All")
    status, answer = server.create(manifest)
    assert status in (201, 409), answer
    after = changed(manifest, case["then"])
    after["metadata"] |= {"resourceVersion": server.get(manifest)[1]["metadata"]["resourceVersion"]}
    path = server._path(manifest)
    return server.request("PUT", path, after, fieldValidation=validation, dryRun="All")


def server_side(server: ApiServer, case: Case, namespace: str) -> Answer:
    """The same by `kubectl apply --server-side`."""
    manifest = manifest_of(case, namespace)
    path = server._path(manifest, with_name="name" in manifest["metadata"])
    return server.request(
        "PATCH",
        path,
        changed(manifest, case.get("then", {})),
        "application/apply-patch+yaml",
        fieldManager="kubectl",
        force="true",
        fieldValidation="Strict",
        dryRun="All",
    )
