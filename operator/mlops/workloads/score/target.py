"""Where answers go: parts of fixed borders and names, each whole or not there, and a note of each when it is whole.

    _scoring.json                 of what, written first: another run of the same goes on, any other is refused
    part-00000-00000.parquet      answers to rows of the first file
    _refused-00000-00000.parquet  rows of that part that have none, and why
    _unread-00000.parquet         rows of the first file with a value that is none of its type, as they were written
    _part-00000-00000.json        the part is whole: its rows, its digest
    _manifest.json                all of it, written last

What begins with _ is no answer: Spark, and a Dataset's source, leave it out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from mlops.api.reasons import Reason
from mlops.store.bucket import Bucket
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest.writing import ROW_GROUP

CLAIM: Final = "_scoring.json"
MANIFEST: Final = "_manifest.json"
# What a run that does not come to its end may leave at most.
_LONGEST_NOTE: Final = 64 << 20


@dataclass(frozen=True)
class PartName:
    """A part by the number of its file and its number in it, from 0."""

    file: int
    number: int

    @property
    def answers(self) -> str:
        """Return the name of the part's answers."""
        return f"part-{self}.parquet"

    @property
    def refused(self) -> str:
        """Return the name of its rows without an answer."""
        return f"_refused-{self}.parquet"

    @property
    def unread(self) -> str:
        """Return the name of its file's rows that could not be read."""
        return f"_unread-{self.file:05d}.parquet"

    @property
    def note(self) -> str:
        """Return the name of what is noted of it."""
        return f"_part-{self}.json"

    def __str__(self) -> str:
        return f"{self.file:05d}-{self.number:05d}"


class ScoreTarget:
    """A place of one run and its repetitions. Raises the errors of its bucket."""

    def __init__(self, bucket: Bucket, key: str, shown: str, scratch: Path) -> None:
        self._bucket, self._shown, self._scratch = bucket, shown, scratch
        self._prefix = key if not key or key.endswith("/") else f"{key}/"

    def claim(self, wanted: Mapping[str, Any]) -> None:
        """Take the place for what is `wanted`, or find that it was taken for the same.

        Raises BadInput for a place that holds anything else, with what differs.
        """
        there = self._document(CLAIM)
        if there is None:
            other = next(iter(self._bucket.list(self._prefix)), None)
            if other is not None:
                raise BadInput(
                    Reason.CONFIGURATION_INVALID,
                    f"{self._shown}: holds {other.key.removeprefix(self._prefix)!r} and no {CLAIM}: answers are not "
                    "mixed with anything else: name another place, or empty this one",
                )
            self._bucket.put(self._prefix + CLAIM, _written(wanted))
            return
        differing = [name for name in {**there, **wanted} if there.get(name) != wanted.get(name)]
        if differing:
            said = "; ".join(_difference(name, there.get(name), wanted.get(name)) for name in differing)
            raise BadInput(
                Reason.CONFIGURATION_INVALID,
                f"{self._shown}: holds answers of another run, and they are not mixed: {said}: name another place, or "
                "empty this one",
            )

    def whole(self, part: PartName) -> dict[str, Any] | None:
        """Return what is noted of a part, if all that was noted is there, byte by byte."""
        noted = self._document(part.note)
        if noted is None:
            return None
        return noted if all(self._is(name, sha256) for name, sha256 in noted["files"].items()) else None

    def put(self, name: str, frame: pl.DataFrame) -> str:
        """Write a table, whole or not at all, and return the digest of its bytes."""
        place = self._scratch / "part.parquet"
        frame.write_parquet(place, compression="zstd", row_group_size=ROW_GROUP)
        seen = hashlib.sha256()
        with place.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                seen.update(chunk)
        sha256 = f"sha256:{seen.hexdigest()}"
        self._bucket.put(self._prefix + name, place, sha256)
        place.unlink()
        return sha256

    def note(self, name: str, document: Mapping[str, Any]) -> None:
        """Write a document."""
        self._bucket.put(self._prefix + name, _written(document))

    def _is(self, name: str, sha256: str) -> bool:
        if self._bucket.stat(self._prefix + name) is None:
            return False
        seen = hashlib.sha256()
        for chunk in self._bucket.read(self._prefix + name):
            seen.update(chunk)
        return f"sha256:{seen.hexdigest()}" == sha256

    def _document(self, name: str) -> dict[str, Any] | None:
        key = self._prefix + name
        found = self._bucket.stat(key)
        if found is None:
            return None
        if found.size <= _LONGEST_NOTE:
            try:
                document = json.loads(b"".join(self._bucket.read(key)))
            except ValueError:
                document = None
            if isinstance(document, dict):
                return document
        raise BadInput(
            Reason.CONFIGURATION_INVALID,
            f"{self._shown}: {name} was not written by this program: name another place, or empty this one",
        )


def _written(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def _difference(name: str, there: Any, wanted: Any) -> str:
    """Say how what is there differs from what is wanted; of a mapping, its first entry that differs."""
    if isinstance(there, dict) and isinstance(wanted, dict):
        return next(
            f"{name}: {_difference(one, there.get(one), wanted.get(one))}"
            for one in {**there, **wanted}
            if there.get(one) != wanted.get(one)
        )
    return f"{name} was {_shown(there)}, now it is {_shown(wanted)}"


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)


def cut(frames: Iterator[pl.DataFrame], rows: int) -> Iterator[tuple[pl.DataFrame | None, int, bool]]:
    """Yield the rows of a file in pieces of `rows`, which rows came before, and whether it is the last piece.

    A file without rows has one piece, which is None.
    """
    held: list[pl.DataFrame] = []
    size = before = 0
    for frame in frames:
        while frame.height:
            if size == rows:
                yield pl.concat(held), before, False
                held, size, before = [], 0, before + rows
            taken = frame[: rows - size]
            held.append(taken)
            size, frame = size + taken.height, frame[taken.height :]
    yield pl.concat(held) if held else None, before, True
