"""Objects as `kubectl get` shows them: the printer columns of the kinds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from mlops.api.base import PrinterColumn, parse_time
from mlops.api.kinds import KINDS
from mlops.cli.terminal import harmless
from mlops.planning.plan import Manifest

_FILTER = re.compile(r"\[\?\(@\.(\w+)=='(\w+)'\)\]")


def kinds_of(words: str) -> list[str]:
    """Return the kinds that a comma-separated list of kinds, plurals and short names means. Raises KeyError."""
    names: dict[str, str] = {}
    for kind, model in KINDS.items():
        names |= dict.fromkeys((kind.lower(), model.plural, *model.short_names), kind)
    chosen: list[str] = []
    for word in words.lower().split(","):
        chosen.extend(KINDS if word in ("all", "mlops") else [names[word]])
    return list(dict.fromkeys(chosen))


def value_at(manifest: Manifest, path: str) -> Any:
    """Return what a printer column's JSONPath finds in `manifest`, or None.

    Knows what the kinds' columns use: `.a.b` and `[?(@.key=='value')]`.
    """
    found: Any = manifest
    for step in re.findall(r"\.\w+|\[\?\([^][]*\)\]", path):
        if found is None:
            return None
        if match := _FILTER.match(step):
            key, wanted = match.groups()
            found = next((item for item in found if item.get(key) == wanted), None)
        else:
            found = found.get(step[1:]) if isinstance(found, dict) else None
    return found


def age(timestamp: str | None, now: datetime) -> str:
    """Return how long ago `timestamp` was, as kubectl writes it: 5s, 3m, 2h, 7d, 3y."""
    if not timestamp:
        return "<unknown>"
    seconds = max(0, int((now - parse_time(timestamp)).total_seconds()))
    for size, unit, limit in ((1, "s", 120), (60, "m", 7200), (3600, "h", 172800), (86400, "d", 730 * 86400)):
        if seconds < limit:
            return f"{seconds // size}{unit}"
    return f"{seconds // (365 * 86400)}y"


def rows(kind: str, objects: Iterable[Manifest], now: datetime, *, wide: bool = False) -> list[list[str]]:
    """Return the header and a row per object."""
    columns = [column for column in KINDS[kind].columns if wide or column.priority == 0]
    table = [["NAME", *(column.name.upper() for column in columns)]]
    for manifest in objects:
        table.append([manifest["metadata"]["name"], *(_cell(manifest, column, now) for column in columns)])
    return table


def _cell(manifest: Manifest, column: PrinterColumn, now: datetime) -> str:
    value = value_at(manifest, column.json_path)
    if column.type == "date":
        return age(value, now)
    if value is None:
        return ""
    text = str(value)
    return text[:19] if text.startswith("sha256:") else text


def printable(text: str) -> str:
    """Return `text` on one line and without what would steer a terminal: data and file names end up in messages."""
    return harmless(text).replace("\n", "\\n").replace("\t", "\\t")


def aligned(table: Sequence[Sequence[str]]) -> str:
    """Return the rows as lines with aligned columns, three spaces apart."""
    table = [[printable(cell) for cell in row] for row in table]
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    )
