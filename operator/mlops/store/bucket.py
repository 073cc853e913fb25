"""The port: what the store needs of a place that keeps bytes under keys."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from mlops.store.errors import DigestMismatch

CHUNK = 1 << 20  # bytes read, hashed and written at a time

Body = bytes | Path
"""What can be put: bytes, or a file that is streamed."""


@dataclass(frozen=True)
class Watched:
    """A file that is streamed; `told` is called with the number of bytes each time some were read."""

    path: Path
    told: Callable[[int], object]


@dataclass(frozen=True)
class Stat:
    """One stored object: key, size in bytes, time of its last writing in seconds since the epoch."""

    key: str
    size: int
    modified: float


class Bucket(Protocol):
    """Keys are those that `layout.check_path` accepts. Every verb may raise StoreUnavailable and AccessDenied."""

    def put(self, key: str, body: Body | Watched, sha256: str | None = None) -> None:
        """Write the object, visible only when whole. With `sha256`, nothing appears if the body has another digest
        (DigestMismatch). Raises NoSpace."""

    def read(self, key: str) -> Iterator[bytes]:
        """The object's bytes in chunks of at most 1 MiB. Raises NotFound."""

    def stat(self, key: str) -> Stat | None:
        """What is there, or None."""

    def list(self, prefix: str) -> Iterator[Stat]:
        """The objects whose key begins with `prefix`, sorted by key."""

    def delete(self, key: str) -> None:
        """Remove the object; one that is not there is no error."""


class CheckedReader:
    """Reads a body and hashes it on the way; at the last byte raises DigestMismatch if it was not the body promised.

    A caller that commits only after reading everything therefore never commits other bytes: a file that somebody
    rewrites during an upload is found out.
    """

    def __init__(
        self, key: str, source: BinaryIO, size: int, sha256: str | None, told: Callable[[int], object] | None = None
    ) -> None:
        self._told = told
        self._key = key
        self._source = source
        self._left = size
        self._sha256 = sha256
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        if self._told is not None:
            self._told(len(data))
        if self._sha256 is not None:
            self._hash.update(data)
            ended = self._left == 0 or not data
            if ended and (got := "sha256:" + self._hash.hexdigest()) != self._sha256:
                raise DigestMismatch(self._key, self._sha256, got)
        return data


def open_body(body: Body | Watched) -> tuple[BinaryIO, int]:
    """The body as a stream and its size in bytes."""
    if isinstance(body, bytes):
        return io.BytesIO(body), len(body)
    stream = (body.path if isinstance(body, Watched) else body).open("rb")
    return stream, stream.seek(0, io.SEEK_END) - stream.seek(0)


def checked(key: str, source: BinaryIO, size: int, sha256: str | None, body: Body | Watched) -> CheckedReader:
    """The reader of an opened body."""
    return CheckedReader(key, source, size, sha256, body.told if isinstance(body, Watched) else None)
