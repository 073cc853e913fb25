"""What each type of check answers, to the word and at the edges: hand-made windows against a reference of 600 rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from mlops.api.base import format_time
from mlops.api.drift_monitor import Check, Labels
from mlops.api.drift_monitor import Window as WindowSpec
from mlops.workloads.drift.findings import Decision, Finding
from mlops.workloads.drift.inputs import compare
from mlops.workloads.drift.reference import Reference
from mlops.workloads.drift.verdict import decide
from mlops.workloads.drift.window import JudgedSpan, Window, window_of, with_cohort
from mlops.workloads.floor.pod import BadInput

ROWS = 600
START = datetime(2025, 3, 1, tzinfo=UTC)
SPAN = JudgedSpan(START, START + timedelta(days=7), START + timedelta(days=7))
NUMBERS = ("x0", "x1", "x2", "x3", "x4")


def rows(seed: int, wrong_every: int = 5) -> pl.DataFrame:
    """600 rows, a minute apart: each number is spread evenly over 0 to 1; every fifth answer is wrong."""
    chance = np.random.default_rng(seed)
    label = ["yes" if row % 2 else "no" for row in range(ROWS)]
    answer = [
        said if row % wrong_every else ("no" if said == "yes" else "yes") for row, said in enumerate(label, start=1)
    ]
    return pl.DataFrame(
        {
            **{f"in.{name}": chance.permutation(np.linspace(0.0, 1.0, ROWS)) for name in NUMBERS},
            "in.region": ["north", "south", "east"] * (ROWS // 3),
            "label": label,
            "out.prediction": answer,
            "out.p.no": [0.8 if said == "no" else 0.2 for said in answer],
            "out.p.yes": [0.8 if said == "yes" else 0.2 for said in answer],
            "time": [START + timedelta(minutes=1 + row) for row in range(ROWS)],
        }
    )


def a_reference(**changes: Any) -> Reference:
    """A classifier's. Its rows are of ten hours, so it has no windows of its own length of seven days."""
    part = ["train"] * (ROWS // 2) + ["test"] * (ROWS // 2)
    frame = rows(0).with_columns(pl.col("time") - timedelta(days=30), pl.Series("part", part))
    given = {
        "frame": frame,
        "task": "classification",
        "numeric": NUMBERS,
        "categorical": ("region",),
        "classes": ("no", "yes"),
        "label": "bought",
        "required": frozenset({"x1", "region"}),
    }
    return Reference(**{**given, **changes})


def a_window(frame: pl.DataFrame | None = None, *, absent: tuple[str, ...] = (), **counts: Any) -> Window:
    """All rows answered by the live version and labelled; `counts` lay over what was counted."""
    frame = rows(1) if frame is None else frame
    if "live" not in frame.columns:
        frame = frame.with_columns(pl.lit(True).alias("live"))
    numbers = pl.int_range(pl.len(), dtype=pl.Int64)
    window = window_of(frame.with_columns(pl.lit("a").alias("id"), numbers.alias("row")), SPAN)
    return replace(window, absent=absent, counts=replace(window.counts, **counts))


def where(share: float, column: str, value: Any) -> pl.DataFrame:
    """The rows of a window with `value` in the first `share` of a column."""
    index = pl.int_range(pl.len())
    return rows(1).with_columns(
        pl.when(index < round(share * ROWS)).then(value).otherwise(pl.col(column)).alias(column)
    )


def moved(by: float, *names: str) -> pl.DataFrame:
    """The rows of a window with `by` added to each named number, one time more for each following one."""
    return rows(1).with_columns(pl.col(f"in.{name}") + by * (1 + number) for number, name in enumerate(names))


def decision_of(
    window: Window, *checks: Check, reference: Reference | None = None, min_samples: int = ROWS, **labels: str
) -> Decision:
    limits = WindowSpec(duration="7d", min_samples=min_samples, max_samples=10_000)
    found = decide(reference or a_reference(), window, checks, limits=limits, labels=Labels(**labels), seed=1)
    assert tuple(each.check for each in found.findings) == checks, "each answers its check"
    return found


def answer(window: Window, type_: str, *, reference: Reference | None = None, **settings: Any) -> Finding:
    """The answer of one check to a window."""
    check = Check.model_validate({"name": "one", "type": type_, **settings})
    (found,) = decision_of(window, check, reference=reference).findings
    return found


def told(found: Finding) -> tuple[str, str]:
    return found.result, found.message


QUALITY, INPUTS, BALANCE = (
    Check(name=type_.lower(), type=type_) for type_ in ("DataQuality", "DataDrift", "LabelShift")
)
DROP = Check(name="drop", type="PerformanceDrop", metric="accuracy")
ANSWERS = Check(name="answers", type="PredictionDrift")
CONCEPT = Check(name="concept", type="ConceptDrift", metric="accuracy")
ALL_BUT_CONCEPT = (QUALITY, INPUTS, BALANCE, DROP, ANSWERS)


def test_a_window_like_the_reference_is_stable_in_all_respects() -> None:
    """And the report says so in one sentence, with no remark and no time of a change."""
    decision = decision_of(a_window(), *ALL_BUT_CONCEPT, CONCEPT)
    assert decision.verdict == "Stable"
    assert decision.sentence == "Nothing that was asked about has moved."
    assert [finding.result for finding in decision.findings] == ["NotDetected"] * 6
    assert (decision.notes, decision.change_point, decision.split, decision.challenge) == ((), None, None, None)
    assert [shift.feature.name for shift in decision.shifts].count("region") == 1
    assert len(decision.shifts) == 6
    assert decision.performance is not None
    assert (decision.performance.metric, decision.performance.rows_current) == ("accuracy", ROWS)


def test_as_many_rows_as_min_samples_are_enough_and_one_fewer_is_not() -> None:
    """The verdict says how many there are and how many it takes."""
    assert decision_of(a_window(), QUALITY, INPUTS, min_samples=ROWS).verdict == "Stable"
    few = decision_of(a_window(), QUALITY, INPUTS, min_samples=ROWS + 1)
    assert few.verdict == "Inconclusive"
    assert few.sentence == "It cannot be told: 600 rows in the window, minSamples is 601."
    assert [told(each) for each in few.findings] == [("Inconclusive", "600 rows in the window, minSamples is 601")] * 2


def test_one_open_question_leaves_the_verdict_open_and_is_told() -> None:
    """What is stable beside it does not answer it."""
    decision = decision_of(a_window(judged=ROWS - 1), QUALITY, BALANCE)
    assert decision.verdict == "Inconclusive"
    assert decision.sentence == "It cannot be told: 599 rows are old enough to have labels, minSamples is 600."


def test_a_wrong_metric_is_refused_though_there_are_too_few_rows() -> None:
    """It will be as wrong tomorrow."""
    wrong = Check(name="drop", type="PerformanceDrop", metric="mae")
    with pytest.raises(BadInput, match=r"spec.checks\[drop\].metric: mae does not fit a classification model"):
        decision_of(a_window(), QUALITY, wrong, min_samples=5_000)
    assert decision_of(a_window(), Check(name="a", type="DataDrift", metric="mae")).verdict == "Stable"


# --- data quality ---------------------------------------------------------------------------------------------------


SPREAD = pl.int_range(pl.len()).cast(pl.Float64) * 1e-3


@pytest.mark.parametrize(
    ("column", "value", "setting", "message"),
    [
        pytest.param("in.x0", None, "min_share", "x0 is missing in 25% of the rows, 0% before", id="missing"),
        pytest.param(
            "in.x0", 99.0 + SPREAD, "min_effect_size", "x0 is far outside its range in 25% of the rows", id="above"
        ),
        pytest.param(
            "in.x0", -99.0 - SPREAD, "min_effect_size", "x0 is far outside its range in 25% of the rows", id="below"
        ),
    ],
)
def test_a_fault_of_the_delivery_counts_from_its_limit_on(column: str, value: Any, setting: str, message: str) -> None:
    """A quarter of the rows is enough for 0.25, and too little for 0.26."""
    frame = where(0.25, column, value)
    found = answer(a_window(frame), "DataQuality", **{setting: "0.25"})
    assert told(found) == ("Detected", message)
    assert found.numbers == {"problems": [message]}
    fine = answer(a_window(frame), "DataQuality", **{setting: "0.26"})
    assert told(fine) == ("NotDetected", "values are delivered as in the reference")
    assert fine.numbers == {"problems": []}
    decision = decision_of(a_window(frame), QUALITY, INPUTS)
    assert decision.verdict == "DataQuality", "it outranks the inputs, which have moved by it"
    assert decision.sentence == f"The delivery of data is broken: {message}."


def test_a_new_category_is_a_change_of_the_world_and_a_column_of_new_ones_is_none() -> None:
    """A quarter of the rows of a new region is drift; six in ten are another column."""
    new = pl.when(pl.int_range(pl.len()) % 4 == 0).then(pl.lit("mars")).otherwise(pl.col("in.region"))
    assert decision_of(a_window(rows(1).with_columns(new.alias("in.region"))), QUALITY, INPUTS).verdict == "DataDrift"
    most = pl.when(pl.int_range(pl.len()) % 5 < 3).then(pl.lit("mars")).otherwise(pl.col("in.region"))
    found = answer(a_window(rows(1).with_columns(most.alias("in.region"))), "DataQuality")
    assert told(found) == ("Detected", "region has unseen categories in 60% of the rows")


def test_nothing_missing_is_no_fault_whatever_the_limit() -> None:
    """With minEffectSize 0, too, and one row is chance."""
    for frame in (rows(1), where(1 / ROWS, "in.x0", None), where(1 / ROWS, "in.region", pl.lit("mars"))):
        assert answer(a_window(frame), "DataQuality", min_effect_size="0").result == "NotDetected"


def test_fewer_missing_values_than_before_are_no_fault() -> None:
    """However sure it is that something has changed."""
    holes = pl.when(pl.int_range(pl.len()) % 2 == 0).then(None).otherwise(pl.col("in.x0")).alias("in.x0")
    reference = a_reference(frame=a_reference().frame.with_columns(holes))
    assert answer(a_window(), "DataQuality", reference=reference, min_effect_size="0").result == "NotDetected"
    found = answer(a_window(where(0.75, "in.x0", None)), "DataQuality", reference=reference)
    assert found.message == "x0 is missing in 75% of the rows, 50% before"


def test_a_required_input_that_is_missing_in_every_row_was_redacted() -> None:
    """A server refuses requests without it. One that may be missing is told, and one row that has it, too."""
    all_missing = where(1.0, "in.region", None)
    assert answer(a_window(all_missing), "DataQuality").result == "NotDetected"
    assert answer(a_window(where(1.0, "in.x0", None)), "DataQuality").message.startswith("x0 is missing in 100%")
    assert answer(a_window(where(1 - 1 / ROWS, "in.region", None)), "DataQuality").result == "Detected"


def test_an_input_that_no_capture_has_is_told_once() -> None:
    """As lacking, and not as missing in every row beside it."""
    found = answer(a_window(where(1.0, "in.x0", None), absent=("x0",)), "DataQuality")
    assert told(found) == ("Detected", "the window lacks the input x0")


def test_two_faults_are_told_and_how_many_more_there_are() -> None:
    """The report has all of them."""
    two = a_window(where(0.5, "in.x0", None), absent=("x1",))
    assert answer(two, "DataQuality").message == (
        "the window lacks the input x1; x0 is missing in 50% of the rows, 0% before"
    )
    four = replace(two, absent=("x1", "x2", "x3"))
    found = answer(four, "DataQuality")
    assert found.message == "the window lacks the input x1; the window lacks the input x2 (and 2 more)"
    assert len(found.numbers["problems"]) == 4


def test_requests_that_have_stopped_are_a_fault_and_a_stage_never_used_is_not() -> None:
    """No rows are no small window: the verdict needs none."""
    empty = rows(1).clear()
    stopped = decision_of(a_window(empty, captured_before=True), INPUTS, QUALITY)
    assert stopped.verdict == "DataQuality"
    assert stopped.sentence == (
        "The delivery of data is broken: no request was captured in the window, though there were some before it."
    )
    assert stopped.findings[0].message == "0 rows in the window, minSamples is 600"
    never = decision_of(a_window(empty), INPUTS, QUALITY)
    assert never.sentence == "It cannot be told: 0 rows in the window, minSamples is 600."
    few = decision_of(a_window(rows(1).head(1), captured_before=True), QUALITY)
    assert few.sentence == "It cannot be told: 1 rows in the window, minSamples is 600."


# --- inputs ---------------------------------------------------------------------------------------------------------


def test_up_to_three_inputs_that_moved_are_named_the_farthest_first() -> None:
    """A fourth one is an ellipsis."""
    three = answer(a_window(moved(0.1, "x0", "x1", "x2")), "DataDrift")
    assert told(three) == ("Detected", "3 of 6 inputs moved: x2, x1, x0")
    assert three.numbers == {"features": 6, "compared": 6, "drifted": 3, "pairs": ()}
    assert answer(a_window(moved(0.1, "x0", "x1", "x2", "x3")), "DataDrift").message == (
        "4 of 6 inputs moved: x3, x2, x1, …"
    )


def test_min_share_counts_the_inputs_that_can_be_compared() -> None:
    """Two of five are 0.4 of them, though the model has six."""
    window = a_window(moved(0.2, "x0", "x1").with_columns(pl.lit(None, pl.String).alias("in.region")))
    found = answer(window, "DataDrift", min_share="0.4")
    assert told(found) == ("Detected", "2 of 5 inputs moved: x1, x0")
    assert found.numbers == {"features": 6, "compared": 5, "drifted": 2, "pairs": ()}
    assert told(answer(window, "DataDrift", min_share="0.5")) == (
        "NotDetected",
        "2 of 5 inputs moved: x1, x0; fewer than minShare 0.5",
    )


def test_inputs_that_did_not_move_are_no_drift_and_none_to_compare_is_an_open_question() -> None:
    """With minShare 0, too."""
    assert told(answer(a_window(), "DataDrift", min_effect_size="0.50")) == (
        "NotDetected",
        "none of 6 inputs moved beyond 0.5",
    )
    nothing = rows(1).with_columns(
        pl.lit(None, pl.Float64 if name in NUMBERS else pl.String).alias(f"in.{name}") for name in (*NUMBERS, "region")
    )
    found = answer(a_window(nothing), "DataDrift")
    assert told(found) == ("Inconclusive", "no input has a value in the window")
    assert found.numbers == {"features": 6, "compared": 0, "drifted": 0}


def test_the_report_has_the_inputs_of_the_first_check_that_asked() -> None:
    """A second one with another limit does not lay its answer over it."""
    strict = Check(name="strict", type="DataDrift", min_effect_size="5")
    window = a_window(moved(0.2, "x0"))
    first, second = (decision_of(window, *order).shifts[0].drifted for order in ((INPUTS, strict), (strict, INPUTS)))
    assert (first, second) == (True, False)


def test_of_two_checks_of_a_type_the_first_that_detects_is_told() -> None:
    """And one that does not detect is none."""
    window = a_window(moved(0.1, "x0", "x1"))
    checks = [
        Check(name="never", type="DataDrift", min_effect_size="9"),
        Check(name="one", type="DataDrift", min_effect_size="0.5"),
        Check(name="two", type="DataDrift"),
    ]
    assert decision_of(window, *checks).sentence == "The inputs have moved: 1 of 6 inputs moved: x1."
    assert decision_of(window, *checks, CONCEPT).sentence == (
        "The inputs have moved: 1 of 6 inputs moved: x1; the relation of inputs to target is not shown to have moved."
    )


# --- class balance --------------------------------------------------------------------------------------------------


def test_labels_are_compared_when_enough_rows_are_old_enough_and_have_one() -> None:
    """At the limits they are."""
    assert answer(a_window(judged=ROWS), "LabelShift").result == "NotDetected"
    assert told(answer(a_window(judged=ROWS - 1), "LabelShift")) == (
        "Inconclusive",
        "599 rows are old enough to have labels, minSamples is 600",
    )
    assert answer(a_window(labelled=120), "LabelShift").result == "NotDetected"
    assert told(answer(a_window(labelled=119), "LabelShift")) == (
        "Inconclusive",
        "19.8% of the rows have labels, minCoverage is 20.0%",
    )
    none = decision_of(a_window(labelled=0), BALANCE, min_coverage="0")
    assert told(none.findings[0]) == ("Inconclusive", "0.0% of the rows have labels, minCoverage is 0.0%")


def test_a_moved_class_balance_is_told_with_its_numbers() -> None:
    """All rows with a label count, whoever answered them."""
    frame = where(0.5, "label", pl.lit("yes")).with_columns(pl.lit(False).alias("live"))
    decision = decision_of(a_window(frame), BALANCE)
    (found,) = decision.findings
    assert decision.verdict == "LabelShift"
    assert decision.sentence == f"The class balance has changed: {found.message}."
    effect = found.numbers["effect"]
    assert found.message == f"the labels moved by {effect:.3g}"
    assert found.numbers["reference"] == {"no": 300, "yes": 300}
    assert found.numbers["current"] == {"no": 150, "yes": 450}
    assert found.numbers["pValue"] < 1e-6
    assert found.numbers["baseline"] is None
    assert 0.15 < effect < 0.25, "the Jensen-Shannon distance of 1/2 to 3/4"
    beyond = answer(a_window(frame), "LabelShift", min_effect_size=f"{effect:.15f}"[:9])
    assert beyond.result == "Detected"
    assert told(answer(a_window(frame), "LabelShift", min_effect_size="0.5")) == (
        "NotDetected",
        f"the labels moved by {effect:.3g}, not significantly or not beyond 0.5",
    )


def test_a_small_change_of_the_balance_is_chance() -> None:
    """Whatever the smallest effect that counts."""
    frame = where(0.02, "label", pl.lit("yes"))
    found = answer(a_window(frame), "LabelShift", min_effect_size="0")
    assert found.result == "NotDetected"
    assert found.message.endswith(", not significantly or not beyond 0")


def test_a_balance_that_the_reference_knows_from_one_of_its_weeks_is_no_shift() -> None:
    """Four weeks of the reference alternate between mostly yes and mostly no; one more of mostly yes is like them."""
    parts = []
    for week in range(4):
        often, rarely = ("yes", "no") if week % 2 else ("no", "yes")
        labels = [often if row % 4 else rarely for row in range(ROWS)]
        spread = [START - timedelta(days=28 - 7 * week) + timedelta(minutes=16 * row) for row in range(ROWS)]
        parts.append(a_reference().frame.with_columns(pl.Series("label", labels), pl.Series("time", spread)))
    known = a_reference(frame=pl.concat(parts))
    frame = where(0.5, "label", pl.lit("yes"))
    found = answer(a_window(frame), "LabelShift", reference=known)
    assert found.result == "NotDetected"
    assert found.message.endswith(", but are like those of one of the reference's own windows")
    assert found.numbers["baseline"].nearest < 0.05
    always = answer(a_window(where(1.0, "label", pl.lit("yes"))), "LabelShift", reference=known)
    assert told(always) == ("Detected", f"the labels moved by {always.numbers['effect']:.3g}")


def test_a_balance_that_followed_the_inputs_is_the_inputs_verdict() -> None:
    """An input moved within the classes: then the labels followed it. Without that it is a label shift."""
    balance = where(0.5, "label", pl.lit("yes"))
    followed = balance.with_columns(pl.col("in.x0") + 0.2)
    assert decision_of(a_window(followed), INPUTS, BALANCE).verdict == "DataDrift"
    assert decision_of(a_window(followed), BALANCE).verdict == "LabelShift", "nobody asked about the inputs"
    strict = Check(name="inputs", type="DataDrift", min_effect_size="3")
    assert decision_of(a_window(followed), strict, BALANCE).verdict == "LabelShift"


def telling(frame: pl.DataFrame) -> pl.DataFrame:
    """The same rows with an input that tells the classes apart."""
    return frame.with_columns(pl.col("in.x0") + pl.when(pl.col("label") == "yes").then(2.0).otherwise(0.0))


def answered(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows with answers as those of `rows`: every fifth is wrong, whatever the balance of the classes."""
    right = pl.int_range(pl.len()) % 5 != 4
    other = pl.when(pl.col("label") == "yes").then(pl.lit("no")).otherwise(pl.lit("yes"))
    said = pl.when(right).then(pl.col("label")).otherwise(other)
    return frame.with_columns(
        said.alias("out.prediction"),
        pl.when(said == "no").then(0.8).otherwise(0.2).alias("out.p.no"),
        pl.when(said == "yes").then(0.8).otherwise(0.2).alias("out.p.yes"),
    )


def test_inputs_that_moved_only_with_the_classes_leave_a_label_shift_one() -> None:
    """An input that tells the classes apart moves when their shares do, and within a class it stays."""
    reference = a_reference(frame=telling(a_reference().frame))
    balance = answered(telling(where(0.5, "label", pl.lit("yes"))))
    decision = decision_of(a_window(balance), INPUTS, BALANCE, reference=reference)
    assert [finding.result for finding in decision.findings] == ["Detected", "Detected"]
    assert decision.verdict == "LabelShift"


@pytest.mark.parametrize(("few", "verdict"), [(29, "LabelShift"), (30, "DataDrift")])
def test_a_class_of_fewer_than_thirty_rows_says_nothing_of_inputs(few: int, verdict: str) -> None:
    """Only in the rare class has the input moved; of the frequent one every row is where it was."""
    rare = pl.int_range(pl.len()) < few
    label = pl.when(rare).then(pl.lit("no")).otherwise(pl.lit("yes")).alias("label")
    frame = answered(telling(rows(1).with_columns(label))).with_columns(
        pl.col("in.x0") + pl.when(rare).then(30.0).otherwise(0.0)
    )
    reference = a_reference(frame=telling(a_reference().frame))
    decision = decision_of(a_window(frame), INPUTS, BALANCE, reference=reference)
    assert [finding.result for finding in decision.findings] == ["Detected", "Detected"]
    assert decision.verdict == verdict


def test_an_input_moved_within_a_class_by_just_the_smallest_effect_has_moved() -> None:
    """The limit of the check of the inputs is included."""
    frame = where(1 - 29 / ROWS, "label", pl.lit("yes")).with_columns(
        pl.when(pl.int_range(pl.len()) < ROWS - 29).then(pl.lit("yes")).otherwise(pl.lit("no")).alias("label")
    )
    frame = answered(telling(frame)).with_columns(pl.col("in.x0") + 0.2)
    reference = a_reference(frame=telling(a_reference().frame))
    column, is_yes = "in.x0", pl.col("label") == "yes"
    within = compare("x0", *(each.filter(is_yes)[column] for each in (reference.frame, frame)), is_number=True)
    assert within.effect is not None

    def verdict(effect: float) -> str:
        inputs = Check(name="inputs", type="DataDrift", min_effect_size=f"{effect:.17f}")
        return decision_of(a_window(frame), inputs, BALANCE, reference=reference).verdict

    assert float(f"{within.effect:.17f}") == within.effect
    assert verdict(within.effect) == "DataDrift"
    assert verdict(within.effect + 1e-9) == "LabelShift"


def regression(values: pl.Series | None = None) -> Reference:
    """A regression's reference, whose labels and answers are spread evenly over 0 to 1."""
    frame = a_reference().frame.drop("out.p.no", "out.p.yes")
    label = pl.col("in.x0") if values is None else values
    frame = frame.with_columns(label.alias("label"), pl.col("in.x0").alias("out.prediction"))
    return a_reference(frame=frame, task="regression", classes=())


def of_numbers(by: float, answers_by: float = 0.0) -> pl.DataFrame:
    """The rows of a regression's window: `by` is added to its labels, `answers_by` to its answers."""
    frame = rows(1).drop("out.p.no", "out.p.yes")
    return frame.with_columns(
        (pl.col("in.x0") + by).alias("label"), (pl.col("in.x0") + answers_by).alias("out.prediction")
    )


def test_the_labels_of_a_regression_are_compared_as_numbers() -> None:
    """A tenth of their range is a third of their standard deviation."""
    found = answer(a_window(of_numbers(0.1)), "LabelShift", reference=regression())
    assert told(found) == ("Detected", "the labels moved by 0.346")
    assert found.numbers["effect"] == pytest.approx(0.1 * np.sqrt(12), rel=0.01)
    still = answer(a_window(of_numbers(0.0)), "LabelShift", reference=regression())
    assert still.result == "NotDetected"
    assert still.numbers["pValue"] == 1.0
    nothing = answer(a_window(of_numbers(0.1)), "LabelShift", reference=regression(pl.lit(None, pl.Float64)))  # type: ignore[arg-type]
    assert (nothing.numbers["effect"], nothing.numbers["pValue"]) == (0.0, 1.0)
    assert nothing.result == "NotDetected"


# --- answers --------------------------------------------------------------------------------------------------------


def test_moved_answers_are_told_when_nothing_else_is_asked() -> None:
    """A class and a probability, against the rows that the model was tested on."""
    frame = rows(1).with_columns(pl.lit("yes").alias("out.prediction"))
    decision = decision_of(a_window(frame), ANSWERS)
    (found,) = decision.findings
    assert decision.verdict == "PredictionDrift"
    effect = found.numbers["effect"]
    assert found.message == f"the answers moved by {effect:.3g}"
    assert decision.sentence == f"The model's answers have moved: the answers moved by {effect:.3g}."
    assert found.numbers["pValue"] < 1e-6
    assert found.numbers["baseline"] is None
    assert told(answer(a_window(), "PredictionDrift", min_effect_size="0.30")) == (
        "NotDetected",
        "the answers moved by 0, not significantly or not beyond 0.3",
    )


def test_a_probability_that_moved_is_enough() -> None:
    """Though every answer is the same class as before."""
    frame = rows(1).with_columns(pl.col("out.p.no") * 0.9, 1.0 - pl.col("out.p.no") * 0.9)
    assert answer(a_window(frame), "PredictionDrift").result == "Detected"


def test_answers_of_other_versions_and_training_rows_do_not_count() -> None:
    """Only the live version's, and only against held-out rows."""
    frame = rows(1).with_columns(pl.lit("yes").alias("out.prediction"), pl.lit(False).alias("live"))
    assert told(answer(a_window(frame), "PredictionDrift")) == (
        "Inconclusive",
        "there are no answers of the live version to compare",
    )
    half = rows(1).with_columns(
        pl.when(pl.int_range(pl.len()) % 3 == 0)
        .then(pl.lit("yes"))
        .otherwise("out.prediction")
        .alias("out.prediction"),
        (pl.int_range(pl.len()) % 3 != 0).alias("live"),
    )
    assert answer(a_window(half), "PredictionDrift").result == "NotDetected"
    trained = pl.when(pl.col("part") == "train").then(pl.lit("yes")).otherwise("out.prediction").alias("out.prediction")
    reference = a_reference(frame=a_reference().frame.with_columns(trained))
    assert answer(a_window(), "PredictionDrift", reference=reference).result == "NotDetected"


@pytest.mark.parametrize(("held_out", "result"), [(1, "Inconclusive"), (2, "NotDetected")])
def test_answers_need_two_held_out_rows_to_be_compared_with(held_out: int, result: str) -> None:
    """One is no distribution."""
    frame = a_reference().frame
    part = pl.when(pl.int_range(pl.len()) < held_out).then(pl.lit("test")).otherwise(pl.lit("train")).alias("part")
    assert answer(a_window(), "PredictionDrift", reference=a_reference(frame=frame.with_columns(part))).result == result


def test_answers_without_a_value_are_an_open_question() -> None:
    """Neither class nor probability was captured."""
    frame = rows(1).with_columns(
        pl.lit(None, pl.String).alias("out.prediction"), pl.lit(None, pl.Float64).alias("out.p.no")
    )
    assert told(answer(a_window(frame), "PredictionDrift")) == ("Inconclusive", "no answer has a value in the window")


def test_the_answers_of_a_regression_are_compared_as_numbers() -> None:
    """A tenth of their range is a third of their standard deviation."""
    found = answer(a_window(of_numbers(0.0, answers_by=0.1)), "PredictionDrift", reference=regression())
    assert found.result == "Detected"
    assert found.numbers["effect"] == pytest.approx(0.1 * np.sqrt(12), rel=0.15)


def test_answers_like_those_of_one_of_the_references_weeks_are_no_drift() -> None:
    """The reference's weeks alternate between two levels; the window has the level of two of them."""
    parts = []
    for week in range(4):
        spread = [START - timedelta(days=28 - 7 * week) + timedelta(minutes=16 * row) for row in range(ROWS)]
        part = regression().frame.with_columns(pl.col("out.prediction") + 3.0 * (week % 2), pl.Series("time", spread))
        parts.append(part)
    known = replace(regression(), frame=pl.concat(parts))
    # None of its numbers is one of the reference's: as categories they would be all new.
    found = answer(a_window(of_numbers(0.0, answers_by=3.0001)), "PredictionDrift", reference=known)
    assert found.result == "NotDetected"
    assert answer(a_window(of_numbers(0.0, answers_by=9.0)), "PredictionDrift", reference=known).result == "Detected"


# --- performance ----------------------------------------------------------------------------------------------------


def test_a_drop_is_told_with_its_numbers_and_dated() -> None:
    """Every second answer is wrong instead of every fifth: from the window's first row on."""
    decision = decision_of(a_window(rows(1, wrong_every=2)), DROP)
    (found,) = decision.findings
    assert decision.verdict == "PerformanceDrop"
    assert decision.sentence == (
        f"The model has become worse, for reasons that the checks do not tell: {found.message}."
    )
    assert found.message.startswith("accuracy 0.500 against 0.800 of the reference: worse by 0.300 (")
    assert found.message.endswith(", more than 0.02")
    assert found.numbers["drop"] == pytest.approx(0.3)
    assert (found.numbers["rowsReference"], found.numbers["rowsCurrent"]) == (300, 600)
    assert decision.performance is not None
    assert decision.performance.drop.value == pytest.approx(0.3)
    assert decision.change_point is not None
    assert decision.change_point.startswith("2025-03-01T00:0"), "the window's first rows"


def test_a_drop_within_min_drop_is_none_and_has_no_date() -> None:
    """A change of the loss that nobody minds is not dated."""
    allowed = Check(name="drop", type="PerformanceDrop", metric="accuracy", min_drop="0.4")
    decision = decision_of(a_window(rows(1, wrong_every=2)), allowed)
    assert decision.verdict == "Stable"
    assert decision.findings[0].message.endswith(", not shown to be more than 0.4")
    assert decision.change_point is None
    assert decision.performance is not None


def test_a_drop_is_shown_at_its_alpha() -> None:
    """And a little below that it is not, also for the check that asks for its cause: no drop at all has p = 1/2."""
    for type_ in ("PerformanceDrop", "ConceptDrift"):
        at, below = (
            answer(a_window(), type_, metric="accuracy", min_drop="0", alpha=alpha) for alpha in ("0.5", "0.4999")
        )
        assert at.numbers["pValue"] == below.numbers["pValue"] == 0.5
        assert "not shown to be more than 0" not in at.message
        assert below.result == "NotDetected"
        assert below.message.endswith(", not shown to be more than 0")
        # Its cause is told in other words than the drop itself.
        assert at.message.startswith("accuracy") is (type_ == "PerformanceDrop")
    assert answer(a_window(), "PerformanceDrop", metric="accuracy", min_drop="0", alpha="0.5").result == "Detected"


def test_the_report_shows_the_first_drop_that_was_asked_for() -> None:
    """With its alpha, and the limit of the monitor for labels."""
    other = Check(name="other", type="PerformanceDrop", metric="log_loss")
    first = decision_of(a_window(), DROP, other).performance
    assert first is not None
    assert first.metric == "accuracy"
    few = decision_of(a_window(live_judged=ROWS - 1), DROP)
    assert few.performance is None
    assert told(few.findings[0]) == (
        "Inconclusive",
        "599 rows answered by the live version are old enough to have labels, minSamples is 600",
    )
    unlabelled = decision_of(a_window(live_labelled=299), DROP, min_coverage="0.5")
    assert told(unlabelled.findings[0]) == ("Inconclusive", "49.8% of the rows have labels, minCoverage is 50.0%")


def test_a_relation_that_moved_is_told_and_outranks_inputs_and_the_drop() -> None:
    """The inputs are where they were, and half of the answers have become wrong."""
    within = Check(name="within", type="ConceptDrift", metric="accuracy", min_drop="0.4")
    decision = decision_of(a_window(rows(1, wrong_every=2)), DROP, CONCEPT, within)
    assert decision.verdict == "ConceptDrift"
    assert decision.sentence == f"The relation of inputs to target has changed: {decision.findings[1].message}."
    assert decision.split is not None, "the last check found none, and the first one's is kept"
    assert decision.split.concept is not None
    assert decision.split.concept.value == pytest.approx(0.3, abs=0.05)
    assert decision.challenge is not None
    stable = decision_of(a_window(rows(1, wrong_every=2)), within)
    assert (stable.verdict, stable.split) == ("Stable", None)
    assert stable.findings[0].message.endswith(", not shown to be more than 0.4")


# --- remarks --------------------------------------------------------------------------------------------------------


def test_every_remark_says_how_many_rows_it_is_about() -> None:
    """In the order in which rows are read, joined and judged."""
    window = a_window(
        rows=700,
        live=590,
        too_young=3,
        duplicates=4,
        label_duplicates=5,
        label_conflicts=6,
        labels_unmatched=7,
        labels_early=8,
        labels_unusable=9,
    )
    notes = decision_of(window, QUALITY).notes
    assert [note for note in notes if not note.startswith("8 ")] == [
        "600 of 700 rows were drawn by a hash of their id (maxSamples).",
        "10 rows were answered by other versions: they count for the inputs, not for the performance of the live one.",
        "3 rows are too young to be judged by label (labels.maxDelay).",
        "4 repeated captures.",
        "5 repeated labels.",
        "6 rows with conflicting labels, of which the last one received counts.",
        "7 labels dated in the window belong to requests outside of it, or to none captured.",
        "9 labels that say nothing: no class, or no number.",
    ]
    (early,) = [note for note in notes if note.startswith("8 ")]
    assert early.startswith("8 labels are dated more than a day before their request: ")
    assert notes.index(early) == 7


def test_a_single_row_is_remarked_as_well() -> None:
    """One of each kind is not none."""
    window = a_window(rows=601, live=599, too_young=1, duplicates=1, labels_early=1)
    assert [note.split()[0] for note in decision_of(window, QUALITY).notes] == ["600", "1", "1", "1", "1"]


def test_what_is_judged_by_label_is_dated_by_its_own_rows() -> None:
    """The newest rows that are old enough for their labels, from the first to the last of them."""
    earlier = a_window(rows(2).with_columns(pl.col("time") - timedelta(days=9)))
    window = with_cohort(a_window(), earlier)
    first, last = (format_time(earlier.judged["time"][row]) for row in (0, -1))
    assert first < last
    [note] = decision_of(window, QUALITY).notes
    assert note == f"Judged by label are the newest {ROWS} rows that are old enough, of {first} to {last}."
    none = with_cohort(a_window(), replace(earlier, frame=earlier.frame.with_columns(pl.lit(False).alias("judged"))))
    assert none.judged.height == 0
    assert decision_of(none, QUALITY).notes[0] == "Judged by label are the newest 0 rows that are old enough."


def test_a_column_without_a_finite_number_hides_no_other_that_is_missing() -> None:
    """The first in order is told, and so is what comes after it."""
    frame = where(1.0, "in.x0", None).with_columns(where(0.5, "in.x1", None)["in.x1"])
    window = replace(a_window(frame), spoiled=frozenset({"x0"}))
    found = answer(window, "DataQuality")
    assert found.message == "x0 is no finite number in any row; x1 is missing in 50% of the rows, 0% before"


@pytest.mark.parametrize(("by", "result"), [(0.0, "NotDetected"), (40.0, "Detected")])
def test_answers_of_a_season_are_told_apart_from_those_of_each_week_of_the_reference(by: float, result: str) -> None:
    """Rows that follow each other for weeks are too few for a p-value; but within its week each says more."""
    chance = np.random.default_rng(3)

    def week(number: int) -> pl.DataFrame:
        wave = 4.0 * np.sin(2.0 * np.pi * (number + np.arange(ROWS) / ROWS) / 4.0) + 0.3 * chance.normal(size=ROWS)
        first = START - timedelta(days=7 * (8 - number))
        times = [first + timedelta(minutes=16 * row + 1) for row in range(ROWS)]
        return regression().frame.with_columns(
            pl.Series("out.prediction", wave), pl.Series("time", times), pl.lit("test").alias("part")
        )

    known = replace(regression(), frame=pl.concat([week(number) for number in range(8)]))
    seen = week(8).drop("part").with_columns(pl.col("out.prediction") + by)

    assert answer(a_window(seen), "PredictionDrift", reference=known).result == result


def test_what_no_row_has_a_value_of_is_named() -> None:
    """As no check compares it."""
    nothing = [pl.lit(None, pl.Float64).alias(f"in.{name}") for name in ("x0", "x3")]
    found = decision_of(a_window(rows(1).with_columns(nothing)), INPUTS)
    assert found.notes == ("No row has a value of x0, x3: not compared (inputs in capture.redact are recorded so).",)


def test_labels_like_those_of_one_of_the_references_weeks_are_no_shift_and_that_is_said() -> None:
    """In every eighth week four of ten labels are higher, in the others one: the window is like the former."""
    chance = np.random.default_rng(4)

    def higher(share: float) -> pl.Series:
        return 3.0 * pl.Series(chance.random(ROWS) < share).cast(pl.Float64)

    parts = []
    for week in range(16):
        spread = [START - timedelta(days=7 * (16 - week)) + timedelta(minutes=16 * row + 1) for row in range(ROWS)]
        label = pl.col("label") + higher(0.4 if week % 8 == 0 else 0.1)
        parts.append(regression().frame.with_columns(label, pl.Series("time", spread)))
    known = replace(regression(), frame=pl.concat(parts))
    window = a_window(of_numbers(0.0).with_columns(pl.col("label") + higher(0.4)))

    found = answer(window, "LabelShift", reference=known, alpha="0.2")

    assert found.result == "NotDetected"
    assert found.message.startswith("the labels moved by 0.")
    assert found.message.endswith(", but are like those of one of the reference's own windows")
