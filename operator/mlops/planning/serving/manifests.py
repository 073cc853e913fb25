"""The verifying Job of a version, and the Deployment and Service of a stage."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mlops.api import digests, labels, tasks
from mlops.api.autoscaling import Autoscaling
from mlops.api.model_version import ModelVersion, Stage
from mlops.planning import pods, retrying
from mlops.planning.ownership import owned_by_all
from mlops.planning.plan import Manifest, Settings
from mlops.planning.serving import mounted
from mlops.planning.serving.trial import CanaryTrial

VERIFY = "verify"
ANALYSIS = "analysis"
# How many requests a server works on, on average: what an adapter makes of the seconds that they took.
CONCURRENCY_METRIC = "mlops_concurrent_requests"
SERVE = "serve"
# Names of ports, and what a Service has them at, whatever ports its pods have: that of gRPC is the one of KServe's and
# MLServer's own servers.
HTTP, HTTPS, GRPC, GRPCS = "http", "https", "grpc", "grpcs"
PORTS = {HTTP: 80, HTTPS: 443, GRPC: 8081, GRPCS: 8443}
_RPC = (GRPC, GRPCS)

# How long a server that has its artifact may take to become ready, and a process to be up and have fetched it: that one
# says nothing of the model, but of the node and the store, and may take its time.
PROGRESS_DEADLINE = 120
STARTUP_SECONDS = 600

_VERIFY_AMOUNTS = pods.resources(cpu="150m", memory="512Mi", cpu_limit="1", memory_limit="2Gi")
_ANALYSIS_AMOUNTS = pods.resources(cpu="150m", memory="512Mi", cpu_limit="1", memory_limit="2Gi")
# More than any batch work asks for by default (150m): what a container requests is its share of a node that is busy.
_SERVE_AMOUNTS = pods.resources(cpu="200m", memory="512Mi", cpu_limit="2", memory_limit="2Gi")

# What a server has for its end beside the time in which it drains: to answer what is under way, to store what waits.
_GRACE_SECONDS = 40
_DRAIN_SECONDS = 20


def verify_job_name(version: ModelVersion, artifact: str, attempt: int) -> str:
    """Return the name of the Job that verifies the version's artifact."""
    suffix = labels.short(digests.digest_of([version.metadata.uid, artifact, attempt]))
    return labels.child_name(version.metadata.name, suffix)


def verify_job(settings: Settings, version: ModelVersion, artifact: str, *, attempt: int) -> Manifest:
    """Return the Job that checks the artifact's bytes and answers, and measures its speed."""
    own = labels.standard(
        VERIFY,
        version.metadata.name,
        model=version.spec.model_name,
        model_version=version.metadata.name,
        digest=labels.short(artifact, 16),
    )
    task = tasks.VerifyTask(
        namespace=version.metadata.namespace,
        model_name=version.spec.model_name,
        version=version.spec.version,
        object_name=version.metadata.name,
        artifact=artifact,
        p99_milliseconds=min(_latency_gates(version), default=None),
    )
    return pods.job(
        version,
        verify_job_name(version, artifact, attempt),
        own,
        pods.pod(
            settings,
            own,
            [pods.container(settings, task, _VERIFY_AMOUNTS, env=[pods.JOB_NAME_VARIABLE])],
            # Where it will serve first it can be verified: its speed is judged there.
            template=version.spec.promotion.stages[0].pod_template,
        ),
        backoff_limit=2,
        active_deadline_seconds=600,
    )


def _latency_gates(version: ModelVersion) -> list[int]:
    gates = (gate for stage in version.spec.promotion.stages for gate in stage.gates)
    return [gate.latency.p99_milliseconds for gate in gates if gate.latency is not None]


def analysis_job_name(version: ModelVersion, mark: str, step: int, look: int, attempt: int) -> str:
    """Return the name of the Job of a look at a canary's analysis. `mark` tells the canary; all count from 0."""
    suffix = labels.short(digests.digest_of([version.metadata.uid, mark, step, look, attempt]))
    return labels.child_name(version.metadata.name, suffix)


def analysis_job(settings: Settings, version: ModelVersion, name: str, task: tasks.AnalysisTask) -> Manifest:
    """Return the Job that compares the candidate of a canary with the stable version."""
    own = labels.standard(
        ANALYSIS,
        version.metadata.name,
        model=version.spec.model_name,
        model_version=version.metadata.name,
        # No stage: that label tells pods that serve.
        digest=labels.short(task.candidate.artifact, 16),
    )
    container = pods.container(settings, task, _ANALYSIS_AMOUNTS, env=[pods.JOB_NAME_VARIABLE])
    return pods.job(
        version, name, own, pods.pod(settings, own, [container]), backoff_limit=2, active_deadline_seconds=1800
    )


def component_of(manifest: Manifest) -> str:
    """Return what a child is for."""
    return str(manifest["metadata"].get("labels", {}).get(labels.COMPONENT, ""))


def server_name(model_name: str, stage: str) -> str:
    """Return the name of a stage's Deployment and Service: stable across versions."""
    return f"{model_name}-{stage}"


def deployment(
    settings: Settings,
    version: ModelVersion,
    artifact: str,
    stage: str,
    owners: Iterable[ModelVersion],
    since: str,
    trial: CanaryTrial | None = None,
) -> Manifest:
    """Return the Deployment that serves `version` in `stage`, which is wanted `since` (RFC 3339).

    While another version is tried beside it (`trial`), its pods have both.
    Several versions of the model are its `owners`: it goes with the last of them, not with the first that is deleted.
    """
    spec = version.spec
    wanted = stage_of(version, stage)
    selector = _selector(spec.model_name, stage)
    own = _server_labels(spec.model_name, stage) | {
        labels.MODEL_VERSION: version.metadata.name,
        labels.DIGEST: labels.short(artifact, 16),
        **_labels_of(trial),
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": server_name(spec.model_name, stage),
            "namespace": version.metadata.namespace,
            "labels": own,
            "annotations": {
                labels.ARTIFACT: artifact,
                labels.GENERATION: str(version.metadata.generation),
                labels.SINCE: since,
                **_scaled_elsewhere(wanted),
                **({labels.RETRY: retried} if (retried := retrying.newest(version)) else {}),
            },
            "ownerReferences": owned_by_all(owners),
        },
        "spec": {
            # Of a field that server-side apply does not hold, whoever scales the stage is the only owner.
            **({} if wanted.autoscaling else {"replicas": wanted.replicas}),
            "progressDeadlineSeconds": PROGRESS_DEADLINE,
            "revisionHistoryLimit": 3,
            "selector": {"matchLabels": selector},
            # A pod of the version before goes only when one of the new version is ready.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": pods.pod(
                _for_servers(settings),
                own,
                [_server(settings, version, artifact, stage, trial)],
                template=wanted.pod_template,
                own_volumes=mounted.volumes(wanted),
                annotations={labels.ARTIFACT: artifact, **_weight_of(trial)},
                restart_policy="Always",
                # A pod that is deleted or evicted goes on answering until another is ready, as a rule, and only then
                # ends: see MLOPS_DRAIN_SECONDS.
                terminationGracePeriodSeconds=_drain_seconds(settings) + _GRACE_SECONDS,
            ),
        },
    }


def _labels_of(trial: CanaryTrial | None) -> dict[str, str]:
    told = trial.told if trial is not None else None
    return {labels.CANDIDATE: told.object_name or "", labels.CANARY: trial.mark} if trial and told else {}


def _weight_of(trial: CanaryTrial | None) -> dict[str, str]:
    return {labels.WEIGHT: str(trial.told.weight)} if trial and trial.told else {}


def stage_of(version: ModelVersion, name: str) -> Stage:
    """Return what a version says of one of its stages."""
    return next(each for each in version.spec.promotion.stages if each.name == name)


def _scaled_elsewhere(stage: Stage) -> dict[str, str]:
    scaling = stage.autoscaling
    return {} if scaling is None else {labels.LEAST_REPLICAS: str(scaling.min_replicas)}


def _for_servers(settings: Settings) -> Settings:
    """Return the settings with the PriorityClass of servers in the place of that of all pods."""
    named = settings.serving_priority_class
    defaults = settings.pod_defaults
    return replace(settings, pod_defaults=defaults.evolve(priority_class_name=named)) if named else settings


def _drain_seconds(settings: Settings) -> int:
    given = settings.environment.get(tasks.DRAIN_VARIABLE, "")
    # What is no number the server refuses, and says so.
    return int(given) if given.isascii() and given.isdigit() and len(given) <= 5 else _DRAIN_SECONDS


def _server(
    settings: Settings, version: ModelVersion, artifact: str, stage: str, trial: CanaryTrial | None
) -> Manifest:
    wanted = stage_of(version, stage)
    port = port_name(wanted)
    task = tasks.ServeTask(
        namespace=version.metadata.namespace,
        model_name=version.spec.model_name,
        version=version.spec.version,
        object_name=version.metadata.name,
        stage=stage,
        artifact=artifact,
        capture=version.spec.capture,
        auth=wanted.auth,
        tls=wanted.tls,
        candidate=trial.told if trial is not None else None,
    )
    numbers = {port: settings.serving_port} | dict.fromkeys(_rpc_ports(wanted), settings.grpc_port)
    variables = {port: tasks.PORT_VARIABLE, GRPC: tasks.GRPC_PORT_VARIABLE, GRPCS: tasks.GRPC_PORT_VARIABLE}
    return pods.container(
        settings,
        task,
        pods.amounts(wanted.resources, _SERVE_AMOUNTS),
        name="server",
        env=[
            *pods.variables({variables[name]: str(number) for name, number in numbers.items()}),
            *mounted.variables(wanted),
        ],
        volume_mounts=mounted.mounts(wanted),
        ports=[{"name": name, "containerPort": number, "protocol": "TCP"} for name, number in numbers.items()],
        # Started is who has fetched the artifact: a store that is slow, or does not answer, is no fault of the model.
        # A node without cycles to spare starts the process late, and lets it answer late. Neither is a reason to end
        # it: a pod that is busy answers slowly, one that is started again not at all. Nor is one slow answer a reason
        # to take the only pod of a stage off its address.
        startupProbe=_probe("fetched", port, period=1, failures=STARTUP_SECONDS),
        readinessProbe=_probe("ready", port, period=2, failures=5),
        livenessProbe=_probe("live", port, period=10, failures=12),
    )


def _probe(health: str, port: str, *, period: int, failures: int) -> Manifest:
    # A kubelet takes any certificate.
    scheme = {"scheme": "HTTPS"} if port == HTTPS else {}
    get = {"path": f"/v2/health/{health}", "port": port, **scheme}
    return {"httpGet": get, "periodSeconds": period, "timeoutSeconds": 10, "failureThreshold": failures}


def autoscaler(version: ModelVersion, stage: str, owners: Iterable[ModelVersion]) -> Manifest | None:
    """Return the HorizontalPodAutoscaler of a stage; None if it has a fixed number of pods, or another autoscaler."""
    scaling, model_name = stage_of(version, stage).autoscaling, version.spec.model_name
    if scaling is None or scaling.autoscaler_class != "HPA":
        return None
    name = server_name(model_name, stage)
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {
            "name": name,
            "namespace": version.metadata.namespace,
            "labels": _server_labels(model_name, stage),
            "ownerReferences": owned_by_all(owners),
        },
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": scaling.min_replicas,
            "maxReplicas": scaling.max_replicas,
            "metrics": [_metric(scaling)],
        },
    }


def _metric(scaling: Autoscaling) -> Manifest:
    if scaling.target_concurrency is None:
        target = {"type": "Utilization", "averageUtilization": scaling.target_cpu_utilization}
        return {"type": "Resource", "resource": {"name": "cpu", "target": target}}
    target = {"type": "AverageValue", "averageValue": str(scaling.target_concurrency)}
    return {"type": "Pods", "pods": {"metric": {"name": CONCURRENCY_METRIC}, "target": target}}


def disruption_budget(model_name: str, namespace: str, stage: str, owners: Iterable[ModelVersion]) -> Manifest:
    """Return the PodDisruptionBudget of a stage: drains and autoscalers take one pod at a time."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {
            "name": server_name(model_name, stage),
            "namespace": namespace,
            "labels": _server_labels(model_name, stage),
            "ownerReferences": owned_by_all(owners),
        },
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": _selector(model_name, stage)},
            # A pod that does not answer anyway holds up no drain.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def port_name(stage: Stage) -> str:
    """Return what the port of the stage's servers is called, in the pod and in the Service: the scheme of its URL."""
    return HTTP if stage.tls is None else HTTPS


def _ports_of(version: ModelVersion, stage: str) -> list[str]:
    of_stage = [each for each in version.spec.promotion.stages if each.name == stage]
    return [*map(port_name, of_stage), *(name for each in of_stage for name in _rpc_ports(each))]


def _rpc_ports(stage: Stage) -> list[str]:
    if not stage.speaks_grpc:
        return []
    # Two names, as for HTTP: while a stage goes over to TLS, each client reaches pods that speak what it does.
    return [GRPC if stage.tls is None else GRPCS]


def _service_port(name: str) -> Manifest:
    # Gateways and meshes are told that it is HTTP/2 without TLS.
    protocol = {"appProtocol": "kubernetes.io/h2c"} if name == GRPC else {}
    return {"name": name, "port": PORTS[name], "targetPort": name, "protocol": "TCP", **protocol}


def service(
    version: ModelVersion, stage: str, owners: Iterable[ModelVersion], live: ModelVersion | None = None
) -> Manifest:
    """Return the Service of a stage: one address whatever version answers. `version` is wanted there, `live` serves.

    It has the port of pods that are still to go as well: with TLS the plain one, of which pods with TLS have none, and
    the other way round as long as a version with TLS is live.
    """
    model_name, namespace = version.spec.model_name, version.metadata.namespace
    wanted = _ports_of(version, stage) + ([] if live is None else _ports_of(live, stage))
    # The first is the one that the address of the stage is made of.
    names = dict.fromkeys(
        [*(name for name in wanted if name not in _RPC), HTTP, *(name for name in wanted if name in _RPC)]
    )
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": server_name(model_name, stage),
            "namespace": namespace,
            "labels": _server_labels(model_name, stage),
            "ownerReferences": owned_by_all(owners),
        },
        "spec": {
            "type": "ClusterIP",
            "selector": _selector(model_name, stage),
            "ports": [_service_port(name) for name in names],
        },
    }


def _server_labels(model_name: str, stage: str) -> dict[str, str]:
    return labels.standard(SERVE, server_name(model_name, stage), model=model_name, stage=stage)


def _selector(model_name: str, stage: str) -> dict[str, str]:
    return {labels.MODEL: model_name, labels.STAGE: stage, "app.kubernetes.io/component": SERVE}
