"""The pods of all workloads, as plain YAML shapes: Pod Security `restricted`, and what `mlops.workloads` expects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlops.api import tasks
from mlops.api.base import Resource
from mlops.api.resources import ResourceAmounts, Resources
from mlops.planning.ownership import owner_of
from mlops.planning.plan import Manifest, Settings

_USER = 65532


def resources(*, cpu: str, memory: str, cpu_limit: str, memory_limit: str) -> Manifest:
    """Return a container's resources."""
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": cpu_limit, "memory": memory_limit}}


def amounts(wanted: Resources | None, default: Manifest) -> Manifest:
    """Return the default overridden per resource: who names one side only gets the other side equal to it."""
    wanted = wanted or Resources()
    requests, limits = dict(default["requests"]), dict(default["limits"])
    for name in ResourceAmounts.model_fields:
        request, limit = getattr(wanted.requests, name), getattr(wanted.limits, name)
        if request or limit:
            requests[name], limits[name] = request or limit, limit or request
    return {"requests": requests, "limits": limits}


def container(
    settings: Settings,
    task: tasks.Task,
    amounts: Manifest,
    *,
    name: str = "main",
    source_secret: str | None = None,
    **more: Any,
) -> Manifest:
    """Return the container of one of our own workloads; `more` adds keys such as ports and probes.

    Its environment holds the keys of the store's Secret and, under a prefix, those of `source_secret`. Both are
    optional: without them the pod starts and says what is missing, instead of waiting where no condition tells of it.
    """
    env = more.pop("env", [])
    mounts = more.pop("volume_mounts", [])
    return {
        "name": name,
        "image": settings.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", "mlops.workloads"],
        "env": [*tasks.task_environment(task), *_environment(settings, task.namespace), *env],
        "envFrom": [
            {"secretRef": {"name": settings.store_secret, "optional": True}},
            *(
                [{"prefix": tasks.SOURCE_PREFIX, "secretRef": {"name": source_secret, "optional": True}}]
                if source_secret
                else []
            ),
        ],
        "resources": amounts,
        "securityContext": container_security(),
        "terminationMessagePolicy": "File",
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, *mounts],
        **more,
    }


def container_security() -> Manifest:
    """Return what Pod Security `restricted` asks of a container, and a read-only root filesystem."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": _USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def variables(values: Mapping[str, str]) -> list[Manifest]:
    """Return env entries."""
    return [{"name": name, "value": values[name]} for name in sorted(values)]


# A Job's pod learns its Job's name, which in a CronJob carries the scheduled time.
JOB_NAME_VARIABLE: Manifest = {
    "name": tasks.JOB_VARIABLE,
    "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['batch.kubernetes.io/job-name']"}},
}


def _environment(settings: Settings, namespace: str) -> list[Manifest]:
    secret = {tasks.S3_SECRET_VARIABLE: f"{namespace}/{settings.store_secret}"}
    # The numeric environment comes last: an installation's setting must not change the bits of a model.
    return variables({**settings.environment, **secret, **tasks.NUMERIC_ENVIRONMENT})


def pod(
    labels: Mapping[str, str],
    containers: list[Manifest],
    *,
    restart_policy: str = "Never",
    annotations: Mapping[str, str] | None = None,
    volumes: tuple[str, ...] = (),
    **more: Any,
) -> Manifest:
    """Return a pod template; `volumes` names empty folders beside /tmp, `more` adds keys of the pod's spec."""
    return {
        "metadata": {"labels": dict(labels)} | ({"annotations": dict(annotations)} if annotations else {}),
        "spec": {
            "restartPolicy": restart_policy,
            "automountServiceAccountToken": False,
            # A Service called "mlops" would put variables called MLOPS_... among ours.
            "enableServiceLinks": False,
            "securityContext": {
                "fsGroup": _USER,
                "runAsGroup": _USER,
                "runAsNonRoot": True,
                "runAsUser": _USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": containers,
            "volumes": [{"name": name, "emptyDir": {}} for name in ("tmp", *volumes)],
            **more,
        },
    }


def job_spec(template: Manifest, *, backoff_limit: int, active_deadline_seconds: int) -> Manifest:
    """Return a Job's spec: bad input is not tried again, and a pod that was evicted does not count as a failure."""
    return {
        "backoffLimit": backoff_limit,
        "activeDeadlineSeconds": active_deadline_seconds,
        # With a podFailurePolicy the API server accepts only Failed; it also keeps two pods from working at once.
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {
            "rules": [
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [tasks.EXIT_BAD_INPUT]}},
            ]
        },
        "template": template,
    }


def job(
    owner: Resource,
    name: str,
    labels: Mapping[str, str],
    template: Manifest,
    *,
    backoff_limit: int,
    active_deadline_seconds: int,
    annotations: Mapping[str, str] | None = None,
) -> Manifest:
    """Return a Job that is owned by `owner`."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": owner.metadata.namespace,
            "labels": dict(labels),
            **({"annotations": dict(annotations)} if annotations else {}),
            "ownerReferences": owner_of(owner),
        },
        "spec": job_spec(template, backoff_limit=backoff_limit, active_deadline_seconds=active_deadline_seconds),
    }


def cron_job(
    owner: Resource,
    name: str,
    labels: Mapping[str, str],
    template: Manifest,
    *,
    schedule: str,
    time_zone: str | None,
    suspend: bool,
    starting_deadline_seconds: int | None,
    backoff_limit: int,
    active_deadline_seconds: int,
    annotations: Mapping[str, str] | None = None,
) -> Manifest:
    """Return a CronJob that is owned by `owner` and never runs two of its Jobs at once."""
    deadline = {} if starting_deadline_seconds is None else {"startingDeadlineSeconds": starting_deadline_seconds}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {
            "name": name,
            "namespace": owner.metadata.namespace,
            "labels": dict(labels),
            **({"annotations": dict(annotations)} if annotations else {}),
            "ownerReferences": owner_of(owner),
        },
        "spec": {
            "schedule": schedule,
            "timeZone": time_zone or "UTC",
            "concurrencyPolicy": "Forbid",
            "suspend": suspend,
            **deadline,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {
                "metadata": {"labels": dict(labels)},
                "spec": job_spec(
                    template, backoff_limit=backoff_limit, active_deadline_seconds=active_deadline_seconds
                ),
            },
        },
    }
