"""A bucket whose keys may be exchanged while a process runs: a kubelet renews the files of a mounted Secret."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import Lock

from mlops.store.bucket import Body, Bucket, Stat, Watched

# The link that a kubelet exchanges when all files of a Secret are there: before, they would be of two states.
_CURRENT = "..data"


def read_keys(folder: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Return the content of those files of `names` that are there, all of one state of the Secret."""
    for _ in range(3):
        state = (folder / _CURRENT).resolve()
        place = state if state.is_dir() else folder
        found = {name: text for name in names if (text := _text(place / name)) is not None}
        if (folder / _CURRENT).resolve() == state:
            break
    return found


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return None


class RenewedBucket:
    """The bucket that `connect` makes of the keys, made again when they are others than before.

    Files are looked at before each call: a few microseconds beside a request. Each verb raises what `connect` raises.
    """

    def __init__(self, keys: Callable[[], Mapping[str, str]], connect: Callable[[Mapping[str, str]], Bucket]) -> None:
        self._keys, self._connect = keys, connect
        self._lock = Lock()
        self._made: tuple[Mapping[str, str], Bucket] | None = None

    def current(self) -> Bucket:
        """Return the bucket with the keys of now."""
        with self._lock:
            # Read within: whoever read old keys must not come after whoever read new ones.
            keys = self._keys()
            if self._made is None or self._made[0] != keys:
                self._made = (keys, self._connect(keys))
            return self._made[1]

    def put(self, key: str, body: Body | Watched, sha256: str | None = None) -> None:
        self.current().put(key, body, sha256)

    def read(self, key: str) -> Iterator[bytes]:
        return self.current().read(key)

    def stat(self, key: str) -> Stat | None:
        return self.current().stat(key)

    def list(self, prefix: str) -> Iterator[Stat]:
        return self.current().list(prefix)

    def delete(self, key: str) -> None:
        self.current().delete(key)
