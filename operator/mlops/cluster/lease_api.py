"""The one Lease object on the API server, for `mlops.cluster.lease`."""

from __future__ import annotations

from mlops.cluster.client import Client
from mlops.cluster.kinds import collection_of, path_of
from mlops.engine.cluster import FIELD_MANAGER, Conflict, NotFound
from mlops.planning.plan import Key, Manifest

_QUERY = {"fieldManager": FIELD_MANAGER}


class ApiLease:
    """Implements `lease.LeaseApi`. Its client should be its own: a renewal must not wait behind other requests."""

    def __init__(self, client: Client, namespace: str, name: str) -> None:
        self._client, self._key = client, Key("Lease", namespace, name)

    async def get(self) -> Manifest | None:
        """Return the Lease as it is on the server; None if there is none."""
        try:
            return await self._client.request(self._key, "GET", path_of(self._key))
        except NotFound:
            return None

    async def create(self, lease: Manifest) -> Manifest:
        """Make it; raises Conflict if there is one."""
        return await self._client.request(self._key, "POST", collection_of(self._key), lease, query=_QUERY)

    async def replace(self, lease: Manifest) -> Manifest:
        """Put it in the place of the one with its resourceVersion; raises Conflict if that is not the present one."""
        try:
            return await self._client.request(self._key, "PUT", path_of(self._key), lease, query=_QUERY)
        except NotFound as error:
            raise Conflict(self._key, "is gone") from error
