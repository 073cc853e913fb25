"""The rows of a query, as a version has them: the same as of a file that says the same, typed exactly."""

from __future__ import annotations

import math
import struct
from datetime import UTC, datetime
from random import Random

import pytest

from tests.servers.databases import Database
from tests.workloads.ingest.conftest import FIELDS, Desk, a_frame
from tests.workloads.ingest.database.tables import QUERY, deliver, of_query


def test_the_same_rows_have_the_digest_that_they_have_in_a_file(desk: Desk, database: Database) -> None:
    deliver(database, a_frame())
    of_table = desk.ingest(of_query(database, QUERY), environ=database.environ())
    desk.deliver("things/a.csv", a_frame().write_csv())
    of_file = desk.ingest()
    assert (of_table.digest, of_table.schema_digest) == (of_file.digest, of_file.schema_digest)


def test_a_column_is_found_by_the_name_that_the_query_gives(desk: Desk, database: Database) -> None:
    deliver(database, a_frame())
    fields = [one | {"column": "Happened (at)"} if one["name"] == "time" else one for one in FIELDS]
    name = '"Happened (at)"' if database.engine == "postgresql" else "`Happened (at)`"
    query = f"SELECT things.*, happened AS {name} FROM things;"
    assert desk.ingest(of_query(database, query, fields), environ=database.environ()).rows == 40


EXACT = [
    {"name": "id", "type": "int64"},
    {"name": "money", "type": "float64"},
    {"name": "whole", "type": "int64"},
    {"name": "single", "type": "float64"},
    {"name": "double", "type": "float64"},
    {"name": "truth", "type": "boolean"},
    {"name": "word", "type": "string", "nullable": True},
    {"name": "day", "type": "timestamp"},
    {"name": "instant", "type": "timestamp"},
    {"name": "wall", "type": "timestamp", "timeZone": "Europe/Berlin"},
]


def test_values_are_those_of_the_database_to_the_last_bit(desk: Desk, database: Database) -> None:
    pg = database.engine == "postgresql"
    instant, wall, double = (
        ("timestamptz", "timestamp", "double precision") if pg else ("timestamp(6)", "datetime(6)", "double")
    )
    zone = "+00" if pg else ""
    database.sql(
        f"""{"" if pg else "SET time_zone = '+00:00';"}
        CREATE TABLE exact (id bigint, money numeric(30, 18), whole numeric(20, 2), single float{"4" if pg else ""},
            double_ {double}, truth boolean, word varchar(20), day date, instant {instant}, wall {wall});
        INSERT INTO exact VALUES
            (9223372036854775807, 0.100000000000000005, 9007199254740993.00, 16777218.0, 0.1, true, '', '0001-01-01',
             '2024-03-31 01:30:00.123456{zone}', '2024-07-01 12:00:00.000001'),
            (-9223372036854775807, 123456789012.345678901234567891, -3, 1.1, 2.2250738585072014e-308, false, NULL,
             '9999-12-31', '1999-12-31 23:59:59.999999{zone}', '2024-01-01 00:00:00');"""
    )
    if not pg:
        database.sql("UPDATE exact SET instant = '1999-12-31 23:59:59.999999' WHERE id < 0")
    query = "SELECT id, money, whole, single, double_ AS double_, truth, word, day, instant, wall FROM exact"
    fields = [one | {"column": "double_"} if one["name"] == "double" else one for one in EXACT]
    split = {"strategy": "random", "fractions": {"train": "1", "validation": "0", "test": "0"}}
    report = desk.ingest(of_query(database, query, fields, split=split), environ=database.environ())
    low, high = desk.frame(report, "train").sort("id").to_dicts()
    assert (high["id"], low["id"]) == (9223372036854775807, -9223372036854775807)
    assert (high["money"], low["money"]) == (0.1, 123456789012.34568)
    assert (high["whole"], low["whole"]) == (9007199254740993, -3)
    # A single is what it holds, not what it prints as.
    assert (high["single"], low["single"]) == (16777218.0, 1.100000023841858)
    assert (high["double"], low["double"]) == (0.1, 2.2250738585072014e-308)
    assert (high["truth"], low["truth"]) == (True, False)
    assert (high["word"], low["word"]) == ("", None)
    assert (high["day"], low["day"]) == (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC))
    assert high["instant"] == datetime(2024, 3, 31, 1, 30, 0, 123456, tzinfo=UTC)
    assert low["instant"] == datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    assert high["wall"] == datetime(2024, 7, 1, 10, 0, 0, 1, tzinfo=UTC)
    assert low["wall"] == datetime(2023, 12, 31, 23, 0, tzinfo=UTC)
    assert report.read_as_utc == ()


REFUSED_TYPES = [
    pytest.param("postgresql", "ARRAY[1, 2]", "int64", "is int4[], which is not read", id="array"),
    pytest.param("postgresql", "'{}'::json", "string", "is json, which is not read", id="json"),
    pytest.param("postgresql", "'{}'::jsonb", "string", "is jsonb, which is not read", id="jsonb"),
    pytest.param("postgresql", "'a'::bytea", "string", "is bytea, which is not read", id="bytea"),
    pytest.param("postgresql", "'1 day'::interval", "string", "is interval, which is not read", id="interval"),
    pytest.param("postgresql", "'12:00'::time", "string", "is time, which is not read", id="time of day"),
    pytest.param("postgresql", "1::money", "float64", "is money, which is not read", id="money"),
    pytest.param("postgresql", "'[1,2)'::int4range", "string", "is int4range, which is not read", id="range"),
    pytest.param("postgresql", "ROW(1, 2)", "string", "is record, which is not read", id="record"),
    pytest.param("postgresql", "1", "string", "is integer, and string in spec.fields", id="number as text"),
    pytest.param("postgresql", "true", "int64", "is boolean, and int64 in spec.fields", id="truth as number"),
    pytest.param("postgresql", "now()", "string", "is timestamp with time zone, and string", id="time as text"),
    pytest.param("mariadb", "CAST('a' AS BINARY)", "string", "is VARBINARY, which is not read", id="binary"),
    pytest.param("mariadb", "CAST('12:00' AS TIME)", "string", "is TIME, which is not read", id="span"),
    pytest.param("mariadb", "POINT(1, 2)", "string", "is GEOMETRY, which is not read", id="geometry"),
    pytest.param("mariadb", "1.5", "string", "is DECIMAL, and string in spec.fields", id="decimal as text"),
    pytest.param("mariadb", "NOW()", "int64", "is DATETIME, and int64 in spec.fields", id="time as number"),
]


@pytest.mark.parametrize(("engine", "value", "kind", "said"), REFUSED_TYPES)
def test_a_type_without_a_reading_is_refused_by_name_and_the_way_out_works(
    request: pytest.FixtureRequest, desk: Desk, engine: str, value: str, kind: str, said: str
) -> None:
    database: Database = request.getfixturevalue(engine)
    fields = [{"name": "x", "type": kind}]
    reason, message = desk.refusal(of_query(database, f"SELECT {value} AS x", fields), environ=database.environ())
    assert reason == "SchemaMismatch"
    assert f'spec.source.sql.query: column "x" {said}' in message
    name = '"x"' if engine == "postgresql" else "`x`"
    way_out = message.partition("write ")[2].partition(f" AS {name} in the query")[0]
    assert name in way_out
    if kind == "string":
        query = f"SELECT {way_out.replace(name, value)} AS x"
        assert desk.ingest(of_query(database, query, fields), environ=database.environ()).rows == 1


BAD_VALUES = [
    pytest.param("postgresql", "3.5", "int64", '"3.5" is not an int64', id="fraction"),
    pytest.param("postgresql", "9223372036854775808", "int64", "is not an int64", id="beyond 64 bits"),
    pytest.param("postgresql", "9007199254740993", "float64", "is not a float64", id="not a float"),
    pytest.param("postgresql", "2", "boolean", "is not a boolean", id="no truth"),
    pytest.param("postgresql", "date 'infinity'", "timestamp", "infinity is no time", id="infinity"),
    pytest.param("postgresql", "timestamptz '20000-01-01'", "timestamp", "is no time of the years 1", id="far"),
    pytest.param("postgresql", "timestamp '4713-01-01 BC'", "timestamp", "is no time of the years 1", id="long ago"),
    pytest.param("mariadb", "18446744073709551615", "int64", "is not an int64", id="unsigned"),
    pytest.param("mariadb", "CAST('0000-00-00' AS DATE)", "timestamp", "0000-00-00 is no time", id="zero date"),
    pytest.param("mariadb", "2.5", "int64", '"2.5" is not an int64', id="decimal fraction"),
]


@pytest.mark.parametrize(("engine", "value", "kind", "said"), BAD_VALUES)
def test_a_value_that_would_be_changed_is_refused_with_row_and_column(
    request: pytest.FixtureRequest, desk: Desk, engine: str, value: str, kind: str, said: str
) -> None:
    database: Database = request.getfixturevalue(engine)
    fields = [{"name": "x", "type": kind, "nullable": True}]
    reason, message = desk.refusal(of_query(database, f"SELECT {value} AS x", fields), environ=database.environ())
    assert (reason, 'row 1, column "x"' in message, said in message) == ("SchemaMismatch", True, True), message


def test_infinity_is_a_missing_value_as_the_message_says(desk: Desk, postgresql: Database) -> None:
    fields = [{"name": "x", "type": "timestamp", "nullable": True}, {"name": "n", "type": "int64"}]
    query = "SELECT n, CASE n WHEN 1 THEN 'infinity' ELSE now() END AS x FROM generate_series(1, 9) n"
    _, message = desk.refusal(of_query(postgresql, query, fields), environ=postgresql.environ())
    way_out = message.partition("write ")[2].partition(" in the query")[0]
    mended = f"SELECT n, {way_out} FROM ({query}) AS q"
    assert desk.ingest(of_query(postgresql, mended, fields), environ=postgresql.environ()).rows == 9


def test_null_values_mean_missing_in_numbers_and_texts(desk: Desk, database: Database) -> None:
    database.sql("CREATE TABLE t (n numeric(9, 2), w varchar(9)); INSERT INTO t VALUES (-999, 'n/a'), (1, 'x')")
    fields = [
        {"name": "n", "type": "float64", "nullable": True, "nullValues": ["-999"]},
        {"name": "w", "type": "string", "nullable": True, "nullValues": ["n/a"]},
    ]
    split = {"strategy": "random", "fractions": {"train": "1", "validation": "0", "test": "0"}}
    report = desk.ingest(of_query(database, "SELECT * FROM t", fields, split=split), environ=database.environ())
    assert sorted(desk.frame(report, "train").rows(), key=str) == [(1.0, "x"), (None, None)]


def test_text_is_parsed_as_the_field_says(desk: Desk, database: Database) -> None:
    fields = [
        {"name": "t", "type": "timestamp", "formats": ["%d.%m.%Y"]},
        {"name": "n", "type": "float64", "symbols": ["%"]},
    ]
    split = {"strategy": "random", "fractions": {"train": "1", "validation": "0", "test": "0"}}
    query = "SELECT '31.12.2024' AS t, '12 %' AS n"
    report = desk.ingest(of_query(database, query, fields, split=split), environ=database.environ())
    assert desk.frame(report, "train").rows() == [(datetime(2024, 12, 31, tzinfo=UTC), 12.0)]


def test_times_without_a_zone_are_told(desk: Desk, database: Database) -> None:
    kind = "timestamp" if database.engine == "postgresql" else "datetime"
    database.sql(f"CREATE TABLE t (x {kind}); INSERT INTO t VALUES ('2024-01-01 12:00:00')")
    fields = [{"name": "x", "type": "timestamp"}]
    assert desk.ingest(of_query(database, "SELECT x FROM t", fields), environ=database.environ()).read_as_utc == ("x",)


def test_postgresqls_own_words_are_text(desk: Desk, postgresql: Database) -> None:
    postgresql.sql("CREATE TYPE size AS ENUM ('small', 'large'); CREATE DOMAIN short AS varchar(3)")
    fields = [{"name": name, "type": "string"} for name in ("e", "u", "d")]
    query = "SELECT 'small'::size AS e, '00000000-0000-0000-0000-00000000000a'::uuid AS u, 'ab'::short AS d"
    split = {"strategy": "random", "fractions": {"train": "1", "validation": "0", "test": "0"}}
    report = desk.ingest(of_query(postgresql, query, fields, split=split), environ=postgresql.environ())
    assert desk.frame(report, "train").rows() == [("small", "00000000-0000-0000-0000-00000000000a", "ab")]


def test_any_float_comes_through_to_the_last_bit(desk: Desk, database: Database) -> None:
    """As text MariaDB gives a FLOAT six digits, and a DOUBLE as many as it takes."""
    random = Random(1)
    doubles = [value for value in (_float(random, "<d", 64) for _ in range(3000)) if 1e-307 < abs(value) < 1e308]
    singles = [value for value in (_float(random, "<f", 32) for _ in range(3000)) if 1e-37 < abs(value) < 1e38]
    rows = list(zip(doubles, singles, strict=False))
    single, double = ("real", "double precision") if database.engine == "postgresql" else ("float", "double")
    values = ", ".join(f"({i}, {one!r}, {other!r})" for i, (one, other) in enumerate(rows))
    database.sql(f"CREATE TABLE t (i int, d {double}, s {single}); INSERT INTO t VALUES {values}")
    fields = [{"name": "i", "type": "int64"}, *({"name": name, "type": "float64"} for name in ("d", "s"))]
    split = {"strategy": "random", "fractions": {"train": "1", "validation": "0", "test": "0"}}
    report = desk.ingest(of_query(database, "SELECT * FROM t", fields, split=split), environ=database.environ())
    assert desk.frame(report, "train").sort("i").select("d", "s").rows() == rows


def _float(random: Random, form: str, bits: int) -> float:
    """A float of any bits; what is none is zero."""
    made: float = struct.unpack(form, random.getrandbits(bits).to_bytes(bits // 8, "little"))[0]
    return made if math.isfinite(made) else 0.0
