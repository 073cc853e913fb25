"""The recording of a real cluster, and the states that a run may or may not go through."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from tests.simulation.fidelity.record import Sequences

FILE = Path(__file__).parents[1] / "golden" / "controllers.json"
# States that a run may go through or not, on any cluster: by scenario and the beginning of an object's name.
FLEETING: Mapping[tuple[str, str], tuple[str, ...]] = {
    # Whether the first pull has failed by the deadline.
    ("image-until-deadline", "Pod"): ("works ImagePull; of Job/image-until-deadline",),
}


@lru_cache
def golden() -> dict[str, Sequences]:
    """Return what a real cluster showed, by scenario."""
    found: dict[str, Sequences] = json.loads(FILE.read_text("utf-8"))
    return found


def write_golden(recorded: Mapping[str, Sequences]) -> None:
    """Replace the scenarios that were recorded, and keep the others."""
    before = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps({**before, **recorded}, indent=1, sort_keys=True) + "\n", "utf-8")


def accepted(scenario: str, seen: Sequences) -> Sequences:
    """Return what was seen without what is fleeting."""
    return {name: _steady(states, _fleeting(scenario, name)) for name, states in seen.items()}


def _fleeting(scenario: str, name: str) -> tuple[str, ...]:
    return next((states for (of, start), states in FLEETING.items() if of == scenario and name.startswith(start)), ())


def _steady(states: list[str], fleeting: tuple[str, ...]) -> list[str]:
    kept: list[str] = []
    for state in states:
        if state not in fleeting and (not kept or kept[-1] != state):
            kept.append(state)
    return kept
