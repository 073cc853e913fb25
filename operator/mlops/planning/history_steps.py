"""What is to be recorded of a version: each step of its way, with who or what caused it."""

from __future__ import annotations

from mlops.api import labels
from mlops.api.conditions import ConditionType, find
from mlops.api.model_version import ModelVersion, ModelVersionStatus, Transition
from mlops.planning.approving import is_approved
from mlops.planning.history_entries import (
    APPROVED,
    CANARY_STARTED,
    FAILED,
    LEFT,
    LIVE,
    REGISTERED,
    REVOKED,
    ROLLED_BACK,
    SUPERSEDED,
    WITHDRAWN,
    Entry,
)

_NO_STAGES = (SUPERSEDED, WITHDRAWN, ROLLED_BACK, FAILED, LEFT, APPROVED, REVOKED, CANARY_STARTED)


def steps_of(version: ModelVersion, status: ModelVersionStatus) -> list[Entry]:
    """Return the entries of a version with this status, the oldest first."""
    named: Entry = {
        "version": version.metadata.name,
        "number": version.spec.version,
        "uid": version.metadata.uid,
        "artifact": status.artifact,
    }
    made_of = (status.lineage or version.spec.lineage).dump()
    made = {"time": version.metadata.creation_timestamp, "event": REGISTERED, "cause": _who_made(version)}
    found = [{**made, **named, **made_of}]
    for step in reversed(status.transitions):
        what = {"event": step.to} if step.to in _NO_STAGES else {"event": LIVE, "stage": step.to}
        if step.stage is not None:
            what["stage"] = step.stage
        if step.user is not None:
            what["user"] = step.user
        found.append(
            {"time": step.time, **what, **named, "reason": step.reason, "cause": _cause(version, status, step)}
        )
    return found


def _who_made(version: ModelVersion) -> str:
    """Return the run that a version is of, if the operator made it; else somebody applied it."""
    run = version.metadata.labels.get(labels.RUN)
    ours = version.metadata.labels.get(labels.MANAGED_BY) == labels.MANAGER
    return f"TrainingRun/{run}" if run and ours else "user"


def _cause(version: ModelVersion, status: ModelVersionStatus, step: Transition) -> str:
    """Return who or what caused a step, as far as the version itself tells: a field of its spec, a monitor, its pods,
    a gate, or the rollout of a version."""
    match step.to:
        case "Withdrawn":
            return "spec.withdrawn"
        case "Failed":
            found = status.canary.analysis if status.canary and status.canary.stage == step.stage else None
            return "canary" if found is not None and found.outcome == "Failed" else "pods"
        case "Approved" | "Revoked":
            return "spec.approvals"
        case "RolledBack":
            monitors = (each.monitor for each in status.rolled_back if each.stage == step.stage)
            return f"DriftMonitor/{next(monitors, '')}".removesuffix("/")
        case "Left":
            if step.stage not in {stage.name for stage in version.spec.promotion.stages}:
                return "spec.promotion"
            if not is_approved(version, step.stage or ""):
                return "spec.approvals"
            gates = find(status.conditions, ConditionType.GATES_PASSED)
            return "gates" if gates is not None and gates.status == "False" else "operator"
    return "rollout"
