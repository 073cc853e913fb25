"""Deleting: preconditions, finalizers, and pods that get time to end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.simulation.api_server import errors
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
    name, uid, version = metadata["name"], metadata["uid"], metadata["resourceVersion"]
    if options.uid is not None and options.uid != uid:
        raise errors.other_object(resource.invalid_group, resource.kind, name, options.uid, uid)
    if options.version is not None and options.version != version:
        raise errors.other_version(resource.invalid_group, resource.kind, name, options.version, version)


@dataclass(frozen=True)
class Deletion:
    """What becomes of an object: first it gets these marks (if it is another one then), then it is gone or not."""

    marked: Manifest
    gone: bool


def deleted(options: Options, present: Manifest, resource: Resource, now: datetime) -> Deletion:
    """Delete an object: mark it, and say whether it is gone at once."""
    marked, grace = _graceful(options, present, now) if resource.kind == "Pod" else (None, 0)
    if marked is present:
        # It is on its way already, and nobody wants it sooner.
        return Deletion(present, gone=False)
    before = present["metadata"].get("finalizers") or []
    after = _finalizers(options, before, resource)
    if set(after) == set(before):
        after = before
    if marked is not None:
        return Deletion(with_metadata(marked, finalizers=after or None), gone=not after and grace == 0)
    if not after:
        if before and options.version is not None:
            # It is written without its finalizers first, and then it is no longer of the version that was meant.
            name, text = present["metadata"]["name"], "Precondition failed: ResourceVersion in precondition: "
            raise errors.conflict(resource.group, resource.plural, name, text)
        return Deletion(present, gone=True)
    return Deletion(with_metadata(_marked(present, now), finalizers=after), gone=False)


def _marked(present: Manifest, now: datetime) -> Manifest:
    metadata = present["metadata"]
    timestamp, generation = metadata.get("deletionTimestamp"), metadata.get("generation")
    if timestamp is None and generation:
        generation += 1
    if timestamp is None or datetime.fromisoformat(timestamp) > now:
        timestamp = _text(now)
    return with_metadata(present, deletionTimestamp=timestamp, deletionGracePeriodSeconds=0, generation=generation)


def _graceful(options: Options, pod: Manifest, now: datetime) -> tuple[Manifest | None, int]:
    """The pod with the time that it gets to end; itself if it has it already; None if its time is over."""
    metadata = pod["metadata"]
    asked = None if options.grace is None else max(options.grace, 0) or (1 if options.grace < 0 else 0)
    if metadata.get("deletionTimestamp") is None:
        grace = _grace(asked, pod)
        generation = metadata.get("generation")
        marks = {"deletionTimestamp": _text(now + timedelta(seconds=grace)), "deletionGracePeriodSeconds": grace}
        return with_metadata(pod, **marks, generation=generation + 1 if generation else None), grace
    left = metadata.get("deletionGracePeriodSeconds") or 0
    if left == 0:
        return None, 0
    if asked is None or asked >= left:
        return pod, left
    timestamp = datetime.fromisoformat(metadata["deletionTimestamp"]) + timedelta(seconds=asked - left)
    period = asked
    if timestamp < now:
        timestamp, period = now, min(asked, 1)
    return with_metadata(pod, deletionTimestamp=_text(timestamp), deletionGracePeriodSeconds=period), asked


def _text(timestamp: datetime) -> str:
    return timestamp.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _finalizers(options: Options, present: list[str], resource: Resource) -> list[str]:
    """The policy is written down as a finalizer, for the garbage collector to see."""
    if not resource.collected:
        return present
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


def _grace(asked: int | None, pod: Manifest) -> int:
    # One that was never on a node, or has ended, is gone at once.
    if not pod["spec"].get("nodeName") or (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded"):
        return 0
    if asked is not None:
        return asked
    grace = int(pod["spec"].get("terminationGracePeriodSeconds", 0))
    return 1 if grace < 0 else grace


def finished(manifest: Manifest, present: Manifest) -> bool:
    """Whether an update takes away the last thing that kept a deleted object."""
    before = present["metadata"]
    return bool(
        before.get("deletionTimestamp")
        and not manifest["metadata"].get("finalizers")
        and not before.get("deletionGracePeriodSeconds")
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
