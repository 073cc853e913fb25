"""The criteria that every request is counted for: does the candidate answer, and how fast?"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from mlops.api.canary import CriterionResult, ErrorRateCriterion, LatencyCriterion
from mlops.statistics.proportion import difference_bounds
from mlops.statistics.quantile_ratio import ratio_bounds
from mlops.workloads.analysis.counts import BOUNDS, Counted, CountedArm
from mlops.workloads.analysis.finding import Found, cut, decided, more_needed, rounded, times_needed, undecided
from mlops.workloads.floor.records.tally import Tally

_SHARE: Final = 0.99
_NAMED: Final = 2


def judge_errors(counted: Counted, criterion: ErrorRateCriterion, tail: float) -> CriterionResult:
    """Compare the shares of requests that each version failed; `tail` is the probability that a bound misses."""
    stable, candidate = counted.stable, counted.candidate
    limit = float(criterion.max_increase)
    for name, arm in (("candidate", candidate), ("stable version", stable)):
        if not arm.asked:
            return undecided("errorRate", _none(name, _fewest_requests(limit, tail)))

    def if_times(times: float) -> tuple[float, float]:
        return difference_bounds(independent(stable, times), independent(candidate, times), tail)

    low, high = if_times(1.0)
    shares = [arm.total.failed / arm.asked for arm in (stable, candidate)]
    says = (
        f"the candidate failed {candidate.total.failed:,} of {candidate.asked:,} requests{_reasons(candidate.total)}, "
        f"the stable version {stable.total.failed:,} of {stable.asked:,}: difference {_percent(shares[1] - shares[0])} "
        f"({_percent(low)} to {_percent(high)}), limit {_percent(limit)}"
    )
    return decided(
        "errorRate",
        Found(low, high, *shares),
        limit,
        says,
        lambda: more_needed(if_times, limit, candidate.asked, "requests of the candidate"),
    )


def judge_latency(counted: Counted, criterion: LatencyCriterion, tail: float) -> CriterionResult:
    """Compare the 99th percentiles of the times of predictions."""
    arms = {"candidate": counted.candidate, "stable version": counted.stable}
    limit = float(criterion.max_ratio)
    for name, arm in arms.items():
        if not arm.times.sum():
            return undecided("latency", _none(name, rounded(math.log(tail) / math.log(_SHARE))))
    candidate, stable = (arm.times for arm in arms.values())
    bursts = (counted.stable.bursts_of_slowness(_SHARE), counted.candidate.bursts_of_slowness(_SHARE))
    one, other, low, high = ratio_bounds(stable, candidate, BOUNDS, _SHARE, tail, bursts)
    says = (
        f"p99 of {int(candidate.sum()):,} predictions of the candidate {_time(other.value)}, of {int(stable.sum()):,} "
        f"of the stable version {_time(one.value)}: {low:.3g} to {_above(high)} times it, limit {limit:.3g}"
    )

    def if_times(times: float) -> tuple[float, float]:
        scaled = [np.asarray(np.round(counts * times), dtype=np.int64) for counts in (stable, candidate)]
        return ratio_bounds(scaled[0], scaled[1], BOUNDS, _SHARE, tail, bursts)[2:]

    return decided(
        "latency",
        Found(low, high, one.value, other.value),
        limit,
        says,
        lambda: more_needed(if_times, limit, int(candidate.sum()), "predictions of the candidate"),
    )


def independent(arm: CountedArm, times: float = 1.0) -> tuple[float, float]:
    """Return failures and requests, as many as say the same if they came independently; of so many times as many."""
    scale = times / arm.bursts_of_failures
    return arm.total.failed * scale, arm.asked * scale


def _none(which: str, fewest: str) -> str:
    return f"waits for requests: the {which} was asked none since the canary began; about {fewest} are needed"


def _fewest_requests(limit: float, tail: float) -> str:
    """Return how many requests of each version without a failure keep the limit."""
    times = times_needed(lambda number: difference_bounds((0, round(number)), (0, round(number)), tail)[1] <= limit)
    return "any number" if times is None else rounded(times)


def _reasons(tally: Tally) -> str:
    named = ", ".join(f"{cut(reason, 24)} {number:,}" for reason, number in tally.reasons.most_common(_NAMED))
    return f" ({named})" if named else ""


def _percent(share: float) -> str:
    return f"{100.0 * share:.3g} %"


def _time(seconds: float) -> str:
    return f"{1000.0 * seconds:.3g} ms"


def _above(high: float) -> str:
    return "any number of" if math.isinf(high) else f"{high:.3g}"
