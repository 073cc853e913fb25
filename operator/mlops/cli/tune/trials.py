"""What the checks say of quiet windows and of changed ones: false alarms and delays of everything that is tried."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import ceil

from mlops.api.drift_monitor import Check, DriftMonitorSpec
from mlops.cli.terminal import note
from mlops.cli.tune.choices import BLOCKS, CheckLimits, schedules
from mlops.cli.tune.drawing import Drawing, recorded_windows
from mlops.cli.tune.wishes import YEAR, Wishes
from mlops.statistics.proportion import at_least, wilson
from mlops.workloads.drift.verdict import answers
from mlops.workloads.drift.window import Window

# So many windows after a change it counts as not found.
_LAST_WINDOW = 3
# A history whose own windows alarm so much more often than drawn ones is unlike them.
_CONTRADICTED = 0.05


@dataclass(frozen=True)
class Trial:
    """A window, a schedule and limits, and what came of them.

    `alarms` of `drawn` quiet windows, and `recorded_alarms` of the history's own `recorded` ones. `delays` are those of
    the changes that were found, of so many `changes`.
    """

    length: timedelta
    interval: timedelta
    schedule: str
    limits: CheckLimits
    alarms: int
    drawn: int
    recorded_alarms: int
    recorded: int
    delays: tuple[timedelta, ...]
    changes: int

    @property
    def checks_per_year(self) -> float:
        """Return how many checks there are in a year."""
        return YEAR / self.interval

    @property
    def false_alarms(self) -> float:
        """Return how many checks of a year alarm though nothing happens."""
        return self.alarms / self.drawn * self.checks_per_year

    @property
    def between(self) -> tuple[float, float]:
        """Return the 95 % interval of that."""
        low, high = wilson(self.alarms, self.drawn)
        return low * self.checks_per_year, high * self.checks_per_year

    @property
    def delay(self) -> timedelta | None:
        """Return within what time half of the changes were found; None if fewer were."""
        middle = ceil(self.changes / 2)
        return sorted(self.delays)[middle - 1] if len(self.delays) >= middle else None

    def keeps_quiet(self, wishes: Wishes) -> bool:
        """Return whether false alarms are as rare as is wanted, and the history's own windows do not contradict."""
        wanted = min(1.0, wishes.false_alarms / self.checks_per_year)
        contradicted = at_least(self.recorded_alarms, self.recorded, wanted) < _CONTRADICTED
        return self.false_alarms <= wishes.false_alarms and not contradicted

    def is_soon(self, wishes: Wishes) -> bool:
        """Return whether changes are found as soon as is wanted."""
        return self.delay is not None and (wishes.delay is None or self.delay <= wishes.delay)


@dataclass(frozen=True)
class Effort:
    """How many quiet windows are drawn and how many changes are made, of which size."""

    resamples: int
    changes: int
    size: float


class Tried:
    """Tries lengths of the window, schedules and limits on one history."""

    def __init__(self, spec: DriftMonitorSpec, drawing: Drawing, limits: Sequence[CheckLimits], effort: Effort) -> None:
        self._spec, self._drawing, self._limits, self._effort = spec, drawing, tuple(limits), effort
        self._seed = 0

    def of(self, length: timedelta) -> Iterator[Trial]:
        """Yield what came of a length of the window, by schedule and limits."""
        note(f"window {short(length)}: {self._effort.resamples} quiet windows ...")
        quiet = [self._alarms(self._drawing.window(length)) for _ in range(self._effort.resamples)]
        own = [self._alarms(each) for each in recorded_windows(self._drawing.history, length, self._effort.resamples)]
        for interval, line in schedules(length):
            note(f"window {short(length)}, a check every {short(interval)}: {self._effort.changes} changes ...")
            delays = [self._delays(length, interval) for _ in range(self._effort.changes)]
            for number, limits in enumerate(self._limits):
                yield Trial(
                    length,
                    interval,
                    line,
                    limits,
                    sum(each[number] for each in quiet),
                    len(quiet),
                    sum(each[number] for each in own),
                    len(own),
                    tuple(found for each in delays if (found := each[number]) is not None),
                    len(delays),
                )

    def _alarms(self, window: Window) -> tuple[bool, ...]:
        """Return of each of the limits whether one of its checks detects: stricter ones only where less strict do."""
        self._seed += 1
        said: list[bool] = []
        for each in self._limits:
            said.append((not said or said[-1]) and self._detects(window, each.checks))
        return tuple(said)

    def _detects(self, window: Window, checks: tuple[Check, ...]) -> bool:
        evidence, _ = answers(
            self._drawing.history.reference,
            window,
            checks,
            limits=self._spec.window,
            labels=self._spec.labels,
            seed=self._seed,
        )
        return any(finding.result == "Detected" for finding in evidence.findings)

    def _delays(self, length: timedelta, interval: timedelta) -> list[timedelta | None]:
        """Make one change between two checks, and return of each of the limits how long it takes to be found."""
        drawing, block = self._drawing, length / BLOCKS
        # A quiet window, then the change, and so many windows in which it may be found.
        begun = drawing.history.end
        blocks = BLOCKS * (1 + _LAST_WINDOW) + ceil(interval / block)
        rows = drawing.changed(drawing.path(length, blocks, block), drawing.change(self._effort.size), begun)
        passed = interval * (1.0 - drawing.uniform())
        delays: list[timedelta | None] = [None] * len(self._limits)
        while passed <= _LAST_WINDOW * length + interval and None in delays:
            for number, alarm in enumerate(self._alarms(drawing.cut(rows, begun + passed, length))):
                if alarm and delays[number] is None:
                    delays[number] = passed
            passed += interval
        return delays


def short(length: timedelta) -> str:
    """Return a length as a manifest says it: 7d, 36h, 15m; of years and months, in days."""
    for unit, name in ((timedelta(days=1), "d"), (timedelta(hours=1), "h")):
        if length >= 2 * unit or length == unit:
            return f"{round(length / unit)}{name}"
    return f"{max(1, round(length / timedelta(minutes=1)))}m"
