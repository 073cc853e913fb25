"""What a cluster's own controllers and kubelets do, as far as the operator can see it, on a bare API server.

Jobs get a pod that ends with a report, Deployments roll out, a CronJob gets one Job. All of it by status writes
through the real API, under its validation.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import urllib3

from mlops.api import tasks
from mlops.api.base import format_time
from tests.containers import task_of
from tests.planning.builders import a_drift_report, a_train_report, a_verify_report, an_ingest_report
from tests.servers.apiserver import ApiServer

Object = dict[str, Any]
SCHEDULED = 33000000  # minutes since 1970: a day in 2032, for a check from before its monitor is not its own
LIVES = {"Job": "batch/v1", "CronJob": "batch/v1", "Deployment": "apps/v1"}


# Of classifiers and regressors alike: what gates of examples ask for.
METRICS = [
    {"name": name, "dataset": "test", "value": value}
    for name, value in (("roc_auc", "0.8312"), ("r2", "0.9"), ("mae", "0.1"))
]


def report_on(task: tasks.Task) -> tasks.Report:
    """What a pod reports when all goes well."""
    match task:
        case tasks.IngestTask():
            return an_ingest_report()
        case tasks.TrainTask():
            return a_train_report(metrics=METRICS)
        case tasks.VerifyTask():
            return a_verify_report()
        case tasks.DriftTask():
            return a_drift_report()
    raise AssertionError(f"nobody expects {task!r}")


class Nodes:
    """Looks ten times a second at one namespace, and does what is due. `holds` names Jobs that are not run yet."""

    def __init__(self, server: ApiServer, namespace: str, holds: Callable[[Object], bool] = lambda job: False) -> None:
        # A pool of connections of its own: the threads of a test do not wait for each other.
        self._server = ApiServer(server.url, server.ca, server.token)
        self._namespace, self._holds = namespace, holds
        self._over = threading.Event()
        self.errors: list[str] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Nodes:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._over.wait(0.1):
            try:
                self._work()
            except urllib3.exceptions.HTTPError:
                continue  # the API server is away: later

    def _work(self) -> None:
        for job in self._all("Job"):
            if not job.get("status", {}).get("conditions") and not self._holds(job):
                self._run_job(job)
        for deployment in self._all("Deployment"):
            self._roll_out(deployment)
        for cron_job in self._all("CronJob"):
            self._schedule(cron_job)

    def _all(self, kind: str) -> Iterable[Object]:
        status, answer = self._server.list(LIVES[kind], kind, self._namespace)
        if status != 200:
            return []  # the API server is away: later
        return [{"apiVersion": LIVES[kind], "kind": kind, **item} for item in answer["items"]]

    def _run_job(self, job: Object) -> None:
        template = job["spec"]["template"]
        task = task_of(template["spec"]["containers"][-1])
        assert task is not None
        report = report_on(task)
        now = format_time(datetime.now(UTC))
        metadata = {
            "name": f"{job['metadata']['name']}-pod",
            "namespace": self._namespace,
            "labels": template["metadata"]["labels"],
            "ownerReferences": [_owned(job)],
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        ended = {"exitCode": 0, "reason": "Completed", "message": tasks.write_report(report)}
        containers = [
            {
                "name": each["name"],
                "image": each["image"],
                "imageID": "",
                "ready": False,
                "restartCount": 0,
                "state": {"terminated": {**ended, "startedAt": now, "finishedAt": now}},
            }
            for each in template["spec"]["containers"]
        ]
        self._do(self._server.create(pod), 201, 409)
        self._do(self._server.patch(pod, {"status": {"phase": "Succeeded", "containerStatuses": containers}}, "status"))
        good = {"status": "True", "lastTransitionTime": now, "lastProbeTime": now}
        ends = [{"type": type_, "reason": "CompletionsReached", **good} for type_ in ("SuccessCriteriaMet", "Complete")]
        status = {"startTime": now, "completionTime": now, "succeeded": 1, "ready": 0, "conditions": ends}
        status["uncountedTerminatedPods"] = {}
        self._do(self._server.patch(job, {"status": status}, "status"))

    def _roll_out(self, deployment: Object) -> None:
        generation, wanted = deployment["metadata"]["generation"], deployment["spec"].get("replicas", 1)
        if deployment.get("status", {}).get("observedGeneration") == generation:
            return
        now = format_time(datetime.now(UTC))
        since = {"lastUpdateTime": now, "lastTransitionTime": now}
        conditions = [
            {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", **since},
            {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable", **since},
        ]
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), wanted)
        status = {"observedGeneration": generation, "conditions": conditions, **counts}
        self._do(self._server.patch(deployment, {"status": status}, "status"))

    def _schedule(self, cron_job: Object) -> None:
        name = f"{cron_job['metadata']['name']}-{SCHEDULED}"
        if cron_job.get("status", {}).get("lastScheduleTime"):
            return
        template = cron_job["spec"]["jobTemplate"]
        metadata = {**template["metadata"], "name": name, "namespace": self._namespace}
        metadata["ownerReferences"] = [_owned(cron_job)]
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]}
        self._do(self._server.create(job), 201, 409)
        at = format_time(datetime.fromtimestamp(SCHEDULED * 60, UTC))
        self._do(self._server.patch(cron_job, {"status": {"lastScheduleTime": at}}, "status"))

    def _do(self, answer: tuple[int, Object], *good: int) -> None:
        # A 404 is an object that was deleted meanwhile.
        if answer[0] not in (good or (200, 404)):
            self.errors.append(f"{answer[0]} {answer[1].get('message')}")


def _owned(owner: Object) -> Object:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }
