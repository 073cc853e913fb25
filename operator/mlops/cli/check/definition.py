"""`mlops check` as the command line has it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from mlops.cli.options import ONE_NAMESPACE, STATE, examples
from mlops.cli.state import State


@click.command(
    short_help="Tell what moved between two files.",
    epilog=examples(
        "mlops check last-year.parquet this-week.csv",
        "mlops check train.csv new.csv --label y --prediction answer --probability p --time day",
        "mlops check train.csv new.csv --html drift.html --json | jq .verdict",
        "mlops check dset/weather@3 dset/weather@4",
    ),
)
@click.argument("reference")
@click.argument("current")
@click.option("--label", help="The column with the truth, on both sides.")
@click.option("--prediction", help="The column with a model's answer, on both sides.")
@click.option(
    "--probability",
    multiple=True,
    metavar="COLUMN|CLASS=COLUMN",
    help="The probability of the positive class, or of each class.",
)
@click.option("--positive", metavar="CLASS", help="The positive one of two classes.  [default: the second in order]")
@click.option(
    "--task",
    type=click.Choice(["classification", "regression"]),
    help="What the label is.  [default: classes if it is text, a truth, or at most 20 whole numbers]",
)
@click.option("--time", help="The column with each row's time: neighbours and seasons then count for what they are.")
@click.option("--key", "keys", multiple=True, help="A column that names rows or whom they are about: not compared.")
@click.option("--ignore", multiple=True, metavar="COLUMN", help="A column that is not compared; may be repeated.")
@click.option("--alpha", default="0.01", show_default=True, help="The rate of false alarms of each check.")
@click.option(
    "--min-effect-size", default="0.1", show_default=True, help="A smaller shift is no drift, however significant."
)
@click.option(
    "--correction",
    type=click.Choice(["BenjaminiHochberg", "Bonferroni"]),
    default="BenjaminiHochberg",
    show_default=True,
    help="How p-values of several columns are corrected.",
)
@click.option("--metric", help="What is measured of answers.  [default: roc_auc and brier, accuracy, or mae]")
@click.option(
    "--cost",
    "costs",
    multiple=True,
    metavar="ACTUAL:PREDICTED=COST[*COLUMN]",
    help="What an answer costs, times the row's value of a column; for --metric cost.  [default: 0]",
)
@click.option("--min-drop", help="A smaller drop is none, in the metric's unit.  [default: 0.02; of errors a tenth]")
@click.option(
    "--min-samples", type=int, default=100, show_default=True, help="With fewer rows nothing can be told: Inconclusive."
)
@click.option(
    "--max-samples",
    type=int,
    default=100_000,
    show_default=True,
    help="Of more rows a sample, by a hash of their place.",
)
@click.option(
    "--text", "output", flag_value="text", default="text", help="The verdict and why, for people; the default."
)
@click.option("--json", "output", flag_value="json", help="Everything that the verdict rests on.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Also write the report to this file.")
@click.option("--exit-zero", is_flag=True, help="Exit with 0 whatever the verdict is.")
@click.option("--dates", type=click.Choice(["day-first", "month-first"]), help="How to read 02/03/2024.")
@click.option("--decimal", type=click.Choice([".", ","]), help="What stands before the fraction of a number.")
@click.option("--time-zone", help="Whose clock times without an offset are; UTC if left out.")
@click.option("--delimiter", help="What stands between two fields.")
@click.option("--encoding", help="The encoding of the text, such as cp1252.")
@ONE_NAMESPACE
@STATE
def check(reference: str, current: str, folder: Path, **said: Any) -> None:
    """Tell what moved between REFERENCE and CURRENT.

    The same checks, statistics and limits as in the pods of a DriftMonitor, without a model that is served. Each side
    is a file (CSV in any dialect, JSON, JSON lines, Parquet, Arrow, Excel, packed or not), a folder, an s3:// or
    https:// address, or a version of a Dataset of the state folder, such as dset/weather@3.

    Of the inputs alone it says whether the delivery is broken and which inputs moved. With --prediction also whether
    the answers did, with --label whether the class balance did, with both whether the model became worse, and whether
    the relation of inputs to label moved. REFERENCE should then hold rows that the model was not trained on.

    A column that CURRENT lacks is a broken delivery, one that only CURRENT has is told and left out.

    Exit code: 0 stable, 1 something moved, is broken, or cannot be told, 2 a mistake.
    """
    from mlops.cli.check import command
    from mlops.cli.check.options import CheckOptions

    options = CheckOptions(reference=reference, current=current, state=State(folder), **said)
    sys.exit(command.check(options))
