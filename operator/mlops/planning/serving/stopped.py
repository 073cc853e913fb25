"""What a status is worth when nobody plans and no pod runs, as after `mlops run` on one machine."""

from __future__ import annotations

from mlops.api.reasons import Reason
from mlops.planning.plan import Manifest

_CLAIMS = ("Ready", "Available")


def stopped(manifest: Manifest) -> Manifest:
    """Return the object as it is while no process works on it: a version that was live serves nobody.

    Where it is to serve (`stage`, `stages`) stays: that is what the next run goes on with.
    """
    status = manifest.get("status") or {}
    if manifest["kind"] != "ModelVersion" or not status.get("stages"):
        return manifest
    message = f"no process serves it: it was live in {', '.join(status['stages'])} when the last run ended"
    conditions = [
        {**each, "status": "False", "reason": str(Reason.NOT_RUNNING), "message": message}
        if each["type"] in _CLAIMS and each["status"] != "False"
        else each
        for each in status.get("conditions") or ()
    ]
    kept = {name: value for name, value in status.items() if name != "url"}
    return {**manifest, "status": {**kept, "readyReplicas": 0, "conditions": conditions}}
