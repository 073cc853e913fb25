"""Any cluster and what may happen in it: objects, children, pods, edits, deletions and the passing of time."""

from __future__ import annotations

from datetime import MAXYEAR, UTC, datetime, timedelta
from random import Random

from mlops.api import kinds
from mlops.engine.cluster import key_of
from mlops.planning.plan import Key
from tests.planning import any_children as child
from tests.planning import any_objects as any_object
from tests.planning.any_cluster import AnyCluster, Seen
from tests.planning.anything import Draw

NOW = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)


def _drawn(random: Random, objects: int, cluster: AnyCluster, *, fresh: bool = False) -> tuple[Draw, AnyCluster]:
    draw = Draw(random, random.choice((0.4, 0.15, 0.7, 0.95)), fresh=fresh)
    for _ in range(objects):
        _put(draw, cluster)
    for _ in range(draw.one((0, 0, 1, 2))):
        kind = draw.one(
            ("Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler", "Job", "CronJob", "ConfigMap")
        )
        cluster.put(child.a_strangers(draw, kind, cluster.uid()))
        cluster.seen.children += 1
    return draw, cluster


def live(random: Random, *, objects: int, moves: int, seen: Seen | None = None, fresh: bool = False) -> AnyCluster:
    """Draw a cluster of about so many objects, let the operator work in it until it rests, then let things happen and
    the operator work again, `moves` times. Every plan on the way is checked. `fresh`: no status but by the operator."""
    draw, cluster = _drawn(random, objects, AnyCluster(NOW, seen), fresh=fresh)
    # Sometimes only the first writes, as after a crash.
    if draw.chance(0.3):
        cluster.round()
        _move(draw, cluster)
    again = cluster.settle()
    for _ in range(moves):
        _move(draw, cluster)
        due = [timestamp for timestamp in again if timestamp > cluster.present]
        if due and draw.chance(0.4):
            cluster.present = min(due)
        again = cluster.settle()
    return cluster


def glance(random: Random, *, objects: int, rounds: int, seen: Seen | None = None) -> None:
    """Draw a cluster of about so many objects, and let things happen between single rounds of the operator: many
    objects in little time, seldom at rest."""
    draw, cluster = _drawn(random, objects, AnyCluster(NOW, seen, twice=False))
    for _ in range(rounds):
        cluster.round()
        _move(draw, cluster)
    cluster.round()


def _put(draw: Draw, cluster: AnyCluster) -> None:
    manifest = any_object.an_object(draw, draw.one(any_object.KIND_NAMES), cluster.uid())
    cluster.put(manifest)
    cluster.seen.objects += 1
    try:
        kinds.parse(manifest)
    except kinds.InvalidObject:
        cluster.seen.invalid += 1


def _move(draw: Draw, cluster: AnyCluster) -> None:
    """Let any number of things happen at once."""
    # Some worlds are near the end of the calendar: there time stands still.
    if cluster.present.year < MAXYEAR:
        cluster.present += timedelta(seconds=draw.one((1, 0, 60, 3600, 86400)))
    for key in cluster.children():
        _happen(draw, cluster, key)
    for key in cluster.own():
        if draw.chance(0.15):
            _edit(draw, cluster, key)
    if draw.chance(0.2):
        _put(draw, cluster)


def _happen(draw: Draw, cluster: AnyCluster, key: Key) -> None:
    """Let something happen to a child."""
    there = cluster.objects[key]
    if draw.chance(0.08):
        cluster.put(child.tampered(draw, there, cluster.uid()))
        return
    if draw.chance(0.04):
        cluster.drop(key)
        return
    match key.kind:
        case "Job" if draw.chance(0.8) and "conditions" not in there.get("status", {}):
            _finish(draw, cluster, there)
        case "CronJob":
            for _ in range(draw.one((1, 0, 2))):
                made = child.job_of(draw, there, cluster.present, cluster.uid())
                cluster.seen.children += 1
                if draw.chance(0.9):
                    _finish(draw, cluster, made)
                else:
                    cluster.put(made)
        case "Deployment":
            cluster.put(child.a_rollout(draw, there))
            for pod in child.server_pods(draw, there, cluster.present, cluster.uid()):
                cluster.put(pod)
                cluster.seen.children += 1
        case "Service" if draw.chance(0.3):
            cluster.put(child.an_address(draw, there))


def _finish(draw: Draw, cluster: AnyCluster, job: dict[str, object]) -> None:
    finished, pods = child.finish(draw, job, cluster.present)
    cluster.put(finished)
    for pod in pods:
        cluster.put(pod)
        cluster.seen.children += 1


def _edit(draw: Draw, cluster: AnyCluster, key: Key) -> None:
    """Let a user do something to an object."""
    there = cluster.objects[key]
    metadata = there["metadata"]
    edited = {**metadata, "generation": metadata["generation"] + 1}
    match draw.random.randrange(6):
        case 0:
            cluster.drop(key)
        case 1:
            # Deleted and made again: what the one before left is still there.
            made = any_object.an_object(draw, key.kind, cluster.uid())
            made["metadata"]["name"] = key.name
            cluster.put(made)
            cluster.seen.objects += 1
        case 2:
            spec = {**there["spec"], "suspend": not there["spec"].get("suspend", False)}
            if key.kind == "ModelVersion":
                spec = {**there["spec"], "withdrawn": not there["spec"].get("withdrawn", False)}
            cluster.put({**there, "metadata": edited, "spec": spec})
        case 3:
            cluster.put({**there, "metadata": {**metadata, "deletionTimestamp": "2026-01-10T12:00:00Z"}})
        case 4 if key.kind in ("Dataset", "DriftMonitor") or there["spec"].get("triggers"):
            cluster.put({**there, "metadata": edited, "spec": any_object.a_spec(draw, key.kind)})
        case _ if not draw.fresh:
            # Written by another release, or by hand.
            cluster.put({**there, "status": any_object.a_status(draw, _valid(draw, cluster, there))})


def _valid(draw: Draw, cluster: AnyCluster, manifest: dict[str, object]) -> dict[str, object]:
    """Return the object, or another one of its kind if it does not parse."""
    try:
        kinds.parse({**manifest, "status": {}})
    except kinds.InvalidObject:
        spec = any_object.a_spec(draw, key_of(manifest).kind)
        return {**manifest, "spec": spec}
    return manifest
