"""What the operator counts, as Prometheus reads it. Every label has a bounded set of values."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Sequence
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from mlops.cluster.data_metrics import DataMetrics
from mlops.cluster.kinds import WATCHED
from mlops.cluster.lag import Lag
from mlops.cluster.monitor_metrics import MonitorMetrics
from mlops.planning.plan import Manifest

_SECONDS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0)


class OperatorMetrics:
    """Implements `engine.metrics.LoopMetrics`, and what the Kubernetes side adds to it."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._reconciles = Counter(
            "mlops_operator_reconciles", "Reconciles, by how they ended.", ["kind", "outcome"], registry=registry
        )
        self._seconds = Histogram(
            "mlops_operator_reconcile_seconds",
            "Duration of a reconcile.",
            ["kind"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._writes = Counter(
            "mlops_operator_writes", "Writes that the API server carried out.", ["verb", "kind"], registry=registry
        )
        self._lost = Counter(
            "mlops_operator_events_lost",
            "Events that were not written: failed, full, rate, lease, end.",
            ["why"],
            registry=registry,
        )
        for why in ("failed", "full", "rate", "lease", "end"):
            self._lost.labels(why)
        self._depth = Gauge("mlops_operator_queue_depth", "Keys that wait to be looked at.", registry=registry)
        self._oldest = Gauge(
            "mlops_operator_queue_oldest_seconds",
            "Age of the key that has waited or been worked on longest.",
            registry=registry,
        )
        self._api_errors = Counter(
            "mlops_operator_api_errors",
            "Requests that failed, by HTTP status; also connection, garbled, credentials.",
            ["code"],
            registry=registry,
        )
        self._ages = Gauge(
            "mlops_operator_watch_age_seconds",
            "Since a watch or list of the kind was last heard.",
            ["kind"],
            registry=registry,
        )
        self._unavailable = Gauge(
            "mlops_operator_kind_unavailable",
            "1 while a kind cannot be listed: its definition is gone, a right is missing, the API server fails.",
            ["kind"],
            registry=registry,
        )
        self._lost_namespaces = Gauge(
            "mlops_operator_namespaces_lost",
            "Namespaces that it should work in and where it may list nothing: gone, or the Role in them is.",
            registry=registry,
        )
        self._missing = Gauge("mlops_operator_watches_missing", "Watches that do not run.", registry=registry)
        self._restarts = Gauge(
            "mlops_operator_watch_restarts", "How often all watches were restarted.", registry=registry
        )
        self._repairs = Counter(
            "mlops_operator_resync_differences",
            "Objects that a list showed and no watch had.",
            ["kind"],
            registry=registry,
        )
        self._objects = Gauge("mlops_operator_objects", "Objects in memory.", ["kind"], registry=registry)
        self._lag = Gauge(
            "mlops_operator_loop_lag_seconds",
            "The longest time so far for which the event loop did one thing only, and the CPU time of such a stretch.",
            ["clock"],
            registry=registry,
        )
        self._data = DataMetrics(registry)
        self._monitors = MonitorMetrics(registry)
        self._held = Gauge("mlops_operator_lease_held", "1 while this process may write.", registry=registry)
        Gauge("mlops_operator_build_info", "Always 1.", ["version"], registry=registry).labels(
            version("mlops-operator")
        ).set(1)
        self._heard = {kind: time.monotonic() for kind in WATCHED}
        self._attempted = dict(self._heard)

    def reconciled(self, kind: str, outcome: str, seconds: float) -> None:
        """Count one reconcile."""
        self._reconciles.labels(kind, outcome).inc()
        self._seconds.labels(kind).observe(seconds)

    def wrote(self, verb: str, kind: str) -> None:
        """Count one write."""
        self._writes.labels(verb, kind).inc()

    def event_lost(self, why: str) -> None:
        """Count an Event that was not written."""
        self._lost.labels(why).inc()

    def queued(self, depth: int) -> None:
        """Keep the depth."""
        self._depth.set(depth)

    def api_error(self, code: str) -> None:
        """Count a request that failed."""
        self._api_errors.labels(code).inc()

    def heard(self, kind: str) -> None:
        """Note that a watch or list of a kind has brought something."""
        self._heard[kind] = self._attempted[kind] = time.monotonic()

    def attempted(self, kind: str) -> None:
        """Note that a list of a kind was tried, whatever comes of it."""
        self._attempted[kind] = time.monotonic()

    def repaired(self, kind: str, differences: int) -> None:
        """Count what a list showed and no watch had."""
        self._repairs.labels(kind).inc(differences)

    def attempt_age(self, kind: str) -> float:
        """Return the seconds since anything was heard or tried of a kind."""
        return time.monotonic() - self._attempted[kind]

    def exposition(
        self,
        *,
        oldest: float,
        held: bool,
        missing: int,
        restarts: int,
        lag: Lag,
        count: Callable[[str], int],
        unavailable: Container[str] = (),
        lost: int = 0,
        datasets: Sequence[Manifest] = (),
        versions: Sequence[Manifest] = (),
        monitors: Sequence[Manifest] = (),
    ) -> bytes:
        """Return everything in Prometheus' text format; what is given is as of now."""
        self._data.update(datasets, versions)
        self._monitors.update(monitors)
        self._oldest.set(oldest)
        self._held.set(held)
        self._missing.set(missing)
        self._lost_namespaces.set(lost)
        self._restarts.set(restarts)
        self._lag.labels("wall").set(lag.wall)
        self._lag.labels("cpu").set(lag.cpu)
        for kind in WATCHED:
            self._ages.labels(kind).set(time.monotonic() - self._heard[kind])
            self._objects.labels(kind).set(count(kind))
            self._unavailable.labels(kind).set(kind in unavailable)
        return generate_latest(self._registry)
