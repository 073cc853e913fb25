"""The digest of a data set's logical content, format "mlops-dataset-v1".

It covers what the rows say, not how they are stored: it does not depend on chunks, compression, threads, the format of
the delivery, the order of its files, or the version of a library. It can be computed again from an artifact's files:
schema.json gives the columns, and each part's Parquet file has its rows in the order that was hashed.

    digest = sha256 of, one after another:
        the 17 bytes "mlops-dataset-v1\\n"
        the length of the schema as u64, and the schema: canonical JSON (sorted keys, no spaces, UTF-8) of
            {"columns": [{"name", "nullable", "role", "type"}, ...]}: fields in the contract's order (with
            "positiveClass" where it is declared), then features (role "feature", nullable true); and "clean", the steps
            of cleaning as schema.json has them, but for the shares of what was missing, if a model is to do them to
            requests: the same rows with another constant for what is missing make another model; and, where there are
            any, "pii", "piiInModels" and "piiInCaptures" as schema.json has them: profile, models and captures of the
            same rows hold other values
        for each of train, validation, test: the number of its rows as u64, then for each column two or three sha256:
            of the validity: one byte per row, 1 if there is a value
            of the values: float64 as IEEE 754, int64 and timestamp (microseconds since 1970, UTC) as i64, boolean as
                one byte; string: the length in bytes as u32; where no value is, zeros
            strings only: of all UTF-8 bytes of the column
    All numbers are little-endian. Minus zero is zero, NaN is missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from mlops.api.digests import canonical_json, digest_of
from mlops.workloads.ingest.contract import Contract

TAG = b"mlops-dataset-v1\n"
PARTS = ("train", "validation", "test")


def columns_of(contract: Contract) -> list[dict[str, Any]]:
    """Return the columns as they enter the digest."""
    fields: list[dict[str, Any]] = [
        {"name": field.name, "type": field.type, "role": field.role, "nullable": field.nullable}
        # Only where it is declared: it changes what a metric means, and so what runs come to.
        | ({"positiveClass": field.positive_class} if field.positive_class is not None else {})
        for field in contract.fields
    ]
    features = [
        {"name": name, "type": kind, "role": "feature", "nullable": True} for name, kind in contract.features.items()
    ]
    return fields + features


def personal_of(contract: Contract) -> dict[str, frozenset[str]]:
    """Return which columns are personal, and where they may stand, as they enter the digest and schema.json."""
    return {
        "pii": contract.pii,
        "piiInModels": contract.pii_in_models,
        "piiInCaptures": contract.pii_in_captures,
    }


def schema_digest(columns: list[dict[str, Any]]) -> str:
    """Return `sha256:…` of the columns' names, types and roles."""
    return digest_of({"columns": columns})


class ContentDigest:
    """Takes the rows of each part in turn, in chunks of any size."""

    def __init__(
        self,
        columns: list[dict[str, Any]],
        clean: list[dict[str, Any]] | None = None,
        personal: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        marks = {name: sorted(marked) for name, marked in (personal or {}).items() if marked}
        schema = canonical_json({"columns": columns} | ({"clean": clean} if clean else {}) | marks)
        self._names = [(str(column["name"]), str(column["type"])) for column in columns]
        self._whole = hashlib.sha256(TAG + len(schema).to_bytes(8, "little") + schema)

    def part(self) -> PartDigest:
        """Begin a part."""
        return PartDigest(self._names)

    def add(self, part: PartDigest) -> None:
        """Take in a finished part."""
        self._whole.update(part.rows.to_bytes(8, "little"))
        for hashes in part.hashes:
            for one in hashes:
                self._whole.update(one.digest())

    def result(self) -> str:
        """Return `sha256:…`."""
        return "sha256:" + self._whole.hexdigest()


class PartDigest:
    """The hashes of the columns of one part."""

    def __init__(self, names: list[tuple[str, str]]) -> None:
        self._names = names
        self.rows = 0
        self.hashes = [[hashlib.sha256() for _ in range(3 if kind == "string" else 2)] for _, kind in names]

    def update(self, chunk: pl.DataFrame) -> None:
        """Take in further rows."""
        self.rows += chunk.height
        for (name, kind), hashes in zip(self._names, self.hashes, strict=True):
            column = chunk[name]
            hashes[0].update(_validity(column))
            if kind == "string":
                hashes[1].update(_values(column.str.len_bytes(), "<u4"))
                hashes[2].update((column.str.join("").item() or "").encode())
            elif kind == "boolean":
                hashes[1].update(_values(column.cast(pl.UInt8), "u1"))
            else:
                hashes[1].update(_values(column.to_physical(), "<f8" if kind == "float64" else "<i8"))


def _validity(column: pl.Series) -> memoryview | bytes:
    if not column.null_count():
        return b"\1" * len(column)
    return _bytes(column.is_not_null().cast(pl.UInt8).to_numpy())


def _values(column: pl.Series, dtype: str) -> memoryview:
    filled = column.fill_null(0) if column.null_count() else column
    return _bytes(np.ascontiguousarray(filled.to_numpy(), dtype=dtype))


def _bytes(values: npt.NDArray[Any]) -> memoryview:
    """Return an array's memory as it lies, without a copy."""
    return values.data.cast("B") if len(values) else memoryview(b"")
