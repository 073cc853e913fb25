"""Rows that are objects: of JSON, and of a sheet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from mlops.cli.errors import UserError
from mlops.cli.init.delivery import Delivery
from mlops.workloads.floor.workbook import sheet_rows
from mlops.workloads.ingest.excel import header_of
from mlops.workloads.ingest.json_document import records
from mlops.workloads.ingest.text import blocks, open_text


def objects(path: Path, delivery: Delivery) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file of JSON or Excel, nested values by their path. Raises UserError, or BadInput."""
    if delivery.format == "excel":
        names = header_of(path, path.name, delivery.excel)
        rows = sheet_rows(path, path.name, delivery.excel)
        next(rows, None)
        for row in rows:
            yield {name: cell for name, cell in zip(names, row.cells, strict=False) if name}
        return
    at = delivery.json_.records if delivery.json_ else None
    pieces = open_text(path, path.name)
    texts = _lines(pieces, path.name) if delivery.format == "jsonl" else records(pieces, path.name, at)
    for number, text in enumerate(texts, 1):
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise UserError(f"{path.name}: row {number} is no JSON: {error}") from error
        if not isinstance(value, dict):
            raise UserError(f"{path.name}: row {number} is no JSON object: a row is one")
        yield dict(_leaves(value, ""))


def _leaves(value: dict[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        at = f"{path}.{key}" if path else key
        if isinstance(inner, dict) and inner:
            yield from _leaves(inner, at)
        else:
            yield at, inner


def _lines(pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    for block in blocks(pieces, name):
        yield from (line for line in block.split(b"\n") if line.strip())
