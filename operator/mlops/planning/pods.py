"""The pods of all workloads, as plain YAML shapes: Pod Security `restricted`, and what `mlops.workloads` expects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mlops.api import tasks
from mlops.api.base import Resource
from mlops.api.labels import COMPONENT, INSTANCE
from mlops.api.log_lines import DEFAULT_FORMAT
from mlops.api.pod_template import PodTemplate
from mlops.api.resources import Resources
from mlops.planning.ownership import owner_of
from mlops.planning.plan import Manifest, Settings
from mlops.planning.pod_policy import laid_over, without_empty

# The Secret of the store as files: a kubelet renews them when it changes, which it cannot do with an environment.
_KEYS_VOLUME, _KEYS_FOLDER = "store-keys", "/var/run/mlops/store-keys"
_NAMESPACE_FIELD = "{namespace}"


def resources(*, cpu: str, memory: str, cpu_limit: str, memory_limit: str) -> Manifest:
    """Return a container's resources."""
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": cpu_limit, "memory": memory_limit}}


def amounts(wanted: Resources | None, default: Manifest) -> Manifest:
    """Return the default overridden per resource: who names one side only gets the other side equal to it."""
    wanted = wanted or Resources()
    requests, limits = wanted.requests, wanted.limits
    # A device that is shared out has one amount, which is both.
    return {
        "requests": {**default["requests"], **limits, **requests},
        "limits": {**default["limits"], **requests, **limits},
    }


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
        "securityContext": container_security(settings),
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


def container_security(settings: Settings) -> Manifest:
    """Return what Pod Security `restricted` asks of a container, and a read-only root filesystem."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        **_as_user(settings, "runAsUser"),
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _as_user(settings: Settings, *fields: str) -> Manifest:
    return {} if settings.pod_user is None else dict.fromkeys(fields, settings.pod_user)


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
    template: PodTemplate | None = None,
    restart_policy: str = "Never",
    annotations: Mapping[str, str] | None = None,
    own_volumes: Mapping[str, Manifest] | None = None,
    **more: Any,
) -> Manifest:
    """Return a pod template with the volumes that its containers mount; `more` adds keys of the pod's spec.

    What is mounted under the name of one of `own_volumes` is that one, else an empty folder of the pod's own.

    Of an object's own `template` counts what the installation allows; what is ours is never replaced by it.
    """
    inits = more.pop("initContainers", [])
    every = [*inits, *containers]
    wanted = _wanted(settings, template, every)
    containers, inits = _with_variables(wanted, containers), _with_variables(wanted, inits)
    noted = {**wanted.annotations, **(annotations or {})}
    return {
        "metadata": {"labels": {**wanted.labels, **labels}} | ({"annotations": noted} if noted else {}),
        "spec": {
            "restartPolicy": restart_policy,
            "automountServiceAccountToken": False,
            # A Service called "mlops" would put variables called MLOPS_... among ours.
            "enableServiceLinks": False,
            "securityContext": {
                **_as_user(settings, "fsGroup", "runAsGroup"),
                "runAsNonRoot": True,
                **_as_user(settings, "runAsUser"),
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            **_placement(wanted, labels),
            "containers": containers,
            "volumes": _volumes(settings, every, own_volumes or {}),
            **({"initContainers": inits} if inits else {}),
            **more,
        },
    }


def _wanted(settings: Settings, template: PodTemplate | None, containers: Iterable[Manifest]) -> PodTemplate:
    """Return the installation's defaults with what the object may say over them."""
    defaults = settings.pod_defaults
    if not all(map(_is_ours, containers)):
        # An identity that everybody's pods have may open the store: code of a user's gets one by its name only.
        defaults = defaults.evolve(service_account_name=None)
    return laid_over(defaults, settings.pod_policy.allowed(template))


def _is_ours(container: Manifest) -> bool:
    return any(each["name"] == tasks.TASK_VARIABLE for each in container["env"])


def _with_variables(wanted: PodTemplate, containers: list[Manifest]) -> list[Manifest]:
    """Return the containers, ours with the variables of the template that they do not have."""
    given = {each.name: each.value for each in wanted.env}
    return [
        {**each, "env": [*variables(_missing(given, each["env"])), *each["env"]]} if given and _is_ours(each) else each
        for each in containers
    ]


def _missing(given: Mapping[str, str], env: list[Manifest]) -> dict[str, str]:
    present = {each["name"] for each in env}
    return {name: value for name, value in given.items() if name not in present}


def _placement(wanted: PodTemplate, labels: Mapping[str, str]) -> Manifest:
    """Return the fields of a pod's spec that say where it runs, and as what."""
    own = {"matchLabels": {name: labels[name] for name in (COMPONENT, INSTANCE) if name in labels}}
    said = wanted.dump()
    placed: Manifest = {
        **{name: said[name] for name in _PLACEMENT if name in said},
        "topologySpreadConstraints": [each | {"labelSelector": own} for each in said["topologySpreadConstraints"]],
    }
    found: Manifest = without_empty(placed)
    return found


_PLACEMENT = (
    "nodeSelector",
    "tolerations",
    "affinity",
    "priorityClassName",
    "runtimeClassName",
    "serviceAccountName",
    "imagePullSecrets",
)


def _volumes(settings: Settings, containers: list[Manifest], own: Mapping[str, Manifest]) -> list[Manifest]:
    """Return each volume that a container mounts: a bounded empty folder, the store's keys, or one of `own`."""
    names = dict.fromkeys(mount["name"] for each in containers for mount in each["volumeMounts"])
    bounded = {"sizeLimit": settings.scratch_limit} if settings.scratch_limit else {}
    keys = {"secretName": settings.server_secret or settings.store_secret, "optional": True}
    known: dict[str, Manifest] = {_KEYS_VOLUME: {"secret": keys}, **own}
    return [{"name": name, **known.get(name, {"emptyDir": dict(bounded)})} for name in names]


def job_spec(
    template: Manifest,
    *,
    backoff_limit: int,
    active_deadline_seconds: int,
    final_codes: tuple[int, ...] = (tasks.EXIT_BAD_INPUT,),
) -> Manifest:
    """Return a Job's spec: bad input is not tried again, and a pod that was evicted does not count as a failure.

    `final_codes` are the exit codes after which trying again cannot help.
    """
    return {
        "backoffLimit": backoff_limit,
        "activeDeadlineSeconds": active_deadline_seconds,
        # With a podFailurePolicy the API server accepts only Failed; it also keeps two pods from working at once.
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {
            "rules": [
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [*final_codes]}},
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
