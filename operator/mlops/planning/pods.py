"""The pods of all workloads, as plain YAML shapes: Pod Security `restricted`, and what `mlops.workloads` expects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlops.api import tasks
from mlops.api.base import Resource
from mlops.api.log_lines import DEFAULT_FORMAT
from mlops.api.resources import ResourceAmounts, Resources
from mlops.planning.ownership import owner_of
from mlops.planning.plan import Manifest, Settings

_USER = 65532
# The Secret of the store as files: a kubelet renews them when it changes, which it cannot do with an environment.
_KEYS_VOLUME, _KEYS_FOLDER = "store-keys", "/var/run/mlops/store-keys"
_NAMESPACE_FIELD = "{namespace}"


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

    It is given the keys of the store's Secret, as its environment or, where it lives on, as files; and under a prefix
    those of `source_secret`. All are optional: without them the pod starts and says what is missing, instead of waiting
    where no condition tells of it.
    """
    env = more.pop("env", [])
    mounts = more.pop("volume_mounts", [])
    lives_on = isinstance(task, tasks.ServeTask)
    secrets: list[Manifest] = [] if lives_on else [{"secretRef": {"name": secret_of(settings, task), "optional": True}}]
    if source_secret:
        secrets.append({"prefix": tasks.SOURCE_PREFIX, "secretRef": {"name": source_secret, "optional": True}})
    if lives_on:
        mounts = [*mounts, {"name": _KEYS_VOLUME, "mountPath": _KEYS_FOLDER, "readOnly": True}]
    return {
        "name": name,
        "image": settings.image,
        "imagePullPolicy": "IfNotPresent",
        # Nothing is imported from the working folder (-P), and nobody can write to it.
        "command": ["python", "-P", "-m", "mlops.workloads"],
        "workingDir": "/",
        "env": [*tasks.task_environment(task), *_environment(settings, task), *env],
        **({"envFrom": secrets} if secrets else {}),
        "resources": with_scratch(settings, amounts),
        "securityContext": container_security(),
        "terminationMessagePolicy": "File",
        "volumeMounts": [own_tmp(name), *mounts],
        **more,
    }


def secret_of(settings: Settings, task: tasks.Task) -> str:
    """Return the name of the Secret with the keys for `task`: what it may do to the store is a policy's to say."""
    match task:
        case tasks.ServeTask():
            return settings.server_secret or settings.store_secret
        case tasks.FetchTask() | tasks.VerifyTask():
            return settings.reader_secret or settings.store_secret
        case tasks.RemoveTask():
            return settings.remover_secret or settings.store_secret
    return settings.store_secret


def own_tmp(name: str) -> Manifest:
    """Return the mount of /tmp of the container `name`: no other container of the pod sees what it leaves there."""
    return {"name": f"tmp-{name}", "mountPath": "/tmp"}


def with_scratch(settings: Settings, amounts: Manifest) -> Manifest:
    """Return a container's resources with what it may take of its node's disk."""
    scratch = {"requests": settings.scratch_request, "limits": settings.scratch_limit}
    return {
        side: {**amounts[side], **({"ephemeral-storage": amount} if amount else {})} for side, amount in scratch.items()
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


def _environment(settings: Settings, task: tasks.Task) -> list[Manifest]:
    keys = {tasks.S3_SECRET_VARIABLE: f"{task.namespace}/{secret_of(settings, task)}"}
    if isinstance(task, tasks.ServeTask):
        keys[tasks.S3_KEYS_VARIABLE] = _KEYS_FOLDER
    if settings.pod_log_format != DEFAULT_FORMAT:
        keys[tasks.LOG_FORMAT_VARIABLE] = settings.pod_log_format
    # These come last: an installation's setting must not change the bits of a model, nor what is imported.
    fixed = {**tasks.NUMERIC_ENVIRONMENT, **tasks.SAFE_PYTHON}
    return variables({**settings.environment, **_store(settings, task.namespace), **keys, **fixed})


def _store(settings: Settings, namespace: str) -> dict[str, str]:
    """Return the address of the namespace's own store, and of what the stores of all namespaces lie under."""
    url = settings.environment.get(tasks.STORE_VARIABLE, "")
    root, found, _ = url.partition(_NAMESPACE_FIELD)
    if not found:
        return {}
    return {
        tasks.STORE_VARIABLE: url.replace(_NAMESPACE_FIELD, namespace),
        tasks.STORE_ROOT_VARIABLE: root.rpartition("/")[0],
    }


def pod(
    settings: Settings,
    labels: Mapping[str, str],
    containers: list[Manifest],
    *,
    restart_policy: str = "Never",
    annotations: Mapping[str, str] | None = None,
    **more: Any,
) -> Manifest:
    """Return a pod template with the volumes that its containers mount; `more` adds keys of the pod's spec."""
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
            "volumes": _volumes(settings, [*more.get("initContainers", ()), *containers]),
            **more,
        },
    }


def _volumes(settings: Settings, containers: list[Manifest]) -> list[Manifest]:
    """Return each volume that a container mounts: a bounded empty folder, or the keys of model servers."""
    names = dict.fromkeys(mount["name"] for each in containers for mount in each["volumeMounts"])
    bounded = {"sizeLimit": settings.scratch_limit} if settings.scratch_limit else {}
    keys = {"secretName": settings.server_secret or settings.store_secret, "optional": True}
    return [
        {"name": name, "secret": dict(keys)} if name == _KEYS_VOLUME else {"name": name, "emptyDir": dict(bounded)}
        for name in names
    ]


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
