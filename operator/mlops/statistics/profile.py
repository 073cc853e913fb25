"""What a column looked like at training time: one pass, bounded memory, stored beside the model as JSON.

Chunks may be of any size: the profile has the same bits. Only the seeded sample depends on the order of rows, by their
number in the dataset.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlops.statistics.arrays import FloatArray, without_missing
from mlops.statistics.exact_moments import ExactMoments
from mlops.statistics.reference import SortedReference

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


@dataclass(frozen=True, eq=False)
class NumericProfile:
    """Of the present values: extremes, mean and deviation (divided by n) of all rows, quantiles of `reference`.

    `reference` holds all present values when `sampled` is false, else a seeded sample of them. `distinct` is exact when
    `distinct_exact`, else a lower bound. A column without present values has None for what is undefined.
    """

    count: int
    missing: int
    distinct: int
    distinct_exact: bool
    minimum: float | None
    maximum: float | None
    mean: float | None
    std: float | None
    quantiles: Mapping[str, float]
    sampled: bool
    reference: SortedReference | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        fields = {name: getattr(self, name) for name in _NUMERIC_FIELDS}
        reference = None if self.reference is None else self.reference.to_dict()
        return {"kind": "numeric", **fields, "quantiles": dict(self.quantiles), "reference": reference}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> NumericProfile:
        """The inverse of `to_dict`."""
        stored = document["reference"]
        return cls(
            **{name: document[name] for name in _NUMERIC_FIELDS},
            quantiles=dict(document["quantiles"]),
            reference=None if stored is None else SortedReference.from_dict(stored),
        )


_NUMERIC_FIELDS = (
    "count",
    "missing",
    "distinct",
    "distinct_exact",
    "minimum",
    "maximum",
    "mean",
    "std",
    "sampled",
)


@dataclass(frozen=True)
class CategoricalProfile:
    """Rows per category, most frequent first. With more categories than the bound, `categories` is None: an identifier.

    `distinct` is exact unless `categories` is None, when it is a lower bound.
    """

    count: int
    missing: int
    distinct: int
    categories: Mapping[str, int] | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        categories = None if self.categories is None else dict(self.categories)
        return {
            "kind": "categorical",
            "count": self.count,
            "missing": self.missing,
            "distinct": self.distinct,
            "categories": categories,
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> CategoricalProfile:
        """The inverse of `to_dict`."""
        stored = document["categories"]
        categories = None if stored is None else {str(name): int(rows) for name, rows in stored.items()}
        return cls(int(document["count"]), int(document["missing"]), int(document["distinct"]), categories)


class NumericProfiler:
    """Builds a NumericProfile chunk by chunk in O(max_sample + max_distinct + chunk) memory."""

    def __init__(
        self,
        *,
        max_sample: int = 50_000,
        max_distinct: int = 1_000,
        bins: int = 10,
        seed: int = 0,
        name: str = "column",
    ) -> None:
        if max_sample < 1 or max_distinct < 1:
            raise ValueError(f"max_sample: is {max_sample}, max_distinct: is {max_distinct}; expected at least 1")
        self._max_sample, self._max_distinct, self._bins = max_sample, max_distinct, bins
        self._seed, self._name = seed, name
        self._rows = self._missing = 0
        self._moments = ExactMoments()
        self._minimum, self._maximum = math.inf, -math.inf
        self._distinct: FloatArray = np.empty(0)
        self._sample: FloatArray = np.empty(0)
        self._keys: NDArray[np.uint64] = np.empty(0, dtype=np.uint64)

    def add(self, values: ArrayLike) -> None:
        """Take the next rows (n,), NaN for missing. Raises ValueError on infinity, naming the column."""
        column = np.asarray(values)
        present, missing = without_missing(column, self._name)
        keys = _row_keys(self._rows, column.shape[0], self._seed)
        if missing:
            keys = keys[~np.isnan(column)]
        self._rows += column.shape[0]
        self._missing += missing
        if present.shape[0] == 0:
            return
        self._moments.add(present)
        self._minimum = min(self._minimum, float(present.min()))
        self._maximum = max(self._maximum, float(present.max()))
        if self._distinct.shape[0] <= self._max_distinct:
            self._distinct = np.unique(np.concatenate((self._distinct, present)))[: self._max_distinct + 1]
        self._keep(present, keys)

    def profile(self) -> NumericProfile:
        """The profile of all rows so far."""
        present = self._moments.count
        reference = None
        quantiles: dict[str, float] = {}
        if present:
            complete = SortedReference.from_values(self._sample, bins=self._bins, name=self._name)
            reference = replace(complete, missing=self._missing_in_proportion())
            cuts = np.quantile(reference.values, QUANTILES)
            quantiles = {str(q): float(cut) for q, cut in zip(QUANTILES, cuts, strict=True)}
        return NumericProfile(
            count=self._rows,
            missing=self._missing,
            distinct=min(self._distinct.shape[0], self._max_distinct),
            distinct_exact=self._distinct.shape[0] <= self._max_distinct,
            minimum=self._minimum if present else None,
            maximum=self._maximum if present else None,
            mean=self._moments.mean if present else None,
            std=self._moments.std if present else None,
            quantiles=quantiles,
            sampled=present > self._max_sample,
            reference=reference,
        )

    def _keep(self, present: FloatArray, keys: NDArray[np.uint64]) -> None:
        """Keep the values of the `max_sample` rows with the smallest keys."""
        values, keys = np.concatenate((self._sample, present)), np.concatenate((self._keys, keys))
        if keys.shape[0] > self._max_sample:
            kept = np.argpartition(keys, self._max_sample - 1)[: self._max_sample]
            values, keys = values[kept], keys[kept]
        self._sample, self._keys = values, keys

    def _missing_in_proportion(self) -> int:
        """Missing rows that belong to the sample, so that its share of missing rows is that of the column."""
        present = self._moments.count
        return round(self._missing * len(self._sample) / present)


class CategoricalProfiler:
    """Builds a CategoricalProfile from counts per chunk; past `max_categories` it stops counting names."""

    def __init__(self, *, max_categories: int = 10_000) -> None:
        if max_categories < 1:
            raise ValueError(f"max_categories: is {max_categories}, expected at least 1")
        self._max_categories = max_categories
        self._rows = self._missing = 0
        self._counts: dict[str, int] | None = {}

    def add(self, counts: Mapping[str, int], missing: int = 0) -> None:
        """Take the next rows as counts per category and a count of missing ones."""
        self._rows += sum(counts.values()) + missing
        self._missing += missing
        if self._counts is None:
            return
        for name, rows in counts.items():
            self._counts[name] = self._counts.get(name, 0) + rows
        if len(self._counts) > self._max_categories:
            self._counts = None

    def profile(self) -> CategoricalProfile:
        """The profile of all rows so far."""
        if self._counts is None:
            return CategoricalProfile(self._rows, self._missing, self._max_categories + 1, None)
        ranked = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))
        return CategoricalProfile(self._rows, self._missing, len(ranked), dict(ranked))


def _row_keys(first: int, rows: int, seed: int) -> NDArray[np.uint64]:
    """A pseudo-random key per row number, all different (SplitMix64, Steele et al. 2014)."""
    start = (seed * 0xD1342543DE82EF95) & 0xFFFFFFFFFFFFFFFF
    z = np.arange(first + 1, first + rows + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(start)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))
