"""What drift monitors found last, as Prometheus reads it: read of their statuses at each scrape.

Labels are the names of monitor, model and stage, one of the verdicts and one of the metrics that there are: a monitor
has as many series as there are verdicts and a few more, whatever its data are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from prometheus_client import CollectorRegistry, Gauge

from mlops.api.base import is_timestamp, parse_time
from mlops.api.drift_monitor import Verdict
from mlops.api.metrics import METRICS
from mlops.engine.cluster import field_of, key_of
from mlops.planning.plan import Manifest

# Not `namespace`, which a scrape sets to the operator's own.
_MONITOR = ("monitor_namespace", "monitor", "model", "stage")
_VERDICTS: tuple[str, ...] = get_args(Verdict)
_SIDES = ("reference", "current", "low", "high")


class MonitorMetrics:
    """Series per DriftMonitor that has made a check: its verdict, when that was, the metric, whether it rests."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._verdict = Gauge(
            "mlops_monitor_verdict",
            "1 for the verdict of the newest check, 0 for each other.",
            (*_MONITOR, "verdict"),
            registry=registry,
        )
        self._checked = Gauge(
            "mlops_monitor_check_timestamp_seconds",
            "The scheduled time of the newest check.",
            _MONITOR,
            registry=registry,
        )
        self._metric = Gauge(
            "mlops_monitor_metric",
            "The model's performance in the newest window (current, with the ends of its 95 % interval) and on the "
            "reference.",
            (*_MONITOR, "metric", "of"),
            registry=registry,
        )
        self._circuit = Gauge(
            "mlops_monitor_circuit_open", "1 while a verdict calls for no more runs.", _MONITOR, registry=registry
        )

    def update(self, monitors: Sequence[Manifest]) -> None:
        """Take what the objects say now; series of monitors that are gone end."""
        for gauge in (self._verdict, self._checked, self._metric, self._circuit):
            gauge.clear()
        for monitor in monitors:
            self._of(monitor)

    def _of(self, monitor: Manifest) -> None:
        verdict = field_of(monitor, "status.verdict")
        if verdict not in _VERDICTS:
            return
        _, namespace, name = key_of(monitor)
        stage = field_of(monitor, "spec.targetRef.stage") or "production"
        labels = (namespace, name, str(field_of(monitor, "spec.targetRef.modelName")), str(stage))
        for each in _VERDICTS:
            self._verdict.labels(*labels, each).set(each == verdict)
        checked = field_of(monitor, "status.lastCheckTime")
        if isinstance(checked, str) and is_timestamp(checked):
            self._checked.labels(*labels).set(parse_time(checked).timestamp())
        self._circuit.labels(*labels).set(field_of(monitor, "status.circuit") == "Open")
        metric = field_of(monitor, "status.metric.name")
        if metric not in METRICS:
            return
        for side in _SIDES:
            value = field_of(monitor, f"status.metric.{side}")
            if isinstance(value, str):
                self._metric.labels(*labels, metric, side).set(float(value))
