"""Why a pod does not start: an image that cannot be pulled, no node that fits, a Secret that is not there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from mlops.api import labels
from mlops.api.reasons import Reason
from mlops.engine.cluster import Reader, labels_of
from mlops.planning import readiness
from mlops.planning.not_started import UNSCHEDULABLE, WAITING
from mlops.planning.plan import Key, Manifest, Status

# A pod of ours says by this label whose work it does.
_WORKS_FOR = {
    "Dataset": labels.DATASET,
    "TrainingRun": labels.RUN,
    "ModelVersion": labels.MODEL_VERSION,
    "DriftMonitor": labels.MONITOR,
}


@dataclass(frozen=True)
class PodTrouble:
    """Why a pod waits, in words for the object that it works for."""

    reason: Reason
    message: str


def trouble_of(key: Key, reader: Reader) -> PodTrouble | None:
    """Return what keeps a pod of the object from starting, None if nothing does."""
    label = _WORKS_FOR.get(key.kind)
    pods = reader.list("Pod", key.namespace, {label: key.name}) if label else ()
    return next((found for pod in pods if _works_for(pod, key) and (found := _of_pod(pod))), None)


def _works_for(pod: Manifest, key: Key) -> bool:
    """Return whether the pod does the object's own work: the pod of a check carries the version that it checks."""
    return key.kind == "DriftMonitor" or labels.MONITOR not in labels_of(pod)


def with_trouble(status: Status, present: Manifest, trouble: PodTrouble, now: datetime) -> Status:
    """Return a status of work in progress that says what the work waits for: Ready=False with the reason. A status
    that says more than that (done, failed, serving) is returned as it is."""
    planned = readiness.readiness_of(status.conditions)
    if planned is None or planned.ready != "Unknown":
        return status
    waits = replace(planned, ready="False", reason=trouble.reason, message=trouble.message)
    generation = present["metadata"].get("generation", 1)
    old = readiness.on_record(present)
    return status.evolve(conditions=readiness.laid_over(status.conditions, old, waits, now=now, generation=generation))


def _of_pod(pod: Manifest) -> PodTrouble | None:
    name, status = pod["metadata"]["name"], pod.get("status", {})
    if pod["metadata"].get("deletionTimestamp") or status.get("phase") in ("Succeeded", "Failed"):
        return None
    for each in _conditions(pod):
        if each["type"] == "PodScheduled" and each["status"] == "False" and each.get("reason") == UNSCHEDULABLE:
            return PodTrouble(UNSCHEDULABLE, f"pod {name}: {each.get('message') or 'no node fits'}")
    for field in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(field, ()):
            waits = container.get("state", {}).get("waiting") or {}
            if reason := WAITING.get(waits.get("reason", "")):
                image = f" {container.get('image')}" if reason is Reason.IMAGE_PULL else ""
                return PodTrouble(
                    reason, f"pod {name}: {waits['reason']}{image}: {waits.get('message') or 'no details'}"
                )
    return None


def _conditions(manifest: Manifest) -> Iterable[Manifest]:
    found: Iterable[Manifest] = (manifest.get("status") or {}).get("conditions") or ()
    return found
