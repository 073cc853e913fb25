"""JSON: one object per line, or a document with an array of objects. A key that is not there is missing, as is null."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate, chain
from pathlib import Path
from typing import Final

import polars as pl

from mlops.workloads.ingest.contract import Contract
from mlops.workloads.ingest.json_document import records
from mlops.workloads.ingest.json_records import JsonRecords, keys_of
from mlops.workloads.ingest.text import blocks, format_error, open_text

_ROWS: Final = 8192
_BYTES: Final = 16 << 20


def read_jsonl(path: Path, name: str, contract: Contract) -> Iterator[pl.DataFrame]:
    """Yield the contract's columns in the order of the lines. Raises BadInput with row and column."""
    yield from _rows(_batches(_lines(path, name)), name, contract)


def read_json(path: Path, name: str, contract: Contract, at: str | None = None) -> Iterator[pl.DataFrame]:
    """Yield the contract's columns of the objects in the document's array, or in the array at a path."""
    texts = records(open_text(path, name), name, at)
    yield from _rows(_batches([text] for text in texts), name, contract)


def json_columns(path: Path, name: str, at: str | None, *, lines: bool) -> list[str]:
    """Return the keys of the objects, all of them: one that only the last one has is a column as well."""
    texts = chain.from_iterable(_lines(path, name)) if lines else records(open_text(path, name), name, at)
    return keys_of(texts)


def _lines(path: Path, name: str) -> Iterator[list[bytes]]:
    """Yield the lines that are not blank, some at a time."""
    first = True
    for block in blocks(open_text(path, name), name):
        lines = list(filter(bytes.strip, block.split(b"\n")))
        if first and lines and _begins_document(lines[0].strip()):
            raise format_error(name, "this is a JSON document: set spec.format to json")
        first = first and not lines
        yield lines


def _begins_document(line: bytes) -> bool:
    """Return whether a first line begins an array of objects, or the object around one: a list of values is neither."""
    return line in (b"{", b"}") or (line.startswith(b"[") and line[1:].lstrip()[:1] in (b"", b"{"))


def _batches(texts: Iterator[list[bytes]]) -> Iterator[list[bytes]]:
    """Yield the texts in batches of so many, or of so many bytes, however they come."""
    batch: list[bytes] = []
    size = 0
    for some in texts:
        while some:
            taken = some[: _ROWS - len(batch)]
            more = sum(map(len, taken))
            if size + more >= _BYTES:
                taken, more = _until(taken, _BYTES - size)
            batch += taken
            size += more
            some = some[len(taken) :]
            if len(batch) >= _ROWS or size >= _BYTES:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch


def _until(texts: list[bytes], least: int) -> tuple[list[bytes], int]:
    """Return the fewest of the first texts that have so many bytes, and how many they have."""
    sizes = list(accumulate(map(len, texts)))
    count = bisect_left(sizes, least) + 1
    return texts[:count], sizes[count - 1]


def _rows(batches: Iterator[list[bytes]], name: str, contract: Contract) -> Iterator[pl.DataFrame]:
    found = JsonRecords(name, contract)
    for batch in batches:
        yield found.read(batch)
    if not found.rows:
        raise format_error(name, "the file is empty: it has no object")
    found.finish()
