"""profile.json: what each column looks like. Fields with personal data show counts only."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from mlops.api.base import format_time
from mlops.workloads.ingest.contract import Contract
from mlops.workloads.ingest.rows import Rows
from mlops.workloads.ingest.split import ColumnHashes, hash_column

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
TOP = 20
_SHOWN = 128  # characters of a category
_FIRST = 4096  # rows that tell whether values are many

UInt64 = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int64]
_NONE: UInt64 = np.empty(0, dtype=np.uint64)


def profile(rows: Rows, contract: Contract, hashes: ColumnHashes | None = None) -> list[dict[str, Any]]:
    """Return one entry per column, in order: count, missing, distinct, and what suits its type."""
    hashes = hashes or ColumnHashes(rows, ())
    units = {field.name: field.unit for field in contract.fields}
    entries = []
    for name, kind in contract.kinds.items():
        open_to_all = name not in contract.pii
        if kind in ("string", "boolean"):
            entry = _categories(rows, name, open_to_all, hashes)
        else:
            entry = _numbers(rows, name, kind, open_to_all)
        unit = {"unit": units[name]} if units.get(name) else {}
        entries.append({"name": name, "type": kind, **unit, **entry} | ({} if open_to_all else {"masked": True}))
    return entries


def _numbers(rows: Rows, name: str, kind: str, open_to_all: bool) -> dict[str, Any]:
    found, missing = [], 0
    for chunk in rows.chunks([name]):
        column = chunk[name]
        missing += column.null_count()
        found.append(column.drop_nulls().to_physical().to_numpy())
    values = _joined(found)
    values.sort()
    count = len(values)
    distinct = int(np.count_nonzero(values[1:] != values[:-1])) + 1 if count else 0
    entry: dict[str, Any] = {"count": count + missing, "missing": missing, "distinct": distinct}
    if not count or not open_to_all:
        return entry
    quantiles = {f"{q:g}": _value(values[int(q * (count - 1))], kind) for q in QUANTILES}
    entry |= {"min": _value(values[0], kind), "max": _value(values[-1], kind), "quantiles": quantiles}
    if kind != "timestamp":
        # Sorted values are added in one order, whatever the order and the number of threads that read them.
        with np.errstate(over="ignore", invalid="ignore"):
            mean, std = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
        entry |= {"mean": _finite(mean), "std": _finite(std)}
    return entry


def _joined(found: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Return the arrays as one, and let go of each when it was copied."""
    if not found:
        return np.empty(0)
    whole = np.empty(sum(map(len, found)), dtype=found[0].dtype)
    end = len(whole)
    while found:
        part = found.pop()
        whole[end - len(part) : end] = part
        end -= len(part)
    return whole


def _value(value: Any, kind: str) -> Any:
    if kind == "timestamp":
        timestamp = pl.Series([int(value)]).cast(pl.Datetime("us", "UTC")).item()
        return format_time(timestamp)
    return int(value) if kind == "int64" else float(value)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _categories(rows: Rows, name: str, open_to_all: bool, hashes: ColumnHashes) -> dict[str, Any]:
    """Count values by their 64-bit hash: a column of ten million different texts does not fit into memory."""
    single, counted_hashes, counts, missing = [_NONE], [_NONE], [np.empty(0, dtype=np.int64)], 0
    for chunk in rows.chunks([name]):
        column = chunk[name].drop_nulls()
        missing += chunk.height - len(column)
        if _are_many(column):
            single.append(hashes.of(column))
        else:
            counted = column.value_counts(name="count")
            counted_hashes.append(hash_column(counted[name]))
            counts.append(counted["count"].to_numpy().astype(np.int64))
    distinct, totals = _totals(single, counted_hashes, counts)
    entry: dict[str, Any] = {
        "count": int(totals.sum()) + missing,
        "missing": missing,
        "distinct": len(distinct),
    }
    if open_to_all and len(distinct):
        entry["top"] = _named(rows, name, {int(distinct[i]): int(totals[i]) for i in _largest(totals)}, hashes)
    return entry


def _are_many(column: pl.Series) -> bool:
    """Return whether hashing every row is cheaper than counting equal ones first, by the first rows."""
    first = column.head(_FIRST)
    return first.n_unique() * 2 > len(first)


def _totals(single: list[UInt64], hashes: list[UInt64], counts: list[Counts]) -> tuple[UInt64, Counts]:
    """Return the distinct hashes in their order, and how many rows have each: of `single`, one a row."""
    rows = _joined(single)
    rows.sort()
    begins = np.flatnonzero(np.append(True, rows[1:] != rows[:-1])) if len(rows) else np.empty(0, dtype=np.int64)
    distinct, totals = rows[begins], np.diff(begins, append=len(rows))
    if len(hashes) == 1:
        return distinct, totals
    every, inverse = np.unique(np.concatenate([distinct, *hashes]), return_inverse=True)
    summed = np.zeros(len(every), dtype=np.int64)
    np.add.at(summed, inverse, np.concatenate([totals, *counts]))
    return every, summed


def _largest(totals: Counts) -> list[int]:
    """Return the places of the largest, at most TOP; of equal ones the first."""
    if len(totals) <= TOP:
        return list(range(len(totals)))
    least = np.partition(totals, -TOP)[-TOP]
    more = np.flatnonzero(totals > least)
    return [*more.tolist(), *np.flatnonzero(totals == least)[: TOP - len(more)].tolist()]


def _named(rows: Rows, name: str, wanted: dict[int, int], hashes: ColumnHashes) -> list[dict[str, Any]]:
    """Find the texts of the hashes wanted; stops reading when all are found."""
    named: dict[str, int] = {}
    keys = np.array(list(wanted), dtype=np.uint64)
    for chunk in rows.chunks([name]):
        column = chunk[name].drop_nulls()
        many = _are_many(column)
        values = column if many else column.unique()
        found = hashes.of(column) if many else hash_column(values)
        at = np.flatnonzero(np.isin(found, keys))
        for i in at[np.unique(found[at], return_index=True)[1]].tolist():
            named[_text(values[i])] = wanted[int(found[i])]
        if len(named) == len(wanted):
            break
    return [{"value": value, "count": count} for value, count in sorted(named.items(), key=lambda e: (-e[1], e[0]))]


def _text(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
