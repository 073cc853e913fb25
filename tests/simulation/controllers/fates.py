"""What becomes of a pod beside its work: probabilities that the harness sets and changes while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal

Outcome = Literal["work", "fail", "bad_input", "hang", "out_of_memory", "evicted", "vanish", "garbage", "silent"]
# In the order in which the draw is divided among them.
_OUTCOMES: tuple[Outcome, ...] = (
    "fail", "bad_input", "hang", "out_of_memory", "evicted", "vanish", "garbage", "silent"
)  # fmt: skip
# What can befall a server; the others are about work that ends with a report.
_OF_SERVERS: tuple[Outcome, ...] = ("fail", "out_of_memory", "evicted", "vanish")


@dataclass
class Fates:
    """Each a probability from 0 to 1. All zero: every pod does its work."""

    # Of a pod's outcome at most one befalls it, so these should not sum to more than 1.
    fail: float = 0.0  # exit code 1
    bad_input: float = 0.0  # exit code 2 with a report of failure
    hang: float = 0.0  # it never ends by itself
    out_of_memory: float = 0.0  # OOMKilled
    evicted: float = 0.0  # by the Eviction API: DisruptionTarget
    vanish: float = 0.0  # the pod's object is gone without a word, before or after its end
    garbage: float = 0.0  # exit code 0 with a message that is no report
    silent: float = 0.0  # exit code 0 with no message
    # Each of these befalls a pod or not, whatever its outcome.
    late: float = 0.0  # its end is written long after it came
    unschedulable: float = 0.0  # no node fits for a while
    image: float = 0.0  # its image cannot be pulled for a while
    never_ready: float = 0.0  # a serving container that does not become ready before it is restarted

    def outcome(self, random: Random, *, serving: bool) -> Outcome:
        """Draw what becomes of a pod's run."""
        left = random.random()
        for outcome in _OF_SERVERS if serving else _OUTCOMES:
            left -= float(getattr(self, outcome))
            if left < 0:
                return outcome
        return "work"

    @property
    def quiet(self) -> bool:
        """Whether nothing can happen."""
        return not any(vars(self).values())
