"""Objects with their history: every state that ever was can be asked for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlops.planning.plan import Key

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """One write that changed something; of a deletion `new` is the last state, with the version of the deletion."""

    version: int
    type: str
    key: Key
    old: Manifest | None
    new: Manifest
    user: str


class Store:
    """Objects by key. Manifests are shared: whoever gets one does not change it."""

    def __init__(self) -> None:
        self.version = 1
        self.changes: list[Change] = []
        self._objects: dict[str, dict[Key, Manifest]] = {}
        # Of every key that ever was: the versions at which it changed, and what it was from then on.
        self._versions: dict[str, dict[Key, tuple[list[int], list[Manifest | None]]]] = {}
        # Objects of which the stored form lacks what a reader sees: the next write is one, even if it changes nothing.
        self._raw: dict[Key, bool] = {}
        self._listeners: list[Callable[[Change], None]] = []

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Tell of each change from now on, after it happened."""
        self._listeners.append(listener)

    def get(self, key: Key, as_of: int | None = None) -> Manifest | None:
        """The object, or what it was at a version."""
        if as_of is None:
            return self._objects.get(key.kind, {}).get(key)
        return _at(self._versions.get(key.kind, {}).get(key, ([], [])), as_of)

    def list(self, kind: str, as_of: int | None = None) -> list[Manifest]:
        """All objects of a kind, oldest first."""
        if as_of is None:
            return list(self._objects.get(kind, {}).values())
        states = (_at(history, as_of) for history in self._versions.get(kind, {}).values())
        return [state for state in states if state is not None]

    def raw(self, key: Key) -> bool:
        """Whether the object was stored without what its readers see (a default of its status)."""
        return self._raw.get(key, False)

    def put(self, key: Key, manifest: Manifest, user: str, *, raw: bool = False) -> Manifest:
        """Store a new state, which gets the next version."""
        old = self.get(key)
        self._raw[key] = raw
        stored = self._stamped(manifest)
        self._objects.setdefault(key.kind, {})[key] = stored
        self._record(Change(self.version, "ADDED" if old is None else "MODIFIED", key, old, stored, user), stored)
        return stored

    def remove(self, key: Key, manifest: Manifest, user: str) -> Manifest:
        """Remove the object; returns its last state."""
        old = self._objects[key.kind].pop(key)
        stored = self._stamped(manifest)
        self._record(Change(self.version, "DELETED", key, old, stored, user), None)
        return stored

    def _stamped(self, manifest: Manifest) -> Manifest:
        self.version += 1
        return {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": str(self.version)}}

    def _record(self, change: Change, state: Manifest | None) -> None:
        versions, states = self._versions.setdefault(change.key.kind, {}).setdefault(change.key, ([], []))
        versions.append(change.version)
        states.append(state)
        self.changes.append(change)
        for listener in tuple(self._listeners):
            listener(change)


def _at(history: tuple[list[int], list[Manifest | None]], version: int) -> Manifest | None:
    versions, states = history
    place = bisect_right(versions, version)
    return states[place - 1] if place else None
