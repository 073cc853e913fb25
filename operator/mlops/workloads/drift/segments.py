"""A check of each value of a column, where the whole looks stable: what moves in one country may not show in all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import polars as pl

from mlops.api.drift_monitor import Check
from mlops.api.reasons import Reason
from mlops.workloads.drift.checks.drift_check import DriftCheck, Evidence
from mlops.workloads.drift.findings import Finding, Segment
from mlops.workloads.drift.inputs import Inputs
from mlops.workloads.drift.performance import Labelled, Limits
from mlops.workloads.drift.reference import Reference
from mlops.workloads.drift.window import Counts, Window
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.floor.records.layout import INPUT

# So many values are looked at, those with the most rows: each more makes every other one harder to see.
MOST: Final = 50
_LONGEST: Final = 60


@dataclass(frozen=True)
class _Found:
    segment: Segment
    finding: Finding


def check_columns(check: Check, reference: Reference) -> None:
    """Raise BadInput for a column that no check compares, by its name."""
    for column in check.segments.columns if check.segments else ():
        if column in reference.fields:
            continue
        why = (
            "is personal data, or read by expressions only: its values are neither compared nor shown"
            if column in reference.not_compared
            else "is no input of the model"
        )
        raise BadInput(
            Reason.CONFIGURATION_INVALID,
            f"spec.checks[{check.name}].segments.columns: {column!r} {why}; one of {', '.join(reference.fields)}",
        )


def answer_of(type_: DriftCheck, check: Check, evidence: Evidence) -> Finding:
    """Answer a check of the whole and, if that looks stable, of its segments: half of alpha is for either."""
    if check.segments is None:
        return type_.answer(check, evidence)
    half = check.evolve(alpha=_share(check, 2), segments=None)
    whole = replace(type_.answer(half, evidence), check=check)
    if whole.result != "NotDetected":
        return whole
    parts = list(_segments(check, evidence))
    asked = check.evolve(alpha=_share(check, 2 * max(1, len(parts))), segments=None)
    found = [_Found(segment, type_.answer(asked, part)) for segment, part in parts]
    numbers = {**whole.numbers, "segments": [_told(each) for each in found]}
    detected = [each for each in found if each.finding.result == "Detected"]
    if not detected:
        judged = [each for each in found if each.finding.result == "NotDetected"]
        return replace(whole, message=f"{whole.message}; nor in any of {len(judged)} segments", numbers=numbers)
    # The one with the most rows: what is in more of the traffic matters more.
    first = max(detected, key=lambda each: each.segment.rows)
    more = f" (and in {len(detected) - 1} more segments)" if len(detected) > 1 else ""
    message = f"in {first.segment.shown} ({first.segment.rows} rows): {first.finding.message}{more}"
    return Finding(check, "Detected", message, {**first.finding.numbers, **numbers}, first.segment)


def _share(check: Check, parts: int) -> str:
    return f"{max(1e-12, float(check.alpha) / parts):.12f}"


def _told(each: _Found) -> dict[str, Any]:
    return {
        "column": each.segment.column,
        "value": each.segment.value,
        "rows": each.segment.rows,
        "result": each.finding.result,
        "message": each.finding.message,
    }


def _segments(check: Check, evidence: Evidence) -> Iterator[tuple[Segment, Evidence]]:
    """The values of the columns that have enough rows on both sides, those with the most rows first."""
    assert check.segments is not None
    fewest = check.segments.min_samples
    found: list[tuple[int, str, Any]] = []
    for column in check.segments.columns:
        here, before = (_rows_by_value(frame, column) for frame in (evidence.window.frame, evidence.reference.frame))
        found += [
            (rows, column, value) for value, rows in here.items() if rows >= fewest and before.get(value, 0) >= fewest
        ]
    for rows, column, value in sorted(found, key=lambda one: (-one[0], one[1], str(one[2])))[:MOST]:
        yield Segment(column, _text(value), rows), _part(evidence, column, value, fewest)


def _rows_by_value(frame: pl.DataFrame, column: str) -> dict[Any, int]:
    table = frame[INPUT + column].drop_nulls().alias("value").value_counts(name="rows")
    return dict(zip(table["value"].to_list(), table["rows"].to_list(), strict=True))


def _text(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _part(evidence: Evidence, column: str, value: Any, fewest: int) -> Evidence:
    """What a check sees of one value: its rows of the reference and of the window."""
    chosen = pl.col(INPUT + column) == value
    reference = replace(evidence.reference, frame=evidence.reference.frame.filter(chosen))
    window = _window(evidence.window, chosen)
    limits = Limits(fewest, evidence.labelled.limits.min_coverage)
    labelled = Labelled(reference, window, limits, evidence.labelled.seed)
    return Evidence(reference, window, Inputs(reference, window), labelled)


def _window(window: Window, chosen: pl.Expr) -> Window:
    cohort = None if window.cohort is None else window.cohort.filter(chosen)
    # Rows of unknown classes and missing values are counted of the whole: the whole is asked about them.
    part = replace(window, frame=window.frame.filter(chosen), cohort=cohort, unknown={}, missing={})
    judged, live = part.judged, pl.col("live")
    counts = Counts(
        rows=part.frame.height,
        samples=part.frame.height,
        judged=judged.height,
        labelled=part.labelled.height,
        live=part.frame.filter(live).height,
        live_judged=judged.filter(live).height,
        live_labelled=part.labelled.filter(live).height,
    )
    return replace(part, counts=counts)
