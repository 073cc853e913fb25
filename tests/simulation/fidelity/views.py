"""What of an object the planners and the engine can see, as one line; times, names and numbers of a run left out."""

from __future__ import annotations

import re

from mlops.engine.cluster import owners_of
from mlops.planning.not_started import WAITING
from mlops.planning.plan import Manifest

GONE = "gone"


def view(manifest: Manifest) -> str:
    """Return what is to be seen of the object."""
    metadata = manifest["metadata"]
    # What a Deployment on its way out says of itself depends on which of its parts go first.
    silent = manifest["kind"] == "Deployment" and metadata.get("deletionTimestamp")
    show = None if silent else _VIEWS.get(manifest["kind"])
    parts = show(manifest) if show else []
    owners = sorted(f"{each['kind']}/{plain(each['name'])}" for each in owners_of(manifest))
    shown = [" ".join(parts) or "there"]
    if owners and not owners[0].startswith(("ReplicaSet/", "Deployment/")):
        shown.append(f"of {', '.join(owners)}")
    if metadata.get("deletionTimestamp"):
        shown.append("going")
    return "; ".join(shown)


def plain(name: str) -> str:
    """Return a name without what differs from run to run: the minutes in the name of a CronJob's Job."""
    return re.sub(r"-\d{8}$", "-<minutes>", name)


def _conditions(manifest: Manifest) -> list[Manifest]:
    found: list[Manifest] = (manifest.get("status") or {}).get("conditions") or []
    return found


def _job(job: Manifest) -> list[str]:
    status = job.get("status") or {}
    ends = _conditions(job)
    shown = [f"{each['type']}={each['status']}:{each.get('reason', '')}" for each in ends]
    if any(each["type"] in ("Complete", "Failed") for each in ends):
        shown += [f"{name}={status[name]}" for name in ("succeeded", "failed") if status.get(name)]
        shown += ["completionTime"] if status.get("completionTime") else []
    return shown


def _deployment(deployment: Manifest) -> list[str]:
    status, wanted = deployment.get("status") or {}, deployment["spec"].get("replicas", 1)
    current = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    updated = status.get("updatedReplicas", 0)
    # As planning.serving reads it.
    available = (
        current
        and updated == wanted
        and status.get("replicas", updated) == updated
        and status.get("readyReplicas", 0) >= wanted
    )
    progressing = [each for each in _conditions(deployment) if each["type"] == "Progressing"]
    gave_up = current and any(each["status"] == "False" for each in progressing)
    return [f"wants {wanted}:", "available" if available else "gave up" if gave_up else "progressing"]


def _pod(pod: Manifest) -> list[str]:
    """Return what is to be seen of a pod. Whether a container of a Job's pod runs already, or has ended while the pod
    has not, nobody reads, and a busy kubelet tells it late or not at all."""
    status = pod.get("status") or {}
    ended = status.get("phase") in ("Succeeded", "Failed")
    shown = [status["phase"] if ended else "works"]
    serves = pod["spec"].get("restartPolicy", "Always") == "Always"
    for each in _conditions(pod):
        if (each["type"], each["status"]) == ("PodScheduled", "False") and not ended:
            shown.append(each.get("reason", ""))
        if (each["type"], each["status"]) == ("DisruptionTarget", "True"):
            shown.append(each["type"])
        if (each["type"], each["status"]) == ("Ready", "True") and serves:
            shown.append("ready")
    for field in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(field) or ():
            state = container.get("state", {})
            waits = (state.get("waiting") or {}).get("reason", "")
            if waits in WAITING and not ended and not pod["metadata"].get("deletionTimestamp"):
                shown.append(WAITING[waits])
            if ended and (end := state.get("terminated")):
                message = f":{end['message']!r}" if end.get("message") else ""
                shown.append(f"{container['name']}={end['exitCode']}:{end.get('reason', '')}{message}")
    return shown


def is_running(pod: Manifest) -> bool:
    """Return whether it runs and, if it says when, is ready."""
    ready = any((each["type"], each["status"]) == ("Ready", "True") for each in _conditions(pod))
    return ready and not pod["metadata"].get("deletionTimestamp")


_VIEWS = {"Job": _job, "Deployment": _deployment, "Pod": _pod}
