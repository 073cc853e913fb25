"""One pod as processes: what a kubelet does with it, and what it writes into the pod's status."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

from mlops.api.base import format_time
from mlops.engine.cluster import Clock, key_of
from mlops.local import probes
from mlops.local.cluster import LocalCluster
from mlops.local.containers import HOST, CannotStart, Machine, free_port, launch
from mlops.local.process import Exit, Process
from mlops.planning.plan import Manifest

MAX_TERMINATION_MESSAGE = 4096
_MAX_FALLBACK, _FALLBACK_LINES = 2048, 80
_CANNOT_START = Exit(128)
# Of a container that is started again in place, in seconds. A kubelet begins with 10 and ends with 300.
_FIRST_BACK_OFF, _LONGEST_BACK_OFF, _LONG_ENOUGH = 0.5, 60.0, 600.0


class LocalPod:
    """A pod that runs here. It writes its own status; who started it waits for `ended` and may `stop` it."""

    def __init__(
        self,
        manifest: Manifest,
        cluster: LocalCluster,
        clock: Clock,
        *,
        place: Path,
        logs: Path,
        machine: Machine,
        drain: Callable[[str], asyncio.Future[None]] | None = None,
    ) -> None:
        self.manifest, self.key = manifest, key_of(manifest)
        self.uid = str(manifest["metadata"]["uid"])
        self._cluster, self._clock, self._machine = cluster, clock, machine
        self._place, self._logs, self._drain = place, logs, drain
        self._spec: Manifest = manifest["spec"]
        self._restarts = self._spec.get("restartPolicy", "Always") == "Always"
        declared = [port for container in self._spec["containers"] for port in container.get("ports", ())]
        self.ports = {port["containerPort"]: free_port() for port in declared}
        self._port_names = {port["name"]: port["containerPort"] for port in declared if "name" in port}
        self._states: dict[str, Manifest] = {}
        self._last: dict[str, Manifest] = {}
        self._ready: dict[str, bool] = {}
        self._started: dict[str, bool] = {}
        self._restart_counts: dict[str, int] = {}
        self._processes: dict[str, Process] = {}
        self._phase = "Pending"
        self._stopping: asyncio.Task[None] | None = None
        self._task = asyncio.create_task(self._run(), name=f"pod {self.key.name}")

    @property
    def stopping(self) -> bool:
        """Return whether the pod has been told to stop."""
        return self._stopping is not None

    def port(self, target: str | int) -> int:
        """Return the port of this machine for a container's port, given by number or name."""
        number = self._port_names.get(target, 0) if isinstance(target, str) else target
        return self.ports.get(number, number)

    async def ended(self) -> None:
        """Wait until every process of the pod is gone and its status says how it ended."""
        await asyncio.wait([self._task])
        self._task.result() if not self._task.cancelled() else None

    def begin_stop(self, *, longest_grace: float | None = None) -> asyncio.Task[None]:
        """Have the pod end: no new connections from now on, then SIGTERM, after the grace period SIGKILL.

        The object is removed when the processes are gone. Only the first call counts.
        """
        if self._stopping is None:
            grace = float(self._spec.get("terminationGracePeriodSeconds", 30))
            grace = grace if longest_grace is None else min(grace, longest_grace)
            self._stopping = asyncio.create_task(self._stop(grace), name=f"stop {self.key.name}")
            if self._exists():
                self._cluster.mark_deleted(self.key)
        return self._stopping

    async def stop(self) -> None:
        """End the pod and wait until it is gone."""
        await asyncio.shield(self.begin_stop())

    async def _stop(self, grace: float) -> None:
        if self._drain is not None and not self._task.done():
            await self._drain(self.uid)
        await asyncio.gather(*(process.stop(grace) for process in self._processes.values()))
        # What was between two containers just now has seen that the pod is stopping, or is cut off here.
        self._task.cancel()
        await asyncio.wait([self._task])
        await asyncio.gather(*(process.stop(0) for process in self._processes.values()))
        shutil.rmtree(self._place, ignore_errors=True)
        if self._exists():
            self._cluster.remove(self.key)

    def _exists(self) -> bool:
        present = self._cluster.get(self.key)
        return present is not None and present["metadata"]["uid"] == self.uid

    async def _run(self) -> None:
        self._place.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        self._report()
        for container in self._spec.get("initContainers", ()):
            if await self._run_container(container, probed=False) != 0:
                return self._end("Failed")
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(self._run_container(one, probed=True)) for one in self._spec["containers"]]
        return self._end("Failed" if any(task.result() for task in running) else "Succeeded")

    def _end(self, phase: str) -> None:
        self._phase = phase
        self._report()
        # What the volumes held is gone with the pod, as on a node; the log stays.
        shutil.rmtree(self._place, ignore_errors=True)

    async def _run_container(self, container: Manifest, *, probed: bool) -> int:
        """Run a container, again and again if its pod restarts containers; returns the last exit code."""
        loop, delay = asyncio.get_running_loop(), _FIRST_BACK_OFF
        while True:
            started = loop.time()
            code = await self._run_once(container, probed=probed)
            if self._stopping or not self._restarts or (not probed and code == 0):
                return code
            delay = _FIRST_BACK_OFF if loop.time() - started > _LONG_ENOUGH else delay
            name = container["name"]
            self._last[name] = self._states[name]
            self._states[name] = {
                "waiting": {"reason": "CrashLoopBackOff", "message": f"starting again in {delay:g} s"}
            }
            self._report()
            await asyncio.sleep(delay)
            delay = min(_LONGEST_BACK_OFF, 2 * delay)
            self._restart_counts[name] = self._restart_counts.get(name, 0) + 1

    async def _run_once(self, container: Manifest, *, probed: bool) -> int:
        name, started_at = container["name"], format_time(self._clock.now())
        log = self._logs / f"{name}.log"
        try:
            start = launch(container, self.manifest, self._place, self.ports, self._machine)
            process = await Process.start(start.command, environ=start.environ, folder=start.folder, log=log)
        except (CannotStart, OSError) as error:
            reason = error.reason if isinstance(error, CannotStart) else "StartError"
            self._states[name] = self._terminated(_CANNOT_START, started_at, str(error), reason)
            self._report()
            return _CANNOT_START.code
        self._processes[name] = process
        self._states[name] = {"running": {"startedAt": started_at}}
        self._ready[name] = probed and not any(p in container for p in ("readinessProbe", "startupProbe"))
        self._started[name] = "startupProbe" not in container
        self._phase = "Running" if probed else "Pending"
        self._report()
        watcher = asyncio.create_task(self._watch(container, process)) if probed else None
        try:
            end = await process.wait()
        finally:
            if watcher:
                watcher.cancel()
        # Still among the processes: stopping one that has ended does nothing.
        self._ready[name] = self._started[name] = False
        message = _message(container, start.termination_log, log, end)
        self._states[name] = self._terminated(end, started_at, message)
        self._report()
        return end.code

    def _terminated(self, end: Exit, started_at: str, message: str, reason: str | None = None) -> Manifest:
        state: Manifest = {
            "exitCode": end.code,
            "reason": reason or ("Completed" if end.code == 0 else "Error"),
            "startedAt": started_at,
            "finishedAt": format_time(self._clock.now()),
        }
        if end.signal is not None:
            state["signal"] = end.signal
        if message:
            state["message"] = message
        return {"terminated": state}

    async def _watch(self, container: Manifest, process: Process) -> None:
        """Keep the container's readiness, and end it if it never starts or is no longer alive."""
        if startup := container.get("startupProbe"):
            if not await self._passes(startup):
                await process.stop(float(self._spec.get("terminationGracePeriodSeconds", 30)))
                return
            self._started[container["name"]] = True
            self._ready[container["name"]] = "readinessProbe" not in container
            self._report()
        watches = []
        if readiness := container.get("readinessProbe"):
            watches.append(self._watch_readiness(container, readiness))
        if liveness := container.get("livenessProbe"):
            watches.append(self._watch_liveness(liveness, process))
        await asyncio.gather(*watches)

    async def _passes(self, probe: Manifest) -> bool:
        """Return whether the probe succeeds before it has failed for failureThreshold periods."""
        await asyncio.sleep(probe.get("initialDelaySeconds", 0))
        allowed = probe.get("failureThreshold", 3) * probe.get("periodSeconds", 10)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(allowed):
                while not await self._probe(probe):
                    await asyncio.sleep(probes.FIRST_PERIOD)
                return True
        return False

    async def _watch_readiness(self, container: Manifest, probe: Manifest) -> None:
        await asyncio.sleep(probe.get("initialDelaySeconds", 0))
        failures = 0
        while True:
            good = await self._probe(probe)
            failures = 0 if good else failures + 1
            if good:
                self._set_ready(container, True)
            elif failures >= probe.get("failureThreshold", 3):
                self._set_ready(container, False)
            await asyncio.sleep(probe.get("periodSeconds", 10) if good else probes.FIRST_PERIOD)

    async def _watch_liveness(self, probe: Manifest, process: Process) -> None:
        await asyncio.sleep(probe.get("initialDelaySeconds", 0))
        failures = 0
        while failures < probe.get("failureThreshold", 3):
            await asyncio.sleep(probe.get("periodSeconds", 10))
            failures = 0 if await self._probe(probe) else failures + 1
        await process.stop(float(self._spec.get("terminationGracePeriodSeconds", 30)))

    async def _probe(self, probe: Manifest) -> bool:
        return await probes.succeeds(probe, self.ports, self._port_names)

    def _set_ready(self, container: Manifest, ready: bool) -> None:
        if self._ready.get(container["name"]) != ready:
            self._ready[container["name"]] = ready
            self._report()

    def _report(self) -> None:
        if not self._exists():
            return
        ready = self._phase == "Running" and all(self._ready.get(one["name"]) for one in self._spec["containers"])
        status: Manifest = {
            "phase": self._phase,
            "hostIP": HOST,
            "podIP": HOST,
            "startTime": self._cluster_start(),
            "conditions": [
                {"type": "PodScheduled", "status": "True"},
                {"type": "ContainersReady", "status": str(ready)},
                {"type": "Ready", "status": str(ready)},
            ],
            "containerStatuses": [self._container_status(one) for one in self._spec["containers"]],
        }
        if self._spec.get("initContainers"):
            status["initContainerStatuses"] = [self._container_status(one) for one in self._spec["initContainers"]]
        self._cluster.set_status(self.key, status)

    def _cluster_start(self) -> str:
        present = self._cluster.get(self.key) or {}
        return str(present.get("status", {}).get("startTime") or format_time(self._clock.now()))

    def _container_status(self, container: Manifest) -> Manifest:
        name = container["name"]
        return {
            "name": name,
            "image": container.get("image", ""),
            "ready": self._ready.get(name, False),
            "started": self._started.get(name, False),
            "restartCount": self._restart_counts.get(name, 0),
            "state": self._states.get(name, {"waiting": {"reason": "PodInitializing"}}),
            **({"lastState": self._last[name]} if name in self._last else {}),
        }


def is_ready(pod: Manifest) -> bool:
    """Return whether the pod's status says that it takes requests."""
    conditions = pod.get("status", {}).get("conditions", ())
    going = pod["metadata"].get("deletionTimestamp") is not None
    return not going and any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _message(container: Manifest, termination_log: Path, log: Path, end: Exit) -> str:
    message = _tail(termination_log, MAX_TERMINATION_MESSAGE)
    if not message and end.code and container.get("terminationMessagePolicy") == "FallbackToLogsOnError":
        message = "\n".join(_tail(log, _MAX_FALLBACK).splitlines()[-_FALLBACK_LINES:])
    return message


def _tail(file: Path, size: int) -> str:
    try:
        with file.open("rb") as opened:
            opened.seek(0, 2)
            opened.seek(max(0, opened.tell() - size))
            return opened.read(size).decode(errors="replace")
    except FileNotFoundError:
        return ""
