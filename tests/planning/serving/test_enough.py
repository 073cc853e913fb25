"""When the newest versions of a model, and those that can still change, decide all that is to be planned."""

from __future__ import annotations

from typing import Any

import pytest

from mlops.planning.serving.enough import decide_all
from tests.planning.builders import a_live_version, a_version

BOTH = {"promotion": {"stages": [{"name": "staging"}, {"name": "production"}]}}


def test_one_that_serves_everywhere_decides() -> None:
    assert decide_all([a_live_version(5), a_version(6)], down_to=4, stages_served=["production"])


@pytest.mark.parametrize(
    ("changes", "down_to"),
    [
        pytest.param({"spec": {"withdrawn": True}}, 4, id="it is withdrawn"),
        pytest.param({"metadata": {"generation": 2}}, 4, id="it was edited"),
        pytest.param({"metadata": {"annotations": {"mlops.dev/retry": "now"}}}, 4, id="a retry is asked for"),
        pytest.param({"status": {"failedStages": ["production"]}}, 4, id="it has failed"),
        pytest.param({"status": {"stages": []}}, 4, id="it is not live"),
        pytest.param({"spec": BOTH}, 4, id="it is not live in all of its stages"),
        pytest.param({}, 6, id="versions of a higher number are left out"),
    ],
)
def test_all_are_looked_at_unless_it_surely_stays(changes: dict[str, Any], down_to: int) -> None:
    assert not decide_all([a_live_version(5, **changes), a_version(6)], down_to=down_to)


def test_all_are_looked_at_if_another_stage_is_served_or_wanted() -> None:
    """An older version may be the one that is to serve there."""
    assert not decide_all([a_live_version(5)], down_to=4, stages_served=["production", "staging"])
    assert not decide_all([a_live_version(5), a_version(6, spec=BOTH)], down_to=4)
    assert not decide_all([], down_to=0)


def test_the_newest_that_serves_everywhere_decides_and_its_number_may_be_the_lowest_that_is_known() -> None:
    """Its stages count, whatever the order of the versions."""
    assert decide_all([a_live_version(4)], down_to=4)
    assert not decide_all([a_live_version(3)], down_to=4)
    both = a_live_version(6, spec=BOTH, status={"stages": ["staging", "production"]})
    both = both.evolve(status=both.status.evolve(passed_stages=("staging", "production")))
    for versions in ([a_live_version(5), both], [both, a_live_version(5)]):
        assert decide_all(versions, down_to=4, stages_served=["staging"])
    lower = both.evolve(spec=both.spec.evolve(version=4))
    for versions in ([a_live_version(5), lower], [lower, a_live_version(5)]):
        assert not decide_all(versions, down_to=4), "the newest has no stage that the older one wants"


@pytest.mark.parametrize(
    "status",
    [
        pytest.param({"verification": None}, id="it is not verified"),
        pytest.param({"passedStages": []}, id="it has not come up there"),
        pytest.param({"observedGeneration": 0}, id="nobody has looked at it"),
    ],
)
def test_a_version_that_is_not_settled_decides_nothing(status: dict[str, Any]) -> None:
    """It may leave yet."""
    assert not decide_all([a_live_version(5, status=status)], down_to=4)
