"""The Job of a TrainingRun, the ModelVersion that it leads to, and the runs of a template."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from mlops.api import digests, labels, tasks
from mlops.api.base import API_VERSION
from mlops.api.estimator import Estimator
from mlops.api.training_run import (
    Container,
    Resolved,
    TrainingRun,
    TrainingRunSpec,
    TriggerRecord,
)
from mlops.planning import pods
from mlops.planning.ownership import owner_of
from mlops.planning.plan import Manifest, Settings

TRAIN = "train"
VERIFY = "verify-training"

_MAX_PARAMS = 64
_PARAM = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
# The container that runs the user's code: what it writes is data, and never a report.
USERS_CONTAINER = "trainer"

_INPUTS, _OUTPUTS = "/inputs", "/outputs"
_DEFAULT_AMOUNTS = pods.resources(cpu="150m", memory="1Gi", cpu_limit="2", memory_limit="4Gi")
_FETCH_AMOUNTS = pods.resources(cpu="150m", memory="512Mi", cpu_limit="1", memory_limit="2Gi")


def inputs_digest(spec: TrainingRunSpec, dataset_digest: str, environment_digest: str) -> str:
    """Return the digest of everything that decides a run's result: two runs with the same one are the same run.

    What is computed here is what `mlops digest` shows offline.
    """
    return digests.digest_of(
        {
            "datasetDigest": dataset_digest,
            "since": spec.dataset_ref.since,
            "trainer": spec.trainer.dump(),
            "search": spec.search.dump() if spec.search else None,
            "seed": spec.reproducibility.seed,
            "environmentDigest": environment_digest,
        }
    )


def training_job_name(run: TrainingRun, inputs: str, attempt: int, *, verifying: bool) -> str:
    """Return the name of the Job of the first execution, or of the second one that verifies it."""
    suffix = labels.short(digests.digest_of([run.metadata.uid, inputs, *([attempt] if attempt else [])]))
    return labels.child_name(run.metadata.name, f"{suffix}-v" if verifying else suffix)


def training_job(
    settings: Settings, run: TrainingRun, resolved: Resolved, inputs: str, attempt: int, *, verifying: bool
) -> Manifest:
    """Return the Job of one execution on the pinned inputs; `attempt` counts those that an outage took."""
    own = labels.standard(
        VERIFY if verifying else TRAIN,
        run.metadata.name,
        run=run.metadata.name,
        digest=labels.short(inputs, 16),
    )
    container = run.spec.trainer.container
    return pods.job(
        run,
        training_job_name(run, inputs, attempt, verifying=verifying),
        own,
        _built_in_pod(settings, run, resolved, own)
        if container is None
        else _container_pod(settings, run, resolved, own, container),
        backoff_limit=run.spec.backoff_limit,
        active_deadline_seconds=run.spec.active_deadline_seconds,
    )


def _train_task(run: TrainingRun, resolved: Resolved) -> tasks.TrainTask:
    return tasks.TrainTask(
        namespace=run.metadata.namespace,
        run=run.metadata.name,
        model_name=run.spec.register_.model_name if run.spec.register_ else None,
        dataset_artifact=resolved.dataset_artifact,
        dataset_digest=resolved.dataset_digest,
        since=run.spec.dataset_ref.since,
        estimator=run.spec.trainer.estimator,
        search=run.spec.search,
        seed=run.spec.reproducibility.seed,
        environment_digest=resolved.environment_digest,
        champion_artifact=resolved.champion_artifact,
    )


def _built_in_pod(settings: Settings, run: TrainingRun, resolved: Resolved, own: dict[str, str]) -> Manifest:
    amounts = pods.amounts(run.spec.resources, _DEFAULT_AMOUNTS)
    main = pods.container(settings, _train_task(run, resolved), amounts, env=[pods.JOB_NAME_VARIABLE])
    return pods.pod(settings, own, [main])


def _container_pod(
    settings: Settings, run: TrainingRun, resolved: Resolved, own: dict[str, str], user: Container
) -> Manifest:
    """Return fetch -> the user's code -> collect.

    Only our own containers are given the store's credentials, and what the user's code writes reaches them by one
    volume, which they can only read. /dev/shm, too, is the whole pod's unless a container has its own.
    """
    fetch = tasks.FetchTask(
        namespace=run.metadata.namespace,
        run=run.metadata.name,
        dataset_artifact=resolved.dataset_artifact,
        dataset_digest=resolved.dataset_digest,
        since=run.spec.dataset_ref.since,
        seed=run.spec.reproducibility.seed,
    )
    folders = pods.variables({tasks.INPUTS_VARIABLE: _INPUTS, tasks.OUTPUTS_VARIABLE: _OUTPUTS})
    inputs = {"name": "inputs", "mountPath": _INPUTS}
    outputs = {"name": "outputs", "mountPath": _OUTPUTS}
    trainer = {
        "name": USERS_CONTAINER,
        "image": user.image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(user.command),
        "args": list(user.args),
        "env": _user_environment(run, user),
        "resources": pods.with_scratch(settings, pods.amounts(run.spec.resources, _DEFAULT_AMOUNTS)),
        "securityContext": pods.container_security(),
        "terminationMessagePolicy": "File",
        "volumeMounts": [pods.own_tmp(USERS_CONTAINER), inputs | {"readOnly": True}, outputs],
    }
    return pods.pod(
        settings,
        own,
        [
            pods.container(
                settings,
                _train_task(run, resolved),
                _DEFAULT_AMOUNTS,
                name="collect",
                env=[*folders, pods.JOB_NAME_VARIABLE],
                volume_mounts=[inputs | {"readOnly": True}, outputs | {"readOnly": True}, _shared_memory("collect")],
            )
        ],
        initContainers=[
            pods.container(
                settings,
                fetch,
                _FETCH_AMOUNTS,
                name="fetch",
                env=[*folders, pods.JOB_NAME_VARIABLE],
                volume_mounts=[inputs, _shared_memory("fetch")],
            ),
            trainer,
        ],
    )


def _shared_memory(container: str) -> Manifest:
    return {"name": f"shm-{container}", "mountPath": "/dev/shm"}


def _user_environment(run: TrainingRun, user: Container) -> list[Manifest]:
    """Return the user's variables under ours: a later entry of the same name would make the API server refuse."""
    ours = {
        **tasks.NUMERIC_ENVIRONMENT,
        tasks.INPUTS_VARIABLE: _INPUTS,
        tasks.OUTPUTS_VARIABLE: _OUTPUTS,
        "MLOPS_SEED": str(run.spec.reproducibility.seed),
    }
    # $(MLOPS_INPUTS) in the command or in a user's value is expanded from what stands before it: ours come first.
    theirs = {each.name: each.value for each in user.env if each.name not in ours}
    return [*pods.variables(ours), *pods.variables(theirs)]


def model_version(run: TrainingRun, number: int) -> Manifest:
    """Return the ModelVersion of a run that passed its gates.

    Nothing owns it: deleting the run must not take the model down. Where it comes from stands in labels and lineage.
    """
    register, resolved, status = run.spec.register_, run.status.resolved, run.status
    if register is None or resolved is None or status.output_digest is None:
        raise ValueError(f"TrainingRun {run.metadata.name} has nothing to register")
    own = labels.unowned(
        "model-version",
        run=run.metadata.name,
        model=register.model_name,
        dataset=run.spec.dataset_ref.name,
        digest=labels.short(status.output_digest, 16),
    )
    lineage = {
        "trainingRun": run.metadata.name,
        "dataset": run.spec.dataset_ref.name,
        "datasetVersion": resolved.dataset_version,
        "datasetDigest": resolved.dataset_digest,
        "inputsDigest": status.inputs_digest,
        "environmentDigest": resolved.environment_digest,
        "parentVersion": resolved.champion_version,
        "estimator": estimator.dump() if (estimator := trained_as(run)) else None,
        "since": run.spec.dataset_ref.since,
    }
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelVersion",
        "metadata": {
            "name": model_version_name(register.model_name, number),
            "namespace": run.metadata.namespace,
            "labels": own,
        },
        "spec": {
            "modelName": register.model_name,
            "version": number,
            "artifact": {"digest": status.output_digest},
            "lineage": {name: value for name, value in lineage.items() if value is not None},
            "promotion": register.promotion.dump(),
            "capture": register.capture.dump(),
        },
    }


def trained_as(run: TrainingRun) -> Estimator | None:
    """Return the estimator with the parameters that it was trained with: the search's findings over the spec's."""
    estimator = run.spec.trainer.estimator
    if estimator is None:
        return None
    # A pod reported them, and says what it likes: only what may stand in a spec.
    found = {name: value for name, value in (run.status.best_params or {}).items() if _PARAM.fullmatch(name)}
    params = {**estimator.params, **found}
    return estimator.evolve(params=dict(list(params.items())[:_MAX_PARAMS]))


def trigger_of(run: TrainingRun) -> str | None:
    """Return what made a run of a template: TemplateChange, DatasetVersion or DriftMonitor; None of any other run."""
    try:
        record = json.loads(run.metadata.annotations.get(labels.TRIGGER, ""))
    except ValueError:
        return None
    kind = record.get("kind") if isinstance(record, dict) else None
    return kind if isinstance(kind, str) else None


def model_version_name(model_name: str, number: int) -> str:
    """Return the name of a version that a run makes."""
    return f"{model_name}-v{number}"


def run_of_template(
    template: TrainingRun,
    name: str,
    trigger: TriggerRecord,
    *,
    spec: Manifest | None = None,
    more_labels: Mapping[str, str] | None = None,
) -> Manifest:
    """Return a run of `template`; `spec` replaces the template's own (without its triggers)."""
    return {
        "apiVersion": API_VERSION,
        "kind": "TrainingRun",
        "metadata": {
            "name": name,
            "namespace": template.metadata.namespace,
            "labels": labels.standard(
                "training-run", template.metadata.name, template=template.metadata.name, **(more_labels or {})
            ),
            "annotations": {labels.TRIGGER: json.dumps(trigger.dump(), sort_keys=True)},
            "ownerReferences": owner_of(template),
        },
        "spec": spec if spec is not None else spec_of_run(template),
    }


def spec_of_run(template: TrainingRun) -> Manifest:
    """Return the template's spec as a run's: without triggers, and not suspended."""
    return {key: value for key, value in template.spec.dump().items() if key not in ("triggers", "suspend")}
