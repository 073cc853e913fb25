"""`mlops init` on files of which one could be read wrong without a word: it asks, refuses, or says what it chose."""

from __future__ import annotations

import io
import json
import os
from datetime import time, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl
import pytest
import yaml

from mlops.cli.errors import UserError
from mlops.cli.init import command
from mlops.cli.init.options import InitOptions

ROWS = 60


def made(folder: Path, content: str | bytes, file: str = "rows.csv", **said: Any) -> tuple[dict[str, Any], list[str]]:
    """Run init on a file; return spec of the Dataset and what is told."""
    (folder / file).write_bytes(content.encode() if isinstance(content, str) else content)
    options = InitOptions(
        files=(str(folder / file),), output=folder / "out.yaml", name="rows", force=True, **({"label": "y"} | said)
    )
    told = command.init(options)
    spec: dict[str, Any] = next(yaml.safe_load_all((folder / "out.yaml").read_text()))["spec"]
    return spec, told


def fields_of(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The fields by name."""
    return {one["name"]: one for one in spec["fields"]}


@pytest.mark.parametrize(
    "days",
    [
        pytest.param(["05/05/2024"], id="the day is the month's number"),
        pytest.param(["03/04/2024", "04/03/2024", "05/06/2024", "06/05/2024"], id="swapped among the rows"),
    ],
)
def test_days_that_are_months_too_are_asked_for(days: list[str], tmp_path: Path) -> None:
    """Both orders explain every row, so that a later delivery would be read wrong: --dates alone decides."""
    content = "a,day,y\n" + "".join(f"{i},{days[i % len(days)]},{'ny'[i % 2]}\n" for i in range(ROWS))
    with pytest.raises(UserError, match="say --dates day-first or --dates month-first"):
        made(tmp_path, content)
    for said, form in (("day-first", "%d/%m/%Y"), ("month-first", "%m/%d/%Y")):
        assert fields_of(made(tmp_path, content, dates=said)[0])["day"]["formats"] == [form]


WHOLE = "size,weight,colour,y\n" + "".join(
    f"{i},{i * 0.25 + 0.5:.2f},{['red', 'green'][i % 2]},{'ny'[i % 2]}\n" for i in range(ROWS)
)


@pytest.mark.parametrize(
    "end",
    [
        pytest.param("58,3", id="in a number"),
        pytest.param("58,3.25,gre", id="in a text"),
        pytest.param("58,", id="behind a delimiter"),
        pytest.param("58\n", id="with an end of line"),
    ],
)
def test_a_row_that_is_cut_off_is_no_footer(end: str, tmp_path: Path) -> None:
    """As a footer it would cost every later delivery, which is whole, its last row."""
    with pytest.raises(UserError, match=r"rows\.csv: the last row, 61, is cut off: it has . of 4 fields"):
        made(tmp_path, WHOLE + end)
    assert "csv" not in made(tmp_path, WHOLE)[0]


def test_an_id_that_is_cut_off_is_no_footer(tmp_path: Path) -> None:
    """No id stands twice: the last one is known by the letters that all have."""
    with pytest.raises(UserError, match="cut off"):
        made(tmp_path, "id,a,y\n" + "".join(f"c-{i},{i},{'ny'[i % 2]}\n" for i in range(ROWS)) + "c-60,3")


@pytest.mark.parametrize("end", ["60 rows in all", "Total,885", ",452.5", "(60 rows)"])
def test_what_is_no_value_of_its_column_is_a_footer(end: str, tmp_path: Path) -> None:
    """Counts and sums stand there in every delivery."""
    assert made(tmp_path, WHOLE + end + "\n")[0]["csv"] == {"footerRows": 1}


def test_a_short_row_at_the_end_is_padded_as_those_before_it(tmp_path: Path) -> None:
    """Where delimiters behind the last value are left out, the last row is one as well."""
    content = WHOLE.replace("3,1.25,green,y\n", "3,1.25\n") + "60,3\n"
    spec, told = made(tmp_path, content)
    assert spec["csv"] == {"ragged": "Pad"}
    assert told[0].startswith("61 rows")


def test_a_workbook_with_titles_is_refused_with_a_way_out(tmp_path: Path) -> None:
    """Its first row is the only one that is taken for names: nothing is left of the columns."""
    book, sink = openpyxl.Workbook(), io.BytesIO()
    for row in [["Report"], ["a", "y"], *([i, i % 2] for i in range(ROWS))]:
        book.active.append(row)
    book.save(sink)
    with pytest.raises(UserError, match=r"no column can be a field: Report: .*spec\.excel\.range, such as A3"):
        made(tmp_path, sink.getvalue(), "rows.xlsx")


def test_a_document_of_lists_is_refused(tmp_path: Path) -> None:
    """A field holds one value of a row."""
    with pytest.raises(UserError, match="no column can be a field: a: values of several types, or nested ones"):
        made(tmp_path, json.dumps([{"a": [i], "y": [1]} for i in range(ROWS)]), "rows.json")


YEARS = "id,2019,2020,2021\n" + "".join(f"{i},{i * 0.5},{i * 0.25},{i * 1.5}\n" for i in range(1, ROWS + 1))


def test_years_beside_a_name_are_names(tmp_path: Path) -> None:
    """The text over whole numbers is no year, and makes data of none."""
    spec, told = made(tmp_path, YEARS, label="2021")
    assert told[0].startswith("60 rows")
    assert fields_of(spec)["n2019"] == {"name": "n2019", "column": "2019", "type": "float64"}


def test_a_first_row_that_is_data_is_told(tmp_path: Path) -> None:
    """On the terminal, in the manifest, and where a column is sought by a name."""
    rows = WHOLE.partition("\n")[2]
    _, told = made(tmp_path, rows, label="4")
    assert any("no row holds names" in line and "--header 1" in line for line in told)
    assert "# no row holds names" in (tmp_path / "out.yaml").read_text()
    assert not any("no row holds names" in line for line in made(tmp_path, rows, label="4", header=0)[1])
    with pytest.raises(UserError, match=r"'size': there is no such column.*say --header 1"):
        made(tmp_path, rows, label="size")


def test_codes_with_an_e_between_digits_stay_text(tmp_path: Path) -> None:
    """12E4 and 120E3 are one number, and two codes."""
    codes = "code,y\n" + "".join(f"{['12E4', '10E2', '17'][i % 3]},{'ny'[i % 2]}\n" for i in range(ROWS))
    spec, told = made(tmp_path, codes)
    assert fields_of(spec)["code"]["type"] == "string"
    assert any(line.startswith("code: values such as 12E4 may be codes") for line in told)
    assert fields_of(made(tmp_path, codes.replace("10E2", "1.5E+2"))[0])["code"]["type"] == "float64"


def test_a_name_that_is_no_utf_8_leaves_nothing_half_written(tmp_path: Path) -> None:
    """The scenario could not name the file: the manifest is not written either."""
    file = os.fsdecode(b"r\xf6ws.csv")
    with pytest.raises(UserError, match="the name is not UTF-8, and a manifest is: rename it"):
        made(tmp_path, WHOLE, file)
    assert [one.name for one in tmp_path.iterdir()] == [file]


@pytest.mark.parametrize("how", ["parquet", "ipc"])
def test_columns_of_other_types_are_left_out_by_their_type(how: str, tmp_path: Path) -> None:
    """They have values: that no field takes them is another reason."""
    frame = pl.DataFrame(
        {"a": range(ROWS), "took": [timedelta(seconds=1)] * ROWS, "at": [time(1)] * ROWS, "raw": [b"\xff"] * ROWS,
         "list": [[1]] * ROWS, "y": ["no", "yes"] * (ROWS // 2)}
    )  # fmt: skip
    told = made(tmp_path, _bytes(frame, how), f"rows.{how}")[1]
    left = [line for line in told if line.startswith("left out: ")]
    assert [line.partition(" values of type ")[0] for line in left] == [
        f"left out: {name}: no field can hold" for name in ("took", "at", "raw", "list")
    ]
    assert "Duration" in left[0]
    with pytest.raises(UserError, match=r"no column can be a field: list: no field can hold values of type List"):
        made(tmp_path, _bytes(frame.select("list"), how), f"rows.{how}")


def _bytes(frame: pl.DataFrame, how: str) -> bytes:
    sink = io.BytesIO()
    getattr(frame, f"write_{how}")(sink)
    return sink.getvalue()
