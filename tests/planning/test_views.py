"""A Job as the cluster shows it."""

from __future__ import annotations

from typing import Any

import pytest

from mlops.planning.views import JobView


def a_job(*conditions: dict[str, Any]) -> JobView:
    return JobView({"metadata": {"name": "sync"}, "status": {"conditions": list(conditions)}})


@pytest.mark.parametrize(
    ("type_", "status", "complete", "failed"),
    [
        ("Complete", "True", True, False),
        ("Failed", "True", False, True),
        ("Complete", "False", False, False),
        ("Failed", "Unknown", False, False),
        ("Suspended", "True", False, False),
    ],
)
def test_a_job_is_over_when_a_condition_of_it_holds(type_: str, status: str, complete: bool, failed: bool) -> None:
    """Complete or Failed, whatever stands before it."""
    other = {"type": "FailureTarget", "status": "True"}
    for job in (a_job({"type": type_, "status": status}), a_job(other, {"type": type_, "status": status})):
        assert (job.complete, job.failed) == (complete, failed)


def test_a_job_that_nobody_has_looked_at_is_not_over() -> None:
    """It may not have a uid yet either."""
    for manifest in ({"metadata": {"name": "sync"}}, {"metadata": {"name": "sync"}, "status": {}}):
        job = JobView(manifest)
        assert (job.complete, job.failed, job.condition("Complete")) == (False, False, None)
        assert (job.name, job.uid) == ("sync", "")
    assert JobView({"metadata": {"name": "sync", "uid": "u"}}).uid == "u"


def test_the_condition_that_holds_is_given() -> None:
    """With its reason."""
    found = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}
    assert a_job(found).condition("Failed") == found
    assert a_job({**found, "status": "False"}).condition("Failed") is None
