"""The program `mlops-operator`."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from typing import Any

import click

from mlops.cluster import logs, options
from mlops.cluster.connection import Connection, NoConnection
from mlops.cluster.options import BadOption, Options
from mlops.cluster.program import Operator
from mlops.cluster.settings import OperatorSettings

BAD_OPTIONS = 2


def _flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the flags of `OperatorSettings`; what stands in them is judged by `options.read`."""
    variables = OperatorSettings.by_field()
    for field, flag in reversed(OperatorSettings.flags().items()):
        variable = variables[field]
        said = f"env var: {variable.name}" + (f"; default: {variable.default}" if variable.default else "")
        about = f"{variable.holds[0].upper()}{variable.holds[1:]}.  [{said}]".replace("`", "")
        how: dict[str, Any] = {"metavar": flag.metavar, "multiple": flag.several} if flag.metavar else {"is_flag": True}
        command = click.option(flag.name, field, help=about, **how)(command)
    return command


@click.command(context_settings={"max_content_width": 120})
@_flags
@click.version_option(package_name="mlops-operator")
def main(**flags: Any) -> None:
    """Keep Datasets, TrainingRuns, ModelVersions and DriftMonitors of a Kubernetes cluster as their specs say.

    Exit codes: 0 stopped by a signal, 1 has to be started again (the Lease was lost, the watches do not come back),
    2 an option cannot be used.
    """
    try:
        given = {field: value for field, value in flags.items() if value not in (None, (), False)}
        settings = options.read(os.environ, given)
        logs.configure(settings.log_level, settings.log_format)
        # Two threads: with the default of 5 ms every answer waits that long for its turn while kopf is busy.
        sys.setswitchinterval(0.0005)
        code = asyncio.run(_run(options.options_of(settings), Connection.find(settings.kubeconfig)))
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
