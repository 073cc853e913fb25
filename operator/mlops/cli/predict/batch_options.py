"""What the command line says of a batch, as click has it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from mlops.api import tasks
from mlops.api.tasks import OnInvalid, ScoredColumns
from mlops.cli.state import State

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class AskedVersion:
    """Which model, of which state folder or which objects of a cluster."""

    model: str
    state: State
    namespace: str
    stage: str | None
    version: int | None


@dataclass(frozen=True)
class BatchOptions:
    """The options that are of a batch only; None, and nothing, where one was not said."""

    batch: str | None = None
    into: str | None = None
    dataset: str | None = None
    columns: ScoredColumns | None = None
    on_invalid: OnInvalid | None = None
    part_rows: int | None = None
    manifest: bool = False
    paths: tuple[str, ...] = ()
    schedule: str | None = None
    time_zone: str | None = None
    name: str | None = None
    image: str | None = None
    store: str | None = None
    store_secret: str | None = None
    variables: tuple[str, ...] = ()

    @property
    def said(self) -> list[str]:
        """Return the options that were said, but --batch."""
        values = {name: value for name, value in vars(self).items() if name != "batch" and value}
        return [_NAMES.get(name, f"--{name.replace('_', '-')}") for name in values]

    @property
    def said_of_manifest(self) -> list[str]:
        """Return those that mean something with --manifest only."""
        return [one for one in self.said if one in _OF_MANIFEST]


_NAMES = {"paths": "-f", "variables": "--env"}
_OF_MANIFEST = {"-f", "--schedule", "--time-zone", "--name", "--image", "--store", "--store-secret", "--env"}

_OPTIONS = (
    click.option(
        "--batch",
        metavar="ROWS",
        help="Answer all of these, and write the answers as Parquet: a file, a folder, s3://bucket/key, "
        "s3://bucket/prefix/, or dataset:NAME or dataset:NAME@VERSION.",
    ),
    click.option("--into", metavar="PLACE", help="Where the answers go: a folder or s3://bucket/prefix/."),
    click.option("--dataset", help="Rows are deliveries of this Dataset.  [default: the one that was trained on]"),
    click.option(
        "--columns",
        type=click.Choice(["keys", "all", "none"]),
        help="What stands beside an answer: the Dataset's keys and timestamp, all inputs too, or nothing.  "
        "[default: keys]",
    ),
    click.option(
        "--on-invalid",
        type=click.Choice(["refuse", "quarantine"]),
        help="Of a row that a server would refuse: end with its file, row, column and value, or put it aside with why "
        "and go on.  [default: refuse]",
    ),
    click.option(
        "--part-rows",
        type=click.IntRange(1, 10_000_000),
        help=f"Rows of a file whose answers are one file.  [default: {tasks.PART_ROWS}]",
    ),
    click.option("--manifest", is_flag=True, help="Do nothing; print a Job that does it in a cluster, for kubectl."),
    click.option(
        "-f",
        "--filename",
        "paths",
        multiple=True,
        help="With --manifest: the cluster's objects, as `kubectl get mver,dset -o yaml` prints them; - is standard "
        "input.  [default: those of the state folder]",
    ),
    click.option("--schedule", help='With --manifest: print a CronJob of this cron line, such as "0 4 * * *".'),
    click.option("--time-zone", help="Of the schedule, such as Europe/Berlin.  [default: UTC]"),
    click.option("--name", help="With --manifest: of the Job.  [default: the model's, with a mark of the task]"),
    click.option("--image", help="With --manifest: the image of workloads.  [default: that of this release]"),
    click.option("--store", metavar="URI", help="With --manifest: the installation's store, such as s3://mlops."),
    click.option("--store-secret", help="With --manifest: the Secret with its keys.  [default: mlops-store]"),
    click.option(
        "--env", "variables", multiple=True, metavar="NAME=VALUE", help="With --manifest: a variable of the pod."
    ),
)


def batch_options(command: _Command) -> _Command:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def taken(said: dict[str, Any]) -> BatchOptions:
    """Take the options of a batch out of all that were said."""
    return BatchOptions(**{name: said.pop(name) for name in list(said) if name in BatchOptions.__dataclass_fields__})
