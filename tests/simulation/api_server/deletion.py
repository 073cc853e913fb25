"""Deleting: preconditions, finalizers, and pods that get time to end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.simulation.api_server import errors
from tests.simulation.api_server.errors import ApiError
from tests.simulation.api_server.resources import Resource, with_metadata

Manifest = dict[str, Any]

_FOREGROUND, _ORPHAN = "foregroundDeletion", "orphan"
_POLICIES = ("Background", "Foreground", "Orphan")


@dataclass(frozen=True)
class Options:
    """How to delete."""

    uid: str | None = None
    version: str | None = None
    policy: str | None = None
    grace: int | None = None


def options_of(query: Mapping[str, str], body: Any) -> Options:
    """Read DeleteOptions: the body's, or the query's if there is no body. Raises ApiError (400, 422)."""
    given: Mapping[str, Any] = body or query
    preconditions = given.get("preconditions") or {}
    grace = given.get("gracePeriodSeconds")
    policy = given.get("propagationPolicy")
    if policy is not None and policy not in _POLICIES:
        cause = errors.Cause(
            "propagationPolicy",
            f'Unsupported value: "{policy}": supported values: "Foreground", "Background", "Orphan", "nil"',
            errors.UNSUPPORTED,
        )
        raise errors.invalid("meta.k8s.io", "DeleteOptions", "", [cause])
    return Options(
        preconditions.get("uid"), preconditions.get("resourceVersion"), policy, None if grace is None else int(grace)
    )


def check(options: Options, present: Manifest, resource: Resource) -> None:
    """Raise ApiError (409) if the object is not the one that was meant."""
    metadata = present["metadata"]
    for name, wanted, found in (
        ("UID", options.uid, metadata["uid"]),
        ("ResourceVersion", options.version, metadata["resourceVersion"]),
    ):
        if wanted is not None and wanted != found:
            why = f"Precondition failed: {name} in precondition: {wanted}, {name} in object meta: {found}"
            raise errors.conflict(resource.group, resource.plural, metadata["name"], why)


def deleted(options: Options, present: Manifest, resource: Resource, now: datetime) -> Manifest | None:
    """The object with the marks of its deletion, itself if they are there already; None if it is gone at once."""
    metadata = present["metadata"]
    finalizers = _finalizers(options, metadata.get("finalizers") or [], resource)
    grace = _grace(options, present) if resource.kind == "Pod" else 0
    marked = metadata.get("deletionTimestamp") is not None
    if marked:
        left = metadata.get("deletionGracePeriodSeconds") or 0
        if finalizers or left > grace or (resource.kind == "Pod" and options.grace is None and left > 0):
            return _remarked(present, finalizers, min(grace, left) if options.grace is not None else left)
        return None if not finalizers else present
    if not finalizers and grace == 0:
        return None
    generation = metadata.get("generation")
    return with_metadata(
        present,
        deletionTimestamp=(now.astimezone(UTC) + timedelta(seconds=grace)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        deletionGracePeriodSeconds=grace,
        finalizers=finalizers or None,
        generation=None if generation is None else generation + 1,
    )


def _remarked(present: Manifest, finalizers: list[str], grace: int) -> Manifest | None:
    metadata = present["metadata"]
    if not finalizers and grace == 0:
        return None
    if finalizers == (metadata.get("finalizers") or []) and grace == metadata.get("deletionGracePeriodSeconds"):
        return present
    before = datetime.fromisoformat(metadata["deletionTimestamp"])
    sooner = before - timedelta(seconds=(metadata.get("deletionGracePeriodSeconds") or 0) - grace)
    return with_metadata(
        present,
        deletionTimestamp=sooner.strftime("%Y-%m-%dT%H:%M:%SZ"),
        deletionGracePeriodSeconds=grace,
        finalizers=finalizers or None,
    )


def _finalizers(options: Options, present: list[str], resource: Resource) -> list[str]:
    """The policy is written down as a finalizer, for the garbage collector to see."""
    others = [name for name in present if name not in (_FOREGROUND, _ORPHAN)]
    if options.policy == "Foreground":
        return [*others, _FOREGROUND]
    if options.policy == "Orphan":
        return [*others, _ORPHAN]
    if options.policy == "Background":
        return others
    if _ORPHAN in present or _FOREGROUND in present:
        return present
    return [*others, _ORPHAN] if resource.orphans else others


def _grace(options: Options, pod: Manifest) -> int:
    if options.grace is not None:
        grace = options.grace
    else:
        grace = pod["spec"].get("terminationGracePeriodSeconds", 30)
    # One that was never on a node, or has ended, is gone at once.
    if not pod["spec"].get("nodeName") or (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded"):
        return 0
    return int(max(grace, 0))


def finished(manifest: Manifest) -> bool:
    """Whether an update has taken away the last thing that kept a deleted object."""
    metadata = manifest["metadata"]
    return bool(
        metadata.get("deletionTimestamp")
        and not metadata.get("finalizers")
        and not metadata.get("deletionGracePeriodSeconds")
    )


def done(manifest: Manifest, resource: Resource) -> Manifest:
    """The answer to a deletion that is through."""
    metadata = manifest["metadata"]
    details = {"name": metadata["name"], "group": resource.group, "kind": resource.plural, "uid": metadata["uid"]}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {name: value for name, value in details.items() if value},
    }


__all__ = ["ApiError", "Options", "check", "deleted", "done", "finished", "options_of"]
