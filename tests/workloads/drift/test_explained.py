"""What explains a drop, what moves only together, and answers that come in runs: hand-made windows and findings."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from mlops.api.drift_monitor import Check
from mlops.workloads.drift.baseline import Baseline
from mlops.workloads.drift.checks.drift_check import Evidence
from mlops.workloads.drift.checks.label_shift import LabelShift
from mlops.workloads.drift.checks.performance_drop import PerformanceDrop
from mlops.workloads.drift.findings import DropParts, Estimate, FeatureComparison, Finding, Result, Shift
from mlops.workloads.drift.inputs import compare
from tests.workloads.drift.test_answers import (
    ALL_BUT_CONCEPT,
    INPUTS,
    ROWS,
    START,
    a_reference,
    a_window,
    answer,
    decision_of,
    rows,
    told,
)

CONCEPT = Check(name="concept", type="ConceptDrift", metric="accuracy")
DROP = Check(name="drop", type="PerformanceDrop", metric="accuracy")


def feature(name: str = "x0") -> FeatureComparison:
    values = pl.Series(np.linspace(0.0, 1.0, 60))
    return compare(name, values, values, is_number=True)


def a_shift(nearest: float | None = 0.1, *, limit: float = 0.2, drifted: bool = False) -> Shift:
    """Return an input's answer; `nearest`: its distance to the nearest of the reference's own windows, if it was far
    from the whole."""
    known = None if nearest is None else a_baseline(nearest, limit)
    return Shift(feature(), 1.0, known, drifted)


def a_baseline(nearest: float, limit: float) -> Baseline:
    values: dict[str, Any] = dict.fromkeys(Baseline.__dataclass_fields__, 0)
    return Baseline(**{**values, "nearest": nearest, "limit": limit})


def parts(covariate: float | None = 0.2, concept: float | None = 0.1) -> DropParts:
    given = [None if value is None else Estimate(value, value, value) for value in (covariate, concept)]
    return DropParts(True, *given, concept_p_value=0.5, ess=100.0, domain_auc=0.6)


def is_explained(
    split: DropParts | None, *shifts: Shift, concept: tuple[Result, ...] = ("NotDetected",), drop: Result = "Detected"
) -> bool:
    """Return whether a drop is explained, given what was found of everything else."""
    evidence = Evidence(None, None, None, None, shifts=shifts, split=split)  # type: ignore[arg-type]
    evidence.findings += [Finding(DROP, drop, ""), *(Finding(CONCEPT, result, "") for result in concept)]
    return PerformanceDrop().is_explained(evidence)


def test_a_drop_that_comes_with_inputs_of_another_time_of_the_reference_recurs() -> None:
    """The inputs explain at least as much as the relation does, and each that is unlike the whole is like a window."""
    assert is_explained(parts(), a_shift(), a_shift(None))
    assert is_explained(parts(0.1, 0.1), a_shift(0.2)), "at both bounds"


@pytest.mark.parametrize(
    "explained",
    [
        pytest.param(lambda: is_explained(parts(), a_shift(), concept=()), id="nobody asked for the relation"),
        pytest.param(lambda: is_explained(parts(), a_shift(), concept=("Detected",)), id="the relation moved"),
        pytest.param(
            lambda: is_explained(parts(), a_shift(), concept=("NotDetected", "Inconclusive")), id="it cannot be told"
        ),
        pytest.param(lambda: is_explained(None, a_shift()), id="the drop was not split"),
        pytest.param(lambda: is_explained(parts(None), a_shift()), id="not into inputs"),
        pytest.param(lambda: is_explained(parts(0.2, None), a_shift()), id="not into the relation"),
        pytest.param(lambda: is_explained(parts(0.0999, 0.1), a_shift()), id="the relation explains more"),
        pytest.param(lambda: is_explained(parts()), id="no input was compared"),
        pytest.param(lambda: is_explained(parts(), a_shift(None)), id="no input is unlike the whole reference"),
        pytest.param(lambda: is_explained(parts(), a_shift(), a_shift(0.21)), id="one is like none of its windows"),
        pytest.param(lambda: is_explained(parts(), a_shift(), a_shift(None, drifted=True)), id="another one drifted"),
    ],
)
def test_any_other_drop_is_a_drop(explained: Any) -> None:
    """It is the verdict."""
    assert not explained()


def test_what_else_detected_does_not_tell_whether_the_relation_moved() -> None:
    """Only the checks of the relation do."""
    assert is_explained(parts(), a_shift(), drop="Detected")
    assert is_explained(parts(), a_shift(), drop="NotDetected")


# --- inputs that moved together ---


def correlation(frame: pl.DataFrame, one: str, other: str) -> float:
    ranks = frame.select(pl.col(f"in.{one}").rank(), pl.col(f"in.{other}").rank()).to_numpy()
    return float(np.corrcoef(ranks, rowvar=False)[0, 1])


def together(*names: str) -> pl.DataFrame:
    """Return the rows of a window in which these inputs follow the first of them: each alone is as before."""
    return rows(1).with_columns(pl.col(f"in.{names[0]}").alias(f"in.{name}") for name in names[1:])


def test_two_inputs_that_moved_together_are_told() -> None:
    """With their rank correlation, now and before."""
    decision = decision_of(a_window(together("x0", "x1")), *ALL_BUT_CONCEPT)
    found = decision.findings[1]
    before = correlation(a_reference().frame, "x0", "x1")
    message = f"x0 and x1 moved together: their rank correlation is 1.00, {before:.2f} before"
    assert told(found) == ("Detected", message)
    assert decision.verdict == "DataDrift"
    assert decision.sentence == f"The inputs have moved: {message}."
    [pair] = found.numbers["pairs"]
    assert (pair.one, pair.other, pair.reference) == ("x0", "x1", pytest.approx(before))
    assert found.numbers["drifted"] == 0


def test_of_many_pairs_the_one_that_moved_furthest_is_told() -> None:
    """Ten of them are in the report."""
    found = answer(a_window(together("x0", "x1", "x2", "x3", "x4")), "DataDrift")
    before = {
        (one, other): correlation(a_reference().frame, one, other)
        for number, other in enumerate(("x0", "x1", "x2", "x3", "x4"))
        for one in ("x0", "x1", "x2", "x3", "x4")[:number]
    }
    one, other = min(before, key=lambda pair: before[pair])
    assert found.message == (
        f"{one} and {other} moved together: their rank correlation is 1.00, {before[one, other]:.2f} before"
    )
    assert len(found.numbers["pairs"]) == 10


@pytest.mark.parametrize(("min_share", "result"), [("0.3333", "Detected"), ("0.3334", "NotDetected")])
def test_min_share_counts_the_inputs_of_pairs(min_share: str, result: str) -> None:
    """Two of six are a third of them."""
    found = answer(a_window(together("x0", "x1")), "DataDrift", min_share=min_share)
    assert found.result == result
    if result == "NotDetected":
        assert found.message == "none of 6 inputs moved beyond 0.1"
    assert len(found.numbers["pairs"]) == 1


def test_inputs_that_moved_each_by_itself_are_told_as_such() -> None:
    """Nobody looks for pairs then."""
    moved = together("x0", "x1").with_columns(pl.col("in.x2") + 0.5)
    found = answer(a_window(moved), "DataDrift")
    assert told(found) == ("Detected", "1 of 6 inputs moved: x2")
    assert found.numbers["pairs"] == ()


# --- answers in runs ---


def test_answers_that_come_in_one_run_say_little_of_their_shares() -> None:
    """As many others in the same rows, mixed, are shown to have moved."""
    assert in_order("mixed").result == "Detected"
    assert in_order("run").result == "NotDetected"


def in_order(how: str) -> Finding:
    """Return the answer to a window in which 64 of 100 answers are "no" instead of 50, mixed or one after the other."""
    place = np.arange(ROWS) * 7919 % ROWS if how == "mixed" else np.arange(ROWS)
    frame = rows(1).with_columns(pl.Series("out.prediction", np.where(place < 0.64 * ROWS, "no", "yes")))
    return answer(a_window(frame), "PredictionDrift", min_effect_size="0.01")


@pytest.mark.parametrize(("how", "result"), [("mixed", "Detected"), ("run", "NotDetected")])
def test_probabilities_that_rise_through_the_window_say_little_of_their_distribution(how: str, result: str) -> None:
    """Each is another number: as categories none of them would follow another."""
    place = np.arange(ROWS) * 7919 % ROWS if how == "mixed" else np.arange(ROWS)
    before = np.random.default_rng(2).permutation(np.linspace(0.0, 1.0, ROWS))
    known = a_reference()
    known = replace(known, frame=known.frame.with_columns(pl.Series("out.p.no", before)))
    frame = rows(1).with_columns(pl.Series("out.p.no", 0.2 + 0.8 * place / ROWS))
    found = answer(a_window(frame), "PredictionDrift", reference=known, min_effect_size="0.01")
    assert found.result == result


# --- what the reference knows of missing values, and of classes ---


@pytest.mark.parametrize(
    ("share", "result"),
    [
        pytest.param(0.3, "NotDetected", id="as in one of its weeks"),
        pytest.param(0.305, "NotDetected", id="a little more, and less than one in a hundred"),
        pytest.param(0.5, "Detected", id="more than in any"),
    ],
)
def test_values_that_were_missing_in_one_of_the_references_weeks_are_no_fault(share: float, result: str) -> None:
    """In the others none was."""
    parts = []
    for week in range(4):
        times = [START - timedelta(days=28 - 7 * week) + timedelta(minutes=16 * row) for row in range(ROWS)]
        part = a_reference().frame.with_columns(pl.Series("time", times))
        parts.append(part if week != 1 else without(part, "in.x0", 0.3))
    known = a_reference(frame=pl.concat(parts))
    found = answer(a_window(without(rows(1), "in.x0", share)), "DataQuality", reference=known)
    assert found.result == result
    if result == "Detected":
        assert found.message == "x0 is missing in 50% of the rows, 8% before"


def without(frame: pl.DataFrame, column: str, share: float) -> pl.DataFrame:
    """Return the rows, a share of which lacks a column, evenly spread."""
    there = (pl.int_range(pl.len()) * 7919 % ROWS) >= round(share * ROWS)
    return frame.with_columns(pl.when(there).then(pl.col(column)).alias(column))


@pytest.mark.parametrize("type_", ["DataDrift", "PredictionDrift", "PerformanceDrop", "ConceptDrift"])
@pytest.mark.parametrize("result", ["Detected", "NotDetected", "Inconclusive"])
def test_the_balance_of_numbers_follows_whatever_else_moved(type_: Any, result: Result) -> None:
    """Of classes it has to be shown within them. Another shift of labels, or a broken delivery, explains none."""
    known = replace(a_reference(), classes=())
    for each, explains in ((type_, result == "Detected"), ("DataQuality", False), ("LabelShift", False)):
        evidence = Evidence(known, None, None, None)  # type: ignore[arg-type]
        evidence.findings.append(Finding(Check(name="other", type=each), result, ""))
        assert LabelShift().is_explained(evidence) is explains


@pytest.mark.parametrize(
    ("unknown", "named"),
    [
        ({"e": 1}, "e"),
        (dict.fromkeys("gfedc", 1), "c, d, e, f, g"),
        (dict.fromkeys("hgfedc", 1), "c, d, e, f, g and 1 more"),
        ({"x" * 40: 1, "y" * 41: 1}, "x" * 40 + ", " + "y" * 39 + "…"),
    ],
)
def test_classes_that_the_model_does_not_know_are_named(unknown: dict[str, int], named: str) -> None:
    """Five of them, in order, and no longer than anybody reads."""
    window = replace(a_window(labels_unknown=len(unknown)), unknown=unknown)
    [note] = decision_of(window, INPUTS).notes
    assert note == (
        f"{len(unknown)} rows have labels of classes that the model does not know ({named}): they count for the class "
        "balance, and for no metric; a run on a Dataset that has them learns them."
    )
