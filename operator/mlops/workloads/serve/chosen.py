"""Which requests a server records."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

# Ids that are remembered, twice so many, for an hour: what is asked again under its id is a retry, or a stranger's.
_REMEMBERED, _REMEMBERED_SECONDS = 1 << 15, 3600.0


class Chosen:
    """Which requests are recorded: a share of them, by a keyed hash of their id, and of each id the first.

    Whoever does not know the key cannot choose ids that are recorded; whoever finds one has it recorded once.
    """

    def __init__(self, percent: int, key: bytes, clock: Callable[[], float] = time.monotonic) -> None:
        self._percent, self._clock = percent, clock
        self._key = hashlib.blake2b(key, person=b"mlops captures").digest()
        self._seen: set[int] = set()
        self._seen_before: set[int] = set()
        self._since = clock()

    def forgetful(self) -> Chosen:
        """Return one that chooses the same ids, and remembers none yet."""
        other = Chosen(self._percent, b"", self._clock)
        other._key = self._key
        return other

    def is_sampled(self, identity: str) -> bool:
        """Whether requests with this id are recorded: the same answer in every process with this key."""
        if not 0 < self._percent < 100:
            return self._percent >= 100
        return self._hash(identity) % 10_000 < self._percent * 100

    def is_first(self, identity: str) -> bool:
        """Whether no request with this id was asked about here, of the last so many and within the last hour."""
        found = self._hash(identity)
        now = self._clock()
        if len(self._seen) >= _REMEMBERED or now - self._since >= _REMEMBERED_SECONDS:
            self._seen_before, self._seen, self._since = self._seen, set(), now
        if found in self._seen or found in self._seen_before:
            return False
        self._seen.add(found)
        return True

    def _hash(self, identity: str) -> int:
        return int.from_bytes(hashlib.blake2b(identity.encode(), digest_size=8, key=self._key).digest(), "big")
