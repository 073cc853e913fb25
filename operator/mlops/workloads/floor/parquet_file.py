"""Parquet files: what their footer and page headers declare, judged before a native reader allocates it.

A page of a few bytes may declare a billion equal values, and a reader makes them. The footer and the headers are small
and in a simple notation (Thrift's compact protocol); the pages themselves are not looked into.
"""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any, BinaryIO, Final

from mlops.workloads.floor.isolation import limits

MAGIC: Final = b"PAR1"
SMALLEST: Final = 12  # two magics and a length
# As of text: what grows to more than this, and to more than so many times its size, is looked at again. Ordinary tables
# do too (flags, one text in each row), and a reader has a row group or two in memory at a time.
MAX_RATIO: Final = 250
FREE_OF_RATIO: Final = 256 << 20
MAX_GROUPS_BYTES: Final = 8 << 30
_GROUPS_AT_ONCE: Final = 2
MAX_FOOTER_BYTES: Final = 256 << 20
_MAX_HEADER_BYTES: Final = 4 << 20
_HEADER_BYTES: Final = 4096
_MAX_DEPTH: Final = 16
_MAX_VALUES: Final = 1 << 23
# Bytes of a decoded value by physical type: boolean, int32, int64, int96, float, double, text; of fixed length.
_WIDTHS: Final[dict[int | None, int]] = {0: 1, 1: 4, 2: 8, 3: 12, 4: 4, 5: 8, 6: 16}
_FIXED: Final = 7
_DATA, _INDEX, _DICTIONARY, _DATA_V2 = 0, 1, 2, 3
_REPEATED: Final = 2


class ParquetError(ValueError):
    """A file that is not read; the text says what is wrong with it."""


def check_parquet(source: Path | bytes, *, is_ours: bool = False) -> None:
    """Raise ParquetError for a file that is cut off, contradicts itself, or grows to more than it may.

    What is ours (written by an ingest, and checked by its digest) may grow to what it grew from.
    """
    if isinstance(source, bytes):
        _File(io.BytesIO(source), len(source), is_ours).check()
        return
    with source.open("rb") as stream:
        _File(stream, source.stat().st_size, is_ours).check()


def key_values(path: Path) -> tuple[int, bytes, dict[bytes, bytes]]:
    """Return where a file's footer begins, the footer, and what writers put beside the schema. Raises ParquetError."""
    with path.open("rb") as stream:
        file = _File(stream, path.stat().st_size, is_ours=False)
        place, footer = file.footer()
    pairs = _Thrift(footer).struct().get(5, [])
    pairs = [one for one in pairs if isinstance(one, dict)] if isinstance(pairs, list) else []
    texts = [(one.get(1), one.get(2)) for one in pairs]
    return place, footer, {key: value for key, value in texts if isinstance(key, bytes) and isinstance(value, bytes)}


class _File:
    def __init__(self, stream: BinaryIO, size: int, is_ours: bool) -> None:
        self._stream, self._size = stream, size
        self._decoded, self._of_group = 0, 0
        self._memory: float = math.inf if is_ours else limits.memory_left(MAX_GROUPS_BYTES)

    def check(self) -> None:
        footer = _Thrift(self.footer()[1]).struct()
        schema, groups = footer.get(2), footer.get(4, [])
        rows = _count(footer, 3, "the number of rows")
        if not isinstance(schema, list) or not isinstance(groups, list) or len(schema) < 2:
            raise ParquetError("its footer has no columns")
        if sum(_count(group, 3, "a row group's number of rows") for group in groups) != rows:
            raise ParquetError("its row groups have not the rows that its footer says")
        leaves = [one for one in schema[1:] if isinstance(one, dict) and not one.get(5)]
        flat = len(leaves) == len(schema) - 1
        for group in groups:
            columns = group.get(1)
            if not isinstance(columns, list) or len(columns) != len(leaves):
                raise ParquetError("a row group has not the columns that its schema says")
            self._of_group = 0
            for column, leaf in zip(columns, leaves, strict=True):
                want = group[3] if flat and leaf.get(3) != _REPEATED else None
                self._column(_part(column, 3, "a column's description"), leaf, want)

    def footer(self) -> tuple[int, bytes]:
        """Return where the footer begins, and its bytes."""
        head, tail = self._at(0, 4), self._at(max(0, self._size - 8), 8)
        if self._size < SMALLEST or head != MAGIC or tail[4:] != MAGIC:
            raise ParquetError("it is no Parquet file, or is cut off")
        length = int.from_bytes(tail[:4], "little")
        if not 1 <= length <= min(MAX_FOOTER_BYTES, self._size - SMALLEST):
            raise ParquetError(f"its footer has {length} bytes")
        place = self._size - 8 - length
        return place, self._at(place, length)

    def _column(self, meta: dict[int, Any], leaf: dict[int, Any], rows: int | None) -> None:
        """Walk one column's pages: they lie in the file, and hold the values that the footer says."""
        values = _count(meta, 5, "a column's number of values")
        if rows is not None and values != rows:
            raise ParquetError(f"a column has {values} values in {rows} rows")
        kind = meta.get(1) if isinstance(meta.get(1), int) else None
        width = (
            _count(leaf, 2, "a column's width") if kind == _FIXED else _WIDTHS.get(kind) if kind in _WIDTHS else None
        )
        if width is None or kind != leaf.get(1):
            raise ParquetError(f"a column is of type {kind!r}")
        length = _count(meta, 7, "a column's size")
        starts = [_count(meta, field, "a column's place") for field in (9, 11) if meta.get(field)]
        at = min(starts, default=0)
        end = at + length
        if at < len(MAGIC) or end > self._size:
            raise ParquetError("a column lies outside of the file")
        found = 0
        while at < end and (found < values or found == 0):
            used, page = self._page(at, end)
            size, packed = _count(page, 2, "a page's size"), _count(page, 3, "a page's size")
            at += used + packed
            if at > end:
                raise ParquetError("a page lies outside of its column")
            found += self._count_page(page, size, width)
        if found != values:
            raise ParquetError(f"a column's pages have {found} values, and its footer says {values}")

    def _count_page(self, page: dict[int, Any], size: int, width: int) -> int:
        """Add what a page grows to; return how many values of the column it has."""
        kind = page.get(1)
        if kind == _DICTIONARY:
            entries = _count(_part(page, 7, "a dictionary's description"), 1, "a dictionary's number of values")
            if entries > size:
                raise ParquetError(f"a dictionary has {entries} values in {size} bytes")
            # A text of the dictionary may stand in each row, but the rows share it.
            self._grow(size)
            return 0
        if kind == _INDEX:
            self._grow(size)
            return 0
        if kind not in (_DATA, _DATA_V2):
            raise ParquetError(f"a page is of type {kind!r}")
        found = _count(_part(page, 5 if kind == _DATA else 8, "a page's description"), 1, "a page's number of values")
        self._grow(max(size, found * width))
        return found

    def _grow(self, size: int) -> None:
        self._decoded, self._of_group = self._decoded + size, self._of_group + size
        is_packed = self._decoded > FREE_OF_RATIO and self._decoded > MAX_RATIO * self._size
        if is_packed and _GROUPS_AT_ONCE * self._of_group > self._memory:
            raise ParquetError(
                f"it is made to fill a memory: its {self._size} bytes grow to more than {FREE_OF_RATIO >> 20} MiB, "
                f"more than {MAX_RATIO} to 1, and a row group of it to more than half of the "
                f"{int(self._memory) >> 20} MiB that there are: write it without repeating values, in smaller row "
                "groups, or as several files"
            )

    def _page(self, at: int, end: int) -> tuple[int, dict[int, Any]]:
        """Return the length of a page's header, and what it says."""
        wanted = _HEADER_BYTES
        while True:
            content = self._at(at, min(wanted, end - at))
            reader = _Thrift(content)
            try:
                return reader.struct_and_length()
            except _CutOff as error:
                # Its statistics may hold long texts.
                if wanted >= min(_MAX_HEADER_BYTES, end - at):
                    raise ParquetError("a page's header is cut off") from error
                wanted *= 8

    def _at(self, place: int, length: int) -> bytes:
        self._stream.seek(place)
        return self._stream.read(length)


def _count(struct: Any, field: int, what: str) -> int:
    value = struct.get(field) if isinstance(struct, dict) else None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 62:
        raise ParquetError(f"{what} is {value!r}")
    return value


def _part(struct: Any, field: int, what: str) -> dict[int, Any]:
    value = struct.get(field) if isinstance(struct, dict) else None
    if not isinstance(value, dict):
        raise ParquetError(f"{what} is missing")
    return value


class _CutOff(ParquetError):
    """The bytes end before the struct does."""


class _Thrift:
    """Thrift's compact protocol: structs as dicts by field number, lists, numbers, bytes."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at, self._values = content, 0, 0

    def struct_and_length(self) -> tuple[int, dict[int, Any]]:
        found = self.struct()
        return self._at, found

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Return the struct that begins here."""
        found: dict[int, Any] = {}
        number = 0
        while True:
            head = self._byte()
            kind = head & 15
            if kind == 0:
                return found
            number = number + (head >> 4) if head >> 4 else self._signed()
            found[number] = kind == 1 if kind in (1, 2) else self._value(kind, depth + 1)

    def _value(self, kind: int, depth: int) -> Any:
        self._values += 1
        if depth > _MAX_DEPTH or self._values > _MAX_VALUES:
            raise ParquetError("its description is too deep or too long")
        match kind:
            case 1 | 2:
                return self._byte() == 1
            case 3:
                return self._byte()
            case 4 | 5 | 6:
                return self._signed()
            case 7:
                return self._take(8)
            case 8:
                return self._take(self._unsigned())
            case 9 | 10:
                head = self._byte()
                size = head >> 4 if head >> 4 != 15 else self._unsigned()
                if size > len(self._content) - self._at:
                    raise _CutOff("its description is cut off")
                return [self._value(head & 15, depth + 1) for _ in range(size)]
            case 11:
                size = self._unsigned()
                if size > len(self._content) - self._at:
                    raise _CutOff("its description is cut off")
                kinds = self._byte() if size else 0
                for _ in range(size):
                    self._value(kinds >> 4, depth + 1)
                    self._value(kinds & 15, depth + 1)
                return None
            case 12:
                return self.struct(depth + 1)
        raise ParquetError(f"its description has a value of type {kind}")

    def _byte(self) -> int:
        if self._at >= len(self._content):
            raise _CutOff("its description is cut off")
        self._at += 1
        return self._content[self._at - 1]

    def _take(self, length: int) -> bytes:
        if length > len(self._content) - self._at:
            raise _CutOff("its description is cut off")
        self._at += length
        return self._content[self._at - length : self._at]

    def _unsigned(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ParquetError("its description has a number without end")

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)
