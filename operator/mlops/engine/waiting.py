"""Why a pod does not start: an image that cannot be pulled, no node that fits, a Secret that is not there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from mlops.api import labels
from mlops.api.base import format_time
from mlops.api.conditions import READY, RECONCILING
from mlops.api.reasons import Reason
from mlops.engine.cluster import Reader
from mlops.planning.plan import Key, Manifest
from mlops.planning.server_pods import UNSCHEDULABLE, WAITING

# A pod of ours says by this label whose work it does.
_WORKS_FOR = {
    "Dataset": labels.DATASET,
    "TrainingRun": labels.RUN,
    "ModelVersion": labels.MODEL_VERSION,
    "DriftMonitor": labels.MONITOR,
}


@dataclass(frozen=True)
class Trouble:
    """Why a pod waits, in words for the object that it works for."""

    reason: str
    message: str


def trouble_of(key: Key, reader: Reader) -> Trouble | None:
    """Return what keeps a pod of the object from starting, None if nothing does."""
    label = _WORKS_FOR.get(key.kind)
    pods = reader.list("Pod", key.namespace, {label: key.name}) if label else ()
    return next((found for pod in pods if (found := _of_pod(pod))), None)


def laid_over(status: Manifest, present: Manifest, trouble: Trouble, now: datetime) -> Manifest:
    """Return a status of work in progress that says what the work waits for: Ready=False with the reason. A status
    that says more than that (done, failed, serving) is returned as it is."""
    conditions = status.get("conditions", ())
    ready = next((each for each in conditions if each["type"] == READY), None)
    if ready is None or ready["status"] != "Unknown":
        return status
    before = next((each for each in _conditions(present) if each["type"] == READY), {})
    since = before.get("lastTransitionTime") if before.get("status") == "False" else None
    said = {"reason": str(trouble.reason), "message": trouble.message[:2048]}
    stopped = {**said, "status": "False", "lastTransitionTime": since or format_time(now)}
    changed = {READY: stopped, RECONCILING: said}
    return {**status, "conditions": [{**each, **changed.get(each["type"], {})} for each in conditions]}


def _of_pod(pod: Manifest) -> Trouble | None:
    name, status = pod["metadata"]["name"], pod.get("status", {})
    if pod["metadata"].get("deletionTimestamp") or status.get("phase") in ("Succeeded", "Failed"):
        return None
    for each in _conditions(pod):
        if each["type"] == "PodScheduled" and each["status"] == "False" and each.get("reason") == UNSCHEDULABLE:
            return Trouble(UNSCHEDULABLE, f"pod {name}: {each.get('message') or 'no node fits'}")
    for field in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(field, ()):
            waits = container.get("state", {}).get("waiting") or {}
            if reason := WAITING.get(waits.get("reason", "")):
                image = f" {container.get('image')}" if reason is Reason.IMAGE_PULL else ""
                return Trouble(reason, f"pod {name}: {waits['reason']}{image}: {waits.get('message') or 'no details'}")
    return None


def _conditions(manifest: Manifest) -> Iterable[Manifest]:
    found: Iterable[Manifest] = (manifest.get("status") or {}).get("conditions") or ()
    return found
