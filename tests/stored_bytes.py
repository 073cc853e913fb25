"""Every byte that a run of the product leaves behind, as whoever opens the files would read it."""

from __future__ import annotations

import gzip
import io
import re
import sqlite3
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl

_ESCAPED = re.compile(rb"\\u([0-9a-fA-F]{4})")


def found_in(folder: Path, marks: Iterable[str], *, but: Iterable[Path] = ()) -> dict[str, list[str]]:
    """Return the files below `folder` that hold one of the texts, with the texts; files in `but` may hold them."""
    allowed = set(but)
    wanted = [(mark, mark.encode()) for mark in marks]
    held: dict[str, list[str]] = {}
    for path in sorted(one for one in folder.rglob("*") if one.is_file() and not one.is_symlink()):
        if path in allowed or not path.stat().st_size:
            continue
        readings = [*read_as(path.read_bytes()), str(path.relative_to(folder)).encode()]
        if texts := [mark for mark, raw in wanted if any(raw in reading for reading in readings)]:
            held[path.relative_to(folder).as_posix()] = texts
    return held


def read_as(content: bytes) -> Iterator[bytes]:
    """Yield the bytes as they are, and what they are when they are unpacked: gzip, zip, Parquet, SQLite."""
    yield content
    # JSON may write any character as \\uXXXX.
    if b"\\u" in content:
        yield _ESCAPED.sub(lambda found: chr(int(found[1], 16)).encode("utf-8", "surrogatepass"), content)
    if content.startswith(b"\x1f\x8b"):
        yield from read_as(gzip.decompress(content))
    elif content.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield name.encode()
                yield from read_as(archive.read(name))
    elif content.startswith(b"PAR1"):
        frame = pl.read_parquet(io.BytesIO(content))
        yield "\0".join(frame.columns).encode()
        for column in frame.get_columns():
            yield "\0".join(column.cast(pl.String, strict=False).fill_null("").to_list()).encode()
    elif content.startswith(b"SQLite format 3\0"):
        base = sqlite3.connect(":memory:")
        # Bytes 18 and 19 say that there is a write-ahead log beside the file, which is read as a file of its own.
        base.deserialize(content[:18] + b"\x01\x01" + content[20:])
        for (table,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in base.execute(f'SELECT * FROM "{table}"'):
                yield "\0".join(str(value) for value in row).encode()
        base.close()
