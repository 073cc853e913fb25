"""The scheduler and the kubelet: pods get a node, their containers run one after the other, and say how they ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mlops.engine.cluster import key_of
from mlops.planning.plan import Key, Manifest
from tests.simulation.controllers import pods as a_pod
from tests.simulation.controllers.client import Client
from tests.simulation.controllers.clockwork import Alarm, Clockwork
from tests.simulation.controllers.conditions import find, replaced
from tests.simulation.controllers.work import KILLED, Behaviour, Course, Fate

NODE = "node"
DISRUPTED = "DisruptionTarget"
_FIRST_RESTART, _LONGEST_RESTART = 10.0, 300.0
_NO_NODE = (
    "0/1 nodes are available: 1 Insufficient memory. "
    "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
)


@dataclass
class _Run:
    """A pod as the kubelet knows it."""

    key: Key
    uid: str
    fate: Fate
    # The one thing that comes next, and what happens to it from outside.
    next: Alarm | None = None
    disturbance: Alarm | None = None
    phase: str = "Pending"
    # By container: its state, the one before, how often it was restarted.
    states: dict[str, Manifest] = field(default_factory=dict)
    last: dict[str, Manifest] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)
    # The container that runs, or the next one that will: a place in the order of all.
    place: int = 0
    course: Course | None = None
    started: str = ""
    ready: bool = False
    stopping: bool = False

    def calls_off(self) -> None:
        for alarm in (self.next, self.disturbance):
            if alarm is not None:
                alarm.call_off()


class Kubelet:
    """One node for all pods."""

    def __init__(self, scheduler: Client, client: Client, clockwork: Clockwork, behaviour: Behaviour) -> None:
        self._scheduler, self._client, self._clockwork, self._behaviour = scheduler, client, clockwork, behaviour
        self._runs: dict[str, _Run] = {}

    def changed(self, manifest: Manifest, *, gone: bool) -> None:
        """Take note of a change."""
        if manifest["kind"] != "Pod":
            return
        uid = manifest["metadata"]["uid"]
        run = self._runs.get(uid)
        if gone:
            if run is not None:
                run.calls_off()
                del self._runs[uid]
            return
        if run is None and not a_pod.has_ended(manifest):
            run = self._runs[uid] = _Run(key_of(manifest), uid, self._behaviour.fate(manifest))
            self._then(run, self._between(0.01, 1), self._schedule)
        if run is not None and a_pod.is_going(manifest) and not run.stopping:
            run.stopping = True
            self._then(run, self._between(0.01, 1), self._stop)

    def evict(self, key: Key) -> None:
        """Do what the Eviction API does: say why, then delete as gently as any."""
        pod = self._client.get(key)
        if pod is None or a_pod.is_going(pod):
            return
        status = dict(pod.get("status") or {})
        now = self._clockwork.stamp()
        why = {
            "type": DISRUPTED,
            "status": "True",
            "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting",
            "lastTransitionTime": now,
        }
        status["conditions"] = replaced(status.get("conditions") or (), why)
        marked = self._client.write_status(pod, status)
        if marked is not None:
            self._client.delete(marked)

    # --- steps ---

    def _between(self, low: float, high: float) -> float:
        return self._clockwork.between(low, high)

    def _then(self, run: _Run, delay: float, step: Callable[[_Run, Manifest], None], *, counts: bool = True) -> None:
        """Do `step` after a delay, in the place of what was to come."""
        if run.next is not None:
            run.next.call_off()
        run.next = self._clockwork.after(delay, lambda: self._do(run, step), counts=counts)

    def _do(self, run: _Run, step: Callable[[_Run, Manifest], None]) -> None:
        pod = self._client.get(run.key, run.uid)
        if pod is not None:
            step(run, pod)

    def _schedule(self, run: _Run, pod: Manifest) -> None:
        wait = run.fate.unschedulable
        status = dict(pod.get("status") or {})
        told = find(status.get("conditions") or (), "PodScheduled")
        condition = {"type": "PodScheduled", "lastTransitionTime": self._clockwork.stamp()}
        if wait and told is None:
            condition |= {"status": "False", "reason": "Unschedulable", "message": _NO_NODE}
            status["conditions"] = replaced(status.get("conditions") or (), condition)
            self._scheduler.write_status(pod, {"phase": "Pending", **status})
            self._then(run, wait, self._schedule)
            return
        if self._scheduler.bind(pod, NODE):
            self._then(run, self._between(0.05, 2), self._create)

    def _create(self, run: _Run, pod: Manifest) -> None:
        run.started = self._clockwork.stamp()
        reason = "PodInitializing" if pod["spec"].get("initContainers") else "ContainerCreating"
        run.states = {each["name"]: {"waiting": {"reason": reason}} for each in _containers(pod)}
        self._write(run, pod)
        if run.fate.unpullable:
            self._then(run, self._between(0.1, 2), self._pull_in_vain)
            self._until_pullable(run)
        else:
            self._then(run, self._between(0.2, 3), self._start)

    def _until_pullable(self, run: _Run) -> None:
        if run.fate.unpullable == float("inf"):
            return
        run.disturbance = self._clockwork.after(
            run.fate.unpullable, lambda: self._then(run, self._between(0.2, 3), self._start)
        )

    def _pull_in_vain(self, run: _Run, pod: Manifest) -> None:
        container = _containers(pod)[0]
        before = run.states[container["name"]].get("waiting", {}).get("reason")
        image = container["image"]
        if before == "ErrImagePull":
            state = {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{image}"'}
            delay = self._between(10, 60)
        else:
            state = {"reason": "ErrImagePull", "message": f'failed to pull and unpack image "{image}": not found'}
            delay = self._between(1, 15)
        run.states[container["name"]] = {"waiting": state}
        self._write(run, pod)
        # An image that never comes keeps nobody from being settled.
        self._then(run, delay, self._pull_in_vain, counts=run.fate.unpullable != float("inf"))

    def _start(self, run: _Run, pod: Manifest) -> None:
        container = _containers(pod)[run.place]
        name = container["name"]
        restarts = run.restarts.get(name, 0)
        run.course = course = self._behaviour.course(pod, container, run.fate, restarts)
        if run.place == 0 and not restarts:
            self._disturb(run)
        run.states[name] = {"running": {"startedAt": self._clockwork.stamp()}}
        is_main = run.place >= len(pod["spec"].get("initContainers") or ())
        if is_main:
            run.phase = "Running"
            run.ready = not _has_probe(container)
        self._write(run, pod)
        self._run_on(run, course, ready=run.ready or not is_main)

    def _run_on(self, run: _Run, course: Course, *, ready: bool) -> None:
        """Wait for what comes first: that it is ready, or that it ends."""
        counts = not (course.hopeless and any(run.restarts.values()))
        if not ready and course.ready_after is not None and course.ready_after < (course.seconds or float("inf")):
            self._then(run, course.ready_after, self._become_ready, counts=counts)
        elif course.seconds is not None:
            self._then(run, course.seconds, self._end, counts=counts)

    def _become_ready(self, run: _Run, pod: Manifest) -> None:
        course = run.course
        run.ready = True
        self._write(run, pod)
        if course is not None and course.seconds is not None:
            self._then(run, course.seconds - (course.ready_after or 0.0), self._end)

    def _disturb(self, run: _Run) -> None:
        fate = run.fate
        if fate.evicted_after:
            run.disturbance = self._clockwork.after(fate.evicted_after, lambda: self.evict(run.key))
        elif fate.vanishes_after:
            run.disturbance = self._clockwork.after(fate.vanishes_after, lambda: self._vanish(run))

    def _vanish(self, run: _Run) -> None:
        pod = self._client.get(run.key, run.uid)
        if pod is not None and pod["metadata"].get("finalizers"):
            pod = self._client.patch(pod, {"metadata": {"finalizers": None}})
        if pod is not None and self._client.get(run.key, run.uid) is not None:
            self._client.delete(pod, grace=0)

    # --- ends ---

    def _end(self, run: _Run, pod: Manifest) -> None:
        course = run.course
        if course is None:
            return
        run.states[self._running(run, pod)] = self._terminated(run, pod, course.exit_code, course.message)
        run.ready = False
        spec = pod["spec"]
        if course.exit_code == 0 and run.place + 1 < len(_containers(pod)):
            run.place += 1
            self._write(run, pod)
            self._then(run, self._between(0.1, 1), self._start)
        elif spec.get("restartPolicy", "Always") == "Always":
            self._write(run, pod)
            counts = not course.hopeless
            self._then(run, self._between(0.1, 1), self._back_off, counts=counts)
        else:
            run.phase = "Failed" if course.exit_code else "Succeeded"
            if run.disturbance is not None:
                run.disturbance.call_off()
            self._then(run, run.fate.late or self._between(0.01, 1), self._tell_end)

    def _tell_end(self, run: _Run, pod: Manifest) -> None:
        self._write(run, pod)
        if run.fate.vanishes_at_end:
            run.disturbance = self._clockwork.after(run.fate.vanishes_at_end, lambda: self._vanish(run))

    def _back_off(self, run: _Run, pod: Manifest) -> None:
        name = self._running(run, pod)
        restarts = run.restarts.get(name, 0)
        pause = min(_FIRST_RESTART * 2.0**restarts, _LONGEST_RESTART)
        run.last[name] = run.states[name]
        said = f"back-off {pause:.0f}s restarting failed container={name} pod={run.key.name}"
        run.states[name] = {"waiting": {"reason": "CrashLoopBackOff", "message": said}}
        self._write(run, pod)
        run.restarts[name] = restarts + 1
        self._then(run, pause, self._start, counts=not (run.course is not None and run.course.hopeless))

    def _stop(self, run: _Run, pod: Manifest) -> None:
        """Begin to end a pod that is being deleted."""
        if run.disturbance is not None:
            run.disturbance.call_off()
        if a_pod.has_ended(pod):
            self._client.delete(pod, grace=0)
        elif not pod["spec"].get("nodeName"):
            # The pod garbage collector takes it: it never had a kubelet.
            self._then(run, self._between(1, 20), self._collect)
        elif "running" in run.states.get(self._running(run, pod), {}) and run.course is not None:
            grace = float(pod["metadata"].get("deletionGracePeriodSeconds") or 0)
            seconds, killed = run.course.stop_seconds, run.course.stop_seconds > grace
            code = KILLED if killed else run.course.stop_code
            self._then(run, min(seconds, grace), lambda run, pod: self._stopped(run, pod, code))
        else:
            self._then(run, self._between(0.1, 2), lambda run, pod: self._stopped(run, pod, None))

    def _stopped(self, run: _Run, pod: Manifest, code: int | None) -> None:
        """Say how the containers ended, then let the object go."""
        for container in _containers(pod):
            state = run.states.get(container["name"], {})
            if "running" in state and code is not None:
                run.states[container["name"]] = self._terminated(run, pod, code, "")
            elif "terminated" not in state and not self._is_init(container, pod):
                said = "The container could not be located when the pod was terminated"
                run.states[container["name"]] = {
                    "terminated": {"exitCode": KILLED, "reason": "ContainerStatusUnknown", "message": said}
                }
        run.ready = False
        run.phase = "Succeeded" if code == 0 else "Failed"
        self._write(run, pod)
        self._then(run, self._between(0.01, 0.5), lambda run, pod: self._let_go(pod))

    def _collect(self, run: _Run, pod: Manifest) -> None:
        status = {**(pod.get("status") or {}), "phase": "Failed"}
        written = self._client.write_status(pod, status)
        if written is not None:
            self._let_go(written)

    def _let_go(self, pod: Manifest) -> None:
        self._client.delete(pod, grace=0)

    # --- the status ---

    def _running(self, run: _Run, pod: Manifest) -> str:
        return str(_containers(pod)[run.place]["name"])

    def _is_init(self, container: Manifest, pod: Manifest) -> bool:
        return any(each["name"] == container["name"] for each in pod["spec"].get("initContainers") or ())

    def _terminated(self, run: _Run, pod: Manifest, code: int, message: str) -> Manifest:
        now = self._clockwork.stamp()
        begun = run.states[self._running(run, pod)].get("running", {}).get("startedAt", now)
        given = run.course.reason if run.course is not None and code == run.course.exit_code else ""
        reason = given or ("Error" if code else "Completed")
        said = {"message": message} if message else {}
        return {"terminated": {"exitCode": code, "reason": reason, **said, "startedAt": begun, "finishedAt": now}}

    def _write(self, run: _Run, pod: Manifest) -> None:
        status = dict(pod.get("status") or {})
        status |= {"phase": run.phase, **({"startTime": run.started} if run.started else {})}
        spec = pod["spec"]
        if inits := spec.get("initContainers"):
            status["initContainerStatuses"] = [self._of_container(run, each, is_main=False) for each in inits]
        status["containerStatuses"] = [self._of_container(run, each, is_main=True) for each in spec["containers"]]
        status["conditions"] = self._conditions(run, pod)
        self._client.write_status(pod, status)

    def _of_container(self, run: _Run, container: Manifest, *, is_main: bool) -> Manifest:
        name = container["name"]
        # A pod that is deleted before it was taken on has no states yet.
        state = run.states.get(name, {"waiting": {"reason": "PodInitializing"}})
        done = state.get("terminated", {}).get("exitCode") == 0
        return {
            "name": name,
            "image": container["image"],
            "imageID": "",
            "ready": run.ready if is_main else done,
            "started": "running" in state,
            "restartCount": run.restarts.get(name, 0),
            "state": state,
            "lastState": run.last.get(name, {}),
        }

    def _conditions(self, run: _Run, pod: Manifest) -> list[Manifest]:
        before = list((pod.get("status") or {}).get("conditions") or ())
        inits = pod["spec"].get("initContainers") or ()
        initialized = run.place >= len(inits)
        reason = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}.get(run.phase, "ContainersNotReady")
        for type_, good, why in (
            ("Initialized", initialized, "ContainersNotInitialized"),
            ("Ready", run.ready, reason),
            ("ContainersReady", run.ready, reason),
        ):
            new = {"type": type_, "status": "True" if good else "False", **({} if good else {"reason": why})}
            old = find(before, type_)
            same = old is not None and old["status"] == new["status"]
            since = old["lastTransitionTime"] if same and old is not None else self._clockwork.stamp()
            before = replaced(before, {**new, "lastTransitionTime": since})
        return before


def _containers(pod: Manifest) -> list[Manifest]:
    return [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]


def _has_probe(container: Manifest) -> bool:
    return "readinessProbe" in container or "startupProbe" in container
