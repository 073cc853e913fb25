"""The file of the window before, sent again, is a broken delivery; rows that are alike by themselves are none."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from bench.drift_streams import LENGTH
from mlops.api.drift_monitor import Check, Labels
from mlops.api.drift_monitor import Window as WindowSpec
from mlops.workloads.drift.findings import Decision
from mlops.workloads.drift.reference import Reference
from mlops.workloads.drift.repeats import compared_inputs, earlier_rows
from mlops.workloads.drift.run import check
from mlops.workloads.drift.verdict import decide
from mlops.workloads.drift.window import window_of
from tests.workloads.drift.conftest import REQUESTS, World
from tests.workloads.drift.test_faults import ROWS, SPAN, START, a_reference, asked_of, rows

QUALITY = Check(name="delivery", type="DataQuality")
FEW_VALUES = pl.selectors.by_name("in.level", "in.city", "in.plan")


def decided(
    before: pl.DataFrame, now: pl.DataFrame, *, check: Check = QUALITY, reference: Reference | None = None
) -> Decision:
    """The decision about a window, with the rows of the one before it."""
    known = reference or a_reference()
    window = window_of(asked_of(now), SPAN)
    window = replace(window, earlier=earlier_rows(known, before, compared_inputs(known, window.frame)))
    limits = WindowSpec(duration="7d", min_samples=500)
    return decide(known, window, (check,), limits=limits, labels=Labels(), seed=1)


def partly(share: float, before: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """Rows of before, at the times of now, and then rows of now."""
    count = round(share * ROWS)
    return pl.concat([before.head(count), now.tail(ROWS - count)]).with_columns(now["time"])


@pytest.mark.parametrize("share", [1.0, 0.5, 0.2])
def test_rows_of_the_window_before_are_named(share: float) -> None:
    before = rows(5)

    found = decided(before, partly(share, before, rows(1)))

    assert found.verdict == "DataQuality"
    assert f"{share:.0%} of the rows are rows of the window before in all inputs" in found.sentence


def test_rows_in_another_order_are_the_same_rows() -> None:
    before = rows(5)

    found = decided(before, before.sample(fraction=1.0, shuffle=True, seed=2).with_columns(rows(1)["time"]))

    assert found.verdict == "DataQuality"


def test_a_few_rows_that_come_again_are_none() -> None:
    """A client asks twice: a twentieth of the rows."""
    before = rows(5)

    assert decided(before, partly(0.05, before, rows(1))).verdict == "Stable"
    assert decided(before, rows(1)).verdict == "Stable"


def test_rows_that_are_alike_by_themselves_are_none() -> None:
    """Ninety different rows are possible: most of a window's were there before, in the reference as well."""
    few = a_reference(rows(0, START - timedelta(days=30)).select(FEW_VALUES, "time"))

    found = decided(rows(5).select(FEW_VALUES, "time"), rows(1).select(FEW_VALUES, "time"), reference=few)

    assert found.verdict == "Stable", found.sentence


def test_what_a_service_is_asked_again_each_week_is_none() -> None:
    """Half of the reference's rows of each week are rows of the week before."""
    weeks = [rows(10, START - timedelta(days=56))]
    for week in range(1, 8):
        new = rows(10 + week, START - timedelta(days=56 - 7 * week))
        weeks.append(partly(0.5, weeks[-1].tail(ROWS // 2).vstack(weeks[-1].head(ROWS // 2)), new))
    reference = a_reference(pl.concat(weeks))

    half = decided(weeks[-1], partly(0.5, weeks[-1], rows(1)), reference=reference)
    whole = decided(weeks[-1], weeks[-1].with_columns(rows(1)["time"]), reference=reference)

    assert half.verdict == "Stable", half.sentence
    assert whole.verdict == "DataQuality", "then nothing is new, though half always was"


def test_min_share_says_how_many_rows_may_come_again() -> None:
    """A monitor of a service whose training data does not show that it is asked about the same rows each time."""
    before = rows(5)
    half = partly(0.5, before, rows(1))

    assert decided(before, half, check=QUALITY.evolve(min_share="0.5")).verdict == "Stable"
    assert decided(before, half, check=QUALITY.evolve(min_share="0.4")).verdict == "DataQuality"
    assert decided(before, before, check=QUALITY.evolve(min_share="1")).verdict == "Stable"


def test_captured_rows_of_the_window_before_are_read(stable: World) -> None:
    """Written by a server, under other ids; missing values too are the same ones."""
    again = stable.captured.with_columns(
        pl.col("time") - LENGTH, pl.concat_str(pl.lit("before-"), pl.col("id")).alias("id")
    )
    stable.write(REQUESTS, stable.captured)
    assert stable.check("DataQuality").verdict == "Stable"
    stable.write(REQUESTS, again, "b")

    report = stable.check("DataQuality")

    assert report.verdict == "DataQuality"
    assert "100% of the rows are rows of the window before" in report.checks[0].message
    assert stable.check("DataDrift").verdict == "Stable", "nobody asked"


def test_of_so_many_rows_the_ones_before_are_as_many(stable: World) -> None:
    """A window by count: the newest 600 rows are the 600 before them."""
    captured = stable.captured.sort("time")
    first, last = captured.head(600), captured.tail(600)
    inputs = [name for name in captured.columns if name.startswith("in.")]
    stable.write(REQUESTS, pl.concat([first, last.with_columns(first[name] for name in inputs)]))

    task = stable.task("DataQuality").evolve(window=WindowSpec(rows=600, min_samples=500))
    report = check(stable.pod(), task)

    assert "100% of the rows are rows of the window before" in report.checks[0].message


def test_a_sample_of_the_window_is_held_against_all_rows_of_the_one_before(stable: World) -> None:
    """Else a sample of a tenth would meet a tenth of the rows that came again."""
    again = stable.captured.with_columns(
        pl.col("time") - LENGTH, pl.concat_str(pl.lit("before-"), pl.col("id")).alias("id")
    )
    stable.write(REQUESTS, stable.captured)
    stable.write(REQUESTS, again, "b")

    report = stable.check("DataQuality", window={"max_samples": 200, "min_samples": 100})

    assert "100% of the rows are rows of the window before" in report.checks[0].message
    assert np.isclose(report.samples, 200)
