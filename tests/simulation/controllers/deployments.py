"""The Deployment controller with its ReplicaSets, after pkg/controller/deployment of Kubernetes 1.34.

A ReplicaSet is no object here: it is a size, and what was last seen of its pods, by the hash of its template. The two
controllers still look one after the other, so a Deployment's status is as late as in a real cluster.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from datetime import timedelta

from mlops.api.base import parse_time
from mlops.engine.cluster import key_of, labels_of, owners_of
from mlops.planning.plan import Key, Manifest
from tests.simulation.controllers import pods as a_pod
from tests.simulation.controllers.client import Client
from tests.simulation.controllers.clockwork import Clockwork, Reactions
from tests.simulation.controllers.conditions import find, replaced
from tests.simulation.controllers.graph import Graph

HASH = "pod-template-hash"
_AVAILABLE, _PROGRESSING = "Available", "Progressing"
_DONE, _TIMED_OUT = "NewReplicaSetAvailable", "ProgressDeadlineExceeded"


@dataclass
class _ReplicaSet:
    """How many pods of one template are wanted, and how many were there when last looked at."""

    template: Manifest
    size: int = 0
    # The Deployment's size when this one was last scaled.
    desired: int = 0
    replicas: int = 0
    ready: int = 0


@dataclass
class _Rollout:
    """The ReplicaSets of one Deployment by template hash, oldest first."""

    sets: dict[str, _ReplicaSet] = field(default_factory=dict)


class DeploymentController:
    """Rolls Deployments out; a pod of the template before goes only when one of the new is ready."""

    def __init__(self, client: Client, clockwork: Clockwork, graph: Graph) -> None:
        self._client, self._clockwork, self._graph = client, clockwork, graph
        self._reactions = Reactions(clockwork, self._react, delays=(0.002, 0.3))
        self._replica_sets = Reactions(clockwork, self._react_to_pods, delays=(0.002, 0.3))
        self._rollouts: dict[str, _Rollout] = {}

    def changed(self, manifest: Manifest, *, gone: bool) -> None:
        """Take note of a change."""
        if manifest["kind"] == "Deployment":
            key = key_of(manifest)
            if gone:
                self._reactions.forget_later(key)
                self._rollouts.pop(manifest["metadata"]["uid"], None)
            else:
                self._reactions.add(key)
        elif manifest["kind"] == "Pod":
            for owner in owners_of(manifest):
                if owner["kind"] == "Deployment" and owner["uid"] in self._graph.alive:
                    self._replica_sets.add(self._graph.alive[owner["uid"]])

    # --- the Deployment ---

    def _react(self, key: Key) -> None:
        deployment = self._client.get(key)
        if deployment is None:
            return
        uid = deployment["metadata"]["uid"]
        if uid not in self._rollouts:
            self._rollouts[uid] = self._adopted(deployment)
        rollout = self._rollouts[uid]
        status = dict(deployment.get("status") or {})
        conditions = list(status.get("conditions") or ())
        if deployment["metadata"].get("deletionTimestamp"):
            self._write(deployment, rollout, conditions)
            return
        wanted = int(deployment["spec"].get("replicas", 1))
        if any(each.size and each.desired != wanted for each in rollout.sets.values()):
            self._scale(deployment, rollout)
            self._write(deployment, rollout, conditions)
            return
        conditions = self._with_current(deployment, rollout, conditions)
        current = rollout.sets[template_hash(deployment)]
        old = [each for each in rollout.sets.values() if each is not current]
        if not self._grow(deployment, rollout, current):
            self._shrink(deployment, rollout, current, old)
        self._write(deployment, rollout, self._progress(deployment, rollout, conditions))

    def _adopted(self, deployment: Manifest) -> _Rollout:
        """Return what is there already: pods that lost a Deployment of the same selector become this one's."""
        rollout = _Rollout()
        selector = deployment["spec"]["selector"].get("matchLabels", {})
        owner = a_pod.made(deployment["spec"]["template"], deployment, "", self._clockwork.random)
        reference = owner["metadata"]["ownerReferences"]
        for pod in self._client.list("Pod"):
            if owners_of(pod) or pod["metadata"]["namespace"] != deployment["metadata"]["namespace"]:
                continue
            own = labels_of(pod)
            if HASH in own and not a_pod.is_going(pod) and selector.items() <= own.items():
                found = rollout.sets.setdefault(own[HASH], _ReplicaSet({"spec": pod["spec"]}))
                found.size += 1
                found.desired = int(deployment["spec"].get("replicas", 1))
                self._client.patch(pod, {"metadata": {"ownerReferences": reference}})
        return rollout

    def _with_current(self, deployment: Manifest, rollout: _Rollout, conditions: list[Manifest]) -> list[Manifest]:
        """Make the ReplicaSet of the present template if there is none; return the conditions with that said."""
        name = template_hash(deployment)
        if name in rollout.sets:
            if find(conditions, _PROGRESSING) is None:
                return self._said(conditions, _PROGRESSING, "True", "FoundNewReplicaSet", "found")
            return conditions
        rollout.sets[name] = _ReplicaSet(deployment["spec"]["template"])
        self._grow(deployment, rollout, rollout.sets[name])
        return self._said(conditions, _PROGRESSING, "True", "NewReplicaSetCreated", "Created new replica set")

    def _grow(self, deployment: Manifest, rollout: _Rollout, current: _ReplicaSet) -> bool:
        wanted = int(deployment["spec"].get("replicas", 1))
        if current.size == wanted:
            return False
        if current.size > wanted:
            self._resize(deployment, current, wanted)
            return True
        total = sum(each.size for each in rollout.sets.values())
        more = min(wanted + _limits(deployment)[0] - total, wanted - current.size)
        if more <= 0:
            return False
        self._resize(deployment, current, current.size + more)
        return True

    def _shrink(self, deployment: Manifest, rollout: _Rollout, current: _ReplicaSet, old: list[_ReplicaSet]) -> None:
        """Take old pods away: first those that do not answer, then as many as others answer for."""
        least = int(deployment["spec"].get("replicas", 1)) - _limits(deployment)[1]
        total = sum(each.size for each in rollout.sets.values())
        spare = total - least - (current.size - min(current.size, current.ready))
        for each in old:
            sick = min(max(0, spare), max(0, each.size - each.ready))
            if sick:
                self._resize(deployment, each, each.size - sick)
                spare -= sick
        spare = sum(each.ready for each in rollout.sets.values()) - least
        for each in old:
            well = min(max(0, spare), each.size)
            if well and total - least - (current.size - current.ready) > 0:
                self._resize(deployment, each, each.size - well)
                spare -= well

    def _scale(self, deployment: Manifest, rollout: _Rollout) -> None:
        """Bring the one ReplicaSet that has pods to the new size; of several each keeps its size until the rollout
        goes on, but for what is too much."""
        wanted = int(deployment["spec"].get("replicas", 1))
        sized = [each for each in rollout.sets.values() if each.size]
        if len(sized) == 1:
            self._resize(deployment, sized[0], wanted)
            return
        for each in sized:
            each.desired = wanted
        self._reactions.add(key_of(deployment))

    def _resize(self, deployment: Manifest, replica_set: _ReplicaSet, size: int) -> None:
        replica_set.size, replica_set.desired = size, int(deployment["spec"].get("replicas", 1))
        self._replica_sets.add(key_of(deployment))

    # --- its status ---

    def _write(self, deployment: Manifest, rollout: _Rollout, conditions: list[Manifest]) -> None:
        counts = _counts(deployment, rollout)
        wanted = int(deployment["spec"].get("replicas", 1))
        enough = counts.get("availableReplicas", 0) >= wanted - _limits(deployment)[1]
        available = (
            ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
            if enough
            else ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
        )
        conditions = self._said(conditions, _AVAILABLE, *available)
        status = {"observedGeneration": deployment["metadata"]["generation"], **counts, "conditions": conditions}
        if self._client.write_status(deployment, status) is None:
            self._reactions.add(key_of(deployment))

    def _progress(self, deployment: Manifest, rollout: _Rollout, conditions: list[Manifest]) -> list[Manifest]:
        counts, before = _counts(deployment, rollout), deployment.get("status") or {}
        present = find(conditions, _PROGRESSING)
        updated = counts.get("updatedReplicas", 0)
        if present is not None and present["reason"] == _DONE and counts.get("replicas", 0) == updated:
            return conditions
        wanted = int(deployment["spec"].get("replicas", 1))
        name = f'ReplicaSet "{deployment["metadata"]["name"]}-{template_hash(deployment)}"'
        if updated == counts.get("replicas", 0) == counts.get("availableReplicas", 0) == wanted:
            self._reactions.forget_later(key_of(deployment))
            return self._said(conditions, _PROGRESSING, "True", _DONE, f"{name} has successfully progressed.")
        if _has_progressed(before, counts):
            said = self._said(conditions, _PROGRESSING, "True", "ReplicaSetUpdated", f"{name} is progressing.")
            found = find(said, _PROGRESSING) or {}
            conditions = replaced(said, {**found, "lastUpdateTime": self._clockwork.stamp()})
        return self._timed(deployment, conditions, f"{name} has timed out progressing.")

    def _timed(self, deployment: Manifest, conditions: list[Manifest], message: str) -> list[Manifest]:
        """Say that the deadline has passed, or look again when it will have."""
        present = find(conditions, _PROGRESSING)
        # After a rollout that succeeded the next one is not timed before it has shown any progress.
        if present is None or present["reason"] in (_TIMED_OUT, _DONE):
            return conditions
        limit = timedelta(seconds=int(deployment["spec"].get("progressDeadlineSeconds", 600)))
        left = (parse_time(present["lastUpdateTime"]) + limit - self._clockwork.now()).total_seconds()
        if left < 0:
            return self._said(conditions, _PROGRESSING, "False", _TIMED_OUT, message)
        # A second more, as the real one, against clocks that differ.
        self._reactions.add_after(key_of(deployment), left + 1.0)
        return conditions

    def _said(self, conditions: list[Manifest], type_: str, status: str, reason: str, message: str) -> list[Manifest]:
        before = find(conditions, type_)
        if before is not None and (before["status"], before["reason"]) == (status, reason):
            return conditions
        now = self._clockwork.stamp()
        since = before["lastTransitionTime"] if before is not None and before["status"] == status else now
        new = {
            "type": type_,
            "status": status,
            "lastUpdateTime": now,
            "lastTransitionTime": since,
            "reason": reason,
            "message": message,
        }
        # The real one puts what it changes at the end.
        return [*(each for each in conditions if each["type"] != type_), new]

    # --- its pods ---

    def _react_to_pods(self, key: Key) -> None:
        """Bring each ReplicaSet's pods to its size and note how many there are: the ReplicaSet controller's look."""
        deployment = self._client.get(key)
        if deployment is None:
            return
        uid = deployment["metadata"]["uid"]
        rollout = self._rollouts.get(uid)
        if rollout is None:
            return
        found = (self._client.get(each) for each in self._graph.dependents(uid, "Pod"))
        active = [pod for pod in found if pod is not None and a_pod.is_active(pod)]
        for name, replica_set in rollout.sets.items():
            own = [pod for pod in active if labels_of(pod).get(HASH) == name]
            replica_set.replicas, replica_set.ready = len(own), sum(map(a_pod.is_ready, own))
            if deployment["metadata"].get("deletionTimestamp"):
                continue
            if len(own) < replica_set.size:
                self._start(deployment, name, replica_set, replica_set.size - len(own))
            # Those that do not answer go first, then the youngest.
            own.reverse()
            own.sort(key=a_pod.is_ready)
            for pod in own[: max(0, len(own) - replica_set.size)]:
                self._client.delete(pod)
        self._reactions.add(key)

    def _start(self, deployment: Manifest, name: str, replica_set: _ReplicaSet, count: int) -> None:
        prefix = f"{deployment['metadata']['name']}-{name}-"
        for _ in range(count):
            self._client.create(
                a_pod.made(replica_set.template, deployment, prefix, self._clockwork.random, labels={HASH: name})
            )


def template_hash(deployment: Manifest) -> str:
    """Return a name for the Deployment's present template."""
    text = json.dumps(deployment["spec"]["template"], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _counts(deployment: Manifest, rollout: _Rollout) -> dict[str, int]:
    """Return the counts of a status; the API leaves those out that are 0."""
    sets, current = list(rollout.sets.values()), rollout.sets.get(template_hash(deployment))
    ready = sum(each.ready for each in sets)
    counts = {
        "replicas": sum(each.replicas for each in sets),
        "updatedReplicas": current.replicas if current else 0,
        "readyReplicas": ready,
        "availableReplicas": ready,
        "unavailableReplicas": max(0, sum(each.size for each in sets) - ready),
    }
    return {name: count for name, count in counts.items() if count}


def _has_progressed(before: Manifest, counts: dict[str, int]) -> bool:
    def old(status: Manifest) -> int:
        return int(status.get("replicas", 0)) - int(status.get("updatedReplicas", 0))

    names = ("updatedReplicas", "readyReplicas", "availableReplicas")
    return old(counts) < old(before) or any(counts.get(name, 0) > before.get(name, 0) for name in names)


def _limits(deployment: Manifest) -> tuple[int, int]:
    """Return (maxSurge, maxUnavailable) in pods."""
    spec = deployment["spec"]
    wanted = int(spec.get("replicas", 1))
    rolling = (spec.get("strategy") or {}).get("rollingUpdate") or {}
    surge = math.ceil(_amount(rolling.get("maxSurge", "25%"), wanted))
    unavailable = math.floor(_amount(rolling.get("maxUnavailable", "25%"), wanted))
    return (surge, unavailable) if surge or unavailable else (surge, 1)


def _amount(value: int | str, wanted: int) -> float:
    return value if isinstance(value, int) else int(value.removesuffix("%")) * wanted / 100
