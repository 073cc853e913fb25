"""A settled world costs no write, although the API server stores a manifest with its own defaults and spellings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops.api.kinds import KINDS
from mlops.cluster.writer import KubernetesCluster
from mlops.engine.clock import RealClock
from mlops.engine.gather import Gatherer
from mlops.engine.metrics import Counters
from mlops.engine.reconcile import Reconciler
from mlops.planning.plan import Key, Manifest, Plan, Settings
from tests.api.objects import a_dataset, a_monitor, a_run, a_version

pytestmark = pytest.mark.apiserver

GOLDEN = sorted((Path(__file__).parents[1] / "planning" / "golden").glob("*.yaml"))
A_VALID: dict[str, Callable[[], Manifest]] = {
    "Dataset": a_dataset,
    "TrainingRun": a_run,
    "ModelVersion": a_version,
    "DriftMonitor": a_monitor,
}


@pytest.mark.parametrize("file", [pytest.param(file, id=file.stem) for file in GOLDEN])
async def test_a_plan_is_carried_out_once(
    file: Path, namespace: str, cluster: KubernetesCluster, by_user: Callable[[Manifest], Manifest]
) -> None:
    """Every plan that the planners are known to make: what was written is recognised as what is wanted."""
    plan = _plan(file, namespace)
    owners = [by_user(_owner(key)) for key in plan.statuses]
    key = Key("Dataset", namespace, "looked-at")
    by_user(_owner(key))
    want = len(plan.statuses) + len(plan.apply) + len(plan.create)
    assert await _writes(cluster, key, plan) == want, owners
    assert await _writes(cluster, key, plan) == 0
    for child in plan.apply:
        assert await _writes(cluster, key, Plan(apply=(child,))) == 0


async def test_a_manifest_that_is_spelled_differently_is_applied_once(
    namespace: str, cluster: KubernetesCluster, by_user: Callable[[Manifest], Manifest]
) -> None:
    """Amounts that people write in their own way, empty values, a port by number and by name."""
    key = Key("Dataset", namespace, "looked-at")
    by_user(_owner(key))
    plan = _plan(GOLDEN[0].with_name("version-serve.yaml"), namespace)
    (deployment,) = (child for child in plan.apply if child["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    container["resources"] = {
        "requests": {"cpu": "0.1", "memory": "1024Ki"},
        "limits": {"cpu": "2000m", "memory": "1024Mi", "ephemeral-storage": "1e9"},
    }
    container["env"] = [*container["env"], {"name": "EMPTY", "value": ""}]
    container["args"] = []
    container["livenessProbe"]["httpGet"]["port"] = 8080
    spelled = Plan(apply=(deployment,))
    assert await _writes(cluster, key, spelled) == 1
    assert await _writes(cluster, key, spelled) == 0


@pytest.mark.parametrize("kind", A_VALID)
async def test_a_status_is_what_was_written_last(
    kind: str, namespace: str, cluster: KubernetesCluster, by_user: Callable[[Manifest], Manifest]
) -> None:
    """One after the other, in both orders: lists keep the planner's order, and nothing of the one before is left."""
    statuses = [
        status.dump() for file in GOLDEN for key, status in _plan(file, namespace).statuses.items() if key.kind == kind
    ]
    key = Key(kind, namespace, "electricity")
    by_user(_owner(key))
    for status in [*statuses, *reversed(statuses), {**statuses[0], "conditions": statuses[0]["conditions"][::-1]}]:
        seen = cluster.get(key)
        assert seen is not None
        await cluster.write_status(seen, status)
        there = cluster.get(key)
        assert there is not None
        assert there["status"] == status


async def _writes(cluster: KubernetesCluster, key: Key, plan: Plan) -> int:
    counters = Counters()
    gatherer = Gatherer(cluster, Settings(), RealClock())
    planners: dict[str, Any] = {"Dataset": lambda _: plan}
    await Reconciler(cluster, gatherer, planners, RealClock(), counters).reconcile(key)
    return sum(count for (_, kind), count in counters.writes.items() if kind != "Event")


def _owner(key: Key) -> Manifest:
    manifest = A_VALID[key.kind]()
    return {**manifest, "metadata": {"name": key.name, "namespace": key.namespace}}


_STATUSES: dict[str, Any] = {kind: made.model_fields["status"].annotation for kind, made in KINDS.items()}


def _plan(file: Path, namespace: str) -> Plan:
    shape = yaml.safe_load(file.read_text("utf-8").replace("namespace: team", f"namespace: {namespace}"))
    statuses = {}
    for address, status in shape.get("statuses", {}).items():
        kind, _, name = address.split("/")
        statuses[Key(kind, namespace, name)] = _STATUSES[kind].model_validate(status)

    def children(field: str) -> Sequence[Manifest]:
        return tuple(shape.get(field, ()))

    return Plan(statuses=statuses, apply=tuple(children("apply")), create=tuple(children("create")))
