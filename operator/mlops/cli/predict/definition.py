"""`mlops predict` as the command line has it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from mlops.cli.errors import UserError
from mlops.cli.options import ONE_NAMESPACE, STATE, examples
from mlops.cli.predict.batch_options import AskedVersion, batch_options, taken
from mlops.cli.state import State


@click.command(
    epilog=examples(
        "mlops predict wine acidity=7.4 sugar=1.9 colour=red",
        "mlops predict wine --file new.csv -o json > answers.jsonl",
        "mlops predict wine --example            # a row that was recorded with the model",
        "mlops predict wine acidity=7.4 sugar=1.9 colour=red --version 3",
        "mlops predict wine --file new.csv --url http://127.0.0.1:8080   # a server, or a port-forward to one",
        "mlops predict wine --batch new/ --into answers              # all rows of a folder, as Parquet",
        "mlops predict wine --batch dataset:wine@3 --into answers --columns all",
        "kubectl get mver,dset -o yaml | mlops predict wine --batch s3://raw/{date}/ --into s3://answers/{time}/ \\",
        '    --manifest -f - --store s3://mlops --schedule "0 4 * * *" | kubectl apply -f -',
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
@batch_options
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

    With --batch all rows of a place are answered, in parts, as Parquet; a run that was stopped goes on where it was
    when the same command is given again. --manifest prints a Job that does so in a cluster.

    Exit code: 0 answered, 1 some rows were refused (--keep-going) or put aside (--on-invalid quarantine), 2 a mistake:
    the message names row and input.
    """
    from mlops.cli.predict import command

    options = taken(said)
    if options.batch is not None:
        from mlops.cli.predict.batch import batch

        if alien := [name for name in ("file", "example", "url", "keep_going") if said[name]] or list(words):
            raise UserError(f"{_option(alien[0])}: not with --batch, which says the rows")
        asked = AskedVersion(model, State(folder), said["namespace"], said["stage"], said["version"])
        sys.exit(batch(options, asked, said["format"], said["output"]))
    if options.said:
        raise UserError(f"{', '.join(options.said)}: with --batch only")
    sys.exit(command.predict(command.PredictOptions(model=model, words=words, state=State(folder), **said)))


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}" if "=" not in name else name
