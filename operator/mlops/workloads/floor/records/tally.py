"""How often the versions of a stage answered and failed, and how long that took: beside the rows that are recorded.

A server stores a file per flush; an analysis adds up what all of them stored. No polars: servers write this.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

# Times of predictions are counted in buckets whose bounds grow by a tenth, from 10 us to above 100 s.
FIRST_SECONDS: Final = 1e-5
GROWTH: Final = 1.1
BUCKETS: Final = 170


def bucket_of(seconds: float) -> int:
    """Return the bucket of a time: bucket i holds times up to `bucket_bound(i)`; the last one holds all above too."""
    if seconds <= FIRST_SECONDS:
        return 0
    return min(math.ceil(math.log(seconds / FIRST_SECONDS) / math.log(GROWTH)), BUCKETS - 1)


def bucket_bound(index: int) -> float:
    """Return the longest time of a bucket, in seconds."""
    return float(FIRST_SECONDS * GROWTH**index)


@dataclass
class Tally:
    """What one version did in one stage, of one process between two times."""

    digest: str
    # Requests that it answered, for the record only too, and that it should have and did not: those of a candidate the
    # stable version answered.
    answered: int = 0
    failed: int = 0
    # Of those of `answered` that were measured: how many predictions took how long, by bucket.
    seconds: Counter[int] = field(default_factory=Counter)
    # Of `failed`: why, by the reason in one word.
    reasons: Counter[str] = field(default_factory=Counter)

    def dump(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "digest": self.digest,
            "answered": self.answered,
            "failed": self.failed,
            "seconds": {str(bucket): number for bucket, number in sorted(self.seconds.items())},
            "reasons": dict(sorted(self.reasons.items())),
        }

    @classmethod
    def load(cls, document: Any) -> Tally:
        """Return what `dump` gave. Raises ValueError, TypeError, KeyError or AttributeError of anything else."""
        return cls(
            digest=str(document["digest"]),
            answered=int(document["answered"]),
            failed=int(document["failed"]),
            seconds=Counter({int(bucket): int(number) for bucket, number in document["seconds"].items()}),
            reasons=Counter({str(one): int(number) for one, number in document["reasons"].items()}),
        )


def added(tallies: Iterable[Tally], digest: str) -> Tally:
    """Return the sum of the tallies of one version."""
    total = Tally(digest)
    for one in tallies:
        if one.digest == digest:
            total.answered += one.answered
            total.failed += one.failed
            total.seconds.update(one.seconds)
            total.reasons.update(one.reasons)
    return total


def tallies_prefix(namespace: str, model_name: str, stage: str) -> str:
    """Return the store key under which a stage's tallies lie: …/tallies/date=<day>/<file>.json.

    A file is {"since": …, "until": …, "tallies": […]}: what one process counted from `since` (left out) to `until`,
    timestamps by its clock; the day is that of `until`.
    """
    return f"captures/{namespace}/{model_name}/{stage}/tallies/"


def tally_document(since: datetime, until: datetime, tallies: Iterable[Tally]) -> dict[str, Any]:
    """Return the content of a file, as JSON has it."""
    return {
        "since": since.isoformat(timespec="microseconds"),
        "until": until.isoformat(timespec="microseconds"),
        "tallies": [one.dump() for one in tallies],
    }
