"""The HorizontalPodAutoscaler controller, after pkg/controller/podautoscaler of Kubernetes 1.34.

What it would measure, the harness says.
"""

from __future__ import annotations

from mlops.engine.cluster import key_of
from mlops.planning.plan import Key, Manifest
from tests.simulation.controllers.client import Client
from tests.simulation.controllers.clockwork import Clockwork, Reactions
from tests.simulation.workloads import Workloads

# The real one looks at each every so many seconds.
_PERIOD = 15.0


class AutoscalerController:
    """Gives a Deployment as many pods as its requests need, within the limits; one without pods it leaves alone."""

    def __init__(self, client: Client, clockwork: Clockwork, workloads: Workloads) -> None:
        self._client, self._workloads = client, workloads
        self._reactions = Reactions(clockwork, self._react, delays=(0.002, _PERIOD))

    def changed(self, manifest: Manifest, *, gone: bool) -> None:
        """Take note of a change: of an autoscaler, or of a Deployment that one may scale."""
        if manifest["kind"] == "HorizontalPodAutoscaler":
            if gone:
                self._reactions.forget_later(key_of(manifest))
            else:
                self._reactions.add(key_of(manifest))
        elif manifest["kind"] == "Deployment" and not gone:
            scaler = key_of(manifest)._replace(kind="HorizontalPodAutoscaler")
            if self._client.get(scaler) is not None:
                self._reactions.add(scaler)

    def _react(self, key: Key) -> None:
        scaler = self._client.get(key)
        if scaler is None or scaler["metadata"].get("deletionTimestamp"):
            return
        self._reactions.add_after(key, _PERIOD, counts=False)
        spec = scaler["spec"]
        deployment = self._client.get(Key("Deployment", key.namespace, spec["scaleTargetRef"]["name"]))
        if deployment is None or deployment["metadata"].get("deletionTimestamp"):
            return
        present = int(deployment["spec"].get("replicas", 1))
        wanted = min(max(self._workloads.servers_needed, spec["minReplicas"]), spec["maxReplicas"])
        if present not in (0, wanted):
            self._client.patch(deployment, {"spec": {"replicas": wanted}})
