"""A cluster as `kubectl` reaches it: with the context, and the rights, of who calls it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from typing import Any

from mlops.cli.errors import UserError

SECONDS = 30


def answer(arguments: Sequence[str], *, does: str, instead: str) -> bytes:
    """Return what kubectl prints. Raises UserError with its own words if it fails.

    `does`: what it is called for, as `reads the Secret`; `instead`: what to do where there is no kubectl.
    """
    try:
        # Whatever it reads comes over a pipe: nothing of it stands in a command line, a file or a message.
        ended = subprocess.run(["kubectl", *arguments], capture_output=True, timeout=SECONDS, check=False)
    except FileNotFoundError as error:
        raise UserError(f"kubectl is not on your PATH, and it is what {does}: {instead}") from error
    except subprocess.TimeoutExpired as error:
        asked = " ".join(arguments[:3])
        raise UserError(f"kubectl {asked} had no answer in {SECONDS} s: is the cluster there?") from error
    if ended.returncode:
        said = ended.stderr.decode("utf-8", "replace").strip().splitlines()
        raise UserError(f"kubectl: {said[-1] if said else ended.returncode}")
    return ended.stdout


def objects(resource: str, namespace: str | None, selector: str = "") -> list[dict[str, Any]]:
    """Return the objects of a resource, such as `modelversions.mlops.dev`, in a namespace, or in all of them if it is
    None. Raises UserError."""
    chosen = ["--selector", selector] if selector else []
    where = ["--namespace", namespace] if namespace is not None else ["--all-namespaces"]
    said = answer(
        ["get", resource, *where, *chosen, "--output", "json"],
        does="reads the cluster",
        instead="install it, or leave --cluster away to read the state folder",
    )
    try:
        return list(json.loads(said)["items"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"kubectl get {resource}: its answer is no list of objects") from error
