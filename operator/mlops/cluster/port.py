"""The engine's port to a cluster, on Kubernetes: reads come from memory, writes go to the API server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mlops.cluster.events import Events
from mlops.cluster.memory import Memory
from mlops.cluster.writer import Writer
from mlops.planning.plan import Key, Manifest


class KubernetesCluster:
    """A Memory and a Writer as one `engine.cluster.Cluster`. Events go to `events`, which does not keep anybody
    waiting; without it they are written like everything else."""

    def __init__(self, memory: Memory, writer: Writer, events: Events | None = None) -> None:
        self._memory, self._writer, self._events = memory, writer, events

    def get(self, key: Key) -> Manifest | None:
        """Return the object, or None."""
        return self._memory.get(key)

    def list(
        self, kind: str, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> Sequence[Manifest]:
        """Return the objects of a kind that carry all `labels`, oldest first."""
        return self._memory.list(kind, namespace, labels)

    def by_field(self, kind: str, namespace: str, field: str, value: str) -> Sequence[Manifest]:
        """Return the objects of a kind whose field has this value, oldest first."""
        return self._memory.by_field(kind, namespace, field, value)

    async def apply(self, manifest: Manifest) -> Manifest:
        """Converge by server-side apply."""
        return await self._writer.apply(manifest)

    async def create(self, manifest: Manifest) -> Manifest:
        """Make the object; raises AlreadyExists with the one that is there. An Event is only taken note of."""
        if self._events is not None and manifest["kind"] == "Event":
            self._events.add(manifest)
            return manifest
        return await self._writer.create(manifest)

    async def write_status(self, seen: Manifest, status: Manifest) -> Manifest:
        """Replace the status of the object that was `seen`."""
        return await self._writer.write_status(seen, status)

    async def delete(self, key: Key, uid: str) -> None:
        """Delete the object if it has that uid."""
        await self._writer.delete(key, uid)
