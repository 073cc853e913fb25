"""Pods: how controllers make them, and what they read of them."""

from __future__ import annotations

from random import Random

from mlops.planning.plan import Manifest
from tests.simulation.controllers.conditions import find, is_true

# The characters of Kubernetes' random names: no vowels, no words.
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def made(
    template: Manifest,
    owner: Manifest,
    prefix: str,
    random: Random,
    *,
    labels: Manifest | None = None,
    finalizers: tuple[str, ...] = (),
) -> Manifest:
    """Return a pod of the template that `owner` controls; `prefix` is what its name begins with."""
    given, metadata = template.get("metadata") or {}, owner["metadata"]
    name = prefix[:58] + "".join(random.choice(_LETTERS) for _ in range(5))
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "generateName": prefix,
            "namespace": metadata["namespace"],
            "labels": {**(given.get("labels") or {}), **(labels or {})},
            **({"annotations": given["annotations"]} if given.get("annotations") else {}),
            **({"finalizers": list(finalizers)} if finalizers else {}),
            "ownerReferences": [
                {
                    "apiVersion": owner["apiVersion"],
                    "kind": owner["kind"],
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": template["spec"],
    }


def phase(pod: Manifest) -> str:
    """Return the pod's phase."""
    return str((pod.get("status") or {}).get("phase", "Pending"))


def has_ended(pod: Manifest) -> bool:
    """Return whether it succeeded or failed."""
    return phase(pod) in ("Succeeded", "Failed")


def is_going(pod: Manifest) -> bool:
    """Return whether it is being deleted."""
    return bool(pod["metadata"].get("deletionTimestamp"))


def is_active(pod: Manifest) -> bool:
    """Return whether it counts as one that works or will."""
    return not has_ended(pod) and not is_going(pod)


def is_ready(pod: Manifest) -> bool:
    """Return whether it answers."""
    return is_true((pod.get("status") or {}).get("conditions") or (), "Ready")


def is_controlled_by(pod: Manifest, uid: str) -> bool:
    """Return whether the owner with that uid controls it."""
    references = pod["metadata"].get("ownerReferences") or ()
    return any(each["uid"] == uid and each.get("controller") for each in references)


def finished_at(pod: Manifest) -> str:
    """Return when its last container ended, else since when it is not ready, else when it was made."""
    status = pod.get("status") or {}
    ends = [
        (each.get("state", {}).get("terminated") or {}).get("finishedAt")
        for each in status.get("containerStatuses") or ()
    ]
    if ends and all(ends):
        return str(max(ends))
    ready = find(status.get("conditions") or (), "Ready")
    unready = ready["lastTransitionTime"] if ready is not None and ready["status"] == "False" else None
    return str(unready or pod["metadata"]["creationTimestamp"])
