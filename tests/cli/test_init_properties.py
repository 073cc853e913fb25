"""Any table in any dialect: what `mlops init` writes ingests to the values that were written."""

from __future__ import annotations

import csv
import io
import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops.api.dataset import Dataset
from mlops.api.kinds import parse
from mlops.cli.errors import UserError
from mlops.cli.init import command
from mlops.cli.init.options import InitOptions
from tests.workloads.ingest.conftest import Desk

_TEXTS = ["plain", "two words", "a;b", "c,d", 'said "so"', "tab\there", "Zürich", "it's", "line\nbreak", "x|y"]
_NULLS = ["NA", "n/a", "null", "-", ""]


@st.composite
def tables(draw: st.DrawFn) -> dict[str, Any]:
    """Columns with their values, and how they are written."""
    rows = draw(st.integers(30, 80))
    numbers = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-50, 50))
    columns: dict[str, list[Any]] = {"row": list(range(rows))}
    some = draw(st.lists(numbers, min_size=rows, max_size=rows))
    columns["whole number"] = [None if draw(st.booleans()) and i % 9 == 4 else one for i, one in enumerate(some)]
    columns["fraction"] = draw(
        st.lists(st.integers(-10_000, 10_000).map(lambda n: n / 8), min_size=rows, max_size=rows)
    )
    columns["text"] = draw(st.lists(st.sampled_from(_TEXTS), min_size=rows, max_size=rows))
    columns["y"] = [["no", "yes"][i % 2] for i in range(rows)]
    return {
        "columns": columns,
        "delimiter": draw(st.sampled_from([",", ";", "\t", "|"])),
        "end": draw(st.sampled_from(["\n", "\r\n"])),
        "encoding": draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"])),
        "null": draw(st.sampled_from(_NULLS)),
        "preamble": draw(st.sampled_from(["", "# a remark\n", "A report\n\n"])),
        "quoting": draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC])),
    }


def written(table: dict[str, Any]) -> bytes:
    """The table as a file; with semicolons as one writes it in most of Europe."""
    sink = io.StringIO(newline="")
    writer = csv.writer(sink, delimiter=table["delimiter"], lineterminator=table["end"], quoting=table["quoting"])
    writer.writerow(table["columns"])
    for values in zip(*table["columns"].values(), strict=True):
        cells = [table["null"] if one is None else one for one in values]
        if table["delimiter"] == ";":
            cells = [str(one).replace(".", ",") if isinstance(one, float) else one for one in cells]
        writer.writerow(cells)
    text: str = table["preamble"].replace("\n", table["end"]) + sink.getvalue()
    return text.encode(table["encoding"])


def test_what_is_ingested_is_what_was_written_or_init_asks() -> None:
    """Rows, integers to the last digit, fractions and texts; missing values are missing. Where it asks, it names the
    option that answers."""
    done: Counter[str] = Counter()

    @settings(max_examples=30, deadline=None, derandomize=True)
    @given(tables())
    def check(table: dict[str, Any]) -> None:
        done["asked" if _asks(table) else "written"] += 1

    check()
    # Of these tables of equal values, nothing often tells a header from values.
    assert done["written"] > done["asked"], done


def _asks(table: dict[str, Any]) -> bool:
    """Return whether init asks; if it does not, hold what it wrote against the table."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "t.csv").write_bytes(written(table))
        try:
            command.init(InitOptions(files=(str(root / "t.csv"),), label="y", key="row", output=root / "t.yaml"))
        except UserError as error:
            assert re.search(r"--[a-z-]+ |no column is left to learn from", str(error)), error  # noqa: PT017
            return True
        found = parse(next(iter(yaml.safe_load_all((root / "t.yaml").read_text()))))
        assert isinstance(found, Dataset)
        desk = Desk(root / "desk")
        desk.deliver("t/t.csv", (root / "t.csv").read_bytes())
        report = desk.ingest(found.spec)
        parts = [desk.frame(report, part) for part in ("train", "validation", "test")]
        frame = pl.concat([part for part in parts if part.height]).sort("row")
    columns = table["columns"]
    assert frame["row"].to_list() == columns["row"]
    assert frame["whole_number"].to_list() == columns["whole number"]
    assert frame["fraction"].to_list() == [one + 0.0 for one in columns["fraction"]]
    assert frame["text"].to_list() == columns["text"]
    return False
