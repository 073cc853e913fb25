"""Gates of a run: its metrics against fixed limits and against the champion, in exact decimal arithmetic."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from mlops.api.metrics import METRICS
from mlops.api.reasons import Reason
from mlops.api.training_run import Gate, MetricValue


@dataclass(frozen=True)
class Judgement:
    """Whether all gates hold, and the figures of each."""

    passed: bool
    reason: Reason
    message: str


def judge(
    gates: Iterable[Gate],
    metrics: tuple[MetricValue, ...],
    champion: tuple[MetricValue, ...],
    *,
    has_champion: bool,
    positive: str | None = None,
) -> Judgement:
    """Return whether all `gates` hold for `metrics`; without a champion there is nothing to lose to.

    `positive` is the class that metrics of one class speak of, for the words.
    """
    judged = [_judge_one(gate, metrics, champion, has_champion=has_champion, positive=positive) for gate in gates]
    if not judged:
        return Judgement(True, Reason.GATES_PASSED, "there are no gates")
    failed = [each for each in judged if not each.passed]
    shown = failed or judged
    return Judgement(not failed, shown[0].reason, "; ".join(each.message for each in shown))


def _judge_one(
    gate: Gate,
    metrics: tuple[MetricValue, ...],
    champion: tuple[MetricValue, ...],
    *,
    has_champion: bool,
    positive: str | None,
) -> Judgement:
    known = METRICS.get(gate.metric)
    of_class = f" of {positive}" if positive is not None and known is not None and known.of_one_class else ""
    name = f"{gate.metric}{of_class} on {gate.dataset}"
    value = _value(metrics, gate)
    if value is None:
        present = ", ".join(f"{each.name} on {each.dataset}" for each in metrics) or "none"
        return Judgement(False, Reason.METRIC_MISSING, f"{name} was not measured; measured: {present}")
    holds, parts = [], [value]
    if gate.min is not None:
        holds.append(Decimal(value) >= Decimal(gate.min))
        parts[0] += f" {'>=' if holds[-1] else '<'} {gate.min}"
    if gate.max is not None:
        holds.append(Decimal(value) <= Decimal(gate.max))
        parts[0] += f" {'<=' if holds[-1] else '>'} {gate.max}"
    if gate.compare_to == "champion" and not has_champion:
        parts.append("no champion yet")
    elif gate.compare_to == "champion":
        theirs = _value(champion, gate)
        if theirs is None:
            return Judgement(False, Reason.METRIC_MISSING, f"{name} was not measured for the champion")
        holds.append(_gain(gate.metric, value, theirs) >= Decimal(gate.min_delta))
        parts.append(f"champion {theirs} + {gate.min_delta}{'' if holds[-1] else ' is not reached'}")
    passed = all(holds)
    reason = Reason.GATES_PASSED if passed else Reason.GATES_FAILED
    return Judgement(passed, reason, f"{name}: {'; '.join(parts)}")


def _value(metrics: tuple[MetricValue, ...], gate: Gate) -> str | None:
    return next((each.value for each in metrics if (each.name, each.dataset) == (gate.metric, gate.dataset)), None)


def _gain(metric: str, ours: str, theirs: str) -> Decimal:
    """Return how much better ours is; of a metric that only the user's own code knows, more counts as better."""
    difference = Decimal(ours) - Decimal(theirs)
    known = METRICS.get(metric)
    return difference if known is None or known.higher_is_better else -difference
