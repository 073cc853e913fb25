"""`mlops put` as the command line has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mlops.cli.options import STATE, examples
from mlops.cli.state import State
from mlops.cli.terminal import show


@click.command(
    epilog=examples(
        "mlops put rows.parquet s3://raw/weather/history.parquet",
        "mlops put *.csv s3://raw/weather/             # under their own names; the next mlops run reads them",
        "mlops put rows.csv s3://raw/weather/ -n team --endpoint http://127.0.0.1:9000   # of a cluster",
        "mlops put rows.csv s3://raw/weather/ --s3     # into the service of MLOPS_S3_ENDPOINT, with your keys",
    )
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.argument("uri")
@click.option("--s3", is_flag=True, help="Into an S3 service, with the address and keys of your environment.")
@click.option(
    "-n",
    "--namespace",
    help="Into the S3 service of a cluster, with the keys of this namespace's Secret, which kubectl reads.",
)
@click.option("--secret", help="The Secret's name.  [default: mlops-store-delivery]")
@click.option("--endpoint", help="The service as it is reached from here, such as http://127.0.0.1:9000.")
@click.option("--force", is_flag=True, help="Replace what is there and is something else.")
@STATE
def put(files: tuple[Path, ...], folder: Path, **said: Any) -> None:
    """Put files at an s3:// URI that a Dataset reads.

    That is a bucket of the state folder, or with --namespace, --endpoint or --s3 of an S3 service. What is there is not
    replaced without --force; the same bytes are not sent again, so a command that was interrupted can be repeated.
    Files are hashed before and while they are sent: one that changes meanwhile does not appear. Each request is tried
    again when it fails for a passing reason. For --s3 the variables are MLOPS_S3_ENDPOINT, AWS_ACCESS_KEY_ID and
    AWS_SECRET_ACCESS_KEY, as of every S3 client; keys are never taken from the command line, where others see them.
    """
    from mlops.cli.put import command

    for line in command.put(command.PutOptions(files=files, state=State(folder), **said)):
        show(line)
