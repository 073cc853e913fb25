"""The way back by hand: who takes over is what the planner would choose, and where nobody could it says why."""

from __future__ import annotations

from typing import Any

import pytest

from mlops.planning.serving.way_back import NoWayBack, WayBack, way_back
from tests.planning.builders import NOW, a_condition, a_live_version, a_version, with_status

SUPERSEDED: dict[str, Any] = {"stages": [], "stage": None, "conditions": [a_condition("Ready", "True", "Superseded")]}

TOO_SLOW = {"latency": {"p99Milliseconds": 1}}


def superseded(number: int, **changes: Any) -> Any:
    """Return a version that has served in production, and was replaced."""
    return a_live_version(number, status={**SUPERSEDED, **changes.pop("status", {})}, **changes)


def ways(*versions: Any, to: int | None = None) -> tuple[list[str], str]:
    """Return the names of what is to be withdrawn, and who serves then."""
    found = way_back(versions, NOW, to)
    assert isinstance(found, WayBack), found
    return [each.metadata.name for each in found.withdraw], found.to.metadata.name


def refusal(*versions: Any, to: int | None = None) -> str:
    found = way_back(versions, NOW, to)
    assert isinstance(found, NoWayBack), found
    return found.message


def test_the_newest_good_one_before_it_takes_over() -> None:
    """One that is withdrawn, or has failed, is passed by."""
    assert ways(superseded(1), superseded(2), a_live_version(3)) == (["rain-v3"], "rain-v2")
    assert ways(superseded(1), superseded(2, spec={"withdrawn": True}), a_live_version(3)) == (["rain-v3"], "rain-v1")
    failed = superseded(2, status={"failedStages": ["production"]})
    assert ways(superseded(1), failed, a_live_version(3)) == (["rain-v3"], "rain-v1")


def test_to_a_version_all_that_are_in_between_are_withdrawn() -> None:
    """And none that could not serve anyway."""
    versions = [superseded(1), superseded(2), superseded(3, spec={"withdrawn": True}), superseded(4), a_live_version(5)]
    assert ways(*versions, to=1) == (["rain-v5", "rain-v4", "rain-v2"], "rain-v1")
    assert ways(*versions, to=4) == (["rain-v5"], "rain-v4")


def test_one_that_is_newer_than_what_serves_and_may_serve_is_withdrawn_too() -> None:
    """It would take over in the place of the one that went."""
    newer = superseded(4, status={"conditions": []})
    assert ways(superseded(2), a_live_version(3), newer) == (["rain-v4", "rain-v3"], "rain-v2")
    unverified = a_version(4)
    assert ways(superseded(2), a_live_version(3), unverified) == (["rain-v3"], "rain-v2")


@pytest.mark.parametrize(
    ("versions", "to", "said"),
    [
        pytest.param([], None, "no version of it is live", id="no version"),
        pytest.param([superseded(1)], None, "no version of it is live", id="nothing is live"),
        pytest.param([a_live_version(3)], None, "rain-v3 is the oldest version that there is; make", id="alone"),
        pytest.param([superseded(1), a_live_version(3)], 2, "there is no version 2; there are 1, 3", id="not there"),
        pytest.param([superseded(1), a_live_version(3)], 3, "version 3 is what serves: name an older one", id="itself"),
        pytest.param([a_live_version(3), a_version(4)], 4, "version 4 is newer than 3, which serves", id="newer"),
        pytest.param(
            [superseded(1, spec={"withdrawn": True}), a_live_version(3)],
            None,
            "from rain-v3: rain-v1 is withdrawn (spec.withdrawn: false brings it back)",
            id="all withdrawn",
        ),
        pytest.param(
            [superseded(1), superseded(2, spec={"withdrawn": True}), a_live_version(3)],
            2,
            "from rain-v3: rain-v2 is withdrawn",
            id="to one that is withdrawn",
        ),
        pytest.param(
            [superseded(2, status={"failedStages": ["production"]}), a_live_version(3)],
            None,
            "rain-v2 has failed there, ServingFailed (mlops retry",
            id="failed",
        ),
        pytest.param(
            [superseded(2, spec={"promotion": {"stages": [{"name": "dev"}]}}), a_live_version(3)],
            None,
            "rain-v2 has no stage production (add it to spec.promotion.stages)",
            id="without the stage",
        ),
        pytest.param(
            [
                superseded(2, spec={"promotion": {"stages": [{"name": "production", "gates": [TOO_SLOW]}]}}),
                a_live_version(3),
            ],
            None,
            "rain-v2 does not pass a gate: LatencyTooHigh for production",
            id="behind a gate",
        ),
        pytest.param([a_version(2), a_live_version(3)], None, "rain-v2 was not looked at yet", id="new"),
        pytest.param(
            [
                with_status(a_version(2), {"conditions": [a_condition("Ready", "False", "ArtifactNotFound")]}),
                a_live_version(3),
            ],
            None,
            "rain-v2 is not ready to: ArtifactNotFound",
            id="not verified",
        ),
    ],
)  # fmt: skip
def test_without_a_way_back_it_says_why_and_what_would_make_one(versions: list[Any], to: int | None, said: str) -> None:
    assert said in refusal(*versions, to=to)


def test_a_version_that_is_being_deleted_is_no_way_back() -> None:
    leaving = superseded(2, metadata={"deletionTimestamp": "2026-01-10T11:59:00Z"})
    assert ways(superseded(1), leaving, a_live_version(3)) == (["rain-v3"], "rain-v1")
