"""metadata.managedFields: who owns which field, and what server-side apply and every other write make of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from tests.simulation.api_server import fields as sets
from tests.simulation.api_server import typed
from tests.simulation.api_server.errors import ApiError
from tests.simulation.api_server.fields import MEMBER, Fields
from tests.simulation.api_server.shapes import Type

Manifest = dict[str, Any]

# Never owned by anybody.
_STRIPPED: Fields = {
    "f:apiVersion": MEMBER,
    "f:kind": MEMBER,
    "f:metadata": {
        ".": MEMBER,
        **{
            f"f:{name}": MEMBER
            for name in (
                "name",
                "namespace",
                "creationTimestamp",
                "selfLink",
                "uid",
                "clusterName",
                "generation",
                "managedFields",
                "resourceVersion",
            )
        },
    },
}
_MOST_UPDATERS = 10
_OLD_UPDATES = "ancient-changes"
_BEFORE_FIRST_APPLY = "before-first-apply"


@dataclass(frozen=True)
class Owner:
    """One entry: of one manager by one way of writing."""

    manager: str
    operation: str
    api_version: str
    subresource: str
    fields: Fields
    time: str | None

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What makes it the same entry; an applier has one, whichever version it applies."""
        version = "" if self.operation == "Apply" else self.api_version
        return self.manager, self.operation, version, self.subresource

    def dump(self) -> Manifest:
        """As it stands in the object."""
        entry: Manifest = {"manager": self.manager, "operation": self.operation, "apiVersion": self.api_version}
        if self.time is not None:
            entry["time"] = self.time
        entry |= {"fieldsType": "FieldsV1", "fieldsV1": self.fields}
        if self.subresource:
            entry["subresource"] = self.subresource
        return entry

    def __str__(self) -> str:
        text = json.dumps(self.manager)
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        if self.operation == "Update":
            text += f" using {self.api_version}" + (f" at {self.time}" if self.time else "")
        return text


Owners = dict[tuple[str, str, str, str], Owner]


def read(manifest: Manifest) -> Owners:
    """The owners of an object's fields."""
    found: Owners = {}
    for entry in manifest["metadata"].get("managedFields") or ():
        owner = Owner(
            entry.get("manager", ""),
            entry["operation"],
            entry["apiVersion"],
            entry.get("subresource", ""),
            entry.get("fieldsV1") or {},
            entry.get("time"),
        )
        found[owner.identity] = owner
    return found


def written(manifest: Manifest, owners: Owners) -> Manifest:
    """The object with these owners; the order of the entries is the API server's."""
    entries = sorted(
        owners.values(),
        key=lambda owner: (owner.operation, owner.time or "", owner.manager, owner.api_version, owner.subresource),
    )
    metadata = {name: value for name, value in manifest["metadata"].items() if name != "managedFields"}
    if entries:
        metadata["managedFields"] = [entry.dump() for entry in entries]
    return {**manifest, "metadata": metadata}


@dataclass(frozen=True)
class Writing:
    """One write: of what type, by whom, when; `reset` are the fields that this way of writing cannot change."""

    type: Type
    api_version: str
    manager: str
    subresource: str
    reset: Fields
    time: str

    def owner(self, operation: str, fields: Fields) -> Owner:
        """The entry that this write makes."""
        return Owner(self.manager or "unknown", operation, self.api_version, self.subresource, fields, self.time)


def updated(writing: Writing, old: Manifest, new: Manifest, owners: Owners) -> Owners:
    """The owners after a create, update or merge patch: what it changed is the writer's. `old` may be an empty one."""
    try:
        comparison = _filtered(typed.compare(writing.type, _bare(old), _bare(new)), writing.reset)
    except typed.TypeMismatch:
        # What cannot be compared is refused later, or owned by nobody.
        return {}
    taken = sets.union(comparison.modified, comparison.added)
    left = _without(owners, comparison, taken, but=None)
    mine = sets.difference(taken, _STRIPPED)
    if mine:
        owner = writing.owner("Update", mine)
        present = left.get(owner.identity)
        if present is not None:
            owner = replace(owner, fields=sets.union(mine, present.fields))
        left[owner.identity] = owner
    return _capped(left)


def applied(
    writing: Writing, live: Manifest, config: Manifest, empty: Manifest, owners: Owners, *, force: bool
) -> tuple[Manifest | None, Owners]:
    """The live object with the configuration applied, and the owners then; None if the object does not change.

    Raises ApiError (409) if another manager owns a field that changes, unless `force`; 500 if the configuration has
    fields that the type does not know or values of another type, as the API server does.
    """
    if wrong := typed.check_object(writing.type, config):
        raise ApiError(500, f"failed to create typed patch object: {_listed(wrong)}", reason="")
    if not owners:
        before = replace(writing, manager=_BEFORE_FIRST_APPLY)
        owners = updated(before, empty, live, {})
    live = _bare(live)
    merged = typed.merge(writing.type, live, config)
    fields = sets.without(typed.fields_of(writing.type, config), writing.reset)
    mine = writing.owner("Apply", fields)
    last = owners.get(mine.identity)
    now = {**owners, mine.identity: mine}
    new = merged if last is None else _pruned(writing.type, merged, now, last.fields)
    comparison = _filtered(typed.compare(writing.type, live, new), writing.reset)
    taken = sets.union(comparison.modified, comparison.added)
    if not force:
        _check_conflicts(now, taken, mine)
    now = _without(now, comparison, taken, but=mine)
    kept = sets.difference(fields, _STRIPPED)
    unchanged = typed.same(live, new)
    if kept:
        # A configuration that changes nothing leaves the time of the last one.
        now[mine.identity] = replace(mine, fields=kept, time=last.time if unchanged and last else mine.time)
    else:
        now.pop(mine.identity, None)
    return (None if unchanged else new), now


def _pruned(type_: Type, merged: Manifest, owners: Owners, last: Fields) -> Manifest:
    """Take away what the manager applied the last time, not this time, and nobody else owns."""
    managed: Fields = {}
    for owner in owners.values():
        managed = sets.union(managed, owner.fields)
    if not sets.difference(last, managed):
        return merged
    last = typed.named(type_, last)
    whole = typed.named(type_, typed.fields_of(type_, merged))
    rest = typed.remove(type_, merged, last) or {}
    # What others own, or this configuration has, comes back ...
    kept = sets.union(typed.named(type_, typed.fields_of(type_, rest)), typed.named(type_, managed))
    rest = typed.remove(type_, merged, sets.difference(whole, kept)) or {}
    # ... and so does what the manager had never applied.
    gone = sets.difference(whole, typed.named(type_, typed.fields_of(type_, rest)))
    result: Manifest = typed.remove(type_, merged, sets.intersection(gone, last)) or {}
    return result


def _without(owners: Owners, comparison: typed.Comparison, taken: Fields, but: Owner | None) -> Owners:
    """The owners without what somebody else has just changed or removed."""
    lost = sets.union(taken, comparison.removed)
    if not lost:
        return dict(owners)
    left: Owners = {}
    for identity, owner in owners.items():
        if but is None or identity != but.identity:
            fields = sets.difference(owner.fields, lost)
            if not fields:
                continue
            owner = owner if fields is owner.fields else replace(owner, fields=fields)
        left[identity] = owner
    return left


def _filtered(comparison: typed.Comparison, reset: Fields) -> typed.Comparison:
    if not reset:
        return comparison
    return typed.Comparison(
        sets.without(comparison.added, reset),
        sets.without(comparison.modified, reset),
        sets.without(comparison.removed, reset),
    )


def _check_conflicts(owners: Owners, taken: Fields, mine: Owner) -> None:
    found: list[tuple[Owner, str]] = []
    for identity, owner in sorted(owners.items()):
        if identity != mine.identity:
            both = sets.intersection(owner.fields, taken)
            found += [(owner, path) for path in sets.paths(both)]
    if not found:
        return
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {owner}", "field": path} for owner, path in found
    ]
    if len(found) == 1:
        message = f"Apply failed with 1 conflict: conflict with {found[0][0]}: {found[0][1]}"
    else:
        lines = []
        for name in sorted({str(owner) for owner, _ in found}):
            lines += [f"conflicts with {name}:", *(f"- {path}" for owner, path in found if str(owner) == name)]
        message = f"Apply failed with {len(found)} conflicts: " + "\n".join(lines)
    raise ApiError(409, message, details={"causes": causes})


def _capped(owners: Owners) -> Owners:
    """At most ten entries of updates: the oldest become one."""
    updaters = sorted(
        (owner for owner in owners.values() if owner.operation == "Update"),
        key=lambda owner: (owner.time or "", owner.manager, owner.api_version, owner.subresource),
    )
    over = len(updaters) - _MOST_UPDATERS
    if over <= 0:
        return owners
    merged = updaters[: over + 1]
    bucket = Owner(_OLD_UPDATES, "Update", merged[0].api_version, "", {}, merged[-1].time)
    for owner in merged:
        bucket = replace(bucket, fields=sets.union(bucket.fields, owner.fields))
    gone = {owner.identity for owner in merged}
    left = {identity: owner for identity, owner in owners.items() if identity not in gone}
    return {**left, bucket.identity: bucket}


def _bare(manifest: Manifest) -> Manifest:
    """Without the managedFields, which own nothing of themselves."""
    if "managedFields" not in manifest.get("metadata", ()):
        return manifest
    metadata = {name: value for name, value in manifest["metadata"].items() if name != "managedFields"}
    return {**manifest, "metadata": metadata}


def _listed(wrong: list[str]) -> str:
    return wrong[0] if len(wrong) == 1 else "errors:\n" + "\n".join(f"  {line}" for line in wrong)
