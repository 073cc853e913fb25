"""Parquet and Arrow as other programs write them: read exactly, or refused with the way out."""

from __future__ import annotations

import io
from datetime import date
from typing import Any

import polars as pl
import pytest

from tests.deliveries.formats.reading import Outcome, field, read, read_written

NOON = "2024-05-01T06:30:00Z"
DAY = "2024-05-01T00:00:00Z"
LOCAL = "2024-05-01T04:30:00Z"

# Name of the file, the type that the contract says for its column x, and what is read there (or the message).
READ: list[tuple[str, str, list[Any]]] = [
    ("offset", "timestamp", [NOON, None]),
    ("offset-ns", "timestamp", [NOON, None]),
    ("zone", "timestamp", [NOON, None]),
    ("zone-of-no-database", "timestamp", [NOON, None]),
    ("zone-z", "timestamp", [NOON, None]),
    ("local", "timestamp", [NOON, None]),
    ("local-s", "timestamp", [NOON, None]),
    ("date32", "timestamp", [DAY, None]),
    ("date64", "timestamp", [DAY, None]),
    ("decimal-whole", "int64", [9007199254740993, None]),
    ("decimal-beyond", "float64", [1.2345678901234567e19, None]),
    ("decimal-cents", "float64", [123.45, 7.0]),
    ("decimal-tenth", "float64", [0.1, None]),
    ("binary", "string", ["Käthe", None]),
    ("binary-large", "string", ["abc", None]),
    ("binary-fixed", "string", ["abc", None]),
    ("binary-numbers", "int64", [12, None]),
    ("binary-numbers", "float64", [12.0, None]),
    ("json", "string", ['{"a":1}', None]),
    ("dictionary", "string", ["a", None]),
    ("dictionary-int", "int64", [5, None]),
    ("text-large", "string", ["x", None]),
    ("text-view", "string", ["x", None]),
    ("half", "float64", [1.5, None]),
    ("single", "float64", [0.10000000149011612, None]),
    ("nan-integers", "int64", [1, None]),
    ("nan-integers", "float64", [1.0, None]),
    ("nan-integers", "boolean", [True, None]),
    ("fraction", "float64", [1.0, 1.5]),
    ("int8", "int64", [0, 1]),
    ("int8", "float64", [0.0, 1.0]),
    ("int8", "boolean", [False, True]),
    ("int64-large", "int64", [1, 2**53 + 1]),
    ("bool", "boolean", [True, None]),
    *(("nothing", kind, [None, None]) for kind in ("float64", "int64", "string", "boolean", "timestamp")),
]
REFUSED: list[tuple[str, str, str]] = [
    ("late", "timestamp", "253402300800000 ms since 1970"),
    ("early", "timestamp", "-62135596800001 ms since 1970"),
    ("farthest", "timestamp", "4611686018427387904 ms since 1970"),
    ("decimal-beyond", "int64", '"12345678901234567890" is not an int64 (say type: float64'),
    ("decimal-cents", "int64", '"123.45" is not an int64 (say type: float64'),
    ("fraction", "int64", 'row 2, column "x": "1.5" is not an int64 (say type: float64'),
    ("large-float", "int64", 'row 2, column "x": "9007199254740994.0" is not an int64'),
    ("unsigned", "int64", "is not an int64 (it is beyond 64 bits with a sign: deliver text for type: string)"),
    ("int64-large", "float64", "is not a float64 (beyond 9007199254740992 a float64 leaves out whole numbers"),
    ("int8-two", "boolean", 'row 2, column "x": "2" is not a boolean (only 0 and 1 are: say type: int64)'),
    ("binary-latin", "string", 'row 2, column "x"'),
    ("uuid", "string", "deliver it as text, or leave the field out"),
    ("time", "timestamp", "deliver timestamps, dates or text, or leave the field out"),
    ("duration", "int64", "deliver whole numbers or text, or leave the field out"),
    ("zone", "string", "say type: timestamp"),
    ("int8", "string", "say type: int64"),
    ("single", "timestamp", "say type: float64"),
    ("bool", "int64", "say type: boolean"),
    ("struct", "string", 'name a value in it, as column: "x.a"'),
    ("list", "string", "deliver text, or leave the field out"),
    ("map", "string", "deliver text, or leave the field out"),
]


@pytest.mark.parametrize("form", ["parquet", "arrow"])
@pytest.mark.parametrize(("name", "kind", "want"), [pytest.param(*one, id=f"{one[0]} as {one[1]}") for one in READ])
def test_a_column_is_read_where_nothing_is_lost(name: str, kind: str, want: list[Any], form: str) -> None:
    assert read_written(f"{name}.{form}", field("x", kind)) == [(one,) for one in want]


@pytest.mark.parametrize("form", ["parquet", "arrow"])
@pytest.mark.parametrize(("name", "kind", "want"), [pytest.param(*one, id=f"{one[0]} as {one[1]}") for one in REFUSED])
def test_what_would_lose_something_is_refused_with_the_way_out(name: str, kind: str, want: str, form: str) -> None:
    message = read_written(f"{name}.{form}", field("x", kind))
    assert isinstance(message, str)
    assert want in message
    assert "damaged" not in message


NAMES = sorted({name for name, *_ in READ + REFUSED if not name.startswith("decimal-50")})


@pytest.mark.parametrize("form", ["parquet", "arrow"])
@pytest.mark.parametrize("name", NAMES)
def test_a_column_of_any_type_may_stand_beside_those_that_are_read(name: str, form: str) -> None:
    """What nobody asked for keeps nobody from reading the rest."""
    assert read_written(f"{name}.{form}", field("v")) == [(1.5,), (2.5,)]


def test_a_type_that_no_reader_here_knows_is_said_to_be_one() -> None:
    """The file is not damaged, and the message does not say so; what else is in it is read."""
    assert read_written("decimal-50.parquet", field("v")) == [(1.5,), (2.5,)]
    message = read_written("decimal-50.parquet", field("x"))
    assert isinstance(message, str)
    assert "has a column of a type that is not read here" in message
    assert "write it with plain types" in message
    assert "damaged" not in message


@pytest.mark.parametrize("form", ["parquet", "arrow", "arrows"])
def test_values_in_structs_are_named_by_their_path(form: str) -> None:
    """A struct that is missing has missing values; its times have zones of any kind too."""
    fields = (
        field("a", "int64", column="x.a"),
        field("c", "string", column="x.b.c"),
        field("t", "timestamp", column="x.b.t"),
    )
    assert read_written(f"struct.{form}", *fields) == [(1, "x", NOON), (None, None, None)]
    missing = read_written(f"struct.{form}", field("d", column="x.b.d"))
    assert isinstance(missing, str)
    assert 'column "x.b.d"' in missing
    assert "not found" in missing


def test_a_column_with_a_point_in_its_name_comes_before_a_path() -> None:
    assert read_written("dotted.parquet", field("n", "int64", column="a.b")) == [(1,), (2,)]


PLAIN = [(1.5, 1), (2.5, None)]
WHOLE: list[tuple[str, Outcome]] = [
    *((f"codec-{codec}.parquet", PLAIN) for codec in ("none", "snappy", "gzip", "brotli", "lz4", "zstd")),
    ("pages-2.parquet", PLAIN),
    ("no-noted-schema.parquet", PLAIN),
    ("delta.parquet", PLAIN),
    ("split.parquet", PLAIN),
    ("groups.parquet", PLAIN * 3),
    ("no-rows.parquet", []),
    ("pandas.parquet", PLAIN),
    ("pandas.feather", PLAIN),
]


@pytest.mark.parametrize(("name", "want"), WHOLE)
def test_a_file_is_read_however_it_is_encoded(name: str, want: Outcome) -> None:
    assert read_written(name, field("v"), field("x", "int64")) == want


@pytest.mark.parametrize("name", ["delta-text.parquet", "delta-length.parquet"])
def test_texts_are_read_however_they_are_encoded(name: str) -> None:
    assert read_written(name, field("x", "string")) == [("aa",), ("ab",)]


def test_what_pandas_writes_is_read() -> None:
    """Times with an offset, categories, truth and whole numbers with gaps."""
    fields = (field("when", "timestamp"), field("kind", "string"), field("flag", "boolean"), field("count", "int64"))
    want = [(NOON, "a", True, 2**53 + 1), (NOON, "b", None, None)]
    assert read_written("pandas.parquet", *fields) == want
    assert read_written("pandas.feather", *fields) == want
    assert read_written("index.parquet", field("x", "string"), field("v")) == [("a", 1.5), ("b", 2.5)]
    level = field("place", "string", column="__index_level_0__")
    assert read_written("index-2.parquet", level, field("v")) == [("a", 1.5)]


def test_timestamps_of_96_bits_are_read() -> None:
    assert read_written("int96.parquet", field("x", "timestamp")) == [(NOON,), (None,)]


def test_texts_and_numbers_that_mean_missing_are_missing() -> None:
    """As the field declares it, of text and of numbers."""
    assert read_written("dictionary.parquet", field("x", "string", nullValues=["a"])) == [(None,), (None,)]
    assert read_written("int8.parquet", field("x", "int64", nullValues=["0"])) == [(None,), (1,)]
    assert read_written("fraction.arrow", field("x", nullValues=["1.5", "NA"])) == [(1.0,), (None,)]


@pytest.mark.parametrize("name", ["lz4.feather", "zstd.feather"])
def test_packed_buffers_are_read(name: str) -> None:
    assert read_written(name, field("v")) == [(1.5,), (2.5,)]


@pytest.mark.parametrize("name", ["local.parquet", "local.arrow", "int96.parquet"])
def test_times_without_a_zone_are_in_the_declared_one(name: str) -> None:
    """Times that have one keep it."""
    assert read_written(name, field("x", "timestamp", timeZone="Europe/Berlin")) == [(LOCAL,), (None,)]
    days = read_written("date32.parquet", field("x", "timestamp", timeZone="Europe/Berlin"))
    assert days == [("2024-04-30T22:00:00Z",), (None,)]
    zoned = read_written("offset.parquet", field("x", "timestamp", timeZone="Europe/Berlin"))
    assert zoned == [(NOON,), (None,)]


def test_a_column_with_a_missing_name_is_told_with_those_that_there_are() -> None:
    message = read_written("codec-none.parquet", field("price"))
    assert message == 'column "price" of spec.fields not found; the file has v, x; is the header missing?'


FORMS: list[Any] = [
    pytest.param(b"PAR1", "parquet", "the Parquet file is cut off after 4 bytes", id="magic alone"),
    pytest.param(b"a,b\n1,2\n", "parquet", "this is no Parquet file (its first bytes are not PAR1)", id="CSV"),
    pytest.param(b"PARE" + b"\0" * 20, "parquet", "is encrypted: write it without encryption", id="encrypted"),
    pytest.param(b"ARROW1\0\0", "arrow", "the Arrow file is damaged", id="Arrow's magic alone"),
    pytest.param(b"a,b\n1,2\n", "arrow", "this is no Arrow file or stream: check spec.format", id="CSV for Arrow"),
    pytest.param(b"\xff\xff\xff\xff\xff\xff\xff\x7f", "arrow", "the Arrow file is damaged", id="a length of 2 GiB"),
]


@pytest.mark.parametrize(("content", "form", "want"), FORMS)
def test_another_kind_of_file_is_told(content: bytes, form: str, want: str) -> None:
    message = read(content, form, field("v"))
    assert isinstance(message, str)
    assert want in message


def test_two_columns_of_one_name_and_old_feather_are_told() -> None:
    twice = read_written("twice.parquet", field("v"))
    assert isinstance(twice, str)
    assert "two columns of one name" in twice
    old = read_written("old.feather", field("v"))
    assert isinstance(old, str)
    assert "Feather version 1" in old


@pytest.mark.parametrize("name", ["offset.arrow", "struct.arrow", "struct.arrows", "offset.parquet", "struct.parquet"])
def test_a_file_cut_anywhere_is_refused_and_nothing_else_happens(name: str) -> None:
    """At every 7th byte: no rows, no other exception. A stream that is cut between two of its messages is whole."""
    from tests.deliveries.formats.reading import WRITTEN

    whole = (WRITTEN / name).read_bytes()
    form = "parquet" if name.endswith("parquet") else "arrow"
    for end in range(0, len(whole) - 8, 7):
        outcome = read(whole[:end], form, field("v"))
        assert isinstance(outcome, str) or (name.endswith("arrows") and outcome in ([], [(1.5,), (2.5,)])), end


def _parquet(column: pl.Series) -> bytes:
    sink = io.BytesIO()
    pl.DataFrame({"x": column}).write_parquet(sink)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("column", "kind", "null", "want"),
    [
        pytest.param(
            pl.Series([date(1900, 1, 1), date(2024, 5, 1)]),
            "timestamp",
            "1900-01-01",
            "2024-05-01T00:00:00Z",
            id="date",
        ),
        pytest.param(pl.Series([b"NA", b"b"]), "string", "NA", "b", id="bytes"),
        pytest.param(pl.Series([False, True]), "boolean", "false", True, id="truth"),
        pytest.param(pl.Series([-999.9, 1.5], dtype=pl.Float32), "float64", "-999.9", 1.5, id="32 bits"),
        pytest.param(pl.Series([255, 7], dtype=pl.UInt8), "int64", "255", 7, id="8 bits"),
    ],
)
def test_what_means_a_missing_value_is_missing_in_a_column_of_any_type(
    column: pl.Series, kind: str, null: str, want: object
) -> None:
    """As it is in CSV."""
    assert read(_parquet(column), "parquet", field("x", kind, nullValues=[null])) == [(None,), (want,)]
