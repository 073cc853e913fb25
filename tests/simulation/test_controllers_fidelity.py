"""The simulated controllers and kubelet show what those of a real cluster showed: the golden file is a real recording.

tests/e2e_cluster/test_controllers_fidelity.py holds the golden file itself to a real cluster, and makes it again.
"""

from __future__ import annotations

import pytest

from tests.simulation.fidelity.golden import accepted, golden
from tests.simulation.fidelity.scenarios import SCENARIOS, Scenario
from tests.simulation.fidelity.simulated import played

by_name = pytest.mark.parametrize("scenario", [pytest.param(each, id=each.name) for each in SCENARIOS])


@by_name
def test_the_simulated_cluster_shows_what_a_real_one_did(scenario: Scenario) -> None:
    """Every state that planners can see, in the order in which a real cluster went through them."""
    assert accepted(scenario.name, played(scenario, seed=1)) == golden()[scenario.name]


@pytest.mark.slow
@by_name
def test_whatever_the_delays(scenario: Scenario) -> None:
    """Twenty seeds: delays of controllers, scheduler and kubelet change when, not what."""
    for seed in range(2, 22):
        assert accepted(scenario.name, played(scenario, seed)) == golden()[scenario.name], f"seed {seed}"
