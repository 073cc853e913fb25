"""What holds of every plan, whatever the view."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Protocol

from mlops.api import kinds, labels
from mlops.planning.plan import Key, Manifest, Plan
from mlops.planning.views import DatasetView, DriftMonitorView, ModelView, TrainingRunView
from tests.planning import limits

View = DatasetView | TrainingRunView | ModelView | DriftMonitorView
# What a planner may want beside statuses; a user's objects are never written but for their status.
CONVERGED = {"ConfigMap", "CronJob", "Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler"}
CREATED = {"Job", "TrainingRun", "ModelVersion"}


class Objects(Protocol):
    """What is there."""

    def get(self, key: Key) -> Manifest | None:
        """Return the object, or None."""


def check(view: Any, plan: Plan, there: Objects) -> None:
    """Fail unless the plan is one that may be carried out."""
    _check_statuses(view, plan)
    _check_children(plan, there)
    _check_deletes(view, plan, there)


def check_repeated(planner: Callable[[Any], Plan], view: Any, plan: Plan) -> None:
    """Fail unless the same view gives the same plan, in whatever order its objects come."""
    assert planner(view) == plan, "the same view gave two plans"
    assert in_any_order(planner(shuffled(view))) == in_any_order(plan), "the order of the view's objects matters"


def _key(manifest: Manifest) -> Key:
    metadata = manifest["metadata"]
    return Key(manifest["kind"], metadata["namespace"], metadata["name"])


def own(view: Any) -> list[Any]:
    """Return the objects that the view is about."""
    match view:
        case DatasetView():
            return [view.dataset]
        case TrainingRunView():
            return [view.run]
        case DriftMonitorView():
            return [view.monitor]
    return list(view.versions)


def _check_statuses(view: Any, plan: Plan) -> None:
    there = {Key(*each.key): each for each in own(view)}
    for key, status in plan.statuses.items():
        written = status.dump()
        limits.check_status(key.kind, written)
        parsed = type(there[key].status).model_validate(written)
        assert parsed.dump() == written, "the status does not read as it was written"
        _check_readiness(written["conditions"], there[key])


def _check_readiness(conditions: list[Manifest], seen: Any) -> None:
    """Check what kstatus reads: Ready is always said, Reconciling and Stalled never both. A final readiness is carried
    on as it is: if another than an operator had written it, it says what that one said."""
    said = {each["type"]: each for each in conditions}
    before = {each.type: each for each in seen.status.conditions}
    assert "Ready" in said
    assert all(each["observedGeneration"] == seen.metadata.generation for each in conditions)
    if not before.keys() >= {"Reconciling", "Stalled"}:
        assert not said.keys() >= {"Reconciling", "Stalled"}
    if "Stalled" in said and "Stalled" not in before:
        assert said["Ready"]["status"] == "False"
    if said["Ready"]["status"] == "False" and not any(each.message == "" for each in before.values()):
        assert said["Ready"]["message"], "Ready=False says nothing"
    if not seen.status.conditions:
        assert said["Ready"]["status"] == "Unknown", "the very first write must not be a judgement"


def _check_children(plan: Plan, there: Objects) -> None:
    assert {each["kind"] for each in plan.apply} <= CONVERGED
    assert {each["kind"] for each in plan.create} <= CREATED
    children = [*plan.apply, *plan.create]
    assert len({_key(each) for each in children}) == len(children), "a child is wanted twice"
    for child in children:
        limits.check_child(child)
        metadata = child["metadata"]
        assert metadata["labels"][labels.MANAGED_BY] == labels.MANAGER
        references = metadata.get("ownerReferences", [])
        # What is a fact, or records facts, outlives what it is about.
        assert bool(references) == (child["kind"] not in ("ConfigMap", "ModelVersion"))
        assert sum(bool(each.get("controller")) for each in references) <= 1
        for reference in references:
            owner = there.get(Key(reference["kind"], metadata["namespace"], reference["name"]))
            assert owner is not None, f"{_key(child)} is to be owned by what is not there: {reference}"
            assert owner["metadata"]["uid"] == reference["uid"]
            assert owner["metadata"].get("deletionTimestamp") is None
        if child["kind"] in kinds.KINDS:
            kinds.parse(child)


def _check_deletes(view: Any, plan: Plan, there: Objects) -> None:
    wanted = {_key(each) for each in (*plan.apply, *plan.create)}
    for key, uid in plan.delete:
        assert key.kind not in kinds.KINDS, f"a planner must not delete {key}"
        assert key not in wanted, f"{key} is wanted and unwanted"
        assert (key, uid) in _shown(view)
        present = there.get(key)
        assert present is not None
        assert present["metadata"].get("uid", "") == uid


def _shown(view: Any) -> set[tuple[Key, str]]:
    found = [job.manifest for job in view.jobs]
    if isinstance(view, ModelView):
        found += [
            *view.deployments.values(),
            *view.services.values(),
            *view.disruption_budgets.values(),
            *view.autoscalers.values(),
        ]
    elif isinstance(view, DatasetView | DriftMonitorView) and view.cron_job is not None:
        found.append(view.cron_job)
    return {(_key(each), each["metadata"].get("uid", "")) for each in found}


def shuffled(view: Any) -> Any:
    """Return the view with the objects in another order: memory's order may differ after a restart."""
    mixed: dict[str, Any] = {}
    for name in ("jobs", "pods", "siblings", "versions", "runs", "waiting_runs", "captured_versions"):
        items = getattr(view, name, ())
        if isinstance(items, tuple) and len(items) > 1:
            mixed[name] = tuple(random.Random(len(items)).sample(items, len(items)))
    for name in ("deployments", "services", "disruption_budgets", "autoscalers"):
        if items := getattr(view, name, {}):
            mixed[name] = dict(reversed(items.items()))
    return replace(view, **mixed)


def in_any_order(plan: Plan) -> Plan:
    """Return the plan with its children sorted."""

    def by_key(manifests: Iterable[Manifest]) -> tuple[Manifest, ...]:
        return tuple(sorted(manifests, key=_key))

    return replace(
        plan,
        statuses=dict(sorted(plan.statuses.items())),
        apply=by_key(plan.apply),
        create=by_key(plan.create),
        delete=tuple(sorted(plan.delete)),
    )
