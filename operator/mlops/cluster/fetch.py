"""A look at one object by its name: it finds what no watch shows, since it is not marked as ours."""

from __future__ import annotations

from mlops.cluster.client import Client
from mlops.cluster.kinds import collection_of
from mlops.cluster.memory import Memory
from mlops.planning.plan import Key, Manifest


async def fetch(client: Client, memory: Memory, key: Key) -> Manifest | None:
    """Return what is there under a name, and have memory know it. A list by name needs no permission beside the one
    that watching needs."""
    query = {"fieldSelector": f"metadata.name={key.name}"}
    found = await client.request(key, "GET", collection_of(key), query=query)
    items = [{"apiVersion": found["apiVersion"], "kind": key.kind, **item} for item in found.get("items") or ()]
    memory.take_found(key, items[0] if items else None)
    return memory.get(key)
