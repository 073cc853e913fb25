"""What the engine counts, behind a small port: a test reads it, a server exports it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol


class LoopMetrics(Protocol):
    """Told what happens."""

    def reconciled(self, kind: str, outcome: str, seconds: float) -> None:
        """Count one reconcile; outcome is Done, Conflict, Unavailable or Error."""

    def wrote(self, verb: str, kind: str) -> None:
        """Count one write; verb is apply, create, status or delete. Events are counted where they are posted."""

    def queued(self, depth: int) -> None:
        """Say how many keys wait."""


@dataclass
class Counters:
    """Metrics in memory."""

    reconciles: Counter[tuple[str, str]] = field(default_factory=Counter)
    writes: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds: float = 0.0
    depth: int = 0

    def reconciled(self, kind: str, outcome: str, seconds: float) -> None:
        """Count one reconcile."""
        self.reconciles[kind, outcome] += 1
        self.seconds += seconds

    def wrote(self, verb: str, kind: str) -> None:
        """Count one write."""
        self.writes[verb, kind] += 1

    def queued(self, depth: int) -> None:
        """Keep the depth."""
        self.depth = depth

    @property
    def errors(self) -> int:
        """Return how many reconciles did not end well."""
        return sum(count for (_, outcome), count in self.reconciles.items() if outcome != "Done")
