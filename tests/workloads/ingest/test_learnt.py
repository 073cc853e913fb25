"""What cleaning learns of the data, as a model will do it to requests."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from mlops.workloads.floor.pod import BadInput
from mlops.workloads.floor.records.layout import captures_prefix
from tests.workloads.ingest.conftest import FIELDS, Desk, a_frame, a_spec

BIG = (1 << 60) + 1
# `price > -100` leaves all 40 rows.
MISSING = a_frame()["count"].null_count() / 40


def _learnt(desk: Desk, steps: list[dict[str, Any]], **changes: Any) -> list[dict[str, Any]]:
    report = desk.ingest(a_spec(clean=steps, **changes))
    found: list[dict[str, Any]] = desk.document(report, "schema").get("clean", [])
    return found


def test_the_steps_stand_in_the_version_as_they_were_done(desk: Desk) -> None:
    """In their order, with constants for words, and only as far as requests go. What was missing is counted."""
    desk.deliver("things/1.csv", a_frame().write_csv())
    steps = [
        {"deduplicate": {"by": ["id"]}},
        {"filter": "class <> 'X'"},
        {"filter": "price > -100"},
        {"fillNull": {"field": "count", "strategy": "median"}},
        {"fillNull": {"field": "kind", "strategy": "forward", "by": []}},
        {"dropNulls": ["open", "class"]},
    ]
    assert _learnt(desk, steps) == [
        {"filter": "price > -100"},
        {"fillNull": {"field": "count", "value": 20, "missing": MISSING}},
        {"fillNull": {"field": "kind"}},
        {"dropNulls": ["open"]},
    ]


def test_another_constant_is_another_version_though_no_row_differs(desk: Desk) -> None:
    """A model of it answers otherwise. Steps that no request meets leave the digest as it was."""
    desk.deliver("things/1.csv", a_frame().with_columns(pl.col("count").fill_null(0)).write_csv())
    plain = desk.ingest(a_spec()).digest
    one, other = (
        desk.ingest(a_spec(clean=[{"fillNull": {"field": "count", "value": value}}])).digest for value in ("1", "2")
    )
    assert len({plain, one, other}) == 3
    assert desk.ingest(a_spec(clean=[{"filter": "class <> 'X'"}, {"deduplicate": {"by": ["id"]}}])).digest == plain


def test_how_many_values_were_missing_is_no_other_version(desk: Desk) -> None:
    """It is counted for drift checks; the same rows and the same constant make the same model."""
    fill = [{"fillNull": {"field": "count", "value": "2"}}]
    found = []
    for frame in (a_frame(), a_frame().with_columns(pl.col("count").fill_null(2))):
        desk.deliver("things/1.csv", frame.write_csv())
        report = desk.ingest(a_spec(clean=fill))
        found.append((report.digest, desk.document(report, "schema")["clean"][0]["fillNull"]["missing"]))
    assert found[0][0] == found[1][0]
    assert (found[0][1], found[1][1]) == (MISSING, 0)


@pytest.mark.parametrize(
    ("value", "stands"),
    [
        pytest.param("-0.0", 0.0, id="minus zero"),
        pytest.param("1e22", 1e22, id="large"),
        pytest.param(" 7", 7.0, id="blank"),
    ],
)
def test_a_constant_is_read_as_a_value_that_is_delivered(desk: Desk, value: str, stands: float) -> None:
    """Minus zero is zero, as everywhere."""
    desk.deliver("things/1.csv", a_frame().write_csv())
    (step,) = _learnt(desk, [{"fillNull": {"field": "price", "value": value}}])
    assert repr(step["fillNull"]["value"]) == repr(stands)


def test_nan_is_no_constant(desk: Desk) -> None:
    """It would put nothing where nothing was."""
    desk.deliver("things/1.csv", a_frame().write_csv())
    refused = desk.refusal(a_spec(clean=[{"fillNull": {"field": "price", "value": "nan"}}]))
    assert refused == ("SchemaMismatch", 'spec.clean[0].fillNull.value: "nan" is not a float64')


@pytest.mark.parametrize(
    ("strategy", "stands"), [pytest.param("median", BIG, id="median"), pytest.param("mean", BIG, id="mean")]
)
def test_the_middle_of_whole_numbers_keeps_all_digits(desk: Desk, strategy: str, stands: int) -> None:
    """A float64 would make 2^60 of it."""
    counts = pl.Series("count", [BIG - 1, BIG, BIG + 1, None] * 10, dtype=pl.Int64)
    desk.deliver("things/1.csv", a_frame().with_columns(counts).write_csv())
    (step,) = _learnt(desk, [{"fillNull": {"field": "count", "strategy": strategy}}])
    assert step["fillNull"]["value"] == stands


def test_a_mean_that_no_float_holds_is_refused(desk: Desk) -> None:
    """With a way out, which works."""
    prices = pl.Series("price", [1.7e308] * 40)
    desk.deliver("things/1.csv", a_frame().with_columns(prices).write_csv())
    fields = [{key: value for key, value in one.items() if key not in ("min", "max")} for one in FIELDS]
    reason, message = desk.refusal(a_spec(fields=fields, clean=[{"fillNull": {"field": "price", "strategy": "mean"}}]))
    assert (reason, "use strategy median" in message) == ("DataUnusable", True)
    assert desk.ingest(a_spec(fields=fields, clean=[{"fillNull": {"field": "price", "strategy": "median"}}])).rows == 40


def test_the_median_of_personal_numbers_is_nobodys_constant(desk: Desk) -> None:
    """It is one person's value, and would stand in models; the ways out work."""
    desk.deliver("things/1.csv", a_frame().write_csv())
    median, mean = ([{"fillNull": {"field": "count", "strategy": how}}] for how in ("median", "mean"))
    reason, message = desk.refusal(a_spec(clean=median, governance={"pii": ["count"]}))
    assert (reason, 'the median of "count" is the value of one person' in message) == ("SchemaMismatch", True)
    assert desk.ingest(a_spec(clean=mean, governance={"pii": ["count"]})).rows == 40
    assert desk.ingest(a_spec(clean=median, governance={"pii": ["count"], "piiInModels": ["count"]})).rows == 40


@pytest.mark.parametrize("second", [pytest.param(3.0, id="whole"), pytest.param(3.5, id="fraction")])
def test_a_file_of_floats_rounds_no_other_files_whole_numbers(desk: Desk, second: float) -> None:
    """A float that is whole is that number; any other is refused, and named."""
    time = pl.Series("time", [datetime(2024, 1, 2, tzinfo=UTC)], dtype=pl.Datetime("us", "UTC"))
    for name, account in (("a", pl.Series([BIG])), ("b", pl.Series([second]))):
        sink = io.BytesIO()
        rows = {"id": [name], "row": [0], "time": time, "in.account": account, "out.prediction": ["UP"]}
        pl.DataFrame(rows).write_parquet(sink)
        desk.store.put_object(
            captures_prefix("shop", "shop", "production") + f"date=2024-01-02/{name}.parquet", sink.getvalue()
        )
    spec = a_spec(
        source={"captured": {"modelName": "shop", "window": "10d", "labels": "Optional"}},
        fields=[
            {"name": "time", "type": "timestamp", "role": "timestamp"},
            {"name": "account", "type": "int64"},
        ],
    )
    task = {"captures": True, "as_of": "2024-01-05T00:00:00Z"}
    if second != 3.0:
        with pytest.raises(BadInput, match=r'has the column "in\.account" as Float64'):
            desk.ingest(spec, **task)
        return
    report = desk.ingest(spec, **task)
    found = pl.concat([desk.frame(report, part) for part in ("train", "validation", "test")])
    assert sorted(found["account"].to_list()) == [3, BIG]
