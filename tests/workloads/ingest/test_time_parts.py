"""Times that are written alike are read by place, others by a regular expression: to the same values."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import permutations
from random import Random

import polars as pl
import pytest

from mlops.api.dataset import DataField
from mlops.workloads.ingest import time_parts
from mlops.workloads.ingest.time_patterns import pattern_of
from mlops.workloads.ingest.times import timestamps

_RFC = (
    "2024-05-01", "2024-05-01T10:00", "2024-05-01 10:00:59", "2024-02-29T23:59:59Z", "2023-12-31t00:00:00.5z",
    "2024-05-01T10:00:00.123456Z", "2024-05-01T10:00:00.123456000+02:00", "2024-05-01T10:00:00-0530",
    "2024-05-01T10:00:00.1234560Z", "2024-05-01T10:00:00.000000000",
)  # fmt: skip
_DECLARED = {
    "%d.%m.%Y %H:%M": "31.12.2024 23:59",
    "%Y%m%d%H%M%S": "20240501100000",
    "%m/%d/%y %I:%M %p": "05/01/24 10:00 PM",
    "%d %b %Y": "01 May 2024",
    "%Y-%j": "2024-366",
    "%Y-%m-%dT%H:%M:%S.%f%z": "2024-05-01T10:00:00.123456789+0100",
    "%Y-%m-%dT00:00:00": "2024-05-01T00:00:00",
    "%Y-%m-%dT%H:%M:%S.000Z": "2024-05-01T10:00:00.000Z",
    "%d.%m.20%y": "01.02.2024",
    "%Y-%m-%dT%H:%M:%S.%f000Z": "2024-05-01T10:00:00.123456000Z",
    "week 18: %d.%m.%Y": "week 18: 01.05.2024",
}


def _columns(sample: str, random: Random) -> list[str]:
    """Return texts with the sample's signs and any digits; in every other column one text is written otherwise."""
    # Digits that differ, often at few places only: those that a format demands may stay in all rows.
    share = random.choice((0.02, 0.2, 1.0))
    texts = [
        "".join(random.choice("0123456789") if one.isdigit() and random.random() < share else one for one in sample)
        for _ in range(50)
    ]
    texts += [sample, sample[:5] + "0" + sample[6:]]
    if random.random() < 0.5:
        at = random.randrange(len(sample))
        texts[random.randrange(1, 50)] = sample[:at] + random.choice("0:-Zz+ ü\n") + sample[at + 1 :]
    return texts


@pytest.mark.parametrize(
    ("sample", "form"),
    [*((one, None) for one in _RFC), *((text, form) for form, text in _DECLARED.items())],
)
def test_times_by_place_are_those_of_the_expression(
    monkeypatch: pytest.MonkeyPatch, sample: str, form: str | None
) -> None:
    random = Random(sample)
    field = DataField.model_validate({"name": "t", "type": "timestamp", **({"formats": [form]} if form else {})})
    for _ in range(20):
        texts = pl.Series("t", [*random.sample(column := _columns(sample, random), len(column)), None])
        by_place = timestamps(texts, field)
        with monkeypatch.context() as patched:
            patched.setattr(time_parts._Places, "of", lambda *_: None)
            assert by_place.equals(timestamps(texts, field), null_equal=True), texts.to_list()
    assert timestamps(pl.Series("t", [sample, sample]), field).null_count() == 0


def test_columns_of_one_form_are_read_by_place() -> None:
    """It is what a large delivery's speed depends on."""
    texts = pl.Series(["2024-05-01T10:00:00Z", "2023-12-31T23:59:59Z"])
    expression = r"^([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})Z$"
    assert isinstance(time_parts.parts(texts, expression), time_parts._Places)


@pytest.mark.parametrize(
    ("form", "fits", "does_not"),
    [
        pytest.param("%Y-%m-%dT00:00:00", "2024-05-01T00:00:00", "2024-05-01T12:34:56", id="clock time"),
        pytest.param("%Y-%m-%dT%H:%M:%S.000Z", "2024-05-01T10:00:00.000Z", "2024-05-01T10:00:00.999Z", id="fraction"),
        pytest.param("%d.%m.20%y", "01.02.2024", "01.02.1999", id="century"),
        pytest.param(None, "2024-05-01T10:00:00.123456000Z", "2024-05-01T10:00:00.123456789Z", id="nanoseconds"),
    ],
)
def test_a_digit_that_a_format_demands_is_demanded_of_each_row_in_every_order(
    form: str | None, fits: str, does_not: str
) -> None:
    """Else the clock time, the fraction or the century of some rows is dropped without a word."""
    field = DataField.model_validate({"name": "t", "type": "timestamp", **({"formats": [form]} if form else {})})
    for texts in sorted(set(permutations([fits, fits, does_not]))):
        found = timestamps(pl.Series("t", texts), field)
        assert found.is_not_null().to_list() == [text == fits for text in texts], texts


@pytest.mark.parametrize("form", ["%Y-%m-%dT00:00:00", "%d.%m.20%y"])
def test_a_format_with_digits_is_read_by_place_where_all_rows_have_them(form: str) -> None:
    texts = pl.Series([_DECLARED[form]] * 2)
    assert isinstance(time_parts.parts(texts, pattern_of(form).expression), time_parts._Places)


def test_the_calendar_is_python_s_own() -> None:
    """Each day that there is, and none that there is not, of years with and without a 29th of February."""
    years = (1, 4, 100, 400, 1582, 1899, 1900, 1969, 1970, 2000, 2023, 2024, 9999)
    days = [(year, month, day) for year in years for month in range(14) for day in range(33)]
    read = timestamps(pl.Series([f"{year:04}-{month:02}-{day:02}" for year, month, day in days])).to_list()
    assert read == [_midnight(*one) for one in days]
    # One that there is not among few others, of which no month is known.
    assert timestamps(pl.Series(["2023-02-29"])).to_list() == [None]


def _midnight(year: int, month: int, day: int) -> datetime | None:
    try:
        return datetime(year, month, day, tzinfo=UTC)
    except ValueError:
        return None
