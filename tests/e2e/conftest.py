"""One undisturbed run of the small scenario, for all tests that look at what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.runs import Ended, facts, run
from tests.e2e.scenarios import Small, small


@dataclass(frozen=True)
class Undisturbed:
    """A scenario, the state folder it ran in, how the first run ended and what it left."""

    scenario: Small
    state: Path
    first: Ended
    facts: dict[str, Any]


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """Seven days of requests: six checks, and from the fourth day on another relation."""
    folder = tmp_path_factory.mktemp("small")
    scenario = small(folder / "scenario", days=7, change=3, rows=90)
    first = run(scenario.folder, folder / "state")
    assert first.code == 0
    return Undisturbed(scenario, folder / "state", first, facts(folder / "state"))
