"""Any state of the children of the four kinds, and of their pods, that a cluster may show."""

from __future__ import annotations

import copy
from datetime import datetime, timedelta

from mlops.api import labels, tasks
from mlops.api.base import Model, format_time
from mlops.engine.cluster import API_VERSIONS
from mlops.planning.dataset.manifests import AS_OF
from tests.containers import task_of as task_in
from tests.planning.any_objects import NAMESPACE, REASONS
from tests.planning.anything import DIGESTS, MODELS, NAMES, STAGES, Draw, Object, value

REPORTS: dict[type[Model], type[Model]] = {
    tasks.IngestTask: tasks.IngestReport,
    tasks.FetchTask: tasks.FetchReport,
    tasks.RemoveTask: tasks.RemoveReport,
    tasks.TrainTask: tasks.TrainReport,
    tasks.VerifyTask: tasks.VerifyReport,
    tasks.AnalysisTask: tasks.AnalysisReport,
    tasks.DriftTask: tasks.DriftReport,
}
ANY_REASON = (
    *sorted({str(reason) for reasons in REASONS.values() for reason in reasons}),
    "NotFound", "NoSpace", "TaskInvalid", "OfTheUsersOwn", "no reason", "", "R" * 64, "R" * 65,
)  # fmt: skip
GARBAGE = ("", " ", "{", "null", "[]", "Traceback (most recent call last):\n  File", "日本" * 600, '{"report":"train"}')
WAITING = (
    "ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError",
    "CreateContainerError", "RunContainerError", "ContainerCreating", "CrashLoopBackOff", "PodInitializing",
)  # fmt: skip
_ODD_REASONS = ("BackoffLimitExceeded", "PodFailurePolicy", "DeadlineExceeded", "FailedIndexes", "")


# --- what a pod says ---


def a_message(draw: Draw, job: Object) -> str | None:
    """Return a termination message: mostly a report of the Job's own task, else anything."""
    task = task_of(job)
    match draw.random.randrange(8):
        case 0 | 1 | 2 | 3 if task is not None and type(task) in REPORTS:
            return _report(draw, REPORTS[type(task)], task)
        case 4 | 5:
            reason = draw.one(ANY_REASON if not draw.fresh else ("Rejected", "StoreUnavailable", "OfTheUsersOwn"))
            said = tasks.FailureReport(reason=reason, message=draw.one(("no", "", "m" * 3000, "日本語")))
            return tasks.write_report(said)
        case 6:
            return _report(draw, draw.one(tuple(REPORTS.values())), None)
        case 7:
            return draw.one(GARBAGE)
    return None


def task_of(job: Object) -> tasks.Task | None:
    """Return the task of the Job's main container, None of a Job that is not ours."""
    found = (task_in(container) for container in job["spec"]["template"]["spec"]["containers"])
    return next(filter(None, found), None)


def _report(draw: Draw, kind: type[Model], task: tasks.Task | None) -> str:
    report = {"report": kind.model_fields["report"].default, **value(kind, draw)}
    if isinstance(task, tasks.TrainTask) and draw.chance(0.9):
        report["environmentDigest"] = task.environment_digest
    if isinstance(task, tasks.IngestTask) and draw.chance(0.7):
        report["asOf"] = task.as_of if task.as_of != "scheduled" else "2026-01-10T13:00:00Z"
    if isinstance(task, tasks.RemoveTask) and draw.chance(0.8):
        report["artifacts"] = list(task.artifacts)
    # A pod that wrote more than fits would have failed; its message is cut by the kubelet.
    return kind.model_validate(report).model_dump_json(by_alias=True, exclude_none=True)[:4096]


# --- Jobs and pods ---


def finish(draw: Draw, job: Object, now: datetime) -> tuple[Object, list[Object]]:
    """Return the Job with any outcome or none, and its pods."""
    ended = format_time(now - timedelta(seconds=draw.one((0, 1, 59, 60, 3600, 8 * 86400))))
    job = {**job, "status": _job_status(draw, ended)}
    pods = [a_pod(draw, job, ended, number) for number in range(draw.one((1, 1, 1, 0, 2)))]
    return job, pods


def _job_status(draw: Draw, ended: str) -> Object:
    def said(type_: str, status: str = "True", **more: str) -> Object:
        found = {"type": type_, "status": status, "lastTransitionTime": ended, **more}
        if draw.chance(0.1):
            del found["lastTransitionTime"]
        return found

    match draw.random.randrange(9):
        case 0 | 1 | 2:
            status: Object = {"succeeded": 1, "conditions": [said("SuccessCriteriaMet"), said("Complete")]}
            if draw.chance(0.9):
                status["completionTime"] = ended
            return status
        case 3 | 4 | 5:
            reason = draw.one(_ODD_REASONS)
            more = {"reason": reason, "message": "it failed"} if reason else {}
            return {"failed": 1, "conditions": [said("FailureTarget", **more), said("Failed", **more)]}
        case 6:
            return {"active": 1, "conditions": [said("Suspended", "False"), said("Complete", "False")]}
        case 7:
            return {"conditions": [said("FailureTarget")]}
    return {}


def a_pod(draw: Draw, job: Object, ended: str, number: int) -> Object:
    """Return a pod of the Job in any state."""
    metadata, template = job["metadata"], job["spec"]["template"]
    spec = template["spec"]
    pod: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{metadata['name']}-{number}",
            "namespace": metadata["namespace"],
            "uid": f"{metadata['uid']}-pod-{number}",
            "labels": {
                **template.get("metadata", {}).get("labels", {}),
                "batch.kubernetes.io/job-name": metadata["name"],
            },
        },
        "status": {"phase": draw.one(("Succeeded", "Failed", "Failed", "Succeeded", "Pending", "Running", "Unknown"))},
    }
    if draw.chance(0.9):
        pod["metadata"]["ownerReferences"] = [{"kind": "Job", "name": metadata["name"], "uid": metadata["uid"]}]
    if draw.chance(0.05):
        pod["metadata"]["deletionTimestamp"] = ended
    status = pod["status"]
    finished = status["phase"] in ("Succeeded", "Failed")
    for field, containers in (("initContainerStatuses", "initContainers"), ("containerStatuses", "containers")):
        if containers in spec and draw.chance(0.9):
            status[field] = [
                {
                    "name": each["name"],
                    "image": each.get("image", ""),
                    "state": _end(draw, job, ended) if finished else _waits(draw),
                }
                for each in spec[containers]
            ]
    if not finished and draw.chance(0.3):
        reason = draw.one(("Unschedulable", "SchedulingGated"))
        status["conditions"] = [{"type": "PodScheduled", "status": "False", "reason": reason}]
    return pod


def _end(draw: Draw, job: Object, ended: str) -> Object:
    code = draw.one((0, 2, 0, 1, 137, 143, 255))
    end: Object = {"exitCode": code, "finishedAt": ended, "startedAt": ended}
    end["reason"] = draw.one(("Completed", "Error", "OOMKilled", "ContainerCannotRun", "DeadlineExceeded"))
    message = a_message(draw, job)
    if message is not None:
        end["message"] = message
    return {"terminated": end} if draw.chance(0.95) else {"waiting": {"reason": "PodInitializing"}}


def _waits(draw: Draw) -> Object:
    if draw.chance(0.5):
        return {"running": {"startedAt": "2026-01-10T11:00:00Z"}}
    return {"waiting": {"reason": draw.one(WAITING), **({"message": "m" * 3000} if draw.chance(0.3) else {})}}


def job_of(draw: Draw, cron_job: Object, now: datetime, uid: str) -> Object:
    """Return a Job as the CronJob's controller, or a person, makes it of the CronJob."""
    metadata, template = cron_job["metadata"], cron_job["spec"]["jobTemplate"]
    minutes = int(now.timestamp()) // 60 - draw.one((0, 1, 60, 60 * 24 * 9))
    suffix = draw.one((str(minutes), str(minutes), str(minutes), "by-hand", "0", "999999999", "1234567890", "-5784480"))
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"{metadata['name']}-{suffix}",
            "namespace": metadata["namespace"],
            "uid": uid,
            "labels": dict(template.get("metadata", {}).get("labels", {})),
            "ownerReferences": [{"kind": "CronJob", "name": metadata["name"], "uid": metadata["uid"]}],
        },
        "spec": template["spec"],
    }


# --- what serves ---


def a_rollout(draw: Draw, deployment: Object) -> Object:
    """Return the Deployment at any point of a roll-out."""
    deployment = {**deployment}
    metadata, wanted = deployment["metadata"], deployment["spec"].get("replicas", 1)
    if draw.chance(0.5):
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), wanted)
        seen = metadata.get("generation", 1)
    else:
        numbers = (0, 1, wanted, wanted + 1)
        fields = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
        # A count of 0 is left out, as by the API server.
        counts = {name: count for name in fields if (count := draw.one(numbers))}
        seen = draw.one((metadata.get("generation", 1), 0))
    deployment["status"] = {"observedGeneration": seen, **counts}
    if draw.chance(0.6):
        late = draw.chance(0.4)
        deployment["status"]["conditions"] = [
            {"type": "Available", "status": draw.one(("True", "False"))},
            {"type": "Progressing", "status": "False" if late else "True", "reason": "ProgressDeadlineExceeded"},
        ]
    return deployment


def server_pods(draw: Draw, deployment: Object, now: datetime, uid: str) -> list[Object]:
    """Return pods of the Deployment in any state, of its present template or of another version's."""
    metadata, found = deployment["metadata"], []
    for number in range(draw.one((1, 1, 0, 2, 3))):
        own = dict(deployment["spec"]["template"]["metadata"].get("labels", {}))
        if draw.chance(0.15):
            own[labels.MODEL_VERSION] = draw.one(NAMES)
        found.append(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": f"{metadata['name']}-{number}",
                    "namespace": metadata["namespace"],
                    "uid": f"{uid}-{number}",
                    "labels": own,
                    "ownerReferences": [{"kind": "ReplicaSet", "name": metadata["name"], "uid": "of-a-replica-set"}],
                    **({"deletionTimestamp": format_time(now)} if draw.chance(0.1) else {}),
                },
                "spec": deployment["spec"]["template"]["spec"],
                "status": _server_status(draw, now),
            }
        )
    return found


def _server_status(draw: Draw, now: datetime) -> Object:
    timestamp = format_time(now - timedelta(seconds=draw.one((0, 30, 150, 7200))))
    status: Object = {"phase": draw.one(("Running", "Pending", "Running", "Failed", "Unknown"))}
    ready = draw.one(("True", "False"))
    status["conditions"] = [{"type": "Ready", "status": ready}]
    if draw.chance(0.2):
        status["conditions"].append({"type": "PodScheduled", "status": "False", "reason": "Unschedulable"})
    if draw.chance(0.1):
        return status
    server: Object = {"name": "server", "image": "i", "started": draw.one((True, False))}
    server["restartCount"] = draw.one((0, 1, 3, 99))
    match draw.random.randrange(4):
        case 0 | 1:
            server["state"] = {"running": {"startedAt": timestamp}}
        case 2:
            server["state"] = {"waiting": {"reason": draw.one(WAITING)}}
        case _:
            server["state"] = {"terminated": _server_end(draw, timestamp)}
    if draw.chance(0.5):
        server["lastState"] = {"terminated": _server_end(draw, timestamp)}
    status["containerStatuses"] = [server, {"name": "mesh", "state": {"waiting": {"reason": "PodInitializing"}}}]
    return status


def _server_end(draw: Draw, timestamp: str) -> Object:
    end: Object = {"exitCode": draw.one((2, 1, 0, 137, 139)), "reason": draw.one(("Error", "OOMKilled"))}
    if draw.chance(0.8):
        end |= {"startedAt": timestamp, "finishedAt": draw.one((timestamp, "2026-01-10T12:00:00Z", "soon"))}
    if draw.chance(0.7):
        said = tasks.FailureReport(reason=draw.one(ANY_REASON), message=draw.one(("no", "", "m" * 3000, "日本語")))
        end["message"] = draw.one((tasks.write_report(said), *GARBAGE))
    return end


def an_address(draw: Draw, service: Object) -> Object:
    """Return the Service with any address that a load balancer may give it."""
    ingress = draw.one(
        (
            {"ip": "10.0.0.7"},
            {"hostname": "models.example.com", "ports": [{"port": 8443, "protocol": "TCP"}]},
            {"ip": "127.0.0.1", "ports": [{"port": 80}]},
            {"hostname": "h" * 63},
            {},
        )
    )
    load_balancer = draw.one(({"ingress": [ingress]}, {"ingress": []}, {}))
    return {**service, "status": {"loadBalancer": load_balancer}}


# --- what others do to children ---


def tampered(draw: Draw, child: Object, uid: str) -> Object:
    """Return the child after somebody edited it, or one of its name by somebody else."""
    child = copy.deepcopy(child)
    metadata = child["metadata"]
    match draw.random.randrange(8):
        case 0:
            metadata.pop("labels", None)
        case 1:
            own = metadata.setdefault("labels", {})
            label = (labels.DATASET, labels.RUN, labels.MODEL, labels.MONITOR, labels.STAGE, labels.DIGEST)
            own[draw.one(label)] = draw.one((*NAMES[:3], *MODELS[:1], *STAGES[:2], "x"))
        case 2:
            metadata["ownerReferences"] = [
                {**owner, "uid": f"of-a-namesake-{uid}"} for owner in metadata.get("ownerReferences", ())
            ]
            metadata["uid"] = uid
        case 3:
            metadata.pop("ownerReferences", None)
        case 4:
            metadata.pop("annotations", None)
        case 5:
            metadata["deletionTimestamp"] = "2026-01-10T12:00:00Z"
        case 6:
            annotations = metadata["annotations"] = {**metadata.get("annotations", {})}
            annotations[draw.one((labels.ARTIFACT, AS_OF, labels.GENERATION))] = draw.one((*DIGESTS, "soon", ""))
            metadata.setdefault("labels", {})[labels.MODEL_VERSION] = draw.one(NAMES)
        case _:
            metadata |= {"uid": uid, "labels": {"app": "of-somebody-else"}, "ownerReferences": []}
    return child


def a_strangers(draw: Draw, kind: str, uid: str) -> Object:
    """Return an object of a child's kind that was never ours, perhaps with our labels on it."""
    version = API_VERSIONS[kind]
    pod = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "x", "image": "x"}]}}
    spec: Object = {
        "Job": {"template": pod},
        "CronJob": {"schedule": "0 * * * *", "jobTemplate": {"spec": {"template": pod}}},
        "Deployment": {"replicas": 1, "selector": {"matchLabels": {"app": "x"}}, "template": pod},
        "Service": {"ports": [{"port": 80}]},
        "ConfigMap": {},
        "PodDisruptionBudget": {"minAvailable": 1},
        "HorizontalPodAutoscaler": {"minReplicas": 1, "maxReplicas": 3},
    }[kind]
    own = {
        labels.MANAGED_BY: draw.one((labels.MANAGER, "Helm")),
        labels.DATASET: draw.one(NAMES),
        labels.RUN: draw.one(NAMES),
        labels.MODEL: draw.one(MODELS),
        labels.MONITOR: draw.one(NAMES),
        labels.STAGE: draw.one(STAGES),
        "app.kubernetes.io/component": draw.one(("ingest", "train", "check", "history")),
    }
    name = draw.one((*NAMES, f"{draw.one(MODELS)}-{draw.one(STAGES)}", f"{draw.one(MODELS)}-history"))
    metadata = {"name": name, "namespace": NAMESPACE, "uid": uid, "labels": {k: own[k] for k in draw.some(tuple(own))}}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": copy.deepcopy(spec)}
