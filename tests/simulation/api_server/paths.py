"""Request paths: which kind, which object, which part of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from mlops.planning.plan import Key
from tests.simulation.api_server import errors
from tests.simulation.api_server.resources import Resource, served


@dataclass(frozen=True)
class Target:
    """What a path names. Without a name it is a collection; without a namespace, that of all namespaces."""

    resource: Resource
    namespace: str | None
    name: str | None
    subresource: str

    @property
    def key(self) -> Key:
        """The object's key."""
        return Key(self.resource.kind, self.namespace or "", self.name or "")


@lru_cache(maxsize=65536)
def target_of(path: str) -> Target:
    """Read a path. Raises ApiError (404) if nothing is served there."""
    parts = path.strip("/").split("/")
    if parts[0] == "api":
        group, rest = "", parts[1:]
    elif parts[0] == "apis" and len(parts) > 1:
        group, rest = parts[1], parts[2:]
    else:
        raise errors.no_such_path()
    if len(rest) < 2:
        raise errors.no_such_path()
    version, rest = rest[0], rest[1:]
    namespace = None
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    resource = served().get((group, version, rest[0]))
    if resource is None or len(rest) > 3 or (namespace is None and len(rest) > 1):
        raise errors.no_such_path()
    subresource = rest[2] if len(rest) > 2 else ""
    binding = resource.kind == "Pod" and subresource == "binding"
    if subresource and not binding and not (subresource == "status" and resource.status):
        raise errors.not_found(group, rest[0], rest[1]) if resource.unstructured else errors.no_such_path()
    return Target(resource, namespace, rest[1] if len(rest) > 1 else None, subresource)
