"""`mlops tune` as the command line has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mlops.cli.options import MANIFESTS, STATE, examples
from mlops.cli.state import State


@click.command(
    short_help="Propose a monitor's window, schedule and limits.",
    epilog=examples(
        "mlops tune -f monitor.yaml --state .demo",
        "mlops tune -f monitor.yaml --state .demo --since 90d --false-alarms 1/year --delay 2d",
        "mlops tune -f monitor.yaml --state .demo -o yaml > tuned.yaml",
    ),
)
@MANIFESTS
@click.option("--since", help="How long before the last recorded row history begins, or when.  [default: all]")
@click.option("--until", help="When quiet history ends, such as 2026-01-31.  [default: the last recorded row]")
@click.option(
    "--false-alarms",
    default="1/year",
    show_default=True,
    metavar="N/SPAN",
    help="The most that are wanted: N/day, N/week, N/month or N/year.",
)
@click.option("--delay", help="Within what time half of the changes are to be found, such as 2d.  [default: the least]")
@click.option(
    "--size",
    type=click.FloatRange(min=0.05, max=5),
    default=0.5,
    show_default=True,
    help="The change that is to be found: one input moves by so many standard deviations.",
)
@click.option(
    "--resamples", type=click.IntRange(20, 10_000), default=100, show_default=True, help="Quiet windows that are drawn."
)
@click.option(
    "--changes",
    type=click.IntRange(5, 1000),
    default=20,
    show_default=True,
    help="Changes that are made, to be found.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="What is drawn depends on it.")
@click.option("-o", "--output", type=click.Choice(["text", "json", "yaml"]), default="text", show_default=True)
@STATE
def tune(paths: tuple[str, ...], folder: Path, **said: Any) -> None:
    """Propose window, schedule and limits for a wanted rate of false alarms and a wanted delay.

    What a state folder has recorded of the model of the DriftMonitor in -f is taken for quiet: nothing has happened in
    it. Windows of several lengths are drawn from it in blocks of time, and checked by the code of the pod with the
    monitor's checks, as written and with stricter limits: what detects is a false alarm. Then one input moves by
    --size, at a random time between two checks, and it is counted how long it takes until a check detects.

    The table has all that was tried; below it stands the monitor with what is proposed. The state folder is only read.

    Exit code: 0 there is a proposal, 1 nothing that was tried has what is wanted, and the nearest is proposed,
    2 a mistake.
    """
    import sys

    from mlops.cli.tune import command

    sys.exit(command.tune(command.TuneOptions(paths=paths, state=State(folder), **said)))
