"""`mlops plan` as the command line has it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from mlops.cli.options import MANIFESTS, STATE, examples
from mlops.cli.state import State
from mlops.cli.terminal import note, show


@click.command(
    epilog=examples(
        "mlops plan -f examples/weather",
        "mlops plan -f examples/weather --exit-code || echo something would be done",
        "mlops plan -f my.yaml -o json",
    )
)
@MANIFESTS
@STATE
@click.option(
    "--scenario",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="Another scenario than the folder's.",
)
@click.option("--no-replay", is_flag=True, help="As `mlops run --no-replay`.")
@click.option("--exit-code", is_flag=True, help="End with 1 if anything would be read, trained or changed.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def plan(
    paths: tuple[str, ...], folder: Path, scenario: Path | None, no_replay: bool, exit_code: bool, output: str
) -> None:
    """Say what `mlops run -f` would do now, without doing it.

    The same planners decide, on a copy of the state folder's objects: which sources are read again and why, which runs
    are taken from the cache, which train because of which input that is other than before, what is served. What only
    the rows of a source can tell is not guessed: it says what it depends on. Nothing is written, no source is read.

    Exit code: 0 said; with --exit-code 1 if there is anything to do; 2 a mistake.
    """
    from mlops.cli.plan import command

    state = State(folder)
    if state.in_use:
        note("a run works on this folder: this is the plan of now, and the run goes on")
    found = command.plan(paths, state, scenario, replays=not no_replay)
    show(command.as_json(found) if output == "json" else command.as_text(found))
    sys.exit(1 if exit_code and any(one.is_work for one in found) else 0)
