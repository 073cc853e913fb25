"""A cluster in a dictionary behind the engine's own port: the real Gatherer reads it, the real Reconciler writes to it.

Every plan on the way is checked (`properties.py`), and every write against what an API server would take.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mlops.api import kinds
from mlops.api.base import format_time
from mlops.engine.cluster import AlreadyExists, Conflict, field_of, key_of, labels_of
from mlops.engine.gather import Gatherer
from mlops.engine.metrics import Counters
from mlops.engine.planners import PLANNERS
from mlops.engine.reconcile import Reconciler
from mlops.planning.plan import Key, Manifest, Plan, Settings
from tests.planning import limits, properties

SETTINGS = Settings(environment={"MLOPS_STORE": "s3://artifacts/"}, environment_digest="sha256:" + "e" * 64)
# A run with its version and monitor takes about ten rounds from nothing to rest.
MOST_ROUNDS = 25


@dataclass
class Seen:
    """What was reached."""

    objects: int = 0
    invalid: int = 0
    children: int = 0
    plans: int = 0
    conflicts: int = 0
    writes: Counter[str] = field(default_factory=Counter)
    # (kind, condition type, status, reason)
    conditions: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)

    def note(self, kind: str, status: Manifest) -> None:
        """Count the conditions of a status that is written."""
        for each in status.get("conditions", ()):
            self.conditions[kind, each["type"], each["status"], each["reason"]] += 1


class AnyCluster:
    """Objects by address, the oldest first. Nobody changes a manifest in place."""

    def __init__(self, now: datetime, seen: Seen | None = None, *, twice: bool = True) -> None:
        self.present = now
        # Whether each view is planned three times, the last time with its objects in another order.
        self.twice = twice
        self.seen = seen or Seen()
        self.objects: dict[Key, Manifest] = {}
        self.written = 0
        self._uids = 0
        self._planned: dict[Key, Manifest] = {}
        # Owners that the operator applied: what it no longer wants of them goes with its next apply.
        self._applied: dict[Key, set[str]] = {}
        self.gatherer = Gatherer(self, SETTINGS, self)
        planners = {kind: self._checked(planner) for kind, planner in PLANNERS.items()}
        self.reconciler = Reconciler(self, self.gatherer, planners, self, Counters())

    # --- time ---

    def now(self) -> datetime:
        """Return the current time."""
        return self.present

    def call_at(self, timestamp: datetime, callback: Callable[[], None]) -> Callable[[], None]:
        """Refuse: a reconcile does not wait."""
        raise AssertionError(timestamp)

    # --- what happens from outside ---

    def uid(self) -> str:
        """Return a uid that no object had."""
        self._uids += 1
        return f"uid-{self._uids}"

    def put(self, manifest: Manifest) -> None:
        """Put an object there as it is, in the place of one of its name."""
        self.objects[key_of(manifest)] = manifest

    def drop(self, key: Key) -> None:
        """Take an object away."""
        gone = self.objects.pop(key, None)
        if gone is not None:
            self.gatherer.forget(gone)

    def own(self) -> list[Key]:
        """Return the addresses of the objects of the four kinds."""
        return [key for key in self.objects if key.kind in kinds.KINDS]

    def children(self) -> list[Key]:
        """Return the addresses of the others."""
        return [key for key in self.objects if key.kind not in kinds.KINDS and key.kind != "Pod"]

    # --- reading ---

    def get(self, key: Key) -> Manifest | None:
        """Return the object, or None."""
        return self.objects.get(key)

    def list(
        self, kind: str, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> Sequence[Manifest]:
        """Return the objects of a kind that carry all labels."""
        return [
            manifest
            for key, manifest in self.objects.items()
            if key.kind == kind
            and namespace in (None, key.namespace)
            and all(labels_of(manifest).get(name) == value for name, value in (labels or {}).items())
        ]

    def by_field(self, kind: str, namespace: str, field: str, value: str) -> Sequence[Manifest]:
        """Return the objects of a kind whose field has this value."""
        return [manifest for manifest in self.list(kind, namespace) if field_of(manifest, field) == value]

    # --- writing, as the engine's port ---

    async def apply(self, manifest: Manifest) -> Manifest:
        """Converge."""
        key = key_of(manifest)
        there, wanted = self.objects.get(key), manifest["metadata"]
        before = self._applied.get(key, set())
        self._applied[key] = {each["uid"] for each in wanted.get("ownerReferences", ())}
        if there is None:
            return self._add(manifest)
        self._wrote("apply", key)
        metadata = there["metadata"]
        owners = {each["uid"]: each for each in metadata.get("ownerReferences", ()) if each["uid"] not in before}
        owners |= {each["uid"]: each for each in wanted.get("ownerReferences", ())}
        merged = {
            **metadata,
            "labels": metadata.get("labels", {}) | wanted.get("labels", {}),
            "annotations": metadata.get("annotations", {}) | wanted.get("annotations", {}),
            # The list of owners is a map by uid: those whose objects are gone are the garbage collector's.
            "ownerReferences": self._alive(list(owners.values())),
            "generation": metadata.get("generation", 1) + (there.get("spec") != manifest.get("spec")),
        }
        content = {part: manifest[part] for part in ("spec", "data") if part in manifest}
        self.objects[key] = {**there, "metadata": merged, **content}
        return self.objects[key]

    async def create(self, manifest: Manifest) -> Manifest:
        """Make the object."""
        key = key_of(manifest)
        if key.kind == "Event":
            limits.check_event(manifest)
            return manifest
        if key in self.objects:
            raise AlreadyExists(key, self.objects[key])
        return self._add(manifest)

    async def write_status(self, seen: Manifest, status: Manifest) -> Manifest:
        """Replace the status."""
        key = key_of(seen)
        there = self.objects.get(key)
        if there is not seen:
            raise Conflict(key, "has changed")
        if self._planned.get(key) != status:
            # The engine laid something over it.
            limits.check_status(key.kind, status)
        self._wrote("status", key)
        self.seen.note(key.kind, status)
        self.objects[key] = {**there, "status": status}
        return self.objects[key]

    async def delete(self, key: Key, uid: str) -> None:
        """Delete the object of that uid, with its pods."""
        assert self.objects[key]["metadata"].get("uid", "") == uid
        self._wrote("delete", key)
        self.drop(key)
        for pod in self.list("Pod", key.namespace, {"batch.kubernetes.io/job-name": key.name}):
            self.drop(key_of(pod))

    def _add(self, manifest: Manifest) -> Manifest:
        key = key_of(manifest)
        self._wrote("create", key)
        now = format_time(self.present)
        made = {**manifest, "metadata": {**manifest["metadata"], "uid": self.uid(), "creationTimestamp": now}}
        made["metadata"]["generation"] = 1
        if key.kind in kinds.KINDS:
            kinds.parse(made)
            self.seen.objects += 1
        else:
            self.seen.children += 1
        self.objects[key] = made
        return made

    def _alive(self, owners: list[Manifest]) -> list[Manifest]:
        uids = {manifest["metadata"].get("uid") for manifest in self.objects.values()}
        return [owner for owner in owners if owner["uid"] in uids]

    def _wrote(self, verb: str, key: Key) -> None:
        self.written += 1
        self.seen.writes[f"{verb} {key.kind}"] += 1

    # --- the loop ---

    def _checked(self, planner: Callable[[Any], Plan]) -> Callable[[Any], Plan]:
        def plan(view: Any) -> Plan:
            wanted = planner(view)
            self._planned.update({key: status.dump() for key, status in wanted.statuses.items()})
            self.seen.plans += 1
            properties.check(view, wanted, self)
            if self.twice:
                properties.check_repeated(planner, view, wanted)
            return wanted

        return plan

    def keys(self) -> list[Key]:
        """Return every key that the engine's queue may hold."""
        own = [key for key in self.own() if key.kind != "ModelVersion"]
        models = dict.fromkeys(
            str(manifest["spec"].get("modelName"))
            for key, manifest in self.objects.items()
            if key.kind == "ModelVersion"
        )
        return own + [Key("Model", "team", name) for name in models]

    def round(self) -> list[datetime]:
        """Reconcile every key once; return when they want to be looked at again."""
        again = []
        for key in self.keys():
            try:
                timestamp = finished(self.reconciler.reconcile(key))
            except Conflict:
                # Left over from a namesake: the queue comes back to it.
                self.seen.conflicts += 1
                continue
            if timestamp is not None:
                again.append(timestamp)
        return again

    def settle(self) -> list[datetime]:
        """Let the operator work while nothing else moves, until it writes no more; return when it looks again.

        Fails if that takes too long, or if it would look again at once and for ever.
        """
        for _ in range(MOST_ROUNDS):
            before = self.written
            again = self.round()
            if self.written == before:
                late = [timestamp for timestamp in again if timestamp <= self.present]
                assert not late, f"at rest, and wants to be looked at again at {late} while it is {self.present}"
                return again
        raise AssertionError(f"not at rest after {MOST_ROUNDS} rounds")


def finished(work: Coroutine[Any, Any, Any]) -> Any:
    """Return what a coroutine returns that never waits."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("a reconcile waited for something else than its cluster")
