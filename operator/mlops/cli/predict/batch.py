"""`mlops predict --batch`: all rows of a place, answered by the program that a pod runs; or the Job that has it run."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from mlops.api import tasks
from mlops.api.dataset import Refresh
from mlops.api.file_formats import FileFormat
from mlops.api.kinds import InvalidObject
from mlops.cli.errors import UserError
from mlops.cli.inspect import load
from mlops.cli.options import pairs
from mlops.cli.predict.batch_options import AskedVersion, BatchOptions
from mlops.cli.predict.batch_task import task_for
from mlops.cli.predict.choosing import ChosenVersion, chosen
from mlops.cli.predict.pod_process import run_task
from mlops.cli.tables import aligned
from mlops.cli.terminal import note, show
from mlops.cli.yaml_text import NotAManifest, documents
from mlops.cli.yaml_written import written
from mlops.planning.plan import Manifest, Settings
from mlops.planning.scoring import LONGEST_CRON_NAME, LONGEST_NAME, scoring_cron_job, scoring_job, scoring_name

_PARTIAL: Final = 1
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


def batch(options: BatchOptions, asked: AskedVersion, format: FileFormat | None, output: str) -> int:
    """Answer the rows and return the exit code: 0, or 1 if rows were put aside. Raises UserError."""
    if not options.manifest and options.said_of_manifest:
        raise UserError(f"{', '.join(options.said_of_manifest)}: with --manifest only")
    objects = list(_objects_of(options.paths)) if options.paths else load(asked.state)
    if not objects and options.paths:
        raise UserError(f"-f {' '.join(options.paths)}: holds no object: kubectl get mver,dset -o yaml")
    version = _version(objects, asked)
    task = task_for(options, format, version, objects)
    if options.manifest:
        show(written(_manifest(options, task)), raw=True)
        return 0
    for address in (str(options.batch), str(options.into)):
        if "{date}" in address or "{time}" in address:
            raise UserError(f"{address}: {{date}} and {{time}} are those of a CronJob's Job: with --schedule only")
    note(f"version: {version.said}")
    report = run_task(asked.state, task)
    show(json.dumps(report.dump(), indent=2) if output == "json" else _summary(report, version, str(options.into)))
    return _PARTIAL if report.quarantined else 0


def _version(objects: list[Manifest], asked: AskedVersion) -> ChosenVersion:
    try:
        return chosen(objects, asked.model, asked.namespace, asked.stage, asked.version)
    except InvalidObject as error:
        raise UserError(str(error)) from error


def _summary(report: tasks.ScoreReport, version: ChosenVersion, place: str) -> str:
    kept = f", {report.kept_parts} of which were there" if report.kept_parts else ""
    facts = [
        ["version", version.said],
        ["model", report.artifact],
        ["rows", f"{report.rows:,}"],
        ["answered", f"{report.answered:,}, in {report.parts} part{'s' if report.parts > 1 else ''}{kept}"],
        ["put aside", f"{report.quarantined:,}"],
        ["answers", f"{place.rstrip('/')}/part-*.parquet"],
        ["manifest", f"{place.rstrip('/')}/_manifest.json"],
    ]
    if report.quarantined:
        facts.append(["reasons", f"{place.rstrip('/')}/_refused-*.parquet, _unread-*.parquet"])
    return aligned(facts)


def _objects_of(paths: tuple[str, ...]) -> Iterator[Manifest]:
    """Yield objects with their status, as a cluster tells them. Raises UserError."""
    for path in paths:
        if path == "-":
            text = sys.stdin.read()
        else:
            try:
                text = Path(path).read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                said = error.strerror if isinstance(error, OSError) else "not UTF-8"
                raise UserError(f"{path}: {said}") from error
        try:
            for parsed in documents(text, is_json=path.endswith(".json")):
                yield from _items(parsed.value, path)
        except NotAManifest as error:
            raise UserError(f"{path}: {error.problem}") from error


def _items(value: Any, path: str) -> Iterator[Manifest]:
    if value is None:
        return
    if isinstance(value, dict) and isinstance(value.get("items"), list):
        for one in value["items"]:
            yield from _items(one, path)
        return
    if not isinstance(value, dict) or not isinstance(value.get("metadata"), dict) or "kind" not in value:
        raise UserError(f"{path}: holds something that is no object of a cluster: kubectl get mver,dset -o yaml")
    value["metadata"].setdefault("namespace", "default")
    yield value


def _manifest(options: BatchOptions, task: tasks.ScoreTask) -> Manifest:
    """Return the Job, or with a schedule the CronJob. Raises UserError."""
    if not options.store:
        raise UserError("--store: say the installation's store, store.uri of its chart, such as --store s3://mlops")
    if not options.store.startswith("s3://"):
        raise UserError(f"--store {options.store}: pods have a store in S3: s3://bucket, or s3://bucket/prefix")
    if options.time_zone and not options.schedule:
        raise UserError("--time-zone is that of a --schedule")
    defaults = Settings()
    settings = Settings(
        image=options.image or defaults.image,
        environment={**pairs(options.variables, "--env"), tasks.STORE_VARIABLE: options.store},
        store_secret=options.store_secret or defaults.store_secret,
    )
    name = options.name or scoring_name(task, is_scheduled=options.schedule is not None)
    longest = LONGEST_CRON_NAME if options.schedule else LONGEST_NAME
    if not _NAME.fullmatch(name) or len(name) > longest:
        raise UserError(f"--name {name!r}: at most {longest} lower-case letters, digits and dashes, such as score-rain")
    if options.schedule is None:
        if "{date}" in f"{task.output}{task.input.uri}" or "{time}" in f"{task.output}{task.input.uri}":
            raise UserError("{date} and {time} are those of a CronJob's Job: with --schedule only")
        return scoring_job(settings, task, name)
    if "{date}" not in task.output and "{time}" not in task.output:
        raise UserError(
            f"--into {options.into}: answers of one run are not mixed with those of another: say {{time}} or {{date}} "
            "in it, such as s3://bucket/answers/{time}/"
        )
    try:
        cron = Refresh.model_validate({"schedule": options.schedule, "timeZone": options.time_zone})
    except ValidationError as error:
        first = error.errors()[0]
        option = "--time-zone" if "timeZone" in first["loc"] or "time_zone" in first["loc"] else "--schedule"
        raise UserError(f"{option} {first['input']!r}: {_way_out(option)}") from error
    return scoring_cron_job(settings, task, name, schedule=cron.schedule, time_zone=cron.time_zone)


def _way_out(option: str) -> str:
    return (
        'a cron line has five fields, such as "0 4 * * *"'
        if option == "--schedule"
        else "name one of the time zone database, such as Europe/Berlin"
    )
