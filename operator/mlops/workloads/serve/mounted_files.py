"""The files of a mounted Secret, read again when they change: a kubelet exchanges the link `..data` for all at once."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from mlops.workloads.floor.log import say, warn

_CURRENT: Final = "..data"
# An API server takes no Secret of more than a mebibyte.
_MOST_BYTES: Final = 1 << 20
_SECONDS: Final = 1.0
_TRIES: Final = 3
Files = Mapping[str, bytes]


class Unusable(Exception):
    """What a Secret holds is of no use; the message says which key, and never what stands there."""


class MountedFiles:
    """A folder of files that `take` is given, with where they lie, when they are others than before.

    `take` raises Unusable, and whoever uses what it took decides what holds meanwhile.
    """

    def __init__(self, kind: str, folder: Path, take: Callable[[Files, Path], None]) -> None:
        self.kind, self._folder, self._take = kind, folder, take
        self._seen: object = None
        # Why the newest files are of no use; empty while they are.
        self.problem = ""

    def read(self) -> None:
        """Take the files of now. Raises Unusable."""
        for _ in range(_TRIES):
            self._seen, place, files = _state_of(self._folder)
            if self._seen is not None:
                break
        self.problem = ""
        try:
            self._take(files, place)
        except Unusable as error:
            self.problem = str(error)
            raise

    def renew(self) -> None:
        """Take the files if they have changed, and tell of it."""
        seen, _, _ = _state_of(self._folder, contents=False)
        # Of two states, or of none, nothing is taken: who was let in is not kept out for it.
        if seen is None or seen == self._seen:
            return
        try:
            self.read()
        except Unusable as error:
            warn(f"{self.kind}: the renewed files are of no use: {error}")
        else:
            say(f"{self.kind}: the files have changed, and are read again")


async def keep_renewing(mounted: Iterable[MountedFiles], seconds: float = _SECONDS) -> None:
    """Look for changes until cancelled."""
    while True:
        await asyncio.sleep(seconds)
        for each in mounted:
            await asyncio.to_thread(each.renew)


def _state_of(folder: Path, *, contents: bool = True) -> tuple[object, Path, dict[str, bytes]]:
    """Return what tells the files of now from others, where they lie, and the files by name: of one state of it."""
    current = (folder / _CURRENT).resolve()
    place = current if current.is_dir() else folder
    seen: list[tuple[str, int, int, int]] = []
    files: dict[str, bytes] = {}
    try:
        for path in sorted(place.iterdir()):
            found = path.stat()
            if path.name.startswith("..") or not stat.S_ISREG(found.st_mode):
                continue
            seen.append((path.name, found.st_ino, found.st_size, found.st_mtime_ns))
            if contents and found.st_size <= _MOST_BYTES:
                files[path.name] = path.read_bytes()
    except OSError:
        # It was exchanged meanwhile, or nothing is mounted.
        return None, place, {}
    if (folder / _CURRENT).resolve() != current:
        return None, place, {}
    return (place, seen), place, files
