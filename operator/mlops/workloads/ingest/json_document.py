"""The records of a JSON document, one after another: an array, or the array at a path. Never whole in memory.

Brackets in texts are none; what lies between records must be commas and blanks, what lies
around the array is parsed as a document of its own, and each record is parsed by whoever takes it. So every byte of the
document is judged once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import orjson

from mlops.workloads.ingest.problems import format_error, shown

# A record, or all that is around the records.
LONGEST: Final = 16 << 20
_MAX_DEPTH: Final = 512
_SIGN: Final = re.compile(r'["\[\]{}]')
_BLANKS: Final = " \t\r\n"
_SUGGESTED: Final = 5


class DuplicateKey(ValueError):
    """A key that stands twice in one object."""


def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object. Raises DuplicateKey for one with a key twice, of which parsers keep one or the other."""
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise DuplicateKey(next(key for key in keys if keys.count(key) > 1))
    return found


def records(pieces: Iterator[bytes], name: str, path: str | None) -> Iterator[bytes]:
    """Yield the text of each object in the array at `path`, keys with points between; None: the document is the array.

    Raises BadInput for what is no JSON, for another document, and for what is no object in the array.
    """
    return _Scan(name, path).over(pieces)


class _Scan:
    """Goes from bracket to bracket. Bytes are letters of Latin-1 here: each stays one, and signs are those of ASCII."""

    def __init__(self, name: str, path: str | None) -> None:
        self._name, self._path = name, path
        self._wanted = path.split(".") if path else []
        # The open brackets, each with the key that it stands under.
        self._open: list[tuple[str, str | None]] = []
        self._around = bytearray()
        self._count, self._start = 0, -1
        # The last text since the last bracket: where it begins and ends.
        self._text: tuple[int, int] | None = None
        self._inside = self._found = False

    def over(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        buffer, at, place = "", 0, 0
        for piece in pieces:
            buffer += piece.decode("latin-1")
            while (match := _SIGN.search(buffer, place)) is not None:
                place = match.start()
                if buffer[place] != '"':
                    yield from self._bracket(buffer, at, place)
                    at, self._text = place + 1, None
                    place = at
                elif (end := _end_of_text(buffer, place)) is None:
                    break
                else:
                    self._text, place = (place, end), end
            else:
                place = len(buffer)
            keep = self._start if self._start >= 0 else at
            buffer, at, place = buffer[keep:], at - keep, place - keep
            self._start = 0 if self._start >= 0 else -1
            self._text = None if self._text is None else (self._text[0] - keep, self._text[1] - keep)
            if len(buffer) > LONGEST or len(self._around) > LONGEST:
                raise self._error(f"a record, or what is around the records, is longer than {LONGEST >> 20} MiB")
        self._around += b"" if self._inside else buffer[at:].encode("latin-1")
        self._finish()

    def _bracket(self, buffer: str, at: int, place: int) -> Iterator[bytes]:
        sign, before = buffer[place], buffer[at:place]
        if not self._inside:
            self._around += (before + sign).encode("latin-1")
        if sign in "[{":
            self._opened(sign, before, place, self._key(buffer, place))
        elif not self._open or (self._open[-1][0] == "[") != (sign == "]"):
            raise self._error(f"a bracket {sign} closes nothing{self._where()}")
        elif self._inside and len(self._open) == len(self._wanted) + 1:
            self._end_of_array(before)
        else:
            self._open.pop()
            if self._inside and len(self._open) == len(self._wanted) + 1:
                yield buffer[self._start : place + 1].encode("latin-1")
                self._count, self._start = self._count + 1, -1

    def _opened(self, sign: str, before: str, place: int, key: str | None) -> None:
        depth = len(self._open)
        if depth >= _MAX_DEPTH:
            raise self._error(f"its brackets are more than {_MAX_DEPTH} deep")
        if self._inside and depth == len(self._wanted) + 1:
            if sign == "[" or before.strip(_BLANKS) != ("," if self._count else ""):
                raise self._error(f"record {self._count + 1} is no object")
            self._start = place
        self._open.append((sign, key))
        keys = [one for _, one in self._open[1:]]
        if not self._found and sign == "[" and keys == self._wanted:
            self._inside = self._found = True

    def _end_of_array(self, before: str) -> None:
        if before.strip(_BLANKS):
            raise self._error(f"record {self._count + 1} is no object")
        self._open.pop()
        self._inside = False
        self._around += b"]"

    def _key(self, buffer: str, place: int) -> str | None:
        """Return the key before a bracket: the last text, with a colon after it."""
        if self._inside or self._text is None or len(self._open) > len(self._wanted):
            return None
        start, end = self._text
        if buffer[end:place].strip(_BLANKS) != ":":
            return None
        try:
            return str(orjson.loads(buffer[start:end].encode("latin-1")))
        except orjson.JSONDecodeError:
            return None

    def _finish(self) -> None:
        if self._inside:
            raise self._error(f"the document ends in the middle{self._where()}: deliver it again")
        if not self._around.strip():
            raise self._error("the file is empty")
        document = self._parsed()
        if not self._found:
            raise self._error(self._way_in(document))

    def _parsed(self) -> Any:
        text = bytes(self._around)
        try:
            orjson.loads(text)
            return json.loads(text, object_pairs_hook=distinct)
        except DuplicateKey as error:
            raise self._error(f'the document has the key "{shown(error)}" twice in one object') from error
        except (orjson.JSONDecodeError, ValueError, RecursionError) as error:
            if text.lstrip().startswith(b"{") and not self._found and b"}{" in b"".join(text.split()):
                raise self._error("there are several documents: set spec.format to jsonl") from error
            raise self._error(f"this is no JSON document ({error})") from error

    def _way_in(self, document: Any) -> str:
        """Return where there are records instead."""
        present = list(arrays(document, ""))[:_SUGGESTED]
        wanted = f"at {self._path} there is no array" if self._path else "the document is no array of objects"
        if "" in present:
            return f"{wanted}; the document itself is one: leave spec.json.records out"
        if present:
            others = f" (or {', '.join(present[1:])})" if present[1:] else ""
            return f"{wanted}: set spec.json.records to {present[0]}{others}"
        return f'{wanted}, and has none: write one object a row, as pandas does by to_json(orient="records")'

    def _where(self) -> str:
        return f" after record {self._count}" if self._found else ""

    def _error(self, problem: str) -> Exception:
        return format_error(self._name, problem)


def _end_of_text(buffer: str, start: int) -> int | None:
    """Return where the text ends that begins with the quote at `start`; None if that is not in the buffer."""
    at = start + 1
    while (at := buffer.find('"', at)) >= 0:
        before = at - 1
        while buffer[before] == "\\":
            before -= 1
        at += 1
        if (at - before) % 2 == 0:
            return at
    return None


def arrays(value: Any, path: str) -> Iterator[str]:
    """Yield the paths of all arrays of objects."""
    if isinstance(value, list):
        if value and all(isinstance(one, dict) for one in value):
            yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key and "." not in key:
                yield from arrays(inner, f"{path}.{key}" if path else key)
