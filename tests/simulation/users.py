"""What people do to a cluster: with kubectl, and sometimes with what is not theirs."""

from __future__ import annotations

from mlops.api import labels
from mlops.api.base import format_time
from mlops.cluster.client import JSON, MERGE
from mlops.cluster.kinds import collection_of, path_of
from mlops.engine.cluster import key_of
from mlops.planning.plan import Key, Manifest
from tests.simulation.api_server.server import Answer, ApiServer
from tests.simulation.loop import Loop

TEAM = "team"


class User:
    """A person with kubectl, whose requests arrive at once."""

    def __init__(self, server: ApiServer, loop: Loop) -> None:
        self._server, self._loop = server, loop

    def create(self, manifest: Manifest) -> Answer:
        """Make an object; one that is there stays."""
        return self._request("POST", collection_of(key_of(manifest)), manifest)

    def change(self, key: Key, change: Manifest) -> Answer:
        """Merge a change into an object; None takes a field away."""
        return self._request("PATCH", path_of(key), change, content_type=MERGE)

    def delete(self, key: Key, propagation: str = "Background") -> Answer:
        """Delete an object."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        return self._request("DELETE", path_of(key), body)

    def ask_for_a_sync(self, name: str) -> Answer:
        """Have a Dataset's source synced."""
        timestamp = format_time(self._loop.now())
        return self.change(Key("Dataset", TEAM, name), {"metadata": {"annotations": {labels.REQUESTED_AT: timestamp}}})

    def strip_owners(self, key: Key) -> Answer:
        """Take the owner references off a child."""
        return self.change(key, {"metadata": {"ownerReferences": None}})

    def scale(self, key: Key, replicas: int) -> Answer:
        """Edit what is the operator's: a Deployment's replicas."""
        return self.change(key, {"spec": {"replicas": replicas}})

    def _request(self, method: str, path: str, body: Manifest, content_type: str = JSON) -> Answer:
        return self._server.request(method, path, body=body, content_type=content_type, user="alice")
