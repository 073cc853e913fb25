"""Which row belongs to train, validation and test: decided by content and seed alone."""

from __future__ import annotations

from collections.abc import Callable, Collection
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from mlops.api.dataset import Split
from mlops.workloads.ingest.rows import Rows

UInt64 = npt.NDArray[np.uint64]
# Knuth's multiplier of the 64-bit linear congruential generator MMIX: odd, so no byte of a text is lost.
_MULTIPLIER = np.uint64(6364136223846793005)
# Rows whose letters become 64-bit numbers at a time; letters of texts of one length that are added place by place.
_HASHED_ROWS, _SHORT = 1 << 16, 64
_MIXED_ROWS = 1 << 20


def parts_of(rows: Rows, total: int, split: Split, entity_keys: list[str]) -> npt.NDArray[np.uint8]:
    """Return 0 (train), 1 (validation) or 2 (test) for each of the `total` rows, which are in canonical order.

    time and random give parts of exact size, rounded down to rows; hash keeps every row of an entity together, so its
    sizes are near the fractions.
    """
    train, validation = Fraction(split.fractions.train), Fraction(split.fractions.validation)
    if split.strategy == "hash":
        places = np.concatenate([_entity_places(chunk, entity_keys, split.seed) for chunk in rows.chunks(entity_keys)])
        cuts = [_threshold(train), _threshold(train + validation)]
        return _parts(places, cuts)
    # The oldest rows train even if a fraction of very few rows is less than one row.
    first, second = max(1, int(train * total)), int((train + validation) * total)
    if split.strategy == "time":
        return _parts(np.arange(total, dtype=np.uint64), [first, max(first, second)])
    places = _scattered(total, split.seed)
    within = [cut for cut in (first, max(first, second)) if cut < total]
    ordered = np.partition(places, within) if within else places
    return _parts(places, [int(ordered[cut]) if cut < total else 2**64 for cut in (first, max(first, second))])


def _scattered(total: int, seed: int) -> UInt64:
    """Return a number for each row, all different, as if drawn at random; computed some at a time."""
    places, offset = np.empty(total, dtype=np.uint64), mix(np.array([seed], dtype=np.uint64))
    for start in range(0, total, _MIXED_ROWS):
        some = np.arange(start, min(total, start + _MIXED_ROWS), dtype=np.uint64)
        places[start : start + len(some)] = mix(some + offset)
    return places


class ColumnHashes:
    """Hashes of columns, those of entity keys made once if all rows are in one frame: eight bytes a row then."""

    def __init__(self, rows: Rows, entity_keys: Collection[str]) -> None:
        self._kept = frozenset(entity_keys) if rows.in_memory and len(rows.sources) == 1 else frozenset()
        self._made: dict[str, UInt64] = {}

    def of(self, column: pl.Series) -> UInt64:
        """Return `hash_column` of a column of these rows, whole or without its missing values."""
        if column.name not in self._kept or column.null_count():
            return hash_column(column)
        made = self._made.get(column.name)
        # Of another length: where some values are missing, those that are not.
        if made is None or len(made) != len(column):
            made = self._made[column.name] = hash_column(column)
        return made


def known_entities(
    rows: Rows,
    parts: npt.NDArray[np.uint8],
    split: Split,
    entity_keys: list[str],
    hashes: ColumnHashes | None = None,
) -> int | None:
    """Return how many held-out rows are of entities that train has rows of, too; None where a split does not deal so.

    `hash` keeps entities together, and `time` asks about the future of entities that are known.
    """
    if split.strategy != "random" or not entity_keys:
        return None
    hash_of = hashes.of if hashes else None
    places = np.concatenate([_entity_places(chunk, entity_keys, 0, hash_of) for chunk in rows.chunks(entity_keys)])
    train, held_out = np.sort(places[parts == 0]), np.sort(places[parts > 0])
    if not len(train):
        return 0
    # Both in order: looked up one after the other, neighbours are near in memory.
    found = np.minimum(np.searchsorted(train, held_out), len(train) - 1)
    return int((train[found] == held_out).sum())


def mix(values: UInt64) -> UInt64:
    """Return the finaliser of splitmix64 (Steele, Lea and Flood, 2014): a bijection that scatters its input."""
    with np.errstate(over="ignore"):
        mixed = values + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(mixed ^ (mixed >> np.uint64(31)), dtype=np.uint64)


def hash_column(column: pl.Series) -> UInt64:
    """Return 64 bits per value that depend on nothing but the value; a missing one gives 0."""
    if column.dtype != pl.String:
        missing = column.is_null().to_numpy()
        bits = (
            np.ascontiguousarray(column.to_physical().cast(pl.UInt8, strict=False).fill_null(0).to_numpy())
            if (column.dtype == pl.Boolean)
            else np.ascontiguousarray(column.to_physical().fill_null(0).to_numpy()).view(np.uint64)
        )
        hashed = mix(bits.astype(np.uint64))
        return np.where(missing, np.uint64(0), hashed)
    return _hash_text(column)


def _hash_text(column: pl.Series) -> UInt64:
    """A polynomial in the bytes, modulo 2**64, mixed with the length."""
    texts = column.fill_null("")
    parts = [_polynomial(texts.slice(start, _HASHED_ROWS)) for start in range(0, len(texts), _HASHED_ROWS)]
    hashed = np.concatenate(parts) if parts else np.empty(0, dtype=np.uint64)
    return hashed if not column.null_count() else np.where(column.is_null().to_numpy(), np.uint64(0), hashed)


def _polynomial(column: pl.Series) -> UInt64:
    lengths = column.str.len_bytes().to_numpy().astype(np.int64)
    text = np.frombuffer((column.str.join("").item() or "").encode(), dtype=np.uint8)
    hashed = np.zeros(len(lengths), dtype=np.uint64)
    longest = int(lengths.max(initial=0))
    with np.errstate(over="ignore"):
        powers = np.cumprod(np.full(longest, _MULTIPLIER, dtype=np.uint64))
        if longest and longest <= _SHORT and lengths.min() == longest:
            # Ids are of one length as a rule.
            for letters, power in zip(text.reshape(-1, longest).T, powers, strict=True):
                hashed += (letters.astype(np.uint64) + np.uint64(1)) * power
        elif longest:
            filled = np.flatnonzero(lengths)
            starts = (np.cumsum(lengths) - lengths)[filled]
            place = np.arange(len(text)) - np.repeat(starts, lengths[filled])
            hashed[filled] = np.add.reduceat((text.astype(np.uint64) + np.uint64(1)) * powers[place], starts)
        return mix(hashed ^ mix(lengths.astype(np.uint64)))


def _entity_places(
    chunk: pl.DataFrame,
    entity_keys: list[str],
    seed: int,
    hash_of: Callable[[pl.Series], UInt64] | None = None,
) -> UInt64:
    # One number for all rows, until the first key tells them apart.
    places = np.full(1, seed, dtype=np.uint64)
    for name in entity_keys:
        places = mix(mix(places) ^ (hash_of or hash_column)(chunk[name]))
    return places if entity_keys else np.full(chunk.height, seed, dtype=np.uint64)


def _threshold(fraction: Fraction) -> int:
    return int(fraction * 2**64)


def _parts(places: UInt64, cuts: list[int]) -> npt.NDArray[np.uint8]:
    parts = np.zeros(len(places), dtype=np.uint8)
    for cut in cuts:
        if cut < 2**64:
            parts += places >= np.uint64(cut)
    return parts


def sizes(parts: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """Return the rows of each part by name."""
    counted = np.bincount(parts, minlength=3)
    return {"train": int(counted[0]), "validation": int(counted[1]), "test": int(counted[2])}
