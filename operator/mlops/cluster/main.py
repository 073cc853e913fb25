"""The program `mlops-operator`."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path

import click

from mlops.cluster import logs, options
from mlops.cluster.connection import Connection, NoConnection
from mlops.cluster.options import BadOption, Options
from mlops.cluster.program import Operator
from mlops.planning.plan import Settings

BAD_OPTIONS = 2
_PREFIX = "MLOPS_OPERATOR"
_DIGEST_FILE = "/etc/mlops/environment-digest"


@click.command(context_settings={"auto_envvar_prefix": None, "max_content_width": 120})
@click.option("--image", envvar=f"{_PREFIX}_IMAGE", required=True, show_envvar=True, help="Image of the workload pods.")
@click.option(
    "--namespace",
    "namespaces",
    multiple=True,
    help="Namespace to work in; may be given several times. "
    "Without any, and without MLOPS_OPERATOR_NAMESPACES (comma-separated): all.",
)
@click.option(
    "--environment-digest",
    envvar=f"{_PREFIX}_ENVIRONMENT_DIGEST",
    show_envvar=True,
    help="Digest of the environment in that image. Default: what the file "
    f"MLOPS_OPERATOR_ENVIRONMENT_DIGEST_FILE ({_DIGEST_FILE}) says.",
)
@click.option(
    "--pod-env",
    multiple=True,
    metavar="NAME=VALUE",
    help="Environment of every pod, such as MLOPS_STORE=s3://mlops; laid over MLOPS_OPERATOR_POD_ENV (a JSON object).",
)
@click.option(
    "--store-secret",
    envvar=f"{_PREFIX}_STORE_SECRET",
    default="mlops-store",
    show_default=True,
    show_envvar=True,
    help="Secret with the store's credentials, in the namespace of each object.",
)
@click.option(
    "--reader-secret",
    envvar=f"{_PREFIX}_READER_SECRET",
    default="",
    show_envvar=True,
    help="Secret for pods that only read artifacts. Default: that of --store-secret.",
)
@click.option(
    "--server-secret",
    envvar=f"{_PREFIX}_SERVER_SECRET",
    default="",
    show_envvar=True,
    help="Secret for model servers, which read artifacts and write captures. Default: that of --store-secret.",
)
@click.option(
    "--scratch-limit",
    envvar=f"{_PREFIX}_SCRATCH_LIMIT",
    default="32Gi",
    show_default=True,
    show_envvar=True,
    metavar="QUANTITY",
    help="The most that a workload pod may keep on its node's disk; an empty one sets no limit.",
)
@click.option(
    "--scratch-request",
    envvar=f"{_PREFIX}_SCRATCH_REQUEST",
    default="256Mi",
    show_default=True,
    show_envvar=True,
    metavar="QUANTITY",
    help="What a workload pod asks of its node's disk; an empty one asks for nothing.",
)
@click.option(
    "--serving-port",
    envvar=f"{_PREFIX}_SERVING_PORT",
    type=click.IntRange(1, 65535),
    default=8080,
    show_default=True,
    show_envvar=True,
    help="Port of the model servers.",
)
@click.option(
    "--serving-priority-class",
    envvar=f"{_PREFIX}_SERVING_PRIORITY_CLASS",
    default="",
    show_envvar=True,
    metavar="NAME",
    help="PriorityClass of the model servers. Default: the cluster's.",
)
@click.option(
    "--listen",
    envvar=f"{_PREFIX}_LISTEN",
    default="0.0.0.0:8081",
    show_default=True,
    show_envvar=True,
    metavar="HOST:PORT",
    help="Where /healthz, /readyz and /metrics answer.",
)
@click.option(
    "--workers",
    envvar=f"{_PREFIX}_WORKERS",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    show_envvar=True,
    help="How many objects are worked on at a time.",
)
@click.option(
    "--lease-name",
    envvar=f"{_PREFIX}_LEASE_NAME",
    default="mlops-operator",
    show_default=True,
    show_envvar=True,
    help="Lease whose holder may write.",
)
@click.option(
    "--lease-namespace",
    envvar=f"{_PREFIX}_LEASE_NAMESPACE",
    show_envvar=True,
    help="Namespace of the Lease. Default: the pod's own.",
)
@click.option(
    "--identity",
    envvar=f"{_PREFIX}_IDENTITY",
    show_envvar=True,
    help="Name of this process in the Lease. Default: the pod's.",
)
@click.option(
    "--no-lease",
    envvar=f"{_PREFIX}_NO_LEASE",
    is_flag=True,
    show_envvar=True,
    help="Work without a Lease: for development, one process only.",
)
@click.option(
    "--kubeconfig",
    type=click.Path(path_type=Path),
    help="Credentials outside a cluster. Default: the pod's service account, else KUBECONFIG.",
)
@click.option(
    "--log-level",
    envvar=f"{_PREFIX}_LOG_LEVEL",
    default="info",
    show_default=True,
    show_envvar=True,
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
)
@click.option(
    "--log-format",
    envvar=f"{_PREFIX}_LOG_FORMAT",
    default="text",
    show_default=True,
    show_envvar=True,
    type=click.Choice(["text", "json"]),
)
@click.version_option(package_name="mlops-operator")
def main(
    image: str,
    namespaces: tuple[str, ...],
    environment_digest: str | None,
    pod_env: tuple[str, ...],
    store_secret: str,
    reader_secret: str,
    server_secret: str,
    scratch_limit: str,
    scratch_request: str,
    serving_port: int,
    serving_priority_class: str,
    listen: str,
    workers: int,
    lease_name: str,
    lease_namespace: str | None,
    identity: str | None,
    no_lease: bool,
    kubeconfig: Path | None,
    log_level: str,
    log_format: str,
) -> None:
    """Keep Datasets, TrainingRuns, ModelVersions and DriftMonitors of a Kubernetes cluster as their specs say.

    Exit codes: 0 stopped by a signal, 1 has to be started again (the Lease was lost, the watches do not come back),
    2 an option cannot be used.
    """
    logs.configure(log_level, log_format)
    # Two threads: with the default of 5 ms every answer waits that long for its turn while kopf is busy.
    sys.setswitchinterval(0.0005)
    try:
        digest_file = Path(os.environ.get(f"{_PREFIX}_ENVIRONMENT_DIGEST_FILE") or _DIGEST_FILE)
        host, port = options.listening(listen)
        chosen = Options(
            settings=Settings(
                image=image,
                environment_digest=options.environment_digest(environment_digest, digest_file),
                environment=options.pod_environment(pod_env, os.environ.get(f"{_PREFIX}_POD_ENV", "")),
                store_secret=store_secret,
                reader_secret=reader_secret,
                server_secret=server_secret,
                scratch_limit=options.quantity("--scratch-limit", scratch_limit),
                scratch_request=options.quantity("--scratch-request", scratch_request),
                serving_port=serving_port,
                serving_priority_class=options.priority_class(serving_priority_class),
            ),
            namespaces=options.namespaces_of(namespaces, os.environ.get(f"{_PREFIX}_NAMESPACES", "")),
            host=host,
            port=port,
            workers=workers,
            lease=None if no_lease else options.lease_options(lease_name, lease_namespace, identity),
        )
        code = asyncio.run(_run(chosen, Connection.find(kubeconfig)))
    except (BadOption, NoConnection) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(BAD_OPTIONS)
    # At once: kopf's thread still runs, and an interpreter that takes itself to pieces under it may hang or crash.
    logging.shutdown()
    os._exit(code)


async def _run(chosen: Options, connection: Connection) -> int:
    # Credentials that cannot be read are told at once, and not tried again for ever.
    await connection.load()
    try:
        return await Operator(chosen, connection).run()
    except OSError as error:
        raise BadOption(f"--listen {chosen.host}:{chosen.port}: {error.strerror or error}") from error
