"""Any object of the four kinds that an API server lets in: any spec, any status, and some that no longer parse."""

from __future__ import annotations

import json

from mlops.api import dataset, labels
from mlops.api.reasons import of_kind
from mlops.planning.dataset.manifests import content_digest, sync_digest
from tests.planning.anything import MODELS, NAMES, TIMESTAMPS, Draw, Object, part, value

NAMESPACE = "team"
KIND_NAMES = ("Dataset", "TrainingRun", "ModelVersion", "DriftMonitor")
REASONS = {kind: tuple(each.reason for each in of_kind(kind)) for kind in KIND_NAMES}
CONDITIONS = {
    "Dataset": ("Ready", "Reconciling", "Stalled", "Versioned", "Validated", "Foreign"),
    "TrainingRun": (
        "Ready", "Reconciling", "Stalled", "DatasetReady", "Succeeded", "GatesPassed", "Reproducible", "Foreign",
    ),
    "ModelVersion": (
        "Ready", "Reconciling", "Stalled", "ArtifactVerified", "GatesPassed", "CanaryHealthy", "Available",
        "Superseded",
    ),
    "DriftMonitor": (
        "Ready", "Reconciling", "Stalled", "Checked", "LabelsAvailable", "DataDriftDetected", "ConceptDriftDetected",
        "RetrainingTriggered",
    ),
}  # fmt: skip


def an_object(draw: Draw, kind: str, uid: str) -> Object:
    """Return an object of the kind with a uid of its own."""
    name = draw.one(NAMES)
    metadata: Object = {
        "name": name,
        "namespace": NAMESPACE,
        "uid": uid,
        "generation": draw.one((1, 2, 2**31)),
        "resourceVersion": "1",
        "creationTimestamp": draw.one(("2026-01-10T11:00:00Z", "2026-01-10T11:59:59Z", "2026-01-01T00:00:00Z")),
    }
    if draw.chance(0.3):
        metadata["labels"] = _labels(draw)
    if draw.chance(0.2):
        metadata["annotations"] = {labels.REQUESTED_AT: draw.one((*TIMESTAMPS, "soon", "", "2026-01-10"))}
    if draw.chance(0.2):
        asked = {labels.RETRY: draw.one(("now", "", "again", "r" * 300, "日本語"))}
        metadata["annotations"] = {**metadata.get("annotations", {}), **asked}
    if draw.chance(0.03):
        metadata["deletionTimestamp"] = "2026-01-10T12:00:00Z"
    made: Object = {
        "apiVersion": "mlops.dev/v1alpha1",
        "kind": kind,
        "metadata": metadata,
        "spec": a_spec(draw, kind),
    }
    if draw.chance(0.7) and not draw.fresh:
        made["status"] = a_status(draw, made)
    elif draw.chance(0.5):
        made["status"] = {"observedGeneration": -1}
    if draw.chance(0.04) and not draw.fresh:
        _spoil(draw, made)
    return made


def _labels(draw: Draw) -> dict[str, str]:
    found = {"team": "ops", labels.TEMPLATE: draw.one(NAMES), labels.MONITOR: draw.one(NAMES)}
    return {name: found[name] for name in draw.some(tuple(found))}


def a_spec(draw: Draw, kind: str) -> Object:
    """Return any spec of the kind."""
    spec = value(part(kind, "spec"), draw)
    if kind == "ModelVersion" and draw.chance(0.8):
        spec["version"] = draw.one((1, 2, 3, 999_999))
    return spec


def a_status(draw: Draw, manifest: Object) -> Object:
    """Return any status of the kind; about half of them are of the present spec."""
    kind, metadata = manifest["kind"], manifest["metadata"]
    status = value(part(kind, "status"), draw)
    if draw.chance(0.6):
        status["observedGeneration"] = metadata["generation"]
    if draw.chance(0.8):
        status["conditions"] = some_conditions(draw, kind)
    if kind == "Dataset" and draw.chance(0.5):
        parsed = dataset.Dataset.model_validate({**manifest, "status": {}})
        status |= {"specDigest": sync_digest(parsed), "contentDigest": content_digest(parsed)}
    if kind == "ModelVersion" and draw.chance(0.6):
        # Of the stages that it has, as an operator would have written it.
        stages = [stage["name"] for stage in manifest["spec"].get("promotion", {}).get("stages", [])] or ["production"]
        status |= {name: draw.some(stages) for name in ("stages", "passedStages", "failedStages")}
        if "canary" in status:
            status["canary"] |= {"stage": draw.one(stages), "step": draw.one((0, 1, 2, 99))}
    if kind == "TrainingRun" and draw.chance(0.5):
        status["modelVersionRef"] = f"{draw.one(MODELS)}-v{draw.one((1, 2, 3, 999_999))}"
    return status


def some_conditions(draw: Draw, kind: str) -> list[Object]:
    """Return conditions of the kind in any combination, at most one of each type."""
    return [
        {
            "type": type_,
            "status": draw.one(("True", "False", "Unknown")),
            "reason": str(draw.one(REASONS[kind])) if draw.chance(0.9) else "InAnotherRelease",
            "message": draw.one(("", "why", "m" * 2048, "日本語")),
            "lastTransitionTime": draw.one(("2026-01-10T11:00:00Z", "2025-01-01T00:00:00Z")),
            "observedGeneration": draw.one((0, 1, 2)),
        }
        for type_ in draw.some(CONDITIONS[kind])
    ]


def _spoil(draw: Draw, made: Object) -> None:
    """Make an object that an earlier or later schema would have let in."""
    match draw.random.randrange(4):
        case 0:
            made["spec"]["fromAnotherRelease"] = {"a": 1}
        case 1:
            made["spec"].pop(draw.one(tuple(made["spec"])))
        case 2:
            made["status"] = {**made.get("status", {}), "observedGeneration": "first"}
        case _:
            made["status"] = {"conditions": [{"type": "Ready", "status": "Perhaps", "reason": "Other"}]}


def shown(manifest: Object) -> str:
    """Return a manifest as one line, for messages and comparisons."""
    return json.dumps(manifest, sort_keys=True, ensure_ascii=False)
