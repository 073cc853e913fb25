"""JSON lines: one object per line, UTF-8. A key that is not there is missing, as is null."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from mlops.api.dataset import DataField, FieldType
from mlops.workloads.floor.expressions.sql_expressions import DTYPES
from mlops.workloads.floor.log import say
from mlops.workloads.ingest.contract import Contract
from mlops.workloads.ingest.text import blocks, format_error, open_text
from mlops.workloads.ingest.typed import bad_value, check_columns, first_unread, from_text, normal, shown

_ROWS = 65536
# What JSON has for each type; text is read as it is in CSV.
_OWN: dict[FieldType, set[type]] = {
    "float64": {float, int},
    "int64": {int},
    "string": {str},
    "boolean": {bool},
    "timestamp": set(),
}


def read_jsonl(path: Path, name: str, contract: Contract) -> Iterator[pl.DataFrame]:
    """Yield the contract's columns in the order of the lines. Raises BadInput with row and column."""
    row = 0
    seen: dict[str, None] = {}
    for block in blocks(open_text(path, name), name, quoted=False):
        lines = [line for line in block.split(b"\n") if line.strip()]
        for start in range(0, len(lines), _ROWS):
            objects = [_object(line, name, row + i + 1) for i, line in enumerate(lines[start : start + _ROWS])]
            for one in objects:
                seen.update(dict.fromkeys(one))
            columns = {field.name: _column(objects, field, name, row, contract) for field in contract.fields}
            row += len(objects)
            yield pl.DataFrame(columns)
    if not row:
        raise format_error(name, "the file is empty")
    check_columns(name, list(seen), [field for field in contract.fields if not field.nullable], contract.pii)
    if extra := [key for key in seen if key not in contract.schema]:
        say(f"{name}: {len(extra)} keys are not in spec.fields and are left out: {shown(', '.join(extra))}")


def _object(line: bytes, name: str, row: int) -> dict[str, Any]:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise format_error(name, f"row {row} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise format_error(name, f"row {row} is no JSON object")
    return value


def _column(
    objects: list[dict[str, Any]], field: DataField, name: str, rows_before: int, contract: Contract
) -> pl.Series:
    values = [one.get(field.name) for one in objects]
    kinds = {type(value) for value in values} - {type(None)}
    own = _OWN[field.type]
    if not kinds <= own | {str}:
        at = next(i for i, value in enumerate(values) if value is not None and type(value) not in own | {str})
        raise bad_value(name, rows_before + at + 1, field, values[at], contract.pii)
    if str not in kinds or field.type == "string":
        try:
            return normal(pl.Series(values, dtype=DTYPES[field.type]))
        except (TypeError, OverflowError) as error:
            at = next(i for i, value in enumerate(values) if isinstance(value, int) and not -(2**63) <= value < 2**63)
            raise bad_value(name, rows_before + at + 1, field, values[at], contract.pii) from error
    # Text in place of a number, a timestamp or a truth value is read as it is in CSV.
    text = pl.Series([None if value is None else _text(value) for value in values], dtype=pl.String)
    column = from_text(text, field.type)
    if (at_text := first_unread(text, column)) is not None:
        raise bad_value(name, rows_before + at_text + 1, field, text[at_text], contract.pii)
    return normal(column)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else repr(value).lower() if isinstance(value, bool) else repr(value)
