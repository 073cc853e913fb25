"""The Job controller: one pod after another until one has succeeded or the Job has failed for good."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from typing import Any

from mlops.api.base import format_time
from mlops.engine.cluster import Clock, key_of, owners_of
from mlops.engine.routes import JOB_NAME
from mlops.local.cluster import LocalCluster
from mlops.local.node import Node
from mlops.local.pods import LocalPod
from mlops.planning.plan import Key, Manifest

# Between a failed pod and the next one, in seconds, doubled each time. Kubernetes begins with 10 and ends with 360.
FIRST_BACK_OFF, LONGEST_BACK_OFF = 0.2, 30.0


class JobController:
    """Runs Jobs with parallelism 1. The deadline counts from the first pod's start, not from its waiting for a slot."""

    def __init__(self, cluster: LocalCluster, node: Node, clock: Clock) -> None:
        self._cluster, self._node, self._clock = cluster, node, clock
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._closing = False

    def start(self) -> None:
        """Take up every Job that is not finished, and from now on each that is made."""
        self._cluster.watch(self._on_change)
        for job in self._cluster.list("Job"):
            self._consider(job)

    @property
    def busy_with(self) -> list[str]:
        """Return the Jobs that are not finished."""
        return [task.get_name() for task in self._tasks.values()]

    async def close(self) -> None:
        """Stop working on Jobs; they stay unfinished."""
        self._closing = True
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _on_change(self, old: Manifest | None, new: Manifest | None) -> None:
        manifest = new or old
        if manifest is None or manifest["kind"] != "Job":
            return
        if new is None or new["spec"].get("suspend"):
            if task := self._tasks.get(manifest["metadata"]["uid"]):
                task.cancel()
        else:
            self._consider(new)

    def _consider(self, job: Manifest) -> None:
        uid = job["metadata"]["uid"]
        if self._closing or uid in self._tasks or is_finished(job) or job["spec"].get("suspend"):
            return
        task = asyncio.create_task(self._run(key_of(job), uid), name=f"Job {job['metadata']['name']}")
        self._tasks[uid] = task
        task.add_done_callback(lambda done: self._forget(uid, key_of(job), done))

    def _forget(self, uid: str, key: Key, done: asyncio.Task[None]) -> None:
        del self._tasks[uid]
        if not done.cancelled() and (error := done.exception()):
            raise error
        present = self._present(key, uid)
        if present is not None and not self._closing and not is_finished(present):
            status = {name: value for name, value in present.get("status", {}).items() if name != "active"}
            self._cluster.set_status(key, status)
            # It may have been suspended and resumed while its pod was being stopped.
            self._consider(present)

    async def _run(self, key: Key, uid: str) -> None:
        deadline: float | None = None
        loop = asyncio.get_running_loop()
        while job := self._present(key, uid):
            finished = [pod for pod in self._pods(job) if pod["status"].get("phase") in ("Succeeded", "Failed")]
            if end := _judge(job, finished):
                return self._finish(job, finished, *end)
            failures = len(finished)
            if failures:
                await asyncio.sleep(min(LONGEST_BACK_OFF, FIRST_BACK_OFF * 2.0 ** (failures - 1)))
            manifest = self._node.create(_pod_of(job))
            try:
                async with self._node.slots:
                    if deadline is None:
                        limit = job["spec"].get("activeDeadlineSeconds")
                        deadline = loop.time() + limit if limit else float("inf")
                    self._write(job, finished, active=1)
                    in_time = await self._run_pod(self._node.start(manifest), deadline)
            finally:
                # The pod never started (or was stopped): it must not stay Pending for ever.
                self._remove_unfinished(key_of(manifest), manifest["metadata"]["uid"])
            if not in_time and (job := self._present(key, uid)):
                message = "Job was active longer than specified deadline"
                return self._finish(job, finished, "Failed", "DeadlineExceeded", message)
        return None

    async def _run_pod(self, pod: LocalPod, deadline: float) -> bool:
        """Return whether the pod ended before the deadline; one that did not is stopped."""
        try:
            async with asyncio.timeout_at(None if deadline == float("inf") else deadline):
                await pod.ended()
        except TimeoutError:
            await pod.stop()
            return False
        except asyncio.CancelledError:
            await pod.stop()
            raise
        return True

    def _remove_unfinished(self, key: Key, uid: str) -> None:
        pod = self._cluster.get(key)
        unfinished = pod and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
        if pod is not None and unfinished and pod["metadata"]["uid"] == uid:
            self._cluster.remove(key)

    def _present(self, key: Key, uid: str) -> Manifest | None:
        job = self._cluster.get(key)
        return job if job is not None and job["metadata"]["uid"] == uid else None

    def _pods(self, job: Manifest) -> list[Manifest]:
        key, uid = key_of(job), job["metadata"]["uid"]
        pods = self._cluster.list("Pod", key.namespace, {JOB_NAME: key.name})
        return [pod for pod in pods if any(reference["uid"] == uid for reference in owners_of(pod))]

    def _finish(self, job: Manifest, finished: Sequence[Manifest], type_: str, reason: str, message: str) -> None:
        now = format_time(self._clock.now())
        condition: Manifest = {"type": type_, "status": "True", "lastProbeTime": now, "lastTransitionTime": now}
        if type_ == "Failed":
            condition |= {"reason": reason, "message": message}
            self._write(job, finished, conditions=[condition])
        else:
            self._write(job, finished, conditions=[condition], completionTime=now)

    def _write(self, job: Manifest, finished: Sequence[Manifest], **more: Any) -> None:
        now = format_time(self._clock.now())
        succeeded = sum(pod["status"]["phase"] == "Succeeded" for pod in finished)
        status = {
            "startTime": job.get("status", {}).get("startTime", now),
            **({"succeeded": succeeded} if succeeded else {}),
            **({"failed": len(finished) - succeeded} if len(finished) > succeeded else {}),
            **more,
        }
        self._cluster.set_status(key_of(job), status)


def is_finished(job: Manifest) -> bool:
    """Return whether the Job is complete or has failed."""
    return finished_condition(job) is not None


def finished_condition(job: Manifest) -> str | None:
    """Return Complete, Failed or None."""
    conditions = job.get("status", {}).get("conditions", ())
    done = (c["type"] for c in conditions if c["type"] in ("Complete", "Failed") and c["status"] == "True")
    return next(done, None)


def _judge(job: Manifest, finished: Sequence[Manifest]) -> tuple[str, str, str] | None:
    """Return the condition (type, reason, message) that the finished pods lead to, if any."""
    spec = job["spec"]
    if sum(pod["status"]["phase"] == "Succeeded" for pod in finished) >= spec.get("completions", 1):
        return "Complete", "", ""
    counted = 0
    for pod in finished:
        if pod["status"]["phase"] == "Failed":
            action, message = _policy(spec, pod)
            if action == "FailJob":
                return "Failed", "PodFailurePolicy", message
            counted += action != "Ignore"
    if counted > spec.get("backoffLimit", 6):
        return "Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit"
    return None


def _policy(spec: Manifest, pod: Manifest) -> tuple[str, str]:
    for index, rule in enumerate(spec.get("podFailurePolicy", {}).get("rules", ())):
        exits = rule.get("onExitCodes")
        for container, code in _exit_codes(pod):
            if exits and exits.get("containerName") in (None, container) and code:
                listed = code in exits["values"]
                if listed == (exits["operator"] == "In"):
                    name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
                    message = (
                        f"Container {container} for pod {name} failed with exit code {code} "
                        f"matching {rule['action']} rule at index {index}"
                    )
                    return str(rule["action"]), message
    return "Count", ""


def _exit_codes(pod: Manifest) -> Iterator[tuple[str, int]]:
    for field in ("initContainerStatuses", "containerStatuses"):
        for status in pod["status"].get(field, ()):
            if end := status["state"].get("terminated"):
                yield status["name"], end["exitCode"]


def _pod_of(job: Manifest) -> Manifest:
    template, metadata = job["spec"]["template"], job["metadata"]
    own = {JOB_NAME: metadata["name"], "batch.kubernetes.io/controller-uid": metadata["uid"]}
    given = template.get("metadata", {})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **given,
            # Kubernetes cuts the Job's name there too, to leave room for five random characters.
            "name": f"{metadata['name'][:57]}-{secrets.token_hex(3)[:5]}",
            "namespace": metadata["namespace"],
            "labels": {**given.get("labels", {}), **own},
            "ownerReferences": [
                {
                    "apiVersion": "batch/v1",
                    "kind": "Job",
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                    "controller": True,
                }
            ],
        },
        "spec": template["spec"],
    }
