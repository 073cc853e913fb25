"""What an API server takes: statuses by the generated schemas, names, labels, annotations, Events and pods."""

from __future__ import annotations

import json
import re
from typing import Any

from mlops.api.crd import crds

STATUSES: dict[str, Any] = {
    crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    for crd in crds().values()
}
# An object is stored in at most 1.5 MiB; a status leaves most of that to the spec.
MOST_STATUS_BYTES = 1_000_000

_LABEL_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_SERVICE = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_LONGEST = {
    "ConfigMap": 253,
    "CronJob": 52,
    "Job": 63,
    "Deployment": 63,
    "Service": 63,
    "PodDisruptionBudget": 63,
    "HorizontalPodAutoscaler": 63,
    "TrainingRun": 52,
    "ModelVersion": 52,
}
MOST_DATA_BYTES = 1 << 20
_PYTHON = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}


def check_status(kind: str, status: Any) -> None:
    """Fail unless the API server would take the status."""
    check(STATUSES[kind], status, f"{kind}.status")
    assert len(json.dumps(status).encode()) <= MOST_STATUS_BYTES
    types = [each["type"] for each in status.get("conditions", ())]
    assert len(types) == len(set(types)), f"{kind}: {types}"
    for each in status.get("conditions", ()):
        assert each["status"] in ("True", "False", "Unknown")
        assert each["lastTransitionTime"], each


def check(schema: Any, value: Any, path: str) -> None:
    """Fail unless `value` is what the structural schema says."""
    wanted = _PYTHON[schema["type"]]
    assert isinstance(value, wanted), f"{path}: {value!r} is no {schema['type']}"
    assert wanted is bool or not isinstance(value, bool), f"{path}: {value!r}"
    match value:
        case dict():
            missing = set(schema.get("required", ())) - value.keys()
            assert not missing, f"{path}: {missing} is missing"
            properties, more = schema.get("properties", {}), schema.get("additionalProperties")
            for name, child in value.items():
                assert name in properties or more, f"{path}: unknown field {name}"
                check(properties.get(name, more), child, f"{path}.{name}")
        case list():
            assert schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 10**9), f"{path}: {len(value)}"
            for index, child in enumerate(value):
                check(schema["items"], child, f"{path}[{index}]")
        case str():
            assert len(value) <= schema.get("maxLength", 10**9), f"{path}: {len(value)} characters"
            assert "enum" not in schema or value in schema["enum"], f"{path}: {value!r}"
            assert "pattern" not in schema or re.search(schema["pattern"], value), f"{path}: {value!r}"
        case int():
            assert schema.get("minimum", -(2**63)) <= value <= schema.get("maximum", 2**63 - 1), f"{path}: {value}"


def check_child(manifest: Any) -> None:
    """Fail unless the API server would take the names, labels and pods of what a planner wants."""
    kind, metadata = manifest["kind"], manifest["metadata"]
    name = metadata["name"]
    pattern = _SERVICE if kind == "Service" else _DNS_LABEL
    assert pattern.fullmatch(name), f"{kind} {name!r}"
    assert len(name) <= _LONGEST[kind], f"{kind} {name!r}"
    _check_metadata(metadata)
    spec = manifest.get("spec")
    match kind:
        case "ConfigMap":
            assert sum(len(text.encode()) for text in manifest["data"].values()) <= MOST_DATA_BYTES
        case "Job":
            _check_pod(spec["template"])
        case "CronJob":
            _check_metadata(spec["jobTemplate"]["metadata"])
            _check_pod(spec["jobTemplate"]["spec"]["template"])
        case "Deployment":
            own = spec["template"]["metadata"]["labels"]
            assert spec["selector"]["matchLabels"].items() <= own.items()
            _check_pod(spec["template"])


def _check_metadata(metadata: Any) -> None:
    for name, value in metadata.get("labels", {}).items():
        prefix, _, own = name.rpartition("/")
        assert _LABEL_NAME.fullmatch(own), name
        assert len(prefix) <= 253
        assert value == "" or _LABEL_NAME.fullmatch(value), f"label {name}: {value!r}"
    annotations = metadata.get("annotations", {})
    assert sum(len(name) + len(value.encode()) for name, value in annotations.items()) <= 262_144


def _check_pod(template: Any) -> None:
    _check_metadata(template["metadata"])
    spec = template["spec"]
    containers = [*spec.get("initContainers", ()), *spec["containers"]]
    names = [each["name"] for each in containers]
    assert len(names) == len(set(names)), names
    volumes = {each["name"] for each in spec["volumes"]}
    for container in containers:
        variables = [each["name"] for each in container["env"]]
        assert len(variables) == len(set(variables)), variables
        assert all(_VARIABLE.fullmatch(each) for each in variables), variables
        assert all(isinstance(each.get("value", ""), str) for each in container["env"])
        assert {each["name"] for each in container["volumeMounts"]} <= volumes
    _check_isolation(spec, containers)


# Of Pod Security `restricted`, and more.
_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}

# What a user's own code hands over: it writes there, and our containers only read.
_HANDED_OVER = "outputs"


def _check_isolation(spec: Any, containers: list[Any]) -> None:
    """Fail if a container can reach another of other trust but by the outputs, or its node's disk without bound."""
    assert not any(spec.get(name) for name in ("shareProcessNamespace", "hostPID", "hostIPC", "hostNetwork"))
    assert spec["automountServiceAccountToken"] is False
    for volume in spec["volumes"]:
        assert volume.get("secret") or volume["emptyDir"]["sizeLimit"], volume
    writers: dict[str, set[bool]] = {}
    users: dict[str, set[bool]] = {}
    for container in containers:
        assert container["resources"]["limits"]["ephemeral-storage"], container["name"]
        assert container["resources"]["requests"]["ephemeral-storage"], container["name"]
        assert _RESTRICTED.items() <= container["securityContext"].items(), container["name"]
        ours = is_ours(container)
        assert ours or "envFrom" not in container, container["name"]
        for mount in container["volumeMounts"]:
            users.setdefault(mount["name"], set()).add(ours)
            if not mount.get("readOnly"):
                writers.setdefault(mount["name"], set()).add(ours)
        if ours:
            _check_imports(container)
    for name, found in users.items():
        # What is written at one level of trust and seen at another: data for the user's code, and what it hands over.
        if len(found) > 1:
            assert writers[name] == ({False} if name == _HANDED_OVER else {True}), name
    if not all(map(is_ours, containers)):
        for container in filter(is_ours, containers):
            # A sandbox has one /dev/shm for all containers without one of their own.
            assert "/dev/shm" in {each["mountPath"] for each in container["volumeMounts"]}, container["name"]


def is_ours(container: Any) -> bool:
    """Return whether the container runs a task of ours, and so may hold keys."""
    return any(each["name"] == "MLOPS_TASK" for each in container["env"])


def _check_imports(container: Any) -> None:
    """Fail if a module that lies in some folder could be taken for one that is installed."""
    assert container["command"] == ["python", "-P", "-m", "mlops.workloads"]
    values = {each["name"]: each.get("value") for each in container["env"]}
    assert (values["PYTHONSAFEPATH"], values["PYTHONNOUSERSITE"]) == ("1", "1")
    folder = container["workingDir"]
    for mount in container["volumeMounts"]:
        path = mount["mountPath"].rstrip("/")
        assert mount.get("readOnly") or not (folder + "/").startswith(path + "/"), f"{folder} can be written to"


def check_event(event: Any) -> None:
    """Fail unless the API server would take the Event."""
    assert len(event["metadata"]["name"]) <= 253
    assert len(event["note"].encode()) <= 1024 * 4
    assert len(event["note"]) <= 1024
    assert 0 < len(event["reason"]) <= 128
    assert 0 < len(event["action"]) <= 128
