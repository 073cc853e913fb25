"""Bad deliveries: each is refused with its address and the way out, and leaves nothing behind."""

from __future__ import annotations

import gzip
import io
import zipfile
from typing import Any

import polars as pl
import pytest

from mlops.workloads.ingest import decompress
from tests.workloads.ingest.conftest import FIELDS, Desk, a_frame, a_spec, fields_with

HEADER = "id,time,price,count,kind,open,class\n"
GOOD = "r1,2024-01-01T00:00:00Z,1.5,2,a,true,UP\nr2,2024-01-02T00:00:00Z,2.5,3,b,false,DOWN\n"
FILE = "s3://raw/things/a.csv"


def _row(**cells: str) -> str:
    row = {
        "id": "r3", "time": "2024-01-03T00:00:00Z", "price": "3", "count": "4",
        "kind": "a", "open": "true", "class": "UP",
    }  # fmt: skip
    return ",".join((row | cells).values()) + "\n"


def _zip() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("../../etc/passwd", "x")
        archive.writestr("a.csv", "x")
    return sink.getvalue()


@pytest.mark.parametrize(
    ("content", "reason", "message"),
    [
        pytest.param(
            HEADER + GOOD + _row(price="abc"),
            "SchemaMismatch",
            f'{FILE}: row 3, column "price" (line 4): "abc" is not a float64',
            id="text for a number",
        ),
        pytest.param(
            HEADER + GOOD + _row(count="2.5"),
            "SchemaMismatch",
            f'{FILE}: row 3, column "count" (line 4): "2.5" is not an int64: use type float64',
            id="fraction for an integer",
        ),
        pytest.param(
            HEADER + GOOD + _row(count="99999999999999999999"),
            "SchemaMismatch",
            f'{FILE}: row 3, column "count" (line 4): "99999999999999999999" is not an int64',
            id="integer beyond 64 bits",
        ),
        pytest.param(
            HEADER + GOOD + _row(open="yes"),
            "SchemaMismatch",
            f'{FILE}: row 3, column "open" (line 4): "yes" is not a boolean',
            id="yes for true",
        ),
        pytest.param(
            HEADER + GOOD + _row(time="03/01/2024"),
            "SchemaMismatch",
            f'{FILE}: row 3, column "time" (line 4): "03/01/2024" is not a timestamp: it is not RFC 3339: say',
            id="date in another order",
        ),
        pytest.param(
            HEADER + GOOD + _row(time="2024-02-30T00:00:00Z"),
            "SchemaMismatch",
            f'{FILE}: row 3, column "time" (line 4): "2024-02-30T00:00:00Z" is not a timestamp: it is not RFC 3339',
            id="February 30",
        ),
        pytest.param(
            HEADER + GOOD + "r3,2024-01-03T00:00:00Z,3\n",
            "FormatError",
            f"{FILE}: row 3 (line 4) has 3 fields, the header has 7: say spec.csv.ragged: Pad",
            id="row too short",
        ),
        pytest.param(
            HEADER + _row(kind='"a\n"') + "r3,2024-01-03T00:00:00Z,3\n",
            "FormatError",
            f"{FILE}: row 2 (line 4) has 3 fields, the header has 7",
            id="row too short after a quoted line break",
        ),
        pytest.param(
            HEADER + GOOD + _row().replace("\n", ",more\n"),
            "FormatError",
            f"{FILE}: row 3 (line 4) has 8 fields, the header has 7: put the field",
            id="row too long",
        ),
        pytest.param(
            HEADER.replace("kind", "price") + GOOD,
            "FormatError",
            f'{FILE}: the header has column "price" twice: say position: 3 or 5 in its place',
            id="column twice",
        ),
        pytest.param(
            HEADER.replace("price", "prize") + GOOD,
            "SchemaMismatch",
            f'{FILE}: column "price" of spec.fields not found; the file has id, time, prize, count, kind, open, class',
            id="column absent",
        ),
        pytest.param(
            "1,2,3\n4,5,6\n",
            "SchemaMismatch",
            f'{FILE}: columns "id", "time", "price", "count", "kind", "open", "class" of spec.fields not found; '
            "the file has 1, 2, 3; is the header missing?",
            id="no header",
        ),
        pytest.param("", "FormatError", f"{FILE}: the file is empty: it must have a header at least", id="empty file"),
        pytest.param(
            (HEADER + GOOD).encode("utf-16"),
            "FormatError",
            f"{FILE}: the text is UTF-16, by its first bytes: say spec.csv.encoding: utf-16",
            id="UTF-16",
        ),
        pytest.param(
            (HEADER + _row(id="Käthe")).encode("latin-1"),
            "FormatError",
            f"{FILE}: line 2: byte 0xe4 is not UTF-8: say its encoding, such as spec.csv.encoding: cp1252",
            id="Latin-1",
        ),
        pytest.param(
            HEADER + GOOD + _row(id="r\0"),
            "FormatError",
            f"{FILE}: byte {len(HEADER + GOOD) + 1} is NUL: this is no text, or is damaged",
            id="NUL",
        ),
        pytest.param(
            "a" + ",a" * 10_001 + "\n", "FormatError", f"{FILE}: the header has more than 10000 columns", id="too wide"
        ),
        pytest.param(
            b"PAR1" + b"x" * 20,
            "FormatError",
            f"{FILE}: this is a Parquet file: set spec.format to parquet",
            id="Parquet named CSV",
        ),
        pytest.param(
            _zip(),
            "FormatError",
            f"{FILE}: the zip archive holds 2 files (../../etc/passwd, a.csv), and one is read: put each file under a "
            "prefix of its own",
            id="zip",
        ),
        pytest.param(
            b"\x80\x04\x95" + b"x" * 20,
            "FormatError",
            f"{FILE}: this is a pickle, which is never read: write it as Parquet",
            id="pickle",
        ),
        pytest.param(HEADER, "DataUnusable", "0 rows are left after reading and cleaning", id="no rows"),
        pytest.param(
            HEADER + _row() + _row(id="r4"),
            "DataUnusable",
            'label "class" has 1 class only: there is nothing to learn',
            id="constant label",
        ),
        pytest.param(
            HEADER + GOOD + _row(price="inf"),
            "Rejected",
            "1 of 3 rows break 2 rules: price > 1000: 1 row, such as inf; price is infinite: 1 row, such as inf",
            id="infinity",
        ),
        pytest.param(
            HEADER + GOOD + _row(price="1e308"),
            "Rejected",
            "1 of 3 rows break 1 rule: price > 1000: 1 row, such as 1e+308",
            id="huge number",
        ),
        pytest.param(
            HEADER + GOOD + _row(price=""),
            "Rejected",
            "1 of 3 rows break 1 rule: price is missing: 1 row",
            id="missing",
        ),
        pytest.param(
            HEADER + GOOD + _row(price="nan"),
            "Rejected",
            "1 of 3 rows break 1 rule: price is missing: 1 row",
            id="NaN counts as missing",
        ),
        pytest.param(
            HEADER + GOOD + _row(kind="=cmd()"),
            "Rejected",
            "1 of 3 rows break 1 rule: kind not in enum: 1 row, such as =cmd()",
            id="outside the enum",
        ),
    ],
)
def test_a_bad_csv_is_refused_with_its_address(desk: Desk, content: bytes | str, reason: str, message: str) -> None:
    desk.deliver("things/a.csv", content)
    got_reason, got_message = desk.refusal()
    assert got_reason == reason
    assert got_message.startswith(message)


@pytest.mark.parametrize(
    ("line", "reason", "message"),
    [
        pytest.param('{"id": ', "FormatError", "row 2 is no JSON: ", id="cut off"),
        pytest.param("[1, 2]", "FormatError", "row 2 is no JSON object", id="list"),
        pytest.param('{"price": NaN}', "FormatError", "row 2 is no JSON: ", id="NaN is no JSON"),
        pytest.param("[" * 5000, "FormatError", "row 2 is no JSON: ", id="deep nesting"),
        pytest.param(
            '{"price": [1]}', "SchemaMismatch", 'row 2, column "price": "[1]" is not a float64', id="list for a number"
        ),
        pytest.param(
            '{"price": true}',
            "SchemaMismatch",
            'row 2, column "price": "True" is not a float64',
            id="truth for a number",
        ),
        pytest.param('{"count": 1.5}', "SchemaMismatch", 'row 2, column "count": "1.5" is not an int64', id="fraction"),
        pytest.param(
            '{"count": 9999999999999999999}',
            "SchemaMismatch",
            'row 2, column "count": "9999999999999999999" is not an int64',
            id="integer beyond 64 bits",
        ),
        pytest.param(
            '{"kind": 1}', "SchemaMismatch", 'row 2, column "kind": "1" is not a string', id="number for text"
        ),
        pytest.param(
            '{"price": "abc"}',
            "SchemaMismatch",
            'row 2, column "price": "abc" is not a float64',
            id="text for a number",
        ),
    ],
)
def test_a_bad_json_line_is_refused_with_its_address(desk: Desk, line: str, reason: str, message: str) -> None:
    desk.deliver("things/a.jsonl", a_frame(1).write_ndjson() + line + "\n")
    got_reason, got_message = desk.refusal(a_spec(format="jsonl"))
    assert got_reason == reason
    assert got_message.startswith(f"s3://raw/things/a.jsonl: {message}")


def _parquet(frame: pl.DataFrame) -> bytes:
    sink = io.BytesIO()
    frame.write_parquet(sink)
    return sink.getvalue()


PARQUET = _parquet(a_frame())


@pytest.mark.parametrize(
    ("content", "reason", "message"),
    [
        pytest.param(
            HEADER.encode(),
            "FormatError",
            "this is no Parquet file (its first bytes are not PAR1): check spec.format",
            id="CSV named Parquet",
        ),
        pytest.param(
            PARQUET[:-100],
            "FormatError",
            f"the Parquet file is cut off after {len(PARQUET) - 100} bytes: deliver it again",
            id="cut off",
        ),
        pytest.param(
            PARQUET[:-60] + b"\xff" * 52 + PARQUET[-8:],
            "FormatError",
            "the Parquet file is damaged: ",
            id="footer damaged",
        ),
        pytest.param(
            b"PAR1" + b"\xff" * 4 + b"\xff\xff\xff\x7fPAR1",
            "FormatError",
            "the Parquet file is damaged: ",
            id="huge footer",
        ),
        pytest.param(
            _parquet(a_frame().with_columns(pl.col("count") / 2)),
            "SchemaMismatch",
            'row 2, column "count": "0.5" is not an int64 (say type: float64',
            id="float for an integer",
        ),
        pytest.param(
            _parquet(a_frame().with_columns(pl.col("count").cast(pl.Float64) + 2.0**53)),
            "SchemaMismatch",
            'row 3, column "count": "9007199254740994.0" is not an int64 (say type: float64',
            id="float beyond what it counts",
        ),
        pytest.param(
            _parquet(a_frame().with_columns(pl.col("count") > 1)),
            "SchemaMismatch",
            'column "count" is Boolean in the file, and int64 in spec.fields: say type: boolean',
            id="boolean for an integer",
        ),
        pytest.param(
            _parquet(
                a_frame().with_columns(pl.col("class").map_elements(lambda one: [one], return_dtype=pl.List(pl.String)))
            ),
            "SchemaMismatch",
            'column "class" is List(String) in the file, and string in spec.fields',
            id="list for text",
        ),
        pytest.param(
            _parquet(a_frame().with_columns(pl.lit(2**63, dtype=pl.UInt64).alias("count"))),
            "SchemaMismatch",
            'row 1, column "count": "9223372036854775808" is not an int64',
            id="integer beyond 64 bits",
        ),
        pytest.param(
            _parquet(a_frame().drop("open")),
            "SchemaMismatch",
            'column "open" of spec.fields not found; ',
            id="column absent",
        ),
    ],
)
def test_a_bad_parquet_file_is_refused_with_its_address(desk: Desk, content: bytes, reason: str, message: str) -> None:
    desk.deliver("things/a.parquet", content)
    got_reason, got_message = desk.refusal(a_spec(format="parquet"))
    assert got_reason == reason
    assert got_message.startswith(f"s3://raw/things/a.parquet: {message}")


def test_a_gzip_file_that_is_cut_off_is_not_taken_for_a_short_one(desk: Desk) -> None:
    desk.deliver("things/a.csv.gz", gzip.compress((HEADER + GOOD * 500).encode())[:-20])
    reason, message = desk.refusal()
    assert (reason, "cut off" in message) == ("FormatError", True)


def test_a_damaged_gzip_file_is_refused(desk: Desk) -> None:
    data = bytearray(gzip.compress((HEADER + GOOD * 500).encode()))
    data[20:40] = b"\xff" * 20
    desk.deliver("things/a.csv.gz", bytes(data))
    reason, message = desk.refusal()
    assert (reason, "gzip file is damaged" in message) == ("FormatError", True)


def test_a_gzip_bomb_stops_early(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decompress, "FREE_OF_RATIO", 4 << 20)
    desk.deliver("things/a.csv.gz", gzip.compress(HEADER.encode() + b"0" * (64 << 20)))
    reason, message = desk.refusal()
    assert reason == "FormatError"
    assert "more than 250 to 1: deliver it uncompressed" in message


def test_personal_data_does_not_get_into_a_message(desk: Desk) -> None:
    desk.deliver("things/a.csv", HEADER + GOOD + _row(price="555-0199"))
    _, message = desk.refusal(a_spec(governance={"pii": ["price"]}))
    assert message == f'{FILE}: row 3, column "price" (line 4): a value is not a float64'


def test_nothing_at_the_source_names_what_is_like_it(desk: Desk) -> None:
    desk.deliver("things-2024/a.csv", HEADER + GOOD)
    assert desk.refusal(a_spec(source={"s3": {"uri": "s3://raw/things-2023/"}})) == (
        "SourceNotFound",
        "s3://raw/things-2023/: there is no object; did you mean s3://raw/things-2024/?",
    )


def test_a_bucket_that_is_not_there_is_a_source_not_found(desk: Desk) -> None:
    desk.deliver("things/a.csv", HEADER + GOOD)
    reason, _ = desk.refusal(a_spec(source={"s3": {"uri": "s3://nobody/things/"}}))
    assert reason == "SourceNotFound"


@pytest.mark.parametrize(
    ("changes", "reason", "message"),
    [
        pytest.param(
            {"features": [{"name": "gap", "expression": "price - prize"}]},
            "ExpressionInvalid",
            'spec.features[0].expression: the expression `price - prize` names "prize", which is no column; '
            "there are: id, time, price, count, kind, open, class",
            id="unknown name",
        ),
        pytest.param(
            {"features": [{"name": "price", "expression": "1"}]},
            "SchemaMismatch",
            'spec.features[0].name: "price" is a column already: choose another name',
            id="feature named like a field",
        ),
        pytest.param(
            {"clean": [{"filter": "sum(price) > 1"}]},
            "ExpressionInvalid",
            "spec.clean[0].filter: the expression `sum(price) > 1` is not computed row by row: it has an aggregate",
            id="aggregate in a filter",
        ),
        pytest.param(
            {"clean": [{"filter": "price + 1"}]},
            "ExpressionInvalid",
            "spec.clean[0].filter: the expression `price + 1` is a float64: write a condition",
            id="filter that is no condition",
        ),
        pytest.param(
            {"clean": [{"dropNulls": ["prize"]}]},
            "SchemaMismatch",
            'spec.clean[0].dropNulls: "prize" is not in spec.fields; '
            "there are: id, time, price, count, kind, open, class",
            id="unknown field",
        ),
        pytest.param(
            {"clean": [{"fillNull": {"field": "kind", "strategy": "mean"}}]},
            "SchemaMismatch",
            'spec.clean[0].fillNull.strategy: mean is for numbers, and "kind" is a string: use value or forward',
            id="mean of text",
        ),
        pytest.param(
            {"clean": [{"fillNull": {"field": "count", "value": "x"}}]},
            "SchemaMismatch",
            'spec.clean[0].fillNull.value: "x" is not an int64',
            id="text to fill a number",
        ),
        pytest.param(
            {"governance": {"pii": ["name"]}},
            "SchemaMismatch",
            'spec.governance.pii: "name" is not in spec.fields; there are: id, time, price, count, kind, open, class',
            id="unknown personal field",
        ),
    ],
)
def test_a_spec_that_does_not_fit_its_own_fields_is_refused_with_the_path(
    desk: Desk, changes: dict[str, Any], reason: str, message: str
) -> None:
    desk.deliver("things/a.csv", HEADER + GOOD)
    got_reason, got_message = desk.refusal(a_spec(**changes))
    assert got_reason == reason
    assert got_message.startswith(message)


def test_every_field_of_the_contract_is_in_the_fixture() -> None:
    """So that no case above passes because a column is not looked at."""
    assert HEADER.strip().split(",") == [field["name"] for field in FIELDS] == a_frame().columns
    assert fields_with("id")[0] == FIELDS[0]


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        pytest.param("10000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", id="the year 10000"),
        pytest.param("+10000-01-01T00:00:00Z", "+10000-01-01T00:00:00Z", id="the year 10000 with a sign"),
        pytest.param("9999-12-31T23:59:59-05:00", "9999-12-31T23:59:59-05:00", id="the end of time west of Greenwich"),
        pytest.param("0001-01-01T00:00:00+05:00", "0001-01-01T00:00:00+05:00", id="the beginning east of it"),
        pytest.param("-0044-03-15", "-0044-03-15", id="before our time"),
        pytest.param("0000-01-01", "0000-01-01", id="the year 0"),
    ],
)
def test_a_moment_beyond_the_calendar_is_refused_with_its_address(desk: Desk, time: str, shown: str) -> None:
    """What a sentinel such as 9999-12-31 becomes in UTC: never an exception of the date type."""
    desk.deliver("things/a.csv", HEADER + GOOD + _row(time=time))
    reason, message = desk.refusal()
    assert reason == "SchemaMismatch"
    assert message.startswith(f'{FILE}: row 3, column "time" (line 4): "{shown}" is not a timestamp')


def test_a_blank_line_is_no_row(desk: Desk) -> None:
    """It has no field at all; in a file of one column it is a missing value."""
    desk.deliver("things/a.csv", HEADER + _row() + "\n" + _row(id="r4", **{"class": "DOWN"}) + "\n\n")
    assert desk.ingest().rows == 2


@pytest.mark.parametrize("time", ["9999-12-31", "9999-12-31T23:59:59.999999Z", "0001-01-01"])
def test_the_ends_of_the_calendar_are_moments(desk: Desk, time: str) -> None:
    desk.deliver("things/a.csv", HEADER + GOOD + _row(time=time))
    assert desk.ingest().rows == 3


@pytest.mark.parametrize("micros", [253_402_300_800_000_000, -62_135_596_800_000_001, 2**63 - 1, -(2**63)])
def test_a_moment_beyond_the_calendar_in_parquet_is_refused_with_its_address(desk: Desk, micros: int) -> None:
    timestamps = pl.Series("time", [0, micros], dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))
    sink = io.BytesIO()
    a_frame(2).with_columns(timestamps).write_parquet(sink)
    desk.deliver("things/a.parquet", sink.getvalue())
    reason, message = desk.refusal(a_spec(format="parquet"))
    assert reason == "SchemaMismatch"
    assert message.startswith('s3://raw/things/a.parquet: row 2, column "time": ')


@pytest.mark.parametrize("limit", ["1e999", "-1e999", "1e400", "99999999999999999999", "0.5", "1e-999"])
def test_limits_beyond_64_bits_are_limits(desk: Desk, limit: str) -> None:
    """A limit that no integer reaches is kept or broken by all of them."""
    desk.deliver("things/a.csv", HEADER + GOOD)
    spec = a_spec(fields=fields_with("count", min=limit))
    if limit in ("-1e999", "0.5", "1e-999"):
        assert desk.ingest(spec).rows == 2
    else:
        assert desk.refusal(spec)[0] == "Rejected"
