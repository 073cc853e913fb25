"""`mlops init`: what it writes ingests every row of the file, whatever way the file is written."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl
import pytest
import yaml

from mlops.api.dataset import Dataset
from mlops.api.kinds import parse
from mlops.cli import scenario
from mlops.cli.init import command
from mlops.cli.init.naming import field_names, object_key, object_name
from mlops.cli.init.options import InitOptions
from tests.workloads.ingest.conftest import Desk

ROWS = 60
Table = list[list[str]]


def a_table(rows: int = ROWS) -> Table:
    """A header, then rows: number, fraction, text, class."""
    body = [[str(3 * i - 20), f"{i * 0.25 + 0.5:.2f}", ["red", "green", "blue"][i % 3], ["no", "yes"][i % 2]]
            for i in range(rows)]  # fmt: skip
    return [["size", "weight", "colour", "y"], *body]


def text_of(table: Table, **dialect: Any) -> str:
    """The table as CSV."""
    sink = io.StringIO(newline="")
    csv.writer(sink, **({"lineterminator": "\n"} | dialect)).writerows(table)
    return sink.getvalue()


def with_column(name: str, values: list[str], table: Table | None = None) -> Table:
    """The table with a further column before the label; values are repeated."""
    table = table or a_table()
    return [[*row[:-1], name if i == 0 else values[(i - 1) % len(values)], row[-1]] for i, row in enumerate(table)]


def workbook_of(table: Table) -> bytes:
    """The table as a workbook, with numbers as numbers."""
    book = openpyxl.Workbook()
    for i, row in enumerate(table):
        book.active.append([float(cell) if i and at < 2 else cell for at, cell in enumerate(row)])
    sink = io.BytesIO()
    book.save(sink)
    return sink.getvalue()


def frame_of(table: Table) -> pl.DataFrame:
    """The table with types."""
    frame = pl.DataFrame(table[1:], schema=table[0], orient="row")
    return frame.with_columns(pl.col("size").cast(pl.Int64), pl.col("weight").cast(pl.Float64))


def bytes_of(frame: pl.DataFrame, how: str) -> bytes:
    """The frame as a file."""
    sink = io.BytesIO()
    getattr(frame, f"write_{how}")(sink)
    return sink.getvalue()


@dataclass(frozen=True)
class Case:
    """A file, what the command line says beside it, and what the contract must hold."""

    content: bytes | str
    file: str = "rows.csv"
    said: dict[str, Any] = field(default_factory=dict)
    csv: dict[str, Any] | None = None
    # What the field of that name must say.
    fields: dict[str, dict[str, Any]] = field(default_factory=dict)
    rows: int = ROWS


T = a_table()
S = text_of(T)
GERMAN = text_of([[c.replace(".", ",") for c in row] for row in T], delimiter=";", lineterminator="\r\n")
DAYS = [f"{1 + i % 28:02d}/{1 + i % 12:02d}/2024" for i in range(ROWS)]
CASES = {
    "plain": Case(S, csv=None, fields={"size": {"type": "int64"}, "weight": {"type": "float64"},
                                       "colour": {"type": "string", "enum": ["blue", "green", "red"]}}),
    "crlf and a byte order mark": Case(("\ufeff" + S.replace("\n", "\r\n")).encode()),
    "semicolons and decimal commas": Case(GERMAN, csv={"delimiter": ";", "decimal": ","},
                                          fields={"weight": {"type": "float64"}}),
    "tabs": Case(text_of(T, delimiter="\t"), file="rows.tsv", csv={"delimiter": "\t"}),
    "pipes": Case(text_of(T, delimiter="|"), csv={"delimiter": "|"}),
    "blanks between": Case(text_of(T, delimiter=" "), csv={"delimiter": " "}),
    "blanks behind commas": Case(S.replace(",", ", "), csv={"skipInitialSpace": True}),
    "every field in quotes": Case(text_of(T, quoting=csv.QUOTE_ALL)),
    "single quotes": Case(text_of(with_column("note", ["a, b", "c"]), quotechar="'", quoting=csv.QUOTE_ALL),
                          csv={"quote": "'"}),
    "quotes behind a backslash": Case(
        "a,note,y\n" + "".join(f'{i % 9},"say \\"hi\\", {i}",{"ny"[i % 2]}\n' for i in range(ROWS)),
        csv={"escape": "\\"}),
    "line breaks in quotes": Case(text_of(with_column("note", ["two\nlines", "one"]))),
    "latin letters of Windows": Case(text_of(with_column("town", ["Köln", "Zürich"])).encode("cp1252"),
                                     csv={"encoding": "cp1252"}),
    "utf-16": Case(S.encode("utf-16"), csv={"encoding": "utf-16"}),
    "lines before the header": Case("Report of the day\n\nmade by hand\n" + S, csv={"skipRows": 3}),
    "comments": Case("# made by a machine\n# do not edit\n" + S, csv={"skipRows": 2}),
    "a row that begins like a comment": Case(
        "# made by a machine\n" + text_of([row[-2:-1] + row for row in with_column("ticket", ["#12", "13"])]),
        csv={"skipRows": 1}),
    "a footer": Case(S + "60 rows in all\n", csv={"footerRows": 1}),
    "trailing delimiters": Case(S.replace("\n", ",\n").replace(",\n", "\n", 1), csv={"ragged": "Pad"}),
    "no header": Case(text_of(T[1:]), said={"label": "4"}, csv={"header": 0},
                      fields={"column_1": {"position": 1, "type": "int64"}, "column_4": {"role": "label"}}),
    "a name twice, one empty": Case(text_of([["a", "a", "", "y"], *T[1:]]),
                                    fields={"a": {"position": 1}, "a_2": {"position": 2}, "column_3": {"position": 3}}),
    "names of any text": Case(text_of([["Größe (cm)", "2nd weight", "#colour", "y"], *T[1:]]),
                              fields={"Grosse_cm": {"column": "Größe (cm)"}, "n2nd_weight": {"column": "2nd weight"}}),
    "a word for missing after thousands of numbers": Case(
        "a,y\n" + "".join(f"{i if i != 5555 else 'n/a'},{'ny'[i % 2]}\n" for i in range(6000)), rows=6000,
        fields={"a": {"type": "int64", "nullable": True, "nullValues": ["n/a"]}}),
    "a text after thousands of numbers": Case(
        "b,a,y\n" + "".join(f"{i % 7},{i if i != 5555 else 'broken'},{'ny'[i % 2]}\n" for i in range(6000)), rows=6000,
        fields={"a": {"type": "string"}}),
    "empty fields": Case(text_of(with_column("gap", ["1", "", "3"])),
                         fields={"gap": {"type": "int64", "nullable": True}}),
    "zeros at the beginning": Case(text_of(with_column("zip", ["007", "01234"])), fields={"zip": {"type": "string"}}),
    "large integers": Case(text_of(with_column("n", ["9007199254740993", "-5"])), fields={"n": {"type": "int64"}}),
    "integers beyond 64 bits": Case(text_of(with_column("n", ["92233720368547758089", "92233720368547758087"])),
                                    fields={"n": {"type": "string"}}),
    "grouped digits": Case(text_of(with_column("price", ["1,234.50", "999.25", "12,000.00"])), csv={"thousands": ","},
                           fields={"price": {"type": "float64"}}),
    "an amount in one currency": Case(text_of(with_column("price", ["$ 12.50", "$3.25"])),
                                      fields={"price": {"type": "float64", "symbols": ["$"]}}),
    "amounts in two currencies": Case(text_of(with_column("price", ["$12", "€3"])),
                                      fields={"price": {"type": "string"}}),
    "truths": Case(text_of(with_column("open", ["true", "FALSE"])), fields={"open": {"type": "boolean"}}),
    "days, the day first": Case(text_of(with_column("day", DAYS)),
                                fields={"day": {"type": "timestamp", "formats": ["%d/%m/%Y"], "role": "timestamp"}}),
    "days that are told": Case(text_of(with_column("day", ["02/03/2024", "04/05/2024"])), said={"dates": "month-first"},
                               fields={"day": {"formats": ["%m/%d/%Y"]}}),
    "times with a zone": Case(text_of(with_column("at", ["2024-05-01T10:00:00Z", "2024-05-01T12:30:00+02:00"])),
                              fields={"at": {"type": "timestamp", "role": "timestamp"}}),
    "times of a named zone": Case(text_of(with_column("at", ["2024-05-01 10:00", "2024-05-02 11:00"])),
                                  said={"time_zone": "Europe/Berlin"}, fields={"at": {"timeZone": "Europe/Berlin"}}),
    "months in letters": Case(text_of(with_column("day", ["01-Feb-2024", "17-Mar-2024"])),
                              fields={"day": {"formats": ["%d-%b-%Y"]}}),
    "gzip": Case(gzip.compress(S.encode()), file="rows.csv.gz"),
    "bzip2": Case(bz2.compress(S.encode()), file="rows.csv.bz2"),
    "json lines": Case(bytes_of(frame_of(T), "ndjson"), file="rows.jsonl",
                       fields={"size": {"type": "int64"}, "weight": {"type": "float64"}}),
    "json, rows in a document": Case(json.dumps({"data": {"items": frame_of(T).to_dicts()}, "n": 1}), file="rows.json"),
    "json, nested": Case(json.dumps([{"p": {"x": i, "t": "a"}, "y": ["no", "yes"][i % 2]} for i in range(ROWS)]),
                         file="rows.json", fields={"p.x": {"type": "int64"}}),
    "parquet": Case(bytes_of(frame_of(T), "parquet"), file="rows.parquet", fields={"size": {"type": "int64"}}),
    "arrow": Case(bytes_of(frame_of(T), "ipc"), file="rows.arrow", fields={"weight": {"type": "float64"}}),
    "excel": Case(workbook_of(T), file="rows.xlsx", fields={"weight": {"type": "float64"}}),
    "a regression": Case(S, said={"label": "weight"}, fields={"weight": {"role": "label", "type": "float64"}}),
}  # fmt: skip


def written(folder: Path, case: Case) -> dict[str, Any]:
    """Run init on the case's file and return the Dataset; every manifest is one that an API server would take."""
    path = folder / case.file
    path.write_bytes(case.content if isinstance(case.content, bytes) else case.content.encode())
    command.init(
        InitOptions(files=(str(path),), output=folder / "out.yaml", name="rows", **({"label": "y"} | case.said))
    )
    documents = list(yaml.safe_load_all((folder / "out.yaml").read_text()))
    for document in documents:
        parse(document)
    assert [one["kind"] for one in documents] == ["Dataset", "TrainingRun", "DriftMonitor"]
    dataset: dict[str, Any] = documents[0]
    return dataset


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
def test_every_row_is_ingested_by_what_was_found(case: Case, tmp_path: Path) -> None:
    """The manifest is right at the first attempt: types, dialect and names are those of the file, no row is lost."""
    manifest = written(tmp_path, case)
    fields = {one["name"]: one for one in manifest["spec"]["fields"]}
    for name, wanted in case.fields.items():
        assert fields[name] | wanted == fields[name]
    if case.csv is not None:
        assert manifest["spec"]["csv"] | case.csv == manifest["spec"]["csv"]
    parsed = parse(manifest)
    assert isinstance(parsed, Dataset)
    desk = Desk(tmp_path / "desk")
    (put,) = scenario.read(tmp_path / "out.scenario.toml").put
    desk.deliver(put.uri.removeprefix("s3://raw/"), Path(put.file).read_bytes())
    assert desk.ingest(parsed.spec).rows == case.rows


REFUSED = {
    "no label": (S, {"label": None}, "--label which column is to be predicted, one of: size, weight, colour, y"),
    "no such label": (S, {"label": "z"}, "--label 'z': there is no such column; there are: size, weight"),
    "days that nothing settles": (
        text_of(with_column("day", ["02/03/2024", "04/05/2024"])), {}, "say --dates day-first or --dates month-first"),
    "a header that nothing settles": ("a,b\nb,a\n" * 20, {"label": "1"}, "--header 1"),
    "a label of one value": ("a,y\n" + "1,x\n2,x\n" * 20, {}, "the same value in every row"),
    "an empty file": ("", {}, "the file is empty"),
    "names only": ("a,y\n", {}, "there is no row"),
    "a label of times": ("a,y\n" + "1,2024-01-01\n2,2024-01-02\n" * 20, {}, "is a timestamp"),
    "a time that is none": (S, {"time": "colour"}, "name a column of timestamps"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "said", "says"), [pytest.param(*one, id=name) for name, one in REFUSED.items()])
def test_what_the_data_leave_open_is_asked_for(content: str, said: dict[str, Any], says: str, tmp_path: Path) -> None:
    """Nothing is chosen in silence: the message says the option, and no file is written."""
    with pytest.raises(command.UserError) as caught:
        written(tmp_path, Case(content, said=said))
    assert says in caught.value.message
    assert not (tmp_path / "out.yaml").exists()


def test_points_that_may_group_digits_are_asked_for(tmp_path: Path) -> None:
    """1.234 between semicolons is a thousand in one country and about one in another."""
    content = "n;y\n" + "1.234;no\n2.500;yes\n" * 20
    with pytest.raises(command.UserError, match=r"say --decimal \. if"):
        written(tmp_path, Case(content))
    fields = written(tmp_path, Case(content, said={"decimal": ","}))["spec"]
    assert fields["csv"] == {"delimiter": ";", "decimal": ",", "thousands": "."}


def test_what_is_suspicious_is_remarked(tmp_path: Path) -> None:
    """Ids and constants are kept out of the model, and a feature that tells the label is pointed out."""
    table = with_column("leak", ["7", "9"], with_column("same", ["1"]))
    table = [["id", *table[0]], *([f"r{i}", *row] for i, row in enumerate(table[1:]))]
    fields = {one["name"]: one for one in written(tmp_path, Case(text_of(table)))["spec"]["fields"]}
    assert fields["id"]["role"] == fields["same"]["role"] == "ignored"
    lines = {
        name: line
        for line in (tmp_path / "out.yaml").read_text().split("\n")
        for name in fields
        if f"name: {name}," in line
    }
    assert "an id?" in lines["id"]
    assert "a constant" in lines["same"]
    assert "a leak?" in lines["leak"]
    assert "leak?" not in lines["weight"]


def test_names_are_ones_that_the_api_takes() -> None:
    """All different, and as near to what was written as they may be."""
    assert field_names(["a", "a", "", "Größe (cm)", "2nd", "日本"]) == [
        "a", "a_2", "column_3", "Grosse_cm", "n2nd", "column_6",
    ]  # fmt: skip
    assert [object_key(one) for one in ("a..b c.csv", "_x.csv", "Ü 1.csv", "日本")] == [
        "a.b-c.csv",
        "x.csv",
        "U-1.csv",
        "data",
    ]
    assert object_name("Sales 2024_v2") == "sales-2024-v2"


def test_several_files_are_one_dataset(tmp_path: Path) -> None:
    """A folder of files with the same columns is one delivery; one with others is refused by name."""
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "b.csv").write_text(text_of([T[0], *T[31:]]))
    (folder / "a.csv").write_text(text_of(T[:31]))
    lines = command.init(InitOptions(files=(str(folder),), label="y", output=tmp_path / "out.yaml"))
    assert lines[0].startswith("60 rows")
    assert [put.uri for put in scenario.read(tmp_path / "out.scenario.toml").put] == [
        "s3://raw/out/a.csv", "s3://raw/out/b.csv",
    ]  # fmt: skip
    (folder / "c.csv").write_text("a,y\n1,no\n")
    with pytest.raises(command.UserError, match=r"c\.csv: its header is a, y"):
        command.init(InitOptions(files=(str(folder),), label="y", output=tmp_path / "other.yaml"))


def test_nothing_is_written_over(tmp_path: Path) -> None:
    """A manifest that is there stays, unless --force says otherwise."""
    written(tmp_path, Case(S))
    with pytest.raises(command.UserError, match="--force"):
        written(tmp_path, Case(S))
    written(tmp_path, Case(S, said={"force": True}))


def test_scenarios_of_manifests_are_found_beside_them(tmp_path: Path) -> None:
    """Each manifest that init wrote is run by its name, or all in a folder together."""
    for name in ("one", "two"):
        (tmp_path / f"{name}.csv").write_text(S)
        command.init(InitOptions(files=(str(tmp_path / f"{name}.csv"),), label="y", output=tmp_path / f"{name}.yaml"))
    found = scenario.beside((str(tmp_path / "two.yaml"),))
    assert found is not None
    assert [put.uri for put in found.put] == ["s3://raw/two/two.csv"]
    both = scenario.beside((str(tmp_path),))
    assert both is not None
    assert [put.uri for put in both.put] == ["s3://raw/one/one.csv", "s3://raw/two/two.csv"]


def test_whole_numbers_with_a_rare_value_are_no_classes(tmp_path: Path) -> None:
    """A class with one row cannot be learnt: the run would fail; the terminal says why it is a regression."""
    content = "a,y\n" + "".join(f"{i},{i % 3 if i else 8}\n" for i in range(60))
    (tmp_path / "rows.csv").write_text(content)
    told = command.init(InitOptions(files=(str(tmp_path / "rows.csv"),), label="y", output=tmp_path / "rows.yaml"))
    assert told[0].endswith("regression of y")
    assert "y: numbers, not classes, since '8' has 1 row" in told
    assert "name: Ridge" in (tmp_path / "rows.yaml").read_text()


def test_a_linear_model_tells_all_values_of_a_text_apart(tmp_path: Path) -> None:
    """By itself it takes 64 of them, and the others as one: a plain script on the same rows was better."""
    content = "town,a,y\n" + "".join(f"town {i % 90},{i},{i * 0.5}\n" for i in range(360))
    (tmp_path / "rows.csv").write_text(content)
    command.init(InitOptions(files=(str(tmp_path / "rows.csv"),), label="y", output=tmp_path / "rows.yaml"))
    run = list(yaml.safe_load_all((tmp_path / "rows.yaml").read_text()))[1]
    assert run["spec"]["trainer"]["estimator"] == {"name": "Ridge", "maxCategories": 90}
