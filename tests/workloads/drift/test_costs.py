"""The cost of answers as the metric of a monitor: measured, estimated and explained by the model's own costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from bench.drift_streams import Stream
from mlops.api import tasks
from mlops.api.costs import Cost
from mlops.api.drift_monitor import Check
from mlops.cli.simulate.rehearsal import _value
from mlops.statistics.expected import expectation
from mlops.statistics.metrics import evaluate
from mlops.workloads.drift.estimators import Cbpe
from mlops.workloads.drift.older import measured
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.floor.samples import costs_of, sample_of
from tests.workloads.drift.conftest import World
from tests.workloads.drift.test_answers import ROWS, a_reference, a_window, answer, rows

MISSED = Cost(actual="yes", predicted="no", cost="500")
ALARM = Cost(actual="no", predicted="yes", cost="20")
COSTS = (MISSED, ALARM)
# By the amount of each row: x1 of the reference lies between 0 and 1.
BY_AMOUNT = (MISSED.evolve(cost="1000", column="x1"), ALARM)
FLIPPED = {"yes": "no", "no": "yes"}


def with_wrong(frame: pl.DataFrame, missed: int, alarms: int) -> pl.DataFrame:
    """Return the rows with so many wrong answers of each kind, spread over time."""
    said = frame["label"].to_list()
    for label, count in (("yes", missed), ("no", alarms)):
        places = [row for row, own in enumerate(frame["label"].to_list()) if own == label]
        for number in range(count):
            said[places[number * len(places) // count]] = FLIPPED[label]
    return frame.with_columns(pl.Series("out.prediction", said))


def test_a_drop_of_cost_is_seen_where_accuracy_stands_still() -> None:
    """120 answers of 600 are wrong before and after: of these 60 were dear, and now 110 are."""
    reference = a_reference(costs=COSTS)
    window = a_window(with_wrong(rows(1), missed=110, alarms=10))
    by_accuracy = answer(window, "PerformanceDrop", reference=reference, metric="accuracy")
    by_cost = answer(window, "PerformanceDrop", reference=reference, metric="cost")
    assert (by_accuracy.result, by_cost.result) == ("NotDetected", "Detected")
    before = (30 * 500 + 30 * 20) / 300
    now = (110 * 500 + 10 * 20) / ROWS
    assert by_cost.numbers["drop"] == pytest.approx(now - before)
    assert by_cost.message.startswith(f"cost {now:.3f} against {before:.3f} of the reference: worse by 40.000 (")
    # A tenth of what it was, as of all errors.
    assert f"more than {before / 10:.3g}" in by_cost.message


def test_cheap_errors_for_dear_ones_are_no_drop() -> None:
    """Accuracy falls by ten points, and what it costs falls too."""
    reference = a_reference(costs=COSTS)
    window = a_window(with_wrong(rows(1), missed=10, alarms=170))
    assert answer(window, "PerformanceDrop", reference=reference, metric="accuracy").result == "Detected"
    assert answer(window, "PerformanceDrop", reference=reference, metric="cost").result == "NotDetected"


def test_min_drop_is_in_the_unit_of_the_costs() -> None:
    """Of a drop of 40, 60 is too much to ask."""
    reference = a_reference(costs=COSTS)
    window = a_window(with_wrong(rows(1), missed=110, alarms=10))
    for asked, result in (("10", "Detected"), ("60", "NotDetected")):
        found = answer(window, "PerformanceDrop", reference=reference, metric="cost", minDrop=asked)
        assert found.result == result


def test_amounts_are_those_of_the_rows() -> None:
    """The same answers: that a dear row is missed is seen by its amount alone."""
    reference = a_reference(costs=BY_AMOUNT)
    frame = with_wrong(rows(1), missed=60, alarms=60)
    is_missed = (pl.col("label") == "yes") & (pl.col("out.prediction") == "no")
    for amount, result in ((0.5, "NotDetected"), (1.0, "Detected")):
        moved = frame.with_columns(pl.when(is_missed).then(amount).otherwise(pl.col("in.x1")).alias("in.x1"))
        found = answer(a_window(moved), "PerformanceDrop", reference=reference, metric="cost")
        assert found.result == result
        value = (60 * 1000 * amount + 60 * 20) / ROWS
        assert f"cost {value:.3f} against" in found.message


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(pl.lit(None, pl.Float64), "has no value in 600 of 600 rows", id="missing"),
        pytest.param(pl.lit(-1.0), "is negative in 600 of 600 rows", id="negative"),
        pytest.param(pl.lit(1e13), r"is above 1e\+12 in 600 of 600 rows", id="too large"),
    ],
)
def test_amounts_that_are_none_leave_the_question_open(change: Any, says: str) -> None:
    """Said by name, and never counted as nought."""
    window = a_window(rows(1).with_columns(change.alias("in.x1")))
    found = answer(window, "PerformanceDrop", reference=a_reference(costs=BY_AMOUNT), metric="cost")
    assert found.result == "Inconclusive"
    assert found.message.startswith("cost cannot be compared: x1, by which a cost is multiplied, ")
    assert says.replace("\\", "") in found.message


@pytest.mark.parametrize("type_", ["PerformanceDrop", "EstimatedPerformance", "ConceptDrift"])
def test_a_model_that_knows_no_costs_is_refused_with_the_way_out(type_: str) -> None:
    """It is a mistake of the monitor's, whatever the window holds."""
    with pytest.raises(
        BadInput, match=r"spec\.checks\[one\]\.metric: cost: nobody said what answers cost: set spec\.cos"
    ):
        answer(a_window(), type_, metric="cost")


def test_of_a_regression_cost_does_not_fit() -> None:
    """Costs are of classes."""
    frame = rows(0).with_columns(
        pl.lit(1.0).alias("label"), pl.lit(2.0).alias("out.prediction"), pl.lit("test").alias("part")
    )
    numbers = a_reference(frame=frame.drop("out.p.no", "out.p.yes"), task="regression", classes=())
    with pytest.raises(BadInput, match=r"metric: cost does not fit a regression model; one of mae, rmse, r2"):
        answer(a_window(), "PerformanceDrop", reference=numbers, metric="cost")


def test_an_expected_cost_is_the_sum_over_the_classes() -> None:
    """Each class that may be true by its calibrated probability, times what the answer then costs."""
    reference = a_reference(costs=BY_AMOUNT)
    held_out, frame = reference.labelled("test"), rows(1)
    estimator = Cbpe(reference, held_out)
    found = expectation("cost", estimator.expected("cost", frame))
    chance = estimator.expected("accuracy", frame).sample.weights
    assert chance is not None
    by_hand = 0.0
    for (of_no, of_yes), said, amount in zip(
        chance.reshape(-1, 2).tolist(), frame["out.prediction"].to_list(), frame["in.x1"].to_list(), strict=True
    ):
        by_hand += of_yes * 1000 * amount if said == "no" else of_no * 20
    assert found == pytest.approx(by_hand / ROWS, rel=1e-12)


def test_rows_are_read_as_they_are_written() -> None:
    """Of each row what its answer costs if either class is true."""
    frame = pl.DataFrame({"out.prediction": ["no", "yes"], "label": ["yes", "yes"], "in.x1": [0.25, 3.0]})
    gain = Cost(actual="yes", predicted="yes", cost="-7.5")
    table = costs_of(frame, ("no", "yes"), (*BY_AMOUNT, gain))
    assert table.tolist() == [[0.0, 250.0], [20.0, -7.5]]
    assert evaluate("cost", sample_of("cost", frame, ("no", "yes"), (*BY_AMOUNT, gain))) == (250.0 - 7.5) / 2
    with pytest.raises(ValueError, match=r"x1, by which a cost is multiplied, is not among the recorded inputs"):
        costs_of(frame.drop("in.x1"), ("no", "yes"), BY_AMOUNT)


def test_an_older_version_is_measured_by_the_costs_of_the_live_one() -> None:
    """On the same rows: what it would have cost less, with an interval."""
    reference = a_reference(costs=BY_AMOUNT)
    served, older = with_wrong(rows(1), missed=110, alarms=10), with_wrong(rows(1), missed=30, alarms=30)
    sample = sample_of("cost", served, reference.classes, reference.costs)
    candidate = tasks.OlderCandidate(version="older", artifact="sha256:" + "1" * 64)
    found = measured(candidate, "cost", sample, served, older, reference, 1.0, 1, 1)
    assert found is not None
    spent = []
    for frame in (served, older):
        is_missed = (pl.col("label") == "yes") & (pl.col("out.prediction") == "no")
        alarms = ((pl.col("label") == "no") & (pl.col("out.prediction") == "yes")).sum() * 20
        spent.append(frame.select((pl.col("in.x1").filter(is_missed) * 1000).sum() + alarms).item() / ROWS)
    assert found.older == pytest.approx(spent[1])
    assert found.gain.value == pytest.approx(spent[0] - spent[1])
    assert 0 < found.gain.low < found.gain.value < found.gain.high
    assert found.p_value < 0.01


def test_a_rehearsal_measures_the_same_cost() -> None:
    """By the costs of the model that the past is judged by; without costs there is no value."""
    frame = with_wrong(rows(1), missed=110, alarms=10)
    assert _value("cost", frame, a_reference(costs=COSTS)) == pytest.approx((110 * 500 + 10 * 20) / ROWS)
    assert _value("cost", frame, a_reference()) is None


def a_world(folder: Path, stream: Stream, number: int) -> World:
    """Return a store with a model whose model.json says what answers cost, and its requests and labels."""
    world = World(folder, stream, number, {"costs": COSTS})
    world.write_all()
    return world


def asked(world: World, *types: str) -> tasks.DriftReport:
    """Return the report of checks by cost."""
    from mlops.workloads.drift.run import check

    wanted = tuple(Check(name=type_.lower(), type=type_, metric="cost") for type_ in types)  # type: ignore[arg-type]
    return check(world.pod(), world.task().evolve(checks=wanted))


def test_a_check_reads_costs_from_the_model_and_tells_of_them(tmp_path: Path, streams: dict[str, Stream]) -> None:
    """From model.json to the report: value, interval and explanation of a relation that moved, in the costs' unit."""
    stream = streams["concept"]
    world = a_world(tmp_path, stream, stream.change)
    report = asked(world, "PerformanceDrop", "ConceptDrift", "EstimatedPerformance")
    results = {one.name: one.result for one in report.checks}
    assert results["performancedrop"] == results["conceptdrift"] == "Detected"
    assert report.metric is not None
    frame = stream.windows[stream.change].live_labelled
    said = list(zip(frame["label"].to_list(), frame["out.prediction"].to_list(), strict=True))
    expected = np.mean([500 * (pair == ("yes", "no")) + 20 * (pair == ("no", "yes")) for pair in said])
    assert report.metric.name == "cost"
    assert float(report.metric.current) == pytest.approx(float(expected), rel=1e-4)
    document = world.document(report)
    performance = document["performance"]
    assert (performance["metric"], performance["higherIsBetter"]) == ("cost", False)
    assert performance["current"]["low"] < performance["current"]["value"] < performance["current"]["high"]
    assert document["challenger"]["refitted"] < document["challenger"]["served"]
    assert "cost" in world.page(report)


def test_nothing_is_told_where_nothing_happened(tmp_path: Path, streams: dict[str, Stream]) -> None:
    """By none of the checks that measure a cost."""
    report = asked(a_world(tmp_path, streams["concept"], 0), "PerformanceDrop", "ConceptDrift", "EstimatedPerformance")
    assert [one.result for one in report.checks] == ["NotDetected"] * 3
