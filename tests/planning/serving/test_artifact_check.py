"""A version before it may serve: where its artifact comes from, and which attempt to verify it is under way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mlops.api import labels, tasks
from mlops.api.conditions import find
from mlops.api.model_version import ModelVersion
from mlops.planning.ownership import key_of
from mlops.planning.serving.artifact_check import Checked, check
from mlops.planning.serving.manifests import verify_job, verify_job_name
from mlops.planning.serving.planner import plan
from mlops.planning.views import JobView, ModelView
from tests.planning.builders import (
    NOW,
    SETTINGS,
    a_condition,
    a_live_version,
    a_run,
    a_version,
    digest,
    failed,
    running,
)

SOURCE = {"artifact": None, "source": {"trainingRunRef": {"name": "rain-1"}}}
RETRY = {"annotations": {labels.RETRY: "now"}}
ONE = digest("1")


def checked(version: ModelVersion, *jobs: JobView, **runs: Any) -> Checked:
    by_name = {run.metadata.name: run for run in runs.values()}
    return check(ModelView(NOW, SETTINGS, "team", "rain", (version,), jobs=jobs, runs=by_name), version)


def a_job(version: ModelVersion, attempt: int = 0) -> dict[str, Any]:
    return verify_job(SETTINGS, version, ONE, attempt=attempt)


def told(found: Checked) -> tuple[str, str, str]:
    return found.verified.status, found.verified.reason, found.verified.message


def test_a_withdrawn_version_is_not_verified() -> None:
    """Nothing will be served of it. One that was verified stays so."""
    found = checked(a_version(spec={"withdrawn": True}))
    assert told(found) == ("Unknown", "Withdrawn", "not verified: spec.withdrawn is true")
    assert (found.create, found.obstacle) == ((), None)
    known = {"verification": {"goldenRows": 64, "maxDifference": "0", "p99Milliseconds": "1.5"}, "artifact": ONE}
    verified = checked(a_version(spec={"withdrawn": True}, status=known))
    assert told(verified) == ("True", "Verified", "64 recorded answers reproduced")


def test_a_version_of_a_run_takes_over_what_the_run_was_made_of() -> None:
    """All of it, for nothing else remembers it when the run is gone."""
    resolved = {
        "datasetVersion": 3,
        "datasetDigest": digest("2"),
        "datasetArtifact": digest("a"),
        "environmentDigest": digest("e"),
        "championVersion": "rain-v7",
        "championArtifact": digest("7"),
    }
    status = {
        "resolved": resolved,
        "inputsDigest": digest("3"),
        "outputDigest": digest("f"),
        "conditions": [a_condition("Succeeded", "True", "Succeeded")],
    }
    run = a_run(spec={"datasetRef": {"since": "2026-01-01T00:00:00Z"}}, status=status)
    found = checked(a_version(spec=SOURCE), run=run).status
    assert found.artifact == digest("f")
    assert found.lineage is not None
    lineage = found.lineage.dump()
    assert lineage.pop("estimator")["name"] == "LogisticRegression"
    assert lineage == {
        "trainingRun": "rain-1",
        "dataset": "weather",
        "datasetVersion": 3,
        "datasetDigest": digest("2"),
        "inputsDigest": digest("3"),
        "environmentDigest": digest("e"),
        "parentVersion": "rain-v7",
        "since": "2026-01-01T00:00:00Z",
    }
    bare = a_run(status={"outputDigest": digest("f"), "conditions": status["conditions"]})
    unpinned = checked(a_version(spec=SOURCE), run=bare).status.lineage
    assert unpinned is not None
    assert (unpinned.dataset_version, unpinned.environment_digest, unpinned.parent_version) == (None, None, None)


def test_a_version_of_a_run_says_what_it_waits_for() -> None:
    """Not there, at work, failed, or at rest."""
    version = a_version(spec=SOURCE)
    missing = checked(version)
    message = 'spec.source.trainingRunRef: TrainingRun "rain-1" not found in namespace "team"'
    assert told(missing) == ("Unknown", "TrainingRunNotFound", message)
    assert missing.obstacle is not None
    assert (missing.obstacle.ready, missing.obstacle.reconciling) == ("False", False)
    new = checked(version, run=a_run())
    assert told(new) == ("Unknown", "TrainingRunNotReady", 'TrainingRun "rain-1" has no model yet')
    assert new.obstacle is not None
    assert new.obstacle.reconciling
    stalled = [a_condition("Ready", "False", "OOMKilled", "too big"), a_condition("Stalled", "True", "OOMKilled")]
    failed_run = checked(version, run=a_run(status={"conditions": stalled}))
    assert failed_run.verified.message == 'TrainingRun "rain-1" has no model yet: OOMKilled: too big'
    assert failed_run.obstacle is not None
    assert (failed_run.obstacle.ready, failed_run.obstacle.reconciling) == ("False", False)
    at_work = [a_condition("Ready", "Unknown", "Running"), a_condition("Reconciling", "True", "Running")]
    works = checked(version, run=a_run(status={"conditions": at_work, "outputDigest": digest("f")}))
    assert works.obstacle is not None
    assert works.obstacle.reconciling


def test_the_job_that_verifies_is_made_once_and_said_while_it_works() -> None:
    """With its attempt in the name."""
    first = checked(a_version())
    message = "checking bytes, recorded answers and speed"
    assert told(first) == ("Unknown", "Verifying", message)
    [job] = first.create
    assert job["metadata"]["name"] == verify_job_name(a_version(), ONE, 0)
    at_work = checked(a_version(), running(job))
    assert at_work.create == first.create, "the same one: it is created once"
    assert told(at_work)[:2] == ("Unknown", "Verifying")


def test_a_passing_failure_is_waited_for_and_says_which_attempt_follows() -> None:
    """In the condition and in what it waits for."""
    version = a_version()
    found = checked(version, failed(a_job(version), "StoreUnavailable", message="503", exit_code=1))
    assert found.status.attempts == 1
    assert found.verified.status == "Unknown"
    assert found.verified.reason == "StoreUnavailable"
    assert found.obstacle is not None
    assert found.obstacle.message == found.verified.message
    assert found.obstacle.reconciling


def test_a_retry_counts_as_another_attempt_when_the_last_one_has_failed() -> None:
    """Be it on record, or seen of its Job only; one that is at work goes on."""
    refused = {"conditions": [a_condition("ArtifactVerified", "False", "GoldenFailed", "row 3")], "artifact": ONE}

    def attempt(status: dict[str, Any], *jobs: JobView) -> int:
        return checked(a_version(metadata=RETRY, status=status), *jobs).status.attempts

    assert checked(a_version(status=refused)).create == (), "without a retry it is refused for good"
    assert attempt(refused) == 1
    assert attempt({"artifact": ONE}, failed(a_job(a_version()), "GoldenFailed")) == 1
    assert attempt({"artifact": ONE}, running(a_job(a_version()))) == 0
    assert attempt({"artifact": ONE}) == 0
    retried = checked(a_version(metadata=RETRY, status=refused))
    [job] = retried.create
    assert job["metadata"]["name"] == verify_job_name(a_version(), ONE, 1)


def test_a_pod_that_failed_is_told_while_its_job_makes_another() -> None:
    """In the condition, in the words in which the version waits."""
    version = a_version()
    job = running(a_job(version))
    report = tasks.write_report(tasks.FailureReport(reason="StoreUnavailable", message="503"))
    found = checked(version, replace(job, message=report, exit_code=1))
    assert told(found) == ("Unknown", "StoreUnavailable", "503; the Job tries again")
    assert found.verified.type == "ArtifactVerified"
    assert found.obstacle is not None
    assert found.obstacle.message == "503; the Job tries again"


def test_a_verified_version_that_serves_no_more_is_not_available() -> None:
    """It is as wanted, so nobody has to wait for it."""
    version = a_live_version(1, spec={"withdrawn": True}, status={"stages": []})
    view = ModelView(NOW, SETTINGS, "team", "rain", (version,))
    available = find(plan(view).statuses[key_of(version)].conditions, "Available")
    assert available is not None
    assert (available.status, available.reason) == ("False", "Withdrawn")
