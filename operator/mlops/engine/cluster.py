"""The port to a cluster: reading from memory, writing through few verbs, and the ways in which a write can fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from mlops.engine.over import reader_of
from mlops.planning.plan import Key, Manifest

FIELD_MANAGER = "mlops-operator"

# The API group and version of every kind that the engine touches, beside the four of its own.
API_VERSIONS = {
    "Job": "batch/v1",
    "CronJob": "batch/v1",
    "Deployment": "apps/v1",
    "Service": "v1",
    "ConfigMap": "v1",
    "PodDisruptionBudget": "policy/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "Pod": "v1",
    "Event": "events.k8s.io/v1",
}
# Who watches is told of an object before and after a change; None: there was none, there is none any more.
Watcher = Callable[[Manifest | None, Manifest | None], None]


class ClusterError(Exception):
    """A request that the cluster did not carry out; `key` is the object it was about."""

    def __init__(self, key: Key, message: str) -> None:
        super().__init__(f"{key.kind} {key.namespace}/{key.name}: {message}")
        self.key = key


class Conflict(ClusterError):
    """The object is not the one that was seen: read again, plan again."""


class AlreadyExists(ClusterError):
    """There is an object of that name; `present` is it."""

    def __init__(self, key: Key, present: Manifest) -> None:
        super().__init__(key, "already exists")
        self.present = present


class ObjectNotFound(ClusterError):
    """There is no such object."""


class Ending(ClusterError):
    """The namespace is being deleted, or gone: nothing can be made in it any more, and what is in it goes too."""


class Invalid(ClusterError):
    """The cluster refuses the object's content: trying again cannot help."""


class Refused(ClusterError):
    """The cluster does not let this be made as things are: a quota is used up, a policy forbids it. That may change
    without anybody touching the object."""


class Unavailable(ClusterError):
    """The cluster cannot be reached, or may not be used, right now."""


class NotAllowed(Unavailable):
    """Every such write is refused right now: a right is missing, or a webhook that has to be asked does not answer."""


class Reader(Protocol):
    """What is known of the cluster, from memory. Manifests are shared: nobody changes one in place."""

    def get(self, key: Key) -> Manifest | None:
        """Return the object, or None."""

    def list(
        self, kind: str, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> Sequence[Manifest]:
        """Return the objects of a kind that carry all `labels`, oldest first."""

    def by_field(self, kind: str, namespace: str, field: str, value: str) -> Sequence[Manifest]:
        """Return the objects of a kind whose `field`, one of FIELDS, has this value, oldest first."""


class Writer(Protocol):
    """What the engine does to the cluster. Every verb raises a ClusterError if it was not done."""

    async def apply(self, manifest: Manifest) -> Manifest:
        """Converge: server-side apply, one field manager, forced. Returns the object as it is then.

        If the manifest names a resourceVersion, only over the object as it was then; else raises Conflict.
        """

    async def create(self, manifest: Manifest) -> Manifest:
        """Make the object; raises AlreadyExists with the one that is there."""

    async def write_status(self, seen: Manifest, status: Manifest) -> Manifest:
        """Replace the status of the object that was `seen`; raises Conflict if it has changed since."""

    async def delete(self, key: Key, uid: str) -> None:
        """Delete the object if it has that uid; one that is gone is no error, another of its name is left alone."""


class Cluster(Reader, Writer, Protocol):
    """The whole port."""


class Clock(Protocol):
    """The cluster's time, which a replay may drive."""

    def now(self) -> datetime:
        """Return the current time, in UTC."""

    def call_at(self, timestamp: datetime, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` once the clock shows `timestamp`; returns what cancels it."""


def key_of(manifest: Manifest) -> Key:
    """Return the address of a manifest."""
    metadata = manifest["metadata"]
    return Key(str(manifest["kind"]), str(metadata.get("namespace", "default")), str(metadata["name"]))


def field_of(manifest: Manifest, path: str) -> Any:
    """Return what stands at a path such as `spec.modelName`, or None: also of an object that does not parse."""
    return reader_of(path)(manifest)


def labels_of(manifest: Manifest) -> Mapping[str, str]:
    """Return a manifest's labels."""
    labels: Mapping[str, str] = manifest["metadata"].get("labels") or {}
    return labels


def annotations_of(manifest: Manifest) -> Mapping[str, str]:
    """Return a manifest's annotations."""
    annotations: Mapping[str, str] = manifest["metadata"].get("annotations") or {}
    return annotations


def owners_of(manifest: Manifest) -> list[Manifest]:
    """Return a manifest's ownerReferences."""
    return list(manifest["metadata"].get("ownerReferences") or ())
