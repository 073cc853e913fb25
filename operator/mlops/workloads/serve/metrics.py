"""Figures for Prometheus. No label's value comes from a client, so their number is bounded."""

from __future__ import annotations

import itertools
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)

from mlops.api.serving_task import ServeCandidate
from mlops.api.stage_access import ROUTE_GROUPS
from mlops.workloads.serve.access import ServerAccess
from mlops.workloads.serve.auth import Denial
from mlops.workloads.serve.budget import Budget
from mlops.workloads.serve.encoder import EncodingProcess
from mlops.workloads.serve.recorder import Recorder
from mlops.workloads.serve.tallies import VersionCounts

SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
OK: Final = 200
CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"
CANDIDATE_STATES: Final = ("loading", "ready", "stuck", "refused")


class Compared(Protocol):
    """A candidate beside the stable version, as far as it is told here."""

    given: ServeCandidate
    counts: VersionCounts
    stable_counts: VersionCounts
    dropped_shadows: int

    @property
    def state(self) -> str:
        """Return one of `CANDIDATE_STATES`."""
        ...


class Metrics:
    """Plain numbers that the event loop counts up, turned into metrics when somebody asks.

    prometheus_client's own counters take a lock and some microseconds each: too dear for an answer of fifty.
    """

    def __init__(self, model_name: str, version: int, stage: str, digest: str) -> None:
        self._info = {"model": model_name, "version": str(version), "stage": stage, "digest": digest}
        self._requests: Counter[tuple[str, int]] = Counter()
        self._buckets = [0] * (len(SECONDS) + 1)
        self._seconds = self._failed_seconds = 0.0
        self.rows = self.runs = 0
        self.model_format = ""
        self.load_seconds = 0.0
        self.recorders: Mapping[str, Recorder[Any]] = {}
        self.encoder: EncodingProcess | None = None
        self.candidate: Compared | None = None
        self.budget: Budget | None = None
        self.access = ServerAccess()
        self.repeated_rows = 0
        self.outside_rows = 0
        self.unknown_labels = 0
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def count(self, route: str, status: int, seconds: float) -> None:
        """Count an answer; only those of `infer` have their time measured."""
        self._requests[route, status] += 1
        if route == "infer":
            self._buckets[bisect_left(SECONDS, seconds)] += 1
            self._seconds += seconds
            if status != OK:
                self._failed_seconds += seconds

    def inference(self) -> dict[str, Any]:
        """Return requests and their time by outcome, in the form of the statistics extension."""
        requests = {status: number for (route, status), number in self._requests.items() if route == "infer"}
        succeeded, failed = requests.pop(OK, 0), sum(requests.values())
        return {
            "success": {"count": succeeded, "ns": round(1e9 * (self._seconds - self._failed_seconds))},
            "fail": {"count": failed, "ns": round(1e9 * self._failed_seconds)},
        }

    def exposition(self) -> bytes:
        """Return the text that Prometheus reads."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics, for prometheus_client."""
        info = GaugeMetricFamily("mlops_model_info", "The version that is served.", labels=[*self._info, "format"])
        info.add_metric([*self._info.values(), self.model_format], 1)
        yield info
        yield GaugeMetricFamily("mlops_model_load_seconds", "From start to ready.", value=self.load_seconds)
        requests = CounterMetricFamily("mlops_requests", "Answers by route and status.", labels=["route", "code"])
        for (route, status), number in sorted(self._requests.items()):
            requests.add_metric([route, str(status)], number)
        yield requests
        yield self._histogram()
        yield CounterMetricFamily("mlops_predicted_rows", "Rows that were answered.", value=self.rows)
        if self.budget:
            yield GaugeMetricFamily("mlops_in_flight_bytes", "What requests hold.", value=self.budget.used)
        yield CounterMetricFamily(
            "mlops_repeated_rows", "Rows not recorded: a request of that id was.", value=self.repeated_rows
        )
        yield CounterMetricFamily(
            "mlops_outside_rows", "Rows refused: training left such rows out.", value=self.outside_rows
        )
        yield CounterMetricFamily(
            "mlops_unknown_labels", "Labels of a class that the model does not know.", value=self.unknown_labels
        )
        if self.encoder:
            yield CounterMetricFamily(
                "mlops_encoder_failures",
                "Times the process that encodes rows ended before it had answered.",
                value=self.encoder.failures,
            )
        yield from self._access()
        yield from self._recorded()
        if self.candidate is not None:
            yield from _compared(self.candidate)

    def _histogram(self) -> Metric:
        buckets: list[tuple[str, float]] = []
        below = 0
        for bound, number in zip((*map(str, SECONDS), "+Inf"), self._buckets, strict=True):
            below += number
            buckets.append((bound, below))
        return HistogramMetricFamily(
            "mlops_infer_seconds", "From a request's head to its answer.", buckets=buckets, sum_value=self._seconds
        )

    def _access(self) -> Iterator[Metric]:
        guard, mounted = self.access.guard, self.access.mounted
        if guard is not None:
            denied = CounterMetricFamily(
                "mlops_denied_requests", "Requests without a right to the address.", labels=["group", "reason"]
            )
            for group, denial in itertools.product(ROUTE_GROUPS, Denial):
                denied.add_metric([group, denial.value], guard.denied[group, denial])
            yield denied
        if mounted:
            unusable = GaugeMetricFamily(
                "mlops_secret_unusable", "Whether what a mounted Secret holds now is of no use.", labels=["kind"]
            )
            for each in mounted:
                unusable.add_metric([each.kind], 1 if each.problem else 0)
            yield unusable

    def _recorded(self) -> Iterator[Metric]:
        stored = CounterMetricFamily("mlops_stored_rows", "Rows that are in the store.", labels=["kind"])
        dropped = CounterMetricFamily(
            "mlops_dropped_rows", "Rows lost: too many waited for the store.", labels=["kind"]
        )
        failed = CounterMetricFamily("mlops_failed_flushes", "Times the store did not take rows.", labels=["kind"])
        failing = GaugeMetricFamily("mlops_flush_failing", "Why rows wait for the store.", labels=["kind", "reason"])
        backlog = GaugeMetricFamily("mlops_backlog_rows", "Rows that are not in the store yet.", labels=["kind"])
        waiting = GaugeMetricFamily("mlops_backlog_bytes", "What these rows take.", labels=["kind"])
        age = GaugeMetricFamily("mlops_flush_age_seconds", "Since all rows were in the store.", labels=["kind"])
        for kind, recorder in self.recorders.items():
            stored.add_metric([kind], recorder.stored_rows)
            dropped.add_metric([kind], recorder.dropped_rows)
            failed.add_metric([kind], recorder.failed_flushes)
            backlog.add_metric([kind], recorder.backlog)
            waiting.add_metric([kind], recorder.waiting.used)
            age.add_metric([kind], max(0.0, time.time() - recorder.flushed_at))
            if recorder.failing:
                failing.add_metric([kind, recorder.failing], 1)
        yield from (stored, dropped, failed, failing, backlog, waiting, age)


def _compared(candidate: Compared) -> Iterator[Metric]:
    """Yield what two versions did: their versions are in the task, and the reasons are few."""
    answered = CounterMetricFamily(
        "mlops_version_answers", "Compared requests that a version answered.", labels=["version"]
    )
    failed = CounterMetricFamily(
        "mlops_version_failures",
        "Requests that a version should have answered and did not.",
        labels=["version", "reason"],
    )
    seconds = SummaryMetricFamily(
        "mlops_version_prediction_seconds",
        "Time of predictions, of the thread, as far as measured.",
        labels=["version"],
    )
    for counts in (candidate.stable_counts, candidate.counts):
        version, total = str(counts.version), counts.total
        answered.add_metric([version], total.answered)
        for reason, number in sorted(total.reasons.items()):
            failed.add_metric([version, reason], number)
        seconds.add_metric([version], count_value=counts.timed, sum_value=counts.seconds)
    given = candidate.given
    state = GaugeMetricFamily("mlops_candidate_state", "1 of the state that it is in.", labels=["version", "state"])
    for one in CANDIDATE_STATES:
        state.add_metric([str(given.version), one], 1 if one == candidate.state else 0)
    weight = GaugeMetricFamily("mlops_candidate_weight_percent", "Its share of the requests.", labels=["version"])
    weight.add_metric([str(given.version)], given.weight)
    shadow = GaugeMetricFamily("mlops_candidate_shadow_percent", "Its share of the others.", labels=["version"])
    shadow.add_metric([str(given.version)], given.shadow_percent)
    dropped = CounterMetricFamily(
        "mlops_dropped_shadows", "Requests that it was not asked for the record: too many waited.",
        value=candidate.dropped_shadows,
    )  # fmt: skip
    yield from (answered, failed, seconds, state, weight, shadow, dropped)
