"""What the API server refuses of the built-in kinds, as far as the operator, its users and controllers write it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any
from zoneinfo import ZoneInfo

from tests.simulation.api_server.errors import (
    DUPLICATE,
    FORBIDDEN,
    REQUIRED,
    UNSUPPORTED,
    Cause,
    shown,
)
from tests.simulation.api_server.metadata import LABEL, label_value, qualified_name
from tests.simulation.api_server.typed import same

Manifest = dict[str, Any]

_IMMUTABLE_JOB = ("selector", "template", "completionMode", "podFailurePolicy", "managedBy", "successPolicy")


def required(field: str, text: str = "") -> Cause:
    return Cause(field, "Required value" + (f": {text}" if text else ""), REQUIRED)


def invalid(field: str, value: Any, text: str) -> Cause:
    return Cause(field, f"Invalid value: {shown(value) if not isinstance(value, dict | list) else '{}'}: {text}")


def unsupported(field: str, value: Any, allowed: Iterable[str]) -> Cause:
    listed = ", ".join(f'"{name}"' for name in sorted(allowed))
    return Cause(field, f"Unsupported value: {shown(value)}: supported values: {listed}", UNSUPPORTED)


def not_negative(spec: Manifest, path: str, *names: str) -> list[Cause]:
    return [
        invalid(f"{path}.{name}", spec[name], "must be greater than or equal to 0")
        for name in names
        if spec.get(name, 0) < 0
    ]


# --- Jobs and CronJobs ---


def job(manifest: Manifest, old: Manifest | None) -> list[Cause]:
    spec = manifest["spec"]
    causes = _generated_labels(manifest) + _job_spec(spec, "spec")
    if old is not None:
        causes += _job_update(spec, old["spec"])
    return causes


def _generated_labels(manifest: Manifest) -> list[Cause]:
    if manifest["spec"].get("manualSelector"):
        return []
    labels = manifest["spec"]["template"]["metadata"].get("labels") or {}
    causes = []
    for prefix in ("", "batch.kubernetes.io/"):
        for name, value in (
            ("controller-uid", manifest["metadata"]["uid"]),
            ("job-name", manifest["metadata"]["name"]),
        ):
            found = labels.get(prefix + name)
            path = "spec.template.metadata.labels"
            if found is None:
                causes.append(required(path, f"must be '{value}'"))
            elif found != value:
                causes.append(invalid(path, labels, f"must be '{value}'"))
    selector = (manifest["spec"].get("selector") or {}).get("matchLabels") or {}
    if selector.get("batch.kubernetes.io/controller-uid", manifest["metadata"]["uid"]) != manifest["metadata"]["uid"]:
        causes.append(invalid("spec.selector", selector, "`selector` not auto-generated"))
    return causes


def _job_spec(spec: Manifest, path: str, *, needs_selector: bool = True) -> list[Cause]:
    causes = not_negative(
        spec,
        path,
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
    )
    mode = spec.get("completionMode", "NonIndexed")
    if mode not in ("NonIndexed", "Indexed"):
        causes.append(unsupported(f"{path}.completionMode", mode, ("NonIndexed", "Indexed")))
    policy = spec.get("podReplacementPolicy")
    if "podFailurePolicy" in spec:
        causes += _failure_policy(spec, f"{path}.podFailurePolicy")
        if policy not in (None, "Failed"):
            causes.append(unsupported(f"{path}.podReplacementPolicy", policy, ("Failed",)))
    elif policy not in (None, "Failed", "TerminatingOrFailed"):
        causes.append(unsupported(f"{path}.podReplacementPolicy", policy, ("Failed", "TerminatingOrFailed")))
    causes += pod_template(spec["template"], f"{path}.template")
    causes += _restart_policy(spec, f"{path}.template.spec.restartPolicy")
    if needs_selector and not _matches(spec.get("selector") or {}, spec["template"]["metadata"].get("labels") or {}):
        labels = spec["template"]["metadata"].get("labels")
        causes.append(
            invalid(f"{path}.template.metadata.labels", labels, "`selector` does not match template `labels`")
        )
    return causes


def _restart_policy(spec: Manifest, path: str) -> list[Cause]:
    policy = spec["template"]["spec"].get("restartPolicy", "Always")
    if policy == "Always":
        return [required(path, 'valid values: "OnFailure", "Never"')]
    if policy not in ("OnFailure", "Never"):
        return [unsupported(path, policy, ("OnFailure", "Never"))]
    if "podFailurePolicy" in spec and policy != "Never":
        return [invalid(path, policy, 'only "Never" is supported when podFailurePolicy is specified')]
    return []


def _failure_policy(spec: Manifest, path: str) -> list[Cause]:
    causes = []
    for index, rule in enumerate(spec["podFailurePolicy"].get("rules") or ()):
        place = f"{path}.rules[{index}]"
        action = rule.get("action", "")
        if not action:
            causes.append(required(f"{place}.action", 'valid values: ["Count" "FailIndex" "FailJob" "Ignore"]'))
        elif action not in ("Count", "FailJob", "Ignore", "FailIndex"):
            causes.append(unsupported(f"{place}.action", action, ("Count", "FailIndex", "FailJob", "Ignore")))
        for number, pattern in enumerate(rule.get("onPodConditions") or ()):
            field = f"{place}.onPodConditions[{number}]"
            causes += [invalid(f"{field}.type", pattern["type"], text) for text in qualified_name(pattern["type"])]
            if pattern["status"] not in ("True", "False", "Unknown"):
                causes.append(unsupported(f"{field}.status", pattern["status"], ("False", "True", "Unknown")))
        codes = rule.get("onExitCodes")
        if codes is not None:
            if codes.get("operator") not in ("In", "NotIn"):
                causes.append(unsupported(f"{place}.onExitCodes.operator", codes.get("operator", ""), ("In", "NotIn")))
            if not codes.get("values"):
                causes.append(invalid(f"{place}.onExitCodes.values", [], "at least one value is required"))
        if codes is None and not rule.get("onPodConditions"):
            causes.append(invalid(place, "", "specifying one of OnExitCodes and OnPodConditions is required"))
    return causes


def _job_update(spec: Manifest, old: Manifest) -> list[Cause]:
    # Each is immutable in a Job; of a suspended one that never ran more may change, which nobody here does.
    causes = [
        invalid(f"spec.{name}", spec.get(name), "field is immutable")
        for name in _IMMUTABLE_JOB
        if not same(spec.get(name), old.get(name))
    ]
    if spec.get("completionMode") != "Indexed" and spec.get("completions") != old.get("completions"):
        causes.append(invalid("spec.completions", spec.get("completions"), "field is immutable"))
    return causes


def _true(status: Manifest, condition: str) -> bool:
    return any(
        item.get("type") == condition and item.get("status") == "True" for item in status.get("conditions") or ()
    )


def job_status(manifest: Manifest, old: Manifest) -> list[Cause]:
    """What is wrong with a Job's new status. Most rules hold only where it changes."""
    new, before = manifest["status"], old["status"]
    causes = not_negative(new, "status", "active", "succeeded", "failed", "ready", "terminating")
    complete, failed = _true(new, "Complete"), _true(new, "Failed")
    target, met, finished = _true(new, "FailureTarget"), _true(new, "SuccessCriteriaMet"), complete or failed
    was_complete, was_failed = _true(before, "Complete"), _true(before, "Failed")
    ended = finished != (was_complete or was_failed)
    conditions = "status.conditions"

    def changed(*names: str) -> bool:
        return any(not same(new.get(name), before.get(name)) for name in names)

    def refuse(when: bool, field: str, text: str) -> None:
        if when:
            causes.append(Cause(field, f"Invalid value: {text}"))

    completing, failing = complete != was_complete, failed != was_failed
    criteria = completing or met != _true(before, "SuccessCriteriaMet")
    completion, start = new.get("completionTime"), new.get("startTime")
    refuse((completing or failing) and complete and failed, conditions, "cannot set Complete=True and Failed=true")
    refuse(
        (completing or target != _true(before, "FailureTarget")) and complete and target,
        conditions,
        "cannot set Complete=True and FailureTarget=true conditions",
    )
    if completing or changed("completionTime"):
        refuse(
            completion is not None and not complete,
            "status.completionTime",
            "cannot set completionTime when there is no Complete=True condition",
        )
        if completion is None and complete:
            causes.append(required("status.completionTime", "completionTime is required for Complete jobs"))
    if changed("startTime", "completionTime"):
        refuse(
            bool(start and completion and completion < start),
            "status.completionTime",
            "must be equal to or after `startTime`",
        )
    refuse(failing and failed and not target, conditions, "cannot set Failed=True without FailureTarget=true")
    refuse(criteria and complete and not met, conditions, "cannot set Complete=True without SuccessCriteriaMet=true")
    refuse(
        (ended or changed("active")) and new.get("active", 0) > 0 and finished,
        "status.active",
        "active>0 is invalid for finished job",
    )
    if (ended or changed("startTime")) and start is None and finished:
        causes.append(required("status.startTime", "startTime is required for finished job"))
    refuse(
        (ended or changed("uncountedTerminatedPods")) and finished and _any_uncounted(new),
        "status.uncountedTerminatedPods",
        "must be empty for finished job",
    )
    refuse(
        (ended or changed("terminating")) and new.get("terminating", 0) > 0 and finished,
        "status.terminating",
        "terminating>0 is invalid for finished job",
    )
    refuse(
        changed("ready", "active") and new.get("ready", 0) > new.get("active", 0),
        "status.ready",
        "cannot set more ready pods than active",
    )
    refuse(met and failed, conditions, "cannot set SuccessCriteriaMet=True and Failed=true conditions")
    refuse(met and target, conditions, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions")
    return causes + _job_status_update(manifest, old)


def _any_uncounted(status: Manifest) -> bool:
    uncounted = status.get("uncountedTerminatedPods") or {}
    return bool(uncounted.get("succeeded") or uncounted.get("failed"))


def _job_status_update(manifest: Manifest, old: Manifest) -> list[Cause]:
    """What of a Job's status only goes one way."""
    new, before, causes = manifest["status"], old["status"], []
    for name in ("Complete", "Failed", "SuccessCriteriaMet", "FailureTarget"):
        if _true(before, name) and not _true(new, name):
            causes.append(
                Cause("status.conditions", f"Invalid value: cannot disable the terminal {name}=True condition")
            )
    for name in ("succeeded", "failed"):
        if new.get(name, 0) < before.get(name, 0) and (
            name == "failed" or manifest["spec"].get("completionMode") != "Indexed"
        ):
            causes.append(invalid(f"status.{name}", new.get(name, 0), f"cannot decrease the {name} counter"))
    suspended = manifest["spec"].get("suspend") or (_true(before, "Suspended") and not _true(new, "Suspended"))
    if before.get("startTime") and new.get("startTime") != before["startTime"] and not suspended:
        causes.append(required("status.startTime", "startTime cannot be removed for unsuspended job"))
    completion, completed = new.get("completionTime"), before.get("completionTime")
    if completion and completed and completion != completed:
        causes.append(invalid("status.completionTime", completion, "field is immutable"))
    return causes


def cron_job(manifest: Manifest, old: Manifest | None) -> list[Cause]:
    spec, causes = manifest["spec"], []
    if old is None and len(manifest["metadata"].get("name", "")) > 52:
        causes.append(invalid("metadata.name", manifest["metadata"]["name"], "must be no more than 52 characters"))
    schedule = spec.get("schedule", "")
    if not schedule:
        causes.append(required("spec.schedule"))
    elif not _is_cron(schedule):
        causes.append(invalid("spec.schedule", schedule, "failed to parse the cron line"))
    if "timeZone" in spec and (old is None or old["spec"].get("timeZone") != spec["timeZone"]):
        causes += _time_zone(spec["timeZone"])
    causes += not_negative(
        spec, "spec", "startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"
    )
    policy = spec.get("concurrencyPolicy", "")
    if policy not in ("Allow", "Forbid", "Replace"):
        causes.append(
            unsupported("spec.concurrencyPolicy", policy, ("Allow", "Forbid", "Replace"))
            if policy
            else required("spec.concurrencyPolicy")
        )
    inner = spec["jobTemplate"]["spec"]
    if inner.get("manualSelector"):
        causes.append(unsupported("spec.jobTemplate.spec.manualSelector", True, ("nil", "false")))
    return causes + _job_spec(inner, "spec.jobTemplate.spec", needs_selector=False)


def _time_zone(zone: str) -> list[Cause]:
    field = "spec.timeZone"
    if not zone:
        return [invalid(field, zone, "timeZone must be nil or non-empty string")]
    if zone.lower() == "local":
        return [
            invalid(field, zone, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones")
        ]
    try:
        ZoneInfo(zone)
    except (ValueError, OSError):
        return [invalid(field, zone, f"unknown time zone {zone}")]
    except LookupError:
        return [invalid(field, zone, f"unknown time zone {zone}")]
    return []


_CRON_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_NAMES = (
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
)
_DESCRIPTORS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")


def _is_cron(schedule: str) -> bool:
    if schedule in _DESCRIPTORS or re.fullmatch(r"@every [0-9hms.]+", schedule):
        return True
    parts = schedule.split()
    return len(parts) == 5 and all(map(_is_cron_field, parts, range(5)))


def _is_cron_field(text: str, place: int) -> bool:
    low, high = _CRON_RANGES[place]
    for item in text.split(","):
        span, slash, step = item.partition("/")
        if slash and not (step.isdigit() and int(step) > 0):
            return False
        if span in ("*", "?"):
            continue
        ends = [_cron_number(end, place) for end in span.split("-")]
        if len(ends) > 2 or any(end is None or not low <= end <= high for end in ends):
            return False
        if len(ends) == 2 and ends[0] is not None and ends[1] is not None and ends[0] > ends[1]:
            return False
    return True


def _cron_number(text: str, place: int) -> int | None:
    if text.isdigit():
        return int(text)
    months, days = _NAMES
    if place == 3 and text.upper() in months:
        return months.index(text.upper()) + 1
    return days.index(text.upper()) if place == 4 and text.upper() in days else None


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
    if selector and not wrong and not _matches(selector, labels):
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
    causes += pod_template(spec["template"], "spec.template")
    policy = spec["template"]["spec"].get("restartPolicy")
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


def _matches(selector: Manifest, labels: Manifest) -> bool:
    for item in selector.get("matchExpressions") or ():
        value, values = labels.get(item["key"]), item.get("values") or ()
        holds = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not holds.get(item["operator"], False):
            return False
    return all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())


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
    causes += _port(target, f"{path}.targetPort")
    if port["protocol"] not in ("TCP", "UDP", "SCTP"):
        causes.append(unsupported(f"{path}.protocol", port["protocol"], ("SCTP", "TCP", "UDP")))
    return causes


# --- Pods ---

_PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")
_RANGE = "must be between 1 and 65535, inclusive"
_FIELD_PATHS = re.compile(
    r"metadata\.(name|namespace|uid|labels|annotations)|metadata\.(labels|annotations)\['.+'\]"
    r"|spec\.(nodeName|serviceAccountName)|status\.(hostIP|hostIPs|podIP|podIPs)"
)


def _port(port: Any, path: str) -> list[Cause]:
    if isinstance(port, int):
        return [] if 1 <= port <= 65535 else [invalid(path, port, _RANGE)]
    if len(port) > 15 or not _PORT_NAME.fullmatch(port):
        return [invalid(path, port, "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")]
    return []


def pod_template(template: Manifest, path: str) -> list[Cause]:
    causes = []
    for value in (template["metadata"].get("labels") or {}).values():
        causes += label_value(value, f"{path}.labels")
    return causes + pod_spec(template["spec"], f"{path}.spec")


def pod_spec(spec: Manifest, path: str) -> list[Cause]:
    causes = []
    if not spec.get("containers"):
        causes.append(required(f"{path}.containers"))
    volumes = [volume["name"] for volume in spec.get("volumes") or ()]
    for index, name in enumerate(volumes):
        if not name:
            causes.append(required(f"{path}.volumes[{index}].name"))
        elif name in volumes[:index]:
            causes.append(Cause(f"{path}.volumes[{index}].name", f"Duplicate value: {shown(name)}", DUPLICATE))
    seen: set[str] = set()
    for index, container in enumerate(spec.get("containers") or ()):
        causes += _container(container, f"{path}.containers[{index}]", set(volumes), seen)
    if spec.get("restartPolicy") not in ("Always", "OnFailure", "Never"):
        causes.append(
            unsupported(f"{path}.restartPolicy", spec.get("restartPolicy", ""), ("Always", "OnFailure", "Never"))
        )
    causes += not_negative(spec, path, "terminationGracePeriodSeconds")
    return causes


def _container(container: Manifest, path: str, volumes: set[str], seen: set[str]) -> list[Cause]:
    causes = []
    name = container.get("name", "")
    if not name:
        causes.append(required(f"{path}.name"))
    elif not LABEL.fullmatch(name) or len(name) > 63:
        causes.append(invalid(f"{path}.name", name, "a lowercase RFC 1123 label must consist of lower case"))
    elif name in seen:
        causes.append(Cause(f"{path}.name", f"Duplicate value: {shown(name)}", DUPLICATE))
    seen.add(name)
    if not container.get("image"):
        causes.append(required(f"{path}.image"))
    if container["imagePullPolicy"] not in ("Always", "IfNotPresent", "Never"):
        allowed = ("Always", "IfNotPresent", "Never")
        causes.append(unsupported(f"{path}.imagePullPolicy", container["imagePullPolicy"], allowed))
    for source in container.get("envFrom") or ():
        if "configMapRef" not in source and "secretRef" not in source:
            causes.append(invalid(f"{path}.envFrom", "", "must specify one of: `configMapRef` or `secretRef`"))
    for index, variable in enumerate(container.get("env") or ()):
        if not variable.get("name"):
            causes.append(required(f"{path}.env[{index}].name"))
        if variable.get("value") and "valueFrom" in variable:
            text = "may not be specified when `value` is not empty"
            causes.append(invalid(f"{path}.env[{index}].valueFrom", "", text))
        path_of_field = ((variable.get("valueFrom") or {}).get("fieldRef") or {}).get("fieldPath", "metadata.name")
        if not _FIELD_PATHS.fullmatch(path_of_field):
            place = f"{path}.env[{index}].valueFrom.fieldRef.fieldPath"
            causes.append(invalid(place, path_of_field, "error converting fieldPath: field label not supported"))
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        causes += _probe(container.get(name), f"{path}.{name}")
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        if not mount.get("mountPath"):
            causes.append(required(f"{path}.volumeMounts[{index}].mountPath"))
        if mount["name"] not in volumes:
            causes.append(
                Cause(f"{path}.volumeMounts[{index}].name", f"Not found: {shown(mount['name'])}", "FieldValueNotFound")
            )
    for index, port in enumerate(container.get("ports") or ()):
        if not 1 <= port["containerPort"] <= 65535:
            causes.append(
                invalid(
                    f"{path}.ports[{index}].containerPort",
                    port["containerPort"],
                    "must be between 1 and 65535, inclusive",
                )
            )
    return causes


def _probe(probe: Manifest | None, path: str) -> list[Cause]:
    if probe is None:
        return []
    causes = (
        [] if {"httpGet", "tcpSocket", "exec", "grpc"} & set(probe) else [required(path, "must specify a handler type")]
    )
    causes += not_negative(
        probe, path, "initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"
    )
    for action in ("httpGet", "tcpSocket"):
        if action in probe:
            causes += _port(probe[action]["port"], f"{path}.{action}.port")
    if "readinessProbe" not in path and probe.get("successThreshold", 1) != 1:
        causes.append(invalid(f"{path}.successThreshold", probe["successThreshold"], "must be 1"))
    return causes


_MUTABLE_POD = ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds")


def pod(manifest: Manifest, old: Manifest | None) -> list[Cause]:
    causes = pod_spec(manifest["spec"], "spec")
    resized = [
        name
        for name in ("containers", "initContainers")
        if old is not None and len(manifest["spec"].get(name) or ()) != len(old["spec"].get(name) or ())
    ]
    if resized:
        text = "Forbidden: pod updates may not add or remove containers"
        causes.append(Cause(f"spec.{resized[0]}", text, FORBIDDEN))
    elif old is not None and not same(_fixed(manifest["spec"]), _fixed(old["spec"])):
        text = (
            "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
            "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` "
            "(only additions to existing tolerations),`spec.terminationGracePeriodSeconds` "
            "(allow it to be set to 1 if it was previously negative)"
        )
        causes.append(Cause("spec", text, FORBIDDEN))
    return causes


def pod_status(manifest: Manifest, old: Manifest) -> list[Cause]:
    """What is wrong with a pod's new status: a container that has ended and is not run again stays so."""
    new, before, causes = manifest["status"], old["status"], []
    for name in ("containerStatuses", "initContainerStatuses"):
        ended = {
            item["name"]: item["state"]["terminated"]["exitCode"]
            for item in before.get(name) or ()
            if "terminated" in item["state"]
        }
        for index, item in enumerate(new.get(name) or ()):
            policy = manifest["spec"]["restartPolicy"]
            again = policy == "Always" or (policy == "OnFailure" and ended.get(item["name"]) != 0)
            if item["name"] in ended and "terminated" not in item["state"] and not again:
                text = "Forbidden: may not be transitioned to non-terminated state"
                causes.append(Cause(f"status.{name}[{index}].state", text, FORBIDDEN))
    for index, item in enumerate(new.get("podIPs") or ()):
        if not _is_address(item.get("ip", "")):
            causes.append(invalid(f"status.podIPs[{index}]", item.get("ip", ""), "must be a valid IP address"))
    for index, item in enumerate(new.get("conditions") or ()):
        causes += [
            invalid(f"status.conditions[{index}].Type", item.get("type", ""), text)
            for text in qualified_name(item.get("type", ""))
        ]
    return causes


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _fixed(spec: Manifest) -> Manifest:
    fixed = {key: value for key, value in spec.items() if key not in _MUTABLE_POD}
    for name in ("containers", "initContainers"):
        if name in fixed:
            fixed[name] = [{**container, "image": ""} for container in fixed[name]]
    return fixed


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
