"""Units whose factor a window tells inexactly, of a part of the rows; and inputs of one distribution exchanged."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from mlops.api.drift_monitor import Labels
from mlops.api.drift_monitor import Window as WindowSpec
from mlops.statistics.arrays import FloatArray
from mlops.workloads.drift.findings import Decision
from mlops.workloads.drift.reference import Reference
from mlops.workloads.drift.units import told_by_labels
from mlops.workloads.drift.verdict import decide
from mlops.workloads.drift.window import window_of
from tests.workloads.drift.test_faults import CHECKS, ROWS, SPAN, START, a_reference, asked_of, decision, in_part, rows

LABELLED_ROWS = 600


def bought(frame: pl.DataFrame, seed: int, column: str = "in.price", middle: float = 20.0) -> pl.DataFrame:
    """Who pays more than usual buys more seldom."""
    share = 1.0 / (1.0 + (frame[column] / middle) ** 2)
    drawn = pl.Series(np.random.default_rng(seed).random(frame.height))
    return frame.with_columns((drawn < share).replace_strict({True: "yes", False: "no"}).alias("label"))


def decision_of(frame: pl.DataFrame, reference: Reference) -> Decision:
    """What DataQuality and DataDrift say of labelled rows."""
    limits = WindowSpec(duration="7d", min_samples=500)
    return decide(reference, window_of(frame, SPAN), CHECKS, limits=limits, labels=Labels(), seed=1)


def labelled_reference() -> Reference:
    frame = bought(rows(0, START - timedelta(days=30)), 5)
    reference = a_reference(frame)
    return replace(reference, frame=reference.frame.with_columns(frame["label"]))


@pytest.mark.parametrize("factor", [2.54, 1 / 2.54, 3.78541, 1 / 3.2808, 2.20462, 1 / 1.609344])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_factor_that_a_small_window_tells_inexactly_is_a_unit_where_labels_say_so(factor: float, seed: int) -> None:
    """Prices of 600 rows spread so far that the factor is known to some hundredths only."""
    known = labelled_reference()
    frame = asked_of(bought(rows(seed), seed + 50).head(LABELLED_ROWS))
    frame = frame.with_columns(bought(rows(seed), seed + 50)["label"].head(LABELLED_ROWS))
    moved = frame.with_columns(pl.col("in.price") * factor)

    told = told_by_labels("price", known.frame, moved, lambda values: values / factor)

    assert told > 2.33
    seen = decision_of(moved, known)
    assert seen.verdict == "DataQuality", seen.sentence
    assert "price has about " in seen.sentence
    assert "another unit" in seen.sentence


@pytest.mark.parametrize("factor", [2.54, 1 / 2.54, 2.20462, 1.609344])
def test_prices_that_really_rose_by_such_a_factor_are_drift(factor: float) -> None:
    """Who pays so much buys as seldom as whoever did before: labels contradict another unit."""
    known = labelled_reference()
    moved = rows(4).with_columns(pl.col("in.price") * factor)
    frame = asked_of(moved).with_columns(bought(moved, 54)["label"])

    assert told_by_labels("price", known.frame, frame, lambda values: values / factor) < -1.64
    assert decision_of(frame, known).verdict == "DataDrift"


def test_without_labels_nothing_is_told() -> None:
    assert told_by_labels("price", a_reference().frame, asked_of(rows(1)), lambda values: values / 2.0) == 0.0


def test_labels_of_a_regression_tell_it_too() -> None:
    known, seen = (
        rows(seed).with_columns(
            (pl.col("in.price").log() * 3.0 + pl.Series(np.random.default_rng(seed + 9).normal(size=ROWS))).alias(
                "label"
            )
        )
        for seed in (0, 1)
    )
    moved = seen.with_columns(pl.col("in.price") * 2.54)

    assert told_by_labels("price", known, moved, lambda values: values / 2.54) > 5.0
    assert told_by_labels("price", known, seen, lambda values: values / 2.54) < -5.0


@pytest.mark.parametrize("share", [0.1, 0.4, 0.8])
@pytest.mark.parametrize(("factor", "named"), [(1 / 2.54, "1/2.54"), (2.20462, "2.20462")])
def test_a_part_in_a_unit_of_the_table_is_told_where_nothing_was(share: float, factor: float, named: str) -> None:
    """Lengths of 170 with a spread of 9: an inch lies where no centimetre was."""
    found = decision(in_part(share, "in.length", factor))

    assert found.verdict == "DataQuality", found.sentence
    assert f"length has about {named} times its values in " in found.sentence


@pytest.mark.parametrize(("factor", "named"), [(1000.0, "1000"), (1 / 100.0, "1/100"), (37.0, "37")])
def test_a_part_in_any_other_unit_is_told_by_its_round_name(factor: float, named: str) -> None:
    """A factor of the shape of the rest is told to some hundredths: 1,013 is a thousand, and 37 is 37."""
    found = decision(in_part(0.3, "in.length", factor))

    assert found.verdict == "DataQuality", found.sentence
    assert f"length has about {named} times its values in 27% of the rows: another unit" in found.sentence


@pytest.mark.parametrize("factor", [5.0, 1 / 5.0])
def test_a_part_with_a_few_times_its_values_is_in_no_other_unit(factor: float) -> None:
    """Neither a fifth nor five times is one."""
    found = decision(in_part(0.3, "in.length", factor))

    assert "unit" not in found.sentence
    assert found.verdict != "Stable"


def twins(seed: int, *, exchanged: bool = False) -> pl.DataFrame:
    """Two sensors of one kind, of which one follows the temperature and the other the length."""
    rng = np.random.default_rng(seed + 40)
    frame = rows(seed)
    indoors = 0.6 * (frame["in.temperature"] - 20.0) / 4.0 + 0.8 * pl.Series(rng.normal(size=ROWS))
    outdoors = 0.6 * (frame["in.length"] - 170.0) / 9.0 + 0.8 * pl.Series(rng.normal(size=ROWS))
    one, other = (outdoors, indoors) if exchanged else (indoors, outdoors)
    return frame.with_columns(one.alias("in.price"), other.alias("in.visits"))


def test_exchanged_inputs_of_one_distribution_are_recognised_by_what_they_go_with() -> None:
    reference = a_reference(twins(0).with_columns(pl.col("time") - timedelta(days=30)))

    found = decision(lambda _: twins(1, exchanged=True), reference=reference)

    assert found.verdict == "DataQuality", found.sentence
    assert "price and visits are exchanged: each goes with the other inputs as the other one did" in found.sentence
    assert decision(lambda _: twins(1), reference=reference).verdict == "Stable"


def test_twins_beside_one_other_number_are_recognised_and_told_once() -> None:
    """Of three numbers the third one tells them apart."""
    three = [f"in.{name}" for name in ("length", "level", "discount")]
    reference = a_reference(twins(0).with_columns(pl.col("time") - timedelta(days=30)).drop(three))

    found = decision(lambda _: twins(1, exchanged=True).drop(three), reference=reference)

    assert found.sentence == (
        "The delivery of data is broken: price and visits are exchanged: each goes with the other inputs as the other "
        "one did."
    )


def test_twins_of_small_numbers_are_recognised_and_constant_ones_are_none() -> None:
    """Spreads of thousandths; beside them two columns that never move, which are alike and go with nothing."""
    small = [(pl.col(name) * 0.001).alias(name) for name in ("in.price", "in.visits")]
    idle = [pl.lit(1.0).alias("in.level"), pl.lit(1.0).alias("in.discount")]
    reference = a_reference(twins(0).with_columns(pl.col("time") - timedelta(days=30), *small, *idle))

    found = decision(lambda _: twins(1, exchanged=True).with_columns(*small, *idle), reference=reference)

    assert "price and visits are exchanged" in found.sentence
    assert "level" not in found.sentence
    assert decision(lambda _: twins(1).with_columns(*small, *idle), reference=reference).verdict == "Stable"


def test_twins_of_which_one_only_changed_its_ways_are_not_exchanged() -> None:
    """It no longer goes with anything: that is drift."""
    reference = a_reference(twins(0).with_columns(pl.col("time") - timedelta(days=30)))
    alone = pl.Series(np.random.default_rng(8).normal(size=ROWS))

    found = decision(lambda _: twins(1).with_columns(alone.alias("in.price")), reference=reference)

    assert found.verdict == "DataDrift", found.sentence


def test_labels_that_follow_another_input_too_are_no_evidence() -> None:
    """Prices rise by four fifths, and so does what customers can pay: the labels stay where they were."""
    rng = np.random.default_rng(6)

    def market(seed: int, rise: float) -> pl.DataFrame:
        frame = rows(seed).with_columns(pl.col("in.price") * rise)
        paid = pl.Series(20.0 * rise * np.exp(0.3 * rng.normal(size=ROWS)))
        drawn = pl.Series(rng.random(ROWS)) < 1.0 / (1.0 + (frame["in.price"] / paid) ** 2)
        labels = drawn.replace_strict({True: "yes", False: "no"}).alias("label")
        return frame.with_columns(paid.alias("in.visits"), labels)

    frame = market(0, 1.0).with_columns(pl.col("time") - timedelta(days=30))
    reference = a_reference(frame)
    reference = replace(reference, frame=reference.frame.with_columns(frame["label"]))
    moved = market(1, 1.85)

    assert told_by_labels("price", frame, moved, lambda values: values / 1.85) > 2.33
    assert decision_of(asked_of(moved).with_columns(moved["label"]), reference).verdict == "DataDrift"


def celsius(seed: int, share: float = 0.0) -> pl.DataFrame:
    """Twelve degrees of Celsius, give or take seven; a share of the rows in Fahrenheit."""
    rng = np.random.default_rng(seed + 50)
    degrees = 12.0 + 7.0 * rng.normal(size=ROWS)
    other = rng.random(ROWS) < share
    return rows(seed).with_columns(pl.Series("in.temperature", np.where(other, degrees * 1.8 + 32.0, degrees)))


@pytest.mark.parametrize(
    ("share", "told"),
    [
        pytest.param(1.0, "temperature has 1.8 times its values and +32: Fahrenheit", id="all rows"),
        pytest.param(0.5, "temperature has 1.8 times its values and +32 in ", id="half of them"),
        pytest.param(0.3, "temperature has 1.8 times its values and +32 in ", id="a third"),
    ],
)
def test_fahrenheit_is_told_of_a_part_of_the_rows_too(share: float, told: str) -> None:
    """The two overlap: cold days in Fahrenheit are hot ones in Celsius."""
    reference = a_reference(celsius(0).with_columns(pl.col("time") - timedelta(days=30)))

    found = decision(lambda _: celsius(1, share), reference=reference)

    assert found.verdict == "DataQuality", found.sentence
    assert told in found.sentence
    warmer = decision(lambda _: celsius(1).with_columns(pl.col("in.temperature") + 6.0), reference=reference)
    assert warmer.verdict == "DataDrift", "a warm week is none in Fahrenheit"


def test_celsius_is_told_where_fahrenheit_was_delivered() -> None:
    """By its name, as the other way round."""
    reference = a_reference(celsius(0, 1.0).with_columns(pl.col("time") - timedelta(days=30)))

    found = decision(lambda _: celsius(1), reference=reference)

    assert "temperature has 0.556 times its values and -17.8: Celsius for Fahrenheit" in found.sentence
    back = a_reference(celsius(0).with_columns(pl.col("time") - timedelta(days=30)))
    assert ": Fahrenheit for Celsius" in decision(lambda _: celsius(1, 1.0), reference=back).sentence


def test_four_fifths_more_of_what_spreads_over_hundreds_is_no_fahrenheit() -> None:
    """Prices in cents rise by 1.8 times, and by 32 as well as not."""
    cents = pl.col("in.price") * 100.0
    reference = a_reference(rows(0, START - timedelta(days=30)).with_columns(cents))

    found = decision(lambda frame: frame.with_columns(cents * 1.8 + 32.0), reference=reference)

    assert found.verdict == "DataDrift", found.sentence


def test_where_chance_moves_a_column_far_it_is_no_fahrenheit() -> None:
    """Rows that resemble their neighbours for long: what fits within the noise is no mark."""
    rng = np.random.default_rng(9)

    def slow(count: int, first: float, spread: float) -> FloatArray:
        steps = np.repeat(rng.normal(size=count // 100), 100)
        return first + spread * steps

    weeks = [
        rows(number, START - timedelta(days=28 - 7 * number)).with_columns(
            pl.Series("in.temperature", slow(ROWS, -10.0, 20.0))
        )
        for number in range(4)
    ]
    reference = a_reference(pl.concat(weeks))

    for _ in range(5):
        drawn = pl.Series("in.temperature", slow(ROWS, 20.0, 32.0))
        found = decision(lambda frame, drawn=drawn: frame.with_columns(drawn), reference=reference)  # type: ignore[misc]
        assert "Fahrenheit" not in found.sentence


def seasons(factor: float) -> tuple[Reference, pl.DataFrame]:
    """A column whose level and spread move with the season, in twelve weeks; and a week of it times a factor."""
    rng = np.random.default_rng(10)

    def week(number: int, times: float) -> pl.DataFrame:
        wave = np.sin(2.0 * np.pi * (number + np.arange(ROWS) / ROWS) / 4.0)
        level = pl.Series("in.price", times * (4.0 * wave + 0.6 * rng.normal(size=ROWS)))
        return rows(number, START - timedelta(days=7 * (12 - number))).with_columns(level)

    return a_reference(pl.concat([week(number, 1.0) for number in range(12)])), week(12, factor)


@pytest.mark.parametrize("factor", [0.001, 1000.0])
def test_a_thousandth_in_a_season_is_told_by_the_windows_of_the_reference(factor: float) -> None:
    """Rows of a season say too little for a p-value; but no week was ever spread a thousandth as wide."""
    reference, window = seasons(factor)

    found = decision(lambda _: window, reference=reference)

    assert found.verdict == "DataQuality", found.sentence
    assert "price" in found.sentence
    reference, window = seasons(1.0)
    assert decision(lambda _: window, reference=reference).verdict == "Stable"
