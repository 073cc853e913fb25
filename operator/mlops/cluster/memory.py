"""What is known of the cluster: objects by key, fed by watches, lists and the answers to our own writes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any

from mlops.api.labels import MANAGED_BY, MANAGER, MODEL_VERSION, TEMPLATE
from mlops.cluster.kept import Keeper
from mlops.cluster.kinds import WATCHED
from mlops.engine.cluster import Watcher, field_of, key_of, labels_of
from mlops.engine.links import FIELDS, OWNERS
from mlops.engine.routes import JOB_NAME
from mlops.planning.plan import Key, Manifest

# Labels that lists ask for; any other is found by looking at every object of the namespace.
_INDEXED = (JOB_NAME, MODEL_VERSION, TEMPLATE, *OWNERS)
_Entry = tuple[str, str, str, str]
# How many deleted objects are remembered against events that come late.
_MOST_GONE = 20_000
# How many objects that are not ours are kept: each has a name that a child of ours should have.
_MOST_STRANGERS = 1_000
# How many objects of a list are taken in before others have their turn.
_AT_A_TIME = 100


class Memory:
    """Objects by key. Each is shared and never changed in place.

    News of one object come from several sides and not in order, so a version is taken only if it is newer than the
    one that is there, and none of an object that is gone. resourceVersions of one kind are numbers that grow.
    """

    def __init__(self) -> None:
        self._objects: dict[str, dict[Key, Manifest]] = {kind: {} for kind in WATCHED}
        self._by_namespace: dict[tuple[str, str], dict[Key, None]] = {}
        # By kind, namespace, name of a label or path of a field, and its value.
        self._index: dict[_Entry, dict[Key, None]] = {}
        # Keys of a kind and namespace, oldest first; dropped when one comes or goes.
        self._ordered: dict[tuple[str, str | None], list[Key]] = {}
        # By uid: the resourceVersion as of which an object is gone.
        self._gone: dict[str, int] = {}
        # What is not marked as ours and has the name of a child: no list or watch shows it, or tells that it is gone.
        self._strangers: dict[Key, Manifest] = {}
        self._keeper = Keeper()
        self._watcher: Watcher = _ignore
        self._put_aside: Callable[[Manifest], None] | None = None

    def watch(self, watcher: Watcher) -> None:
        """Have `watcher` told of each change from now on, with the object before and after."""
        self._watcher = watcher

    def put_ends_aside(self, put_aside: Callable[[Manifest], None]) -> None:
        """Have `put_aside` told of each Job that has ended and whose pod is not known to have, instead of taking it;
        it calls `take` with `ended` once the pods were looked up."""
        self._put_aside = put_aside

    def get(self, key: Key) -> Manifest | None:
        """Return the object, or None."""
        return self._objects.get(key.kind, {}).get(key) or self._strangers.get(key)

    def list(
        self, kind: str, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> Sequence[Manifest]:
        """Return the objects of a kind that carry all `labels`, oldest first."""
        objects = self._objects[kind]
        wanted = dict(labels or {})
        indexed = next((name for name in wanted if name in _INDEXED), None)
        if indexed is None or namespace is None:
            found: Sequence[Manifest] = [objects[key] for key in self._in_order(kind, namespace)]
        else:
            found = self._indexed((kind, namespace, indexed, wanted.pop(indexed)))
        if not wanted:
            return found
        return [one for one in found if all(labels_of(one).get(name) == value for name, value in wanted.items())]

    def by_field(self, kind: str, namespace: str, field: str, value: str) -> Sequence[Manifest]:
        """Return the objects of a kind whose `field`, one of FIELDS, has this value, oldest first."""
        return self._indexed((kind, namespace, field, value))

    def count(self, kind: str) -> int:
        """Return how many objects of a kind there are."""
        return len(self._objects[kind])

    def take(self, manifest: Manifest, *, ended: bool = False) -> bool:
        """Take in one version of an object; returns whether it was news. `ended`: a Job whose pods are known."""
        key, version, uid = key_of(manifest), version_of(manifest), _uid(manifest)
        if key.kind not in self._objects or self._gone.get(uid, -1) >= version:
            return False
        old = self._objects[key.kind].get(key)
        if old is not None and version_of(old) >= version:
            return False
        if self._put_aside is not None and not ended and self.lacks_its_pod(manifest):
            self._put_aside(manifest)
            return False
        if old is not None and _uid(old) != uid:
            # The old one was deleted unseen: whoever knew it has to hear of both.
            self._remove(key, old, version)
            old = None
        new = self._keeper.kept(manifest)
        self._strangers.pop(key, None)
        self._put(key, old, new)
        # Of Jobs and pods most changes are of what nobody reads: counters, probes.
        if old is None or _differs(old, new):
            self._watcher(old, new)
        return True

    def take_found(self, key: Key, manifest: Manifest | None) -> None:
        """Take in what a lookup by name found. A foreign object stays known until a lookup finds it gone or ours."""
        self._strangers.pop(key, None)
        if manifest is None:
            return
        if not WATCHED[key.kind].selector or labels_of(manifest).get(MANAGED_BY) == MANAGER:
            self.take(manifest)
            return
        self._strangers[key] = self._keeper.kept(manifest)
        if len(self._strangers) > _MOST_STRANGERS:
            del self._strangers[next(iter(self._strangers))]

    def strangers(self, kind: str) -> Sequence[Key]:
        """Return the names of a kind that are known to be taken by what is not ours."""
        return [key for key in self._strangers if key.kind == kind]

    def forget(self, manifest: Manifest, version: int | None = None) -> bool:
        """Take in that an object is gone as of a resourceVersion (its own if None); returns whether it was news."""
        key, uid = key_of(manifest), _uid(manifest)
        as_of = version_of(manifest) if version is None else version
        old = self._objects.get(key.kind, {}).get(key)
        if old is None or _uid(old) != uid:
            self._remember_gone(uid, as_of)
            return False
        if version_of(old) > as_of:
            return False
        self._remove(key, old, as_of)
        return True

    async def take_list(self, kind: str, namespace: str | None, items: Iterable[Manifest], version: int) -> int:
        """Take in all objects of a kind as of the list's resourceVersion; returns how many differed.

        What is here and not in the list is gone, unless it is newer than the list. Others have their turn meanwhile.
        """
        listed, differences = set(), 0
        for number, item in enumerate(items, start=1):
            listed.add(_uid(item))
            differences += self.take(item)
            if number % _AT_A_TIME == 0:
                await asyncio.sleep(0)
        return differences + self.forget_others(kind, namespace, listed, version)

    def forget_others(self, kind: str, namespace: str | None, uids: Set[str], version: int) -> int:
        """Take in that as of a resourceVersion there are no objects of a kind but these; returns how many went."""
        differences = 0
        for manifest in self.list(kind, namespace):
            if _uid(manifest) not in uids:
                differences += self.forget(manifest, version)
        return differences

    def lacks(self, kind: str, head: Manifest) -> bool:
        """Return whether the version of an object that has this metadata would be news."""
        version = int(head["resourceVersion"])
        if self._gone.get(str(head["uid"]), -1) >= version:
            return False
        known = self._objects[kind].get(Key(kind, str(head.get("namespace") or ""), str(head["name"])))
        return known is None or version_of(known) < version

    def lacks_its_pod(self, manifest: Manifest) -> bool:
        """Return whether this is the first version of a Job that has ended, and no pod is known that tells how."""
        key = key_of(manifest)
        old = self.get(key)
        if key.kind != "Job" or not _has_ended(manifest) or (old is not None and _has_ended(old)):
            return False
        pods = self.list("Pod", key.namespace, {JOB_NAME: key.name})
        # A Job's first pod may have failed long ago: what came of the Job is told by the last.
        ends = Counter(pod.get("status", {}).get("phase") for pod in pods)
        if _is_true(manifest, "Complete"):
            return not ends["Succeeded"]
        return ends["Failed"] < max(1, int(manifest.get("status", {}).get("failed") or 0))

    def _indexed(self, entry: _Entry) -> Sequence[Manifest]:
        objects = self._objects[entry[0]]
        return sorted((objects[key] for key in self._index.get(entry, ())), key=_age)

    def _in_order(self, kind: str, namespace: str | None) -> Sequence[Key]:
        ordered = self._ordered.get((kind, namespace))
        if ordered is None:
            objects = self._objects[kind]
            keys = objects if namespace is None else self._by_namespace.get((kind, namespace), {})
            ordered = self._ordered[kind, namespace] = sorted(keys, key=lambda key: _age(objects[key]))
        return ordered

    def _put(self, key: Key, old: Manifest | None, new: Manifest) -> None:
        self._objects[key.kind][key] = new
        if old is None:
            self._by_namespace.setdefault((key.kind, key.namespace), {})[key] = None
            self._forget_order(key)
        before, after = _entries(key, old), _entries(key, new)
        for entry in before - after:
            _discard(self._index, entry, key)
        for entry in after - before:
            self._index.setdefault(entry, {})[key] = None

    def _remove(self, key: Key, old: Manifest, version: int) -> None:
        del self._objects[key.kind][key]
        _discard(self._by_namespace, (key.kind, key.namespace), key)
        self._forget_order(key)
        for entry in _entries(key, old):
            _discard(self._index, entry, key)
        self._remember_gone(_uid(old), version)
        self._watcher(old, None)

    def _forget_order(self, key: Key) -> None:
        self._ordered.pop((key.kind, key.namespace), None)
        self._ordered.pop((key.kind, None), None)

    def _remember_gone(self, uid: str, version: int) -> None:
        self._gone[uid] = max(version, self._gone.pop(uid, -1))
        if len(self._gone) > _MOST_GONE:
            del self._gone[next(iter(self._gone))]


def version_of(manifest: Manifest) -> int:
    """Return an object's resourceVersion as a number, for comparison with others of its kind."""
    return int(manifest["metadata"].get("resourceVersion") or 0)


def _has_ended(job: Manifest) -> bool:
    return _is_true(job, "Complete") or _is_true(job, "Failed")


def _is_true(job: Manifest, type_: str) -> bool:
    conditions = job.get("status", {}).get("conditions") or ()
    return any(each["type"] == type_ and each["status"] == "True" for each in conditions)


def _differs(old: Manifest, new: Manifest) -> bool:
    """Return whether two versions of an object differ in more than their resourceVersion."""
    without = [
        {name: value for name, value in each["metadata"].items() if name != "resourceVersion"} for each in (old, new)
    ]
    return without[0] != without[1] or any(old.get(name) != new.get(name) for name in {*old, *new} - {"metadata"})


def _uid(manifest: Manifest) -> str:
    return str(manifest["metadata"].get("uid", ""))


def _age(manifest: Manifest) -> tuple[str, str]:
    metadata = manifest["metadata"]
    return str(metadata.get("creationTimestamp", "")), str(metadata["name"])


def _entries(key: Key, manifest: Manifest | None) -> set[_Entry]:
    if manifest is None:
        return set()
    own = labels_of(manifest)
    found = {(key.kind, key.namespace, name, own[name]) for name in _INDEXED if name in own}
    for field in FIELDS.get(key.kind, ()):
        # What does not parse may have anything there.
        if isinstance(value := field_of(manifest, field), str):
            found.add((key.kind, key.namespace, field, value))
    return found


def _discard(index: dict[Any, dict[Key, None]], entry: Any, key: Key) -> None:
    keys = index.get(entry)
    if keys is not None:
        keys.pop(key, None)
        if not keys:
            del index[entry]


def _ignore(_old: Manifest | None, _new: Manifest | None) -> None:
    """Nobody listens yet."""
