"""The report of a drift check as text: the verdict first, then what it rests on."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from typing import Any

import click

from mlops.cli.tables import aligned
from mlops.cli.terminal import harmless
from mlops.workloads.drift.page import ADVICE, NO_INPUTS, person_of
from mlops.workloads.drift.policy import in_words

_COLOURS = {"good": "green", "bad": "red", "open": "yellow"}
_ANSWERS = {"Detected": "YES", "NotDetected": "no", "Inconclusive": "?"}
_MOST_INPUTS = 10
_NARROWEST, _WIDEST = 40, 100


def width_of_terminal() -> int:
    """Return the columns to write in."""
    return max(_NARROWEST, min(_WIDEST, shutil.get_terminal_size().columns))


def written(found: dict[str, Any], *, colour: bool, width: int, done: str = "") -> str:
    """Return the report's document as text of at most `width` columns, but for names that are longer.

    Nothing from data can steer a terminal.
    """
    return "\n".join(_lines(found, colour=colour, width=width, done=done))


def _lines(found: dict[str, Any], *, colour: bool, width: int, done: str) -> Iterator[str]:
    advice = ADVICE[found["verdict"]]
    verdict = click.style(found["verdict"], fg=_COLOURS[advice.tone], bold=True) if colour else found["verdict"]
    yield f"{verdict}  {harmless(_about(found))}"
    yield from _wrapped(found["sentence"], width)
    if rows := list(_inputs(found)):
        yield ""
        yield from rows
    if found["performance"] is not None:
        yield ""
        yield from _wrapped(_performance(found), width)
    yield ""
    yield from _checks(found, width)
    yield ""
    for line in _rest(found):
        yield from _wrapped(line, width)
    if found.get("policy") is not None:
        does = in_words(found["policy"], found["verdict"], found.get("calibration"))
        yield from _wrapped(f"The monitor: {does}", width)
    if done:
        yield from _wrapped(f"Done: {done}", width)
    yield from _wrapped(f"A person: {person_of(found)}", width)


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    return textwrap.wrap(
        harmless(text), width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    ) or [""]


def _about(found: dict[str, Any]) -> str:
    if (sides := found.get("compared")) is not None:
        return f"{sides['current']} against {sides['reference']}"
    return f"{found['model']} ({found['stage']}, version {found['modelVersion']}), window to {found['window']['end']}"


def _inputs(found: dict[str, Any]) -> Iterator[str]:
    moved = [one for one in found["features"] if one["drifted"]]
    if not moved:
        return
    table = [["MOVED", "EFFECT", "P", "MISSING"]]
    for one in moved[:_MOST_INPUTS]:
        missing = f"{one['missingReference']:.1%} -> {one['missingCurrent']:.1%}"
        # JSON has no infinity: a constant that is another one now is infinitely many standard deviations away.
        effect = "beyond all" if one["effect"] is None else f"{one['effect']:.3g}"
        table.append([harmless(one["name"]), effect, _p_value(one["correctedPValue"]), missing])
    yield from aligned(table).splitlines()
    if len(moved) > _MOST_INPUTS:
        yield f"and {len(moved) - _MOST_INPUTS} more"


def _p_value(value: float) -> str:
    return "<1e-12" if value < 1e-12 else f"{value:.2g}"


def _performance(found: dict[str, Any]) -> str:
    measured = found["performance"]
    now, before = measured["current"], measured["reference"]
    text = (
        f"{measured['metric']}: {now['value']:.4g} ({now['low']:.4g} to {now['high']:.4g}), "
        f"{before['value']:.4g} on the reference"
    )
    split = found["attribution"]
    if split is not None and split["identifiable"]:
        text += f"; of the drop {split['covariate']['value']:.3g} by the inputs, {split['concept']['value']:.3g} by the"
        text += " relation"
    return f"{text}; changed at about {found['changePoint']}" if found["changePoint"] else text


def _checks(found: dict[str, Any], width: int) -> Iterator[str]:
    longest = max(len(one["type"]) for one in found["checks"])
    for one in found["checks"]:
        start = f"{one['type'].ljust(longest)}  {_ANSWERS[one['result']].ljust(3)}  "
        yield from _wrapped(start + one["message"], width, " " * len(start))


def _rest(found: dict[str, Any]) -> Iterator[str]:
    compared = sum(one["pValue"] is not None for one in found["features"])
    counts = found["counts"]
    inputs = f"Compared: {compared} inputs;" if found["features"] else f"{NO_INPUTS} There are"
    here = "" if counts["samples"] == counts["rows"] else f" of {counts['rows']:,}"
    yield f"{inputs} {found['reference']['rows']:,} rows of the reference, {counts['samples']:,}{here} in the window."
    if left_out := found.get("notCompared"):
        yield "Not compared: " + ", ".join(f"{name} ({reason})" for name, reason in left_out.items()) + "."
    yield from found["notes"]
