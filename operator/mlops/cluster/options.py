"""What the program is told: the operator's environment, and the flags of the command line, which win."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops.api import tasks
from mlops.api.environment import BadVariable, refuse_unknown
from mlops.api.pod_environment import check_pod_environment
from mlops.cluster.settings import DIGEST, PREFIX, OperatorSettings
from mlops.planning.plan import Settings

# Where a pod finds its token and its namespace.
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STORE = re.compile(r"[^{}]*|[a-z0-9]+://[^/{}]*/[^{}]*\{namespace\}[^{}]*")


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


def read(environ: Mapping[str, str], given: Mapping[str, Any]) -> OperatorSettings:
    """Return the settings of an environment with the flags that were `given`, by field. Raises BadOption."""
    flags = OperatorSettings.flags()
    try:
        refuse_unknown(environ, PREFIX, OperatorSettings.names(), environ.__getitem__)
        settings = OperatorSettings.read(environ, **{name: each for name, each in given.items() if name != "pod_env"})
    except BadVariable as error:
        said = {OperatorSettings.name_of(field): flags[field].name for field in given}
        raise BadOption(f"{said.get(error.name, error.name)} {error.value!r} {error.problem}") from None
    if not settings.image:
        raise BadOption(f"--image or {OperatorSettings.name_of('image')} has to name the image of the workload pods")
    if settings.serving_port == settings.grpc_port:
        names = [f"{flags[field].name} or {OperatorSettings.name_of(field)}" for field in ("serving_port", "grpc_port")]
        raise BadOption(f"{' and '.join(names)}: both are {settings.grpc_port}; model servers need two ports")
    pods = pod_environment(given.get("pod_env", ()), settings.pod_env)
    return settings.evolve(pod_env=pods)


def options_of(settings: OperatorSettings) -> Options:
    """Return what the operator is given. Raises BadOption if the digest of the environment is not known."""
    host, port = settings.listen
    return Options(
        settings=Settings(
            image=settings.image,
            environment_digest=settings.environment_digest or _digest_in(settings.environment_digest_file),
            environment=settings.pod_env,
            pod_log_format=settings.pod_log_format,
            store_secret=settings.store_secret,
            reader_secret=settings.reader_secret,
            server_secret=settings.server_secret,
            remover_secret=settings.remover_secret,
            scratch_limit=settings.scratch_limit,
            scratch_request=settings.scratch_request,
            serving_port=settings.serving_port,
            grpc_port=settings.grpc_port,
            serving_priority_class=settings.serving_priority_class,
            pod_defaults=settings.pod_defaults,
            pod_policy=settings.pod_policy,
            pod_user=settings.pod_user,
            approval_policy=settings.approval_policy,
        ),
        namespaces=settings.namespaces,
        host=host,
        port=port,
        workers=settings.workers,
        lease=None if settings.no_lease else _lease(settings),
    )


def pod_environment(given: Sequence[str], environment: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment of every pod: `environment` with `--pod-env NAME=VALUE` laid over it. Raises BadOption."""
    found = dict(environment)
    for entry in given:
        name, equals, value = entry.partition("=")
        if not equals:
            raise BadOption(f"--pod-env {entry!r} has no value: write NAME=VALUE")
        found[name] = value
    for name in found:
        if not _VARIABLE.fullmatch(name):
            raise BadOption(f"--pod-env {name!r} is not the name of an environment variable")
    if not _STORE.fullmatch(store := found.get(tasks.STORE_VARIABLE, "")):
        raise BadOption(
            f"--pod-env {tasks.STORE_VARIABLE}={store!r}: {{namespace}} can stand once, after the bucket, such as "
            "s3://mlops/{namespace}; no other braces can"
        )
    if tasks.LOG_FORMAT_VARIABLE in found:
        raise BadOption(f"--pod-env {tasks.LOG_FORMAT_VARIABLE} is set by the operator: write --pod-log-format")
    try:
        check_pod_environment(found)
    except BadVariable as error:
        raise BadOption(f"--pod-env {error}") from error
    return found


def _digest_in(file: Path) -> str:
    """Return the digest of the workloads' environment, as the operator's image says."""
    try:
        digest = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadOption(f"no --environment-digest, and {file} cannot be read: {error}") from error
    if not DIGEST.fullmatch(digest):
        raise BadOption(f"{file}: {digest!r} is no digest: write sha256: and 64 hex digits")
    return digest


def _lease(settings: OperatorSettings) -> LeaseOptions:
    """Return the Lease's address and our name in it; what is not given is told by the pod."""
    try:
        own = (SERVICE_ACCOUNT / "namespace").read_text("utf-8").strip()
    except OSError:
        own = ""
    return LeaseOptions(
        namespace=settings.lease_namespace or settings.pod_namespace or own or "default",
        name=settings.lease_name,
        identity=settings.identity or settings.pod_name or f"{socket.gethostname()}-{os.getpid()}",
    )
