"""`mlops init` on files of which one could be read wrong without a word: it asks, refuses, or says what it chose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
    with pytest.raises(UserError, match="rows.csv: the last row, 61, is cut off: it has . of 4 fields"):
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
