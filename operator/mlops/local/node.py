"""The node: the pods that run on this machine, and what they are given."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from mlops.engine.cluster import Clock, key_of
from mlops.local.cluster import LocalCluster
from mlops.local.containers import Machine
from mlops.local.pods import LocalPod
from mlops.planning.plan import Manifest

# A pod's folders hang below its uid, so that nothing of an earlier pod of the same name shows through.
_PLACES, _LOGS = "pods", "logs"
_MANAGER = "kubelet"


class Node:
    """Starts pods and knows which run. At most `slots` pods of Jobs run at once; servers do not count."""

    def __init__(
        self, cluster: LocalCluster, clock: Clock, state: Path, machine: Machine, *, slots: int | None = None
    ) -> None:
        self._cluster, self._clock, self._machine = cluster, clock, machine
        self._places, self._logs = (state / _PLACES).absolute(), (state / _LOGS).absolute()
        self.slots = asyncio.Semaphore(slots or max(2, os.cpu_count() or 1))
        self.running: dict[str, LocalPod] = {}
        self._watches: set[asyncio.Task[None]] = set()
        # Set by who forwards connections: waits until a pod that is to stop has none left.
        self.drain: Callable[[str], asyncio.Future[None]] | None = None
        cluster.watch(self._on_change)

    def recover(self) -> None:
        """Forget the pods that ran when the last runtime ended: their processes ended with it."""
        shutil.rmtree(self._places, ignore_errors=True)
        for pod in self._cluster.list("Pod"):
            if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
                self._cluster.remove(key_of(pod))

    def create(self, manifest: Manifest) -> Manifest:
        """Make a pod's object; it is Pending until it is started."""
        made = self._cluster.create_as(_MANAGER, manifest)
        return self._cluster.set_status(key_of(made), {"phase": "Pending"})

    def start(self, manifest: Manifest) -> LocalPod:
        """Run the pod."""
        namespace, name = manifest["metadata"]["namespace"], manifest["metadata"]["name"]
        uid = manifest["metadata"]["uid"]
        pod = LocalPod(
            manifest,
            self._cluster,
            self._clock,
            place=self._places / uid,
            logs=self._logs / namespace / name,
            machine=self._machine,
            drain=self.drain,
        )
        self.running[uid] = pod
        watch = asyncio.create_task(self._forget_when_ended(pod))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)
        return pod

    async def stop(self, longest_grace: float) -> None:
        """Stop every pod, also one that is started meanwhile, and wait until its processes are gone."""
        while self._watches:
            for pod in tuple(self.running.values()):
                pod.begin_stop(longest_grace=longest_grace)
            await asyncio.wait(tuple(self._watches), return_when=asyncio.FIRST_COMPLETED)

    async def _forget_when_ended(self, pod: LocalPod) -> None:
        await pod.ended()
        if pod.stopping:
            await pod.stop()
        self.running.pop(pod.uid, None)

    def _on_change(self, old: Manifest | None, new: Manifest | None) -> None:
        # Garbage collection or a user took the object away: its processes have to follow.
        if new is None and old is not None and old["kind"] == "Pod":
            pod = self.running.get(old["metadata"]["uid"])
            if pod is not None and not pod.stopping:
                pod.begin_stop()
