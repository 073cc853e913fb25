"""`mlops`: the command line. Each command imports what it needs when it runs, so that `--help` is quick."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from mlops.cli.errors import UserError
from mlops.cli.state import State, default_folder

_STATE = click.option(
    "--state",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=default_folder,
    help="The state folder.  [default: mlops in your data folder, or $MLOPS_STATE]",
)
_NAMESPACE = click.option("-n", "--namespace", help="Only this namespace.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("mlops-operator"), prog_name="mlops")
def cli() -> None:
    """Keep machine-learning models right after the day they were trained.

    `mlops run -f FOLDER` takes the manifests that `kubectl apply -f FOLDER` takes and runs the whole loop on this
    machine: data, training, serving, drift checks, retraining.
    """


@cli.command()
@click.option("-f", "--filename", "paths", multiple=True, required=True, help="A manifest, a folder of them, or -.")
@_STATE
@click.option(
    "--scenario",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="Another scenario than the folder's.",
)
@click.option("--replay/--no-replay", default=True, help="Whether to replay the scenario's stream.")
@click.option("--keep-serving", is_flag=True, help="Leave the model servers up until Ctrl-C.")
@click.option("--plain", is_flag=True, help="Lines instead of the live table.")
@click.option("--timeout", type=click.FloatRange(min=1), default=3600, show_default=True, help="Seconds to settle.")
@click.option(
    "--allow-network", "networks", multiple=True, help="A CIDR that http sources may reach though not public."
)
@click.option("--image", "images", multiple=True, metavar="IMAGE=FOLDER", help="The folder that stands for an image.")
def run(
    paths: tuple[str, ...],
    folder: Path,
    scenario: Path | None,
    replay: bool,
    keep_serving: bool,
    plain: bool,
    timeout: float,
    networks: tuple[str, ...],
    images: tuple[str, ...],
) -> None:
    """Run the whole loop on this machine until it is settled.

    A `scenario.toml` beside the manifests says what the world does: files that are delivered, requests that are sent.
    A second run on unchanged input does nothing again. Ctrl-C stops everything; the next run goes on from there.
    """
    from mlops.cli import run as running

    options = running.Options(
        paths=paths,
        state=State(folder),
        scenario=scenario,
        replay=replay,
        keep_serving=keep_serving,
        plain=plain,
        timeout=timeout,
        allow_networks=networks,
        images={name: Path(place) for name, place in _pairs(images, "--image").items()},
    )
    sys.exit(running.run(options))


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("uri")
@_STATE
def put(file: Path, uri: str, folder: Path) -> None:
    """Put FILE at an s3:// URI of the state folder's buckets."""
    from mlops.cli.run import deliver
    from mlops.cli.scenario import Put

    try:
        wanted = Put(file=str(file), uri=uri)
    except ValueError as error:
        raise UserError(
            f"{uri!r}: the form is s3://bucket/key or s3://bucket/prefix/ , without .. , // , % or \\"
        ) from error
    click.echo(f"{file} -> {deliver(file, wanted.uri, State(folder))}")


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--url", required=True, help="The model server, such as http://127.0.0.1:8080.")
@click.option("--model", required=True, help="The model's name.")
@click.option("--time", "time_column", required=True, help="The column with the time of the observation.")
@click.option("--id", "id_column", required=True, help="The column that names the row; its label goes by it.")
@click.option("--label", help="The column with the label, sent as feedback.")
@click.option("--label-delay", default="0s", show_default=True, help="How late a label is, such as 1d.")
@click.option("--limit", type=click.IntRange(min=1), help="Only so many rows.")
def replay(
    file: Path,
    url: str,
    model: str,
    time_column: str,
    id_column: str,
    label: str | None,
    label_delay: str,
    limit: int | None,
) -> None:
    """Send the rows of FILE as requests to a model server, here or in a cluster, and their labels as feedback."""
    from mlops.cli.replay import send_all
    from mlops.cli.scenario import checked_replay

    wanted = checked_replay(
        file=file.name, model=model, id=id_column, time=time_column, label=label, label_delay=label_delay, limit=limit
    )
    send_all(file.parent, wanted, url)


@cli.command()
@click.argument("kinds")
@click.argument("names", nargs=-1)
@click.option("-o", "--output", type=click.Choice(["table", "wide", "json", "yaml", "name"]), default="table")
@_NAMESPACE
@_STATE
def get(kinds: str, names: tuple[str, ...], output: str, namespace: str | None, folder: Path) -> None:
    """List objects: KINDS are such as dset,trun,mver,dmon or all."""
    from mlops.cli import inspect

    click.echo(inspect.get(State(folder), kinds, names, namespace, output))


@cli.command()
@click.argument("kind")
@click.argument("name")
@_NAMESPACE
@_STATE
def describe(kind: str, name: str, namespace: str | None, folder: Path) -> None:
    """Show all about one object: spec, status, conditions, events."""
    from mlops.cli import inspect

    click.echo(inspect.describe(State(folder), kind, name, namespace))


@cli.command()
@click.argument("model")
@click.option("--at", help="Only which version was live then, such as 2026-03-01 or 2026-03-01T12:00:00Z.")
@_NAMESPACE
@_STATE
def lineage(model: str, at: str | None, namespace: str | None, folder: Path) -> None:
    """Show where each version of MODEL comes from, and when it was live."""
    from mlops.cli import inspect

    click.echo(inspect.lineage(State(folder), model, _moment(at), namespace))


@cli.command()
@click.option("-f", "--filename", "paths", multiple=True, required=True, help="A manifest, a folder of them, or -.")
@click.option("--dataset-digest", "digests", multiple=True, metavar="NAME=DIGEST", help="The digest of a Dataset.")
@_STATE
def digest(paths: tuple[str, ...], digests: tuple[str, ...], folder: Path) -> None:
    """Compute the inputs digest of runs: the same digest, the same result."""
    from mlops.cli import inspect, manifests
    from mlops.workloads.train import environment

    documents: list[dict[str, Any]] = [document.manifest for document in manifests.read(paths).documents]
    given = _pairs(digests, "--dataset-digest")
    click.echo(inspect.digest(documents, State(folder), given, environment.digest()))


@cli.command()
@click.argument("kind")
@click.argument("names", nargs=-1, required=True)
@click.option("-n", "--namespace", default="default", show_default=True)
@_STATE
def delete(kind: str, names: tuple[str, ...], namespace: str, folder: Path) -> None:
    """Delete objects, and what they own."""
    from mlops.cli.delete import delete as delete_objects

    for line in delete_objects(State(folder), kind, names, namespace):
        click.echo(line)


def _pairs(texts: tuple[str, ...], option: str) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not value:
            raise UserError(f"{option} {text!r}: the form is NAME=VALUE")
        pairs[name] = value
    return pairs


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UserError(f"--at {text!r}: no moment: {error}") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def main() -> None:
    """Run the command line."""
    cli()


if __name__ == "__main__":
    main()
