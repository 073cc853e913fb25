"""The generated CustomResourceDefinitions on a real kube-apiserver: it takes them, and every constraint holds there."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from hack.generate import ROOT
from mlops.api.kinds import KINDS
from tests.api.derived import Violation, violations
from tests.api.objects import VALID, Object, a_dataset
from tests.api.rejected import ALLOWED_UPDATES, RULES, UPDATES, Forbidden, Rejected
from tests.servers.apiserver import ApiServer

pytestmark = pytest.mark.apiserver


@pytest.fixture(scope="module")
def server(apiserver: ApiServer) -> ApiServer:
    """The API server with the committed definitions, as a user would apply them."""
    files = sorted((ROOT / "crds").glob("*.yaml"))
    assert len(files) == len(KINDS)
    apiserver.apply_crds([yaml.safe_load(file.read_text()) for file in files])
    return apiserver


@pytest.fixture
def namespace(server: ApiServer) -> str:
    """A namespace of its own."""
    return server.new_namespace()


def _in(manifest: Object, namespace: str) -> Object:
    return {**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}}


@pytest.mark.parametrize("manifest", [pytest.param(m, id=name) for name, m in VALID.items()])
def test_a_valid_object_is_stored_as_written(server: ApiServer, namespace: str, manifest: Object) -> None:
    """Nothing a user wrote is pruned; defaults are added beside it."""
    status, answer = server.create(_in(manifest, namespace))
    assert status == 201, answer
    assert _holds(answer["spec"], manifest["spec"])


@pytest.mark.parametrize("case", RULES)
def test_a_broken_rule_is_refused_with_its_message(server: ApiServer, namespace: str, case: Rejected) -> None:
    """The API server says the same words at the same field."""
    status, answer = server.create(_in(case.manifest, namespace))
    assert status == 422, answer
    assert case.says in answer["message"]
    assert case.field in answer["message"]


@pytest.mark.parametrize("violation", [pytest.param(v, id=name) for name, v in violations().items()])
def test_every_limit_is_refused_at_its_field(server: ApiServer, namespace: str, violation: Violation) -> None:
    """Types, enums, ranges, lengths, required and unknown fields."""
    status, answer = server.create(_in(violation.manifest, namespace))
    assert status in (400, 422), answer
    assert violation.field.split("[")[0] in answer["message"]


@pytest.mark.parametrize("case", UPDATES)
def test_an_immutable_field_stays(server: ApiServer, namespace: str, case: Forbidden) -> None:
    """A change is refused, with the way out."""
    assert server.apply(_in(case.before, namespace))[0] == 201
    status, answer = server.apply(_in(case.after, namespace))
    assert status == 422, answer
    assert case.says in answer["message"]


@pytest.mark.parametrize(("before", "after"), ALLOWED_UPDATES)
def test_a_mutable_field_changes(server: ApiServer, namespace: str, before: Object, after: Object) -> None:
    """Suspending, withdrawing and editing a template go through."""
    assert server.apply(_in(before, namespace))[0] == 201
    status, answer = server.apply(_in(after, namespace))
    assert status == 200, answer


def test_a_status_written_by_a_user_is_ignored(server: ApiServer, namespace: str) -> None:
    """Status is a subresource: only the operator's own write reaches it. Until then it says that nobody saw it."""
    status, answer = server.create(_in({**a_dataset(), "status": {"version": 9, "conditions": []}}, namespace))
    assert status == 201, answer
    assert answer["status"] == {"observedGeneration": -1}


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_first_status_of_every_kind_is_taken(server: ApiServer, namespace: str, kind: str) -> None:
    """The status that a planner writes is one the schema allows."""
    manifest = _in(next(m for m in VALID.values() if m["kind"] == kind), namespace)
    assert server.create(manifest)[0] == 201
    condition = {
        "type": "Ready",
        "status": "Unknown",
        "reason": "Pending",
        "message": "",
        "lastTransitionTime": "2026-01-31T12:00:00Z",
        "observedGeneration": 1,
    }
    identity = {key: manifest[key] for key in ("apiVersion", "kind", "metadata")}
    status, answer = server.apply({**identity, "status": {"conditions": [condition]}}, "status", manager="operator")
    assert status == 200, answer
    assert answer["status"]["conditions"] == [condition]


def _holds(there: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return isinstance(there, dict) and all(key in there and _holds(there[key], v) for key, v in wanted.items())
    if isinstance(wanted, list):
        return len(there) == len(wanted) and all(map(_holds, there, wanted))
    return bool(there == wanted)
