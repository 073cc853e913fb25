"""The Job controller: one look at a Job makes at most one step of what the real one does in a row.

After pkg/controller/job of Kubernetes 1.34. Between the steps others may act, as they may when the real controller is
stopped between two of its requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from mlops.api.base import parse_time
from mlops.engine.cluster import key_of, owners_of
from mlops.planning.plan import Key, Manifest
from tests.simulation.controllers import pods as a_pod
from tests.simulation.controllers.client import Client
from tests.simulation.controllers.clockwork import Clockwork, Reactions
from tests.simulation.controllers.conditions import find, is_true, replaced
from tests.simulation.controllers.graph import Graph

# A pod has this finalizer until its end is counted.
TRACKING = "batch.kubernetes.io/job-tracking"
_FIRST_BACK_OFF, _LONGEST_BACK_OFF = 10.0, 600.0


@dataclass
class _Work:
    """One look at a Job: its status as it will be, and its pods."""

    job: Manifest
    status: Manifest
    pods: list[Manifest]
    # The condition that the Job will end with, once its pods are gone and counted.
    end: Manifest | None = None

    @property
    def spec(self) -> Manifest:
        return self.job["spec"]  # type: ignore[no-any-return]

    @property
    def active(self) -> list[Manifest]:
        return [pod for pod in self.pods if a_pod.is_active(pod)]

    @property
    def terminating(self) -> list[Manifest]:
        return [pod for pod in self.pods if a_pod.is_going(pod) and not a_pod.has_ended(pod)]

    @property
    def tracked(self) -> list[Manifest]:
        return [pod for pod in self.pods if TRACKING in (pod["metadata"].get("finalizers") or ())]

    def uncounted(self, end: str) -> list[str]:
        found: list[str] = self.status["uncountedTerminatedPods"].get(end, [])
        return found

    def has_failed(self, pod: Manifest) -> bool:
        replaces_failed_only = (
            self.spec.get("podReplacementPolicy") == "Failed" or self.spec.get("podFailurePolicy") is not None
        )
        going = a_pod.is_going(pod) and a_pod.phase(pod) != "Succeeded" and not replaces_failed_only
        return a_pod.phase(pod) == "Failed" or going


class JobController:
    """Runs Jobs, with what the operator's Jobs use: one completion, podFailurePolicy, deadlines, suspend."""

    def __init__(self, client: Client, clockwork: Clockwork, graph: Graph) -> None:
        self._client, self._clockwork, self._graph = client, clockwork, graph
        self._reactions = Reactions(clockwork, self._react)
        self._deadlines = Reactions(clockwork, self._react)
        self._orphans = Reactions(clockwork, self._release)
        # By the Job's uid: the pods that failed since its last success, each with the time of its end.
        self._failures: dict[str, dict[str, str]] = {}

    def changed(self, manifest: Manifest, *, gone: bool) -> None:
        """Take note of a change."""
        if manifest["kind"] == "Job":
            if not gone:
                self._reactions.add(key_of(manifest))
                return
            self._forget(key_of(manifest))
            self._failures.pop(manifest["metadata"]["uid"], None)
            for key in self._graph.dependents(manifest["metadata"]["uid"], "Pod"):
                self._orphans.add(key)
        elif manifest["kind"] == "Pod":
            for owner in owners_of(manifest):
                if owner["kind"] == "Job" and owner["uid"] in self._graph.alive:
                    self._reactions.add(self._graph.alive[owner["uid"]])
            if not gone and TRACKING in (manifest["metadata"].get("finalizers") or ()):
                self._orphans.add(key_of(manifest))

    # --- pods whose Job is gone or over ---

    def _release(self, key: Key) -> None:
        pod = self._client.get(key)
        if pod is None or TRACKING not in (pod["metadata"].get("finalizers") or ()):
            return
        job = next((each for each in owners_of(pod) if each["kind"] == "Job" and each.get("controller")), None)
        known = self._graph.alive.get(job["uid"]) if job else None
        present = self._client.get(known) if known else None
        if (present is None or is_finished(present)) and not self._untrack(pod):
            self._orphans.add(key)

    def _untrack(self, pod: Manifest) -> bool:
        left = [each for each in pod["metadata"]["finalizers"] if each != TRACKING]
        return self._client.patch(pod, {"metadata": {"finalizers": left or None}}) is not None

    # --- one look ---

    def _react(self, key: Key) -> None:
        job = self._client.get(key)
        if job is None:
            return
        if is_finished(job):
            self._forget(key)
            return
        status = dict(job.get("status") or {})
        status["uncountedTerminatedPods"] = {
            end: list(uids) for end, uids in (status.get("uncountedTerminatedPods") or {}).items()
        }
        status["conditions"] = list(status.get("conditions") or ())
        work = _Work(job, status, self._pods_of(job))
        if not job["spec"].get("suspend"):
            status.setdefault("startTime", self._clockwork.stamp())
        self._judge(work)
        if work.end is not None:
            for pod in work.active:
                self._client.delete(pod)
        elif not job["metadata"].get("deletionTimestamp"):
            self._keep_running(work)
        work.pods = self._pods_of(job)
        self._count(work)
        self._write(work)

    def _forget(self, key: Key) -> None:
        self._reactions.forget_later(key)
        self._deadlines.forget_later(key)

    def _pods_of(self, job: Manifest) -> list[Manifest]:
        uid = job["metadata"]["uid"]
        found = (self._client.get(key) for key in self._graph.dependents(uid, "Pod"))
        return [pod for pod in found if pod is not None and a_pod.is_controlled_by(pod, uid)]

    def _judge(self, work: _Work) -> None:
        """Find whether the Job is to end, and how: what an earlier sync found counts first."""
        conditions = work.status["conditions"]
        if is_true(conditions, "SuccessCriteriaMet"):
            work.end = self._ended("Complete", find(conditions, "SuccessCriteriaMet"))
        elif is_true(conditions, "FailureTarget"):
            work.end = self._ended("Failed", find(conditions, "FailureTarget"))
        elif message := _fail_message(work):
            self._targeted(work, "PodFailurePolicy", message)
        elif self._failed(work) > work.spec.get("backoffLimit", 6):
            self._targeted(work, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
        elif work.spec.get("suspend"):
            self._deadlines.forget_later(key_of(work.job))
        elif (limit := work.spec.get("activeDeadlineSeconds")) is not None:
            over = parse_time(work.status["startTime"]) + timedelta(seconds=limit)
            left = (over - self._clockwork.now()).total_seconds()
            if left <= 0:
                self._targeted(work, "DeadlineExceeded", "Job was active longer than specified deadline")
            else:
                self._deadlines.add_after(key_of(work.job), left)

    def _targeted(self, work: _Work, reason: str, message: str) -> None:
        work.status["conditions"].append(self._condition("FailureTarget", "True", reason, message))
        work.end = self._condition("Failed", "True", reason, message)

    def _ended(self, type_: str, target: Manifest | None) -> Manifest:
        said = target or {}
        return self._condition(type_, "True", said.get("reason", ""), said.get("message", ""))

    def _condition(self, type_: str, status: str, reason: str, message: str) -> Manifest:
        now = self._clockwork.stamp()
        return {
            "type": type_,
            "status": status,
            "lastProbeTime": now,
            "lastTransitionTime": now,
            "reason": reason,
            "message": message,
        }

    def _succeeded(self, work: _Work) -> int:
        known = work.uncounted("succeeded")
        fresh = [p for p in work.tracked if a_pod.phase(p) == "Succeeded" and p["metadata"]["uid"] not in known]
        return int(work.status.get("succeeded", 0)) + len(known) + len(fresh)

    def _failed(self, work: _Work) -> int:
        known = work.uncounted("failed")
        fresh = [p for p in work.tracked if work.has_failed(p) and p["metadata"]["uid"] not in known]
        return int(work.status.get("failed", 0)) + len(known) + sum(action(work.spec, p) != "Ignore" for p in fresh)

    # --- its pods ---

    def _keep_running(self, work: _Work) -> None:
        conditions = work.status["conditions"]
        if work.spec.get("suspend"):
            for pod in work.active:
                if self._untrack(pod) and (there := self._client.get(key_of(pod))):
                    self._client.delete(there)
            if not is_true(conditions, "Suspended"):
                suspended = self._condition("Suspended", "True", "JobSuspended", "Job suspended")
                work.status["conditions"] = replaced(conditions, suspended)
            return
        wanted = min(work.spec.get("parallelism", 1), work.spec.get("completions", 1) - self._succeeded(work))
        if wanted <= 0 and not work.active:
            reason, message = "CompletionsReached", "Reached expected number of succeeded pods"
            work.status["conditions"].append(self._condition("SuccessCriteriaMet", "True", reason, message))
            work.end = self._condition("Complete", "True", reason, message)
            return
        if is_true(conditions, "Suspended"):
            resumed = self._condition("Suspended", "False", "JobResumed", "Job resumed")
            work.status["conditions"] = replaced(conditions, resumed)
            work.status["startTime"] = self._clockwork.stamp()
        for pod in work.active[max(0, wanted) :]:
            self._client.delete(pod)
        missing = wanted - len(work.active)
        if work.spec.get("podReplacementPolicy") == "Failed" or work.spec.get("podFailurePolicy"):
            missing -= len(work.terminating)
        if missing > 0:
            self._start(work, missing)

    def _start(self, work: _Work, count: int) -> None:
        wait = self._back_off(work)
        if wait > 0:
            self._reactions.add_after(key_of(work.job), wait)
            return
        metadata = work.job["metadata"]
        own = {
            f"{prefix}{name}": value
            for prefix in ("batch.kubernetes.io/", "")
            for name, value in (("controller-uid", metadata["uid"]), ("job-name", metadata["name"]))
        }
        for _ in range(count):
            self._client.create(
                a_pod.made(
                    work.spec["template"],
                    work.job,
                    f"{metadata['name']}-",
                    self._clockwork.random,
                    labels=own,
                    finalizers=(TRACKING,),
                )
            )

    def _back_off(self, work: _Work) -> float:
        """Return how many seconds the next pod has to wait: 10, 20, 40 … after each failure in a row, at most 600."""
        failures = self._failures.setdefault(work.job["metadata"]["uid"], {})
        for pod in work.tracked:
            if work.has_failed(pod):
                failures[pod["metadata"]["uid"]] = a_pod.finished_at(pod)
        if not failures:
            return 0.0
        pause = min(_FIRST_BACK_OFF * 2.0 ** (len(failures) - 1), _LONGEST_BACK_OFF)
        due = parse_time(max(failures.values())) + timedelta(seconds=pause)
        return (due - self._clockwork.now()).total_seconds()

    # --- counting, and the end ---

    def _count(self, work: _Work) -> None:
        """Bring the counts up to date: an end is first put on record as uncounted, then the pod is released, then it
        is counted."""
        held = {pod["metadata"]["uid"] for pod in work.tracked}
        for end in ("succeeded", "failed"):
            uids = work.uncounted(end)
            released = [uid for uid in uids if uid not in held]
            if released:
                work.status[end] = int(work.status.get(end, 0)) + len(released)
                work.status["uncountedTerminatedPods"][end] = [uid for uid in uids if uid in held]
        for pod in self._releasable(work):
            uid = pod["metadata"]["uid"]
            if a_pod.phase(pod) == "Succeeded":
                self._put_uncounted(work, "succeeded", uid)
            # When the Job is over, what still ran has failed.
            elif (_is_lost(work) or work.has_failed(pod)) and action(work.spec, pod) != "Ignore":
                self._put_uncounted(work, "failed", uid)
        work.status["uncountedTerminatedPods"] = {
            end: uids for end, uids in work.status["uncountedTerminatedPods"].items() if uids
        }

    def _put_uncounted(self, work: _Work, end: str, uid: str) -> None:
        if uid not in work.uncounted("succeeded") and uid not in work.uncounted("failed"):
            work.status["uncountedTerminatedPods"][end] = [*work.uncounted(end), uid]

    def _releasable(self, work: _Work) -> list[Manifest]:
        over = work.end is not None or bool(work.job["metadata"].get("deletionTimestamp"))
        return [pod for pod in work.tracked if over or a_pod.phase(pod) == "Succeeded" or work.has_failed(pod)]

    def _write(self, work: _Work) -> None:
        active, status = work.active, work.status
        status["active"] = len(active)
        status["ready"] = sum(map(a_pod.is_ready, active))
        status["terminating"] = len(work.terminating)
        if not status["active"]:
            del status["active"]
        if not status["conditions"]:
            del status["conditions"]
        written = self._client.write_status(work.job, status)
        if written is None:
            self._reactions.add(key_of(work.job))
            return
        if written is not work.job:
            return  # the write brings about the next sync
        releasable = self._releasable(work)
        for pod in releasable:
            if not self._untrack(pod):
                self._reactions.add(key_of(work.job))
        if releasable or work.end is None or status["uncountedTerminatedPods"] or work.terminating:
            return
        final = replaced(status.get("conditions", ()), work.end)
        more = {"completionTime": work.end["lastTransitionTime"]} if work.end["type"] == "Complete" else {}
        if self._client.write_status(written, {**status, "conditions": final, **more}) is None:
            self._reactions.add(key_of(work.job))


def is_finished(job: Manifest) -> bool:
    """Return whether the Job is complete or has failed."""
    return finish_of(job) is not None


def finish_of(job: Manifest) -> str | None:
    """Return Complete, Failed or None."""
    conditions = (job.get("status") or {}).get("conditions") or ()
    return next((type_ for type_ in ("Complete", "Failed") if is_true(conditions, type_)), None)


def action(spec: Manifest, pod: Manifest) -> str:
    """Return what the Job's podFailurePolicy says of a failed pod: Ignore, FailJob or Count."""
    return _policy(spec, pod)[0]


def _is_lost(work: _Work) -> bool:
    return work.end is not None and work.end["type"] == "Failed"


def _fail_message(work: _Work) -> str | None:
    for pod in work.pods:
        if work.has_failed(pod):
            wanted, message = _policy(work.spec, pod)
            if wanted == "FailJob":
                return message
    return None


def _policy(spec: Manifest, pod: Manifest) -> tuple[str, str]:
    status, metadata = pod.get("status") or {}, pod["metadata"]
    where = f"{metadata['namespace']}/{metadata['name']}"
    for index, rule in enumerate((spec.get("podFailurePolicy") or {}).get("rules") or ()):
        matches = f"matching {rule['action']} rule at index {index}"
        if exits := rule.get("onExitCodes"):
            for field in ("containerStatuses", "initContainerStatuses"):
                for container in status.get(field) or ():
                    code = (container["state"].get("terminated") or {}).get("exitCode", 0)
                    named = exits.get("containerName") in (None, container["name"])
                    if code and named and (code in exits["values"]) == (exits["operator"] == "In"):
                        said = f"Container {container['name']} for pod {where} failed with exit code {code} {matches}"
                        return str(rule["action"]), said
        for pattern in rule.get("onPodConditions") or ():
            found = find(status.get("conditions") or (), pattern["type"])
            if found is not None and found["status"] == pattern.get("status", "True"):
                return str(rule["action"]), f"Pod {where} has condition {pattern['type']} {matches}"
    return "Count", ""
