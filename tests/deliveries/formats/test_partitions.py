"""Columns in the folders of a delivery: typed strictly, and the same as in the file if they stand there too."""

from __future__ import annotations

import io
import json
from pathlib import Path

import polars as pl
import pytest

from tests.deliveries.formats.reading import Outcome, field, read, spec_of
from tests.workloads.ingest.conftest import Desk

V, N, PART = field("v"), field("n", "int64"), field("part", "string")


def _file(form: str, **columns: list[object]) -> bytes:
    sink, frame = io.BytesIO(), pl.DataFrame(columns)
    match form:
        case "parquet":
            frame.write_parquet(sink)
        case "arrow":
            frame.write_ipc(sink)
        case "csv":
            frame.write_csv(sink)
        case "jsonl":
            frame.write_ndjson(sink)
        case "json":
            frame.write_json(sink)
    return sink.getvalue()


FORMS = ("parquet", "arrow", "csv", "jsonl", "json")
CASES: list[tuple[str, dict[str, object], Outcome]] = [
    ("h/n=7/part=x/f", {}, [(1.5, 7, "x")]),
    ("n=7/part=x/f", {}, [(1.5, 7, "x")]),
    ("h/part=a%20b%2Fc%3D/n=-7/f", {}, [(1.5, -7, "a b/c=")]),
    ("h/n=007/part=007/f", {}, [(1.5, 7, "007")]),
    ("h/n=__HIVE_DEFAULT_PARTITION__/part=/f", {}, [(1.5, None, None)]),
    ("h/n=1.5/part=x/f", {}, 'in the path, column "n": "1.5" is not an int64'),
    ("h/n=x/part=x/f", {}, 'in the path, column "n": "x" is not an int64'),
    ("h/n=7/n=8/part=x/f", {}, 'the path has the column "n" twice, with two values'),
    ("h/n=7/part=x/f", {"n": [7]}, [(1.5, 7, "x")]),
    ("h/n=7/part=x/f", {"n": [8]}, 'row 1, column "n": the file says another value than the path'),
    ("h/n=7/f", {"part": ["y"]}, [(1.5, 7, "y")]),
    ("h/n=7/f", {}, 'column "part" of spec.fields not found'),
    ("h/n=7/part=x=y.parquet", {"part": ["y"]}, [(1.5, 7, "y")]),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("key", "more", "want"), [pytest.param(*one, id=f"{one[0]} {one[1] or ''}") for one in CASES])
def test_a_column_may_stand_in_the_path(key: str, more: dict[str, list[object]], want: Outcome, form: str) -> None:
    outcome = read(_file(form, v=[1.5], **more), form, V, N, PART, key=key)
    if isinstance(want, str):
        assert isinstance(outcome, str), outcome
        assert want in outcome
    else:
        assert outcome == want


def test_a_folder_that_the_contract_does_not_name_is_none_of_its_columns() -> None:
    assert read(_file("csv", v=[1.5]), "csv", V, key="h/year=2012/f") == [(1.5,)]


def test_another_name_and_a_timestamp_stand_in_the_path_too() -> None:
    day = field("when", "timestamp", column="the day")
    assert read(_file("csv", v=[1.5]), "csv", V, day, key="h/the%20day=2024-05-01/f") == [(1.5, "2024-05-01T00:00:00Z")]


def test_a_contract_of_the_path_alone_is_refused() -> None:
    message = read(_file("csv", v=[1.5]), "csv", N, key="h/n=7/f")
    assert isinstance(message, str)
    assert "name a column of the file" in message


def test_a_prefix_of_partitions_is_one_version(tmp_path: Path) -> None:
    """The same rows with the column in the files have the same digest."""
    fields = [V, N | {"role": "label"}]
    split, whole = Desk(tmp_path / "split"), Desk(tmp_path / "whole")
    for n in (1, 2, 3):
        split.deliver(f"data/n={n}/f.parquet", _file("parquet", v=[n + 0.5] * 10))
        whole.deliver(f"data/{n}.parquet", _file("parquet", v=[n + 0.5] * 10, n=[n] * 10))
    spec = spec_of("parquet", *fields)
    assert split.ingest(spec).digest == whole.ingest(spec).digest


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_a_whole_number_that_means_a_missing_value_takes_no_neighbour(form: str) -> None:
    """They are one float64."""
    content = _file(form, n=[2**63 - 2, 2**63 - 1, -999])
    wanted = field("n", "int64", nullValues=["9223372036854775807", "-999"])
    assert read(content, form, wanted) == [(2**63 - 2,), (None,), (None,)]


def test_a_column_that_is_read_by_its_position_is_none_of_the_path() -> None:
    """A folder that is called as the field says nothing about it."""
    by_position = field("n", "int64", position=1)
    assert read("other\n5\n", "csv", by_position, key="h/n=7/f.csv") == [(5,)]


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_a_key_that_only_the_last_object_has_is_a_column_of_the_file(form: str) -> None:
    """The path says 7 for all, and the last of many objects 8: that is for somebody to decide."""
    objects = [json.dumps({"v": 1.5}) for _ in range(1500)] + [json.dumps({"v": 1.5, "n": 8})]
    text = "\n".join(objects) if form == "jsonl" else f"[{','.join(objects)}]"
    outcome = read(text, form, V, N, key="h/n=7/f")
    assert isinstance(outcome, str)
    assert 'column "n": the file says another value than the path' in outcome


def test_what_means_a_missing_value_in_the_file_means_one_in_the_path() -> None:
    """A field's own words come before those of the whole file."""
    csv = {"csv": {"nullValues": ["NA"]}}
    assert read("v\n1.5\n", "csv", V, N, PART, key="n=NA/part=NA/f", **csv) == [(1.5, None, None)]
    own = field("part", "string", nullValues=["none"])
    assert read("v\n1.5\n", "csv", V, own, key="part=none/f", **csv) == [(1.5, None)]
    assert read("v\n1.5\n", "csv", V, own, key="part=NA/f", **csv) == [(1.5, "NA")]


@pytest.mark.parametrize(
    ("bad", "want"),
    [
        pytest.param([], 3, id="none"),
        pytest.param([0], 4, id="the first"),
        pytest.param([0, 1], 5, id="the first two"),
        pytest.param([1, 3], 5, id="on both sides"),
        pytest.param([0, 5], 4, id="one behind it"),
    ],
)
def test_a_row_is_named_by_its_number_in_the_file_though_others_were_put_aside(bad: list[int], want: int) -> None:
    """Rows that are put aside are rows of the file."""
    good = iter(["7", "7", "8", "7", "7"])
    lines = ["x,7" if i in bad else f"1.5,{next(good)}" for i in range(5 + len(bad))]
    text = "\n".join(["v,n", *lines]) + "\n"
    outcome = read(text, "csv", V, N, key="n=7/f", validation={"onFailure": "Quarantine"})
    assert isinstance(outcome, str)
    assert outcome.startswith(f'row {want}, column "n": the file says another value')
