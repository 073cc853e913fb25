"""What the API server fills in for the built-in kinds. Objects are fresh copies here: they are changed in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Manifest = dict[str, Any]


def job(manifest: Manifest) -> None:
    spec = manifest["spec"]
    template = spec["template"]
    pod_spec(template["spec"])
    _job_spec(spec)


def _job_spec(spec: Manifest) -> None:
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = spec["parallelism"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", 2**31 - 1 if "backoffLimitPerIndex" in spec else 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("podReplacementPolicy", "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed")
    spec.setdefault("manualSelector", False)
    _pod_failure_policy(spec)


def _pod_failure_policy(spec: Manifest) -> None:
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or ():
        for pattern in rule.get("onPodConditions") or ():
            pattern["status"] = pattern.get("status") or "True"


def cron_job(manifest: Manifest) -> None:
    spec = manifest["spec"]
    spec.setdefault("concurrencyPolicy", "Allow")
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)
    inner = spec["jobTemplate"]["spec"]
    pod_spec(inner["template"]["spec"])
    _pod_failure_policy(inner)


def deployment(manifest: Manifest) -> None:
    spec = manifest["spec"]
    pod_spec(spec["template"]["spec"])
    spec.setdefault("replicas", 1)
    strategy = spec["strategy"]
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)


def service(manifest: Manifest) -> None:
    spec = manifest["spec"]
    spec.setdefault("sessionAffinity", "None")
    spec.setdefault("type", "ClusterIP")
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        if port.get("targetPort") in (None, 0, ""):
            port["targetPort"] = port["port"]
    if spec["type"] in ("NodePort", "LoadBalancer"):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if spec["type"] != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if spec["type"] == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)


def pod(manifest: Manifest) -> None:
    spec = manifest["spec"]
    pod_spec(spec)
    for container in _containers(spec):
        limits = container["resources"].get("limits")
        if limits:
            container["resources"]["requests"] = {**limits, **(container["resources"].get("requests") or {})}
    spec.setdefault("enableServiceLinks", True)


def pod_addresses(status: Manifest) -> None:
    """One address is the first of all addresses."""
    for one, several in (("podIP", "podIPs"), ("hostIP", "hostIPs")):
        if one in status and (status.get(several) or [{}])[0].get("ip") != status[one]:
            status[several] = [{"ip": status[one]}]
        elif one not in status and status.get(several):
            status[one] = status[several][0]["ip"]


def autoscaler(manifest: Manifest) -> None:
    manifest["spec"].setdefault("minReplicas", 1)


def nothing(manifest: Manifest) -> None:
    """A kind without defaults."""


def pod_spec(spec: Manifest) -> None:
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("securityContext", {})
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("schedulerName", "default-scheduler")
    if "serviceAccountName" in spec or "serviceAccount" in spec:
        # One field under its old and its new name.
        name = spec.get("serviceAccountName") or spec.get("serviceAccount")
        spec["serviceAccountName"] = spec["serviceAccount"] = name
    for container in _containers(spec):
        _container(container)
    for volume in spec.get("volumes") or ():
        _volume(volume)


def _containers(spec: Manifest) -> list[Manifest]:
    return [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]


def _container(container: Manifest) -> None:
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    container.setdefault(
        "imagePullPolicy", "Always" if _tag(container.get("image", "")) == "latest" else "IfNotPresent"
    )
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
    for variable in container.get("env") or ():
        reference = (variable.get("valueFrom") or {}).get("fieldRef")
        if reference is not None:
            reference.setdefault("apiVersion", "v1")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if name in container:
            _probe(container[name])
    for action in (container.get("lifecycle") or {}).values():
        if isinstance(action, dict) and "httpGet" in action:
            _http_get(action["httpGet"])


def _tag(image: str) -> str:
    name = image.rpartition("/")[2]
    if "@" in name:
        return ""
    return name.partition(":")[2] or "latest"


def _probe(probe: Manifest) -> None:
    for name, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)):
        probe.setdefault(name, value)
    if "httpGet" in probe:
        _http_get(probe["httpGet"])
    if "grpc" in probe:
        probe["grpc"].setdefault("service", "")


def _http_get(action: Manifest) -> None:
    action.setdefault("path", "/")
    action.setdefault("scheme", "HTTP")


_MODE = 0o644


def _volume(volume: Manifest) -> None:
    if set(volume) <= {"name"}:
        volume["emptyDir"] = {}
    for name in ("secret", "configMap", "projected", "downwardAPI"):
        if name in volume:
            volume[name].setdefault("defaultMode", _MODE)
    if "hostPath" in volume:
        volume["hostPath"].setdefault("type", "")
    for item in (volume.get("downwardAPI") or {}).get("items") or ():
        if "fieldRef" in item:
            item["fieldRef"].setdefault("apiVersion", "v1")
    for source in (volume.get("projected") or {}).get("sources") or ():
        if "serviceAccountToken" in source:
            source["serviceAccountToken"].setdefault("expirationSeconds", 3600)


Default = Callable[[Manifest], None]
