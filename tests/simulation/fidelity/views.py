"""What of an object the planners and the engine can see, as one line; times, names and numbers of a run left out."""

from __future__ import annotations

import re

from mlops.engine.cluster import owners_of
from mlops.engine.waiting import _REASONS
from mlops.planning.plan import Manifest

GONE = "gone"


def view(manifest: Manifest) -> str:
    """Return what is to be seen of the object."""
    parts = _VIEWS.get(manifest["kind"], lambda manifest: [])(manifest)
    metadata = manifest["metadata"]
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


def _cron_job(cron_job: Manifest) -> list[str]:
    status = cron_job.get("status") or {}
    return [f"active={len(status.get('active', ()))}", *sorted(set(status) - {"active"})]


def _deployment(deployment: Manifest) -> list[str]:
    status, wanted = deployment.get("status") or {}, deployment["spec"].get("replicas", 1)
    current = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    updated = status.get("updatedReplicas", 0)
    # As planning.model_version reads it.
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
    status = pod.get("status") or {}
    shown = [status.get("phase", "Pending")]
    for each in _conditions(pod):
        if (each["type"], each["status"]) == ("PodScheduled", "False"):
            shown.append(each.get("reason", ""))
        if (each["type"], each["status"]) in (("Ready", "True"), ("DisruptionTarget", "True")):
            shown.append(each["type"])
    for field in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(field) or ():
            state = container.get("state", {})
            waits = (state.get("waiting") or {}).get("reason", "")
            if waits in _REASONS:
                shown.append(waits)
            if end := state.get("terminated"):
                message = f":{end['message']!r}" if end.get("message") else ""
                shown.append(f"{container['name']}={end['exitCode']}:{end.get('reason', '')}{message}")
    return shown


_VIEWS = {"Job": _job, "CronJob": _cron_job, "Deployment": _deployment, "Pod": _pod}
