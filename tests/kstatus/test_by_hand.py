"""`kubectl create job --from=cronjob/...`, by real kubectl on a real API server: a person starts a check or a sync."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from mlops.api import tasks
from mlops.planning.dataset import planner as dataset
from mlops.planning.monitor import planner as drift_monitor
from mlops.planning.outcome import scheduled_at
from mlops.planning.ownership import key_of
from mlops.planning.plan import Manifest
from mlops.planning.views import DatasetView, DriftMonitorView
from tests.kstatus.kubectl import kubectl
from tests.planning.builders import (
    NOW,
    SETTINGS,
    a_dataset,
    a_drift_report,
    a_live_version,
    a_monitor,
    a_template,
    an_ingest_report,
    finished,
    with_status,
)
from tests.servers.apiserver import ApiServer

pytestmark = pytest.mark.apiserver


def by_hand(server: ApiServer, namespace: str, cron_job: Manifest, name: str) -> tuple[Manifest, Manifest]:
    """Return the CronJob as the server has it, and the Job that kubectl makes of it."""
    metadata = {key: value for key, value in cron_job["metadata"].items() if key != "ownerReferences"}
    given = json.dumps({**cron_job, "metadata": {**metadata, "namespace": namespace}})
    code, made, complaint = kubectl("create", "-f", "-", "-o", "json", server=server, given=given)
    assert code == 0, complaint
    source = f"--from=cronjob/{metadata['name']}"
    code, job, complaint = kubectl("create", "job", source, name, "-n", namespace, "-o", "json", server=server)
    assert code == 0, complaint
    return json.loads(made), json.loads(job)


def told(view: Any, plan: Any, resource: Any) -> Any:
    """Return the object after the plan's status was written."""
    return with_status(resource, plan(view).statuses[key_of(resource)].dump())


@pytest.mark.parametrize("name", ["now", "rain-drift-check-2", "check-20260110"])
def test_a_check_that_a_person_starts_counts(apiserver: ApiServer, namespace: str, name: str) -> None:
    """Under any name: its timestamp is when it was made, not what a name may look like."""
    view = DriftMonitorView(NOW, SETTINGS, a_monitor(), versions=(a_live_version(),), template=a_template())
    [wanted] = drift_monitor.plan(view).apply
    cron_job, job = by_hand(apiserver, namespace, wanted, name)
    view = replace(view, cron_job=cron_job, monitor=told(view, drift_monitor.plan, view.monitor))
    done = finished(job, a_drift_report("Stable"))
    assert scheduled_at(done) is not None
    monitor = told(replace(view, jobs=(done,)), drift_monitor.plan, view.monitor)
    assert (monitor.status.verdict, monitor.status.last_job) == ("Stable", name)
    assert monitor.status.last_check_time == job["metadata"]["creationTimestamp"]
    assert tasks.scheduled_time(name, tasks.check_name("rain-drift")) in (None, 2)


def test_a_look_that_a_person_starts_counts(apiserver: ApiServer, namespace: str) -> None:
    """The refresh of a Dataset, at once."""
    view = DatasetView(NOW, SETTINGS, a_dataset(spec={"refresh": {"schedule": "0 0 1 1 *"}}))
    [wanted] = dataset.plan(view).apply
    cron_job, job = by_hand(apiserver, namespace, wanted, "look-now")
    view = replace(view, cron_job=cron_job, dataset=told(view, dataset.plan, view.dataset))
    made = job["metadata"]["creationTimestamp"]
    done = finished(job, an_ingest_report(as_of=made), at=made)
    found = told(replace(view, jobs=(done,)), dataset.plan, view.dataset)
    assert (found.status.version, found.status.last_check_time) == (1, made)
