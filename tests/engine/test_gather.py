"""What a planner is shown of a cluster in which a lot has happened."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mlops.engine.gather import Gatherer
from mlops.engine.jobs import end_of
from mlops.local.clock import VirtualClock
from mlops.planning.plan import Key, Manifest, Settings
from mlops.planning.training.run import plan
from mlops.planning.views import DatasetView, TrainingRunView
from tests.engine.objects import DIGEST, NotedCluster, a_child, a_dataset, a_run, a_version

SETTINGS = Settings()
REGISTER: dict[str, Any] = {"register": {"modelName": "rain"}}
TEMPLATE: dict[str, Any] = {"triggers": [{"datasetVersion": {}}]}


@pytest.fixture
def gatherer(cluster: NotedCluster, clock: VirtualClock) -> Gatherer:
    """Reads the cluster, in which there is one Dataset that has a version."""
    timestamp = "2026-01-10T12:00:00Z"
    entry = {"version": 1, "digest": DIGEST, "artifact": DIGEST, "time": timestamp, "rows": 1}
    conditions = [a_condition("Ready"), a_condition("Versioned")]
    fields = [{"name": "x", "type": "float64"}, {"name": "y", "type": "float64", "role": "label"}]
    cluster.by_user(a_dataset(fields=fields))
    status = {"observedGeneration": 1, "version": 1, "digest": DIGEST, "artifact": DIGEST, "lastCheckTime": timestamp}
    cluster.set_status(Key("Dataset", "default", "rain"), {**status, "history": [entry], "conditions": conditions})
    return Gatherer(cluster, SETTINGS, clock)


def a_condition(type_: str, status: str = "True") -> Manifest:
    timestamp = "2026-01-10T12:00:00Z"
    return {"type": type_, "status": status, "reason": "R", "message": "", "lastTransitionTime": timestamp}


def run_view(gatherer: Gatherer, name: str) -> TrainingRunView:
    view = gatherer.view(Key("TrainingRun", "default", name))
    assert isinstance(view, TrainingRunView)
    return view


def siblings(gatherer: Gatherer, name: str) -> list[str]:
    return [run.metadata.name for run in run_view(gatherer, name).siblings]


def has_run(cluster: NotedCluster, name: str, *, over: bool = True, **status: object) -> None:
    """Give a run of the cluster the status of one that is over, or under way."""
    pinned = {"datasetVersion": 1, "datasetDigest": DIGEST, "datasetArtifact": DIGEST, "environmentDigest": DIGEST}
    conditions = [a_condition("Ready", "True" if over else "Unknown")]
    whole = {"observedGeneration": 1, "resolved": pinned, "conditions": conditions, **status}
    cluster.set_status(Key("TrainingRun", "default", name), whole)


def test_lines_of_a_record_that_are_passed_over_are_told_once(
    cluster: NotedCluster, gatherer: Gatherer, caplog: pytest.LogCaptureFixture
) -> None:
    """No version's condition says so; whoever edited the ConfigMap finds it in the operator's log."""
    cluster.by_user(a_version())
    record = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "rain-history",
            "namespace": "default",
            "labels": {"app.kubernetes.io/component": "history", "mlops.dev/model": "rain"},
        },
        "data": {"history.jsonl": "a note\n"},
    }
    cluster.by_user(record)
    for _ in range(3):
        gatherer.view(Key("Model", "default", "rain"))
    assert [each.getMessage() for each in caplog.records] == [
        "ConfigMap default/rain-history: 1 lines are no record of a version and passed over: mend or remove them"
    ]


def test_a_run_sees_the_result_that_it_would_have_before_it_is_pinned(
    cluster: NotedCluster, gatherer: Gatherer
) -> None:
    """Pinned and taken over in one plan: the inputs are known from what the Dataset says now."""
    for name, recipe in (("first", {}), ("second", {}), ("other", {"reproducibility": {"seed": 7}})):
        cluster.by_user(a_run(name, **recipe))
    for name in ("first", "other"):
        (status,) = plan(run_view(gatherer, name)).statuses.values()
        has_run(cluster, name, inputsDigest=status.dump()["inputsDigest"])
    assert siblings(gatherer, "second") == ["first"]


def test_a_run_sees_who_speaks_for_a_number_of_its_model(cluster: NotedCluster, gatherer: Gatherer) -> None:
    """Its version is not there yet, or not any more: the number is not used again."""
    cluster.by_user(a_run("mine", **REGISTER))
    cluster.by_user(a_version("rain-v1"))
    for name, version in (("registered", "rain-v1"), ("chose", "rain-v2"), ("deleted", "rain-v3")):
        cluster.by_user(a_run(name, **REGISTER))
        has_run(cluster, name, inputsDigest="sha256:" + "b" * 64, modelVersionRef=version)
    cluster.by_user(a_run("elsewhere", register={"modelName": "sun"}))
    has_run(cluster, "elsewhere", inputsDigest="sha256:" + "b" * 64, modelVersionRef="sun-v9")
    assert sorted(siblings(gatherer, "mine")) == ["chose", "deleted"]


def test_a_template_sees_the_runs_that_tell_whether_it_has_to_fire(cluster: NotedCluster, gatherer: Gatherer) -> None:
    """What is under way, what took the current version, and the run that it made last, whatever became of that."""
    cluster.by_user(a_run("template", **TEMPLATE))
    has_run(cluster, "template", resolved=None, lastRun="last")
    metadata = {"labels": {"mlops.dev/template": "template"}}
    old = {"datasetVersion": 0, "datasetDigest": DIGEST, "datasetArtifact": DIGEST, "environmentDigest": DIGEST}
    for name, over, pinned in (("old", True, old), ("last", True, old), ("current", True, None), ("busy", False, old)):
        cluster.by_user(a_run(name, metadata=metadata))
        has_run(cluster, name, over=over, **({"resolved": pinned} if pinned else {}))
    assert sorted(siblings(gatherer, "template")) == ["busy", "current", "last"]


def test_a_template_that_compares_rows_sees_what_was_trained_on_the_versions_since(
    cluster: NotedCluster, gatherer: Gatherer
) -> None:
    """A monitor's run on a version between that and the current one, which is over, may be what has to be outgrown."""
    history = [
        {"version": number, "digest": DIGEST, "artifact": DIGEST, "time": "2026-01-01T00:00:00Z", "rows": 100}
        for number in (4, 3, 2, 1)
    ]
    data = cluster.now("Dataset", "rain")["status"]
    cluster.set_status(Key("Dataset", "default", "rain"), {**data, "version": 4, "history": history})
    cluster.by_user(a_run("template", **{**TEMPLATE, "triggers": [{"datasetGrowth": {"percent": 50}}]}))
    has_run(cluster, "template", resolved=None, trainedOn={"dataset": "rain", "version": 2, "rows": 100})
    for number in (1, 2, 3, 4):
        cluster.by_user(a_run(f"on-{number}", metadata={"labels": {"mlops.dev/template": "template"}}))
        pinned = {"datasetDigest": DIGEST, "datasetArtifact": DIGEST, "environmentDigest": DIGEST}
        has_run(cluster, f"on-{number}", over=True, resolved={**pinned, "datasetVersion": number})
    assert sorted(siblings(gatherer, "template")) == ["on-3", "on-4"]


def test_a_dataset_sees_who_waits_for_a_refresh(cluster: NotedCluster, gatherer: Gatherer) -> None:
    waits = {"datasetRef": {"name": "rain", "notBefore": "2026-11-21T00:00:00Z"}}
    for name, spec in (("waits", waits), ("pinned", waits), ("takes-it", {})):
        cluster.by_user(a_run(name, **spec))
    has_run(cluster, "pinned", over=False)
    view = gatherer.view(Key("Dataset", "default", "rain"))
    assert isinstance(view, DatasetView)
    assert [run.metadata.name for run in view.waiting_runs] == ["waits"]


def test_what_is_over_is_not_kept_twice(cluster: NotedCluster, gatherer: Gatherer) -> None:
    """Beside the object itself there is nothing of a run that has ended; of one under way there is."""
    for name, over in (("over", True), ("busy", False)):
        cluster.by_user(a_run(name))
        has_run(cluster, name, over=over)
    assert run_view(gatherer, "busy").run is run_view(gatherer, "busy").run
    assert run_view(gatherer, "over").run is not run_view(gatherer, "over").run


@pytest.mark.parametrize(("container", "message"), [("trainer", None), ("collect", "said"), ("fetch", "said")])
def test_what_a_trainer_says_is_no_report(container: str, message: str | None) -> None:
    """Else a user's code could speak for ours: claim an outage, and be tried again for ever."""
    state = {"terminated": {"exitCode": 1, "message": "said", "finishedAt": "2026-01-10T12:00:00Z"}}
    status = {"phase": "Failed", "initContainerStatuses": [{"name": container, "state": state}]}
    end = end_of({"status": status})
    assert end is not None
    assert (end["exitCode"], end.get("message")) == (1, message)


def test_the_pod_of_another_job_of_the_same_name_is_not_believed(cluster: NotedCluster, gatherer: Gatherer) -> None:
    """A Job that was deleted and made again has the name of the one before, whose pod may still be there; and anybody
    may label a pod. Only the owner's uid tells whose it is. (Another owner stands for the one before: here, too, what
    has no owner left is collected.)"""
    job = cluster.by_user(a_child("Job", "ingest", dataset="rain"))
    state = {"terminated": {"exitCode": 0, "message": "said", "finishedAt": "2026-01-10T12:00:00Z"}}

    def reports(name: str, owner: Manifest) -> None:
        pod = a_child("Pod", name, owner)
        pod["metadata"]["labels"] = {"batch.kubernetes.io/job-name": "ingest"}
        cluster.by_user({**pod, "spec": {}})
        ended = {"phase": "Succeeded", "containerStatuses": [{"name": "main", "state": state}]}
        cluster.set_status(Key("Pod", "default", name), ended)

    def seen() -> tuple[str | None, int | None]:
        view = gatherer.view(Key("Dataset", "default", "rain"))
        assert isinstance(view, DatasetView)
        (found,) = view.jobs
        return found.message, found.exit_code

    reports("of-another", cluster.by_user(a_child("Job", "another")))
    assert seen() == (None, None)
    reports("own", job)
    assert seen() == ("said", 0)


def test_jobs_are_gathered_up_to_the_end_of_the_calendar(cluster: NotedCluster, clock: VirtualClock) -> None:
    """The hours in which Jobs may have ended go beyond now, and there is none after the last."""
    clock.advance(datetime(9999, 12, 31, 23, 30, tzinfo=UTC))
    cluster.by_user(a_dataset())
    status = {"observedGeneration": 1, "lastJob": "rain-1", "lastJobTime": "9999-12-31T23:00:00Z"}
    cluster.set_status(Key("Dataset", "default", "rain"), status)
    view = Gatherer(cluster, Settings(), clock).view(Key("Dataset", "default", "rain"))
    assert isinstance(view, DatasetView)
    assert view.jobs == ()
