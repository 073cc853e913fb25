"""What a container does and what befalls its pod: the work of its task, disturbed as the fates say."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Protocol

from mlops.api import tasks
from mlops.engine.routes import JOB_NAME
from mlops.planning.plan import Manifest
from tests.containers import task_of
from tests.simulation.controllers.fates import Fates, Outcome
from tests.simulation.workloads import Workloads

KILLED = 137
_STORE_AWAY = tasks.FailureReport(reason="StoreUnavailable", message="the store does not answer")
# What a pod of each task says of bad input.
_BAD_INPUT = {
    "ingest": "SchemaMismatch",
    "fetch": "DataUnusable",
    "train": "TrainingFailed",
    "verify": "DigestMismatch",
    "drift": "DataUnusable",
    "analysis": "DataUnusable",
}


@dataclass(frozen=True)
class Fate:
    """What befalls one pod; times are in seconds, 0: not at all."""

    outcome: Outcome = "work"
    # So long no node fits, or its image cannot be pulled.
    unschedulable: float = 0.0
    unpullable: float = 0.0
    # Its end is written so long after it came.
    late: float = 0.0
    # So long after its first container has started it is evicted, or its object vanishes.
    evicted_after: float = 0.0
    vanishes_after: float = 0.0
    # Or its object vanishes so long after its end.
    vanishes_at_end: float = 0.0


@dataclass(frozen=True)
class Course:
    """One run of a container."""

    # Until it ends by itself; None: never.
    seconds: float | None
    exit_code: int = 0
    message: str = ""
    # The terminated state's reason; by default Completed or Error.
    reason: str = ""
    # Since its start, until its probes succeed; None: never. What has no probes is ready at once.
    ready_after: float | None = None
    # After how many seconds it ends when it is told to stop, and with which code. What does not listen is killed at
    # the end of its pod's grace period: a pod's first process gets no signal that it does not handle.
    stop_seconds: float = float("inf")
    stop_code: int = KILLED
    # It will be the same after every restart.
    hopeless: bool = False


class Behaviour(Protocol):
    """Decides for each pod and each run of a container."""

    def fate(self, pod: Manifest) -> Fate:
        """Return what befalls a new pod."""

    def course(self, pod: Manifest, container: Manifest, fate: Fate, restarts: int) -> Course:
        """Return what one run of a container does."""


class Work:
    """The behaviour of the operator's own pods, and of a user's trainer between two of them."""

    def __init__(self, fates: Fates, workloads: Workloads, random: Random) -> None:
        self._fates, self._workloads, self._random = fates, workloads, random

    def fate(self, pod: Manifest) -> Fate:
        """Draw what befalls a new pod."""
        fates, random = self._fates, self._random
        outcome = fates.outcome(random, serving=_is_server(pod))
        before_its_end = random.random() < 0.5
        pull = self._workloads.pull_seconds if _is_server(pod) else 0.0
        return Fate(
            outcome=outcome,
            unschedulable=random.uniform(5, 40) if random.random() < fates.unschedulable else 0.0,
            unpullable=pull + (random.uniform(5, 40) if random.random() < fates.image else 0.0),
            late=random.uniform(30, 900) if random.random() < fates.late else 0.0,
            evicted_after=random.uniform(0.1, 40) if outcome == "evicted" else 0.0,
            vanishes_after=random.uniform(0.1, 40) if outcome == "vanish" and before_its_end else 0.0,
            vanishes_at_end=random.uniform(0.01, 4) if outcome == "vanish" and not before_its_end else 0.0,
        )

    def course(self, pod: Manifest, container: Manifest, fate: Fate, restarts: int) -> Course:
        """Return what one run of the container does."""
        task, random = task_of(container), self._random
        if isinstance(task, tasks.ServeTask):
            return self._serving(task, fate, restarts)
        disturbed = fate.outcome if container["name"] == _disturbed(pod, fate) else "work"
        seconds = random.uniform(0.5, 60)
        if isinstance(task, tasks.TrainTask):
            seconds += self._workloads.training_seconds
        match disturbed:
            case "fail":
                # What cannot start, or reach its store, is over soon: all attempts of a Job, in a minute.
                seconds = random.uniform(0.2, 3.0) if random.random() < 0.7 else seconds
                said = tasks.write_report(_STORE_AWAY) if task is not None and random.random() < 0.5 else ""
                return Course(seconds, tasks.EXIT_RETRY, said)
            case "bad_input" if task is not None:
                failure = tasks.FailureReport(reason=_BAD_INPUT[task.task], message="row 7 is not as it should be")
                return Course(seconds, tasks.EXIT_BAD_INPUT, tasks.write_report(failure))
            case "out_of_memory":
                return Course(seconds, KILLED, reason="OOMKilled")
            case "hang":
                return Course(None)
            case "garbage" if task is not None:
                return Course(seconds, 0, random.choice(('{"report":"train"', "Killed", '{"report":"fetch","rows":1}')))
            case "silent":
                return Course(seconds)
        if task is None:
            return Course(seconds)
        report = self._workloads.report(task, pod["metadata"]["labels"].get(JOB_NAME, ""), container["image"])
        failed = isinstance(report, tasks.FailureReport)
        return Course(seconds, tasks.EXIT_BAD_INPUT if failed else tasks.EXIT_DONE, tasks.write_report(report))

    def _serving(self, task: tasks.ServeTask, fate: Fate, restarts: int) -> Course:
        random = self._random
        refusal = self._workloads.refusal(task)
        if refusal is not None:
            passes = refusal.reason == "StoreUnavailable"
            code = tasks.EXIT_RETRY if passes else tasks.EXIT_BAD_INPUT
            return Course(2.0, code, tasks.write_report(refusal), hopeless=not passes)
        if task.candidate is not None and task.candidate.artifact in self._workloads.heavy:
            return Course(random.uniform(0.5, 20), KILLED, reason="OOMKilled", hopeless=True)
        if random.random() < self._fates.never_ready:
            # It is up and silent until it hangs altogether: the kubelet ends the container and starts another.
            return Course(400.0, KILLED)
        ready = random.uniform(1, 15)
        if restarts == 0 and fate.outcome in ("fail", "out_of_memory"):
            seconds = random.uniform(0.5, 300)
            memory = fate.outcome == "out_of_memory"
            return Course(seconds, KILLED if memory else 1, reason="OOMKilled" if memory else "", ready_after=ready)
        return Course(None, ready_after=ready, stop_seconds=random.uniform(0.1, 5), stop_code=0)


def _is_server(pod: Manifest) -> bool:
    return bool(pod["spec"].get("restartPolicy", "Always") == "Always")


def _disturbed(pod: Manifest, fate: Fate) -> str:
    """Return the name of the container that the outcome befalls: a report is the last one's to give, what else
    happens may happen to any."""
    spec = pod["spec"]
    names = [each["name"] for each in (*(spec.get("initContainers") or ()), *spec["containers"])]
    if fate.outcome in ("garbage", "silent", "bad_input"):
        return str(names[-1])
    return str(names[sum(map(ord, pod["metadata"]["name"])) % len(names)])
