"""The one Lease object on the API server, for `mlops.cluster.lease`."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from mlops.cluster.client import Client
from mlops.cluster.kinds import collection_of, path_of
from mlops.engine.cluster import FIELD_MANAGER, Conflict, ObjectNotFound
from mlops.planning.plan import Key, Manifest

_QUERY = {"fieldManager": FIELD_MANAGER}


class ApiLease:
    """Implements `lease.LeaseApi`. Its client should be its own: a renewal must not wait behind other requests."""

    def __init__(self, client: Client, namespace: str, name: str, owners: list[Manifest] | None = None) -> None:
        self._client, self._key, self._owners = client, Key("Lease", namespace, name), owners or []

    async def get(self) -> Manifest | None:
        """Return the Lease as it is on the server; None if there is none."""
        try:
            return await self._client.request(self._key, "GET", path_of(self._key))
        except ObjectNotFound:
            return None

    def _owned(self, lease: Manifest) -> Manifest:
        return {**lease, "metadata": {**lease["metadata"], "ownerReferences": self._owners}} if self._owners else lease

    async def create(self, lease: Manifest) -> Manifest:
        """Make it; raises Conflict if there is one."""
        return await self._client.request(self._key, "POST", collection_of(self._key), self._owned(lease), query=_QUERY)

    async def replace(self, lease: Manifest) -> Manifest:
        """Put it in the place of the one with its resourceVersion; raises Conflict if that is not the present one."""
        try:
            return await self._client.request(self._key, "PUT", path_of(self._key), self._owned(lease), query=_QUERY)
        except ObjectNotFound as error:
            raise Conflict(self._key, "is gone") from error


def owners_from(token: Path, namespace: str) -> list[Manifest]:
    """Return an ownerReference to the service account that a mounted token is for; none if it is not of `namespace`.

    So the Lease, which nobody installed, goes when the installation goes. The API server writes the account's uid into
    each token; it is read here without being verified, for a wrong one would only make an object that is collected.
    """
    try:
        payload = token.read_text("utf-8").split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["kubernetes.io"]
        account = claims["serviceaccount"]
        reference = {"apiVersion": "v1", "kind": "ServiceAccount", "name": account["name"], "uid": account["uid"]}
    except (OSError, ValueError, LookupError, TypeError):
        return []
    return [reference] if claims.get("namespace") == namespace else []
