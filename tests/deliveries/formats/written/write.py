r"""Write the files beside this one, as other programs write them: pyarrow, pandas and XlsxWriter.

They are kept, since those programs are no dependency of the tests:

    uv run --no-project --with pyarrow==26.0.1 --with pandas==3.1.1 --with xlsxwriter==3.3.1 \
        tests/deliveries/formats/written/write.py
"""

from __future__ import annotations

import datetime as dt
import uuid
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import xlsxwriter

HERE = Path(__file__).parent
NOON = dt.datetime(2024, 5, 1, 6, 30)  # noqa: DTZ001
ROWS = 2

COLUMNS: dict[str, pa.Array] = {
    "offset": pa.array([NOON, None], pa.timestamp("us", tz="+05:30")),
    "offset-ns": pa.array([NOON, None], pa.timestamp("ns", tz="-03:00")),
    "zone": pa.array([NOON, None], pa.timestamp("ms", tz="Europe/Berlin")),
    "zone-of-no-database": pa.array([NOON, None], pa.timestamp("us", tz="Mars/Olympus")),
    "zone-z": pa.array([NOON, None], pa.timestamp("us", tz="Z")),
    "local": pa.array([NOON, None], pa.timestamp("us")),
    "local-s": pa.array([NOON, None], pa.timestamp("s")),
    "date32": pa.array([NOON.date(), None], pa.date32()),
    "date64": pa.array([NOON.date(), None], pa.date64()),
    "time": pa.array([dt.time(12, 1), None], pa.time64("us")),
    "duration": pa.array([dt.timedelta(1), None], pa.duration("us")),
    "late": pa.array([253402300800000, None], pa.int64()).cast(pa.timestamp("ms")),
    "early": pa.array([-62135596800001, None], pa.int64()).cast(pa.timestamp("ms")),
    "farthest": pa.array([2**62, None], pa.int64()).cast(pa.timestamp("ms")),
    "decimal-whole": pa.array([Decimal(9007199254740993), None], pa.decimal128(20, 0)),
    "decimal-beyond": pa.array([Decimal(12345678901234567890), None], pa.decimal128(20, 0)),
    "decimal-cents": pa.array([Decimal("123.45"), Decimal("7.00")], pa.decimal128(5, 2)),
    "decimal-tenth": pa.array([Decimal("0.1"), None], pa.decimal128(38, 18)),
    "decimal-50": pa.array([Decimal(1), None], pa.decimal256(50, 0)),
    "binary": pa.array(["Käthe".encode(), None], pa.binary()),
    "binary-large": pa.array([b"abc", None], pa.large_binary()),
    "binary-fixed": pa.array([b"abc", None], pa.binary(3)),
    "binary-latin": pa.array([b"abc", "Käthe".encode("latin-1")], pa.binary()),
    "binary-numbers": pa.array([b"12", None], pa.binary()),
    "uuid": pa.array([uuid.UUID(int=2**127 + 255).bytes, None], pa.uuid()),
    "json": pa.array(['{"a":1}', None], pa.json_()),
    "dictionary": pa.array(["a", None]).dictionary_encode(),
    "dictionary-int": pa.array([5, None]).dictionary_encode(),
    "text-large": pa.array(["x", None], pa.large_string()),
    "text-view": pa.array(["x", None], pa.string_view()),
    "half": pa.array(np.array([1.5, np.nan], dtype=np.float16)),
    "single": pa.array([0.1, None], pa.float32()),
    "nan-integers": pa.array([1.0, float("nan")]),
    "fraction": pa.array([1.0, 1.5]),
    "large-float": pa.array([1.0, 2.0**53 + 2]),
    "unsigned": pa.array([1, 2**64 - 1], pa.uint64()),
    "int8": pa.array([0, 1], pa.int8()),
    "int8-two": pa.array([0, 2], pa.int8()),
    "int64-large": pa.array([1, 2**53 + 1]),
    "bool": pa.array([True, None]),
    "nothing": pa.nulls(ROWS),
    "struct": pa.array([{"a": 1, "b": {"c": "x", "t": NOON}}, None], pa.struct([
        ("a", pa.int64()), ("b", pa.struct([("c", pa.string()), ("t", pa.timestamp("us", tz="+05:30"))]))])),
    "list": pa.array([[1, 2], None]),
    "map": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())),
}  # fmt: skip


def tables() -> None:
    """Write a Parquet file, an Arrow file and a stream for each type of column, beside a plain one."""
    for name, column in COLUMNS.items():
        table = pa.table({"v": pa.array([1.5, 2.5]), "x": column})
        pq.write_table(table, HERE / f"{name}.parquet")
        with pa.ipc.new_file(HERE / f"{name}.arrow", table.schema) as sink:
            sink.write_table(table)
    for name in ("offset", "dictionary", "struct"):
        table = pa.table({"v": pa.array([1.5, 2.5]), "x": COLUMNS[name]})
        with pa.ipc.new_stream(HERE / f"{name}.arrows", table.schema) as sink:
            sink.write_table(table)


def of_parquet() -> None:
    """Write what is about the file and not about the type."""
    numbers = pa.table({"v": pa.array([1.5, 2.5]), "x": pa.array([1, None])})
    for codec in ("none", "snappy", "gzip", "brotli", "lz4", "zstd"):
        pq.write_table(numbers, HERE / f"codec-{codec}.parquet", compression=codec)
    pq.write_table(numbers, HERE / "pages-2.parquet", data_page_version="2.0")
    pq.write_table(numbers, HERE / "no-noted-schema.parquet", store_schema=False)
    plain = {"use_dictionary": False}
    pq.write_table(numbers, HERE / "delta.parquet", column_encoding={"x": "DELTA_BINARY_PACKED"}, **plain)
    pq.write_table(numbers, HERE / "split.parquet", column_encoding={"v": "BYTE_STREAM_SPLIT"}, **plain)
    texts = pa.table({"v": pa.array([1.5, 2.5]), "x": pa.array(["aa", "ab"])})
    pq.write_table(texts, HERE / "delta-text.parquet", column_encoding={"x": "DELTA_BYTE_ARRAY"}, **plain)
    pq.write_table(texts, HERE / "delta-length.parquet", column_encoding={"x": "DELTA_LENGTH_BYTE_ARRAY"}, **plain)
    times = pa.table({"v": pa.array([1.5, 2.5]), "x": pa.array([NOON, None], pa.timestamp("ns"))})
    pq.write_table(times, HERE / "int96.parquet", use_deprecated_int96_timestamps=True)
    pq.write_table(pa.Table.from_arrays([pa.array([1.5]), pa.array([1])], names=["v", "v"]), HERE / "twice.parquet")
    pq.write_table(numbers.schema.empty_table(), HERE / "no-rows.parquet")
    pq.write_table(pa.concat_tables([numbers] * 3), HERE / "groups.parquet", row_group_size=2)
    dotted = pa.table({"v": pa.array([1.5, 2.5]), "a.b": pa.array([1, 2]), "a": pa.array([{"b": 7}, {"b": 8}])})
    pq.write_table(dotted, HERE / "dotted.parquet")


def of_pandas() -> None:
    """Write what pandas makes of ordinary frames."""
    frame: dict[str, Any] = {
        "v": [1.5, 2.5],
        "x": [1, None],
        "when": pd.to_datetime(["2024-05-01T12:00:00+05:30"] * 2),
        "kind": pd.Categorical(["a", "b"]),
        "flag": pd.array([True, None], dtype="boolean"),
        "count": pd.array([2**53 + 1, None], dtype="Int64"),
    }
    pd.DataFrame(frame).to_parquet(HERE / "pandas.parquet")
    pd.DataFrame(frame).to_feather(HERE / "pandas.feather")
    indexed = pd.DataFrame({"v": [1.5, 2.5]}, index=pd.Index(["a", "b"], name="x"))
    indexed.to_parquet(HERE / "index.parquet")
    pd.DataFrame({"v": [1.5]}, index=pd.MultiIndex.from_tuples([("a", 1)])).to_parquet(HERE / "index-2.parquet")
    feather.write_feather(pa.table({"v": pa.array([1.5, 2.5])}), HERE / "old.feather", version=1)
    feather.write_feather(pa.table({"v": pa.array([1.5, 2.5])}), HERE / "lz4.feather", compression="lz4")
    feather.write_feather(pa.table({"v": pa.array([1.5, 2.5])}), HERE / "zstd.feather", compression="zstd")


def as_text(book: Path, cell: str) -> None:
    """Say that a formula's empty value is text, as spreadsheet programs do; XlsxWriter leaves it as not computed."""
    with zipfile.ZipFile(book) as archive:
        parts = {one: archive.read(one) for one in archive.infolist()}
    with zipfile.ZipFile(book, "w") as archive:
        for one, content in parts.items():
            written = content.replace(f'<c r="{cell}"><f>'.encode(), f'<c r="{cell}" t="str"><f>'.encode())
            archive.writestr(one, written if one.filename.startswith("xl/worksheets/") else content)


def of_excel() -> None:
    """Write a workbook as a spreadsheet program does: shared texts, formulas with values, formats of dates."""
    with xlsxwriter.Workbook(HERE / "sheet.xlsx") as book:
        sheet, day = book.add_worksheet("Sales"), book.add_format({"num_format": "dd.mm.yyyy"})
        sheet.write_row(0, 0, ["v", "x", "day", "total"])
        sheet.write_row(1, 0, [1.5, "a"])
        sheet.write_row(2, 0, [2.5, "b"])
        for row in (1, 2):
            sheet.write_datetime(row, 2, NOON, day)
        sheet.write_formula(1, 3, "=A2*2", None, 3)
        sheet.write_formula(2, 3, '=IF(A3>2,"","x")', None, "")
    as_text(HERE / "sheet.xlsx", "D3")
    with xlsxwriter.Workbook(HERE / "since-1904.xlsx", {"date_1904": True}) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["v", "day"])
        sheet.write_number(1, 0, 1.5)
        sheet.write_datetime(1, 1, NOON, book.add_format({"num_format": "yyyy-mm-dd hh:mm"}))
    with xlsxwriter.Workbook(HERE / "errors.xlsx") as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["v", "x"])
        sheet.write_number(1, 0, 1.5)
        sheet.write_formula(1, 1, "=1/0", None, "#DIV/0!")
    with xlsxwriter.Workbook(HERE / "two-sheets.xlsx") as book:
        for name in ("May", "June"):
            sheet = book.add_worksheet(name)
            sheet.write_row(0, 0, ["v"])
            sheet.write_number(1, 0, 5 if name == "May" else 6)
        book.add_worksheet("Notes").hide()


if __name__ == "__main__":
    tables()
    of_parquet()
    of_pandas()
    of_excel()
