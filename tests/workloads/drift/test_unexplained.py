"""Is a drop that an unchanged relation makes at other inputs told from a relation that moved?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from bench.drift_streams import BEGIN, LENGTH, signature_of
from mlops.api.drift_monitor import Check, Labels
from mlops.api.drift_monitor import Window as WindowSpec
from mlops.statistics.bootstrap import attribute_drop
from mlops.statistics.expected import beside, joined, of_classes
from mlops.statistics.metrics import Sample, evaluate
from mlops.statistics.resampling import Resampling
from mlops.workloads.drift.findings import Decision
from mlops.workloads.drift.performance import Judged, Labelled, Limits, resampling
from mlops.workloads.drift.reference import Reference, make_reference
from mlops.workloads.drift.unexplained import explained
from mlops.workloads.drift.verdict import decide
from mlops.workloads.drift.window import JudgedSpan, Window, window_of

CONCEPT = Check(name="concept", type="ConceptDrift", metric="brier")
OF_NUMBERS = Check(name="concept", type="ConceptDrift")
INPUTS = Check(name="inputs", type="DataDrift")
BALANCE = Check(name="labels", type="LabelShift")


def drawn(
    rng: np.random.Generator,
    rows: int,
    number: int,
    *,
    unsure: float,
    flipped: float = 0.0,
    certain: float = 0.0,
    blur: float = 0.6,
) -> pl.DataFrame:
    """Rows whose model is as sure as it should be, and less so of a share `unsure` of them.

    Of a share `flipped` of the rows the label is the other one. Of the unsure ones the model is wrongly sure to the
    degree `certain`. An input tells which are unsure, the less the larger `blur` is.
    """
    odd = rng.random(rows) < unsure
    x = rng.uniform(size=rows)
    p = 1 / (1 + np.exp(-np.where(odd, 1.5, 12.0) * (x - 0.5)))
    y = (rng.random(rows) < p) ^ (rng.random(rows) < flipped)
    said = np.where(odd, p + certain * ((p > 0.5) - p), p)
    start = BEGIN + LENGTH * number
    return pl.DataFrame(
        {
            "in.x0": x,
            "in.x1": np.where(odd, 2.0, 0.0) + rng.normal(size=rows) * blur,
            "label": np.where(y, "yes", "no"),
            "out.p.no": 1 - said,
            "out.p.yes": said,
            "out.prediction": np.where(said > 0.5, "yes", "no"),
            "time": [start + LENGTH * ((row + 0.5) / rows) for row in range(rows)],
        }
    )


def case(*, flipped: float = 0.0, certain: float = 0.0, blur: float = 0.6) -> tuple[Reference, Window]:
    """A reference with few rows that are hard to tell, and a window with many of them."""
    rng = np.random.default_rng(3)
    known = drawn(rng, 3000, 0, unsure=0.1, certain=certain, blur=blur).with_columns(pl.lit("test").alias("part"))
    window = drawn(rng, 1200, 1, unsure=0.7, flipped=flipped, certain=certain, blur=blur)
    return make_reference(signature_of(known), known, where="unexplained"), captured(window)


def captured(rows: pl.DataFrame) -> Window:
    """The rows as requests of the window after the reference."""
    frame = rows.with_columns(
        pl.int_range(rows.height).cast(pl.String).alias("id"),
        pl.lit(0, pl.Int64).alias("row"),
        pl.lit(True).alias("live"),
    )
    start = BEGIN + LENGTH
    return window_of(frame, JudgedSpan(start, start + LENGTH, start + LENGTH))


def decided(reference: Reference, window: Window, *checks: Check) -> Decision:
    """The decision of the pod."""
    return decide(reference, window, checks, limits=WindowSpec(duration="7d"), labels=Labels(), seed=1)


def dropped(reference: Reference, window: Window) -> tuple[Labelled, Judged]:
    """A drop, as a check finds it."""
    labelled = Labelled(reference, window, Limits(500, 0.2), 1)
    judged = labelled.drop(CONCEPT)
    assert not isinstance(judged, str)
    assert judged.p_value < 0.01
    return labelled, judged


def parts(reference: Reference, window: Window, weights: np.ndarray | None) -> tuple[float, float, float]:
    """The part of the relation, its error, and the part by weights alone."""
    labelled, judged = dropped(reference, window)
    ratio = np.ones(judged.reference_rows.height) if weights is None else weights
    found = explained(labelled, judged, judged.reference_rows, judged.current_rows, ratio)
    assert found is not None
    plan = resampling(4000, 1)
    alone = attribute_drop("brier", judged.reference, judged.current, ratio, plan).concept.value
    return found.concept.value, found.concept.error, alone


def test_what_the_model_says_of_itself_explains_a_drop_where_weights_do_not() -> None:
    """The weights are all one, as bad as they can be; the model is sure to the right degree."""
    reference, window = case()
    value, error, alone = parts(reference, window, None)
    assert alone > 0.08
    assert abs(value) < 3 * error < 0.03


def test_weights_explain_a_drop_where_the_model_is_wrong_about_itself() -> None:
    """The weights are right; of the rows that it knows less of the model is wrongly sure."""
    reference, window = case(certain=0.9)
    alone, _, _ = parts(reference, window, None)
    x = reference.frame["in.x1"].to_numpy() / 0.6
    usual, odd = np.exp(-np.square(x) / 2), np.exp(-np.square(x - 2.0 / 0.6) / 2)
    weights = (0.3 * usual + 0.7 * odd) / (0.9 * usual + 0.1 * odd)
    value, error, _ = parts(reference, window, weights * (len(weights) / weights.sum()))
    assert alone > 0.05
    assert abs(value) < 3 * error < 0.07


def test_labels_that_nobody_expects_are_a_relation_that_moved() -> None:
    """Beside inputs that moved, a fifth of the labels is the other one."""
    reference, window = case(flipped=0.2)
    value, error, _ = parts(reference, window, None)
    assert value > 5 * error


def test_a_drop_that_the_recorded_inputs_do_not_tell_and_the_model_does_is_data_drift() -> None:
    """The model has seen more than what is compared (redacted fields, an entity's features), and is less sure."""
    reference, window = case(blur=4.0)
    decision = decided(reference, window, INPUTS, CONCEPT)
    assert decision.verdict == "DataDrift"
    assert "not shown to be more than the inputs explain" in decision.findings[1].message
    assert decision.split is not None
    assert decision.split.identifiable
    assert decision.split.covariate is not None
    assert decision.split.concept is not None
    assert decision.split.covariate.value > 5 * abs(decision.split.concept.value)
    # A fifth of the labels turned over is beyond that.
    assert decided(*case(blur=4.0, flipped=0.2), INPUTS, CONCEPT).verdict == "ConceptDrift"


def test_far_from_the_reference_a_better_model_decides_whatever_the_served_one_expects() -> None:
    """It calls all rows there a coin toss, and is right in that; the inputs tell their labels all the same."""
    reference, _ = case()
    rows = drawn(np.random.default_rng(5), 1200, 1, unsure=0.0)
    window = captured(
        rows.with_columns(
            pl.col("in.x1") + 20.0,
            pl.lit(0.5).alias("out.p.no"),
            pl.lit(0.5).alias("out.p.yes"),
            pl.lit("no").alias("out.prediction"),
        )
    )
    decision = decided(reference, window, CONCEPT)
    assert decision.verdict == "ConceptDrift"
    assert decision.split is not None
    assert not decision.split.identifiable


def test_few_rows_and_models_without_probabilities_leave_the_weights_alone() -> None:
    """There is nothing to learn from."""
    reference, window = case()
    labelled, judged = dropped(reference, window)
    before, after = judged.reference_rows, judged.current_rows
    assert explained(labelled, judged, before[:199], after, np.ones(199)) is None
    assert explained(labelled, judged, before[:200], after, np.ones(200)) is not None
    known, seen = (rows.drop("out.p.no", "out.p.yes") for rows in (before, after))
    assert explained(labelled, replace(judged, metric="accuracy"), known, seen, np.ones(known.height)) is None


def test_whole_weights_are_rows_that_come_again() -> None:
    """Measured less expected value of rows with weights, and of the same rows repeated."""
    rng = np.random.default_rng(1)
    p = rng.uniform(0.05, 0.95, size=200)
    y = np.where(rng.random(200) < p**2, "yes", "no")
    times = rng.integers(1, 4, size=200)
    expected = of_classes(p, np.column_stack((1 - p, p)), ("no", "yes"))
    plan = Resampling(replicates=50, block=2, seed=1)
    again = np.repeat(np.arange(200), times)
    for metric in ("brier", "roc_auc"):
        repeated = of_classes(p[again], np.column_stack((1 - p, p))[again], ("no", "yes"))
        wanted = beside(metric, repeated, Sample(y[again], p[again], None, ("no", "yes")), plan)[0]
        one = expected.sample
        assert one.weights is not None
        heavy = replace(expected, sample=replace(one, weights=one.weights * np.repeat(times, 2)))
        found = beside(metric, heavy, Sample(y, p, times.astype(float), ("no", "yes")), plan)[0]
        assert found == pytest.approx(wanted, rel=1e-12)
    table = np.column_stack((1 - p, p))
    halves = joined([of_classes(p[half], table[half], ("no", "yes")) for half in np.split(np.arange(200), 2)])
    assert evaluate("brier", halves.sample) == evaluate("brier", expected.sample)


def of_a_number(change: str, *, moved_inputs: float = 0.0) -> tuple[Reference, Window]:
    """A regression whose target has noise, and a window in which it is another one, or its input is."""
    rng = np.random.default_rng(7)

    def rows(count: int, number: int, by: float) -> pl.DataFrame:
        x = rng.normal(size=count) + by
        start = BEGIN + LENGTH * number
        return pl.DataFrame(
            {
                "in.x0": x,
                "in.x1": rng.normal(size=count),
                "label": 100.0 + x + 1.2 * rng.normal(size=count),
                "out.prediction": 100.0 + x,
                "time": [start + LENGTH * ((row + 0.5) / count) for row in range(count)],
            }
        )

    known = rows(3000, 0, 0.0).with_columns(pl.lit("test").alias("part"))
    description = signature_of(
        known, task="regression", label={"name": "price", "type": "float64"}, classes=None, positive=None
    )
    y, mean = pl.col("label"), 100.0
    changed = {"nothing": y, "offset": y + 0.35, "scale": (y - mean) * 1.3 + mean, "shrink": (y - mean) * 0.7 + mean}
    window = rows(1500, 1, moved_inputs).with_columns(changed[change].alias("label"))
    return make_reference(description, known, where="numbers"), captured(window)


@pytest.mark.parametrize("change", ["offset", "scale", "shrink"])
def test_a_number_that_moved_while_its_inputs_stayed_is_another_relation(change: str) -> None:
    """Also where the model errs by hardly more, or by less: the same inputs have another target."""
    decision = decided(*of_a_number(change), INPUTS, BALANCE, OF_NUMBERS)
    assert decision.verdict == "ConceptDrift"
    by_label = next(each for each in decision.findings if each.check.type == "LabelShift")
    assert by_label.result == "Detected"
    chance = decision.findings[-1].numbers["pValue"]
    assert isinstance(chance, float)
    assert (chance <= 0.01) == (change == "scale")


def test_a_number_that_followed_its_inputs_is_data_drift() -> None:
    """And one that stayed is stable."""
    assert decided(*of_a_number("nothing", moved_inputs=0.6), INPUTS, BALANCE, OF_NUMBERS).verdict == "DataDrift"
    assert decided(*of_a_number("nothing", moved_inputs=0.6), BALANCE, OF_NUMBERS).verdict == "LabelShift"
    assert decided(*of_a_number("nothing"), INPUTS, BALANCE, OF_NUMBERS).verdict == "Stable"
