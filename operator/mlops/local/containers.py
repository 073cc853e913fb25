"""From a container of a pod to a command, its environment and its folder on this machine."""

from __future__ import annotations

import os
import re
import site
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops.api import tasks
from mlops.engine.cluster import labels_of
from mlops.planning.plan import Manifest

HOST = "127.0.0.1"

# All that a container sees of the user's own environment: where programs, certificates and the home folder are.
_INHERITED = (
    "HOME",
    "LANG",
    "PYTHONPATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
)
_INSTALLED = Path(tasks.__file__)
_REFERENCE = re.compile(r"\$(\$|\(([A-Za-z_][A-Za-z0-9_.-]*)\))")
_FIELD_WITH_KEY = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class CannotStart(Exception):
    """The container cannot become a process; `reason` is the one that a kubelet would give."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


@dataclass(frozen=True)
class Machine:
    """What this machine gives to every container."""

    # A user's image -> the folder with its code.
    images: Mapping[str, Path] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    # (namespace, name) of a Secret that a source, or a stage of a model, names -> its keys.
    secrets: Mapping[tuple[str, str], Mapping[str, str]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Launch:
    """A container as a process."""

    command: list[str]
    environ: dict[str, str]
    folder: Path
    termination_log: Path


def launch(container: Manifest, pod: Manifest, place: Path, ports: Mapping[int, int], machine: Machine) -> Launch:
    """Return how to start `container`; `place` is the pod's own folder, `ports` maps containerPorts to this machine's.

    Makes the folders. Raises CannotStart.
    """
    mounts = _mounts(container, pod, place, machine)
    own = place / "containers" / container["name"]
    scratch = Path(_rewrite("/tmp", mounts))
    scratch = own / "tmp" if not scratch.is_relative_to(place) else scratch
    work = machine.images.get(container.get("image", ""), own / "work")
    for folder in (own, scratch, *((work,) if work.is_relative_to(place) else ())):
        folder.mkdir(parents=True, exist_ok=True)
    if not work.is_dir():
        raise CannotStart(
            "ErrImagePull", f"image {container['image']} stands for the folder {work}, which is not there"
        )
    termination_log = own / "termination-log"
    termination_log.unlink(missing_ok=True)
    environ = _environ(container, pod, mounts, machine)
    environ |= {tasks.TERMINATION_VARIABLE: str(termination_log), "TMPDIR": str(scratch)}
    if ports:
        environ |= {tasks.PORT_VARIABLE: str(next(iter(ports.values()))), tasks.HOST_VARIABLE: HOST}
        # Without a cluster each pod has ports of this machine in the place of those that it is told.
        for port in container.get("ports", ()):
            if port.get("name") in ("grpc", "grpcs"):
                environ[tasks.GRPC_PORT_VARIABLE] = str(ports[port["containerPort"]])
        # The same requests are captured in every folder; the servers here are not for strangers.
        environ.setdefault(tasks.CAPTURE_KEY_VARIABLE, "mlops run")
    words = [*container.get("command", ()), *container.get("args", ())]
    if not container.get("command"):
        raise CannotStart(
            "CreateContainerError",
            f"container {container['name']} has no command; without a cluster an image's own entrypoint is not known",
        )
    command = [_rewrite(_expand(word, environ), mounts) for word in words]
    return Launch(command, environ, work, termination_log)


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _mounts(container: Manifest, pod: Manifest, place: Path, machine: Machine) -> list[tuple[str, Path]]:
    """Return (path in the container, folder) of each mount, the longest path first.

    The files of a Secret are their owner's alone, and go with the pod's folder.
    """
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", ())}
    found = []
    for mount in container.get("volumeMounts", ()):
        volume = volumes.get(mount["name"])
        # An optional Secret that is not there is a folder without files, as on a node.
        if volume is None or not ("emptyDir" in volume or volume.get("secret", {}).get("optional")):
            raise CannotStart(
                "CreateContainerConfigError",
                f"volume {mount['name']!r} is not an emptyDir: without a cluster there is no other kind",
            )
        folder = place / "volumes" / mount["name"] / mount.get("subPath", "")
        folder.mkdir(parents=True, exist_ok=True)
        named = (pod["metadata"].get("namespace", "default"), volume.get("secret", {}).get("secretName", ""))
        for key, value in machine.secrets.get(named, {}).items():
            _write_private(folder / key, value)
        found.append((mount["mountPath"].rstrip("/"), folder))
    return sorted(found, key=lambda mount: -len(mount[0]))


def _write_private(path: Path, text: str) -> None:
    with open(path, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)


def _rewrite(text: str, mounts: list[tuple[str, Path]]) -> str:
    for path, folder in mounts:
        if text == path or text.startswith(path + "/"):
            return str(folder) + text[len(path) :]
    return text


def _environ(container: Manifest, pod: Manifest, mounts: list[tuple[str, Path]], machine: Machine) -> dict[str, str]:
    environ = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    if path := environ.get("PYTHONPATH"):
        # What is relative was meant from here, not from a container's folder, where others may write.
        environ["PYTHONPATH"] = os.pathsep.join(str(Path(part).absolute()) for part in path.split(os.pathsep) if part)
    # `python` is this interpreter, with everything that is installed beside it.
    environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    # No node has to learn that a pod is going: its routes are closed before it is told.
    environ[tasks.DRAIN_VARIABLE] = "0"
    environ |= machine.environment
    environ |= _from_secrets(container, pod, machine)
    for entry in container.get("env", ()):
        if "valueFrom" in entry:
            value = _field(entry, pod)
        else:
            value = _expand(entry.get("value", ""), environ)
        environ[entry["name"]] = _rewrite(value, mounts)
    if _INSTALLED.is_relative_to(site.getusersitepackages()):
        # Installed for one user, the program itself lies in the folder that is left out elsewhere.
        environ.pop("PYTHONNOUSERSITE", None)
    return environ


def _from_secrets(container: Manifest, pod: Manifest, machine: Machine) -> dict[str, str]:
    """Return the keys of sources' Secrets, each under its prefix. Without one they could set anything: left out."""
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        name = (pod["metadata"].get("namespace", "default"), source.get("secretRef", {}).get("name", ""))
        if prefix := source.get("prefix"):
            found |= {f"{prefix}{key}": value for key, value in machine.secrets.get(name, {}).items()}
    return found


def _field(entry: Manifest, pod: Manifest) -> str:
    path = entry["valueFrom"].get("fieldRef", {}).get("fieldPath", "")
    metadata = pod["metadata"]
    values: dict[str, Any] = {f"metadata.{name}": metadata.get(name) for name in ("name", "namespace", "uid")}
    if path in values:
        return str(values[path])
    if match := _FIELD_WITH_KEY.fullmatch(path):
        source = labels_of(pod) if match[1] == "labels" else metadata.get("annotations", {})
        return str(source.get(match[2], ""))
    raise CannotStart(
        "CreateContainerConfigError",
        f"env {entry['name']}: without a cluster only fieldRef of the pod's metadata can be a value's source",
    )


def _expand(text: str, environ: Mapping[str, str]) -> str:
    """Return `text` with $(NAME) replaced as Kubernetes does: unknown names stay, $$ is a dollar sign."""

    def value(match: re.Match[str]) -> str:
        return "$" if match[1] == "$" else environ.get(match[2], match[0])

    return _REFERENCE.sub(value, text)
