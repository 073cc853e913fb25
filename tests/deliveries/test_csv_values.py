"""Values as contracts declare them: read exactly, or refused with row, line, column and a way out that works."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import yaml

from mlops.workloads.ingest import times
from tests.deliveries.csv_reading import Object, outcome, read, texts

_NUMBER = {"type": "float64"}
_WHOLE = {"type": "int64"}
_TIME = {"type": "timestamp"}
_TRUTH = {"type": "boolean"}
_EUROPEAN = {"delimiter": ";", "decimal": ",", "thousands": "."}


def _at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


def _one(tmp_path: Path, text: str, field: Object, dialect: Object) -> Any:
    """Return the value of one cell, or what is said of it."""
    delimiter = dialect.get("delimiter", ",")
    quoted = '"' + text.replace('"', '""') + '"'
    data = f"n{delimiter}v\n1{delimiter}{quoted}\n"
    rows = outcome(tmp_path / "x.csv", data, texts("v", **field), dialect)
    return rows if isinstance(rows, str) else rows[0][0]


_READ: list[tuple[str, Object, Object, Any]] = [
    ("1", _WHOLE, {}, 1),
    ("+7", _WHOLE, {}, 7),
    ("-0", _WHOLE, {}, 0),
    (" 3 ", _WHOLE, {}, 3),
    ("3\t", _WHOLE, {}, 3),
    ("1.0", _WHOLE, {}, 1),
    ("1.", _WHOLE, {}, 1),
    ("12.000", _WHOLE, {}, 12),
    ("1e3", _WHOLE, {}, 1000),
    ("1.5E1", _WHOLE, {}, 15),
    ("007", _WHOLE, {}, 7),
    ("9223372036854775807", _WHOLE, {}, 2**63 - 1),
    ("-9223372036854775808", _WHOLE, {}, -(2**63)),
    ("9223372036854775807.0", _WHOLE, {}, 2**63 - 1),
    ("9007199254740993", _WHOLE, {}, 2**53 + 1),
    ("9007199254740993.00", _WHOLE, {}, 2**53 + 1),
    ("", _WHOLE, {}, None),
    ("  ", _WHOLE, {}, None),
    ("1.234.567", _WHOLE, _EUROPEAN, 1234567),
    ("1234567", _WHOLE, _EUROPEAN, 1234567),
    ("1'234", _WHOLE, {"thousands": "'"}, 1234),
    ("$1,234", _WHOLE | {"symbols": ["$"]}, {"thousands": ","}, 1234),
    ("0.1", _NUMBER, {}, 0.1),
    ("30 ", _NUMBER, {}, 30.0),
    (" 30", _NUMBER, {}, 30.0),
    (".5", _NUMBER, {}, 0.5),
    ("5.", _NUMBER, {}, 5.0),
    ("1e-400", _NUMBER, {}, 0.0),
    ("4.9e-324", _NUMBER, {}, 5e-324),
    ("NaN", _NUMBER, {}, None),
    ("1,5", _NUMBER, {"delimiter": ";", "decimal": ","}, 1.5),
    ("1.234,5", _NUMBER, _EUROPEAN, 1234.5),
    ("-1.234,5", _NUMBER, _EUROPEAN, -1234.5),
    ("1 234,5", _NUMBER, {"decimal": ",", "thousands": " "}, 1234.5),
    ("12 %", _NUMBER | {"symbols": ["%"]}, {}, 12.0),
    ("€5", _NUMBER | {"symbols": ["€"]}, {}, 5.0),
    ("-$5.5", _NUMBER | {"symbols": ["$"]}, {}, -5.5),
    ("$-5.5", _NUMBER | {"symbols": ["$"]}, {}, -5.5),
    ("5 EUR", _NUMBER | {"symbols": ["EUR"]}, {}, 5.0),
    ("5", _NUMBER | {"symbols": ["EUR"]}, {}, 5.0),
    ("NA", _NUMBER, {"nullValues": ["NA"]}, None),
    ("-", _NUMBER | {"nullValues": ["-"]}, {}, None),
    ("NA", {}, {"nullValues": ["NA"]}, None),
    ("NA", {"nullValues": []}, {"nullValues": ["NA"]}, "NA"),
    ("", {}, {}, ""),
    ("", {}, {"nullValues": [""]}, None),
    ("NA", {}, {}, "NA"),
    (" x ", {}, {}, " x "),
    ("true", _TRUTH, {}, True),
    ("FALSE", _TRUTH, {}, False),
    (" True", _TRUTH, {}, True),
    ("", _TRUTH, {}, None),
    ("ja", _TRUTH, {"trueValues": ["ja"], "falseValues": ["nein"]}, True),
    ("0", _TRUTH, {"trueValues": ["1"], "falseValues": ["0"]}, False),
    ("2024-05-01T12:00:00Z", _TIME, {}, _at(2024, 5, 1, 12)),
    ("2024-05-01 12:00:00z", _TIME, {}, _at(2024, 5, 1, 12)),
    ("2024-05-01T12:00+02:00", _TIME, {}, _at(2024, 5, 1, 10)),
    ("2024-05-01T12:00:00-0230", _TIME, {}, _at(2024, 5, 1, 14, 30)),
    ("2024-05-01", _TIME, {}, _at(2024, 5, 1)),
    (" 2024-05-01 ", _TIME, {}, _at(2024, 5, 1)),
    ("2024-05-01T00:00:00.123456Z", _TIME, {}, _at(2024, 5, 1, 0, 0, 0, 123456)),
    ("2024-05-01T00:00:00.123456000Z", _TIME, {}, _at(2024, 5, 1, 0, 0, 0, 123456)),
    ("0001-01-01T00:00:00Z", _TIME, {}, _at(1, 1, 1)),
    ("9999-12-31T23:59:59.999999Z", _TIME, {}, _at(9999, 12, 31, 23, 59, 59, 999999)),
    ("2000-02-29", _TIME, {}, _at(2000, 2, 29)),
    ("2024-05-01T12:00", _TIME | {"timeZone": "UTC"}, {}, _at(2024, 5, 1, 12)),
    ("2024-05-01 12:00", _TIME | {"timeZone": "Europe/Berlin"}, {}, _at(2024, 5, 1, 10)),
    ("2024-05-01", _TIME | {"timeZone": "Europe/Berlin"}, {}, _at(2024, 4, 30, 22)),
    ("2024-05-01T12:00Z", _TIME | {"timeZone": "Europe/Berlin"}, {}, _at(2024, 5, 1, 12)),
    ("2060-07-01T12:00", _TIME | {"timeZone": "Europe/Berlin"}, {}, _at(2060, 7, 1, 10)),
    ("2150-07-01T12:00", _TIME | {"timeZone": "Europe/Berlin"}, {}, _at(2150, 7, 1, 10)),
    (
        "2024-03-31T02:30",
        _TIME | {"timeZone": "Europe/Berlin", "nonexistentTimes": "Shift"},
        {},
        _at(2024, 3, 31, 1, 30),
    ),
    (
        "2024-10-27T02:30",
        _TIME | {"timeZone": "Europe/Berlin", "ambiguousTimes": "Earliest"},
        {},
        _at(2024, 10, 27, 0, 30),
    ),
    (
        "2024-10-27T02:30",
        _TIME | {"timeZone": "Europe/Berlin", "ambiguousTimes": "Latest"},
        {},
        _at(2024, 10, 27, 1, 30),
    ),
]
_FORMATS: list[tuple[str, str, datetime]] = [
    ("2012/01/01", "%Y/%m/%d", _at(2012, 1, 1)),
    ("1/5/2012", "%m/%d/%Y", _at(2012, 1, 5)),
    ("01.05.2012", "%d.%m.%Y", _at(2012, 5, 1)),
    ("20120501", "%Y%m%d", _at(2012, 5, 1)),
    ("03-01-24", "%d-%m-%y", _at(2024, 1, 3)),
    ("03-01-69", "%d-%m-%y", _at(1969, 1, 3)),
    ("03-01-68", "%d-%m-%y", _at(2068, 1, 3)),
    ("Jan  5, 2020", "%b %d, %Y", _at(2020, 1, 5)),
    ("5 September 2020", "%d %B %Y", _at(2020, 9, 5)),
    ("Sat 5 SEP 2020", "%a %d %b %Y", _at(2020, 9, 5)),
    ("2020-366", "%Y-%j", _at(2020, 12, 31)),
    ("20200509", "%Y%m%d", _at(2020, 5, 9)),
    ("5/1/2020 12:05 AM", "%m/%d/%Y %I:%M %p", _at(2020, 5, 1, 0, 5)),
    ("5/1/2020 12:05 pm", "%m/%d/%Y %I:%M %p", _at(2020, 5, 1, 12, 5)),
    ("2020-05-01 00:00:01.25 +0200", "%Y-%m-%d %H:%M:%S.%f %z", _at(2020, 4, 30, 22, 0, 1, 250000)),
    ("2020-05-01T00:00:01.123456789Z", "%Y-%m-%dT%H:%M:%S.%f%z", _at(2020, 5, 1, 0, 0, 1, 123456)),
    ("0", "%s", _at(1970, 1, 1)),
    ("-1.5", "%s", _at(1969, 12, 31, 23, 59, 58, 500000)),
    ("1714564800", "%s", _at(2024, 5, 1, 12)),
    ("1714564800250", "%Q", _at(2024, 5, 1, 12, 0, 0, 250000)),
    ("100% 2020-05-01", "100%% %Y-%m-%d", _at(2020, 5, 1)),
    ("2020年5月1日", "%Y年%m月%d日", _at(2020, 5, 1)),
]
_REFUSED: list[tuple[str, Object, Object, str]] = [
    ("1.5", _WHOLE, {}, "use type float64"),
    ("9223372036854775808", _WHOLE, {}, "use type float64"),
    ("12a", _WHOLE, {}, "use type string, or mend it"),
    ("0x10", _WHOLE, {}, "use type string"),
    ("1e99", _WHOLE, {}, "use type float64"),
    ("1,234", _WHOLE, {}, 'spec.csv.thousands: ","'),
    ("1,5", _NUMBER, {}, 'say spec.csv.decimal: ","'),
    ("1.234,5", _NUMBER, {}, 'say spec.csv.decimal: "," and spec.csv.thousands: "."'),
    ("1,23", _NUMBER, {"thousands": ","}, 'say spec.csv.decimal: ","'),
    ("12 %", _NUMBER, {}, 'say symbols: ["%"]'),
    ("$1,234.50", _NUMBER, {}, 'say symbols: ["$"] and spec.csv.thousands: ","'),
    ("NA", _NUMBER, {}, 'say spec.csv.nullValues: ["NA"]'),
    ("1.5", _NUMBER, {"delimiter": ";", "decimal": ","}, 'say spec.csv.decimal: "."'),
    ("yes", _TRUTH, {}, 'spec.csv.trueValues: ["yes"] and spec.csv.falseValues: ["no"]'),
    ("1", _TRUTH, {}, 'spec.csv.trueValues: ["1"] and spec.csv.falseValues: ["0"]'),
    ("03-01-24", _TIME, {}, "it is not RFC 3339: say its format"),
    ("2024-5-1", _TIME, {}, 'formats: ["%Y-%m-%d"]'),
    ("+2024-05-01", _TIME, {}, "it is not of the years 1 to 9999"),
    ("-0044-03-15", _TIME, {}, "it is not of the years 1 to 9999"),
    ("10000-01-01T00:00:00Z", _TIME, {}, "not of the years 1 to 9999"),
    ("0000-01-01", _TIME, {}, "not of the years 1 to 9999"),
    ("9999-12-31T23:59:59-02:00", _TIME, {}, "not of the years 1 to 9999"),
    ("0001-01-01T00:00:00+02:00", _TIME, {}, "not of the years 1 to 9999"),
    ("2023-02-29", _TIME, {}, "it is not RFC 3339"),
    ("2024-05-01T24:00Z", _TIME, {}, "it is not RFC 3339"),
    ("2024-05-01T12:60Z", _TIME, {}, "it is not RFC 3339"),
    ("2024-05-01T12:00:00.1234567Z", _TIME, {}, "digits beyond microseconds"),
    ("2012/01/01", _TIME, {}, 'say its format, formats: ["%Y/%m/%d"]'),
    ("13/01/2012", _TIME, {}, 'formats: ["%d/%m/%Y"]'),
    ("01.02.2012 10:00", _TIME, {}, 'formats: ["%d.%m.%Y %H:%M"]'),
    ("1714564800", _TIME, {}, 'formats: ["%s"]'),
    ("2024-03-31T02:30", _TIME | {"timeZone": "Europe/Berlin"}, {}, "say nonexistentTimes: Shift"),
    ("2024-10-27T02:30", _TIME | {"timeZone": "Europe/Berlin"}, {}, "say ambiguousTimes: Earliest or Latest"),
    ("03/04/2024", _TIME | {"formats": ["%d/%m/%Y", "%m/%d/%Y"]}, {}, "is read differently by the formats"),
    ("24/13/2024", _TIME | {"formats": ["%d/%m/%Y"]}, {}, "is not of the formats %d/%m/%Y"),
    ("03-01-24", _TIME | {"formats": ["%d-%m-%Y"]}, {}, "is not of the formats"),
    ("2024111", _TIME | {"formats": ["%Y%m%d"]}, {}, "is not of the formats"),
    ("Mon 5 Sep 2020", _TIME | {"formats": ["%a %d %b %Y"]}, {}, "is not of the formats"),
    ("1/5/2020 13:00 PM", _TIME | {"formats": ["%m/%d/%Y %I:%M %p"]}, {}, "is not of the formats"),
]


@pytest.mark.parametrize(("text", "field", "dialect", "value"), _READ)
def test_a_value_is_read_exactly(tmp_path: Path, text: str, field: Object, dialect: Object, value: Any) -> None:
    """In quotes; what is in none differs in the empty text only."""
    found = _one(tmp_path, text, field, dialect)
    assert found == value
    assert type(found) is type(value) or isinstance(value, datetime)


@pytest.mark.parametrize(("text", "form", "value"), _FORMATS)
def test_a_timestamp_of_a_declared_format(tmp_path: Path, text: str, form: str, value: datetime) -> None:
    """A local one is taken for UTC here."""
    assert _one(tmp_path, text, _TIME | {"formats": [form], "timeZone": "UTC"}, {}) == value


@pytest.mark.parametrize(("text", "field", "dialect", "says"), _REFUSED)
def test_a_value_is_refused_with_a_way_out(
    tmp_path: Path, text: str, field: Object, dialect: Object, says: str
) -> None:
    """With row, column, line, value and type."""
    found = _one(tmp_path, text, field, dialect)
    assert isinstance(found, str), found
    kind = field["type"]
    assert f'x.csv: row 1, column "v" (line 2): "{text}" is not a{"n" if kind == "int64" else ""} {kind}' in found
    assert says in found


_SAID = re.compile(r"(spec\.csv\.)?(\w+): (\[[^]]*\]|\"[^\"]*\"|[A-Z]\w*)")


def _after_it(message: str, field: Object, dialect: Object) -> tuple[Object, Object]:
    """Return field and dialect after what a message says was declared: the first of what it offers."""
    field, dialect, said = dict(field), dict(dialect), message.split(": ", 2)[-1].partition(" or formats")[0]
    if kind := re.search(r"use type (\w+)", said):
        field["type"] = kind[1]
    if "leave out spec.csv.thousands" in said:
        dialect.pop("thousands")
    for csv, name, value in _SAID.findall(said):
        (dialect if csv else field)[name] = yaml.safe_load(value)
    if "formats" in field and "formats" in said and "timeZone" not in field:
        field["timeZone"] = "UTC"
    return field, dialect


_OFFERED = [one for one in _REFUSED if re.search(r"say (spec\.csv\.)?\w+[:,]|say timeZone|use type|: \[", one[3])]


@pytest.mark.parametrize(("text", "field", "dialect", "says"), _OFFERED)
def test_the_way_out_that_is_offered_works(
    tmp_path: Path, text: str, field: Object, dialect: Object, says: str
) -> None:
    """Declared as the message says, the same file is read."""
    message = _one(tmp_path, text, field, dialect)
    found = _one(tmp_path, text, *_after_it(message, field, dialect))
    assert not isinstance(found, str) or found == text, found


def test_every_bad_column_is_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those whose first bad value stands in another block, each on a line."""
    from mlops.workloads.ingest import blocks, decompress

    monkeypatch.setattr(blocks, "BLOCK", 8)
    monkeypatch.setattr(decompress, "READ", 8)
    fields = [*texts("a", **_WHOLE), *texts("b", **_NUMBER), *texts("c", **_TIME)]
    found = outcome(
        tmp_path / "x.csv", "a,b,c\n1,2,2024-01-01\nx,2,2024-01-01\n1,2,2024-01-01\n3,4,never\n5,z,\n", fields, {}
    )
    assert isinstance(found, str)
    assert found.split("\n") == [
        "x.csv: 3 columns have values that are not of their type, the first of each is:",
        '  row 2, column "a" (line 3): "x" is not an int64: use type string, or mend it',
        '  row 5, column "b" (line 6): "z" is not a float64: use type string, or mend it',
        '  row 4, column "c" (line 5): "never" is not a timestamp: it is not RFC 3339, such as 2024-05-01T12:00:00Z: '
        "say its format in formats",
    ]


def test_floats_are_those_that_python_reads(tmp_path: Path) -> None:
    """20,000 random ones, written in three ways, as numbers and through their text."""
    random = Random(7)
    numbers = [np.frombuffer(random.randbytes(8))[0] for _ in range(7000)]
    numbers = [float(one) for one in numbers if np.isfinite(one)]
    written = [form.format(one) for one in numbers for form in ("{!r}", "{:.17e}", "{:.5g}")]
    want = [float(one) + 0.0 for one in written]
    for field in (_NUMBER, _NUMBER | {"nullValues": ["NA"]}):
        rows = read(tmp_path / "x.csv", "v,w\n" + "".join(f"{one},\n" for one in written), texts("v", **field), {})
        assert [row[0] for row in rows] == want


def test_local_times_are_those_of_the_time_zone_database() -> None:
    """Python's zoneinfo agrees, in both folds, for zones with odd rules and any year."""
    random = Random(11)
    start = datetime(1, 1, 3)  # noqa: DTZ001 a clock on a wall
    for zone in ("Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca"):
        local = np.array([random.randrange(times.FIRST + 10**13, times.LAST - 10**13) for _ in range(300)])
        local = np.append(local, [random.randrange(0, 10**15 * 4) for _ in range(3000)])
        for choice, fold in (("Earliest", 0), ("Latest", 1)):
            found, known = times.in_utc(local, zone, choice, "Refuse")
            for one, utc, good in zip(local.tolist(), found.tolist(), known.tolist(), strict=True):
                naive = start + timedelta(microseconds=one - times.FIRST - 2 * 86_400_000_000)
                want = naive.replace(tzinfo=ZoneInfo(zone), fold=fold)
                exists = want.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) == naive
                assert good == exists
                if good:
                    epoch = datetime(1970, 1, 1, tzinfo=UTC)
                    assert timedelta(microseconds=utc) == want.astimezone(UTC) - epoch
