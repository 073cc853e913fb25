"""A type of check is declared once, and every table knows it: one that is forgotten somewhere fails by its name."""

from __future__ import annotations

from functools import cache
from typing import get_args

import pytest

from bench.drift_streams import Stream, make_stream
from mlops.api.drift_monitor import QUESTIONS, Check, CheckType, Labels, Verdict
from mlops.api.drift_monitor import Window as WindowSpec
from mlops.workloads.drift.checks import ALL, CHECKS
from mlops.workloads.drift.findings import Finding
from mlops.workloads.drift.page import ADVICE
from mlops.workloads.drift.verdict import decide

TYPES: tuple[CheckType, ...] = get_args(CheckType)
# By type: the kind of stream (bench/drift_streams.py) in which it detects what happens half-way.
DETECTS: dict[CheckType, str] = {
    "DataQuality": "quality",
    "DataDrift": "covariate",
    "PredictionDrift": "covariate",
    "LabelShift": "label",
    "PerformanceDrop": "concept",
    "EstimatedPerformance": "harder",
    "ConceptDrift": "concept",
}


@pytest.mark.parametrize("type_", TYPES)
def test_every_table_knows_the_type(type_: CheckType) -> None:
    """Question, object, report and the stream that shows it; schema and docs are made of these by `make generate`."""
    assert type_ in QUESTIONS, f"{type_} asks no question: api/drift_monitor.py, QUESTIONS"
    assert type_ in CHECKS, f"mlops/workloads/drift/checks has no object of type {type_}"
    assert ADVICE[type_] is CHECKS[type_].advice
    assert type_ in DETECTS, f"{type_} is not shown to detect anything: tests/workloads/drift/test_check_types.py"


@pytest.mark.parametrize("type_", TYPES)
def test_what_a_check_detects_is_told_in_a_sentence(type_: CheckType) -> None:
    """With the check's own message in it."""
    check = Check(name="one", type=type_)
    sentence = CHECKS[type_].sentence("seventeen rows", [Finding(check, "Detected", "seventeen rows")])
    assert "seventeen rows" in sentence
    assert sentence.endswith(".")


def test_no_object_is_without_a_type_of_the_api_and_ranks_differ() -> None:
    """A rank that two have would leave the verdict to chance."""
    assert {each.type for each in ALL} == set(TYPES)
    assert sorted(each.rank for each in ALL) == sorted({each.rank for each in ALL}), "two types have one rank"
    assert set(ADVICE) == set(get_args(Verdict))


@cache
def stream_of(kind: str) -> Stream:
    """Return a stream of two windows, the second of which is after the change."""
    return make_stream(kind, 7, rows=1500, windows=2)


@pytest.mark.thorough
@pytest.mark.parametrize("type_", TYPES)
def test_a_check_detects_what_happens_and_nothing_before_it(type_: CheckType) -> None:
    """Asked alone, whatever other types would say."""
    stream, results = stream_of(DETECTS[type_]), []
    for window in stream.windows:
        decision = decide(
            stream.reference,
            window,
            (Check(name="alone", type=type_),),
            limits=WindowSpec(duration="7d"),
            labels=Labels(),
            seed=1,
        )
        results += [finding.result for finding in decision.findings]
    assert results == ["NotDetected", "Detected"]
