"""JSON: one object per line, or a document with an array of objects. A key that is not there is missing, as is null."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import polars as pl

from mlops.workloads.ingest.contract import Contract
from mlops.workloads.ingest.json_document import records
from mlops.workloads.ingest.json_records import JsonRecords, keys_of
from mlops.workloads.ingest.text import blocks, format_error, open_text

_ROWS: Final = 8192
_BYTES: Final = 16 << 20
_FIRST: Final = 1000


def read_jsonl(path: Path, name: str, contract: Contract) -> Iterator[pl.DataFrame]:
    """Yield the contract's columns in the order of the lines. Raises BadInput with row and column."""
    yield from _rows(_lines(path, name), name, contract)


def read_json(path: Path, name: str, contract: Contract, at: str | None = None) -> Iterator[pl.DataFrame]:
    """Yield the contract's columns of the objects in the document's array, or in the array at a path."""
    yield from _rows(records(open_text(path, name), name, at), name, contract)


def json_columns(path: Path, name: str, at: str | None, *, lines: bool) -> list[str]:
    """Return the keys of the first objects."""
    texts = _lines(path, name) if lines else records(open_text(path, name), name, at)
    return keys_of(islice(texts, _FIRST))


def _lines(path: Path, name: str) -> Iterator[bytes]:
    first = True
    for block in blocks(open_text(path, name), name):
        for line in block.split(b"\n"):
            if text := line.strip():
                if first and _begins_document(text):
                    raise format_error(name, "this is a JSON document: set spec.format to json")
                first = False
                yield line


def _begins_document(line: bytes) -> bool:
    """Return whether a first line begins an array of objects, or the object around one: a list of values is neither."""
    return line in (b"{", b"}") or (line.startswith(b"[") and line[1:].lstrip()[:1] in (b"", b"{"))


def _rows(texts: Iterator[bytes], name: str, contract: Contract) -> Iterator[pl.DataFrame]:
    found = JsonRecords(name, contract)
    batch: list[bytes] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if len(batch) >= _ROWS or size >= _BYTES:
            yield found.read(batch)
            batch, size = [], 0
    if batch:
        yield found.read(batch)
    if not found.rows:
        raise format_error(name, "the file is empty: it has no object")
    found.finish()
