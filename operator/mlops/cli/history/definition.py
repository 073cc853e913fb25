"""`mlops history`, `mlops verify` and `mlops rollback` as the command line has them."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from mlops.cli.options import ONE_NAMESPACE, STATE, examples, timestamp
from mlops.cli.state import State
from mlops.cli.terminal import note, show

_CLUSTER = click.option(
    "--cluster", "in_cluster", is_flag=True, help="Of the cluster that kubectl talks to, not of a state folder."
)


@click.command(
    epilog=examples(
        "mlops history weather",
        "mlops history weather --at 2026-03-01T12:00:00Z -o json",
        "mlops history weather --cluster -n team",
    )
)
@click.argument("model")
@click.option("--at", help="Only what answered then, such as 2026-03-01 or 2026-03-01T12:00:00Z.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@ONE_NAMESPACE
@_CLUSTER
@STATE
def history(model: str, at: str | None, output: str, namespace: str, in_cluster: bool, folder: Path) -> None:
    """Show each step of MODEL's versions.

    When, from which stages to which, by what cause, and which model by digest; with --at what answered in each stage
    then. Versions that were deleted are in it.
    """
    from mlops.cli.history import command, reading

    past = reading.read(reading.PastPlace(State(folder), namespace, in_cluster), model)
    show(command.history(past, timestamp(at), output))
    if command.check(past).fault is not None:
        note(f"the record is not whole: mlops verify {model} says where")


@click.command(
    epilog=examples(
        "mlops verify weather",
        "mlops verify weather --cluster -n team --head 12:sha256:…   # the head of an earlier call",
    )
)
@click.argument("model")
@click.option("--head", metavar="ENTRY:HASH", help="A head that was printed before: it must stand in the record still.")
@ONE_NAMESPACE
@_CLUSTER
@STATE
def verify(model: str, head: str | None, namespace: str, in_cluster: bool, folder: Path) -> None:
    """Check that MODEL's record is whole.

    Each entry has the hash of the one before: one that was changed, removed or moved is found, and the first is named.
    Who may write ConfigMaps can write a record of their own, but not one with a head that you have kept: give it with
    --head. Versions keep heads in their status, which are checked too.

    Exit code: 0 whole, and the head is printed; 1 not whole; 2 a mistake, or nothing is recorded.
    """
    from mlops.cli.history import command, reading

    past = reading.read(reading.PastPlace(State(folder), namespace, in_cluster), model)
    found = command.verify(past, head)
    show(found.text)
    sys.exit(0 if found.whole else 1)


@click.command(
    epilog=examples(
        "mlops rollback weather                 # what to change, for Git",
        "mlops rollback weather --to 5 --apply",
        "mlops rollback weather --cluster -n team --apply",
    )
)
@click.argument("model")
@click.option("--to", metavar="VERSION", help="An older version by name or number.  [default: the one that follows]")
@click.option("--apply", "applies", is_flag=True, help="Do it, not only say it.")
@ONE_NAMESPACE
@_CLUSTER
@STATE
def rollback(model: str, to: str | None, applies: bool, namespace: str, in_cluster: bool, folder: Path) -> None:
    """Have an older version of MODEL serve again.

    Prints the change of the manifests: spec.withdrawn of the versions that are in the way. The planner's own rules say
    which version takes over. Refused, with the reason for each, if none could.
    """
    from mlops.cli.history import reading, rolling_back

    place = reading.PastPlace(State(folder), namespace, in_cluster)
    way = rolling_back.chosen(reading.read(place, model), to, datetime.now(UTC))
    if not applies:
        show(rolling_back.as_text(way))
        return
    for line in rolling_back.apply(place, way):
        show(line)
