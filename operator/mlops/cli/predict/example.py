"""A row that a model surely answers: one of those that are recorded with it, and asked again before it serves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from mlops.api.dataset import FieldType
from mlops.cli.predict.rows import Fields
from mlops.workloads.floor.column_types import DTYPES
from mlops.workloads.floor.model.signature import Signature
from mlops.workloads.ingest.typed import from_text


def example_of(signature: Signature, recorded: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the first row of a golden.json, by input; None if the model wants a value that is left out of it for being
    personal."""
    rows: dict[str, list[Any]] = recorded["inputs"]
    filled = {
        step.fill_null.field for step in signature.clean or () if step.fill_null and step.fill_null.value is not None
    }
    may_miss = {one.name for one in signature.inputs if one.nullable or one.name in filled}
    for at in range(len(recorded["prediction"])):
        row = {one.name: _typed(rows[one.name][at], one.type) for one in signature.inputs}
        if all(value is not None or name in may_miss for name, value in row.items()):
            return row
    return None


def words_of(row: dict[str, Any]) -> list[str]:
    """Return the row as words of the command line."""
    return [f"{name}={_word(value)}" for name, value in row.items()]


def frame_of(row: dict[str, Any], fields: Fields) -> pl.DataFrame:
    """Return the row as a frame of the fields' types."""
    columns = []
    for one in fields.inputs:
        value = row[one.name]
        if one.type == "timestamp":
            columns.append(from_text(pl.Series(one.name, [value], dtype=pl.String), "timestamp").alias(one.name))
        else:
            columns.append(pl.Series(one.name, [value], dtype=DTYPES[one.type]))
    return pl.DataFrame(columns)


def _typed(value: Any, kind: FieldType) -> Any:
    """Return a number as its field has it: with gaps beside it, a whole number or a boolean is recorded as a float."""
    if value is None:
        return None
    return {"int64": int, "boolean": bool, "float64": float}.get(kind, str)(value)


def _word(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)
