"""The garbage collector: what has lost its last owner goes; Foreground waits for dependents, Orphan lets them be.

After pkg/controller/garbagecollector of Kubernetes 1.34.
"""

from __future__ import annotations

from mlops.engine.cluster import key_of, owners_of
from mlops.planning.plan import Key, Manifest
from tests.simulation.controllers.client import Client
from tests.simulation.controllers.clockwork import Clockwork, Reactions
from tests.simulation.controllers.graph import Graph

ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"


class GarbageCollector:
    """Looks at each object that came, changed or lost an owner."""

    def __init__(self, client: Client, clockwork: Clockwork, graph: Graph) -> None:
        self._client, self._graph = client, graph
        self._reactions = Reactions(clockwork, self._react, delays=(0.005, 3.0))

    def changed(self, manifest: Manifest, *, gone: bool) -> None:
        """Take note of a change, after the graph has."""
        metadata = manifest["metadata"]
        if gone:
            for dependent in self._graph.dependents(metadata["uid"]):
                self._reactions.add(dependent)
            # An owner that waits for its dependents may go on.
            for owner in owners_of(manifest):
                if owner["uid"] in self._graph.alive:
                    self._reactions.add(self._graph.alive[owner["uid"]])
            return
        finalizers = metadata.get("finalizers") or ()
        going = metadata.get("deletionTimestamp") and (ORPHAN in finalizers or FOREGROUND in finalizers)
        if going or any(self._is_in_doubt(reference) for reference in owners_of(manifest)):
            self._reactions.add(key_of(manifest))
        for owner in owners_of(manifest):
            self._collect_waiting(owner["uid"])

    def _is_in_doubt(self, reference: Manifest) -> bool:
        key = self._graph.alive.get(reference["uid"])
        return key is None or key.kind != reference["kind"] or key.name != reference["name"]

    def _collect_waiting(self, uid: str) -> None:
        key = self._graph.alive.get(uid)
        owner = self._client.get(key, uid) if key is not None else None
        if owner is not None and _waits(owner) and key is not None:
            self._reactions.add(key)

    def _react(self, key: Key) -> None:
        found = self._client.get(key)
        if found is None:
            return
        finalizers = found["metadata"].get("finalizers") or ()
        if found["metadata"].get("deletionTimestamp"):
            if ORPHAN in finalizers:
                self._orphan(found)
            elif FOREGROUND in finalizers:
                self._wait_for_dependents(found)
            return
        self._collect(found)

    def _orphan(self, owner: Manifest) -> None:
        uid = owner["metadata"]["uid"]
        for key in self._graph.dependents(uid):
            dependent = self._client.get(key)
            if dependent is not None and not self._without_owners(dependent, uid):
                self._reactions.add(key_of(owner))
                return
        self._without_finalizer(owner, ORPHAN)

    def _wait_for_dependents(self, owner: Manifest) -> None:
        blocking = [each for each in self._dependents_of(owner) if _blocks(each, owner)]
        if not blocking:
            self._without_finalizer(owner, FOREGROUND)
        for dependent in blocking:
            if not _waits(dependent):
                self._collect(dependent)

    def _dependents_of(self, owner: Manifest) -> list[Manifest]:
        found = (self._client.get(key) for key in self._graph.dependents(owner["metadata"]["uid"]))
        return [dependent for dependent in found if dependent is not None]

    def _collect(self, item: Manifest) -> None:
        """Delete the object if no owner is left, and drop references to owners that are gone or going."""
        references = owners_of(item)
        if not references or item["metadata"].get("deletionTimestamp"):
            return
        dangling, waiting, solid = [], [], []
        for reference in references:
            owner = self._client.get(
                Key(reference["kind"], item["metadata"].get("namespace", "default"), reference["name"]),
                reference["uid"],
            )
            if owner is None:
                dangling.append(reference["uid"])
            elif _waits(owner) and reference.get("blockOwnerDeletion"):
                waiting.append(reference["uid"])
            else:
                solid.append(reference["uid"])
        if solid:
            if (dangling or waiting) and not self._without_owners(item, *dangling, *waiting):
                self._reactions.add(key_of(item))
            return
        foreground = waiting and self._graph.dependents(item["metadata"]["uid"])
        self._client.delete(item, policy="Foreground" if foreground else _policy_of(item))

    def _without_owners(self, item: Manifest, *uids: str) -> bool:
        left = [reference for reference in owners_of(item) if reference["uid"] not in uids]
        return self._client.patch(item, {"metadata": {"ownerReferences": left or None}}) is not None

    def _without_finalizer(self, owner: Manifest, finalizer: str) -> None:
        left = [each for each in owner["metadata"]["finalizers"] if each != finalizer]
        if self._client.patch(owner, {"metadata": {"finalizers": left or None}}) is None:
            self._reactions.add(key_of(owner))


def _waits(manifest: Manifest) -> bool:
    metadata = manifest["metadata"]
    return bool(metadata.get("deletionTimestamp")) and FOREGROUND in (metadata.get("finalizers") or ())


def _blocks(dependent: Manifest, owner: Manifest) -> bool:
    uid = owner["metadata"]["uid"]
    return any(each["uid"] == uid and each.get("blockOwnerDeletion") for each in owners_of(dependent))


def _policy_of(item: Manifest) -> str:
    finalizers = item["metadata"].get("finalizers") or ()
    return "Orphan" if ORPHAN in finalizers else "Foreground" if FOREGROUND in finalizers else "Background"
