"""What one reconcile costs beside many objects that are over: ten, and three thousand of them.

    python bench/reconcile_cost.py                                     10, 100, 1000 and 3000, 5 repetitions
    python bench/reconcile_cost.py --sizes 10 100 --repetitions 1      does it work?
    python bench/reconcile_cost.py --before ../mlops-before            the same on another checkout, in turn

The operator's memory, gatherer, planners and reconciler, with a writer that takes each write at once; no API server. In
each world one thing happens, and everything that follows from it is carried out:

    versions    one more version of a model that has so many, which is verified and takes over
    runs        one more version of the Dataset of a template that has made so many runs: another, and its version
    checks      one more check of a monitor that has had so many

Each world is a process of its own. Sizes and checkouts take turns within a repetition, so that what the machine does
meanwhile falls on all of them. Told is the median over the repetitions: milliseconds of CPU time per reconcile (with
the routing of what it wrote), the writes that the event leads to, and the milliseconds as a multiple of those beside
the fewest.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SIZES = (10, 100, 1000, 3000)


def main() -> None:
    """Run the worlds in turn, or one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--before", type=Path, help="another checkout of this repository")
    parser.add_argument("--world", nargs=2, metavar=("EVENT", "SIZE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.world:
        print(json.dumps(asyncio.run(_world(options.world[0], int(options.world[1])))))
        return
    sides = {"now": ROOT, **({"before": options.before.resolve()} if options.before else {})}
    found: dict[tuple[str, str, int], list[dict[str, float]]] = {}
    for _ in range(options.repetitions):
        for event in EVENTS:
            for size in options.sizes:
                for side, root in sides.items():
                    found.setdefault((side, event, size), []).append(_run(root, event, size))
    print("| side | event | beside | reconciles | ms per reconcile | ratio | writes |\n|---|---|---|---|---|---|---|")
    for (side, event, size), runs in sorted(found.items()):
        middle = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        fewest = statistics.median(run["ms"] for run in found[side, event, min(options.sizes)])
        ratio = middle["ms"] / fewest
        cells = (side, event, size, f"{middle['reconciles']:.0f}", f"{middle['ms']:.2f}", f"{ratio:.2f}")
        print(f"| {' | '.join(map(str, cells))} | {middle['writes']:.0f} |")


def _run(root: Path, event: str, size: int) -> dict[str, float]:
    environment = {**os.environ, "PYTHONPATH": f"{root / 'operator'}{os.pathsep}{root}"}
    command = [sys.executable, __file__, "--world", event, str(size)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


async def _world(event: str, size: int) -> dict[str, float]:
    world = World()
    BEFORE[event](world, size)
    await world.settle()
    world.forget_figures()
    EVENTS[event](world, size)
    await world.settle()
    return {
        "reconciles": world.reconciles,
        "ms": 1000 * world.seconds / world.reconciles,
        "writes": world.writes,
    }


# --- the world ---


class World:
    """The operator's memory and engine; Jobs are done and Deployments available as soon as nothing else is to do."""

    def __init__(self) -> None:
        from mlops.cluster.memory import Memory
        from mlops.engine.gather import Gatherer
        from mlops.engine.metrics import Counters
        from mlops.engine.planners import PLANNERS
        from mlops.engine.reconcile import Reconciler
        from mlops.engine.routes import keys_of
        from tests.planning.builders import NOW, SETTINGS

        self.time = NOW
        self.memory = Memory()
        self.memory.watch(self._observe)
        self.reports: dict[str, str] = {}
        self._keys_of = keys_of
        self._queue: dict[Any, None] = {}
        self._version = 0
        self.gatherer = Gatherer(self.memory, SETTINGS, self)
        self._reconciler = Reconciler(self, self.gatherer, PLANNERS, self, Counters())
        self.forget_figures()

    def forget_figures(self) -> None:
        """Begin to count again."""
        self.reconciles, self.writes, self.seconds = 0, 0, 0.0

    def now(self) -> datetime:
        """Return the present time."""
        return self.time

    def get(self, key: Any) -> Any:
        """Return an object from memory."""
        return self.memory.get(key)

    def list(self, *arguments: Any) -> Any:
        """Return objects from memory."""
        return self.memory.list(*arguments)

    def by_field(self, *arguments: Any) -> Any:
        """Return objects from memory, by a field."""
        return self.memory.by_field(*arguments)

    async def apply(self, manifest: Any) -> Any:
        """Take the object as it is given."""
        return self._wrote(manifest)

    async def create(self, manifest: Any) -> Any:
        """Take the object as it is given."""
        return self._wrote(manifest)

    async def write_status(self, seen: Any, status: Any) -> Any:
        """Take the status."""
        return self._wrote({**seen, "status": status})

    async def delete(self, key: Any, uid: str) -> None:
        """Take the object away."""
        self.writes += 1
        self._version += 1
        self.memory.forget(self.memory.get(key), self._version)

    def put(self, manifest: Any) -> Any:
        """Take in what somebody else has written."""
        from mlops.engine.cluster import key_of

        self._version += 1
        metadata = {**manifest["metadata"], "resourceVersion": str(self._version)}
        there = self.memory.get(key_of(manifest))
        known = {"uid": f"uid-{metadata['name']}", "generation": 1, **(there["metadata"] if there else {})}
        for name in ("uid", "generation"):
            metadata.setdefault(name, known[name])
        metadata.setdefault("creationTimestamp", self.time.strftime("%Y-%m-%dT%H:%M:%SZ"))
        status = manifest.get("status") or (there or {}).get("status")
        taken = {**manifest, "metadata": metadata, **({"status": status} if status else {})}
        self.memory.take(taken)
        return taken

    async def settle(self) -> None:
        """Reconcile until nothing is to do, neither for the operator nor for those who carry out what it makes."""
        while True:
            while self._queue:
                key = next(iter(self._queue))
                del self._queue[key]
                start = time.process_time()
                await self._reconciler.reconcile(key)
                self.seconds += time.process_time() - start
                self.reconciles += 1
            self.time += timedelta(seconds=1)
            if not self._carried_out():
                return

    def _wrote(self, manifest: Any) -> Any:
        if manifest["kind"] != "Event":
            self.writes += 1
            return self.put(manifest)
        return manifest

    def _observe(self, old: Any, new: Any) -> None:
        for manifest in (old, new):
            if manifest is not None:
                self._queue.update(dict.fromkeys(sorted(self._keys_of(manifest, self.memory))))

    def _carried_out(self) -> bool:
        jobs = [job for job in self.memory.list("Job") if not (job.get("status") or {}).get("conditions")]
        for job in jobs:
            self.done(job, self.reports[job["metadata"]["labels"]["app.kubernetes.io/component"]])
        servers = [each for each in self.memory.list("Deployment") if not (each.get("status") or {}).get("replicas")]
        for server in servers:
            ready = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}
            self.put({**server, "status": ready})
        return bool(jobs or servers)

    def done(self, job: Any, report: str) -> None:
        """Have a Job's pod end with a report, and the Job with it."""
        job, at = self.put(job), self.time.strftime("%Y-%m-%dT%H:%M:%SZ")
        metadata = job["metadata"]
        end = {"exitCode": 0, "reason": "Completed", "message": report, "finishedAt": at}
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": metadata["name"], "uid": metadata["uid"]}
        self.put(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": f"{metadata['name']}-pod",
                    "namespace": "team",
                    "labels": {**metadata["labels"], "batch.kubernetes.io/job-name": metadata["name"]},
                    "ownerReferences": [owner],
                },
                "spec": {},
                "status": {
                    "phase": "Succeeded",
                    "containerStatuses": [{"name": "main", "state": {"terminated": end}}],
                },
            }
        )
        complete = [{"type": "Complete", "status": "True", "lastTransitionTime": at}]
        self.put({**job, "status": {"succeeded": 1, "completionTime": at, "conditions": complete}})


# --- what is there, and what happens ---


def _versions(world: World, size: int) -> None:
    from mlops.api import tasks
    from tests.planning.builders import a_condition, a_live_version, a_verify_report

    world.reports["verify"] = tasks.write_report(a_verify_report())
    message = {"status": "True", "reason": "Superseded", "message": "version 2 took over"}
    over = [{**a_condition("Ready", "True", "Superseded"), **message}]
    over.append({**a_condition("Superseded", "True", "Superseded"), **message})
    for number in range(1, size + 1):
        version = a_live_version(number).dump()
        if number < size:
            status = {name: value for name, value in version["status"].items() if name not in ("stage", "stages")}
            version["status"] = {**status, "conditions": over}
        world.put(version)


def _one_more_version(world: World, size: int) -> None:
    from tests.planning.builders import a_version

    (server,) = world.memory.list("Deployment")
    world.put({**server, "metadata": {**server["metadata"], "generation": 1}})
    world.put(a_version(size + 1).dump())


def _runs(world: World, size: int) -> None:
    from mlops.api import labels, tasks
    from tests.planning.builders import (
        a_condition,
        a_dataset,
        a_run,
        a_template,
        a_train_report,
        a_verify_report,
        an_ingest_report,
        digest,
    )

    world.reports["train"] = tasks.write_report(a_train_report())
    world.reports["ingest"] = tasks.write_report(an_ingest_report("1"))
    world.reports["verify"] = tasks.write_report(a_verify_report())
    resolved = {
        "datasetVersion": 0,
        "datasetDigest": digest("9"),
        "datasetArtifact": digest("a"),
        "environmentDigest": digest("e"),
    }
    status = {
        "observedGeneration": 1,
        "resolved": resolved,
        "inputsDigest": digest("3"),
        "outputDigest": digest("4"),
        "conditions": [a_condition("Ready", "True", "Succeeded"), a_condition("Succeeded", "True", "Succeeded")],
    }
    world.put(a_dataset().dump())
    for number in range(size):
        named = {"name": f"old-{number}", "uid": f"uid-old-{number}", "labels": {labels.TEMPLATE: "rain"}}
        world.put(a_run(metadata=named, status=status).dump())
    world.put(a_template().dump())


def _one_more_dataset_version(world: World, _size: int) -> None:
    from mlops.api import labels, tasks
    from mlops.planning.plan import Key
    from tests.planning.builders import an_ingest_report

    world.reports["ingest"] = tasks.write_report(an_ingest_report("2"))
    dataset = world.memory.get(Key("Dataset", "team", "weather"))
    asked = {labels.REQUESTED_AT: world.time.strftime("%Y-%m-%dT%H:%M:%SZ")}
    world.put({**dataset, "metadata": {**dataset["metadata"], "annotations": asked}})


def _checks(world: World, size: int) -> None:
    from mlops.api import tasks
    from mlops.planning.plan import Key
    from tests.planning.builders import a_drift_report, a_live_version, a_monitor

    report = tasks.write_report(a_drift_report())
    world.put(a_live_version(1).dump())
    newest = world.time - timedelta(hours=1)
    monitor = a_monitor(spec={"trainingRunRef": None, "actions": []}).dump()
    for number in range(size):
        world.time = newest - timedelta(hours=size - number)
        _check(world, report)
    world.time = newest + timedelta(hours=1)
    monitor["status"] = {"lastCheckTime": f"{newest:%Y-%m-%dT%H:%M:%SZ}"}
    world.put(monitor)
    assert world.memory.get(Key("DriftMonitor", "team", "rain-drift"))


def _one_more_check(world: World, _size: int) -> None:
    from mlops.api import tasks
    from tests.planning.builders import a_drift_report

    _check(world, tasks.write_report(a_drift_report()))


def _check(world: World, report: str) -> None:
    """Have a check of the CronJob done that was scheduled at the present minute."""
    from mlops.api import labels

    minute = int(world.time.astimezone(UTC).timestamp()) // 60
    name = f"rain-drift-check-{minute}"
    metadata = {
        "name": name,
        "namespace": "team",
        "labels": labels.standard("drift", "rain-drift", monitor="rain-drift"),
    }
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "rain-drift-check", "uid": "uid-rain-drift-check"}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {**metadata, "ownerReferences": [owner]}, "spec": {}}
    world.done(job, report)


# By the name of the event: what is there before it, and the event.
BEFORE = {"versions": _versions, "runs": _runs, "checks": _checks}
EVENTS = {"versions": _one_more_version, "runs": _one_more_dataset_version, "checks": _one_more_check}

if __name__ == "__main__":
    main()
