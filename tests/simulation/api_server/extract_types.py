"""Write go_types.json: the Go structs of the built-in kinds, as far as JSON and server-side apply depend on them.

    python -m tests.simulation.api_server.extract_types

Reads the published Go modules k8s.io/api and k8s.io/apimachinery of the Kubernetes version that the tests run, from
Go's module cache (they are there once kube-apiserver is built). The file is committed: only a new version needs this.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

VERSION = "v0.34.4"
TARGET = Path(__file__).with_name("go_types.json")
ROOTS = (
    "batch/v1.Job",
    "batch/v1.CronJob",
    "apps/v1.Deployment",
    "core/v1.ConfigMap",
    "core/v1.Service",
    "core/v1.Pod",
    "events/v1.Event",
    "coordination/v1.Lease",
    "policy/v1.PodDisruptionBudget",
    "autoscaling/v2.HorizontalPodAutoscaler",
)
_SOURCES = {
    "batch/v1": "api@{}/batch/v1",
    "apps/v1": "api@{}/apps/v1",
    "core/v1": "api@{}/core/v1",
    "events/v1": "api@{}/events/v1",
    "coordination/v1": "api@{}/coordination/v1",
    "policy/v1": "api@{}/policy/v1",
    "autoscaling/v2": "api@{}/autoscaling/v2",
    "meta/v1": "apimachinery@{}/pkg/apis/meta/v1",
}
_PACKAGES = {"metav1": "meta/v1", "v1": "core/v1", "corev1": "core/v1"}
# Types that marshal themselves.
_SPECIAL = {
    "metav1.Time": "time",
    "meta/v1.Time": "time",
    "metav1.MicroTime": "microtime",
    "meta/v1.MicroTime": "microtime",
    "metav1.FieldsV1": "any",
    "meta/v1.FieldsV1": "any",
    "intstr.IntOrString": "intorstring",
    "resource.Quantity": "quantity",
    "types.UID": "string",
}
_SCALARS = {"string", "bool", "int32", "int64", "float64", "byte"}
_STRUCT = re.compile(r"((?:^//[^\n]*\n)*)^type (\w+) struct \{\n(.*?)^\}", re.M | re.S)
_NAMED = re.compile(r"^type (\w+) ([\w.\[\]*]+)$", re.M)
_FIELD = re.compile(r'^\s*(?:(\w+)\s+)?([\w.\[\]*]+)\s+`.*?json:"([^"]*)"')


class Extract:
    """The structs that were met so far; `structs` is the result."""

    def __init__(self, modules: Path) -> None:
        self._sources = {
            package: "\n".join(
                path.read_text("utf-8") for path in sorted((modules / folder.format(VERSION)).glob("*types.go"))
            )
            for package, folder in _SOURCES.items()
        }
        self._declared = {
            package: {name: (comment, body) for comment, name, body in _STRUCT.findall(source)}
            for package, source in self._sources.items()
        }
        self._named = {package: dict(_NAMED.findall(source)) for package, source in self._sources.items()}
        self.structs: dict[str, dict[str, Any]] = {}

    def add(self, name: str) -> None:
        """Add a struct and everything that it holds."""
        if name in self.structs:
            return
        self.structs[name] = {}
        self.structs[name] = self._fields(name)

    def _fields(self, name: str) -> dict[str, Any]:
        package, _, short = name.rpartition(".")
        comment, body = self._declared[package][short]
        fields: dict[str, Any] = {}
        if "+structType=atomic" in comment:
            fields[""] = {"atomic": True}
        marks: list[str] = []
        for line in body.splitlines():
            stripped = line.strip()
            if stripped.startswith("//"):
                marks.append(stripped[2:].strip())
                continue
            if not stripped:
                marks = []
            if found := _FIELD.match(line):
                _, go_type, tag = found.groups()
                key, *options = tag.split(",")
                if "inline" in options or not key:
                    fields |= self._fields(self._qualified(package, go_type.lstrip("*")))
                elif key != "-":
                    fields[key] = self._field(package, go_type, options, marks)
            marks = []
        return fields

    def _field(self, package: str, go_type: str, options: list[str], marks: list[str]) -> dict[str, Any]:
        field: dict[str, Any] = {"type": self._type(package, go_type)}
        for option in ("omitempty", "omitzero"):
            if option in options:
                field[option] = True
        for mark in marks:
            name, _, value = mark.partition("=")
            if name in ("+listType", "+mapType", "+structType"):
                field["merge"] = value
            elif name == "+listMapKey":
                field.setdefault("keys", []).append(value)
            elif name == "+default" and not value.startswith("ref("):
                field["default"] = json.loads(value)
        return field

    def _type(self, package: str, go_type: str) -> Any:
        """A scalar's name, or one of {pointer: type}, {list: type}, {map: type}, {struct: name}."""
        for prefix, wrap in (("*", "pointer"), ("[]", "list")):
            if go_type.startswith(prefix):
                inner = go_type[len(prefix) :]
                return "bytes" if go_type == "[]byte" else {wrap: self._type(package, inner)}
        if found := re.fullmatch(r"map\[[\w.]+\](.+)", go_type):
            return {"map": self._type(package, found[1])}
        if go_type in _SCALARS:
            return go_type
        name = self._qualified(package, go_type)
        if special := _SPECIAL.get(go_type) or _SPECIAL.get(name):
            return special
        package, _, short = name.rpartition(".")
        if short in self._named.get(package, {}):
            return self._type(package, self._named[package][short])
        self.add(name)
        return {"struct": name}

    def _qualified(self, package: str, go_type: str) -> str:
        prefix, _, short = go_type.rpartition(".")
        return f"{_PACKAGES.get(prefix, prefix) or package}.{short}"


def main() -> None:
    cache = os.environ.get("GOMODCACHE") or subprocess.check_output(["go", "env", "GOMODCACHE"], text=True).strip()
    extract = Extract(Path(cache) / "k8s.io")
    for root in ROOTS:
        extract.add(root)
    lines = [f"{json.dumps(name)}: {json.dumps(fields)}" for name, fields in sorted(extract.structs.items())]
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


if __name__ == "__main__":
    main()
