"""A window that is far from each of the reference's own is drift if its rows say so, and not if they wander slowly."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from mlops.statistics.arrays import FloatArray
from mlops.workloads.drift.dependence import Dependence
from mlops.workloads.drift.inputs import unlike_each
from tests.workloads.drift.test_faults import START

ROWS, WEEK = 600, timedelta(days=7)


def week(number: int, values: FloatArray) -> pl.DataFrame:
    first = START + WEEK * number
    return pl.DataFrame({"x": values, "time": [first + WEEK * ((row + 0.5) / ROWS) for row in range(ROWS)]})


def slow(rng: np.random.Generator, level: float) -> FloatArray:
    """Forty values, each for fifteen rows."""
    return level + np.repeat(rng.normal(size=ROWS // 15), 15)


def drawn(rng: np.random.Generator, level: float) -> FloatArray:
    return level + rng.normal(size=ROWS)


@pytest.mark.parametrize("flags", [False, True])
def test_rows_that_wander_slowly_do_not_tell_a_window_from_all_others(flags: bool) -> None:
    """A level of a third of a standard deviation from all eight weeks: of 40 independent rows chance, of 600 none."""
    rng = np.random.default_rng(1)
    told = []
    for values in (slow, drawn):
        frames = [week(number, values(rng, 0.33 if number == 8 else 0.0)) for number in range(9)]
        if flags:
            frames = [frame.with_columns((pl.col("x") > 0.0).cast(pl.Float64)) for frame in frames]
        *blocks, window = frames
        dependence = Dependence(pl.concat(blocks), window, blocks)
        told.append(unlike_each(tuple(blocks), window, "x", dependence, 0.01, is_number=True))
    assert told == [False, True]


def test_how_long_rows_resemble_each_other_is_pooled_over_the_windows() -> None:
    """Of one window of slow rows it is known badly; their mean is near the fifteen rows that say as much as one."""
    rng = np.random.default_rng(2)
    frames = [week(number, slow(rng, 0.0)) for number in range(9)]
    pooled = Dependence(pl.concat(frames[:8]), frames[8], frames[:8]).of("x", is_number=True)[1]
    assert pooled > 8.0
    texts = [frame.with_columns((pl.col("x") > 0.5).cast(pl.String)) for frame in frames]
    assert Dependence(pl.concat(texts[:8]), texts[8], texts[:8]).of("x", is_number=False)[1] > 6.0


def test_categories_that_differ_from_week_to_week_say_less_in_the_window_too() -> None:
    """Rows of few users: within a week nothing shows, and weeks differ by who came in them."""
    rng = np.random.default_rng(3)
    weeks = [week(number, (rng.random(ROWS) < rng.uniform(0.2, 0.8)).astype(np.float64)) for number in range(9)]
    texts = [frame.with_columns(pl.col("x").cast(pl.String)) for frame in weeks]

    dependence = Dependence(pl.concat(texts[:8]), texts[8], texts[:8])

    assert dependence.of("x", is_number=False)[1] > 10.0
    assert dependence.within("x", is_number=False) < 2.0
