"""After a run on one machine nobody serves: the objects that are left say so."""

from __future__ import annotations

from typing import Any

from mlops.planning.serving.stopped import stopped
from tests.planning.builders import a_condition, a_monitor, a_version


def served(*conditions: dict[str, Any]) -> dict[str, Any]:
    status = {
        "stages": ["dev", "production"],
        "stage": "production",
        "url": "http://127.0.0.1:8080",
        "readyReplicas": 2,
        "conditions": list(conditions),
    }
    return a_version(status=status).dump()


def test_a_version_that_was_live_serves_nobody() -> None:
    """Ready and Available say so; what else is said stays, and so does where it is to serve."""
    verified = a_condition("ArtifactVerified", "True", "Verified", "64 recorded answers reproduced")
    refused = a_condition("Available", "False", "ServingFailed", "too slow")
    left = stopped(served(a_condition("Ready", "True", "Serving", "live"), verified, refused))
    status = left["status"]
    assert (status["readyReplicas"], status["stages"], status["stage"]) == (0, ["dev", "production"], "production")
    assert "url" not in status
    ready, *others = status["conditions"]
    assert (ready["type"], ready["status"], ready["reason"]) == ("Ready", "False", "NotRunning")
    assert ready["message"] == "no process serves it: it was live in dev, production when the last run ended"
    assert others == [verified, refused], "what was refused before keeps its reason"
    [available] = stopped(served(a_condition("Available", "Unknown", "Progressing")))["status"]["conditions"]
    assert (available["status"], available["reason"]) == ("False", "NotRunning")


def test_what_was_not_live_is_as_it_was() -> None:
    """Also a version without conditions, and another kind."""
    waiting = a_version(status={"conditions": [a_condition("Ready", "Unknown", "Verifying")]}).dump()
    assert stopped(waiting) == waiting
    fresh = {name: value for name, value in a_version().dump().items() if name != "status"}
    assert stopped(fresh) == fresh
    monitor = {**a_monitor().dump(), "status": {"stages": ["production"]}}
    assert stopped(monitor) == monitor
    bare = {**fresh, "status": {"stages": ["production"]}}
    assert stopped(bare)["status"] == {"stages": ["production"], "readyReplicas": 0, "conditions": []}
