"""A runtime without planners, and the manifests that its node runs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlops.local.clock import RealClock
from mlops.local.runtime import LocalRuntime
from mlops.planning.plan import Key, Manifest, Settings

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def a_runtime(state: Path, **changes: Any) -> LocalRuntime:
    """Return a runtime that only runs what it is given."""
    return LocalRuntime(state, **{"planners": {}, "settings": Settings(), "clock": RealClock(), **changes})


def a_container(script: str, **changes: Any) -> Manifest:
    """Return a container that runs a shell script; as in Kubernetes, $$ stands for one dollar sign."""
    return {"name": "main", "image": "image", "command": ["sh", "-c", script], **changes}


def a_pod_spec(script: str = "true", **changes: Any) -> Manifest:
    """Return a pod's spec."""
    container = a_container(script, **changes.pop("container", {}))
    return {"restartPolicy": "Never", "containers": [container], **changes}


def a_job(name: str = "job", script: str = "true", *, pod: Manifest | None = None, **spec: Any) -> Manifest:
    """Return a Job."""
    template = {"metadata": {"labels": {"own": "label"}}, "spec": pod or a_pod_spec(script)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"backoffLimit": 0, **spec, "template": template},
    }


def a_deployment(
    name: str = "server", script: str = "sleep 300", *, container: Manifest | None = None, **spec: Any
) -> Manifest:
    """Return a Deployment whose pods are labelled app=<name>."""
    selector = {"app": name}
    pod = a_pod_spec(script, restartPolicy="Always", container=container or {})
    template = {"metadata": {"labels": selector}, "spec": pod}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": 1, "selector": {"matchLabels": selector}, **spec, "template": template},
    }


FAIL_ON_BAD_INPUT = {"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [2]}}]}


def make(runtime: LocalRuntime, manifest: Manifest) -> Manifest:
    """Create an object as a planner's child would be."""
    return runtime.cluster.create_as("test", manifest)


def now(runtime: LocalRuntime, kind: str, name: str) -> Manifest:
    """Return an object that must be there."""
    found = runtime.get(Key(kind, "default", name))
    assert found is not None
    return found


def end_of(job: Manifest) -> tuple[str, str | None]:
    """Return (type, reason) of a Job's final condition."""
    (condition,) = job["status"]["conditions"]
    return condition["type"], condition.get("reason")


def terminated(pod: Manifest, field: str = "containerStatuses") -> Manifest:
    """Return the terminated state of a pod's first container."""
    state: Manifest = pod["status"][field][0]["state"]["terminated"]
    return state


async def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait until `condition` holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


def is_alive(pid: int) -> bool:
    """Return whether a process runs (a zombie does not)."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def group_members(group: int) -> list[int]:
    """Return the processes of a process group."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if os.getpgid(int(entry)) == group and is_alive(int(entry)):
                    found.append(int(entry))
            except ProcessLookupError:
                continue
    return found
