"""Who owns whom, by uid: an index that controllers and the garbage collector share."""

from __future__ import annotations

from mlops.engine.cluster import key_of, owners_of
from mlops.planning.plan import Key, Manifest


class Graph:
    """What is there, and the dependents of each uid, oldest first. Owners that are gone stay known to their
    dependents."""

    def __init__(self) -> None:
        self.alive: dict[str, Key] = {}
        self._dependents: dict[str, dict[Key, None]] = {}
        self._owners: dict[Key, tuple[str, ...]] = {}

    def take(self, manifest: Manifest) -> None:
        """Take in an object as it is now."""
        key = key_of(manifest)
        self.alive[manifest["metadata"]["uid"]] = key
        owners = tuple(reference["uid"] for reference in owners_of(manifest))
        if owners != self._owners.get(key, ()):
            self._unlink(key)
            self._owners[key] = owners
            for owner in owners:
                self._dependents.setdefault(owner, {})[key] = None

    def forget(self, manifest: Manifest) -> None:
        """Take in that an object is gone."""
        self.alive.pop(manifest["metadata"]["uid"], None)
        self._unlink(key_of(manifest))

    def dependents(self, uid: str, kind: str | None = None) -> list[Key]:
        """Return what has an ownerReference with that uid."""
        return [key for key in self._dependents.get(uid, ()) if kind in (None, key.kind)]

    def _unlink(self, key: Key) -> None:
        for owner in self._owners.pop(key, ()):
            there = self._dependents.get(owner)
            if there is not None:
                there.pop(key, None)
                if not there:
                    del self._dependents[owner]
