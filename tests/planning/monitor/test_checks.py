"""What a check leaves on record, and what is said of it, to the word; which checks are news at the bounds."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from mlops.api import tasks
from mlops.api.base import format_time
from mlops.api.drift_monitor import DriftMonitor
from mlops.planning.monitor.news import news
from mlops.planning.monitor.planner import plan
from mlops.planning.ownership import key_of
from mlops.planning.plan import Manifest
from mlops.planning.views import DriftMonitorView, JobView
from tests.planning.builders import (
    NOW,
    SETTINGS,
    a_condition,
    a_drift_report,
    a_live_version,
    a_monitor,
    a_template,
    digest,
    failed,
    finished,
)

HOUR = timedelta(hours=1)
METRIC = {"name": "roc_auc", "reference": "0.9", "current": "0.7", "low": "0.6", "high": "0.8"}
LONG_AGO = {"creationTimestamp": "2025-01-01T00:00:00Z"}
SEEN = {"conditions": [a_condition("Ready", "Unknown", "Pending")]}


def a_view(*jobs: JobView, monitor: DriftMonitor | None = None, **changes: Any) -> DriftMonitorView:
    given = {"versions": (a_live_version(),), "template": a_template(), **changes}
    return DriftMonitorView(NOW, SETTINGS, monitor or a_monitor(status=SEEN), jobs=jobs, **given)


def a_check(at: datetime, report: tasks.DriftReport | None = None, **failure: Any) -> JobView:
    """Return the finished Job of the CronJob that was scheduled then."""
    [cron] = plan(a_view()).apply
    template = cron["spec"]["jobTemplate"]
    name = f"rain-drift-check-{int(at.timestamp()) // 60}"
    job = {"metadata": {"name": name, **template["metadata"]}, "spec": template["spec"]}
    return failed(job, **failure) if failure else finished(job, report or a_drift_report())


def status_of(view: DriftMonitorView) -> Manifest:
    return plan(view).statuses[key_of(view.monitor)].dump()


def said(view: DriftMonitorView) -> dict[str, tuple[str, str, str]]:
    conditions = status_of(view)["conditions"]
    return {each["type"]: (each["status"], each["reason"], each["message"]) for each in conditions}


def entry(at: datetime, **changes: Any) -> Manifest:
    return {"time": format_time(at), "verdict": "Stable", "action": "", "report": digest("7"), **changes}


def with_history(*entries: Manifest, last: datetime = NOW) -> DriftMonitor:
    status = {**SEEN, "lastCheckTime": format_time(last), "history": list(entries)}
    return a_monitor(metadata=LONG_AGO, status=status)


RESULTS = [
    {"name": "inputs", "type": "DataDrift", "result": "NotDetected", "message": "5 columns"},
    {"name": "more", "type": "DataDrift", "result": "Inconclusive", "message": "9 rows"},
    {"name": "again", "type": "DataDrift", "result": "Inconclusive", "message": "8 rows"},
    {"name": "concept", "type": "ConceptDrift", "result": "Detected", "message": "moved"},
    {"name": "drop", "type": "PerformanceDrop", "result": "Detected", "message": "fell"},
]


def test_a_check_is_told_by_its_verdict_its_labels_and_its_answers() -> None:
    """One that detected counts more than one that could not tell, and that more than one that found nothing."""
    report = a_drift_report(verdict="Inconclusive", checks=RESULTS)
    told = said(a_view(a_check(NOW, report)))
    assert told["Checked"] == ("True", "Checked", "Inconclusive on 1000 rows")
    assert told["LabelsAvailable"] == ("True", "Checked", "400 of 1000 rows: 0.4, needed is 0.2")
    assert told["DataDriftDetected"] == ("Unknown", "Inconclusive", "more: 9 rows; again: 8 rows")
    assert told["ConceptDriftDetected"] == ("True", "Detected", "concept: moved")
    quiet = a_drift_report(checks=RESULTS[:1])
    told = said(a_view(a_check(NOW, quiet)))
    assert told["DataDriftDetected"] == ("False", "NotDetected", "inputs: 5 columns")
    assert "ConceptDriftDetected" not in told


@pytest.mark.parametrize(("coverage", "enough"), [("0.2", True), ("0.19", False)])
def test_as_many_labels_as_are_needed_are_enough(coverage: str, enough: bool) -> None:
    """To the digit."""
    told = said(a_view(a_check(NOW, a_drift_report(label_coverage=coverage))))["LabelsAvailable"]
    status, reason = ("True", "Checked") if enough else ("False", "Inconclusive")
    assert told == (status, reason, f"400 of 1000 rows: {coverage}, needed is 0.2")


def test_what_is_measured_is_on_record() -> None:
    """In the status as of the newest check, and one line of each in the history."""
    features = [{"name": f"x{n}", "effectSize": "1", "pValue": "0", "drifted": True} for n in range(25)]
    checks = [{**RESULTS[0], "name": f"c{n}", "message": ""} for n in range(34)]
    report = a_drift_report(metric=METRIC, checks=checks)
    status = status_of(a_view(a_check(NOW, report)))
    assert (status["verdict"], status["samples"], status["labelled"], status["labelCoverage"]) == (
        "Stable",
        1000,
        400,
        "0.4",
    )
    assert status["report"] == digest("7")
    assert status["metric"]["current"] == "0.7"
    assert [each["name"] for each in status["checks"]] == [f"c{n}" for n in range(32)]
    assert status["lastCheckTime"] == format_time(NOW)
    job = status["lastJob"]
    assert status["history"] == [entry(NOW, metric="0.7", job=job)]
    status = status_of(a_view(a_check(NOW, a_drift_report(top_features=features))))
    assert [each["name"] for each in status["topFeatures"]] == [f"x{n}" for n in range(20)]
    assert "metric" not in status["history"][0]


def test_a_check_that_failed_says_why_and_leaves_the_verdict() -> None:
    """It is no verdict, and in no history."""
    known = with_history(entry(NOW - HOUR), last=NOW - HOUR)
    view = a_view(a_check(NOW, reason="ReferenceMissing", message="none"), monitor=known)
    assert said(view)["Checked"] == ("False", "ReferenceMissing", "none")
    status = status_of(view)
    assert (status["lastCheckTime"], status["history"]) == (format_time(NOW), [entry(NOW - HOUR)])


def test_a_check_that_another_overtook_is_put_where_its_time_is() -> None:
    """With its figures and no action; what is said is that of the newer one."""
    known = with_history(entry(NOW), entry(NOW - 2 * HOUR))
    late = a_check(NOW - HOUR, a_drift_report(verdict="DataDrift", metric=METRIC))
    status = status_of(a_view(late, monitor=known))
    assert [each["time"] for each in status["history"]] == [format_time(NOW - n * HOUR) for n in range(3)]
    assert status["history"][1] == entry(NOW - HOUR, verdict="DataDrift", metric="0.7", job=late.name)
    assert (status["lastCheckTime"], status.get("verdict")) == (format_time(NOW), None)
    failed_late = a_check(NOW - HOUR, reason="ReferenceMissing", message="none")
    assert status_of(a_view(failed_late, monitor=known))["history"] == [entry(NOW), entry(NOW - 2 * HOUR)]


def is_news(monitor: DriftMonitor, *jobs: JobView, **changes: Any) -> list[str]:
    return [ended.job.name for ended, _ in news(a_view(*jobs, monitor=monitor, **changes))]


@pytest.mark.parametrize("length", [99, 100])
def test_an_old_check_is_news_as_long_as_the_history_has_room_for_it(length: int) -> None:
    """A full one has none for what is older than its oldest."""
    entries = [entry(NOW - n * HOUR) for n in range(length)]
    known = with_history(*entries)
    oldest = NOW - (length - 1) * HOUR
    assert is_news(known, a_check(oldest - HOUR)) == ([a_check(oldest - HOUR).name] if length < 100 else [])
    between = a_check(oldest + timedelta(minutes=1))
    assert is_news(known, between) == [between.name]
    assert is_news(known, a_check(oldest)) == [], "it is in there"
    other = a_monitor(
        metadata=LONG_AGO,
        status={
            **known.status.dump(),
            "conditions": SEEN["conditions"],
            "history": [*(each.dump() for each in known.status.history[:-1]), entry(oldest, job="another")],
        },
    )
    check = a_check(oldest)
    assert is_news(other, check) == ([check.name] if length < 100 else []), "of the very time of the oldest"


def test_a_check_is_known_by_its_job_or_of_an_earlier_release_by_its_time() -> None:
    """Two may be of one minute."""
    check, at = a_check(NOW - HOUR), NOW - HOUR
    assert is_news(with_history(entry(NOW), entry(at, job=check.name)), check) == []
    assert is_news(with_history(entry(NOW), entry(at, job="other")), check) == [check.name]
    assert is_news(with_history(entry(NOW), entry(at)), check) == []
    assert is_news(with_history(entry(NOW), entry(at + timedelta(minutes=1))), check) == [check.name]


def test_checks_from_before_the_monitor_are_of_another() -> None:
    """It was deleted, and left its CronJob behind; one of the very second is, too."""
    born = datetime.fromisoformat("2026-01-10T11:00:00+00:00")
    before, at, after = (a_check(born + n * timedelta(minutes=1)) for n in (-1, 0, 1))
    assert is_news(a_monitor(), before, at, after) == [after.name]
    nobody_knows = a_monitor(metadata={"creationTimestamp": None})
    assert is_news(nobody_knows, after, before, at) == [before.name, at.name, after.name]


def test_a_check_of_another_cron_job_is_of_a_namesake() -> None:
    """By its owner's uid; a Job without a CronJob is the person's who made it."""
    check = a_check(NOW)

    def owned(*owners: Manifest) -> JobView:
        manifest = check.manifest
        return JobView({**manifest, "metadata": {**manifest["metadata"], "ownerReferences": list(owners)}}, "{}", 0)

    cron = {"kind": "CronJob", "name": "rain-drift-check", "uid": "u"}
    there = {"metadata": {"name": "rain-drift-check", "uid": "u"}}
    assert is_news(a_monitor(), owned(cron), cron_job=there) == [check.name]
    assert is_news(a_monitor(), owned({**cron, "uid": "w"}), cron_job=there) == []
    assert is_news(a_monitor(), owned(cron)) == [], "its CronJob is not there"
    assert is_news(a_monitor(), owned({**cron, "kind": "DriftMonitor", "uid": "w"}), cron_job=there) == [check.name]


def test_without_a_live_version_the_cron_job_rests_or_goes() -> None:
    """If it does not say of which version it was, it cannot be kept."""
    [cron] = plan(a_view()).apply
    there = {**cron, "metadata": {**cron["metadata"], "uid": "u"}}
    rests = plan(a_view(versions=(), cron_job=there))
    assert [each["spec"]["suspend"] for each in rests.apply] == [True]
    assert rests.delete == ()
    spoiled = {**there, "metadata": {**there["metadata"], "annotations": {}}}
    goes = plan(a_view(versions=(), cron_job=spoiled))
    assert goes.apply == ()
    assert [(key.name, uid) for key, uid in goes.delete] == [("rain-drift-check", "u")]
    nothing = plan(a_view(versions=()))
    assert (nothing.apply, nothing.delete) == ((), ())
