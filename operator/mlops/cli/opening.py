"""`mlops open`: a report in the browser, or its path."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path

from mlops.api.kinds import KINDS
from mlops.cli.errors import UserError
from mlops.cli.inspect import chosen_kinds, load
from mlops.cli.outputs import newest_report
from mlops.cli.state import State
from mlops.cli.summary import of_kind
from mlops.planning.plan import Manifest

_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")


def report_of(state: State, word: str | None, namespace: str) -> Path:
    """Return the newest report of a monitor: of the only one, of that by name, or of that which watches a model.

    Raises UserError, naming the monitors that there are.
    """
    monitors = [m for m in of_kind(load(state), "DriftMonitor") if m["metadata"]["namespace"] == namespace]
    names = [m["metadata"]["name"] for m in monitors]
    if word is None:
        if len(names) != 1:
            found = f"there are {', '.join(names)}: name one" if names else f"none is in namespace {namespace!r}"
            raise UserError(f"reports are of drift monitors, and {found}")
        return newest_report(state, names[0], namespace)
    kind, _, name = word.rpartition("/")
    if not kind:
        return newest_report(state, name if name in names else _watching(monitors, name) or name, namespace)
    match chosen_kinds(kind):
        case ["DriftMonitor"]:
            return newest_report(state, name, namespace)
        case ["ModelVersion"]:
            return newest_report(state, _of_version(state, monitors, name, namespace), namespace)
    short = ", ".join(model.short_names[0] for model in KINDS.values() if model.__name__ not in _WITH_REPORTS)
    raise UserError(
        f"{word}: reports are of drift monitors (dmon/NAME) and of the versions that they watch (mver/NAME); of "
        f"{short} `mlops describe` says all"
    )


_WITH_REPORTS = ("DriftMonitor", "ModelVersion")


def _of_version(state: State, monitors: list[Manifest], name: str, namespace: str) -> str:
    for version in of_kind(load(state), "ModelVersion"):
        if (version["metadata"]["namespace"], version["metadata"]["name"]) == (namespace, name):
            model = version["spec"]["modelName"]
            if found := _watching(monitors, model):
                return found
            raise UserError(f"no DriftMonitor watches model {model!r}, so there is no report of {name}")
    raise UserError(f"ModelVersion {name!r} not found in namespace {namespace!r}")


def _watching(monitors: list[Manifest], model: str) -> str | None:
    """Return the name of a monitor whose target is the model."""
    found = (str(m["metadata"]["name"]) for m in monitors if m["spec"]["targetRef"]["modelName"] == model)
    return next(found, None)


def show_in_browser(file: Path) -> bool:
    """Open a page in the browser; return whether there is one that has windows."""
    # Without a screen Python would find a browser for terminals, which takes the terminal over.
    if sys.platform == "linux" and not any(os.environ.get(name) for name in _DISPLAYS):
        return False
    try:
        return webbrowser.open(file.resolve().as_uri())
    except webbrowser.Error:
        return False
