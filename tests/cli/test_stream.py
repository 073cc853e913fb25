"""The rows of a replay: in the order of their time, whatever file they come from."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mlops.cli.errors import UserError
from mlops.cli.replay import Stream
from mlops.cli.scenario import Replay, checked_replay
from tests.cli.project import rows


def a_replay(**changes: Any) -> Replay:
    fields: dict[str, Any] = {"file": "s.parquet", "model": "m", "id": "id", "time": "at", "label": "y"}
    return checked_replay(**(fields | changes))


def test_rows_come_in_the_order_of_their_time(tmp_path: Path) -> None:
    """Whatever the order in the file; the last label comes late."""
    rows(10).reverse().write_parquet(tmp_path / "s.parquet")
    stream = Stream.read(tmp_path, a_replay(label_delay="2d", limit=5))
    assert stream.frame["id"].to_list() == [f"r{index:05d}" for index in range(5)]
    assert stream.first == datetime(2020, 1, 1, tzinfo=UTC)
    assert stream.last == datetime(2020, 1, 7, tzinfo=UTC)
    assert stream.rows_until(datetime(2020, 1, 2, tzinfo=UTC)) == 2


def test_csv_and_whole_dates_are_read(tmp_path: Path) -> None:
    """A day is its first timestamp."""
    (tmp_path / "s.csv").write_text("id,at,a,y\n1,2020-01-02,1.5,no\n2,2020-01-01,2.5,yes\n")
    stream = Stream.read(tmp_path, a_replay(file="s.csv"))
    assert stream.frame["id"].to_list() == ["2", "1"]
    assert stream.first == datetime(2020, 1, 1, tzinfo=UTC)


def test_another_time_zone_is_the_same_moment(tmp_path: Path) -> None:
    """Midnight in Berlin is eleven in the evening in UTC."""
    local = rows(1).with_columns(pl.col("at").dt.convert_time_zone("Europe/Berlin"))
    local.write_parquet(tmp_path / "s.parquet")
    assert Stream.read(tmp_path, a_replay()).first == datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("frame", "changes", "want"),
    [
        pytest.param(rows(3), {"file": "none.parquet"}, "none.parquet: there is no such file", id="no file"),
        pytest.param(rows(3), {"id": "row"}, "no column 'row'; there are id, at, a, b, y", id="no column"),
        pytest.param(rows(3), {"time": "a"}, "column 'a' is Float64, not a time", id="no time"),
        pytest.param(rows(3).clear(), {}, "holds no row", id="no row"),
        pytest.param(
            rows(3).with_columns(at=pl.lit(None, pl.Datetime("us", "UTC"))),
            {},
            "'at' is empty in 3 of 3",
            id="no times",
        ),
        pytest.param(rows(3).with_columns(id=pl.lit("x")), {}, "2 values stand more than once", id="ids twice"),
    ],
)
def test_a_stream_that_cannot_be_sent_is_refused(
    tmp_path: Path, frame: pl.DataFrame, changes: dict[str, Any], want: str
) -> None:
    """Before anything is sent, with the file and the column."""
    frame.write_parquet(tmp_path / "s.parquet")
    with pytest.raises(UserError) as caught:
        Stream.read(tmp_path, a_replay(**changes))
    assert want in caught.value.message


@pytest.mark.parametrize("name", ["s.parquet", "s.csv"])
def test_a_file_that_is_none_is_named(tmp_path: Path, name: str) -> None:
    """Garbage, and a CSV that was named Parquet."""
    (tmp_path / name).write_bytes(b"" if name == "s.csv" else b"id,at\n1,2020-01-01\n")
    with pytest.raises(UserError, match=rf"{name}: cannot be read as "):
        Stream.read(tmp_path, a_replay(file=name))
