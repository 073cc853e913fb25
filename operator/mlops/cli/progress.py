"""What `mlops run` shows while it works: a live table on a terminal, a line per change into a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from mlops.api.kinds import KINDS
from mlops.cli.tables import printable
from mlops.planning.plan import Manifest

Objects = Callable[[], Iterable[Manifest]]

_COLOURS = {"True": "green", "False": "red", "Unknown": "yellow"}


def ready(manifest: Manifest) -> tuple[str, str, str]:
    """Return (status, reason, message) of the Ready condition."""
    for condition in manifest.get("status", {}).get("conditions", []):
        if condition["type"] == "Ready":
            return condition["status"], condition["reason"], condition.get("message", "")
    return "Unknown", "", ""


def stalled(manifest: Manifest) -> tuple[str, str] | None:
    """Return (reason, message) of what waits for the user, though the object may be ready with what it had before."""
    for condition in manifest.get("status", {}).get("conditions", []):
        if condition["type"] == "Stalled" and condition["status"] == "True":
            return condition["reason"], condition.get("message", "")
    return None


def short_kind(kind: str) -> str:
    """Return the kind's short name, such as dset."""
    return KINDS[kind].short_names[0]


def headline(manifest: Manifest) -> str:
    """Return what there is to say about an object in a few words."""
    status, spec = manifest.get("status", {}), manifest["spec"]
    match manifest["kind"]:
        case "Dataset" if "version" in status:
            return f"version {status['version']}, {status['rows']:,} rows"
        case "TrainingRun" if "metrics" in status:
            shown = [m for m in status["metrics"] if m["dataset"] == "test"]
            return ", ".join(f"{m['name']} {m['value']}" for m in shown[:3])
        case "ModelVersion":
            return f"{status.get('stage') or 'no stage'}, {spec['modelName']} version {spec['version']}"
        case "DriftMonitor" if status.get("verdict"):
            metric = status.get("metric")
            measured = f", {metric['name']} {metric['current']}" if metric else ""
            return f"{status['verdict']} at {status['lastCheckTime'][:10]} ({status['samples']:,} rows{measured})"
    return ""


class View:
    """The table, or the lines."""

    def __init__(self, console: Console, objects: Objects, *, live: bool) -> None:
        self._console, self._objects, self._is_live = console, objects, live
        self._start = time.monotonic()
        self._said: dict[tuple[str, str], tuple[Any, ...]] = {}
        self._live: Live | None = None
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[clock]}"),
            TimeRemainingColumn(),
            console=console,
        )
        self._replay: Any = None
        self._replay_said = 0.0

    @contextmanager
    def shown(self) -> Iterator[View]:
        """Show until left; on a terminal the table redraws itself."""
        if not self._is_live:
            yield self
            self.refresh()
            return
        # Redrawn from the event loop alone: a thread of rich's own would read objects while they change.
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            self._live = live
            try:
                yield self
            finally:
                self._live = None

    def refresh(self) -> None:
        """Show what is new: redraw the table, or say it in lines."""
        if self._live is not None:
            self._live.update(self._table(), refresh=True)
            return
        for manifest in self._objects():
            key = (manifest["kind"], manifest["metadata"]["name"])
            status, reason, message = ready(manifest)
            content = manifest.get("status", {})
            # A Dataset's lastCheckTime moves with every look at its source: no news.
            watched = ("version",) if manifest["kind"] == "Dataset" else ("verdict", "lastCheckTime", "stage")
            says = (status, reason, *(content.get(field) for field in watched))
            if self._said.get(key) != says:
                self._said[key] = says
                if not reason:
                    continue  # it was made just now
                detail = headline(manifest) if status == "True" else message
                self.say(f"{short_kind(key[0])}/{key[1]:<28} Ready={status:<8}{reason:<18} {detail}".rstrip())

    def as_lines(self) -> None:
        """From now on, say what changes in lines; what is so now is known."""
        console, self._console = self._console, Console(quiet=True)
        self.refresh()
        self._console = console

    def say(self, text: str) -> None:
        """Say one line, with the seconds since the start."""
        seconds = time.monotonic() - self._start
        self._console.print(f"{seconds:7.1f}s  {printable(text)}", highlight=False, markup=False, soft_wrap=True)

    def replaying(self, total: int, done: int) -> None:
        """Begin to show a replay of `total` rows, `done` of which were sent before."""
        self._replay = self._bar.add_task("replay", total=total, completed=done, clock="")

    def replayed(self, count: int, clock: datetime) -> None:
        """Say that `count` more rows were sent, and what the cluster's clock shows."""
        self._bar.update(self._replay, advance=count, clock=clock.strftime("%Y-%m-%d"))
        now = time.monotonic()
        if not self._is_live and now - self._replay_said > 5:
            self._replay_said = now
            task = self._bar.tasks[0]
            self.say(f"replay {int(task.completed):,} of {int(task.total or 0):,} rows, {clock:%Y-%m-%d}")

    def _table(self) -> Group:
        table = Table(box=None, pad_edge=False)
        for header in ("KIND", "NAME", "READY", "REASON", ""):
            table.add_column(header, overflow="ellipsis", no_wrap=True)
        for manifest in self._objects():
            status, reason, message = ready(manifest)
            table.add_row(
                short_kind(manifest["kind"]),
                Text(printable(manifest["metadata"]["name"])),
                Text(status, style=_COLOURS[status]),
                Text(printable(reason)),
                # Not as markup: a message may hold brackets.
                Text(printable(headline(manifest) or message)),
            )
        return Group(table, self._bar) if self._replay is not None else Group(table)
