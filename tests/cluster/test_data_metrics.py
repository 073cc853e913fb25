"""How old data are, as Prometheus reads it."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from mlops.cluster.data_metrics import DataMetrics
from mlops.planning.plan import Manifest
from tests.engine.objects import a_dataset, a_version

RAIN = {"dataset_namespace": "default", "dataset": "rain"}
MODEL = {"model_namespace": "default", "model": "rain"}


def read(*datasets: Manifest, versions: tuple[Manifest, ...] = ()) -> CollectorRegistry:
    registry = CollectorRegistry()
    metrics = DataMetrics(registry)
    # What was there before and is gone leaves no series.
    metrics.update([{**a_dataset("gone", freshness={"maxAge": "1h"}), "status": {"cycleSeconds": 9}}], [])
    metrics.update(datasets, versions)
    return registry


def a_fresh(measure: str | None = None, *, created: str = "2026-01-01T00:00:00Z", **status: object) -> Manifest:
    freshness = {"maxAge": "26h", **({"measure": measure} if measure else {})}
    dataset = a_dataset(freshness=freshness)
    return {**dataset, "metadata": {**dataset["metadata"], "creationTimestamp": created}, "status": status}


def test_the_time_is_that_of_the_measure() -> None:
    """With it stands how old the data may be: the alert compares the two with the clock."""
    times = {"deliveredAt": "1970-01-01T00:01:00Z", "newestEvent": "1970-01-01T00:00:10Z"}
    for measure, seconds in ((None, 60.0), ("Delivery", 60.0), ("EventTime", 10.0)):
        found = read(a_fresh(measure, **times))
        assert found.get_sample_value("mlops_dataset_data_timestamp_seconds", RAIN) == seconds
        assert found.get_sample_value("mlops_dataset_max_age_seconds", RAIN) == 26 * 3600


def test_data_that_never_came_are_as_old_as_the_dataset() -> None:
    """Else nobody would be told of a source that never delivered."""
    found = read(a_fresh(created="1970-01-01T00:02:00Z"))
    assert found.get_sample_value("mlops_dataset_data_timestamp_seconds", RAIN) == 120.0


@pytest.mark.parametrize("measure", ["Delivery", "EventTime"])
def test_what_was_read_and_has_no_date_has_no_age(measure: str) -> None:
    """Else the alert would go off for ever, however often the source is read."""
    found = read(a_fresh(measure, version=3))
    assert found.get_sample_value("mlops_dataset_data_timestamp_seconds", RAIN) is None
    assert found.get_sample_value("mlops_dataset_max_age_seconds", RAIN) is None


def test_only_who_asks_for_freshness_has_an_age() -> None:
    found = read({**a_dataset(), "status": {"deliveredAt": "2026-01-01T00:00:00Z", "cycleSeconds": 90}})
    assert found.get_sample_value("mlops_dataset_data_timestamp_seconds", RAIN) is None
    assert found.get_sample_value("mlops_dataset_cycle_seconds", RAIN) == 90


def test_the_cycle_of_a_model_is_that_of_its_newest_live_version() -> None:
    """One that serves nowhere, or was made of data without a time, is passed over."""
    live = {"stages": ["production"]}
    versions = (
        {**a_version("rain-v2", version=2), "status": {**live, "cycleSeconds": 200}},
        {**a_version("rain-v1"), "status": {**live, "cycleSeconds": 100}},
        {**a_version("rain-v3", version=3), "status": {"cycleSeconds": 300}},
        {**a_version("rain-v4", version=4), "status": live},
    )
    assert read(versions=versions).get_sample_value("mlops_model_cycle_seconds", MODEL) == 200


def test_objects_that_do_not_parse_are_passed_over() -> None:
    """Metrics are the last thing to fail."""
    strange: Manifest = {**a_dataset(), "spec": {"freshness": {"maxAge": 3}}, "status": {"cycleSeconds": "long"}}
    found = read(strange, {**strange, "spec": {"freshness": "daily"}, "status": None})
    assert found.get_sample_value("mlops_dataset_cycle_seconds", RAIN) is None
