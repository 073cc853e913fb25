"""`mlops approve` as the command line has it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from mlops.cli.options import ONE_NAMESPACE, STATE, examples
from mlops.cli.state import State
from mlops.cli.terminal import show


@click.command(
    epilog=examples(
        "mlops approve weather --cluster -n team             # what would be written",
        "mlops approve weather --cluster -n team --apply --note 'looked at the segments'",
        "mlops approve weather --version 7 --stage production --cluster -n team --apply",
    )
)
@click.argument("model")
@click.option("--version", metavar="VERSION", help="By name or number.  [default: the newest that wants approval]")
@click.option("--stage", help="The stage.  [default: the first that wants approval]")
@click.option("--note", default="", help="Why, or what you have looked at: at most 256 characters.")
@click.option("--apply", "applies", is_flag=True, help="Do it, not only say it.")
@click.option("--cluster", "in_cluster", is_flag=True, help="In the cluster that kubectl talks to, not a state folder.")
@ONE_NAMESPACE
@STATE
def approve(
    model: str,
    version: str | None,
    stage: str | None,
    note: str,
    applies: bool,
    in_cluster: bool,
    namespace: str,
    folder: Path,
) -> None:
    """Approve of a version of MODEL, in your own name.

    Of a stage with `approval` in spec.promotion: you have to be in its group, and no author of the version. In a
    cluster the API server says who you are and refuses what is not so; on one machine it is a record, which nothing
    checks.
    """
    from mlops.api.base import format_time
    from mlops.cli.approve import command, person
    from mlops.cli.errors import UserError
    from mlops.cli.history import reading

    if len(note) > 256:
        raise UserError(f"--note has {len(note)} characters: at most 256, and the rest where it is kept")
    place = reading.PastPlace(State(folder), namespace, in_cluster)
    past = reading.read(place, model, with_record=False)
    who = person.of_cluster() if in_cluster else person.of_machine()
    found = command.chosen(past, who, version, stage, note, format_time(datetime.now(UTC)))
    if not applies:
        show(command.as_text(place, found))
        return
    for line in command.apply(place, found):
        show(line)
