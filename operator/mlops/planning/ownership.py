"""Who owns what: ownerReferences mean lifecycle, never provenance."""

from __future__ import annotations

from collections.abc import Iterable

from mlops.api.base import Resource
from mlops.planning.plan import Key, Manifest


def key_of(resource: Resource) -> Key:
    """Return the address of one of the four kinds."""
    return Key(*resource.key)


def owner_of(resource: Resource) -> list[Manifest]:
    """Return the ownerReferences of a child that lives and dies with `resource`.

    Nothing is copied from the owner: labels of a Git tool on the child would make that tool prune it.
    """
    return [_reference(resource) | {"controller": True, "blockOwnerDeletion": True}]


def owned_by_all(resources: Iterable[Resource]) -> list[Manifest]:
    """Return the ownerReferences of a child that lives until the last of `resources` is gone.

    None of them is the controller: the garbage collector removes the child when no owner is left.
    """
    return [_reference(resource) for resource in sorted(resources, key=lambda resource: resource.metadata.name)]


def _reference(resource: Resource) -> Manifest:
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": resource.metadata.name,
        "uid": resource.metadata.uid,
    }


def is_leaving(resource: Resource) -> bool:
    """Return whether the object is being deleted: making children for it now would hold up its deletion."""
    return resource.metadata.deletion_timestamp is not None


def key_and_uid(manifest: Manifest) -> tuple[Key, str]:
    """Return what `Plan.delete` wants of a child that is there."""
    metadata = manifest["metadata"]
    return Key(manifest["kind"], metadata.get("namespace", "default"), metadata["name"]), metadata.get("uid", "")
