"""Which of two versions answers a request: in every pod the same one. A larger share has all that a smaller one had."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable
from typing import Final, NamedTuple

from mlops.api.serving_task import ServeCandidate
from mlops.workloads.serve.inference import new_id

# Requests fall into so many buckets; a percent of the requests are those of a hundredth of the buckets.
BUCKETS: Final = 10_000
# Requests without an id are numbered. Number n falls into bucket n times this: each bucket once in 10,000 numbers, and
# any run of numbers evenly. The second is for the shadow, so that neither choice says anything of the other.
_STEP, _SHADOW_STEP = 7549, 5699


class VersionChoice(NamedTuple):
    """Whether the candidate answers a request; if not, whether it is to answer it for the record only."""

    is_candidates: bool
    is_shadowed: bool


class Share:
    """Chooses by a hash of the sticky header's value, of the request's id, or by the number of a request without both.

    The hash has no secret, so that every pod chooses alike, and the candidate's digest, so that it is not the same
    clients who meet every new version first.
    """

    def __init__(self, candidate: ServeCandidate, first_number: int = 0) -> None:
        self._below = candidate.weight * BUCKETS // 100
        self._shadow_below = candidate.shadow_percent * BUCKETS // 100
        self._header = candidate.sticky_header.lower().encode() if candidate.sticky_header else None
        self._salt = hashlib.blake2b(candidate.artifact.encode(), digest_size=16).digest()
        self._numbers = itertools.count(first_number)
        self._made = ""

    def make_id(self) -> str:
        """Return a new id for a request that has none; the next choice knows it again."""
        self._made = new_id()
        return self._made

    def choose(self, headers: Iterable[tuple[bytes, bytes]], identity: str) -> VersionChoice:
        """Return what is done with a request with these headers (names in small letters) and this id."""
        bucket, shadow = self._buckets(headers, identity)
        is_candidates = bucket < self._below
        return VersionChoice(is_candidates, not is_candidates and shadow < self._shadow_below)

    def _buckets(self, headers: Iterable[tuple[bytes, bytes]], identity: str) -> tuple[int, int]:
        if self._header is not None:
            for name, value in headers:
                if name == self._header and value:
                    return self._hashed(value)
        # The same object: a client may well send an id that was made here once.
        if identity is self._made:
            number = next(self._numbers)
            return number * _STEP % BUCKETS, number * _SHADOW_STEP % BUCKETS
        return self._hashed(identity.encode())

    def _hashed(self, value: bytes) -> tuple[int, int]:
        found = hashlib.blake2b(value, digest_size=16, salt=self._salt, person=b"mlops canary").digest()
        return int.from_bytes(found[:8], "big") % BUCKETS, int.from_bytes(found[8:], "big") % BUCKETS
