"""What the simulated controllers are held to is what this cluster's own controllers do.

    pytest tests/e2e_cluster/test_controllers_fidelity.py --update-golden

makes tests/simulation/golden/controllers.json again, with `-m long` for the scenarios that take minutes.
"""

from __future__ import annotations

import pytest

from tests.e2e_cluster.conftest import World
from tests.simulation.fidelity.golden import accepted, golden, write_golden
from tests.simulation.fidelity.real import all_played
from tests.simulation.fidelity.scenarios import SCENARIOS

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.mark.parametrize(
    "long", [pytest.param(False, id="short"), pytest.param(True, id="long", marks=pytest.mark.long)]
)
def test_the_golden_file_is_what_a_real_cluster_shows(world: World, request: pytest.FixtureRequest, long: bool) -> None:
    """Jobs that end in every way, CronJobs, rollouts and deletions, all beside each other in one namespace."""
    recorded = all_played(world.kubectl.kubeconfig, [each for each in SCENARIOS if each.long == long], seconds=300)
    seen = {name: accepted(name, sequences) for name, sequences in recorded.items()}
    if request.config.getoption("--update-golden"):
        write_golden(seen)
    assert seen == {name: golden()[name] for name in seen}
