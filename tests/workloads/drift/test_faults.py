"""Broken deliveries are recognised by their marks, named, and told from what a change of the world does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from mlops.api.drift_monitor import Check, Labels
from mlops.api.drift_monitor import Window as WindowSpec
from mlops.workloads.drift.findings import Decision
from mlops.workloads.drift.reference import Reference
from mlops.workloads.drift.verdict import decide
from mlops.workloads.drift.window import JudgedSpan, window_of

START = datetime(2025, 3, 1, tzinfo=UTC)
SPAN = JudgedSpan(START, START + timedelta(days=7), START + timedelta(days=7))
ROWS = 2000
CHECKS = (Check(name="delivery", type="DataQuality"), Check(name="inputs", type="DataDrift"))

Change = Callable[[pl.DataFrame], pl.DataFrame]


def rows(seed: int, first: datetime = START) -> pl.DataFrame:
    """Temperatures around 20, lengths around 170, prices, counts, shares of zero to one, two texts."""
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "in.temperature": 20.0 + 4.0 * rng.normal(size=ROWS),
            "in.length": 170.0 + 9.0 * rng.normal(size=ROWS),
            "in.price": np.exp(3.0 + 0.8 * rng.normal(size=ROWS)),
            "in.level": rng.integers(-3, 12, size=ROWS).astype(float),
            "in.visits": rng.poisson(3.0, size=ROWS).astype(float),
            "in.discount": np.where(rng.random(ROWS) < 0.6, 0.0, rng.random(ROWS)),
            "in.city": rng.choice(["Bern", "Zürich", "Genf"], size=ROWS, p=[0.5, 0.3, 0.2]),
            "in.plan": rng.choice(["basic", "full"], size=ROWS),
            "time": [first + timedelta(minutes=5 * row + 1) for row in range(ROWS)],
        }
    )


def a_reference(frame: pl.DataFrame | None = None) -> Reference:
    known = rows(0, START - timedelta(days=30)) if frame is None else frame
    known = known.with_columns(
        pl.lit("train").alias("part"), pl.lit(None, pl.String).alias("label"), pl.lit("no").alias("out.prediction")
    )
    numeric = tuple(
        sorted(name[3:] for name, dtype in known.schema.items() if name[:3] == "in." and dtype.is_numeric())
    )
    return Reference(known, "classification", numeric, ("city", "plan"), ("no", "yes"), "bought", frozenset())


def decision(change: Change, *checks: Check, reference: Reference | None = None) -> Decision:
    frame = asked_of(change(rows(1)))
    limits = WindowSpec(duration="7d", min_samples=500)
    asked = checks or CHECKS
    return decide(reference or a_reference(), window_of(frame, SPAN), asked, limits=limits, labels=Labels(), seed=1)


def some(share: float, column: str, value: object) -> Change:
    """`value` in a share of the rows, spread over the window."""
    chosen = pl.Series(np.random.default_rng(7).random(ROWS) < share)
    return lambda frame: frame.with_columns(pl.when(chosen).then(value).otherwise(pl.col(column)).alias(column))


def last(share: float, column: str) -> Change:
    """From some row on, the value of that row."""

    def stuck(frame: pl.DataFrame) -> pl.DataFrame:
        start = round(ROWS * (1 - share))
        values = pl.when(pl.int_range(pl.len()) < start).then(pl.col(column)).otherwise(pl.lit(frame[column][start]))
        return frame.with_columns(values.alias(column))

    return stuck


def in_part(share: float, column: str, factor: float) -> Change:
    """Another unit in a share of the rows."""
    chosen = pl.Series(np.random.default_rng(8).random(ROWS) < share)
    other = pl.when(chosen).then(pl.col(column) * factor).otherwise(pl.col(column))
    return lambda frame: frame.with_columns(other.alias(column))


def mapped(column: str, change: Callable[[pl.Expr], pl.Expr]) -> Change:
    return lambda frame: frame.with_columns(change(pl.col(column)).alias(column))


def exchanged(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("in.length").alias("in.price"), pl.col("in.price").alias("in.length"))


def repeated(frame: pl.DataFrame) -> pl.DataFrame:
    """Each row comes twice, with times of its own."""
    return pl.concat([frame.head(ROWS // 2)] * 2).with_columns(frame["time"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(some(0.02, "in.length", 360.0), "length is 360 in ", id="a sentinel in a fiftieth of the rows"),
        pytest.param(some(0.05, "in.temperature", 0.0), "temperature is 0 in ", id="zeros for what is missing"),
        pytest.param(some(0.03, "in.visits", -1.0), "visits is -1 in ", id="a sentinel among counts"),
        pytest.param(mapped("in.price", lambda c: c * 0.0 + 9.5), "price is 9.5 in every row", id="a constant"),
        pytest.param(mapped("in.city", lambda c: pl.lit("Bern")), "city stays at Bern for 2000", id="a constant text"),
        pytest.param(last(0.3, "in.temperature"), "temperature ", id="a number froze"),
        pytest.param(last(0.3, "in.visits"), "visits stays at ", id="a count froze"),
        pytest.param(
            mapped("in.price", lambda c: c * 1000), "price has about 1000 times its values", id="a thousand times"
        ),
        pytest.param(
            mapped("in.price", lambda c: c / 1000), "price has about 1/1000 times its values", id="a thousandth"
        ),
        pytest.param(mapped("in.length", lambda c: c / 2.54), "length has about 1/2.54 times its values", id="inches"),
        pytest.param(mapped("in.temperature", lambda c: c * 1.8 + 32), "Fahrenheit for Celsius", id="Fahrenheit"),
        pytest.param(
            in_part(0.3, "in.price", 0.001), "price has about 1/1000 times its values in 2", id="a part in thousands"
        ),
        pytest.param(
            in_part(0.2, "in.length", 100.0), "length has about 100 times its values in ", id="a part lost its comma"
        ),
        pytest.param(some(0.03, "in.level", -999.0), "level is -999 in ", id="a sentinel among few values"),
        pytest.param(mapped("in.city", lambda c: c.str.slice(0, 3)), "city is cut short in", id="texts are cut"),
        pytest.param(exchanged, "length and price are exchanged", id="two columns are exchanged"),
        pytest.param(repeated, "50% of the rows repeat another one in all inputs", id="rows come twice"),
        pytest.param(mapped("in.city", lambda c: c.str.to_uppercase()), "city is spelt otherwise", id="capitals"),
        pytest.param(
            some(0.1, "in.city", pl.lit("Zurich ")), "'Zurich ' for 'Zürich'", id="accents are lost and a blank"
        ),
        pytest.param(some(0.04, "in.length", None), "length is missing in 4% of the rows, 0% before", id="missing"),
    ],
)
def test_a_broken_delivery_is_one_and_is_named(change: Change, message: str) -> None:
    """It outranks the drift that it also is."""
    found = decision(change)
    assert found.verdict == "DataQuality"
    assert message in found.sentence


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(mapped("in.length", lambda c: c + 5.0), id="people are taller"),
        pytest.param(mapped("in.price", lambda c: c * 1.3), id="prices rise by a third"),
        pytest.param(mapped("in.temperature", lambda c: c * 1.7 - 14.0), id="more extreme days"),
        pytest.param(mapped("in.visits", lambda c: c + 2.0), id="more visits"),
        pytest.param(some(0.25, "in.city", pl.lit("Basel")), id="a new city"),
        pytest.param(some(0.3, "in.discount", 0.0), id="fewer discounts"),
        pytest.param(some(0.4, "in.plan", pl.lit("full")), id="more full plans"),
    ],
)
def test_a_change_of_the_world_is_no_broken_delivery(change: Change) -> None:
    """However large, it has none of the marks."""
    assert decision(change).verdict == "DataDrift"


def test_a_window_as_before_is_stable() -> None:
    """Rounded values, a share of zeros and few categories are no faults where they were so before."""
    assert decision(lambda frame: frame).verdict == "Stable"
    rounded = a_reference(rows(0, START - timedelta(days=30)).with_columns(pl.col("in.price").round(0)))
    assert decision(mapped("in.price", lambda c: c.round(0)), reference=rounded).verdict == "Stable"


def test_a_share_of_missing_values_that_the_reference_had_at_times_is_no_fault() -> None:
    """A fifth is missing in every other of its weeks; half would be more than ever."""
    weeks = []
    for week in range(4):
        known = rows(10 + week, START - timedelta(days=28 - 7 * week))
        weeks.append(some(0.2 * (week % 2), "in.length", None)(known))
    reference = a_reference(pl.concat(weeks))
    quality = CHECKS[0]
    assert decision(some(0.2, "in.length", None), quality, reference=reference).verdict == "Stable"
    assert decision(some(0.5, "in.length", None), quality, reference=reference).verdict == "DataQuality"


def test_inputs_that_only_move_together_are_drift_and_named() -> None:
    """Each has the distribution that it had; a tall person now pays more."""

    def together(frame: pl.DataFrame) -> pl.DataFrame:
        order = (frame["in.length"] + pl.Series(np.random.default_rng(3).normal(size=ROWS) * 5.0)).arg_sort()
        prices = np.empty(ROWS)
        prices[order.to_numpy()] = np.sort(frame["in.price"].to_numpy())
        return frame.with_columns(pl.Series("in.price", prices))

    found = decision(together)
    assert found.verdict == "DataDrift"
    assert "length and price moved together: their rank correlation is 0.8" in found.sentence
    hidden = decision(lambda frame: together(frame).with_columns(pl.lit(None, pl.Float64).alias("in.level")), CHECKS[1])
    assert "length and price moved together" in hidden.sentence, "another input without values hides no pair"
    strict = replace_effect(CHECKS[1], "0.45")
    assert decision(together, strict).verdict == "Stable", "twice minEffectSize is the smallest change"


def replace_effect(check: Check, effect: str) -> Check:
    return check.evolve(min_effect_size=effect)


def test_rows_of_few_users_scattered_over_a_window_are_no_drift() -> None:
    """Forty users a window, each with a level of its own, come in any order: windows differ by who came."""
    rng = np.random.default_rng(5)

    def part(number: int) -> pl.DataFrame:
        users = rng.normal(size=(40, 8)) * 0.8
        values = users[rng.integers(0, 40, size=1000)] + 0.6 * rng.normal(size=(1000, 8))
        first = START + timedelta(days=7 * (number - 10))
        return pl.DataFrame(
            {f"in.x{i}": values[:, i] for i in range(8)}
            | {"in.city": ["Bern"] * 1000, "in.plan": ["full"] * 1000}
            | {"time": [first + timedelta(minutes=10 * row + 1) for row in range(1000)]}
        )

    reference = a_reference(pl.concat([part(number) for number in range(10)]))
    verdicts = []
    for number in range(10, 30):
        frame = part(number)
        end = START + timedelta(days=7 * (number - 9))
        window = window_of(asked_of(frame), JudgedSpan(end - timedelta(days=7), end, end))
        limits = WindowSpec(duration="7d", min_samples=500)
        verdicts.append(decide(reference, window, CHECKS, limits=limits, labels=Labels(), seed=1).verdict)
    assert verdicts.count("Stable") >= 19, verdicts


def asked_of(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows as they were asked of a live version."""
    return frame.with_columns(
        pl.lit(True).alias("live"),
        pl.lit(None, pl.String).alias("label"),
        pl.lit("no").alias("out.prediction"),
        pl.lit("a").alias("id"),
        pl.int_range(pl.len(), dtype=pl.Int64).alias("row"),
    )


@pytest.mark.parametrize("phi", [0.5, 0.9, 0.99])
def test_rows_that_resemble_their_neighbours_are_no_drift(phi: float) -> None:
    """An AR(1) series wanders within a window; of 5 inputs and 20 windows at most one alarm."""
    rng = np.random.default_rng(11)

    def wandering(count: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        noise = rng.normal(size=(count, 5)) * np.sqrt(1 - phi * phi)
        values, state = np.empty((count, 5)), rng.normal(size=5)
        for row in range(count):
            state = phi * state + noise[row]
            values[row] = state
        return values

    series = wandering(28 * 500)

    def part(first: int, rows_of: int) -> pl.DataFrame:
        cut = series[first : first + rows_of]
        times = [START + timedelta(minutes=20 * (first + row)) for row in range(rows_of)]
        texts = {"in.city": ["Bern"] * rows_of, "in.plan": ["full"] * rows_of}
        return pl.DataFrame({**{f"in.x{i}": cut[:, i] for i in range(5)}, **texts, "time": times})

    reference = a_reference(part(0, 4000))
    reference = replace(reference, numeric=tuple(f"x{i}" for i in range(5)))
    alarms = 0
    for number in range(20):
        frame = part(4000 + 500 * number, 500)
        span = JudgedSpan(frame["time"][0] - timedelta(minutes=20), frame["time"][-1], frame["time"][-1])
        filled = asked_of(frame)
        limits = WindowSpec(duration="7d", min_samples=500)
        found = decide(reference, window_of(filled, span), CHECKS, limits=limits, labels=Labels(), seed=1)
        alarms += found.verdict != "Stable"
    assert alarms <= 1


@pytest.mark.parametrize(
    ("column", "values"),
    [
        pytest.param("in.weekday", lambda day: float(day % 7), id="a day of the week"),
        pytest.param("in.month", lambda day: float(day // 30 % 12), id="a month"),
        pytest.param("in.holiday", lambda day: float(day % 15 == 0), id="a holiday"),
    ],
)
def test_what_filled_whole_windows_before_is_no_fault(column: str, values: Callable[[int], float]) -> None:
    """A day has one weekday: the reference's own days had too."""

    def days(first: int, count: int) -> pl.DataFrame:
        rng = np.random.default_rng(first)
        rows_of = count * 100
        return pl.DataFrame(
            {
                column: [values(first + row // 100) for row in range(rows_of)],
                "in.x": rng.normal(size=rows_of),
                "in.city": ["Bern"] * rows_of,
                "in.plan": ["full"] * rows_of,
                "time": [START + timedelta(days=first, minutes=14 * row + 1) for row in range(rows_of)],
            }
        )

    def at_their_days(frame: pl.DataFrame, first: int) -> pl.DataFrame:
        times = [
            START + timedelta(days=first + row // 100, minutes=14 * (row % 100) + 1) for row in range(frame.height)
        ]
        return frame.with_columns(pl.Series("time", times))

    reference = a_reference(at_their_days(days(0, 400), 0))
    for day in (400, 403, 405):
        end = START + timedelta(days=day + 1)
        frame = at_their_days(days(day, 1), day)
        window = window_of(asked_of(frame), JudgedSpan(end - timedelta(days=1), end, end))
        limits = WindowSpec(duration="1d", min_samples=50)
        found = decide(reference, window, CHECKS, limits=limits, labels=Labels(), seed=1)
        assert found.verdict == "Stable", found.sentence


def test_a_season_does_not_hide_what_no_window_of_it_ever_was() -> None:
    """Weekends are warmer by half as much again as a day's noise; three times the noise is a change."""
    rng = np.random.default_rng(9)

    def days(first: int, count: int, more: float = 0.0) -> pl.DataFrame:
        rows_of = count * 100
        day = first + np.arange(rows_of) // 100
        times = [START + timedelta(days=int(d), minutes=14 * (row % 100) + 1) for row, d in enumerate(day)]
        warm = 1.5 * (day % 7 >= 5)
        texts = {"in.city": ["Bern"] * rows_of, "in.plan": ["full"] * rows_of}
        values = {f"in.s{i}": warm + rng.normal(size=rows_of) + more * (i == 0) for i in range(3)}
        return pl.DataFrame({**values, **texts, "time": times})

    reference = a_reference(days(0, 60))
    verdicts = []
    for more in (0.0, 3.0):
        end = START + timedelta(days=62)
        window = window_of(asked_of(days(61, 1, more)), JudgedSpan(end - timedelta(days=1), end, end))
        limits = WindowSpec(duration="1d", min_samples=50)
        verdicts.append(decide(reference, window, CHECKS, limits=limits, labels=Labels(), seed=1).verdict)
    assert verdicts == ["Stable", "DataDrift"]


def test_another_sign_or_code_is_another_category() -> None:
    """AB- is no spelling of AB+, and a new short code is no longer one that was cut."""
    groups = pl.Series(np.random.default_rng(2).choice(["A+", "A-", "AB+", "0"], size=ROWS))
    reference = a_reference(rows(0, START - timedelta(days=30)).with_columns(groups.alias("in.city")))
    rare = pl.Series(np.random.default_rng(3).random(ROWS) < 0.02)
    seen = pl.when(rare).then(pl.lit("AB-")).otherwise(groups).alias("in.city")
    assert decision(lambda frame: frame.with_columns(seen), CHECKS[0], reference=reference).verdict == "Stable"
    codes = pl.Series(np.random.default_rng(2).choice(["A10.1", "A10.2", "B20.3", "C30.4"], size=ROWS))
    reference = a_reference(rows(0, START - timedelta(days=30)).with_columns(codes.alias("in.city")))
    new = pl.when(rare).then(codes.str.slice(0, 3)).otherwise(codes).alias("in.city")
    assert decision(lambda frame: frame.with_columns(new), CHECKS[0], reference=reference).verdict == "Stable"


@pytest.mark.parametrize("size", [1e200, 1e300])
def test_extreme_values_are_compared_and_stop_no_check(size: float) -> None:
    """Against a reference with windows of its own; three standard deviations are drift at any scale."""
    weeks = [rows(20 + week, START - timedelta(days=63 - 7 * week)) for week in range(9)]
    large = [frame.with_columns((pl.col("in.length") - 170.0) / 9.0 * size / 100.0) for frame in weeks]
    moved = decision(
        lambda frame: frame.with_columns(((pl.col("in.length") - 170.0) / 9.0 + 3.0) * size / 100.0),
        CHECKS[1],
        reference=a_reference(pl.concat(large)),
    )
    assert moved.verdict == "DataDrift"
    some_huge = some(0.5, "in.length", size)
    assert decision(some_huge, reference=a_reference(pl.concat(weeks))).verdict in ("DataQuality", "DataDrift")
