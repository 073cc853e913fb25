"""Live predictions and their labels become training data."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from mlops.workloads.floor.records.layout import captures_prefix, feedback_prefix
from mlops.workloads.ingest.run import BadInput
from tests.workloads.ingest.conftest import Desk, a_spec

START = datetime(2024, 1, 1, tzinfo=UTC)
FIELDS = [
    {"name": "id", "type": "string", "role": "entityKey"},
    {"name": "time", "type": "timestamp", "role": "timestamp"},
    {"name": "price", "type": "float64"},
    {"name": "class", "type": "string", "role": "label", "nullable": True},
]
TIMESTAMP = pl.Datetime("us", "UTC")


def _spec(**source: Any) -> Any:
    captured = {"modelName": "shop", "window": "10d", "labels": "Required"} | source
    return a_spec(source={"captured": captured}, fields=FIELDS, format="parquet", split={"strategy": "time"})


def _bytes(frame: pl.DataFrame) -> bytes:
    sink = io.BytesIO()
    frame.write_parquet(sink)
    return sink.getvalue()


def _requests(desk: Desk, name: str, rows: list[tuple[str, int, int, float]]) -> None:
    """Store captured requests: (id, row, days after the start, price)."""
    frame = pl.DataFrame(
        {
            "id": [row[0] for row in rows],
            "row": [row[1] for row in rows],
            "time": pl.Series([START + timedelta(days=row[2]) for row in rows], dtype=TIMESTAMP),
            "in.price": [row[3] for row in rows],
            "out.prediction": ["UP"] * len(rows),
        }
    )
    desk.store.put_object(captures_prefix("shop", "shop", "production") + name, _bytes(frame))


def _labels(desk: Desk, name: str, rows: list[tuple[str, int, str, int]]) -> None:
    """Store feedback: (id, row, label, days after the start at which it was received)."""
    frame = pl.DataFrame(
        {
            "id": [row[0] for row in rows],
            "row": [row[1] for row in rows],
            "label": [row[2] for row in rows],
            "received": pl.Series([START + timedelta(days=row[3]) for row in rows], dtype=TIMESTAMP),
        }
    )
    desk.store.put_object(feedback_prefix("shop", "shop", "production") + name, _bytes(frame))


def _history(desk: Desk, days: list[int]) -> None:
    frame = pl.DataFrame(
        {
            "id": [f"h{day}" for day in days],
            "time": pl.Series([START + timedelta(days=day) for day in days], dtype=TIMESTAMP),
            "price": [float(day) for day in days],
            "class": [["UP", "DOWN"][day % 2] for day in days],
        }
    )
    desk.deliver("history.parquet", _bytes(frame))


def _rows(desk: Desk, report: Any) -> list[tuple[Any, ...]]:
    parts = [desk.frame(report, part) for part in ("train", "validation", "test")]
    return pl.concat(parts).select("id", "price", "class").rows()


def _ingest(desk: Desk, spec: Any, day: int, **task: Any) -> Any:
    values = {"captures": True, "as_of": (START + timedelta(days=day)).strftime("%Y-%m-%dT%H:%M:%SZ")} | task
    return desk.ingest(spec, **values)


def test_requests_meet_their_labels_by_id_and_row_and_the_first_request_and_the_last_label_count(desk: Desk) -> None:
    _requests(desk, "date=2024-01-02/a.parquet", [("a", 0, 1, 1.0), ("a", 1, 1, 1.5), ("b", 0, 2, 2.0)])
    _requests(desk, "date=2024-01-04/b.parquet", [("b", 0, 3, 2.5), ("c", 0, 3, 3.0)])
    _labels(desk, "date=2024-01-05/a.parquet", [("a", 0, "UP", 4), ("a", 1, "DOWN", 4), ("b", 0, "UP", 6)])
    _labels(desk, "date=2024-01-05/b.parquet", [("b", 0, "DOWN", 5), ("stranger", 0, "UP", 5)])
    report = _ingest(desk, _spec(), day=10)
    assert _rows(desk, report) == [("a", 1.0, "UP"), ("a/1", 1.5, "DOWN"), ("b", 2.0, "UP")]
    assert report.delivered_at == "2024-01-04T00:00:00Z", "when the newest request came"


def test_optional_labels_leave_rows_in_that_have_none_yet(desk: Desk) -> None:
    _requests(desk, "date=2024-01/a.parquet", [("a", 0, 1, 1.0), ("b", 0, 2, 2.0), ("c", 0, 3, 3.0)])
    _labels(desk, "date=2024-01/a.parquet", [("a", 0, "UP", 4), ("b", 0, "DOWN", 4)])
    report = _ingest(desk, _spec(labels="Optional"), day=10)
    assert _rows(desk, report) == [("a", 1.0, "UP"), ("b", 2.0, "DOWN"), ("c", 3.0, None)]


def test_the_window_is_open_at_its_start_and_closed_at_its_end_as_a_drift_checks(desk: Desk) -> None:
    _requests(desk, "date=2024-01/a.parquet", [(f"r{day}", 0, day, float(day)) for day in range(15)])
    _labels(desk, "date=2024-01/a.parquet", [(f"r{day}", 0, ["UP", "DOWN"][day % 2], 14) for day in range(15)])
    _history(desk, [1, 2, 3, 12])
    report = _ingest(desk, _spec(history={"s3": {"uri": "s3://raw/history.parquet"}}), day=12)
    assert {row[0] for row in _rows(desk, report)} == {f"r{day}" for day in range(3, 13)} | {"h3", "h12"}


def test_before_there_is_a_live_model_the_window_ends_with_the_historys_last_row(desk: Desk) -> None:
    _requests(desk, "date=2024-01/a.parquet", [("a", 0, 29, 1.0)])
    _labels(desk, "date=2024-01/a.parquet", [("a", 0, "UP", 29)])
    _history(desk, list(range(30)))
    spec = _spec(history={"s3": {"uri": "s3://raw/history.parquet"}})
    report = _ingest(desk, spec, day=500, captures=False)
    assert [row[0] for row in _rows(desk, report)] == [f"h{day}" for day in range(20, 30)]


def test_the_scheduled_time_is_read_from_the_jobs_name(desk: Desk) -> None:
    _history(desk, list(range(5)))
    minutes = int((START + timedelta(days=3)).timestamp() // 60)
    spec = _spec(history={"s3": {"uri": "s3://raw/history.parquet"}})
    report = desk.ingest(spec, as_of="scheduled", captures=True, environ={"MLOPS_JOB": f"shop-refresh-{minutes}"})
    assert report.as_of == "2024-01-04T00:00:00Z"
    assert [row[0] for row in _rows(desk, report)] == ["h0", "h1", "h2", "h3"]


def test_a_look_that_a_person_started_is_of_now(desk: Desk) -> None:
    """`kubectl create job --from=cronjob/...` gives a name without a scheduled time."""
    _history(desk, list(range(5)))
    spec = _spec(history={"s3": {"uri": "s3://raw/history.parquet"}})
    before = datetime.now(UTC).replace(microsecond=0)
    report = desk.ingest(spec, as_of="scheduled", captures=False, environ={"MLOPS_JOB": "look-2"})
    assert before <= datetime.fromisoformat(report.as_of) <= datetime.now(UTC)


def test_no_labelled_rows_in_the_window_are_no_version(desk: Desk) -> None:
    _requests(desk, "date=2024-01/a.parquet", [("a", 0, 1, 1.0)])
    with pytest.raises(BadInput) as caught:
        _ingest(desk, _spec(), day=10)
    assert caught.value.reason == "DataUnusable"


def test_a_field_that_was_not_captured_is_named(desk: Desk) -> None:
    _requests(desk, "date=2024-01/a.parquet", [("a", 0, 1, 1.0)])
    _labels(desk, "date=2024-01/a.parquet", [("a", 0, "UP", 2)])
    spec = _spec()
    fields = [*FIELDS, {"name": "colour", "type": "string"}]
    with pytest.raises(BadInput, match=r'there is no column "in.colour" for the field "colour"'):
        _ingest(desk, spec.model_copy(update={"fields": a_spec(fields=fields).fields}), day=10)
