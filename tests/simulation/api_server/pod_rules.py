"""What the API server refuses of pods and of templates of them."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Any

from tests.simulation.api_server.causes import invalid, not_negative, required, unsupported
from tests.simulation.api_server.errors import DUPLICATE, FORBIDDEN, Cause, shown
from tests.simulation.api_server.metadata import LABEL, label_value, qualified_name, subdomain
from tests.simulation.api_server.typed import same

Manifest = dict[str, Any]

_PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")
_RANGE = "must be between 1 and 65535, inclusive"
_FIELD_PATHS = re.compile(
    r"metadata\.(name|namespace|uid|labels|annotations)|metadata\.(labels|annotations)\['.+'\]"
    r"|spec\.(nodeName|serviceAccountName)|status\.(hostIP|hostIPs|podIP|podIPs)"
)


def port_number(port: Any, path: str) -> list[Cause]:
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
    node = spec.get("nodeName")
    causes += [invalid(f"{path}.nodeName", node, text) for text in subdomain(node)] if node else []
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
            causes += port_number(probe[action]["port"], f"{path}.{action}.port")
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
