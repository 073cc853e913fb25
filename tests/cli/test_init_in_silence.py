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
