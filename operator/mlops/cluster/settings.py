"""The operator's environment as a model: each setting is a variable, and most are flags of the command line too."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationError
from pydantic.alias_generators import to_camel

from mlops.api.environment import Variable, Variables, one_of, whole
from mlops.api.log_lines import DEFAULT_FORMAT, Format
from mlops.api.pod_template import PodTemplate
from mlops.planning.pod_policy import PodPolicy

PREFIX = "MLOPS_OPERATOR_"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_CLASS = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_QUANTITY = re.compile(r"[1-9][0-9]{0,14}(?:[kMGTP]|[KMGTP]i)?")


@dataclass(frozen=True)
class Flag:
    """The flag that sets a variable from the command line; `metavar` stands for its value."""

    name: str
    metavar: str = "TEXT"
    several: bool = False


def _matching(matches: Callable[[str], object], problem: str) -> BeforeValidator:
    def check(value: object) -> object:
        if isinstance(value, str) and value and not matches(value):
            raise ValueError(problem)
        return value

    return BeforeValidator(check)


def _listening(value: object) -> object:
    host, colon, port = str(value).rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port[:20]) > 65535:
        raise ValueError("is no address: write HOST:PORT, such as 0.0.0.0:8081")
    return host.strip("[]"), int(port)


def _namespaces(value: object) -> object:
    names = value if isinstance(value, tuple) else [each.strip() for each in str(value).split(",") if each.strip()]
    for name in names:
        if not _NAMESPACE.fullmatch(name):
            raise ValueError(f"is not the name of a namespace: {name!r} has other letters than a-z, 0-9 and -")
    return tuple(dict.fromkeys(names))


def _strings(value: object) -> object:
    try:
        found = json.loads(str(value))
    except ValueError as error:
        raise ValueError(f"is no JSON: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        raise ValueError('has to be a JSON object of strings, such as {"MLOPS_STORE": "s3://mlops"}')
    return found


def _pod_template(value: object) -> object:
    found = value if isinstance(value, PodTemplate) else _json(value)
    try:
        return PodTemplate.model_validate(found)
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ValueError(f"is no podTemplate: {said}") from None


def _pod_policy(value: object) -> object:
    found = value if isinstance(value, PodPolicy) else _json(value)
    if isinstance(found, PodPolicy):
        return found
    names = {to_camel(each.name): each.name for each in dataclasses.fields(PodPolicy)}
    lists = isinstance(found, dict) and all(
        isinstance(each, list) and all(isinstance(name, str) for name in each) for each in found.values()
    )
    if not isinstance(found, dict) or not lists or not found.keys() <= names.keys():
        raise ValueError(f"has to be a JSON object of lists of strings; there are {', '.join(names)}")
    return PodPolicy(**{names[name]: tuple(each) for name, each in found.items()})


def _json(value: object) -> object:
    try:
        return json.loads(str(value))
    except ValueError as error:
        raise ValueError(f"is no JSON: {error}") from error


def _user(value: object) -> object:
    text = str(value)
    if value is None or text == "":
        return None
    if not (text.isascii() and text.isdigit()) or not 0 < int(text[:10]) < 2**31:
        raise ValueError("is no user to run as: write a number above 0, or nothing to let the cluster choose")
    return int(text)


_IS_QUANTITY = _matching(_QUANTITY.fullmatch, "is no quantity of bytes: write a number and a unit, such as 32Gi")
_IS_CLASS = _matching(_CLASS.fullmatch, "is not the name of a PriorityClass")
_IS_DIGEST = _matching(DIGEST.fullmatch, "is no digest: write sha256: and 64 hex digits")


class OperatorSettings(Variables):
    """The environment of the operator; what the command line says is laid over it."""

    image: Annotated[
        str, Variable(f"{PREFIX}IMAGE", "image of the workload pods", "must be set"), Flag("--image", "REF")
    ] = ""
    namespaces: Annotated[
        tuple[str, ...],
        BeforeValidator(_namespaces),
        Variable(f"{PREFIX}NAMESPACES", "namespaces to work in, in the variable separated by commas", "all"),
        Flag("--namespace", "NS", several=True),
    ] = ()
    environment_digest: Annotated[
        str,
        _IS_DIGEST,
        Variable(
            f"{PREFIX}ENVIRONMENT_DIGEST", "digest of the environment in that image", "what the operator's image says"
        ),
        Flag("--environment-digest", "DIGEST"),
    ] = ""
    environment_digest_file: Annotated[
        Path,
        Variable(f"{PREFIX}ENVIRONMENT_DIGEST_FILE", "the file with that digest", "`/etc/mlops/environment-digest`"),
    ] = Path("/etc/mlops/environment-digest")
    pod_env: Annotated[
        Mapping[str, str],
        BeforeValidator(_strings),
        Variable(
            f"{PREFIX}POD_ENV",
            "environment of every pod, such as `MLOPS_STORE=s3://mlops`: a JSON object; flags are laid over it",
            "none",
        ),
        Flag("--pod-env", "NAME=VALUE", several=True),
    ] = Field(default_factory=dict)
    store_secret: Annotated[
        str,
        Variable(
            f"{PREFIX}STORE_SECRET",
            "Secret with the store's credentials, in the namespace of each object",
            "`mlops-store`",
        ),
        Flag("--store-secret", "NAME"),
    ] = "mlops-store"
    reader_secret: Annotated[
        str,
        Variable(f"{PREFIX}READER_SECRET", "Secret for pods that only read artifacts", "that of `--store-secret`"),
        Flag("--reader-secret", "NAME"),
    ] = ""
    server_secret: Annotated[
        str,
        Variable(
            f"{PREFIX}SERVER_SECRET",
            "Secret for model servers, which read artifacts and write captures",
            "that of `--store-secret`",
        ),
        Flag("--server-secret", "NAME"),
    ] = ""
    remover_secret: Annotated[
        str,
        Variable(
            f"{PREFIX}REMOVER_SECRET",
            "Secret for pods that remove versions of Datasets from the store",
            "that of `--store-secret`",
        ),
        Flag("--remover-secret", "NAME"),
    ] = ""
    scratch_limit: Annotated[
        str,
        _IS_QUANTITY,
        Variable(
            f"{PREFIX}SCRATCH_LIMIT",
            "the most that a workload pod may keep on its node's disk; an empty one sets no limit",
            "`32Gi`",
            may_be_empty=True,
        ),
        Flag("--scratch-limit", "QUANTITY"),
    ] = "32Gi"
    scratch_request: Annotated[
        str,
        _IS_QUANTITY,
        Variable(
            f"{PREFIX}SCRATCH_REQUEST",
            "what a workload pod asks of its node's disk; an empty one asks for nothing",
            "`256Mi`",
            may_be_empty=True,
        ),
        Flag("--scratch-request", "QUANTITY"),
    ] = "256Mi"
    serving_port: Annotated[
        int,
        whole(1, 65535),
        Variable(f"{PREFIX}SERVING_PORT", "port of the model servers", "8080"),
        Flag("--serving-port", "N"),
    ] = 8080
    grpc_port: Annotated[
        int,
        whole(1, 65535),
        Variable(f"{PREFIX}GRPC_PORT", "port on which model servers speak gRPC, in stages that ask for it", "8081"),
        Flag("--grpc-port", "N"),
    ] = 8081
    serving_priority_class: Annotated[
        str,
        _IS_CLASS,
        Variable(f"{PREFIX}SERVING_PRIORITY_CLASS", "PriorityClass of the model servers", "the cluster's"),
        Flag("--serving-priority-class", "NAME"),
    ] = ""
    pod_defaults: Annotated[
        PodTemplate,
        BeforeValidator(_pod_template),
        Variable(f"{PREFIX}POD_DEFAULTS", "what lies under the podTemplate of every object: a JSON object", "none"),
        Flag("--pod-defaults", "JSON"),
    ] = Field(default_factory=PodTemplate)
    pod_policy: Annotated[
        PodPolicy,
        BeforeValidator(_pod_policy),
        Variable(
            f"{PREFIX}POD_POLICY",
            "what a podTemplate may say, by lists of names: a JSON object such as "
            '`{"serviceAccountNames": ["reader"]}`',
            "nothing that needs a list",
        ),
        Flag("--pod-policy", "JSON"),
    ] = PodPolicy()
    pod_user: Annotated[
        int | None,
        BeforeValidator(_user),
        Variable(
            f"{PREFIX}POD_USER",
            "user and group that the workload pods run as; an empty one lets the cluster choose",
            "65532",
            may_be_empty=True,
        ),
        Flag("--pod-user", "N"),
    ] = 65532
    approval_policy: Annotated[
        bool,
        Variable(
            f"{PREFIX}APPROVAL_POLICY",
            "`true` or 1: an admission policy of the API server holds everybody to the rules of approvals",
            "off",
        ),
        Flag("--approval-policy", ""),
    ] = False
    listen: Annotated[
        tuple[str, int],
        BeforeValidator(_listening),
        Variable(f"{PREFIX}LISTEN", "where /healthz, /readyz and /metrics answer", "`0.0.0.0:8081`"),
        Flag("--listen", "HOST:PORT"),
    ] = ("0.0.0.0", 8081)
    workers: Annotated[
        int,
        whole(1, 64),
        Variable(f"{PREFIX}WORKERS", "how many objects are worked on at a time", "4"),
        Flag("--workers", "N"),
    ] = 4
    lease_name: Annotated[
        str,
        Variable(f"{PREFIX}LEASE_NAME", "Lease whose holder may write", "`mlops-operator`"),
        Flag("--lease-name", "NAME"),
    ] = "mlops-operator"
    lease_namespace: Annotated[
        str,
        Variable(f"{PREFIX}LEASE_NAMESPACE", "namespace of the Lease", "`POD_NAMESPACE`, else the service account's"),
        Flag("--lease-namespace", "NS"),
    ] = ""
    identity: Annotated[
        str,
        Variable(f"{PREFIX}IDENTITY", "name of this process in the Lease", "`POD_NAME`, else host name and process id"),
        Flag("--identity", "NAME"),
    ] = ""
    no_lease: Annotated[
        bool,
        Variable(f"{PREFIX}NO_LEASE", "`true` or 1: no Lease, for development, one process only", "off"),
        Flag("--no-lease", ""),
    ] = False
    kubeconfig: Annotated[
        Path | None,
        Variable("KUBECONFIG", "credentials outside a cluster", "the pod's service account"),
        Flag("--kubeconfig", "FILE"),
    ] = None
    log_level: Annotated[
        str,
        BeforeValidator(lambda value: str(value).lower()),
        one_of("debug", "info", "warning", "error"),
        Variable(f"{PREFIX}LOG_LEVEL", "`debug`, `info`, `warning` or `error`", "`info`"),
        Flag("--log-level", "LEVEL"),
    ] = "info"
    log_format: Annotated[
        Format,
        one_of("text", "json"),
        Variable(f"{PREFIX}LOG_FORMAT", "`text` or `json`", "`text`"),
        Flag("--log-format", "FORMAT"),
    ] = DEFAULT_FORMAT
    pod_log_format: Annotated[
        Format,
        one_of("text", "json"),
        Variable(f"{PREFIX}POD_LOG_FORMAT", "how the workload pods write their logs: `text` or `json`", "`text`"),
        Flag("--pod-log-format", "FORMAT"),
    ] = DEFAULT_FORMAT
    pod_name: Annotated[str, Variable("POD_NAME", "the name of the operator's own pod")] = ""
    pod_namespace: Annotated[str, Variable("POD_NAMESPACE", "the namespace of the operator's own pod")] = ""

    @classmethod
    def flags(cls) -> dict[str, Flag]:
        """Return the flag of each field that has one."""
        return {
            field: each for field, info in cls.model_fields.items() for each in info.metadata if isinstance(each, Flag)
        }
