"""One manifest of each kind, and a cluster that notes what is written to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlops.api import labels
from mlops.api.base import API_VERSION
from mlops.engine.cluster import key_of
from mlops.local.clock import VirtualClock
from mlops.local.cluster import USER, LocalCluster
from mlops.local.records import Records
from mlops.planning.plan import Key, Manifest

DIGEST = "sha256:" + "a" * 64


def an_object(kind: str, name: str, spec: Manifest, **metadata: Any) -> Manifest:
    """Return an object of one of the four kinds."""
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name, "namespace": "default", **metadata},
        "spec": spec,
    }


def a_dataset(name: str = "rain", **changes: Any) -> Manifest:
    """Return a Dataset that Ridge can learn from."""
    fields = [{"name": "x", "type": "float64"}, {"name": "mm", "type": "float64", "role": "label"}]
    spec = {"source": {"s3": {"uri": "s3://raw/rain.parquet"}}, "fields": fields}
    return an_object("Dataset", name, {**spec, **changes})


def a_run(name: str = "rain-1", *, metadata: Manifest | None = None, **changes: Any) -> Manifest:
    """Return a TrainingRun on the Dataset `rain`."""
    spec = {"datasetRef": {"name": "rain"}, "trainer": {"estimator": {"name": "Ridge"}}}
    return an_object("TrainingRun", name, {**spec, **changes}, **(metadata or {}))


def a_version(name: str = "rain-v1", *, metadata: Manifest | None = None, **changes: Any) -> Manifest:
    """Return a ModelVersion of the model `rain`."""
    spec: Manifest = {"modelName": "rain", "version": 1}
    if "source" not in changes:
        spec["artifact"] = {"digest": DIGEST}
    return an_object("ModelVersion", name, {**spec, **changes}, **(metadata or {}))


def a_monitor(name: str = "watch", **changes: Any) -> Manifest:
    """Return a DriftMonitor of the model `rain`."""
    spec = {
        "targetRef": {"modelName": "rain"},
        "schedule": "0 * * * *",
        "window": {"duration": "24h"},
        "checks": [{"name": "inputs", "type": "DataDrift"}],
        "trainingRunRef": {"name": "rain-template"},
    }
    return an_object("DriftMonitor", name, {**spec, **changes})


def a_child(kind: str, name: str, owner: Manifest | None = None, **own_labels: str) -> Manifest:
    """Return a child as a planner makes it: our labels, owned by `owner`."""
    metadata: Manifest = {"name": name, "namespace": "default", "labels": labels.standard("test", name, **own_labels)}
    if owner is not None:
        metadata["ownerReferences"] = [
            {
                "apiVersion": API_VERSION,
                "kind": owner["kind"],
                "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"],
                "controller": True,
            }
        ]
    versions = {"Job": "batch/v1", "CronJob": "batch/v1", "Deployment": "apps/v1"}
    return {"apiVersion": versions.get(kind, "v1"), "kind": kind, "metadata": metadata, "spec": {"suspend": True}}


class NotedCluster(LocalCluster):
    """A real local cluster that keeps a list of the engine's writes, and can be told to refuse the next ones."""

    def __init__(self, folder: Path, clock: VirtualClock) -> None:
        self.records = Records(folder)
        super().__init__(self.records, clock)
        self.writes: list[tuple[str, str, str]] = []
        self.faults: list[Exception] = []

    def by_user(self, manifest: Manifest) -> Manifest:
        """Apply as a user does."""
        return self.apply_as(USER, manifest)[0]

    def now(self, kind: str, name: str) -> Manifest:
        """Return an object that must be there."""
        found = self.get(Key(kind, "default", name))
        assert found is not None
        return found

    def condition(self, kind: str, name: str, type_: str) -> tuple[str, str] | None:
        """Return (status, reason) of a condition."""
        conditions = self.now(kind, name).get("status", {}).get("conditions", ())
        return next(((c["status"], c["reason"]) for c in conditions if c["type"] == type_), None)

    def _note(self, verb: str, key: Key) -> None:
        if key.kind != "Event":
            if self.faults:
                raise self.faults.pop(0)
            self.writes.append((verb, key.kind, key.name))

    async def apply(self, manifest: Manifest) -> Manifest:
        self._note("apply", key_of(manifest))
        return await super().apply(manifest)

    async def create(self, manifest: Manifest) -> Manifest:
        self._note("create", key_of(manifest))
        return await super().create(manifest)

    async def write_status(self, seen: Manifest, status: Manifest) -> Manifest:
        self._note("status", key_of(seen))
        return await super().write_status(seen, status)

    async def delete(self, key: Key, uid: str) -> None:
        self._note("delete", key)
        await super().delete(key, uid)
