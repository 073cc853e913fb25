"""Inputs that only go together in another way are drift, by name: categories, and what no rank correlation sees."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from mlops.workloads.drift.inputs import Inputs
from mlops.workloads.drift.window import window_of
from tests.workloads.drift.test_faults import CHECKS, ROWS, SPAN, START, Change, a_reference, asked_of, decision, rows

INPUTS = CHECKS[1]


def reordered(column: str, by: pl.Expr, noise: float = 0.5) -> Change:
    """The values of a column in the order of `by`, with noise: each is there as often as it was."""

    def change(frame: pl.DataFrame) -> pl.DataFrame:
        rank = frame.select(by.rank("average")).to_series().to_numpy() / ROWS
        order = (rank + noise * np.random.default_rng(3).random(ROWS)).argsort()
        values = frame[column].sort()
        return frame.with_columns(values.gather(order.argsort()).alias(column))

    return change


FAR_FROM_USUAL = (pl.col("in.temperature") - 20.0).abs()
IN_A_TOWN = pl.col("in.city").replace_strict({"Bern": 0.0, "Zürich": 1.0, "Genf": 2.0})


@pytest.mark.parametrize(
    ("change", "one", "other"),
    [
        pytest.param(reordered("in.plan", IN_A_TOWN), "city", "plan", id="two categories"),
        pytest.param(reordered("in.price", IN_A_TOWN), "city", "price", id="a number and a category"),
        pytest.param(reordered("in.length", FAR_FROM_USUAL), "length", "temperature", id="what has no direction"),
    ],
)
def test_inputs_that_go_together_in_another_way_are_drift_and_named(change: Change, one: str, other: str) -> None:
    found = decision(change)

    assert found.verdict == "DataDrift", found.sentence
    assert f"{one} and {other} go together in another way" in found.sentence
    joint = found.findings[1].numbers["joint"]
    assert joint.auc > 0.6
    assert not any(shift.drifted for shift in found.shifts), "none moved by itself"


def test_a_small_change_is_none() -> None:
    """Twice minEffectSize is the smallest change, as of rank correlations."""
    change = reordered("in.price", IN_A_TOWN)

    assert decision(change, INPUTS.evolve(min_effect_size="0.5")).verdict == "Stable"


def test_min_share_asks_for_that_share_of_the_inputs() -> None:
    """Two of eight go together in another way."""
    change = reordered("in.plan", IN_A_TOWN)

    assert decision(change, INPUTS.evolve(min_share="0.2")).verdict == "DataDrift"
    assert decision(change, INPUTS.evolve(min_share="0.9")).verdict == "Stable"


def test_what_goes_together_at_times_is_no_drift() -> None:
    """In every other of the reference's weeks the plan follows the town; in none does the price."""
    with_town, priced = reordered("in.plan", IN_A_TOWN), reordered("in.price", IN_A_TOWN)
    weeks = [rows(10 + week, START - timedelta(days=56 - 7 * week)) for week in range(8)]
    known = [with_town(frame) if number % 2 else frame for number, frame in enumerate(weeks)]
    reference = a_reference(pl.concat(known))

    assert decision(with_town, INPUTS, reference=reference).verdict == "Stable"
    assert decision(lambda frame: frame, INPUTS, reference=reference).verdict == "Stable"
    steady = a_reference(pl.concat(weeks))
    assert decision(priced, INPUTS, reference=steady).verdict == "DataDrift"


def test_windows_in_which_nothing_moved_are_stable() -> None:
    """Of thirty windows none is drift; nor are p-values small more often than they should be."""
    reference = a_reference()
    found = []
    for seed in range(100, 130):
        joint = Inputs(reference, window_of(asked_of(rows(seed)), SPAN)).joint(INPUTS, 1)
        assert not isinstance(joint, str)
        found.append(joint)
    assert not any(joint.drifted for joint in found)
    assert sum(joint.p_value <= 0.3 for joint in found) <= 16


def test_inputs_whose_level_differs_from_week_to_week_are_left_out() -> None:
    """Each week has a level of its own, so that a week's rows say little of how inputs go together."""

    def week(number: int) -> pl.DataFrame:
        frame = rows(10 + number, START - timedelta(days=63 - 7 * number))
        return frame.with_columns(pl.col(f"in.{name}") + 60.0 * (number % 3) for name in ("length", "price"))

    reference = a_reference(pl.concat([week(number) for number in range(9)]))
    window = week(9).with_columns(rows(1)["time"])

    found = decision(lambda _: window, INPUTS, reference=reference)

    joint = found.findings[0].numbers["joint"]
    assert (joint.looked_at, joint.left_out) == (6, 2)
    few = replace(reference, numeric=("length", "price"), categorical=())
    told = decision(lambda _: window, INPUTS, reference=few).findings[0].numbers["joint"]
    assert told == "fewer than two inputs vary within a window and say enough about it"
