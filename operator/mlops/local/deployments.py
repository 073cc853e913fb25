"""The Deployment controller: rolling updates that never take away a pod before its successor is ready."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import secrets

from mlops.api.base import format_time
from mlops.engine.cluster import Clock, key_of, owners_of
from mlops.local.cluster import LocalCluster
from mlops.local.node import Node
from mlops.local.pods import is_ready
from mlops.planning.plan import Key, Manifest

TEMPLATE_HASH = "pod-template-hash"


class DeploymentController:
    """One task per Deployment; each looks at its pods again whenever one of them or the Deployment changes."""

    def __init__(self, cluster: LocalCluster, node: Node, clock: Clock) -> None:
        self._cluster, self._node, self._clock = cluster, node, clock
        self._rollouts: dict[str, _Rollout] = {}
        self._closing = False

    def start(self) -> None:
        """Take up every Deployment, and from now on each that is made."""
        self._cluster.watch(self._on_change)
        for deployment in self._cluster.list("Deployment"):
            self._on_change(None, deployment)

    @property
    def busy_with(self) -> list[str]:
        """Return the Deployments that are neither rolled out nor given up."""
        return [f"Deployment {rollout.key.name}" for rollout in self._rollouts.values() if not rollout.settled]

    async def close(self) -> None:
        """Stop working on Deployments; their pods are the node's to stop."""
        self._closing = True
        for rollout in self._rollouts.values():
            rollout.task.cancel()
        await asyncio.gather(*(rollout.task for rollout in self._rollouts.values()), return_exceptions=True)

    def _on_change(self, old: Manifest | None, new: Manifest | None) -> None:
        manifest = new or old
        if manifest is None or self._closing:
            return
        uid = manifest["metadata"]["uid"]
        if manifest["kind"] == "Pod":
            for reference in owners_of(manifest):
                if rollout := self._rollouts.get(reference["uid"]):
                    rollout.touch()
        elif manifest["kind"] == "HorizontalPodAutoscaler":
            for rollout in self._rollouts.values():
                if rollout.key == key_of(manifest)._replace(kind="Deployment"):
                    rollout.touch()
        elif manifest["kind"] == "Deployment" and new is None:
            if rollout := self._rollouts.pop(uid, None):
                rollout.task.cancel()
        elif manifest["kind"] == "Deployment":
            if uid not in self._rollouts:
                self._rollouts[uid] = _Rollout(key_of(manifest), uid, self._cluster, self._node, self._clock)
            self._rollouts[uid].touch()


class _Rollout:
    """Brings the pods of one Deployment to its spec."""

    def __init__(self, key: Key, uid: str, cluster: LocalCluster, node: Node, clock: Clock) -> None:
        self.key, self._uid = key, uid
        self._cluster, self._node, self._clock = cluster, node, clock
        self._touched = asyncio.Event()
        self._progress: tuple[object, float] = (None, 0.0)
        self._alarm: asyncio.TimerHandle | None = None
        self.settled = False
        self.task = asyncio.create_task(self._run(), name=f"Deployment {key.name}")

    def touch(self) -> None:
        """Have it look again."""
        self.settled = False
        self._touched.set()

    async def _run(self) -> None:
        try:
            while True:
                await self._touched.wait()
                self._touched.clear()
                self._sync()
        finally:
            if self._alarm:
                self._alarm.cancel()

    def _sync(self) -> None:
        deployment = self._cluster.get(self.key)
        if deployment is None or deployment["metadata"]["uid"] != self._uid:
            return
        template_hash = _hash(deployment["spec"]["template"])
        pods = self._pods()
        current = [pod for pod in pods if pod["metadata"]["labels"].get(TEMPLATE_HASH) == template_hash]
        old = [pod for pod in pods if pod["metadata"]["labels"].get(TEMPLATE_HASH) != template_hash]
        self._roll(deployment, current, old, template_hash)
        self._report(deployment, template_hash)

    def _roll(self, deployment: Manifest, current: list[Manifest], old: list[Manifest], template_hash: str) -> None:
        spec = deployment["spec"]
        replicas = self._replicas(deployment)
        surge, unavailable = _limits(spec, replicas)
        for pod in current[replicas:]:
            self._stop(pod)
        current = current[:replicas]
        missing = min(replicas - len(current), replicas + surge - len(current) - len(old))
        for _ in range(missing):
            self._node.start(self._node.create(_pod_of(deployment, template_hash)))
        # An old pod that is not ready serves nobody; a ready one goes only if enough others are ready.
        spare = sum(map(is_ready, [*current, *old])) - (replicas - unavailable)
        for pod in sorted(old, key=is_ready):
            if not is_ready(pod):
                self._stop(pod)
            elif spare > 0:
                spare -= 1
                self._stop(pod)

    def _replicas(self, deployment: Manifest) -> int:
        """Return how many pods are wanted. Nothing is measured here: an autoscaler has its least number."""
        scaler = self._cluster.get(self.key._replace(kind="HorizontalPodAutoscaler"))
        least = 1 if scaler is None else scaler["spec"]["minReplicas"]
        return int(deployment["spec"].get("replicas", least))

    def _stop(self, pod: Manifest) -> None:
        running = self._node.running.get(pod["metadata"]["uid"])
        if running is None:
            self._cluster.remove(key_of(pod))
        else:
            running.begin_stop()

    def _pods(self) -> list[Manifest]:
        """Return the Deployment's pods that are not already going."""
        return [
            pod
            for pod in self._cluster.list("Pod", self.key.namespace)
            if pod["metadata"].get("deletionTimestamp") is None
            and any(reference["uid"] == self._uid for reference in owners_of(pod))
        ]

    def _report(self, deployment: Manifest, template_hash: str) -> None:
        replicas = self._replicas(deployment)
        pods = self._pods()
        updated = [pod for pod in pods if pod["metadata"]["labels"].get(TEMPLATE_HASH) == template_hash]
        ready = [pod for pod in pods if is_ready(pod)]
        generation = deployment["metadata"].get("generation", 1)
        complete = len(pods) == len(updated) == replicas and len(ready) == replicas
        counts = {
            "replicas": len(pods),
            "updatedReplicas": len(updated),
            "readyReplicas": len(ready),
            "availableReplicas": len(ready),
        }
        expired = self._expired((generation, tuple(counts.values())), deployment, complete)
        status = {
            "observedGeneration": generation,
            **{name: count for name, count in counts.items() if count},
            **({"unavailableReplicas": replicas - len(ready)} if len(ready) < replicas else {}),
            "conditions": self._conditions(deployment, len(ready), complete, expired),
        }
        self._cluster.set_status(self.key, status)
        # The write above comes back as a change; nothing was changed by it.
        self.settled = complete or expired
        self._touched.clear()

    def _expired(self, state: object, deployment: Manifest, complete: bool) -> bool:
        """Return whether nothing has progressed for progressDeadlineSeconds; looks again when that will be so."""
        loop = asyncio.get_running_loop()
        if self._progress[0] != state:
            self._progress = (state, loop.time())
        if self._alarm:
            self._alarm.cancel()
        deadline = self._progress[1] + deployment["spec"].get("progressDeadlineSeconds", 600)
        if complete:
            return False
        if loop.time() < deadline:
            self._alarm = loop.call_at(deadline, self.touch)
        return bool(loop.time() >= deadline)

    def _conditions(self, deployment: Manifest, ready: int, complete: bool, expired: bool) -> list[Manifest]:
        replicas = self._replicas(deployment)
        enough = ready >= replicas - _limits(deployment["spec"], replicas)[1]
        if complete:
            progressing = ("True", "NewReplicaSetAvailable", "every pod of the newest template is ready")
        elif expired:
            progressing = ("False", "ProgressDeadlineExceeded", "no pod became ready within progressDeadlineSeconds")
        else:
            progressing = ("True", "ReplicaSetUpdated", "pods of the newest template are being started")
        available = (
            ("True", "MinimumReplicasAvailable", "enough pods are ready")
            if enough
            else ("False", "MinimumReplicasUnavailable", "not enough pods are ready")
        )
        before = {c["type"]: c for c in deployment.get("status", {}).get("conditions", ())}
        now = format_time(self._clock.now())
        return [
            {
                "type": type_,
                "status": status,
                "reason": reason,
                "message": message,
                "lastTransitionTime": before[type_]["lastTransitionTime"]
                if before.get(type_, {}).get("status") == status
                else now,
            }
            for type_, (status, reason, message) in (("Available", available), ("Progressing", progressing))
        ]


def _hash(template: Manifest) -> str:
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]


def _limits(spec: Manifest, replicas: int) -> tuple[int, int]:
    """Return (maxSurge, maxUnavailable) in pods."""
    strategy = spec.get("strategy", {})
    if strategy.get("type") == "Recreate":
        return 0, replicas
    rolling = strategy.get("rollingUpdate", {})
    surge = math.ceil(_amount(rolling.get("maxSurge", "25%"), replicas))
    unavailable = math.floor(_amount(rolling.get("maxUnavailable", "25%"), replicas))
    # Both 0 would be no update at all.
    return (surge, unavailable) if surge or unavailable else (1, 0)


def _amount(value: int | str, replicas: int) -> float:
    return value if isinstance(value, int) else int(value.removesuffix("%")) * replicas / 100


def _pod_of(deployment: Manifest, template_hash: str) -> Manifest:
    template, metadata = deployment["spec"]["template"], deployment["metadata"]
    given = template.get("metadata", {})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **given,
            "name": f"{metadata['name'][:46]}-{template_hash}-{secrets.token_hex(3)[:5]}",
            "namespace": metadata["namespace"],
            "labels": {**given.get("labels", {}), TEMPLATE_HASH: template_hash},
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "Deployment",
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                    "controller": True,
                }
            ],
        },
        "spec": template["spec"],
    }
