"""What pods left behind for people: their logs, and the reports of drift checks."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from mlops.cli.errors import UserError
from mlops.cli.inspect import chosen_kinds, load
from mlops.cli.newest_report import document_of, done_about, monitor_of, write_page
from mlops.cli.report_text import written
from mlops.cli.state import State
from mlops.cli.summary import of_kind
from mlops.planning.plan import Manifest
from mlops.store.address import open_store

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MAKES_PODS = ("Job", "CronJob", "Deployment")


def logs(state: State, word: str, name: str, namespace: str, *, every: bool) -> Iterator[str]:
    """Yield the logs of the newest pod that worked for an object (of every pod, oldest first), by container."""
    kind, *others = chosen_kinds(word)
    if others:
        raise UserError("name one kind")
    objects = load(state)
    found = [
        m for m in of_kind(objects, kind) if (m["metadata"]["namespace"], m["metadata"]["name"]) == (namespace, name)
    ]
    if not found:
        raise UserError(f"{kind} {name!r} not found in namespace {namespace!r}")
    children = _children(objects, found[0]["metadata"]["uid"])
    places = {place for child in children for place in (state.logs / namespace).glob(f"{child}-*") if place.is_dir()}
    pods = sorted(places, key=lambda place: (place.stat().st_mtime_ns, place.name))
    if not pods:
        raise UserError(f"{kind} {name!r}: no pod has worked for it here")
    for pod in pods if every else pods[-1:]:
        for file in sorted(pod.glob("*.log"), key=lambda file: file.stat().st_mtime_ns):
            yield f"==> {file} <=="
            yield file.read_bytes().decode("utf-8", "replace").rstrip("\n")


def newest_report(state: State, monitor: str, namespace: str) -> Path:
    """Return the file of a monitor's newest report with its timeline. Raises UserError if there is none."""
    return write_page(state, monitor_of(state, monitor, namespace))


def newest_text(state: State, monitor: str, namespace: str, *, colour: bool, width: int) -> str:
    """Return a monitor's newest report as text. Raises UserError if there is none."""
    found_of = monitor_of(state, monitor, namespace)
    found = document_of(state, found_of)
    return written(found, colour=colour, width=width, done=done_about(found_of, found))


def newest_json(state: State, monitor: str, namespace: str) -> str:
    """Return a monitor's newest report as JSON. Raises UserError if there is none."""
    return json.dumps(document_of(state, monitor_of(state, monitor, namespace)), ensure_ascii=False, sort_keys=True)


def report_of_store(store: str, digest: str, folder: Path) -> Path:
    """Return the file of the report of that digest, fetched from a store.

    Raises UserError for what is no digest, and the store's errors.
    """
    if not _DIGEST.fullmatch(digest):
        raise UserError(f"{digest!r} is no digest: --store wants the one in status.report, sha256:… with 64 hex digits")
    opened = open_store(store, os.environ)
    files = {name: opened.read_file(digest, name) for name in ("report.html", "report.json")}
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / f"report-{digest.removeprefix('sha256:')[:12]}"
    for name, content in files.items():
        place.with_suffix(Path(name).suffix).write_bytes(content)
    return place.with_suffix(".html")


def _children(objects: list[Manifest], uid: str) -> list[str]:
    """Return the names of what makes pods for an object; a version's server is owned by the version, or by none."""
    return [
        m["metadata"]["name"]
        for m in objects
        if m["kind"] in _MAKES_PODS and any(owner["uid"] == uid for owner in m["metadata"].get("ownerReferences", ()))
    ]
