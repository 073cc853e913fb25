"""Windows that no check expects: empty, constant, renamed, of another type, extreme. By random draws through the store.

None is an exception, and none is "nothing has moved": the verdict names the column, or says that it cannot tell.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from bench.drift_streams import LENGTH
from mlops.workloads.floor.pod import BadInput
from tests.workloads.drift.conftest import LABELS, REQUESTS, World

NUMBERS = ("x0", "x1", "x2", "x3", "x4")
EXTREMES = (1e308, -1e308, 1.7976931348623157e308, 5e-324, -5e-324, 2.2250738585072014e-308, 1e160, -1e160, 0.0, -0.0)

Change = Callable[[pl.DataFrame, str, np.random.Generator], pl.DataFrame]


def everywhere(frame: pl.DataFrame, name: str, value: pl.Expr) -> pl.DataFrame:
    return frame.with_columns(value.alias(f"in.{name}"))


def missing(frame: pl.DataFrame, name: str, rng: np.random.Generator) -> pl.DataFrame:
    return everywhere(frame, name, pl.lit(None, frame.schema[f"in.{name}"]))


def constant(frame: pl.DataFrame, name: str, rng: np.random.Generator) -> pl.DataFrame:
    return everywhere(frame, name, pl.lit(frame[f"in.{name}"].drop_nulls()[int(rng.integers(frame.height))]))


def renamed(frame: pl.DataFrame, name: str, rng: np.random.Generator) -> pl.DataFrame:
    return frame.rename({f"in.{name}": f"in.{name}_{rng.integers(9)}"})


def dropped(frame: pl.DataFrame, name: str, rng: np.random.Generator) -> pl.DataFrame:
    return frame.drop(f"in.{name}")


def of_texts(frame: pl.DataFrame, name: str, rng: np.random.Generator) -> pl.DataFrame:
    return everywhere(frame, name, pl.lit("n/a"))


def of_flags(frame: pl.DataFrame, name: str, rng: np.random.Generator) -> pl.DataFrame:
    return everywhere(frame, name, pl.lit(bool(rng.random() < 0.5)))


def of_times(frame: pl.DataFrame, name: str, rng: np.random.Generator) -> pl.DataFrame:
    return everywhere(frame, name, pl.col("time"))


def not_finite(frame: pl.DataFrame, name: str, rng: np.random.Generator) -> pl.DataFrame:
    return everywhere(frame, name, pl.lit(float(rng.choice([np.nan, np.inf, -np.inf]))))


def extreme(frame: pl.DataFrame, name: str, rng: np.random.Generator) -> pl.DataFrame:
    """One extreme value, or several, in some of the rows or in all."""
    values = rng.choice(EXTREMES, size=int(rng.integers(1, 4)), replace=False)
    drawn = pl.Series(rng.choice(values, size=frame.height))
    chosen = pl.Series(rng.random(frame.height) < rng.choice([0.05, 0.3, 1.0]))
    return everywhere(frame, name, pl.when(chosen).then(drawn).otherwise(pl.col(f"in.{name}")))


def new_category(frame: pl.DataFrame, name: str, rng: np.random.Generator) -> pl.DataFrame:
    chosen = pl.Series(rng.random(frame.height) < rng.choice([0.2, 0.6, 1.0]))
    text = str(rng.choice(["<b>", "", " ", "north\x00", "ÿ" * 500, "nan", "Norden"]))
    return everywhere(frame, name, pl.when(chosen).then(pl.lit(text)).otherwise(pl.col(f"in.{name}")))


OF_NUMBERS: tuple[Change, ...] = (
    missing,
    constant,
    renamed,
    dropped,
    of_texts,
    of_flags,
    of_times,
    not_finite,
    extreme,
)
OF_TEXTS: tuple[Change, ...] = (missing, constant, renamed, dropped, new_category)


@pytest.mark.parametrize("draw", range(3))
@pytest.mark.parametrize(
    ("change", "is_number"),
    [pytest.param(one, True, id=f"a number {one.__name__}") for one in OF_NUMBERS]
    + [pytest.param(one, False, id=f"a text {one.__name__}") for one in OF_TEXTS],
)
def test_a_window_that_no_check_expects_is_named(stable: World, change: Change, is_number: bool, draw: int) -> None:
    rng = np.random.default_rng([draw, *change.__name__.encode()])
    name = str(rng.choice(NUMBERS)) if is_number else "region"
    rows = stable.captured.with_columns(pl.col("in.x0").fill_null(0.0))
    stable.write(REQUESTS, change(rows, name, rng))
    stable.write(LABELS, stable.labels)

    report = stable.check()

    document = stable.document(report)
    json.dumps(document, allow_nan=False)
    assert name in stable.page(report)
    if change is missing and name in stable.stream.reference.required:
        # A server refuses requests without it: it was recorded so on purpose, and the report says what follows.
        assert any(name in note and "not compared" in note for note in document["notes"])
        return
    assert report.verdict in ("DataQuality", "Inconclusive", "DataDrift"), report
    told = " ".join(check["message"] for check in document["checks"] if check["result"] != "NotDetected")
    assert name in told, told


@pytest.mark.parametrize("draw", range(12))
def test_several_columns_at_once_of_a_window_of_any_size_are_no_exception(stable: World, draw: int) -> None:
    """Two to five columns broken in different ways, the same rows sent before or not: named, or it cannot be told."""
    rng = np.random.default_rng([draw, 5])
    size = int(rng.choice([1, 40, 500, 1200]))
    rows = stable.captured.with_columns(pl.col("in.x0").fill_null(0.0)).head(size)
    names = [*rng.choice(NUMBERS, size=int(rng.integers(1, 5)), replace=False).tolist(), "region"]
    broken: dict[str, Change] = {}
    for name in names:
        kinds = OF_TEXTS if name == "region" else OF_NUMBERS
        broken[name] = kinds[int(rng.integers(len(kinds)))]
        rows = broken[name](rows, name, rng)
    stable.write(REQUESTS, rows)
    if draw % 3 == 0:
        earlier = rows.with_columns(pl.col("time") - LENGTH, pl.concat_str(pl.lit("b"), "id").alias("id"))
        stable.write(REQUESTS, earlier, "before")
    stable.write(LABELS, stable.labels.head(size))

    report = stable.check(window={"min_samples": 30})

    document = stable.document(report)
    json.dumps(document, allow_nan=False)
    if size >= 30 and all(change is missing for change in broken.values()):
        # As above: required ones were recorded so on purpose.
        assert all(name in str(document["notes"]) for name in broken)
        return
    assert report.verdict in ("DataQuality", "Inconclusive", "DataDrift"), f"{size} rows: {broken}"
    assert report.verdict == "Inconclusive" or size >= 30
    told = " ".join(check["message"] for check in document["checks"] if check["result"] != "NotDetected")
    assert report.verdict == "Inconclusive" or any(name in told for name in broken) or "window before" in told, told


def test_a_column_of_lists_is_refused_by_name(stable: World) -> None:
    """No model server writes them."""
    stable.write(REQUESTS, stable.captured.with_columns(pl.concat_list("in.x2").alias("in.x2")))

    with pytest.raises(BadInput, match=r"the column in\.x2 is List"):
        stable.check()


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 29, 30, 31])
def test_a_window_of_few_rows_cannot_be_told(stable: World, rows: int) -> None:
    stable.write(REQUESTS, stable.captured.head(rows))
    stable.write(LABELS, stable.labels.head(rows))

    assert stable.check().verdict == "Inconclusive"
    least = stable.check(window={"min_samples": 2})
    assert least.verdict == "Inconclusive" or rows >= 2


def test_a_window_in_which_all_is_extreme_is_no_exception(stable: World) -> None:
    """Every number of every row is one of the largest and smallest ones."""
    rng = np.random.default_rng(3)
    rows = stable.captured.with_columns(
        pl.Series(f"in.{name}", rng.choice(EXTREMES, size=stable.captured.height)) for name in NUMBERS
    )
    stable.write(REQUESTS, rows.with_columns(pl.lit("nowhere").alias("in.region")))
    stable.write(LABELS, stable.labels)

    assert stable.check().verdict == "DataQuality"


def test_a_stopped_delivery_is_a_fault(stable: World) -> None:
    """There were requests before the window, and none in it."""
    stable.write_all()

    assert stable.check(end=stable.end + LENGTH + timedelta(days=1)).verdict == "DataQuality"
