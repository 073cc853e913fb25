"""How a criterion is decided by an interval, and how that is told."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mlops.api.canary import AnalysisOutcome, CriterionName, CriterionResult

_LONGEST: Final = 256
# What takes so many times as much as there is will not be waited for.
_MOST_TIMES: Final = 10_000.0


@dataclass(frozen=True)
class Found:
    """What was measured: of both versions, what the limit is about, and what that lies between."""

    low: float
    high: float
    stable: float | None = None
    candidate: float | None = None


def outcome_of(found: Found, limit: float) -> AnalysisOutcome:
    """Return Successful if all of the interval keeps the limit, Failed if all of it breaks it."""
    if found.high <= limit:
        return "Successful"
    return "Failed" if found.low > limit else "Inconclusive"


def decided(name: CriterionName, found: Found, limit: float, says: str, waits: Callable[[], str]) -> CriterionResult:
    """Return the result; `waits` tells of an open one what it waits for."""
    outcome = outcome_of(found, limit)
    message = f"{says}; {waits()}" if outcome == "Inconclusive" else says
    return CriterionResult(
        name=name,
        outcome=outcome,
        stable=decimal(found.stable),
        candidate=decimal(found.candidate),
        low=decimal(found.low),
        high=decimal(found.high),
        message=cut(message),
    )


def undecided(name: CriterionName, message: str) -> CriterionResult:
    """Return the result of a criterion of which nothing can be measured yet."""
    return CriterionResult(name=name, outcome="Inconclusive", message=cut(message))


def more_needed(bounds: Callable[[float], tuple[float, float]], limit: float, have: float, what: str) -> str:
    """Return how much more of `what` it takes to decide, if all goes on as it was.

    `bounds` gives the interval if there were so many times as much. Roughly, since what comes will differ.
    """
    times = times_needed(lambda scale: _decides(bounds(scale), limit))
    if times is None:
        return f"it is too close to the limit to be told by any number of {what}"
    return f"waits for about {rounded(have * (times - 1.0))} more {what}"


def times_needed(decides: Callable[[float], bool]) -> float | None:
    """Return how many times as much decides it, to 5 %; None where no number does."""
    low, high = 1.0, 2.0
    while not decides(high):
        low, high = high, 2.0 * high
        if high > _MOST_TIMES:
            return None
    while high / low > 1.05:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high


def rounded(number: float) -> str:
    """Return a number of things, rounded up to two digits."""
    if number <= 10.0:
        return str(max(1, math.ceil(number)))
    unit = 10 ** (len(str(int(number))) - 2)
    return f"{math.ceil(number / unit) * unit:,}"


def decimal(value: float | None) -> str | None:
    """Return six significant digits; None of what is infinite or not there."""
    return None if value is None or not math.isfinite(value) else f"{value:.6g}"


def shown(value: float) -> str:
    """Return a number for a sentence."""
    return "any" if math.isinf(value) else f"{value:.3g}"


def cut(text: str, length: int = _LONGEST) -> str:
    """Return as much of a text as there is room for."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _decides(bounds: tuple[float, float], limit: float) -> bool:
    return bounds[1] <= limit or bounds[0] > limit
