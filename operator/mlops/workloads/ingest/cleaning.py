"""The steps of spec.clean, in order, over rows in canonical order."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from mlops.api.dataset import CleanStep, FieldType, FillNull
from mlops.api.reasons import Reason
from mlops.workloads.floor.column_types import DTYPES
from mlops.workloads.floor.expressions import ExpressionError, computed_from
from mlops.workloads.floor.expressions.frames import evaluate
from mlops.workloads.floor.model.learnt import LearntFill, LearntStep, of_inputs
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest.contract import Contract
from mlops.workloads.ingest.rows import BUDGET, Rows
from mlops.workloads.ingest.typed import from_text, normal


@dataclass(frozen=True)
class Cleaned:
    """Rows after the steps, and the steps as far as a request can be held to them."""

    rows: Rows
    learnt: tuple[LearntStep, ...]


def clean(rows: Rows, steps: tuple[CleanStep, ...], contract: Contract) -> Cleaned:
    """Return the rows as the steps leave them, and what was learnt. Raises BadInput with the path of the step."""
    learnt: list[LearntStep] = []
    for i, step in enumerate(steps):
        rows, done = _step(rows, step, contract, f"spec.clean[{i}]")
        learnt += [done] if done is not None else []
    names = [field.name for field in contract.fields]
    reads = {step.filter: computed_from(step.filter, names) for step in learnt if step.filter}
    return Cleaned(rows, of_inputs(learnt, contract.requested, reads))


def _step(rows: Rows, step: CleanStep, contract: Contract, path: str) -> tuple[Rows, LearntStep | None]:
    if step.drop_nulls:
        names = list(step.drop_nulls)
        return rows.map(lambda chunk: chunk.drop_nulls(names)), LearntStep(drop_nulls=step.drop_nulls)
    if step.filter:
        condition = step.filter
        kept_rows = rows.map_numbered(
            lambda chunk, first: chunk.filter(_truth(chunk, condition, f"{path}.filter", contract.pii, first))
        )
        return kept_rows, LearntStep(filter=condition)
    if step.deduplicate:
        kept = _last_of_equals(rows, list(step.deduplicate.by))
        return rows.through(lambda chunks: _masked(chunks, kept)), None
    assert step.fill_null is not None
    return _fill(rows, step.fill_null, contract, f"{path}.fillNull")


def _truth(chunk: pl.DataFrame, condition: str, path: str, pii: frozenset[str], first_row: int) -> pl.Series:
    try:
        return evaluate(chunk, condition, pii, first_row)
    except ExpressionError as error:
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


def _fill(rows: Rows, fill: FillNull, contract: Contract, path: str) -> tuple[Rows, LearntStep]:
    name = fill.field
    if fill.strategy == "forward":
        learnt = LearntStep(fill_null=LearntFill(field=name))
        by = contract.entity_keys if fill.by is None else list(fill.by)
        chosen = fill.by is not None
        if by:
            rows = rows.through(lambda chunks: _forward_by(chunks, name, by, path, chosen=chosen))
        else:
            rows = rows.through(lambda chunks: _forward(chunks, name))
        # A request without it is refused, so no model learns of such rows; one that may not lack it is judged later.
        if name in contract.requested and contract.nullable(name):
            rows = rows.map(lambda chunk: chunk.drop_nulls([name]))
        return rows, learnt
    constant = _constant(rows, fill, contract.kinds[name], path)
    dtype = contract.schema[name]
    literal = pl.lit(constant, dtype=dtype if dtype != DTYPES["timestamp"] else None)
    filled = rows.map(lambda chunk: chunk.with_columns(pl.col(name).fill_null(literal)))
    plain = constant.astimezone(UTC).isoformat() if isinstance(constant, datetime) else constant
    return filled, LearntStep(fill_null=LearntFill(field=name, value=plain, missing=_missing_share(rows, name)))


def _missing_share(rows: Rows, name: str) -> float:
    """Return the share of rows without a value: after the fill nobody can tell them from others."""
    total = missing = 0
    for chunk in rows.chunks():
        total += chunk.height
        missing += chunk[name].null_count()
    return missing / total if total else 0.0


def _constant(rows: Rows, fill: FillNull, kind: FieldType, path: str) -> Any:
    """Return what stands for a missing value, as Python has it, in the field's own type."""
    if fill.value is not None:
        # As a value that is delivered: NaN is missing, and minus zero is zero.
        value = normal(from_text(pl.Series([fill.value]), kind))
        if value.null_count():
            article = "an" if kind == "int64" else "a"
            raise BadInput(Reason.SCHEMA_MISMATCH, f'{path}.value: "{fill.value}" is not {article} {kind}')
        return value.item()
    if fill.strategy == "zero":
        return 0 if kind == "int64" else 0.0
    found = [chunk[fill.field].drop_nulls().to_numpy() for chunk in rows.chunks()]
    values = np.sort(np.concatenate(found)) if found else np.empty(0)
    if not len(values):
        raise BadInput(Reason.DATA_UNUSABLE, f'{path}: "{fill.field}" has no value to take the {fill.strategy} of')
    return _middle_of_whole(values, fill.strategy) if kind == "int64" else _middle(values, fill.strategy, path)


def _middle_of_whole(values: npt.NDArray[Any], strategy: str | None) -> int:
    """Return median or mean of sorted whole numbers, rounded half to even: no float could hold all of them."""
    if strategy == "median":
        low, high = int(values[(len(values) - 1) // 2]), int(values[len(values) // 2])
        return round(Fraction(low + high, 2))
    # Halves of 32 bits, so that no sum is too large.
    total = (int((values >> 32).sum()) << 32) + int((values & 0xFFFFFFFF).sum())
    return round(Fraction(total, len(values)))


def _middle(values: npt.NDArray[Any], strategy: str | None, path: str) -> float:
    """Return median or mean of sorted numbers. Raises BadInput if their sum is beyond what a float can hold."""
    if strategy == "median":
        low, high = float(values[(len(values) - 1) // 2]), float(values[len(values) // 2])
        both = low + high
        return (both / 2 if math.isfinite(both) else low / 2 + high / 2) + 0.0
    try:
        # Exactly rounded, so that it depends neither on the order of adding nor on the processor.
        mean = math.fsum(values) / len(values)
    except OverflowError:
        mean = math.inf
    if not math.isfinite(mean):
        raise BadInput(
            Reason.DATA_UNUSABLE, f"{path}: the sum of the values is beyond 1.8e308: use strategy median, or a value"
        )
    return mean + 0.0


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
