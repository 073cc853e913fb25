"""Pods that say what they do: the same manifests run in a real cluster and in the simulated one."""

from __future__ import annotations

import json
from typing import Any

from mlops.planning.plan import Manifest
from tests.simulation.controllers.work import KILLED, Course, Fate

# Any image with Python. It is not in the golden files: another one gives the same sequences.
IMAGE = "docker.io/library/mlops-workloads:0.1.0"
NAMESPACE = "fidelity"
SCENARIO = "scenario"

_PROGRAM = """
import json, socket, sys, time
deed = json.loads(sys.argv[1])
if "ready" in deed:
    time.sleep(deed["ready"])
    listens = socket.create_server(("", 8080))
held = [bytearray(1 << 20) for _ in range(deed.get("megabytes", 0))]
time.sleep(deed.get("seconds", 1000))
open("/dev/termination-log", "w").write(deed.get("message", ""))
sys.exit(deed.get("code", 0))
"""


def a_container(name: str = "main", *, image: str = IMAGE, memory: str = "100Mi", **deed: Any) -> Manifest:
    """Return a container that does a deed: `ready` after so many seconds, `seconds` until it ends (by default it does
    not), `message`, exit `code`, `megabytes` to fill."""
    probe = {"tcpSocket": {"port": 8080}, "periodSeconds": 1, "timeoutSeconds": 30, "failureThreshold": 30}
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", _PROGRAM],
        "args": [json.dumps(deed)],
        "resources": {"requests": {"cpu": "10m", "memory": memory}, "limits": {"memory": memory}},
        **({"readinessProbe": probe} if "ready" in deed else {}),
    }


def a_pod(container: Manifest, *, restart: str = "Never", init: Manifest | None = None) -> Manifest:
    """Return a pod's template, without the scenario's label. Pods here have five seconds to end."""
    return {
        "metadata": {"labels": {}},
        "spec": {
            "restartPolicy": restart,
            "terminationGracePeriodSeconds": 5,
            "enableServiceLinks": False,
            "automountServiceAccountToken": False,
            **({"initContainers": [init]} if init else {}),
            "containers": [container],
        },
    }


class Deeds:
    """The behaviour of simulated pods: what their containers' arguments say."""

    def fate(self, pod: Manifest) -> Fate:
        """Return what the manifest brings about: an image that is nowhere, more memory than any node has."""
        container = pod["spec"]["containers"][0]
        return Fate(
            unpullable=float("inf") if container["image"] != IMAGE else 0.0,
            unschedulable=float("inf") if container["resources"]["requests"]["memory"].endswith("Ti") else 0.0,
        )

    def course(self, pod: Manifest, container: Manifest, fate: Fate, restarts: int) -> Course:
        """Return the deed."""
        deed = json.loads(container["args"][0])
        if "megabytes" in deed:
            return Course(0.5, KILLED, reason="OOMKilled")
        ready = deed.get("ready")
        seconds = deed.get("seconds", 1000) + (ready or 0)
        return Course(seconds, deed.get("code", 0), deed.get("message", ""), ready_after=ready)
