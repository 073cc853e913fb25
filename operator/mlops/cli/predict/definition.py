"""`mlops predict` as the command line has it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from mlops.cli.options import ONE_NAMESPACE, STATE, examples
from mlops.cli.state import State


@click.command(
    epilog=examples(
        "mlops predict wine acidity=7.4 sugar=1.9 colour=red",
        "mlops predict wine --file new.csv -o json > answers.jsonl",
        "mlops predict wine --example            # a row that was recorded with the model",
        "mlops predict wine acidity=7.4 sugar=1.9 colour=red --version 3",
        "mlops predict wine --file new.csv --url http://127.0.0.1:8080   # a server, or a port-forward to one",
    )
)
@click.argument("model")
@click.argument("words", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--file",
    type=click.Path(path_type=Path),
    help="Rows: CSV, JSON, JSON lines, Parquet, Arrow or Excel, packed or not; a pipe, or - for standard input.",
)
@click.option(
    "--format",
    type=click.Choice(["csv", "json", "jsonl", "parquet", "arrow", "excel"]),
    help="The file's format, if its name does not say it.",
)
@click.option("--example", is_flag=True, help="A row that was recorded with the model; it is shown.")
@click.option("--stage", help="The version that is live there.  [default: the last stage of the model's way]")
@click.option("--version", type=click.IntRange(min=1), help="This version, live or not, if it was verified.")
@click.option("--url", help="Ask this model server instead, such as http://127.0.0.1:8080.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--keep-going", is_flag=True, help="Answer the other rows of a file when the model refuses one.")
@ONE_NAMESPACE
@STATE
def predict(model: str, words: tuple[str, ...], folder: Path, **said: Any) -> None:
    """Answer rows as the model server does.

    Rows are raw, as they are delivered: cleaning and computed features are the model's part. The version is the live
    one of the state folder; no server is needed. The answers are those of the server, bit for bit: the same checks,
    the same cleaning, the same model in the same numeric environment. Nothing is recorded. With --url a server is
    asked over the Open Inference Protocol, and records what its version's capture says.

    -o json writes a line for each row, with every digit. A field that is left out of KEY=VALUE words is an error; KEY=
    without a value says that it is missing.

    A row that the model refuses ends it, unless --keep-going is said. A cell that cannot be read as its type, or is
    infinite, always does: the message names its row and column.

    Exit code: 0 answered, 1 some rows were refused (--keep-going), 2 a mistake: the message names row and input.
    """
    from mlops.cli.predict import command

    sys.exit(command.predict(command.PredictOptions(model=model, words=words, state=State(folder), **said)))
