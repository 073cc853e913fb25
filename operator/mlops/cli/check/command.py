"""`mlops check`: the decision of a drift pod about two sets of rows, and its report."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from mlops.api.drift_monitor import Check, CheckType, Labels
from mlops.api.drift_monitor import Window as WindowSpec
from mlops.cli.check.columns import Columns, chosen
from mlops.cli.check.options import CheckOptions
from mlops.cli.check.sides import Sides, sides_of
from mlops.cli.check.tables import Table, read_file
from mlops.cli.check.versions import is_version, read_version
from mlops.cli.errors import UserError
from mlops.cli.report_text import width_of_terminal, written
from mlops.cli.terminal import show
from mlops.workloads.drift.document import measured, to_bytes
from mlops.workloads.drift.findings import Decision, seed_of
from mlops.workloads.drift.page import page
from mlops.workloads.drift.verdict import decide
from mlops.workloads.floor.pod import BadInput

FORMAT = "mlops.dev/drift-check/v1"
_NO_TIME = "Without --time the rows are taken as independent of each other, and the reference shows no seasons."


def check(options: CheckOptions) -> int:
    """Compare, print, write; return the exit code. Raises UserError."""
    found = compared(options)
    if options.html is not None:
        options.html.write_text(page(found), encoding="utf-8")
    if options.output == "json":
        show(to_bytes(found).decode().rstrip("\n"))
    else:
        show(written(found, colour=sys.stdout.isatty(), width=width_of_terminal()), raw=True)
    return 0 if options.exit_zero or found["verdict"] == "Stable" else 1


def compared(options: CheckOptions) -> dict[str, Any]:
    """Return the report of a comparison as a document. Raises UserError."""
    asked = _limits(options)
    reference = _side(options.reference, options)
    current = _side(options.current, options, reference)
    columns = chosen(reference, current, options)
    checks = _checks(options, columns)
    sides = sides_of(reference, current, columns, options)
    try:
        decision = decide(
            sides.reference, sides.window, checks, limits=asked, labels=Labels(), seed=seed_of("mlops check")
        )
    except BadInput as error:
        raise UserError(error.message) from error
    if columns.time is None:
        decision = _without_time(decision)
    return _document(reference, current, columns, sides, decision)


def _side(word: str, options: CheckOptions, like: Table | None = None) -> Table:
    return read_version(word, options) if is_version(word) else read_file(word, options, like)


def _limits(options: CheckOptions) -> WindowSpec:
    try:
        # The length is the data's own; it is not asked for.
        return WindowSpec(duration="1d", min_samples=options.min_samples, max_samples=options.max_samples)
    except ValidationError as error:
        raise _mistake(error) from error


def _checks(options: CheckOptions, columns: Columns) -> tuple[Check, ...]:
    """Return the questions that the columns can answer, by the names and defaults that a monitor's checks have."""
    asked: list[tuple[str, CheckType]] = [("delivery", "DataQuality"), ("inputs", "DataDrift")]
    if columns.answers:
        asked.append(("answers", "PredictionDrift"))
    if columns.label is not None:
        asked.append(("balance", "LabelShift"))
    if columns.label is not None and columns.answers:
        asked += [("worse", "PerformanceDrop"), ("relation", "ConceptDrift")]
    metric = options.metric
    if metric is None and columns.classes and not columns.probabilities:
        # The metrics of a monitor's default need probabilities.
        metric = "accuracy"
    common = {"alpha": options.alpha, "minEffectSize": options.min_effect_size, "correction": options.correction}
    try:
        return tuple(
            Check.model_validate(
                {"name": name, "type": type_, **common}
                | ({"metric": metric, "minDrop": options.min_drop} if name in ("worse", "relation") else {})
            )
            for name, type_ in asked
        )
    except ValidationError as error:
        raise _mistake(error) from error


def _mistake(error: ValidationError) -> UserError:
    first = error.errors()[0]
    where = str(first["loc"][-1]) if first["loc"] else ""
    option = "--" + "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in where.replace("_", "-"))
    message = first["msg"].removeprefix("Value error, ")
    return UserError(f"{option} {first['input']!r}: {message}" if where else message)


def _without_time(decision: Decision) -> Decision:
    """Leave out what speaks of when: rows without a time are in no order."""
    performance = decision.performance
    if performance is not None:
        performance = replace(performance, series=(), detections=())
    return replace(decision, change_point=None, performance=performance)


def _document(reference: Table, current: Table, columns: Columns, sides: Sides, decision: Decision) -> dict[str, Any]:
    notes = (*reference.notes, *current.notes, *(() if columns.time else (_NO_TIME,)))
    window = sides.window
    found = measured(sides.reference, window, decision)
    times = sides.reference.frame["time"]
    return {
        "format": FORMAT,
        "compared": {
            "reference": reference.name,
            "current": current.name,
            "referenceRows": reference.rows,
            "currentRows": current.rows,
            "label": columns.label,
            "prediction": columns.prediction,
            "time": columns.time,
        },
        "window": None
        if columns.time is None
        else {"start": _time(window.frame["time"].min()), "end": _time(window.frame["time"].max())},
        "referenceSpan": None if columns.time is None else {"start": _time(times.min()), "end": _time(times.max())},
        **found,
        "notes": [*notes, *(note for note in found["notes"] if "maxSamples" not in note)],
        "notCompared": dict(sorted(columns.not_compared.items())),
    }


def _time(value: Any) -> str:
    return str(value.isoformat().replace("+00:00", "Z"))
