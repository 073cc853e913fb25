"""The environment variables that pods read, a model per process. `api.tasks` has the names that the operator writes."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from mlops.api.environment import Variable, Variables, one_of, refuse_unknown, whole
from mlops.api.log_lines import DEFAULT_FORMAT, Format
from mlops.api.task_variables import (
    API_KEYS_VARIABLE,
    BUCKETS_VARIABLE,
    CAPTURE_KEY_VARIABLE,
    DRAIN_VARIABLE,
    GRPC_PORT_VARIABLE,
    HOST_VARIABLE,
    HTTP_NETWORKS_VARIABLE,
    INPUTS_VARIABLE,
    JOB_VARIABLE,
    JWKS_VARIABLE,
    LOG_FORMAT_VARIABLE,
    OUTPUTS_VARIABLE,
    PORT_VARIABLE,
    S3_KEYS_VARIABLE,
    S3_SECRET_VARIABLE,
    STORE_ROOT_VARIABLE,
    STORE_VARIABLE,
    TERMINATION_VARIABLE,
    TLS_VARIABLE,
)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_SECRET = Field(repr=False)


class S3Settings(Variables):
    """How to reach one S3 service; `mlops.store.settings` says what is refused.

    A passing fault of a request is met by `attempts` tries in all, with pauses from `backoff` seconds up to 8 s: by
    default for about 17 s.
    """

    endpoint: Annotated[str, Variable("MLOPS_S3_ENDPOINT", "`http(s)://host[:port]`", "must be set")] = ""
    region: Annotated[str, Variable("MLOPS_S3_REGION", "the region", "`us-east-1`")] = "us-east-1"
    addressing: Annotated[
        Literal["path", "virtual"],
        one_of("path", "virtual"),
        Variable("MLOPS_S3_ADDRESSING", "`path` or `virtual`: the bucket in the path, or in the host's name", "`path`"),
    ] = "path"
    ca_file: Annotated[
        str, Variable("MLOPS_S3_CA_FILE", "a file with a PEM bundle to trust instead of the system's")
    ] = ""
    ca: Annotated[str, Variable("MLOPS_S3_CA", "such a bundle itself, for a Secret; it goes before the file")] = ""
    access_key: Annotated[str, _SECRET, Variable("AWS_ACCESS_KEY_ID", "the key's id", "must be set")] = ""
    secret_key: Annotated[str, _SECRET, Variable("AWS_SECRET_ACCESS_KEY", "the key", "must be set")] = ""
    session_token: Annotated[str, _SECRET, Variable("AWS_SESSION_TOKEN", "the token of temporary keys")] = ""
    secret: Annotated[
        str,
        Variable(
            S3_SECRET_VARIABLE,
            "namespace/name of the Secret that these come from, for messages; the operator sets it",
        ),
    ] = ""
    attempts: int = 7
    backoff: float = 0.25


class PodSettings(Variables):
    """What every pod reads."""

    store: Annotated[
        str, Variable(STORE_VARIABLE, "the artifact store: `file:///...` or `s3://bucket/prefix`", "must be set")
    ] = ""
    store_root: Annotated[
        str,
        Variable(
            STORE_ROOT_VARIABLE,
            "with `{namespace}` in the installation's address: what the stores of all namespaces lie under",
        ),
    ] = ""
    s3_keys: Annotated[
        str,
        Variable(
            S3_KEYS_VARIABLE,
            "in model servers: the folder in which the store's Secret is mounted, read again when it changes",
        ),
    ] = ""
    buckets: Annotated[
        str, Variable(BUCKETS_VARIABLE, "beside a file store only: the folder that `s3://` sources resolve to")
    ] = ""
    inputs: Annotated[str, Variable(INPUTS_VARIABLE, "beside a user's own container: the folder that it reads")] = ""
    outputs: Annotated[
        str, Variable(OUTPUTS_VARIABLE, "beside a user's own container: the folder that it writes to")
    ] = ""
    job: Annotated[
        str,
        Variable(
            JOB_VARIABLE,
            "the name of the pod's Job; in a CronJob it ends in the scheduled time, minutes since 1970; "
            "without one, now is the time",
        ),
    ] = ""
    log_format: Annotated[
        Format,
        one_of("text", "json"),
        Variable(
            LOG_FORMAT_VARIABLE,
            "how the log is written, `text` or `json`; the operator sets it",
            "`text`",
        ),
    ] = DEFAULT_FORMAT
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        one_of("debug", "info", "warning", "error"),
        Variable("MLOPS_LOG_LEVEL", "the lowest level that is told: `debug`, `info`, `warning` or `error`", "`info`"),
    ] = "info"
    termination_log: Annotated[
        str, Variable(TERMINATION_VARIABLE, "where the report goes", "`/dev/termination-log`")
    ] = "/dev/termination-log"


def _networks(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return tuple(ipaddress.ip_network(one.strip()) for one in value.split(",") if one.strip())
    except ValueError as error:
        raise ValueError(f"holds what is no network: {error}; write CIDRs such as 10.0.0.0/8,fd00::/8") from error


class IngestSettings(PodSettings):
    """What a pod that reads a source reads too."""

    http_networks: Annotated[
        tuple[Network, ...],
        BeforeValidator(_networks),
        Variable(
            HTTP_NETWORKS_VARIABLE,
            "CIDRs, separated by commas, that http and sql sources may reach though they are refused otherwise",
        ),
    ] = ()


class ServerLimits(Variables):
    """What a model server grants its clients; beyond these a client gets a 4xx or 503, never a slow or a dead server.

    The defaults suit a small pod.
    """

    body_bytes: Annotated[
        int,
        whole(1),
        Variable("MLOPS_MAX_BODY_BYTES", "one body; what all requests hold together: eight times that", "8 MiB"),
    ] = 8 << 20
    head_bytes: Annotated[int, whole(1), Variable("MLOPS_MAX_HEADER_BYTES", "request line and headers", "16 KiB")] = (
        16 << 10
    )
    rows: Annotated[
        int, whole(1), Variable("MLOPS_MAX_BATCH_ROWS", "rows of one request, labels of one feedback", "10000")
    ] = 10_000
    concurrency: Annotated[int, whole(1), Variable("MLOPS_MAX_CONCURRENCY", "predictions that wait", "64")] = 64
    wait_milliseconds: Annotated[
        int,
        whole(1),
        Variable("MLOPS_MAX_WAIT_MILLISECONDS", "how long a request may wait for predictions before its own", "2000"),
    ] = 2_000
    connections: Annotated[int, whole(1), Variable("MLOPS_MAX_CONNECTIONS", "connections", "1024")] = 1_024
    request_seconds: Annotated[
        int,
        whole(1),
        Variable(
            "MLOPS_REQUEST_SECONDS",
            "from the first byte of a request to its last, and from an answer's until the client has taken it",
            "30",
        ),
    ] = 30
    keep_alive_seconds: Annotated[int, whole(1), Variable("MLOPS_KEEP_ALIVE_SECONDS", "idle connections", "75")] = 75
    # A node that is short of cycles is slow both at taking an address off its routes and at starting a pod.
    drain_seconds: Annotated[
        int,
        whole(0),
        Variable(
            DRAIN_VARIABLE,
            "from SIGTERM until the socket closes: each node takes the pod's address off its routes meanwhile and, if "
            "it was the only pod of its stage, another one gets ready",
            "20; without a cluster 0",
        ),
    ] = 20
    grace_seconds: Annotated[
        int,
        whole(1),
        Variable("MLOPS_GRACE_SECONDS", "for what is being answered, and again for what is to be stored", "10"),
    ] = 10
    capture_bytes: Annotated[
        int,
        whole(1),
        Variable(
            "MLOPS_CAPTURE_BUFFER_BYTES",
            "captured rows that are not stored yet, encoded or not; labels: a quarter of it for themselves",
            "64 MiB",
        ),
    ] = 64 << 20
    capture_rows: Annotated[
        int, whole(1), Variable("MLOPS_CAPTURE_FLUSH_ROWS", "rows that are flushed at once", "10000")
    ] = 10_000

    @property
    def buffered_bytes(self) -> int:
        """Return the bound of all requests together, from a head to its answer: bodies, decoded rows, answers that
        nobody has taken yet."""
        return 8 * self.body_bytes


def _port(value: object) -> object:
    if isinstance(value, str) and not (value.isascii() and value.isdigit() and int(value[:20]) < 1 << 16):
        raise ValueError("is no port; it is a number below 65536")
    return value


class ServerSettings(ServerLimits):
    """What a model server reads beside `PodSettings`."""

    host: Annotated[str, Variable(HOST_VARIABLE, "where a model server listens", "`0.0.0.0`")] = "0.0.0.0"
    port: Annotated[int, BeforeValidator(_port), Variable(PORT_VARIABLE, "the port on which it listens", "8080")] = 8080
    api_keys: Annotated[
        str,
        Variable(API_KEYS_VARIABLE, "the folder with the API keys of the stage's clients; the operator sets it"),
    ] = ""
    jwks: Annotated[
        str, Variable(JWKS_VARIABLE, "the folder with the keys of the tokens' issuer; the operator sets it")
    ] = ""
    tls: Annotated[
        str, Variable(TLS_VARIABLE, "the folder with the server's certificate and key; the operator sets it")
    ] = ""
    grpc_port: Annotated[
        int | None,
        BeforeValidator(_port),
        Variable(GRPC_PORT_VARIABLE, "the port on which it speaks gRPC; without one it does not"),
    ] = None
    capture_key: Annotated[
        str,
        _SECRET,
        Variable(
            CAPTURE_KEY_VARIABLE,
            "the key by which requests are chosen for capture, the same in all replicas",
            "random, for each process",
        ),
    ] = ""


POD_MODELS: tuple[type[Variables], ...] = (IngestSettings, ServerSettings, S3Settings)


def check_pod_environment(environ: Mapping[str, str]) -> None:
    """Raise BadVariable for a variable called MLOPS_... that no pod reads, or whose value no pod can use."""
    refuse_unknown(environ, "MLOPS_", [name for model in POD_MODELS for name in model.names()], environ.__getitem__)
    for model in POD_MODELS:
        model.read(environ)
