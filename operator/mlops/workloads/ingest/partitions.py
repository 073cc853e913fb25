"""Columns in the folders of a delivery, as Hive, Spark and others write them: `part=x/file.parquet`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import unquote

import polars as pl

from mlops.api.dataset import DataField
from mlops.api.reasons import Reason
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest.aside import RowsAside
from mlops.workloads.ingest.contract import Contract
from mlops.workloads.ingest.dialect import Notation
from mlops.workloads.ingest.problems import format_error, shown
from mlops.workloads.ingest.typed import bad_value, column_of, first_unread, normal, read_text, with_missing

_MISSING: Final = "__HIVE_DEFAULT_PARTITION__"

Read = Callable[[Contract], Iterator[pl.DataFrame]]


def partitions_of(key: str, name: str) -> dict[str, str | None]:
    """Return the columns in the folders of an object's key, decoded. Raises BadInput for one that is there twice."""
    found: dict[str, str | None] = {}
    for folder in key.split("/")[:-1]:
        column, sign, value = folder.partition("=")
        if not sign or not column:
            continue
        column = unquote(column, errors="replace")
        text = None if value in ("", _MISSING) else unquote(value, errors="replace")
        if column in found and found[column] != text:
            raise format_error(name, f'the path has the column "{shown(column)}" twice, with two values')
        found[column] = text
    return found


def with_partitions(
    read: Read,
    columns: Callable[[], list[str]],
    partitions: Mapping[str, str | None],
    name: str,
    contract: Contract,
    rejected: RowsAside,
) -> Iterator[pl.DataFrame]:
    """Yield what `read` does, with the contract's columns that stand in the path; `columns` tells the file's own.

    `rejected`: rows that the reader puts aside, which count as rows of the file.

    Raises BadInput for a value that is not of its field's type, and for one that the file says otherwise.
    """
    given = [field for field in contract.fields if field.position is None and column_of(field) in partitions]
    if not given:
        yield from read(contract)
        return
    values = {field.name: _value(field, partitions[column_of(field)], name, contract) for field in given}
    present = set(columns())
    absent = {field.name for field in given if column_of(field) not in present}
    rest = tuple(field for field in contract.fields if field.name not in absent)
    if not rest:
        raise BadInput(
            Reason.SCHEMA_MISMATCH,
            f"{name}: every one of spec.fields stands in the path and none in the file: name a column of the file",
        )
    rows = 0
    for chunk in read(replace(contract, fields=rest)):
        both = [field for field in given if field.name not in absent]
        _check_equal(chunk, values, lambda kept, before=rows: rejected.row_of(name, before + kept), name, both)  # type: ignore[misc]
        rows += chunk.height
        added = [values[one].new_from_index(0, chunk.height).alias(one) for one in absent]
        yield chunk.with_columns(added).select([field.name for field in contract.fields])


def _value(field: DataField, text: str | None, name: str, contract: Contract) -> pl.Series:
    # What means a missing value does so in a path too; how numbers are written is the text's own business.
    nulls = Notation(null_values=contract.csv.null_values)
    column = with_missing(pl.Series(field.name, [text], dtype=pl.String), field, nulls)
    values = normal(read_text(column, field)).alias(field.name)
    contract.note_zone(column, field)
    if first_unread(column, values) is not None:
        refusal = bad_value(name, 1, field, text, contract.pii)
        raise BadInput(refusal.reason, refusal.message.replace("row 1, column", "in the path, column"))
    return values


def _check_equal(
    chunk: pl.DataFrame,
    values: dict[str, pl.Series],
    row_of: Callable[[int], int],
    name: str,
    both: list[DataField],
) -> None:
    for field in both:
        differs = chunk[field.name].ne_missing(values[field.name].new_from_index(0, chunk.height))
        if differs.any():
            at = row_of(int(differs.arg_max() or 0) + 1)
            raise BadInput(
                Reason.SCHEMA_MISMATCH,
                f'{name}: row {at}, column "{column_of(field)}": the file says another value than the path: leave the '
                "column out of the file, or put the file where it belongs",
            )
