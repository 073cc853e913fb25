"""Excel: the contract's columns of one sheet, typed cell by cell. Row numbers are those of the sheet."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Final

import polars as pl

from mlops.api.dataset import DataField
from mlops.api.file_formats import Excel
from mlops.api.reasons import Reason
from mlops.workloads.floor.isolation.parent import Child
from mlops.workloads.floor.log import say
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.floor.workbook import ErrorCell, SheetRow, letter, sheet_rows
from mlops.workloads.ingest.columnar import try_in_child
from mlops.workloads.ingest.contract import Contract
from mlops.workloads.ingest.problems import format_error, shown
from mlops.workloads.ingest.typed import bad_value, check_columns, column_of
from mlops.workloads.ingest.widening import advice, check_type, convert

_ROWS: Final = 16_384


def read_excel(
    path: Path, name: str, contract: Contract, where: Excel | None = None, child: Child | None = None
) -> Iterator[pl.DataFrame]:
    """Yield the contract's columns in the sheet's order. Raises BadInput with row and column."""
    if child is not None:
        region = where.dump() if where else {}
        try_in_child(child, "excel", "Excel", path, name, contract, where=region)
    # What the child has read to its end, it has judged.
    rows = sheet_rows(path, name, where, computed=child is not None)
    header = next(rows, None)
    if header is None:
        raise format_error(name, "the sheet is empty: it must have a header at least")
    names = [_heading(cell) for cell in header.cells]
    check_columns(name, [one for one in names if one], contract.fields, contract.pii)
    places = [_place(names, column_of(field), name) for field in contract.fields]
    wanted = {names[place] for place in places}
    if extra := [one for one in names if one and one not in wanted]:
        say(f"{name}: {len(extra)} columns are not in spec.fields and are left out: {shown(', '.join(extra))}")
    for batch in _batches(rows, header.number, name):
        columns = {}
        for field, place in zip(contract.fields, places, strict=True):
            cells = [row.cells[place] if place < len(row.cells) else None for row in batch]
            columns[field.name] = _column(cells, field, name, batch[0].number - 1, contract, letter(where, place))
        yield pl.DataFrame(columns)


def header_of(path: Path, name: str, where: Excel | None) -> list[str]:
    """Return the names of the sheet's columns."""
    header = next(sheet_rows(path, name, where, computed=True), None)
    return [_heading(cell) for cell in header.cells] if header else []


def _batches(rows: Iterator[SheetRow], last: int, name: str) -> Iterator[list[SheetRow]]:
    """Yield rows in batches. Raises BadInput for an empty row between two that are not: what follows may be a note."""
    batch: list[SheetRow] = []
    for row in rows:
        if row.number != last + 1:
            raise format_error(
                name,
                f"row {last + 1} is empty and row {row.number} is not: end spec.excel.range before it, or delete it",
            )
        last = row.number
        batch.append(row)
        if len(batch) == _ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


def _heading(cell: Any) -> str:
    if isinstance(cell, ErrorCell):
        return cell.text
    return "" if cell is None else str(cell)


def _place(names: list[str], column: str, name: str) -> int:
    if names.count(column) > 1:
        raise format_error(name, f'the header has column "{shown(column)}" twice: rename one')
    return names.index(column)


def _column(
    cells: list[Any], field: DataField, name: str, rows_before: int, contract: Contract, letters: str
) -> pl.Series:
    """Return a column whose cells may be of several kinds: text beside numbers is read as it is in CSV."""
    for i, cell in enumerate(cells):
        if isinstance(cell, ErrorCell):
            if cell.text not in (getattr(field, "null_values", None) or ()):
                raise BadInput(
                    Reason.SCHEMA_MISMATCH,
                    f'{name}: row {rows_before + i + 1}, column "{column_of(field)}": cell '
                    f"{letters}{rows_before + i + 1} holds the error {cell.text}: mend it in the sheet, or name it in "
                    "the field's nullValues",
                )
            cells[i] = None
    result: pl.Series | None = None
    for part in _kinds(cells):
        contract.note_zone(part, field)
        try:
            check_type(name, field, part.dtype)
        except BadInput as error:
            if part.null_count() == len(cells):
                raise
            at = int(part.is_not_null().arg_max() or 0)
            refusal = bad_value(name, rows_before + at + 1, field, part[at], contract.pii)
            raise BadInput(refusal.reason, f"{refusal.message}: {_way_out(field, part)}") from error
        values = convert(part, field, name, rows_before, contract.pii)
        result = values if result is None else result.zip_with(result.is_not_null(), values)
    assert result is not None
    return result


def _way_out(field: DataField, part: pl.Series) -> str:
    if field.type == "timestamp" and part.dtype.is_numeric():
        return "give the cells a date format in the sheet"
    return advice(field, part.dtype)


def _kinds(cells: list[Any]) -> list[pl.Series]:
    """Return a series for each kind of cell that there is: text, whole numbers, other numbers, truth, timestamps."""
    kinds: dict[str, tuple[pl.DataType, list[Any]]] = {}
    for i, cell in enumerate(cells):
        if cell is None:
            continue
        kind, dtype, value = _kind(cell)
        if kind not in kinds:
            kinds[kind] = (dtype, [None] * len(cells))
        kinds[kind][1][i] = value
    if not kinds:
        return [pl.Series([None] * len(cells), dtype=pl.Null)]
    return [pl.Series(values, dtype=dtype) for dtype, values in kinds.values()]


def _kind(cell: Any) -> tuple[str, pl.DataType, Any]:
    if isinstance(cell, bool):
        return "truth", pl.Boolean(), cell
    if isinstance(cell, int):
        return ("whole", pl.Int64(), cell) if -(1 << 63) <= cell < 1 << 63 else ("number", pl.Float64(), float(cell))
    if isinstance(cell, float):
        return "number", pl.Float64(), cell
    if isinstance(cell, datetime):
        return "time", pl.Datetime("us"), cell
    if isinstance(cell, date):
        return "time", pl.Datetime("us"), datetime.combine(cell, time.min)
    return "text", pl.String(), cell
