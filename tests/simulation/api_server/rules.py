"""What the API server refuses of Deployments, Services, Events and Leases, as far as the operator, its users and
controllers write them."""

from __future__ import annotations

import re
from typing import Any

from tests.simulation.api_server.causes import invalid, not_negative, required, unsupported
from tests.simulation.api_server.errors import DUPLICATE, FORBIDDEN, Cause, shown
from tests.simulation.api_server.metadata import LABEL, label_value, qualified_name
from tests.simulation.api_server.pod_rules import pod_template, port_number
from tests.simulation.api_server.selectors import selects
from tests.simulation.api_server.typed import same

Manifest = dict[str, Any]


# --- Deployments and Services ---


def deployment(manifest: Manifest, old: Manifest | None) -> list[Cause]:
    spec = manifest["spec"]
    causes = not_negative(
        spec, "spec", "replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"
    )
    selector = spec.get("selector")
    labels = spec["template"]["metadata"].get("labels") or {}
    if selector is None:
        causes.append(required("spec.selector"))
    elif not selector.get("matchLabels") and not selector.get("matchExpressions"):
        causes.append(invalid("spec.selector", selector, "empty selector is invalid for deployment"))
    wrong = [
        cause
        for value in ((selector or {}).get("matchLabels") or {}).values()
        for cause in label_value(value, "spec.selector.matchLabels")
    ]
    causes += wrong
    if selector and not wrong and not selects(selector, labels):
        causes.append(invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`"))
    strategy = spec["strategy"]["type"]
    if strategy not in ("Recreate", "RollingUpdate"):
        causes.append(unsupported("spec.strategy.type", strategy, ("Recreate", "RollingUpdate")))
    rolling = spec["strategy"].get("rollingUpdate")
    if strategy == "RollingUpdate" and rolling is not None:
        causes += _rolling(rolling, "spec.strategy.rollingUpdate")
    if strategy == "Recreate" and "rollingUpdate" in spec["strategy"]:
        text = "Forbidden: may not be specified when strategy `type` is 'Recreate'"
        causes.append(Cause("spec.strategy.rollingUpdate", text, FORBIDDEN))
    if spec.get("progressDeadlineSeconds", 600) <= spec.get("minReadySeconds", 0):
        value = spec["progressDeadlineSeconds"]
        causes.append(invalid("spec.progressDeadlineSeconds", value, "must be greater than minReadySeconds"))
    policy = spec["template"]["spec"].get("restartPolicy")
    if wrong:
        causes.append(invalid("spec.selector", selector, "invalid label selector"))
    else:
        causes += pod_template(spec["template"], "spec.template")
        if policy != "Always":
            causes.append(unsupported("spec.template.spec.restartPolicy", policy, ("Always",)))
    if old is not None and not same(selector, old["spec"].get("selector")):
        causes.append(invalid("spec.selector", selector, "field is immutable"))
    return causes


_REPLICAS = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas")


def deployment_status(manifest: Manifest) -> list[Cause]:
    """What is wrong with a Deployment's new status."""
    status = manifest["status"]
    causes = not_negative(status, "status", "observedGeneration", *_REPLICAS)
    most = status.get("replicas", 0)
    for name in ("updatedReplicas", "readyReplicas", "availableReplicas"):
        if status.get(name, 0) > most:
            causes.append(invalid(f"status.{name}", status[name], "cannot be greater than status.replicas"))
    if status.get("availableReplicas", 0) > status.get("readyReplicas", 0):
        text = "cannot be greater than readyReplicas"
        causes.append(invalid("status.availableReplicas", status["availableReplicas"], text))
    return causes


def _rolling(rolling: Manifest, path: str) -> list[Cause]:
    causes = []
    for name in ("maxUnavailable", "maxSurge"):
        value = rolling[name]
        if isinstance(value, str):
            if not re.fullmatch(r"[0-9]+%", value):
                text = "a valid percent string must be a numeric string followed by an ending '%'"
                causes.append(invalid(f"{path}.{name}", value, text))
        elif value < 0:
            causes.append(invalid(f"{path}.{name}", value, "must be greater than or equal to 0"))
    if re.fullmatch("0+%?", f"{rolling['maxUnavailable']}") and re.fullmatch("0+%?", f"{rolling['maxSurge']}"):
        causes.append(invalid(f"{path}.maxUnavailable", rolling["maxUnavailable"], "may not be 0 when `maxSurge` is 0"))
    return causes


def disruption_budget(manifest: Manifest, old: Manifest | None) -> list[Cause]:
    spec, causes = manifest["spec"], []
    if "minAvailable" in spec and "maxUnavailable" in spec:
        causes.append(invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set"))
    for name in ("minAvailable", "maxUnavailable"):
        if isinstance(spec.get(name), int) and spec[name] < 0:
            causes.append(invalid(f"spec.{name}", spec[name], "must be greater than or equal to 0"))
    for value in ((spec.get("selector") or {}).get("matchLabels") or {}).values():
        causes += label_value(value, "spec.selector.matchLabels")
    policy = spec.get("unhealthyPodEvictionPolicy")
    if policy is not None and policy not in ("AlwaysAllow", "IfHealthyBudget"):
        causes.append(unsupported("spec.unhealthyPodEvictionPolicy", policy, ("AlwaysAllow", "IfHealthyBudget")))
    return causes


def autoscaler(manifest: Manifest, old: Manifest | None) -> list[Cause]:
    spec, causes = manifest["spec"], []
    if spec["minReplicas"] < 1:
        causes.append(invalid("spec.minReplicas", spec["minReplicas"], "must be greater than or equal to 1"))
    if spec["maxReplicas"] < spec["minReplicas"]:
        text = "must be greater than or equal to `minReplicas`"
        causes.append(invalid("spec.maxReplicas", spec["maxReplicas"], text))
    return causes


def service(manifest: Manifest, old: Manifest | None) -> list[Cause]:
    spec, causes = manifest["spec"], []
    ports = spec.get("ports") or []
    if not ports and spec["type"] != "ExternalName" and spec.get("clusterIP") != "None":
        causes.append(required("spec.ports"))
    names: set[str] = set()
    numbers: set[tuple[str, int]] = set()
    for index, port in enumerate(ports):
        causes += _service_port(port, f"spec.ports[{index}]", len(ports) > 1, names)
        if port["port"] and (port["protocol"], port["port"]) in numbers:
            text = f'Duplicate value: {{"protocol":"{port["protocol"]}","port":{port["port"]}}}'
            causes.append(Cause(f"spec.ports[{index}]", text, DUPLICATE))
        numbers.add((port["protocol"], port["port"]))
    for value in (spec.get("selector") or {}).values():
        causes += label_value(value, "spec.selector")
    if spec["sessionAffinity"] not in ("None", "ClientIP"):
        causes.append(unsupported("spec.sessionAffinity", spec["sessionAffinity"], ("ClientIP", "None")))
    if spec["type"] not in ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName"):
        allowed = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
        causes.append(unsupported("spec.type", spec["type"], allowed))
    chosen, address = old["spec"].get("clusterIP", "") if old is not None else "", spec.get("clusterIP", "")
    if chosen and address != chosen and spec["type"] != "ExternalName":
        causes.append(invalid("spec.clusterIPs[0]", [address], "may not change once set"))
    return causes


def _service_port(port: Manifest, path: str, needs_name: bool, names: set[str]) -> list[Cause]:
    causes = []
    name = port.get("name", "")
    if needs_name and not name:
        causes.append(required(f"{path}.name"))
    elif name:
        if not LABEL.fullmatch(name) or len(name) > 63:
            causes.append(invalid(f"{path}.name", name, "a lowercase RFC 1123 label must consist of lower case"))
        elif name in names:
            causes.append(Cause(f"{path}.name", f"Duplicate value: {shown(name)}", DUPLICATE))
        names.add(name)
    if not 1 <= port["port"] <= 65535:
        causes.append(invalid(f"{path}.port", port["port"], "must be between 1 and 65535, inclusive"))
    target = port["targetPort"]
    causes += port_number(target, f"{path}.targetPort")
    if port["protocol"] not in ("TCP", "UDP", "SCTP"):
        causes.append(unsupported(f"{path}.protocol", port["protocol"], ("SCTP", "TCP", "UDP")))
    return causes


# --- the rest ---


# An Event is not rewritten: what it tells stays.
_EVENT_NAMES = {"regarding": "involvedObject", "note": "message"}
_IMMUTABLE_EVENT = (
    "regarding",
    "reason",
    "note",
    "deprecatedSource",
    "deprecatedCount",
    "type",
    "eventTime",
    "action",
    "related",
    "reportingController",
    "reportingInstance",
)


def event(manifest: Manifest, old: Manifest | None) -> list[Cause]:
    causes = []
    timed = manifest.get("eventTime") is not None
    namespace, regarded = manifest["metadata"]["namespace"], manifest["regarding"].get("namespace", "")
    if (regarded != namespace) if not timed and regarded else (not regarded and namespace != "default"):
        causes.append(invalid("involvedObject.namespace", regarded, "does not match event.namespace"))
    if timed:
        causes += _told(manifest)
    if old is None:
        if not timed:
            causes.append(required("eventTime"))
        if manifest.get("type") not in ("Normal", "Warning"):
            causes.append(invalid("type", "", f"has invalid value: {manifest.get('type', '')}"))
        if manifest.get("deprecatedCount"):
            causes.append(invalid("count", "", "needs to be unset"))
        return causes
    for name in _IMMUTABLE_EVENT:
        if not same(manifest.get(name), old.get(name)):
            causes.append(invalid(_EVENT_NAMES.get(name, name), manifest.get(name), "field is immutable"))
    return causes


def _told(manifest: Manifest) -> list[Cause]:
    causes = [
        required(field)
        for field in ("reportingController", "reportingInstance", "action", "reason")
        if not manifest.get(field)
    ]
    causes += [
        invalid("reportingController", manifest["reportingController"], text)
        for text in qualified_name(manifest.get("reportingController", "x"))
    ]
    for field, most in (("reportingInstance", 128), ("action", 128), ("reason", 128), ("note", 1024)):
        if len(manifest.get(field, "").encode()) > most:
            causes.append(invalid(_EVENT_NAMES.get(field, field), "", f"can have at most {most} characters"))
    return causes


def lease(manifest: Manifest, old: Manifest | None) -> list[Cause]:
    spec, causes = manifest["spec"], []
    if spec.get("leaseDurationSeconds", 1) <= 0:
        causes.append(invalid("spec.leaseDurationSeconds", spec["leaseDurationSeconds"], "must be greater than 0"))
    if spec.get("leaseTransitions", 0) < 0:
        text = "must be greater than or equal to 0"
        causes.append(invalid("spec.leaseTransitions", spec["leaseTransitions"], text))
    return causes


_MOST_BYTES = 1 << 20


def config_map(manifest: Manifest, old: Manifest | None) -> list[Cause]:
    """At most a MiB of data; the keys are file names. One that is immutable stays as it is."""
    data = manifest.get("data") or {}
    fixed = ("immutable", "data", "binaryData") if old is not None and old.get("immutable") else ()
    causes = [
        Cause(field, "Forbidden: field is immutable when `immutable` is set", FORBIDDEN)
        for field in fixed
        if manifest.get(field) != (old or {}).get(field)
    ]
    causes += [
        invalid(f"data[{key}]", key, "a valid config key must consist of alphanumeric characters, '-', '_' or '.'")
        for key in data
        if not re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", key) or key in (".", "..")
    ]
    if sum(len(value.encode()) for value in data.values()) > _MOST_BYTES:
        causes.append(Cause("", f"Too long: may not be more than {_MOST_BYTES} bytes", "FieldValueTooLong"))
    return causes
