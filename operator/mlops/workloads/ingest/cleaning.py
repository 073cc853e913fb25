"""The steps of spec.clean, in order, over rows in canonical order."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from mlops.api.dataset import CleanStep, FillNull
from mlops.api.reasons import Reason
from mlops.workloads.floor.expressions import sql_expressions as expressions
from mlops.workloads.floor.expressions.sql_expressions import DTYPES
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest.contract import Contract
from mlops.workloads.ingest.rows import BUDGET, Rows
from mlops.workloads.ingest.typed import from_text


def clean(rows: Rows, steps: tuple[CleanStep, ...], contract: Contract) -> Rows:
    """Return the rows as the steps leave them. Raises BadInput with the path of the step."""
    for i, step in enumerate(steps):
        rows = _step(rows, step, contract, f"spec.clean[{i}]")
    return rows


def _step(rows: Rows, step: CleanStep, contract: Contract, path: str) -> Rows:
    if step.drop_nulls:
        names = list(step.drop_nulls)
        return rows.map(lambda chunk: chunk.drop_nulls(names))
    if step.filter:
        condition = step.filter
        return rows.map(lambda chunk: chunk.filter(_truth(chunk, condition, f"{path}.filter", contract.pii)))
    if step.deduplicate:
        kept = _last_of_equals(rows, list(step.deduplicate.by))
        return rows.through(lambda chunks: _masked(chunks, kept))
    assert step.fill_null is not None
    return _fill(rows, step.fill_null, contract, f"{path}.fillNull")


def _truth(chunk: pl.DataFrame, condition: str, path: str, pii: frozenset[str]) -> pl.Series:
    try:
        return expressions.evaluate(chunk, condition, pii)
    except expressions.ExpressionError as error:
        raise BadInput(Reason.EXPRESSION_INVALID, f"{path}: {error}") from error


def _masked(chunks: Iterator[pl.DataFrame], kept: npt.NDArray[np.bool_]) -> Iterator[pl.DataFrame]:
    start = 0
    for chunk in chunks:
        yield chunk.filter(pl.Series(kept[start : start + chunk.height]))
        start += chunk.height


def _last_of_equals(rows: Rows, by: list[str]) -> npt.NDArray[np.bool_]:
    """Return which rows to keep. Keys that are many are looked at in several passes, a share of them in each."""
    size, total = 0.0, 0
    for chunk in rows.chunks():
        size += chunk.select(by).estimated_size()
        total += chunk.height
    kept = np.zeros(total, dtype=np.bool_)
    passes = max(1, math.ceil(size / (BUDGET / 2)))
    for number in range(passes):
        start, shares = 0, []
        for chunk in rows.chunks():
            keys = chunk.select(by).with_row_index("\0row", offset=start)
            # Which share a key falls into depends on polars; which rows are kept does not.
            shares.append(keys.filter(keys.select(by).hash_rows() % passes == number) if passes > 1 else keys)
            start += chunk.height
        if shares:
            kept[pl.concat(shares).unique(by, keep="last")["\0row"].to_numpy()] = True
    return kept


def _fill(rows: Rows, fill: FillNull, contract: Contract, path: str) -> Rows:
    name = fill.field
    dtype = contract.schema[name]
    if fill.strategy == "forward":
        by = contract.entity_keys if fill.by is None else [one for one in fill.by if one != name]
        if not by:
            return rows.through(lambda chunks: _forward(chunks, name))
        return rows.through(lambda chunks: _forward_by(chunks, name, by, path, chosen=fill.by is not None))
    if fill.value is not None:
        kind = contract.kinds[name]
        value = from_text(pl.Series([fill.value]), kind)
        if value.null_count():
            raise BadInput(Reason.SCHEMA_MISMATCH, f'{path}.value: "{fill.value}" is not a {kind}')
        constant = value.item()
    elif fill.strategy == "zero":
        constant = 0
    else:
        constant = _middle(rows, name, fill.strategy or "", path)
        if dtype == pl.Int64:
            constant = round(constant)
    literal = pl.lit(constant, dtype=dtype if dtype != DTYPES["timestamp"] else None)
    return rows.map(lambda chunk: chunk.with_columns(pl.col(name).fill_null(literal)))


def _middle(rows: Rows, name: str, strategy: str, path: str) -> float:
    found = [chunk[name].drop_nulls().cast(pl.Float64).to_numpy() for chunk in rows.chunks()]
    values = np.sort(np.concatenate([np.empty(0), *found]))
    if not len(values):
        raise BadInput(Reason.DATA_UNUSABLE, f'{path}: "{name}" has no value to take the {strategy} of')
    if strategy == "median":
        return float((values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2)
    # Exactly rounded, so that it depends neither on the order of adding nor on the processor.
    return math.fsum(values) / len(values)


def _forward(chunks: Iterator[pl.DataFrame], name: str) -> Iterator[pl.DataFrame]:
    last = None
    for chunk in chunks:
        filled = chunk[name].fill_null(strategy="forward")
        if last is not None:
            filled = filled.fill_null(last) if filled.dtype != pl.String else filled.fill_null(pl.lit(last))
        if len(filled):
            last = filled[-1]
        yield chunk.with_columns(filled.alias(name))


def _forward_by(
    chunks: Iterator[pl.DataFrame], name: str, by: list[str], path: str, *, chosen: bool
) -> Iterator[pl.DataFrame]:
    """Fill rows from earlier ones that agree in `by`; whose key is missing is nobody's, and stays as it is.

    Holds the last value of every entity. Raises BadInput(DataUnusable) if each has one row: nothing could be filled.
    """
    keyed = pl.all_horizontal(pl.col(one).is_not_null() for one in by)
    last: pl.DataFrame | None = None
    rows = gaps = 0
    for chunk in chunks:
        known = chunk.select(*by, name)
        before = 0 if last is None else last.height
        both = known if last is None else pl.concat([last, known])
        filled = both.with_columns(pl.when(keyed).then(pl.col(name).forward_fill().over(by)).otherwise(pl.col(name)))
        rows, gaps = rows + chunk.filter(keyed).height, gaps + chunk[name].null_count()
        last = filled.filter(keyed).unique(by, keep="last", maintain_order=True)
        yield chunk.with_columns(filled[name][before:])
    if gaps and not chosen and last is not None and rows == last.height:
        raise BadInput(
            Reason.DATA_UNUSABLE,
            f"{path}: forward fills from earlier rows of the same entity ({', '.join(by)}), and each has one row: "
            "write by: [] to fill from the row before, whoever it is of, or name other fields in by",
        )
