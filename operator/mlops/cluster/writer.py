"""The engine's port to a cluster, on Kubernetes: reads come from memory, and a write is one request to the API server,
with the operator's own field manager."""

from __future__ import annotations

from collections.abc import Callable

from mlops.api import labels
from mlops.cluster.client import APPLY, MERGE, Client
from mlops.cluster.events import Events
from mlops.cluster.fetch import fetch
from mlops.cluster.kinds import collection_of, path_of
from mlops.cluster.memory import Memory
from mlops.engine.cluster import (
    FIELD_MANAGER,
    AlreadyExists,
    Conflict,
    Invalid,
    ObjectNotFound,
    Unavailable,
    annotations_of,
    key_of,
    labels_of,
)
from mlops.engine.comparing import covers, unconditional
from mlops.planning.plan import Key, Manifest


class KubernetesCluster:
    """A Client and a Memory as one `engine.cluster.Cluster`.

    What was written is in memory when a verb returns, so the next plan sees it although the watch is late.

    `allowed` is asked right before each write: only the holder of the Lease may write. Events go to `events`, which
    keeps nobody waiting; without it they are written like everything else.
    """

    def __init__(
        self, client: Client, memory: Memory, allowed: Callable[[], bool], events: Events | None = None
    ) -> None:
        self._client, self._memory, self._allowed, self._events = client, memory, allowed, events
        self.get, self.list, self.by_field = memory.get, memory.list, memory.by_field

    async def apply(self, manifest: Manifest) -> Manifest:
        """Converge: server-side apply, and what that leaves of others' edits is replaced.

        It is forced only upon an object that is known to be ours: a stranger's of the same name is not overwritten,
        but found, and the next round sees whose it is.
        """
        key = key_of(manifest)
        known = self._memory.get(key)
        if known is None or labels_of(known).get(labels.MANAGED_BY) != labels.MANAGER:
            return await self._apply_first(key, manifest)
        least = annotations_of(manifest).get(labels.LEAST_REPLICAS)
        if least is not None and least != (before := annotations_of(known).get(labels.LEAST_REPLICAS)):
            await self._hand_over_replicas(key, known, int(least), scaled_before=before is not None)
        try:
            applied = await self._apply(key, manifest, force=True)
        except Invalid:
            # A Service's port that somebody renumbered would stand twice in the merged list. If it is the manifest
            # that is invalid, this is refused too.
            return await self._replace(key, manifest)
        content = unconditional(manifest)
        if covers(applied, content):
            return applied
        # Server-side apply leaves items in lists alone that others put there: a variable, a port. Owners may stay.
        kept = {name: value for name, value in content["metadata"].items() if name != "ownerReferences"}
        return await self._replace(key, {**manifest, "metadata": kept})

    async def create(self, manifest: Manifest) -> Manifest:
        """Make the object; raises AlreadyExists with the one that is there. An Event is only taken note of."""
        if self._events is not None and manifest["kind"] == "Event":
            self._events.add(manifest)
            return manifest
        key = key_of(manifest)
        query = {"fieldManager": FIELD_MANAGER}
        try:
            return await self._write(key, "POST", collection_of(key), manifest, query=query)
        except Conflict as error:
            present = self._memory.get(key) or await fetch(self._client, self._memory, key)
            if present is None:
                raise
            raise AlreadyExists(key, present) from error

    async def write_status(self, seen: Manifest, status: Manifest) -> Manifest:
        """Replace the status of the object that was `seen`; raises Conflict if it has changed since, or is
        gone."""
        key = key_of(seen)
        # The resourceVersion guards: whoever sees an old state cannot overwrite a newer one. All fields of the status
        # are this manager's, so what is not in this one is taken away.
        body = {
            "apiVersion": seen["apiVersion"],
            "kind": seen["kind"],
            "metadata": {
                "name": key.name,
                "namespace": key.namespace,
                "resourceVersion": seen["metadata"]["resourceVersion"],
            },
            "status": status,
        }
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        try:
            return await self._write(key, "PATCH", path_of(key, "status"), body, content_type=APPLY, query=query)
        except ObjectNotFound as error:
            # Deleted just now: its watch will say so.
            raise Conflict(key, str(error)) from error

    async def delete(self, key: Key, uid: str) -> None:
        """Delete the object if it has that uid; one that is gone is no error, another of its name is left alone."""
        body: Manifest = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": uid},
        }
        self._check_allowed(key)
        try:
            answer = await self._client.request(key, "DELETE", path_of(key), body)
        except (ObjectNotFound, Conflict):
            return
        if answer.get("kind") == key.kind:
            # It is still there, on its way out.
            self._memory.take(answer)

    async def _apply_first(self, key: Key, manifest: Manifest) -> Manifest:
        # An apply that is not forced conflicts only over fields that both have: a stranger's object with other ones
        # would become ours.
        if await fetch(self._client, self._memory, key) is not None:
            raise Conflict(key, "there is an object of that name")
        try:
            return await self._apply(key, manifest, force=False)
        except (Conflict, Invalid) as error:
            if await fetch(self._client, self._memory, key) is None:
                raise
            raise Conflict(key, f"there is an object of that name: {error}") from error

    async def _hand_over_replicas(self, key: Key, known: Manifest, least: int, *, scaled_before: bool) -> None:
        """Have a Deployment keep its number of pods when an autoscaler is to set it from now on.

        Server-side apply takes away what no manager holds any more, and one pod would be left. Another manager holds
        the number as it is until the autoscaler changes it. Of none it makes the least number: a
        HorizontalPodAutoscaler takes no pods for the wish that there be none, and would leave it at that.
        """
        replicas = known["spec"].get("replicas", 1)
        none_yet = replicas == 0 and least > 0
        if scaled_before and not none_yet:
            return
        held = {
            "apiVersion": known["apiVersion"],
            "kind": known["kind"],
            "metadata": {"name": key.name, "namespace": key.namespace},
            "spec": {"replicas": least if none_yet else replicas},
        }
        query = {"fieldManager": f"{FIELD_MANAGER}-replicas", "force": str(none_yet).lower()}
        try:
            await self._write(key, "PATCH", path_of(key), held, content_type=APPLY, query=query)
        except Conflict:
            # Somebody has changed it meanwhile, and holds it.
            there = await fetch(self._client, self._memory, key)
            if there is not None and there["spec"].get("replicas") == 0:
                await self._hand_over_replicas(key, there, least, scaled_before=True)

    async def _apply(self, key: Key, manifest: Manifest, *, force: bool) -> Manifest:
        query = {"fieldManager": FIELD_MANAGER, "force": str(force).lower()}
        return await self._write(key, "PATCH", path_of(key), manifest, content_type=APPLY, query=query)

    async def _replace(self, key: Key, manifest: Manifest) -> Manifest:
        """Replace the fields of the manifest, lists as a whole."""
        query = {"fieldManager": FIELD_MANAGER}
        return await self._write(key, "PATCH", path_of(key), manifest, content_type=MERGE, query=query)

    async def _write(self, key: Key, method: str, path: str, body: Manifest, **how: object) -> Manifest:
        self._check_allowed(key)
        answer = await self._client.request(key, method, path, body, **how)  # type: ignore[arg-type]
        self._memory.take(answer)
        return answer

    def _check_allowed(self, key: Key) -> None:
        if not self._allowed():
            raise Unavailable(key, "not written: this process does not hold the Lease")
