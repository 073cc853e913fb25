"""Requests of a controller, as it makes them of the API server."""

from __future__ import annotations

from typing import Any, Protocol

from mlops.cluster.kinds import collection_of, path_of
from mlops.engine.cluster import key_of
from mlops.planning.plan import Key, Manifest

MERGE = "application/merge-patch+json"
# What the world may do to a controller: the object is gone, is another one by now, or is there already.
_FORESEEN = (404, 409)


class Answer(Protocol):
    """What the API server answers."""

    @property
    def status(self) -> int: ...

    @property
    def body(self) -> Manifest: ...


class Server(Protocol):
    """What the controllers need of the simulated API server."""

    def request(
        self, method: str, path: str, *, query: Any = None, body: Manifest | None = None, content_type: str = ...,
        user: str = ...,
    ) -> Answer: ...  # fmt: skip

    def get(self, key: Key) -> Manifest | None: ...

    def list(self, kind: str) -> list[Manifest]: ...


class RefusedError(Exception):
    """A request that the API server does not allow a controller: a mistake of the simulation."""


class Client:
    """One user's requests. Each returns the object as it is then, None if it is gone or no longer the one that was
    meant."""

    def __init__(self, server: Server, user: str) -> None:
        self._server, self._user = server, user

    def get(self, key: Key, uid: str | None = None) -> Manifest | None:
        """Return the object, if it is the one with that uid."""
        found = self._server.get(key)
        return found if found is not None and uid in (None, found["metadata"]["uid"]) else None

    def create(self, manifest: Manifest) -> Manifest | None:
        """Make an object; None if there is one of that name."""
        return self._request("POST", collection_of(key_of(manifest)), manifest)

    def write_status(self, seen: Manifest, status: Manifest) -> Manifest | None:
        """Replace the status of the object that was seen, if it has not changed since."""
        changes = _difference(seen.get("status") or {}, status)
        return self._patch(seen, {"status": changes}, "status") if changes else seen

    def patch(self, seen: Manifest, changes: Manifest) -> Manifest | None:
        """Merge changes into the object that was seen, if it has not changed since."""
        return self._patch(seen, changes, None)

    def list(self, kind: str) -> list[Manifest]:
        """Return all objects of a kind, oldest first."""
        return self._server.list(kind)

    def delete(self, seen: Manifest, *, policy: str | None = None, grace: int | None = None) -> Manifest | None:
        """Delete the object that was seen."""
        body: Manifest = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": seen["metadata"]["uid"]},
            **({"propagationPolicy": policy} if policy else {}),
            **({"gracePeriodSeconds": grace} if grace is not None else {}),
        }
        return self._request("DELETE", path_of(key_of(seen)), body)

    def bind(self, pod: Manifest, node: str) -> bool:
        """Give a pod its node; return whether it has one now."""
        key = key_of(pod)
        metadata = {"name": key.name, "namespace": key.namespace}
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": metadata,
            "target": {"kind": "Node", "name": node},
        }
        return self._request("POST", path_of(key, "binding"), binding) is not None

    def _patch(self, seen: Manifest, changes: Manifest, subresource: str | None) -> Manifest | None:
        metadata = {**changes.get("metadata", {}), "resourceVersion": seen["metadata"]["resourceVersion"]}
        metadata["uid"] = seen["metadata"]["uid"]
        return self._request("PATCH", path_of(key_of(seen), subresource), {**changes, "metadata": metadata}, MERGE)

    def _request(
        self, method: str, path: str, body: Manifest, content_type: str = "application/json"
    ) -> Manifest | None:
        query = {} if method == "DELETE" else {"fieldManager": self._user}
        answer = self._server.request(method, path, query=query, body=body, content_type=content_type, user=self._user)
        if answer.status < 300:
            return answer.body
        if answer.status in _FORESEEN:
            return None
        raise RefusedError(f"{self._user}: {method} {path}: {answer.status} {answer.body.get('message')}")


def _difference(before: Manifest, after: Manifest) -> Manifest:
    """Return the merge patch from one mapping to another."""
    changes: Manifest = {name: None for name in before if name not in after}
    for name, value in after.items():
        old = before.get(name)
        if isinstance(old, dict) and isinstance(value, dict):
            if inner := _difference(old, value):
                changes[name] = inner
        elif name not in before or old != value:
            changes[name] = value
    return changes
