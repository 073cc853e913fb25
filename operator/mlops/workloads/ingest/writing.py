"""The folder of one version: Parquet per part, quarantine, schema.json and profile.json, the same bits every time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from polars.io.plugins import register_io_source

from mlops.api.dataset import DatasetSpec
from mlops.workloads.floor.column_types import DTYPES
from mlops.workloads.floor.model.learnt import LearntStep
from mlops.workloads.ingest.aside import Rejected
from mlops.workloads.ingest.contract import Contract
from mlops.workloads.ingest.digest import PARTS, ContentDigest, columns_of
from mlops.workloads.ingest.rows import Rows
from mlops.workloads.ingest.validation import BROKEN

_REJECTED: dict[str, pl.DataType] = {
    "file": pl.String(),
    "row": pl.Int64(),
    "line": pl.Int64(),
    "problem": pl.String(),
    "text": pl.String(),
}
ROW_GROUP = 131_072  # rows of a Parquet row group: fixed, so that chunks and threads do not show in the file


def write_parts(
    rows: Rows, parts: npt.NDArray[np.uint8], contract: Contract, folder: Path, clean: tuple[LearntStep, ...] = ()
) -> str:
    """Write train, validation and test, and return the digest of what was written, and of what a model does first."""
    content = ContentDigest(columns_of(contract), [step.dump() for step in clean])
    schema = {name: DTYPES[kind] for name, kind in contract.kinds.items()}
    for number, name in enumerate(PARTS):
        digest = content.part()

        def chosen(number: int = number, digest: Any = digest) -> Iterator[pl.DataFrame]:
            start = 0
            for chunk in rows.chunks():
                for rows_of_it in chunk.select(list(schema)).iter_slices(ROW_GROUP):
                    mask = parts[start : start + rows_of_it.height] == number
                    start += rows_of_it.height
                    if mask.any():
                        part = rows_of_it if mask.all() else rows_of_it.filter(pl.Series(mask))
                        digest.update(part)
                        yield part

        write_parquet(chosen(), schema, folder / f"{name}.parquet")
        content.add(digest)
    return content.result()


def write_quarantine(rows: Rows, contract: Contract, folder: Path) -> None:
    """Write the rows put aside, with the rules that each broke."""
    schema = {name: DTYPES[kind] for name, kind in contract.kinds.items()} | {BROKEN: pl.String()}
    write_parquet((chunk.select(list(schema)) for chunk in rows.chunks()), schema, folder / "quarantine.parquet")


def write_rejected(rejected: Sequence[Rejected], folder: Path) -> None:
    """Write the rows that a reader put aside, with file, row, line, problem and their text."""
    frame = pl.DataFrame([asdict(one) for one in rejected], schema=_REJECTED)
    write_parquet(iter([frame]), dict(_REJECTED), folder / "rejected.parquet")


def write_parquet(chunks: Iterator[pl.DataFrame], schema: dict[str, pl.DataType], path: Path) -> None:
    """Write chunks of any size into one file, never holding more than a few row groups."""

    def source(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        sent = False
        for chunk in chunks:
            sent = True
            yield chunk
        if not sent:
            yield pl.DataFrame(schema=schema)

    frame = register_io_source(source, schema=pl.Schema(schema))
    frame.sink_parquet(path, row_group_size=ROW_GROUP, compression="zstd", maintain_order=True)


def write_json(value: Any, path: Path) -> None:
    """Write JSON with sorted keys, for people too."""
    path.write_text(json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def schema_document(spec: DatasetSpec, contract: Contract, clean: tuple[LearntStep, ...] = ()) -> dict[str, Any]:
    """Return schema.json: what training and serving need to know of the columns."""
    keys = ("name", "type", "role", "nullable", "min", "max", "enum", "unit", "positiveClass")
    fields = [{key: value for key, value in field.dump().items() if key in keys} for field in contract.fields]
    entity = contract.entity_keys
    return {
        "formatVersion": 1,
        "fields": fields,
        "features": [
            {"name": one.name, "expression": one.expression, "type": contract.features[one.name]}
            for one in spec.features
        ],
        "split": spec.split.dump(),
        "label": contract.label,
        "timestamp": contract.timestamp,
        "entityKey": entity[0] if entity else None,
        "pii": sorted(contract.pii),
        **({"clean": [step.dump() for step in clean]} if clean else {}),
        # Only where they are declared: other Datasets keep the bytes that they have.
        **({"piiInModels": sorted(contract.pii_in_models)} if contract.pii_in_models else {}),
        **({"piiInCaptures": sorted(contract.pii_in_captures)} if contract.pii_in_captures else {}),
    }
