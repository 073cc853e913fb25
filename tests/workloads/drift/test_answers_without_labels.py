"""What is said, to the word and at the edges, of an estimate, of inputs that go together in another way, and of a
number that moved alone: hand-made numbers, and windows of 600 rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from mlops.api.drift_monitor import Check
from mlops.workloads.drift.checks import ALL
from mlops.workloads.drift.checks.data_drift import DataDrift
from mlops.workloads.drift.checks.drift_check import Evidence
from mlops.workloads.drift.checks.estimated_performance import EstimatedPerformance
from mlops.workloads.drift.findings import (
    Estimate,
    Finding,
    Joint,
    JointPair,
    MeasuredBeside,
    Pair,
    PerformanceEstimate,
    Shift,
)
from mlops.workloads.drift.performance import Labelled, Limits
from tests.workloads.drift.test_answers import (
    INPUTS,
    ROWS,
    a_reference,
    a_window,
    answer,
    decision_of,
    of_numbers,
    regression,
    told,
)
from tests.workloads.drift.test_explained import feature

ESTIMATE = Check(name="estimate", type="EstimatedPerformance", alpha="0.05")


# --- estimates ------------------------------------------------------------------------------------------------------


@dataclass
class Asked:
    """Estimates that were made before, in the order in which they are asked for."""

    found: list[PerformanceEstimate | str]

    def of(self, check: Check) -> PerformanceEstimate | str:
        assert check == ESTIMATE, "asked for another check"
        return self.found.pop(0)


def an_estimate(**changes: Any) -> PerformanceEstimate:
    given = {
        "metric": "roc_auc",
        "higher_is_better": True,
        "method": "CBPE",
        "learnt": "isotonic",
        "rows_reference": 300,
        "rows_current": 600,
        "reference": Estimate(0.9, 0.88, 0.92),
        "current": Estimate(0.8004, 0.7, 0.9),
        "drop": Estimate(0.0996, 0.05, 0.15),
        "min_drop": 0.0213,
        "p_value": 0.001,
    }
    return PerformanceEstimate(**{**given, **changes})


def measured(better: float = 0.01, drop: float = 0.0213) -> MeasuredBeside:
    """The least labels that refute an estimate: surely better than it, and no drop."""
    return MeasuredBeside(150, 0.7501, Estimate(0.9126, 0.9, 0.93), Estimate(0.16, better, 0.3), drop)


def answer_of(*found: PerformanceEstimate | str) -> tuple[Finding, Evidence]:
    """The last answer, of as many checks as there are estimates."""
    evidence = Evidence(None, None, None, None, estimates=Asked(list(found)))  # type: ignore[arg-type]
    answers = [EstimatedPerformance().answer(ESTIMATE, evidence) for _ in found]
    return answers[-1], evidence


SAID = (
    "roc_auc is estimated at 0.800 (0.700 to 0.900), against 0.900 measured on the reference: worse by 0.100"
    " (0.050 to 0.150), {} than 0.0213"
)


@pytest.mark.parametrize(
    ("changes", "result", "said"),
    [
        pytest.param({}, "Detected", "more", id="no labels"),
        pytest.param({"p_value": 0.05}, "Detected", "more", id="shown at alpha"),
        pytest.param({"p_value": 0.0501}, "NotDetected", "not shown to be more", id="not shown"),
        pytest.param({"measured": measured(0.0)}, "Detected", "more", id="labels that may be no better"),
        pytest.param({"measured": measured(drop=0.0214)}, "Detected", "more", id="labels that show a drop, too"),
        pytest.param(
            {"measured": measured(), "p_value": 0.06}, "NotDetected", "not shown to be more", id="nothing to refute"
        ),
    ],
)
def test_an_estimate_is_told_with_what_it_rests_on(changes: dict[str, Any], result: str, said: str) -> None:
    found, _ = answer_of(an_estimate(**changes))
    assert told(found) == (result, SAID.format(said))
    assert found.numbers == {
        "metric": "roc_auc",
        "method": "CBPE",
        "learnt": "isotonic",
        "estimate": 0.8004,
        "drop": 0.0996,
        "pValue": changes.get("p_value", 0.001),
        "rowsReference": 300,
        "rowsCurrent": 600,
    }
    assert EstimatedPerformance().sentence(found.message, ()) == (
        f"The model has likely become worse, as far as can be told without labels: {found.message}."
    )


def test_labels_that_are_surely_better_and_show_no_drop_refute_an_estimate() -> None:
    """A drop of just minDrop is none."""
    found, _ = answer_of(an_estimate(measured=measured()))
    assert told(found) == (
        "NotDetected",
        SAID.format("more") + "; but the 150 rows with labels have 0.913, where 0.750 was estimated of them: the"
        " estimate is wrong",
    )


def test_the_report_shows_the_first_estimate_that_there_is() -> None:
    """Why there is none is an open question, and not shown as one."""
    found, evidence = answer_of("too few rows")
    assert told(found) == ("Inconclusive", "too few rows")
    assert evidence.estimated is None
    first = an_estimate(metric="f1")
    found, evidence = answer_of("too few rows", first, an_estimate())
    assert found.numbers["metric"] == "roc_auc"
    assert evidence.estimated is first


# --- inputs together ------------------------------------------------------------------------------------------------


@dataclass
class Compared:
    """Inputs that were compared before."""

    shifted: tuple[Shift, ...]
    together: Joint | str
    ranks: tuple[Pair, ...] = ()

    def shifts(self, check: Check) -> tuple[Shift, ...]:
        return self.shifted

    def pairs(self, check: Check) -> tuple[Pair, ...]:
        return self.ranks

    def joint(self, check: Check, seed: int) -> Joint | str:
        assert seed == 7
        return self.together


def of_inputs(joint: Joint | str, *, min_share: str | None = None, drifted: bool = False, inputs: int = 6) -> Finding:
    """The answer of so many inputs, of which the first one drifted or none."""
    shifts = tuple(Shift(feature(f"x{number}"), 1.0, None, drifted and not number) for number in range(inputs))
    labelled = Labelled(a_reference(), a_window(), Limits(1, 0.0), 7)
    evidence = Evidence(None, None, Compared(shifts, joint), labelled)  # type: ignore[arg-type]
    return DataDrift().answer(Check(name="inputs", type="DataDrift", min_share=min_share), evidence)


def a_joint(*pairs: tuple[str, str], drifted: bool = True) -> Joint:
    found = tuple(JointPair(*pair, 0.4) for pair in pairs)
    return Joint(9.0, 0.001, None, 0.7149, found, 6, 0, ROWS, drifted)


@pytest.mark.parametrize(
    ("pairs", "named"),
    [
        ([("x0", "x1")], "x0 and x1 go together"),
        ([("x0", "x1"), ("x0", "x2")], "x0 and x1, and one more pair go together"),
        ([("x0", "x1"), ("x0", "x2"), ("x1", "x2")], "x0 and x1, and 2 more pairs go together"),
    ],
)
def test_inputs_that_go_together_in_another_way_are_told(pairs: list[tuple[str, str]], named: str) -> None:
    found = of_inputs(a_joint(*pairs))
    assert told(found) == (
        "Detected",
        f"{named} in another way, though each has the values that it had: a classifier tells held-out rows from the"
        " reference's with a ROC area of 0.71",
    )
    assert found.numbers["joint"].pairs[0].one == "x0"
    assert (found.numbers["features"], found.numbers["compared"], found.numbers["drifted"]) == (6, 6, 0)


@pytest.mark.parametrize(
    ("joint", "min_share"),
    [
        (a_joint(("x0", "x1"), drifted=False), None),
        ("fewer than 200 rows", None),
        (a_joint(("x0", "x1"), ("x1", "x2")), "0.51"),
    ],
    ids=["as before", "not told", "fewer inputs than minShare"],
)
def test_inputs_that_do_not_are_no_drift(joint: Joint | str, min_share: str | None) -> None:
    """And the report has what was found, or why nothing was."""
    found = of_inputs(joint, min_share=min_share)
    assert told(found) == ("NotDetected", "none of 6 inputs moved beyond 0.1")
    assert found.numbers["joint"] is joint
    assert of_inputs(a_joint(("x0", "x1"), ("x1", "x2")), min_share="0.5").result == "Detected", "three of six"


def test_nobody_asks_how_inputs_go_together_where_one_moved_by_itself() -> None:
    found = of_inputs(a_joint(("x0", "x1")), drifted=True)
    assert told(found) == ("Detected", "1 of 6 inputs moved: x0")
    assert "joint" not in found.numbers
    few = of_inputs(a_joint(("x0", "x1")), drifted=True, min_share="0.2")
    assert told(few) == ("NotDetected", "1 of 6 inputs moved: x0; fewer than minShare 0.2")


# --- a number that moved alone --------------------------------------------------------------------------------------

RELATION = Check(name="relation", type="ConceptDrift", metric="mae", min_drop="9")


def of_relation(frame: pl.DataFrame, min_samples: int = ROWS // 2) -> Finding:
    """The answer where no drop is shown. Half of the reference's rows are held out."""
    window = a_window(frame, live_judged=ROWS, live_labelled=ROWS)
    return decision_of(window, RELATION, reference=regression(), min_samples=min_samples).findings[0]


def test_a_number_that_moved_without_its_inputs_is_another_relation() -> None:
    """Though the metric has not dropped by as much as is asked. A map of the answers would make up for it."""
    found = of_relation(of_numbers(0.1))
    assert told(found) == (
        "Detected",
        "the target moved by 0.346, and its inputs and the answers to them did not; calibration alone: a map of the "
        "scores brings mae from 0.100 to 0.000 (0.000 on the reference)",
    )
    assert found.numbers["effect"] == pytest.approx(0.1 * np.sqrt(12), rel=0.01)
    assert found.numbers["metric"] == "mae"


def test_answers_too_coarse_to_follow_the_target_are_no_evidence_of_another_relation() -> None:
    """They are as wrong as before: thirty times as far as the target moved."""
    coarse = [30.0 * pl.Series(np.random.default_rng(seed).normal(size=ROWS)) for seed in (1, 2)]
    known = regression()
    known = replace(known, frame=known.frame.with_columns(coarse[0].alias("out.prediction")))
    window = a_window(
        of_numbers(0.1).with_columns(coarse[1].alias("out.prediction")), live_judged=ROWS, live_labelled=ROWS
    )

    found = decision_of(window, RELATION, reference=known, min_samples=ROWS // 2).findings[0]

    assert found.result == "NotDetected", found.message
    assert "the target moved" not in found.message


# Made in the test: polars at work while the tests are collected leaves threads, which a fork has not.
@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(lambda: of_numbers(0.0), id="nothing moved"),
        pytest.param(lambda: of_numbers(0.1).with_columns(pl.col("in.x3") + 0.5), id="an input did, too"),
        pytest.param(lambda: of_numbers(0.1).with_columns(pl.col("in.x4").alias("in.x3")), id="inputs moved together"),
        pytest.param(lambda: of_numbers(0.1, answers_by=0.1), id="the answers followed"),
        pytest.param(lambda: of_numbers(0.1, answers_by=0.07), id="by more than half of it"),
        pytest.param(lambda: of_numbers(0.1).with_columns(pl.lit(False).alias("live")), id="another version answered"),
        pytest.param(
            lambda: of_numbers(0.1).with_columns(pl.lit(None, pl.Float64).alias("out.prediction")), id="nobody did"
        ),
    ],
)
def test_a_number_that_moved_with_others_is_none(frame: Callable[[], pl.DataFrame]) -> None:
    assert of_relation(frame()).result != "Detected"


def test_answers_that_moved_by_less_than_half_of_it_did_not_follow() -> None:
    found = of_relation(of_numbers(0.1, answers_by=0.03))
    assert found.result == "Detected"


def test_a_number_that_moved_needs_as_many_answered_rows_as_min_samples() -> None:
    """Of the reference's held-out rows as well."""
    frame = of_numbers(0.1).with_columns((pl.int_range(pl.len()) < 299).alias("live"))
    found = [of_relation(*asked).result for asked in ((frame, 299), (frame, 300), (of_numbers(0.1), 301))]
    assert found == ["Detected", "NotDetected", "NotDetected"]


# --- labels ---------------------------------------------------------------------------------------------------------


def test_a_reference_without_labels_is_an_open_question() -> None:
    """Of another reference than the training data, which says why."""
    known = a_reference(frame=a_reference().frame.with_columns(pl.lit(None, pl.String).alias("label")))
    other = replace(known, name="an earlier window", remark=": none came so far")
    assert told(answer(a_window(), "LabelShift", reference=other)) == (
        "Inconclusive",
        "the reference has no labels: none came so far",
    )
    few = decision_of(a_window(), INPUTS, reference=replace(other, frame=known.frame.head(599)))
    assert few.sentence == "It cannot be told: 599 rows in the reference (an earlier window), minSamples is 600."
    assert decision_of(a_window(), INPUTS, reference=replace(known, frame=known.frame.head(599))).verdict == "Stable"


def test_classes_that_the_model_does_not_know_are_part_of_the_balance() -> None:
    """Five are named; they count as labels, also where there are no others, or as many."""
    as_many = answer(a_window(labelled=60, labels_unknown=60), "LabelShift")
    assert as_many.result != "Inconclusive", as_many.message
    window = replace(a_window(labelled=100, labels_unknown=20), unknown=dict.fromkeys("gfedcb", 1))
    assert told(answer(window, "LabelShift"))[1].endswith(
        "; 20 of them are classes that the model does not know (b, c, d, e, f)"
    )
    fewer = replace(window, counts=replace(window.counts, labels_unknown=19))
    assert told(answer(fewer, "LabelShift")) == (
        "Inconclusive",
        "19.8% of the rows have labels, minCoverage is 20.0%",
    )


def test_what_asks_for_more_outranks_what_asks_for_less() -> None:
    """The order in which a verdict is looked for."""
    assert [each.type for each in ALL] == [
        "DataQuality",
        "ConceptDrift",
        "LabelShift",
        "DataDrift",
        "PerformanceDrop",
        "PredictionDrift",
        "EstimatedPerformance",
    ]
    assert [each.type for each in ALL if each.needs_no_rows] == ["DataQuality"]
    assert [each.type for each in ALL if each.needs_labels] == ["ConceptDrift", "LabelShift", "PerformanceDrop"]
    assert [each.type for each in ALL if each.measures] == ["ConceptDrift", "PerformanceDrop", "EstimatedPerformance"]
