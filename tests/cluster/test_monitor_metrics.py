"""What monitors found last, as Prometheus reads it."""

from __future__ import annotations

from typing import Any, get_args

from prometheus_client import CollectorRegistry, generate_latest

from mlops.api.drift_monitor import Verdict
from mlops.cluster.monitor_metrics import MonitorMetrics
from mlops.planning.plan import Manifest
from tests.engine.objects import a_monitor

RAIN = {"monitor_namespace": "default", "monitor": "watch", "model": "rain", "stage": "production"}
STATUS: dict[str, Any] = {
    "verdict": "ConceptDrift",
    "lastCheckTime": "1970-01-01T00:01:00Z",
    "circuit": "Open",
    "metric": {"name": "roc_auc", "reference": "0.84", "current": "0.61", "low": "0.58", "high": "0.64"},
}


def read(*monitors: Manifest) -> CollectorRegistry:
    registry = CollectorRegistry()
    metrics = MonitorMetrics(registry)
    # What was there before and is gone leaves no series.
    metrics.update([{**a_monitor("gone"), "status": STATUS}])
    metrics.update(monitors)
    return registry


def a_checked(**status: Any) -> Manifest:
    return {**a_monitor(), "status": {**STATUS, **status}}


def test_a_verdict_is_one_series_of_as_many_as_there_are_verdicts() -> None:
    """So that an alert names the verdict, and a change of it is a step."""
    found = read(a_checked())
    shown = {v: found.get_sample_value("mlops_monitor_verdict", {**RAIN, "verdict": v}) for v in get_args(Verdict)}
    assert shown == {v: float(v == "ConceptDrift") for v in get_args(Verdict)}
    assert b'monitor="gone"' not in generate_latest(found)


def test_the_metric_stands_beside_the_reference_and_its_interval() -> None:
    found = read(a_checked())
    for side, value in (("reference", 0.84), ("current", 0.61), ("low", 0.58), ("high", 0.64)):
        labels = {**RAIN, "metric": "roc_auc", "of": side}
        assert found.get_sample_value("mlops_monitor_metric", labels) == value
    assert found.get_sample_value("mlops_monitor_check_timestamp_seconds", RAIN) == 60.0
    assert found.get_sample_value("mlops_monitor_circuit_open", RAIN) == 1.0
    assert read(a_checked(circuit="Closed")).get_sample_value("mlops_monitor_circuit_open", RAIN) == 0.0


def test_a_cost_is_a_series_in_its_own_unit() -> None:
    found = read(
        a_checked(metric={"name": "cost", "reference": "-3.5", "current": "1520.25", "low": "0", "high": "2e3"})
    )
    shown = {side: {**RAIN, "metric": "cost", "of": side} for side in ("reference", "current", "high")}
    values = {side: found.get_sample_value("mlops_monitor_metric", labels) for side, labels in shown.items()}
    assert values == {"reference": -3.5, "current": 1520.25, "high": 2000.0}


def test_labels_are_bounded_whatever_a_status_says() -> None:
    """A verdict or a metric of another release makes no series; nor does a monitor that has made no check."""
    assert b"{" not in generate_latest(read(a_monitor(), a_checked(verdict="Whatever")))
    other = generate_latest(read(a_checked(metric={**STATUS["metric"], "name": "whatever"})))
    assert b"mlops_monitor_metric{" not in other
    assert other.count(b"mlops_monitor_verdict{") == len(get_args(Verdict))
