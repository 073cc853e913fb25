"""What of an object is kept in memory: what somebody reads, and each text that many have only once."""

from __future__ import annotations

import json
import sys
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from mlops.api import labels
from mlops.engine.links import OWNERS
from mlops.engine.routes import JOB_NAME
from mlops.planning.plan import Manifest

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_METADATA = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "labels",
    "annotations",
    "ownerReferences",
)
_CONDITION = ("type", "status", "reason", "lastTransitionTime")
_POD_LABELS = (JOB_NAME, labels.MANAGED_BY, labels.MODEL_VERSION, *OWNERS)
_SERVER_LABELS = (*_POD_LABELS, labels.STAGE, labels.DIGEST, labels.CANARY)
_END = ("exitCode", "reason", "message", "finishedAt")
# Longer texts are hardly ever twice the same.
_LONGEST_SHARED = 128
# Parts of specs that are kept once, however many objects have them.
_MOST_PARTS = 2_048


class Keeper:
    """Makes of a manifest the one that is kept. It is shared with others of its content and never changed in place."""

    def __init__(self) -> None:
        # By their JSON, the parts that were seen last.
        self._parts: OrderedDict[str, Any] = OrderedDict()

    def kept(self, manifest: Manifest) -> Manifest:
        """Return an object without what nobody reads: thousands of runs with their Jobs and pods have to fit."""
        match manifest["kind"]:
            case "Pod":
                kept = _pod(manifest)
            case "Job":
                kept = _job(manifest)
            case _:
                kept = {**manifest, "metadata": _metadata(manifest["metadata"])}
        spec = kept.get("spec")
        if isinstance(spec, dict):
            kept["spec"] = {_shared(name): self._part(value) for name, value in spec.items()}
        return {name: value if name == "spec" else _shared(value) for name, value in kept.items()}

    def _part(self, value: Any) -> Any:
        """Return the value, or the equal one that is there already."""
        text = json.dumps(value)
        found = self._parts.pop(text, None)
        if found is None:
            found = _shared(value)
            if len(self._parts) >= _MOST_PARTS:
                self._parts.popitem(last=False)
        self._parts[text] = found
        return found


def _metadata(metadata: Manifest) -> Manifest:
    kept = {name: value for name, value in metadata.items() if name != "managedFields"}
    annotations = kept.get("annotations") or {}
    if _LAST_APPLIED in annotations:
        kept["annotations"] = {name: value for name, value in annotations.items() if name != _LAST_APPLIED}
    return kept


def _child_metadata(metadata: Manifest) -> Manifest:
    """Return what is read of a child that is never applied again."""
    kept = _some(metadata, _METADATA)
    if owners := kept.get("ownerReferences"):
        kept["ownerReferences"] = [_some(owner, ("kind", "name", "uid")) for owner in owners]
    return kept


def _job(job: Manifest) -> Manifest:
    spec, status = job.get("spec") or {}, job.get("status") or {}
    pod = spec.get("template", {}).get("spec", {})
    containers = [_some(container, ("name", "image", "resources")) for container in pod.get("containers", ())]
    return {
        "apiVersion": job["apiVersion"],
        "kind": "Job",
        "metadata": _child_metadata(job["metadata"]),
        "spec": {
            **_some(spec, ("activeDeadlineSeconds", "suspend")),
            "template": {"spec": {"containers": containers}},
        },
        "status": {
            **_some(status, ("completionTime",)),
            "conditions": [_some(each, _CONDITION) for each in status.get("conditions") or ()],
        },
    }


def _pod(pod: Manifest) -> Manifest:
    metadata, status = _child_metadata(pod["metadata"]), pod.get("status") or {}
    own = metadata.get("labels") or {}
    if labels.STAGE in own:
        return _server(pod, metadata, status)
    metadata["labels"] = _some(own, _POD_LABELS)
    metadata.pop("annotations", None)
    kept = _some(status, ("phase",))
    if kept.get("phase") not in ("Succeeded", "Failed"):
        scheduled = (each for each in status.get("conditions") or () if each["type"] == "PodScheduled")
        kept["conditions"] = [_some(each, ("type", "status", "reason", "message")) for each in scheduled]
    for field in ("initContainerStatuses", "containerStatuses"):
        if containers := status.get(field):
            kept[field] = [_container(each) for each in containers]
    return {"apiVersion": pod["apiVersion"], "kind": "Pod", "metadata": metadata, "spec": {}, "status": kept}


def _server(pod: Manifest, metadata: Manifest, status: Manifest) -> Manifest:
    """Return what is read of a pod that serves: whether it answers and, if not, why. There are few of these."""
    metadata["labels"] = _some(metadata["labels"], _SERVER_LABELS)
    metadata.pop("annotations", None)
    told = (each for each in status.get("conditions") or () if each["type"] in ("PodScheduled", "Ready"))
    kept = {
        **_some(status, ("phase",)),
        "conditions": [_some(each, ("type", "status", "reason", "message")) for each in told],
        "containerStatuses": [_server_container(each) for each in status.get("containerStatuses") or ()],
    }
    return {"apiVersion": pod["apiVersion"], "kind": "Pod", "metadata": metadata, "spec": {}, "status": kept}


def _server_container(status: Manifest) -> Manifest:
    state, last = status.get("state") or {}, (status.get("lastState") or {}).get("terminated")
    kept: Manifest = {}
    for name, fields in (("waiting", ("reason", "message")), ("running", ("startedAt",))):
        if name in state:
            kept[name] = _some(state[name], fields)
    if "terminated" in state:
        kept["terminated"] = _some(state["terminated"], (*_END, "startedAt"))
    return {
        **_some(status, ("name", "image", "started", "restartCount")),
        "state": kept,
        **({"lastState": {"terminated": _some(last, (*_END, "startedAt"))}} if last else {}),
    }


def _container(status: Manifest) -> Manifest:
    state = status.get("state") or {}
    kept: Manifest = {}
    if "terminated" in state:
        kept["terminated"] = _some(state["terminated"], _END)
    if "waiting" in state:
        kept["waiting"] = _some(state["waiting"], ("reason", "message"))
        return {**_some(status, ("image",)), "state": kept}
    return {"state": kept}


def _some(mapping: Manifest, names: Iterable[str]) -> Manifest:
    return {name: mapping[name] for name in names if name in mapping}


def _shared(value: Any) -> Any:
    """Return an equal value whose keys and short texts are those that every other object has."""
    if isinstance(value, dict):
        return {_shared(name): _shared(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_shared(each) for each in value]
    # Texts of a class of their own cannot be interned.
    return sys.intern(value) if type(value) is str and len(value) <= _LONGEST_SHARED else value
