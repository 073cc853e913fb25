"""kubectl, as a user types it, against the cluster of this test run."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hack import tools

Object = dict[str, Any]
T = TypeVar("T")
OUR_KINDS = "datasets.mlops.dev,trainingruns.mlops.dev,modelversions.mlops.dev,driftmonitors.mlops.dev"


@dataclass(frozen=True)
class Kubectl:
    """Runs kubectl with one kubeconfig; a command that fails is an AssertionError with what it said."""

    kubeconfig: Path

    def __call__(self, *arguments: str, given: str | None = None, timeout: float = 120) -> str:
        """Return what the command prints; `given` is its standard input."""
        done = self.run(*arguments, given=given, timeout=timeout)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr or done.stdout}"
        return done.stdout

    def run(self, *arguments: str, given: str | None = None, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run the command, whatever its outcome."""
        program = tools.find("kubectl")
        assert program is not None, "python hack/tools.py build kubectl"
        command = [str(program), "--kubeconfig", str(self.kubeconfig), *arguments]
        return subprocess.run(command, input=given, capture_output=True, text=True, timeout=timeout)

    def get(self, kind: str, name: str, namespace: str) -> Object:
        """Return one object."""
        found: Object = json.loads(self("get", kind, name, "-n", namespace, "-o", "json"))
        return found

    def list(self, kind: str, namespace: str | None = None, selector: str | None = None) -> list[Object]:
        """Return the objects of one kind or of several (`a,b`)."""
        where = ["-n", namespace] if namespace else ["-A"]
        chosen = ["-l", selector] if selector else []
        found: list[Object] = json.loads(self("get", kind, *where, *chosen, "-o", "json"))["items"]
        return found


def eventually(
    what: str, look: Callable[[], T | None], within: float, *, every: float = 1.0, told: Callable[[], str] | None = None
) -> T:
    """Return the first truthy thing that `look` returns; fails with what `told` says after `within` seconds."""
    end = time.monotonic() + within
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {within:.0f} s\n{told() if told else ''}")
        time.sleep(every)


def condition(manifest: Object, type_: str) -> Object:
    """Return the condition of a type; an empty one if there is none."""
    found = manifest.get("status", {}).get("conditions", ())
    return next((each for each in found if each["type"] == type_), {})


def is_ready(manifest: Object) -> bool:
    """Whether the object is ready at its present generation."""
    ready = condition(manifest, "Ready")
    return ready.get("status") == "True" and ready.get("observedGeneration") == manifest["metadata"]["generation"]


def told(manifests: Sequence[Object]) -> str:
    """One line an object: what its Ready condition says."""
    lines = []
    for manifest in manifests:
        ready = condition(manifest, "Ready")
        where = f"{manifest['metadata']['namespace']}/{manifest['metadata']['name']}"
        told = f"{ready.get('status', '-')} {ready.get('reason', '')}: {ready.get('message', '')}"
        lines.append(f"{manifest['kind']} {where}: Ready={told}")
    return "\n".join(lines)
