"""A monitor's newest report with what came before it: of the store's report.json and the monitor's status."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from mlops.cli.errors import UserError
from mlops.cli.inspect import load
from mlops.cli.state import State
from mlops.cli.summary import lay_out_reports, of_kind
from mlops.planning.plan import Manifest
from mlops.store.address import open_store
from mlops.store.errors import StoreError

LATEST = "latest.html"


def monitor_of(state: State, name: str, namespace: str) -> Manifest:
    """Return the monitor. Raises UserError, naming those that there are, or that it has made no check."""
    monitors = [m for m in of_kind(load(state), "DriftMonitor") if m["metadata"]["namespace"] == namespace]
    mine = [m for m in monitors if m["metadata"]["name"] == name]
    if not mine:
        names = ", ".join(m["metadata"]["name"] for m in monitors) or "none"
        raise UserError(f"DriftMonitor {name!r} not found in namespace {namespace!r}; there are: {names}")
    if not any(check.get("report") for check in _history(mine[0])):
        raise UserError(f"DriftMonitor {name!r} has made no check yet")
    return mine[0]


def document_of(state: State, monitor: Manifest) -> dict[str, Any]:
    """Return the newest report that the store still has. Raises UserError if it has none."""
    store = open_store(state.store.resolve().as_uri(), os.environ)
    for check in _history(monitor):
        if check.get("report"):
            try:
                found: dict[str, Any] = json.loads(store.read_file(check["report"], "report.json"))
            except StoreError:
                continue  # an old one may have been removed
            return found
    raise UserError(f"DriftMonitor {monitor['metadata']['name']!r}: the store has none of its reports any more")


def done_about(monitor: Manifest, found: dict[str, Any]) -> str:
    """Return what was done about a report's verdict, or why nothing; empty if that is not known."""
    end = found["window"]["end"]
    said = next((str(check.get("action", "")) for check in _history(monitor) if check["time"] == end), "")
    last = monitor.get("status", {}).get("lastAction") or {}
    if last.get("time") == end:
        run = f" ({last['ref']})" if last.get("ref") else ""
        said = f"{said or last['kind']}{run}: {last['outcome']}"
    return said


def write_page(state: State, monitor: Manifest) -> Path:
    """Lay out all reports, write the newest one with the timeline, and return its file. Raises UserError."""
    from mlops.workloads.drift.page import page

    state.make_private()
    lay_out_reports([monitor], open_store(state.store.resolve().as_uri(), os.environ), state.reports)
    found = document_of(state, monitor)
    place: Path = state.reports / monitor["metadata"]["name"] / LATEST
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = place.with_name(f".{LATEST}.part")
    beside.write_text(page(found, list(reversed(_history(monitor))), done_about(monitor, found)), encoding="utf-8")
    beside.replace(place)
    return place


def _history(monitor: Manifest) -> list[dict[str, Any]]:
    """Return the checks, the newest first."""
    return list(monitor.get("status", {}).get("history") or ())
