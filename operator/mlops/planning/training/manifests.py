"""The Jobs of a TrainingRun."""

from __future__ import annotations

from mlops.api import digests, labels, tasks
from mlops.api.training_run import Container, Resolved, TrainingRun, TrainingRunSpec
from mlops.planning import pods
from mlops.planning.plan import Manifest, Settings

TRAIN = "train"

VERIFY = "verify-training"

# The container that runs the user's code: what it writes is data, and never a report.
USERS_CONTAINER = "trainer"

_INPUTS = "/inputs"

_OUTPUTS = "/outputs"

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
            # Left out where there are none: a release that knows costs makes nobody train again.
            **({"costs": [one.dump() for one in spec.costs]} if spec.costs else {}),
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
        recalibration=run.spec.trainer.recalibration,
        search=run.spec.search,
        costs=run.spec.costs,
        seed=run.spec.reproducibility.seed,
        environment_digest=resolved.environment_digest,
        champion_artifact=resolved.champion_artifact,
    )


def _built_in_pod(settings: Settings, run: TrainingRun, resolved: Resolved, own: dict[str, str]) -> Manifest:
    amounts = pods.amounts(run.spec.resources, _DEFAULT_AMOUNTS)
    main = pods.container(settings, _train_task(run, resolved), amounts, env=[pods.JOB_NAME_VARIABLE])
    return pods.pod(settings, own, [main], template=run.spec.pod_template)


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
        costs=run.spec.costs,
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
        "securityContext": pods.container_security(settings),
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
        template=run.spec.pod_template,
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
