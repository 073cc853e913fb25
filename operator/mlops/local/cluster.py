"""The cluster in memory: what a kube-apiserver and its garbage collector do, as far as it matters, kept on disk."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import ValidationError

from mlops.api import kinds
from mlops.api.base import format_time
from mlops.api.kinds import KINDS, InvalidObject
from mlops.engine.cluster import (
    FIELD_MANAGER,
    AlreadyExists,
    Clock,
    Conflict,
    Invalid,
    ObjectNotFound,
    Watcher,
    field_of,
    key_of,
    labels_of,
    owners_of,
)
from mlops.local.merge import merge
from mlops.local.records import Record, Records
from mlops.planning.plan import Key, Manifest

Change = Literal["created", "configured", "unchanged"]

USER = "mlops-cli"
# What the cluster itself decides about an object.
_SERVER_SIDE = ("uid", "generation", "resourceVersion", "creationTimestamp", "deletionTimestamp", "managedFields")
# Newer Events push out the oldest, as an hour's time to live does in Kubernetes.
_MOST_EVENTS = 2000


class LocalCluster:
    """Objects by key. Every manifest it hands out is shared and never changed in place; a write replaces it.

    Watchers are called after a write is on disk, in order, with the object before and after; they must not block.
    """

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records, self._clock = records, clock
        self._objects: dict[str, dict[Key, Record]] = {}
        self._by_label: dict[tuple[str, str, str], dict[Key, None]] = {}
        self._by_owner: dict[str, dict[Key, None]] = {}
        self._uids: set[str] = set()
        self._watchers: list[Watcher] = []
        self._changes: deque[tuple[Manifest | None, Manifest | None]] = deque()
        self._telling = False
        self._version = 0
        for record in records.load():
            self._index(record)
            self._version = max(self._version, int(record.manifest["metadata"]["resourceVersion"]))

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Have `watcher` told of each change from now on; returns what stops that."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def get(self, key: Key) -> Manifest | None:
        """Return the object, or None."""
        record = self._objects.get(key.kind, {}).get(key)
        return record.manifest if record else None

    def list(
        self, kind: str, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> Sequence[Manifest]:
        """Return the objects of a kind that carry all `labels`, oldest first."""
        objects = self._objects.get(kind, {})
        keys: Iterable[Key] = objects
        for name, value in (labels or {}).items():
            found = self._by_label.get((kind, name, value), {})
            keys = found if keys is objects else [key for key in keys if key in found]
        return [objects[key].manifest for key in keys if namespace in (None, key.namespace)]

    def by_field(self, kind: str, namespace: str, field: str, value: str) -> Sequence[Manifest]:
        """Return the objects of a kind whose field has this value, oldest first."""
        return [one for one in self.list(kind, namespace) if field_of(one, field) == value]

    async def apply(self, manifest: Manifest) -> Manifest:
        """Converge, as the operator."""
        return self.apply_as(FIELD_MANAGER, manifest)[0]

    async def create(self, manifest: Manifest) -> Manifest:
        """Make the object, as the operator; raises AlreadyExists, Invalid."""
        return self.create_as(FIELD_MANAGER, manifest)

    async def write_status(self, seen: Manifest, status: Manifest) -> Manifest:
        """Replace the status; raises Conflict if the object has changed since it was `seen`, NotFound, Invalid."""
        key = key_of(seen)
        record = self._record(key)
        if record.manifest["metadata"]["resourceVersion"] != seen["metadata"].get("resourceVersion"):
            raise Conflict(key, "has changed since it was read")
        _check_status(key, status)
        return self.set_status(key, status)

    async def delete(self, key: Key, uid: str) -> None:
        """Delete the object if it has that uid."""
        present = self.get(key)
        if present is not None and present["metadata"]["uid"] == uid:
            self.remove(key)

    def apply_as(self, manager: str, manifest: Manifest) -> tuple[Manifest, Change]:
        """Converge, as `manager`; fields that others applied are kept, conflicts are forced.

        Raises Invalid for what the API server would refuse, and Conflict if the manifest names a resourceVersion that
        is not the present one.
        """
        key, applied = key_of(manifest), _applied(manifest)
        record = self._objects.get(key.kind, {}).get(key)
        if record is None:
            return self.create_as(manager, manifest), "created"
        expected = manifest["metadata"].get("resourceVersion")
        if expected not in (None, record.manifest["metadata"]["resourceVersion"]):
            raise Conflict(key, "has changed since it was read")
        others = [other for name, other in record.applied.items() if name != manager]
        merged = merge(record.manifest, record.applied.get(manager), applied, others)
        if merged == record.manifest and record.applied.get(manager) == applied:
            return record.manifest, "unchanged"
        self._check_update(key, merged, record.manifest)
        changed = self._put(key, merged, record, {**record.applied, manager: applied})
        return changed, "configured"

    def create_as(self, manager: str, manifest: Manifest) -> Manifest:
        """Make the object, as `manager`; raises AlreadyExists, Invalid."""
        key, applied = key_of(manifest), _applied(manifest)
        if present := self.get(key):
            raise AlreadyExists(key, present)
        self._check_valid(key, applied)
        metadata = {
            **applied["metadata"],
            "namespace": key.namespace,
            "uid": str(uuid.uuid4()),
            "generation": 1,
            "creationTimestamp": format_time(self._clock.now()),
        }
        made = self._put(key, {**applied, "metadata": metadata}, None, {manager: applied})
        self._collect([key])
        if key.kind == "Event":
            self._drop_old_events()
        return made

    def set_status(self, key: Key, status: Manifest) -> Manifest:
        """Replace the status whatever the object has become, as a kubelet or controller does with what it owns."""
        record = self._record(key)
        if record.manifest.get("status") == status:
            return record.manifest
        return self._put(key, {**record.manifest, "status": status}, record, record.applied)

    def annotate(self, key: Key, annotations: Mapping[str, str | None]) -> Manifest:
        """Set annotations, or remove those given as None."""
        record = self._record(key)
        metadata = record.manifest["metadata"]
        merged = {**metadata.get("annotations", {}), **annotations}
        kept = {name: value for name, value in merged.items() if value is not None}
        if kept == metadata.get("annotations", {}):
            return record.manifest
        changed = {**record.manifest, "metadata": {**metadata, "annotations": kept}}
        return self._put(key, changed, record, record.applied)

    def mark_deleted(self, key: Key) -> Manifest:
        """Set deletionTimestamp: the object is going, and who runs it will `remove` it."""
        record = self._record(key)
        metadata = {**record.manifest["metadata"], "deletionTimestamp": format_time(self._clock.now())}
        return self._put(key, {**record.manifest, "metadata": metadata}, record, record.applied)

    def remove(self, key: Key) -> None:
        """Delete the object and, in the background, what belongs to nobody any more."""
        record = self._objects.get(key.kind, {}).get(key)
        if record is None:
            return
        self._records.remove(key)
        self._unindex(record)
        self._tell(record.manifest, None)
        self._collect(list(self._by_owner.get(record.manifest["metadata"]["uid"], ())))

    def collect_garbage(self) -> None:
        """Delete every object whose owners are all gone: after a start, what a kill left behind."""
        self._collect([key for objects in self._objects.values() for key in objects])

    def _collect(self, keys: Iterable[Key]) -> None:
        for key in keys:
            manifest = self.get(key)
            owners = owners_of(manifest) if manifest else []
            if owners and not any(reference["uid"] in self._uids for reference in owners):
                self.remove(key)

    def _drop_old_events(self) -> None:
        events = self._objects["Event"]
        while len(events) > _MOST_EVENTS:
            self.remove(next(iter(events)))

    def _record(self, key: Key) -> Record:
        record = self._objects.get(key.kind, {}).get(key)
        if record is None:
            raise ObjectNotFound(key, "not found")
        return record

    def _check_valid(self, key: Key, manifest: Manifest) -> None:
        if key.kind == "CronJob":
            _check_schedule(key, manifest["spec"])
        if key.kind in KINDS:
            try:
                kinds.parse(manifest)
            except InvalidObject as error:
                raise Invalid(key, str(error)) from error

    def _check_update(self, key: Key, new: Manifest, old: Manifest) -> None:
        if key.kind == "ConfigMap" and old.get("immutable"):
            _check_immutable(key, new, old)
        if key.kind not in KINDS:
            return self._check_valid(key, new)
        try:
            parsed = kinds.parse({name: value for name, value in new.items() if name != "status"})
            try:
                before = kinds.parse({name: value for name, value in old.items() if name != "status"})
            except InvalidObject:
                # What an older program wrote may be invalid by now; it can only be mended.
                return None
            kinds.check_update(parsed, before)
        except InvalidObject as error:
            raise Invalid(key, str(error)) from error
        return None

    def _put(self, key: Key, manifest: Manifest, old: Record | None, applied: dict[str, Manifest]) -> Manifest:
        self._version += 1
        metadata = {**manifest["metadata"], "resourceVersion": str(self._version)}
        if old is not None and manifest.get("spec") != old.manifest.get("spec"):
            metadata["generation"] = old.manifest["metadata"].get("generation", 1) + 1
        record = Record({**manifest, "metadata": metadata}, applied)
        self._records.put(key, record)
        if old is not None:
            self._unindex_changes(old.manifest, record.manifest, key)
        self._index(record)
        self._tell(old.manifest if old else None, record.manifest)
        return record.manifest

    def _index(self, record: Record) -> None:
        manifest = record.manifest
        key = key_of(manifest)
        self._objects.setdefault(key.kind, {})[key] = record
        self._uids.add(manifest["metadata"]["uid"])
        for name, value in labels_of(manifest).items():
            self._by_label.setdefault((key.kind, name, value), {})[key] = None
        for reference in owners_of(manifest):
            self._by_owner.setdefault(reference["uid"], {})[key] = None

    def _unindex(self, record: Record) -> None:
        manifest = record.manifest
        key = key_of(manifest)
        del self._objects[key.kind][key]
        self._uids.discard(manifest["metadata"]["uid"])
        self._unindex_changes(manifest, None, key)

    def _unindex_changes(self, old: Manifest, new: Manifest | None, key: Key) -> None:
        # Only what is gone: an entry that stays keeps its place, and lists stay in the order of creation.
        for entry in labels_of(old).items() - (labels_of(new).items() if new else set()):
            _discard(self._by_label, (key.kind, *entry), key)
        for uid in _owner_uids(old) - (_owner_uids(new) if new else set()):
            _discard(self._by_owner, uid, key)

    def _tell(self, old: Manifest | None, new: Manifest | None) -> None:
        # A watcher that writes causes a change of its own: it is told after this one, to everybody in the same order.
        self._changes.append((old, new))
        if self._telling:
            return
        self._telling = True
        try:
            while self._changes:
                change = self._changes.popleft()
                for watcher in tuple(self._watchers):
                    watcher(*change)
        finally:
            self._telling = False


def _check_status(key: Key, status: Manifest) -> None:
    """Refuse a status that is not what its kind says; a spec that was let in earlier is none of its business."""
    try:
        if key.kind in KINDS:
            KINDS[key.kind].model_fields["status"].annotation.model_validate(status)  # type: ignore[union-attr]
    except ValidationError as error:
        raise Invalid(key, f"status: {error}") from error


def _check_immutable(key: Key, new: Manifest, old: Manifest) -> None:
    """Refuse another content of a ConfigMap that is immutable, as an API server does; it can only be deleted."""
    for field in ("immutable", "data", "binaryData"):
        if new.get(field) != old.get(field):
            raise Invalid(key, f"{field}: Forbidden: field is immutable when `immutable` is set")


def _check_schedule(key: Key, spec: Manifest) -> None:
    zone = spec.get("timeZone") or "UTC"
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise Invalid(key, f"spec.timeZone: {zone!r} is no time zone; use a name such as Europe/Berlin") from error


def _applied(manifest: Manifest) -> Manifest:
    """Return what a manager means by a manifest: no status, nothing that the server decides."""
    metadata = {name: value for name, value in manifest["metadata"].items() if name not in _SERVER_SIDE}
    return {**{name: value for name, value in manifest.items() if name != "status"}, "metadata": metadata}


def _owner_uids(manifest: Manifest) -> set[str]:
    return {reference["uid"] for reference in owners_of(manifest)}


def _discard(index: dict[Any, dict[Key, None]], entry: Any, key: Key) -> None:
    keys = index.get(entry)
    if keys is not None:
        keys.pop(key, None)
        if not keys:
            del index[entry]
