"""Checks of the values of a column, where the whole looks stable."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from bench.drift_streams import Stream, make_stream, signature_of
from mlops.api.drift_monitor import Check, Labels, Window
from mlops.workloads.drift.findings import Decision, Finding
from mlops.workloads.drift.reference import make_reference
from mlops.workloads.drift.run import report_of
from mlops.workloads.drift.verdict import decide
from mlops.workloads.drift.window import window_of
from mlops.workloads.floor.pod import BadInput

REGION = {"columns": ["region"], "minSamples": 150}


@pytest.fixture(scope="module")
def stream() -> Stream:
    return make_stream("stable", 11, rows=1600, windows=6)


def a_check(type_: str, segments: dict[str, Any] | None = REGION, **changes: Any) -> Check:
    return Check.model_validate(
        {"name": "one", "type": type_, **({"segments": segments} if segments else {}), **changes}
    )


def judged(stream: Stream, frame: pl.DataFrame, check: Check, number: int = 0) -> Decision:
    window = window_of(frame.drop("judged"), stream.windows[number].span)
    return decide(stream.reference, window, (check,), limits=Window(duration="7d"), labels=Labels(), seed=1)


def where(stream: Stream, moved: pl.Expr, column: str) -> pl.DataFrame:
    """The first window, with a column changed in the north alone."""
    frame = stream.windows[0].frame
    north = pl.col("in.region") == "north"
    return frame.with_columns(pl.when(north).then(moved).otherwise(pl.col(column)).alias(column))


def only(decision: Decision) -> Finding:
    [finding] = decision.findings
    return finding


def test_what_moved_in_one_segment_is_found_there(stream: Stream) -> None:
    """The whole is stable; sentence, status and report name the value with its rows."""
    frame = where(stream, pl.col("in.x3") + 0.38, "in.x3")
    assert only(judged(stream, frame, a_check("DataDrift", None))).result == "NotDetected"
    decision = judged(stream, frame, a_check("DataDrift"))
    rows = frame.filter(pl.col("in.region") == "north").height
    assert decision.verdict == "DataDrift"
    assert f"in region = north ({rows} rows): 1 of" in decision.sentence
    window = window_of(frame.drop("judged"), stream.windows[0].span)
    [told] = report_of(window, decision, "sha256:" + "0" * 64).checks
    assert told.segment is not None
    assert (told.segment.column, told.segment.value, told.segment.rows) == ("region", "north", rows)
    results = {each["value"]: each["result"] for each in only(decision).numbers["segments"]}
    assert results.pop("north") == "Detected"
    assert set(results.values()) == {"NotDetected"}


def test_answers_that_are_wrong_in_one_segment_are_a_drop_there(stream: Stream) -> None:
    """Labels of one region turn; the metric of all rows stays within minDrop."""
    turned = pl.when(pl.col("label") == "yes").then(pl.lit("no")).otherwise(pl.lit("yes"))
    check: dict[str, Any] = {"metric": "accuracy", "minDrop": "0.3"}
    frame = where(stream, turned, "label")
    assert only(judged(stream, frame, a_check("PerformanceDrop", None, **check))).result == "NotDetected"
    found = only(judged(stream, frame, a_check("PerformanceDrop", **check)))
    assert found.result == "Detected"
    assert found.message.startswith("in region = north (")


def test_a_whole_that_moved_is_not_asked_again(stream: Stream) -> None:
    """Segments are for what the whole hides."""
    found = only(judged(stream, stream.windows[0].frame.with_columns(pl.col("in.x0") + 2), a_check("DataDrift")))
    assert (found.result, found.segment) == ("Detected", None)
    assert "segments" not in found.numbers


def test_values_with_few_rows_are_not_looked_at(stream: Stream) -> None:
    """In the window, or in the reference."""
    frame = where(stream, pl.col("in.x3") + 3, "in.x3").filter(
        (pl.col("in.region") != "north") | (pl.int_range(pl.len()) % 4 == 0)
    )
    found = only(judged(stream, frame, a_check("DataDrift", minEffectSize="0.9")))
    assert "north" not in {each["value"] for each in found.numbers["segments"]}
    assert found.message.endswith(f"; nor in any of {len(found.numbers['segments'])} segments")


def test_a_number_with_few_values_may_be_a_column(stream: Stream) -> None:
    """Hours, or stores by their number; of many values those with the most rows."""
    hour = pl.col("in.x1").rank("ordinal") % 4
    reference = replace(
        stream.reference, frame=stream.reference.frame.with_columns(hour.cast(pl.Float64).alias("in.x1"))
    )
    frame = stream.windows[0].frame.with_columns(hour.cast(pl.Float64).alias("in.x1"))
    found = only(judged(replace(stream, reference=reference), frame, a_check("DataDrift", {"columns": ["x1"]})))
    assert [each["value"] for each in found.numbers["segments"]] == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("column", "says"),
    [
        pytest.param("email", r"segments\.columns: 'email' is personal data", id="personal"),
        pytest.param(
            "contry", r"segments\.columns: 'contry' is no input of the model; one of region, x0", id="unknown"
        ),
    ],
)
def test_a_column_that_no_check_compares_is_refused_by_name(stream: Stream, column: str, says: str) -> None:
    """Its values would stand in status and report."""
    described = signature_of(stream.reference.frame)
    personal = {"name": "email", "type": "string", "pii": True}
    signature = type(described).model_validate({**described.dump(), "inputs": [*described.dump()["inputs"], personal]})
    reference = make_reference(signature, stream.reference.frame, where="a test")
    with pytest.raises(BadInput, match=says):
        judged(
            replace(stream, reference=reference), stream.windows[0].frame, a_check("DataDrift", {"columns": [column]})
        )


def test_segments_of_stable_windows_raise_no_alarm(stream: Stream) -> None:
    """Six windows of four regions, all checks at the default alpha."""
    for number, window in enumerate(stream.windows):
        for type_ in ("DataDrift", "PredictionDrift", "LabelShift", "PerformanceDrop"):
            assert only(judged(stream, window.frame, a_check(type_), number)).result == "NotDetected"


def test_the_smallest_alpha_that_can_be_written_is_shared_too(stream: Stream) -> None:
    """A share of it that is written as zero would be no alpha."""
    check = a_check("DataDrift", alpha="0.000000000001")
    assert only(judged(stream, stream.windows[0].frame, check)).result == "NotDetected"
