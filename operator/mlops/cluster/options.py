"""What the program is told, by flags and environment variables."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlops.api import tasks
from mlops.planning.plan import Settings

# Where a pod finds its token and its namespace.
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_CLASS = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STORE = re.compile(r"[^{}]*|[a-z0-9]+://[^/{}]*/[^{}]*\{namespace\}[^{}]*")
_QUANTITY = re.compile(r"[1-9][0-9]{0,14}(?:[kMGTP]|[KMGTP]i)?")


class BadOption(ValueError):
    """An option that cannot be used: its name, its value and the way out."""


@dataclass(frozen=True)
class LeaseOptions:
    """Which Lease to hold, and as whom."""

    namespace: str
    name: str
    identity: str


@dataclass(frozen=True)
class Options:
    """Everything that the operator needs to know."""

    settings: Settings
    namespaces: tuple[str, ...] = ()
    host: str = "0.0.0.0"
    port: int = 8081
    workers: int = 4
    # None: one process alone, without a Lease.
    lease: LeaseOptions | None = None


def namespaces_of(given: Sequence[str], variable: str) -> tuple[str, ...]:
    """Return the namespaces of `--namespace` or, without any, of the comma-separated variable."""
    names = list(given) or [name.strip() for name in variable.split(",") if name.strip()]
    for name in names:
        if not _NAMESPACE.fullmatch(name):
            raise BadOption(f"--namespace {name!r} is not the name of a namespace")
    return tuple(dict.fromkeys(names))


def pod_environment(given: Sequence[str], variable: str) -> Mapping[str, str]:
    """Return the environment of every pod: the variable's JSON object, with `--pod-env NAME=VALUE` laid over it."""
    try:
        environment = json.loads(variable or "{}")
    except ValueError as error:
        raise BadOption(f"MLOPS_OPERATOR_POD_ENV is no JSON: {error}") from error
    if not isinstance(environment, dict) or not all(isinstance(value, str) for value in environment.values()):
        raise BadOption(
            'MLOPS_OPERATOR_POD_ENV has to be a JSON object of strings, such as {"MLOPS_STORE": "s3://mlops"}'
        )
    for entry in given:
        name, equals, value = entry.partition("=")
        if not equals:
            raise BadOption(f"--pod-env {entry!r} has no value: write NAME=VALUE")
        environment[name] = value
    for name in environment:
        if not _VARIABLE.fullmatch(name):
            raise BadOption(f"--pod-env {name!r} is not the name of an environment variable")
    if not _STORE.fullmatch(store := environment.get(tasks.STORE_VARIABLE, "")):
        raise BadOption(
            f"--pod-env {tasks.STORE_VARIABLE}={store!r}: {{namespace}} can stand once, after the bucket, such as "
            "s3://mlops/{namespace}; no other braces can"
        )
    return environment


def quantity(option: str, text: str) -> str:
    """Return a quantity of bytes as Kubernetes writes it, such as 32Gi; an empty one is none."""
    if text and not _QUANTITY.fullmatch(text):
        raise BadOption(f"{option} {text!r} is no quantity of bytes: write a number and a unit, such as 32Gi")
    return text


def environment_digest(given: str | None, file: Path) -> str:
    """Return the digest of the workloads' environment: as given, else as the operator's image says."""
    source, digest = "--environment-digest", given
    if not digest:
        source = str(file)
        try:
            digest = file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise BadOption(f"no --environment-digest, and {file} cannot be read: {error}") from error
    if not _DIGEST.fullmatch(digest):
        raise BadOption(f"{source}: {digest!r} is no digest: write sha256: and 64 hex digits")
    return digest


def priority_class(name: str) -> str:
    """Return the name of `--serving-priority-class`; empty: none."""
    if name and not (_CLASS.fullmatch(name) and len(name) <= 253):
        raise BadOption(f"--serving-priority-class {name!r} is not the name of a PriorityClass")
    return name


def listening(address: str) -> tuple[str, int]:
    """Return host and port of HOST:PORT."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise BadOption(f"--listen {address!r}: write HOST:PORT, such as 0.0.0.0:8081")
    return host.strip("[]"), int(port)


def lease_options(name: str, namespace: str | None, identity: str | None) -> LeaseOptions:
    """Return the Lease's address and our name in it; what is not given is told by the pod."""
    try:
        own = (SERVICE_ACCOUNT / "namespace").read_text("utf-8").strip()
    except OSError:
        own = ""
    return LeaseOptions(
        namespace=namespace or os.environ.get("POD_NAMESPACE") or own or "default",
        name=name,
        identity=identity or os.environ.get("POD_NAME") or f"{socket.gethostname()}-{os.getpid()}",
    )
