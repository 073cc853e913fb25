"""`mlops`: the command line. Each command imports what it needs when it runs, so that `--help` is quick."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from mlops.cli.approve.definition import approve
from mlops.cli.check.definition import check
from mlops.cli.errors import UserError
from mlops.cli.groups import Commands
from mlops.cli.history.definition import history, rollback, verify
from mlops.cli.options import MANIFESTS, NAMESPACE, ONE_NAMESPACE, STATE, examples, pairs, span, timestamp
from mlops.cli.plan.definition import plan
from mlops.cli.predict.definition import predict
from mlops.cli.put.definition import put
from mlops.cli.simulate.definition import simulate
from mlops.cli.state import State
from mlops.cli.terminal import note, show
from mlops.cli.tune.definition import tune


@click.group(
    cls=Commands,
    epilog=examples(
        "mlops init rows.csv --label y          # manifests for your own data, then: mlops run -f rows.yaml",
        "mlops run -f examples/weather          # the whole loop, with a replay of forty years",
        "mlops get dset,trun,mver,dmon -o wide  # what there is",
        "mlops lineage weather                  # where each version comes from",
    ),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(version("mlops-operator"), prog_name="mlops")
def cli() -> None:
    """Keep machine-learning models right after the day they were trained.

    `mlops run -f FOLDER` takes the manifests that `kubectl apply -f FOLDER` takes and runs the whole loop on this
    machine: data, training, serving, drift checks, retraining.
    """


@cli.command(
    epilog=examples(
        "mlops run -f examples/weather",
        "mlops run -f examples/weather --keep-serving --no-replay",
        "mlops run -f my.yaml --state ./state --image example.com/trainer:1=./trainer",
        "cat my.yaml | mlops run -f -",
    )
)
@MANIFESTS
@STATE
@click.option(
    "--scenario",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="Another scenario than the folder's.",
)
@click.option("--replay/--no-replay", default=True, help="Whether to replay the scenario's stream.")
@click.option("--keep-serving", is_flag=True, help="Leave the model servers up until Ctrl-C.")
@click.option("--plain", is_flag=True, help="Lines instead of the live table.")
@click.option("--timeout", type=click.FloatRange(min=1), default=3600, show_default=True, help="Seconds for one step.")
@click.option(
    "--allow-network",
    "networks",
    multiple=True,
    help="A CIDR that http and sql sources may reach though it is refused otherwise.",
)
@click.option("--image", "images", multiple=True, metavar="IMAGE=FOLDER", help="A folder in place of your image.")
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

    Exit code: 0 all is ready, 1 something is not (the summary says why), 2 a mistake in manifests or options, 130 or
    143 stopped by Ctrl-C or SIGTERM.
    """
    from mlops.cli import run as running

    options = running.RunOptions(
        paths=paths,
        state=State(folder),
        scenario=scenario,
        replay=replay,
        keep_serving=keep_serving,
        plain=plain,
        timeout=timeout,
        allow_networks=networks,
        images={name: Path(place) for name, place in pairs(images, "--image").items()},
    )
    sys.exit(running.run(options))


@cli.command(
    short_help="Write manifests for your own data.",
    epilog=examples(
        "mlops init wine.csv --label quality",
        "mlops init sales/ --label sold --time ordered_at --key order_id --dates day-first",
        "mlops init 'rows-*.csv.gz' --label y --name rows --output manifests/rows.yaml",
        "mlops init s3://raw/sales/ --label sold            # with --s3: of an S3 service",
        "mlops init https://example.org/wine.csv --label quality   # the manifest holds its sha256",
    ),
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--label", help="The column that is to be predicted: its name, or its position.")
@click.option("--time", help="The column with each row's time; the only one with timestamps, if left out.")
@click.option("--key", help="The column that says whom or what a row is about.")
@click.option("--name", help="The name of the objects and the model; that of the file, if left out.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="The manifest.  [default: NAME.yaml]")
@click.option("--force", is_flag=True, help="Write over files that are there.")
@click.option("--dates", type=click.Choice(["day-first", "month-first"]), help="How to read 02/03/2024.")
@click.option("--decimal", type=click.Choice([".", ","]), help="What stands before the fraction of a number.")
@click.option("--time-zone", help="Whose clock times without an offset are, such as Europe/Berlin.")
@click.option("--delimiter", help="What stands between two fields.")
@click.option("--quote", help="What fields may be enclosed in; empty if quotes are letters.")
@click.option("--encoding", help="The encoding of the text, such as cp1252.")
@click.option(
    "--header", type=click.IntRange(0, 8), help="Rows with names at the top of the table; 0 if there are none."
)
@click.option("--sheet", help="The sheet of a workbook.")
@click.option("--records", help="The path of the array of objects in a JSON document, such as data.items.")
@click.option("--s3", is_flag=True, help="s3:// is a real S3 service, as for `mlops put --s3`.")
@click.option("--allow-network", "networks", multiple=True, help="A CIDR that https:// may reach though not public.")
@STATE
def init(files: tuple[str, ...], folder: Path, **said: Any) -> None:
    """Write manifests for FILE: data, training, serving and drift, ready for `mlops run -f`.

    FILE is CSV in any dialect, JSON, JSON lines, Parquet, Arrow or Excel, packed or not; a folder, or several files of
    one kind; an s3:// object or prefix of the state folder's buckets (with --s3 of an S3 service); or a URL. All of it
    is read, twice: to find what explains every value, and by the contract that was found. What the data do not settle
    is asked for.

    Exit code: 0 written, 2 a mistake, or something to decide: the message names the option.
    """
    from mlops.cli.init import command
    from mlops.cli.init.options import InitOptions

    for line in command.init(InitOptions(files=files, state=folder, **said)):
        show(line)


@cli.command(
    epilog=examples(
        "mlops validate -f examples/weather",
        "mlops validate -f datasets.yaml -f runs.yaml   # a run is held against its Dataset",
        "kustomize build overlays/prod | mlops validate -f -",
    )
)
@MANIFESTS
def validate(paths: tuple[str, ...]) -> None:
    """Say what is wrong with manifests, without running anything.

    Offline, for a CI job or an editor: fields and rules as an API server checks them, names of columns, expressions,
    estimators, parameters and their values, metrics of gates and searches, and each run against its Dataset if that
    is among the manifests; also a `scenario.toml` beside them. One line for each mistake, with file, line, object,
    field, and what to write instead.

    Exit code: 0 nothing is wrong that manifests show, 2 something is.
    """
    from mlops.cli import manifests
    from mlops.cli.run import check_scenario

    found = manifests.read(paths)
    check_scenario(paths)
    count = len(found.documents)
    left_out = f"; not ours, left out: {', '.join(found.left_out)}" if found.left_out else ""
    show(f"{count} object{'s are' if count != 1 else ' is'} valid{left_out}")


@cli.command(
    epilog=examples(
        "mlops replay stream.parquet --url http://127.0.0.1:8080 --model weather \\",
        "    --id id --time day --label rain_tomorrow --label-delay 1d",
    )
)
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
    """Send rows of FILE as requests.

    To a model server, here or in a cluster, in the order of their time; their labels follow as feedback.
    """
    from mlops.cli.replay import send_all
    from mlops.cli.scenario import checked_replay

    wanted = checked_replay(
        file=file.name, model=model, id=id_column, time=time_column, label=label, label_delay=label_delay, limit=limit
    )
    send_all(file.parent, wanted, url)


@cli.command(
    epilog=examples(
        "mlops get all",
        "mlops get dset,trun -o wide",
        "mlops get mver weather-v1 -o yaml",
    )
)
@click.argument("kinds")
@click.argument("names", nargs=-1)
@click.option("-o", "--output", type=click.Choice(["table", "wide", "json", "yaml", "name"]), default="table")
@NAMESPACE
@STATE
def get(kinds: str, names: tuple[str, ...], output: str, namespace: str | None, folder: Path) -> None:
    """List objects.

    KINDS are such as dset,trun,mver,dmon or all.
    """
    from mlops.cli import inspect

    state = State(folder)
    show(inspect.get(state, kinds, names, namespace, output))
    if output in ("table", "wide") and not state.in_use:
        note("no `mlops run` works on this folder: nothing runs and nothing serves; this is how the last one left it")


@cli.command(
    epilog=examples(
        "mlops describe dset weather",
        "mlops describe trainingrun weather-22411e67",
    )
)
@click.argument("kind")
@click.argument("name")
@NAMESPACE
@STATE
def describe(kind: str, name: str, namespace: str | None, folder: Path) -> None:
    """Show all about one object: spec, status, conditions, events."""
    from mlops.cli import inspect

    show(inspect.describe(State(folder), kind, name, namespace))


@cli.command(
    epilog=examples(
        "mlops lineage weather",
        "mlops lineage weather --at 1985-06-01",
    )
)
@click.argument("model")
@click.option("--at", help="Only which version was live then, such as 2026-03-01 or 2026-03-01T12:00:00Z.")
@NAMESPACE
@STATE
def lineage(model: str, at: str | None, namespace: str | None, folder: Path) -> None:
    """Show where versions of MODEL come from.

    And when each was live, as whatever stage: its data, its run and its artifact by digest.
    """
    from mlops.cli import inspect

    show(inspect.lineage(State(folder), model, timestamp(at), namespace))


@cli.command(
    epilog=examples(
        "mlops digest -f examples/weather",
        "mlops digest -f my.yaml --dataset-digest weather=sha256:…",
    )
)
@MANIFESTS
@click.option("--dataset-digest", "digests", multiple=True, metavar="NAME=DIGEST", help="The digest of a Dataset.")
@STATE
def digest(paths: tuple[str, ...], digests: tuple[str, ...], folder: Path) -> None:
    """Compute the inputs digest of runs.

    It says what `status.inputsDigest` will say, before anything runs: the same digest, the same result.
    """
    from mlops.cli import inspect, manifests
    from mlops.workloads.train import environment

    documents: list[dict[str, Any]] = [
        document.manifest for document in manifests.read(paths, words_are_texts=True).documents
    ]
    given = pairs(digests, "--dataset-digest")
    show(inspect.digest(documents, State(folder), given, environment.digest()))


@cli.command(
    epilog=examples(
        "mlops delete dmon weather",
        "mlops delete trun weather housing",
    )
)
@click.argument("kind")
@click.argument("names", nargs=-1, required=True)
@ONE_NAMESPACE
@click.option("--force", is_flag=True, help="Also what is in use.")
@STATE
def delete(kind: str, names: tuple[str, ...], namespace: str, force: bool, folder: Path) -> None:
    """Delete objects, and what they own.

    What is in use (a live version, a Dataset that something was or is to be trained on) is refused without --force.
    What a deleted version was, and when it was live, `mlops lineage` still tells.
    """
    from mlops.cli.delete import delete as delete_objects

    for line in delete_objects(State(folder), kind, names, namespace, force=force):
        show(line)


@cli.command(
    epilog=examples(
        "mlops gc --dry-run",
        "mlops gc --grace 0s --record 365d",
        "mlops gc --cluster --store s3://my-bucket/mlops --dry-run",
        "mlops gc --cluster --store s3://my-bucket/mlops/team-a -n team-a",
    )
)
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--grace", default="7d", show_default=True, help="Leave alone what was stored within this time.")
@click.option("--record", default="90d", show_default=True, help="Keep versions that were on record within this time.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--cluster", "in_cluster", is_flag=True, help="Of the cluster that kubectl talks to.")
@click.option("--store", "url", help="With --cluster: the store, as the operator has it, without {namespace}.")
@click.option("-n", "--namespace", help="With --cluster: the only namespace that uses this store.  [default: all]")
@STATE
def gc(
    dry_run: bool,
    grace: str,
    record: str,
    output: str,
    in_cluster: bool,
    url: str | None,
    namespace: str | None,
    folder: Path,
) -> None:
    """Remove from the store what nobody needs any more.

    Artifacts stay that any object names, or the record of a model of late; so do captures of models that something
    names. What goes cannot be brought back: --dry-run says it first.

    In a cluster it takes the keys of your environment (AWS_ACCESS_KEY_ID, MLOPS_S3_ENDPOINT ...), and your rights to
    list what there is. Never use it on a store that another cluster uses too: what is named there it cannot see.
    """
    from mlops.cli import collecting

    if in_cluster == (url is None):
        raise UserError("--cluster and --store go together: --cluster --store s3://bucket/prefix; neither: the folder")
    if namespace is not None and url is None:
        raise UserError("-n: of a cluster only; in a state folder all namespaces share one store")
    ages = collecting.Ages(span(grace, "--grace"), span(record, "--record"))
    if url is None:
        found = collecting.of_folder(State(folder), ages, dry_run=dry_run)
    else:
        found = collecting.of_cluster(collecting.SharedStore(url, namespace), ages, os.environ, dry_run=dry_run)
    show(collecting.as_json(found) if output == "json" else collecting.as_text(found))


@cli.command(
    epilog=examples(
        "mlops retry trun weather-22411e67",
        "mlops retry dset weather -n team",
    )
)
@click.argument("kind")
@click.argument("names", nargs=-1, required=True)
@ONE_NAMESPACE
@STATE
def retry(kind: str, names: tuple[str, ...], namespace: str, folder: Path) -> None:
    """Have what failed tried again.

    A run makes another attempt, a template another run; a Dataset is looked at, a version verified and served; a
    monitor checks, and its circuit closes. The next `mlops run` does it. In a cluster the annotation that is printed
    does the same.
    """
    from mlops.cli.retry import retry as retry_objects
    from mlops.local.clock import RealClock

    for line in retry_objects(State(folder), kind, names, namespace, RealClock()):
        show(line)


@cli.command(
    epilog=examples(
        "mlops logs trun weather-22411e67",
        "mlops logs mver weather-v1 --all",
    )
)
@click.argument("kind")
@click.argument("name")
@click.option("--all", "every", is_flag=True, help="Of every pod, not only the newest.")
@click.option("--raw", is_flag=True, help="To a terminal too, as the pods wrote it: it may steer the terminal.")
@ONE_NAMESPACE
@STATE
def logs(kind: str, name: str, every: bool, raw: bool, namespace: str, folder: Path) -> None:
    """Show what the pods of an object wrote.

    On a terminal control characters are spelled out; into a pipe or a file the logs go as they are.
    """
    from mlops.cli import outputs

    for text in outputs.logs(State(folder), kind, name, namespace, every=every):
        show(text, raw=raw)


@cli.command(
    epilog=examples(
        "xdg-open $(mlops report weather)",
        "mlops report weather --text            # the verdict and why, in the terminal",
        "mlops report sha256:… --store s3://artifacts/ --to .   # of a monitor in a cluster: its status.report",
    )
)
@click.argument("monitor", metavar="MONITOR|DIGEST")
@ONE_NAMESPACE
@click.option("--text", "output", flag_value="text", help="The report itself as text: the verdict, and why.")
@click.option("--json", "output", flag_value="json", help="The report itself: everything that the verdict rests on.")
@click.option("--store", help="Read the report DIGEST from this store, s3://bucket/prefix, with your own keys.")
@click.option(
    "--to",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="With --store: the folder to write to.  [default: this one]",
)
@STATE
def report(monitor: str, namespace: str, output: str | None, store: str | None, to: Path, folder: Path) -> None:
    """Print where a monitor's newest report is, or the report.

    The page has the newest check, what the monitor does about it, and a timeline of all checks.

    With --store, of a monitor in a cluster: its keys are MLOPS_S3_ENDPOINT, AWS_ACCESS_KEY_ID and
    AWS_SECRET_ACCESS_KEY of your environment, as of every S3 client.
    """
    from mlops.cli import outputs

    if store is not None:
        if output is not None:
            raise UserError(f"--{output}: not with --store, which writes report.json and report.html to --to")
        show(outputs.report_of_store(store, monitor, to))
    elif output == "text":
        from mlops.cli.report_text import width_of_terminal

        colour = sys.stdout.isatty()
        text = outputs.newest_text(State(folder), monitor, namespace, colour=colour, width=width_of_terminal())
        show(text, raw=True)
    elif output == "json":
        show(outputs.newest_json(State(folder), monitor, namespace))
    else:
        show(outputs.newest_report(State(folder), monitor, namespace))


@cli.command(
    name="open",
    short_help="Open a monitor's newest report in the browser.",
    epilog=examples(
        "mlops open                  # the newest report of the only monitor",
        "mlops open dmon/weather",
        "mlops open weather --print  # only its path",
    ),
)
@click.argument("what", required=False, metavar="[KIND/NAME]")
@click.option("--print", "only_print", is_flag=True, help="Only print where it is.")
@ONE_NAMESPACE
@STATE
def open_(what: str | None, only_print: bool, namespace: str, folder: Path) -> None:
    """Open a monitor's newest report in the browser, and print its path.

    KIND/NAME is dmon/MONITOR, or mver/VERSION for the monitor that watches its model; a name alone is a monitor's or a
    model's. Without a browser the path is all.
    """
    from mlops.cli import opening

    file = opening.report_of(State(folder), what, namespace)
    show(file)
    if not only_print and not opening.show_in_browser(file):
        note("there is no browser here: open the file yourself")


@cli.command(epilog=examples("mlops explain DatasetNotReady"))
@click.argument("reason")
def explain(reason: str) -> None:
    """Say what a reason means, and the way out."""
    from mlops.cli import explanations

    show(explanations.of(reason))


cli.add_command(approve)
cli.add_command(check)
cli.add_command(history)
cli.add_command(plan)
cli.add_command(predict)
cli.add_command(put)
cli.add_command(rollback)
cli.add_command(simulate)
cli.add_command(tune)
cli.add_command(verify)


def main() -> None:
    """Run the command line."""
    cli()


if __name__ == "__main__":
    main()
