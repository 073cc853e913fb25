"""A stream that drifts for ever: in every window the relation turns and the inputs move on. What is let through?

Forty windows of twelve hours. Held to the guard of a monitor by default: 24 hours of cool-down, three runs
in seven days, and a circuit that opens after three runs in a row without a new version, for seven days.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bench.loop_streams import RealStream
from bench.loop_world import Loop, Work
from mlops.api.base import parse_duration, parse_time
from mlops.api.drift_monitor import Guard

WINDOWS = 40
ROWS = 240
_HISTORY = 10
_WEEK = timedelta(days=7)


@dataclass(frozen=True)
class LetThrough:
    """What a guard let through: runs in all and in the busiest seven days, and the shortest time between two."""

    windows: int
    verdicts: dict[str, int]
    runs: int
    versions: int
    most_in_a_week: int
    shortest_pause: timedelta | None
    refusals: dict[str, int]
    # After so many runs in a row without a new version another one was made, though the circuit was to be open.
    beyond_circuit: int


def ever_drifting(window: timedelta, windows: int = WINDOWS, seed: int = 0) -> RealStream:
    """Return rows whose relation turns by two radians, and whose inputs move by half a deviation, in every window."""
    random = np.random.default_rng(seed)
    count = ROWS * (_HISTORY + windows + 1)
    number = np.maximum(0, np.arange(count) // ROWS - _HISTORY)
    x = random.normal(size=(count, 4))
    score = np.cos(2.0 * number) * x[:, 0] + np.sin(2.0 * number) * x[:, 1]
    label = np.where(random.random(count) < 1 / (1 + np.exp(-3 * score)), "yes", "no")
    x[:, 2] += 0.5 * number
    times = [datetime(2026, 1, 1, tzinfo=UTC) + window * ((row + 1) / ROWS) for row in range(count)]
    columns = {f"x{column}": x[:, column] for column in range(4)}
    frame = pl.DataFrame({"id": [f"r{row}" for row in range(count)], "time": times, **columns, "label": label})
    timed = frame.with_columns(pl.col("time").cast(pl.Datetime("us", "UTC")))
    return RealStream("drifts for ever", timed, window, timedelta(0), history=_HISTORY / (_HISTORY + windows + 1))


def let_through(stream: RealStream, guard: Guard, windows: int = WINDOWS) -> LetThrough:
    """Play the stream under the default actions and return what became of it."""
    with tempfile.TemporaryDirectory(prefix="loop-adversary-") as folder:
        loop = Loop(Work(stream, Path(folder)))
        said: list[Any] = []
        for _ in range(windows):
            loop.step()
            said.append(loop.get("DriftMonitor", "watch").status.history[0])
        acted = [parse_time(each.time) for each in said if ": model-" in each.action]
        pauses = [later - earlier for earlier, later in pairwise(acted)]
        weeks = [sum(at <= other < at + _WEEK for other in acted) for at in acted]
        outcomes = [(at, at in {since for since, _ in loop.live}) for at in acted]
        return LetThrough(
            windows=len(said),
            verdicts=dict(Counter(loop.verdicts)),
            runs=len(acted),
            versions=len(loop.live) - 1,
            most_in_a_week=max(weeks, default=0),
            shortest_pause=min(pauses, default=None),
            refusals=dict(Counter(each.action for each in said if each.action and ": model-" not in each.action)),
            beyond_circuit=_beyond(outcomes, guard),
        )


def _beyond(outcomes: list[tuple[datetime, bool]], guard: Guard) -> int:
    """Count the runs that were made sooner than the reset after so many in a row without a new version.

    The circuit is kept by verdict, so that two verdicts may each have as many: twice the limit is counted.
    """
    found, row, last = 0, 0, None
    for at, promoted in outcomes:
        is_open = row >= 2 * guard.max_rejected_challengers
        if is_open and last is not None and at - last < parse_duration(guard.circuit_reset_after):
            found += 1
        row, last = (0 if promoted else row + 1), at
    return found


def adversary() -> None:
    """Print what the default guard lets through."""
    print(let_through(ever_drifting(timedelta(hours=12)), Guard()), flush=True)
