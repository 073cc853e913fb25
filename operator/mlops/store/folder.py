"""A bucket that is a folder: for one machine without S3, and for tests."""

from __future__ import annotations

import errno
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlops.store.bucket import CHUNK, Body, Stat, Watched, checked, open_body
from mlops.store.errors import (
    AccessDenied,
    BucketMissing,
    NoSpace,
    NotFound,
    PathForbidden,
    StoreError,
    StoreUnavailable,
)
from mlops.store.layout import check_path, check_prefix

INCOMING = ".incoming"
"""Where objects are written before they are renamed to their key. Never listed."""

ABANDONED_AFTER = 24 * 3600.0
"""Seconds after which an unfinished write is taken to be that of a killed process."""


class FolderBucket:
    """Keys are paths below `root`, which is created when first written to.

    An object is written to a file of its own, synced, renamed and its folder synced, so that a power cut or a killed
    process leaves the old state or the new one.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, key: str, body: Body | Watched, sha256: str | None = None) -> None:
        target = self._path(key)
        incoming = self.root / INCOMING / uuid.uuid4().hex
        with _os_errors(key):
            incoming.parent.mkdir(parents=True, exist_ok=True)
            self._sweep()
            try:
                self._write(incoming, key, body, sha256)
                target.parent.mkdir(parents=True, exist_ok=True)
                incoming.replace(target)
            finally:
                incoming.unlink(missing_ok=True)
            _sync_folder(target.parent)

    def read(self, key: str) -> Iterator[bytes]:
        path = self._path(key)
        try:
            with _os_errors(key), path.open("rb") as stream:
                while chunk := stream.read(CHUNK):
                    yield chunk
        except NotFound as error:
            if self.root.is_dir():
                raise
            way_out = "mount or make it, or correct the store's address"
            raise BucketMissing(key, f"there is no folder {self.root}", way_out) from error

    def stat(self, key: str) -> Stat | None:
        path = self._path(key)
        try:
            with _os_errors(key):
                found = path.stat()
        except NotFound:
            return None
        return Stat(key, found.st_size, found.st_mtime) if path.is_file() else None

    def list(self, prefix: str) -> Iterator[Stat]:
        check_prefix(prefix)
        with _os_errors(prefix):
            keys = sorted(self._keys(prefix))
        for key in keys:
            # A file that went away since the walk is simply not there any more.
            if (found := self.stat(key)) is not None:
                yield found

    def delete(self, key: str) -> None:
        with _os_errors(key):
            self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        if key.partition("/")[0] == INCOMING:
            raise PathForbidden(repr(key), "names the folder of unfinished writes")
        return self.root / check_path(key)

    def _keys(self, prefix: str) -> Iterator[str]:
        # S3's prefix is a beginning of the key, not a folder: walk the deepest folder that it names, then compare.
        for folder, _, names in os.walk(self.root / prefix.rpartition("/")[0], onerror=_unless_absent):
            relative = Path(folder).relative_to(self.root)
            if relative.parts[:1] == (INCOMING,):
                continue
            yield from (key for name in names if (key := (relative / name).as_posix()).startswith(prefix))

    def _write(self, path: Path, key: str, body: Body | Watched, sha256: str | None) -> None:
        source, size = open_body(body)
        with source, path.open("xb") as sink:
            reader = checked(key, source, size, sha256, body)
            while chunk := reader.read(CHUNK):
                sink.write(chunk)
            sink.flush()
            os.fsync(sink.fileno())

    def _sweep(self) -> None:
        """Remove what killed processes left half written."""
        too_old = time.time() - ABANDONED_AFTER
        for path in (self.root / INCOMING).iterdir():
            try:
                if path.stat().st_mtime < too_old:
                    path.unlink()
            except FileNotFoundError:
                continue  # its writer finished, or another process swept it


def _unless_absent(error: OSError) -> None:
    # os.walk would take a folder that it may not read for an empty one.
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _os_errors(key: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _from_os_error(key, error) from error


def _from_os_error(key: str, error: OSError) -> StoreError:
    problem = os.strerror(error.errno) if error.errno else str(error)
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return NoSpace(key, problem, "free space on the store's disk, or raise the quota")
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return AccessDenied(key, problem, "let this user read and write the store's folder")
        case errno.ENOENT | errno.ENOTDIR | errno.EISDIR:
            return NotFound(key, "there is no such object")
        case errno.ENAMETOOLONG:
            return PathForbidden(key, problem)
        case _:
            return StoreUnavailable(key, problem)
