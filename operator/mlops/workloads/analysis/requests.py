"""The criteria that every request is counted for: does the candidate answer, and how fast?"""

from __future__ import annotations

import math
from typing import Final

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
    for name, asked in counted.asked.items():
        if not asked:
            return undecided("errorRate", _none(name, _fewest_requests(limit, tail)))

    def if_times(times: float) -> tuple[float, float]:
        first, second = ((times * failed, times * asked) for failed, asked in (stable.failures, candidate.failures))
        return difference_bounds(first, second, tail)

    low, high = if_times(1.0)
    shares = [failed / asked for failed, asked in (stable.failures, candidate.failures)]
    says = (
        f"the candidate failed {_of_all(candidate)} requests{_reasons(candidate.total)}, the stable version "
        f"{_of_all(stable)}: difference {_percent(shares[1] - shares[0])} ({_percent(low)} to {_percent(high)}), limit "
        f"{_percent(limit)}"
    )
    return decided(
        "errorRate",
        Found(low, high, *shares),
        limit,
        says,
        lambda: more_needed(if_times, limit, candidate.asked.sum(), "requests of the candidate"),
    )


def judge_latency(counted: Counted, criterion: LatencyCriterion, tail: float) -> CriterionResult:
    """Compare the 99th percentiles of the times of predictions."""
    stable, candidate = counted.stable, counted.candidate
    limit = float(criterion.max_ratio)
    for name, arm in (("candidate", candidate), ("stable version", stable)):
        if not arm.times.sum():
            # Of fewer the 99th percentile may be above all of them; of two equal samples each gets half of the tail.
            return undecided("latency", _none(name, rounded(math.log(tail / 2.0) / math.log(_SHARE))))
    bursts = (stable.bursts_of_slowness(_SHARE), candidate.bursts_of_slowness(_SHARE))
    one, other, low, high = ratio_bounds(stable.times, candidate.times, BOUNDS, _SHARE, tail, bursts)
    says = (
        f"p99 of {candidate.times.sum():,.0f} predictions of the candidate {_time(other.value)}, of "
        f"{stable.times.sum():,.0f} of the stable version {_time(one.value)}: {low:.3g} to {_above(high)} times it, "
        f"limit {limit:.3g}"
    )

    def if_times(times: float) -> tuple[float, float]:
        return ratio_bounds(times * stable.times, times * candidate.times, BOUNDS, _SHARE, tail, bursts)[2:]

    return decided(
        "latency",
        Found(low, high, one.value, other.value),
        limit,
        says,
        lambda: more_needed(if_times, limit, candidate.times.sum(), "predictions of the candidate"),
    )


def _of_all(arm: CountedArm) -> str:
    return f"{arm.total.failed:,} of {arm.total.answered + arm.total.failed:,}"


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
