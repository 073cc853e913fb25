"""What is said of a reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

ALL = ("Dataset", "TrainingRun", "ModelVersion", "DriftMonitor")
WAIT = "Wait."
LOG = "Read the pod's log"
RETRY = "ask for a retry"


@dataclass(frozen=True)
class Explanation:
    """What a reason says of an object of these kinds.

    `ready`: what Ready may be with it, nothing if Ready never has it. `conditions`: the others that may have it.
    `way_out`: what to do, as an order; empty where all is well.
    """

    reason: str
    kinds: tuple[str, ...]
    ready: tuple[str, ...]
    conditions: tuple[str, ...]
    meaning: str
    way_out: str = ""


def explanations(kinds: Iterable[str], conditions: str, *rows: tuple[str, ...]) -> Iterator[Explanation]:
    """Yield explanations that have kinds and conditions in common.

    A row is the reason, what Ready may be with it, the meaning and, if there is one, the way out.
    """
    for reason, ready, meaning, *way_out in rows:
        yield Explanation(
            reason, tuple(kinds), tuple(ready.split()), tuple(conditions.split()), meaning, "".join(way_out)
        )
