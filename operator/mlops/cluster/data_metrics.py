"""How old data are and how long they take to a model, as Prometheus reads it: read of the objects at each scrape.

Timestamps, not ages: an alert compares them with the clock, and is right also while nothing is planned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Gauge

from mlops.api.base import is_timestamp, parse_duration, parse_time
from mlops.engine.cluster import field_of, key_of
from mlops.planning.plan import Manifest

# Not `namespace`, which a scrape sets to the operator's own.
_DATASET = ("dataset_namespace", "dataset")
_MODEL = ("model_namespace", "model")


class DataMetrics:
    """One series per Dataset that declares its freshness, per Dataset with a version, and per model that is live."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._timestamp = Gauge(
            "mlops_dataset_data_timestamp_seconds",
            "When the newest data were delivered, or of when they are, as spec.freshness measures it; while "
            "there is no version, when the Dataset was made.",
            _DATASET,
            registry=registry,
        )
        self._max_age = Gauge(
            "mlops_dataset_max_age_seconds", "How old the newest data may be.", _DATASET, registry=registry
        )
        self._dataset_cycle = Gauge(
            "mlops_dataset_cycle_seconds",
            "From the delivery of its data to the current version.",
            _DATASET,
            registry=registry,
        )
        self._model_cycle = Gauge(
            "mlops_model_cycle_seconds",
            "From the delivery of its data until the newest live version was first live in its last stage.",
            _MODEL,
            registry=registry,
        )

    def update(self, datasets: Sequence[Manifest], versions: Sequence[Manifest]) -> None:
        """Take what the objects say now; series of objects that are gone end."""
        for gauge in (self._timestamp, self._max_age, self._dataset_cycle, self._model_cycle):
            gauge.clear()
        for dataset in datasets:
            self._of_dataset(dataset)
        for version in sorted(versions, key=_number):
            seconds = field_of(version, "status.cycleSeconds")
            if field_of(version, "status.stages"):
                name = (key_of(version).namespace, str(field_of(version, "spec.modelName")))
                # Of several that are live the newest one counts, if its time is known.
                if isinstance(seconds, int):
                    self._model_cycle.labels(*name).set(seconds)

    def _of_dataset(self, dataset: Manifest) -> None:
        _, *name = key_of(dataset)
        seconds = field_of(dataset, "status.cycleSeconds")
        if isinstance(seconds, int):
            self._dataset_cycle.labels(*name).set(seconds)
        measure = field_of(dataset, "spec.freshness.measure") or "Delivery"
        max_age = field_of(dataset, "spec.freshness.maxAge")
        if not isinstance(max_age, str):
            return
        field = "status.newestEvent" if measure == "EventTime" else "status.deliveredAt"
        newest = field_of(dataset, field)
        if newest is None and field_of(dataset, "status.version") is None:
            # Nothing was ever read. Of what was read and has no date, an age would be invented.
            newest = field_of(dataset, "metadata.creationTimestamp")
        if isinstance(newest, str) and is_timestamp(newest):
            self._timestamp.labels(*name).set(parse_time(newest).timestamp())
            self._max_age.labels(*name).set(parse_duration(max_age).total_seconds())


def _number(version: Manifest) -> int:
    number: Any = field_of(version, "spec.version")
    return number if isinstance(number, int) else 0
