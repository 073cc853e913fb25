"""The rows of a replay: in the order of their time, whatever file they come from."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
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


def _target(**inputs: str) -> Any:
    """What a server says of a model."""
    return SimpleNamespace(
        inputs=[{"name": name, "datatype": datatype} for name, datatype in inputs.items()], answer="BYTES"
    )


def test_text_is_sent_as_the_model_takes_it(tmp_path: Path) -> None:
    """Ids, digits of a text and labels stay what stands in the file; numbers are numbers, also after whole ones."""
    lines = [f"{i:03d},2024-01-01T00:{i // 60:02d}:{i % 60:02d}Z,01234,{i},true,1" for i in range(300)]
    (tmp_path / "s.csv").write_text("id,at,zip,x,flag,y\n" + "\n".join(lines) + "\n1e5,2024-01-02,00,1.5,,0\n")
    stream = Stream.read(tmp_path, a_replay(file="s.csv"))
    assert stream.frame["id"].to_list()[7] == "007"
    typed = stream.typed(_target(zip="BYTES", x="FP64", flag="BOOL"))
    assert typed.select("id", "zip", "x", "flag", "y").rows()[7] == ("007", "01234", 7.0, True, "1")
    assert typed.select("id", "zip", "x", "flag", "y").rows()[300] == ("1e5", "00", 1.5, None, "0")


@pytest.mark.parametrize("text", ["02/03/2024", "2024-02-30", "24-03-02", "2024"])
def test_a_date_that_a_dataset_refuses_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.csv").write_text(f"id,at,y\n1,2024-01-01,a\n2,{text},b\n")
    with pytest.raises(UserError, match=r's\.csv: row 2, column "at": ".*" is not a timestamp: write RFC 3339'):
        Stream.read(tmp_path, a_replay(file="s.csv"))


def test_a_value_that_the_model_does_not_take_is_told_with_its_row(tmp_path: Path) -> None:
    """The row of the file, not of the sorted stream."""
    (tmp_path / "s.csv").write_text("id,at,n,y\n1,2024-01-02,1.5,a\n2,2024-01-01,2,b\n")
    stream = Stream.read(tmp_path, a_replay(file="s.csv"))
    with pytest.raises(UserError, match=r's\.csv: row 1, column "n": "1\.5" is not an int64'):
        stream.typed(_target(n="INT64"))


def test_ids_that_are_fractions_are_refused(tmp_path: Path) -> None:
    rows(3).with_columns(id=pl.Series([1.0, 2.0, 3.0])).write_parquet(tmp_path / "s.parquet")
    with pytest.raises(UserError, match=r"so that the id 7 would be 7\.0: write ids as whole numbers or text"):
        Stream.read(tmp_path, a_replay())


def test_a_fixed_offset_is_read_and_the_file_left_alone(tmp_path: Path) -> None:
    written = Path(__file__).parents[1] / "deliveries" / "formats" / "written" / "offset.parquet"
    content = written.read_bytes()
    with pytest.raises(UserError, match="column 'x' is empty in 1 of 2 rows"):
        Stream.read(written.parent, a_replay(file="offset.parquet", id="v", time="x", label=None))
    assert written.read_bytes() == content
