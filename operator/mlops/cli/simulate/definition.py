"""`mlops simulate` as the command line has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mlops.api.metrics import METRICS
from mlops.cli.options import MANIFESTS, STATE, examples
from mlops.cli.state import State


@click.command(
    short_help="Rehearse a monitor's policy on recorded history.",
    epilog=examples(
        "mlops simulate -f monitor.yaml --state .demo",
        "mlops simulate -f monitor.yaml --state .demo --since 90d --against never",
        "mlops simulate -f monitor.yaml --state .demo --coins 10 -o json",
    ),
)
@MANIFESTS
@click.option("--since", help="How long before the last recorded row it begins, such as 90d, or when.  [default: all]")
@click.option(
    "--against",
    type=click.Choice(["never", "always", "coin"]),
    multiple=True,
    default=("never", "always", "coin"),
    help="What the policy is held against; may be repeated.  [default: all three]",
)
@click.option("--coins", type=click.IntRange(1, 100), default=3, show_default=True, help="How many coins are flipped.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="The first coin's seed.")
@click.option("--metric", type=click.Choice(sorted(METRICS)), help="How right answers are.  [default: the checks']")
@click.option("--timeout", type=click.FloatRange(min=1), default=3600, show_default=True, help="Seconds for one step.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@STATE
def simulate(paths: tuple[str, ...], folder: Path, **said: Any) -> None:
    """Tell what a monitor's policy would have done.

    The requests and labels that a state folder has recorded are replayed, on a virtual clock and in a folder of its
    own, under the DriftMonitor in -f: window, schedule, checks, actions and guard may be other ones than those that
    were at work. The loop is that of `mlops run`: the same planners decide, the same pods check, train, verify and
    answer. The state folder is only read.

    Beside it stand three others on the same rows: never retraining, retraining after every check, and coins that
    retrain as often as the policy did, at other times. The metric is that of the answers that were given, each by the
    version that was live then.

    Exit code: 0 rehearsed, 2 a mistake, 130 or 143 stopped by Ctrl-C or SIGTERM.
    """
    from mlops.cli.simulate import command

    command.simulate(command.SimulateOptions(paths=paths, state=State(folder), **said))
