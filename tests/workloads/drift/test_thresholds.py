"""The thresholds of broken deliveries stand on a plateau: a third more or less of any finds what they find."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from bench.drift_thresholds import THRESHOLDS, Case, cases, counted, multiplied


@pytest.fixture(scope="module")
def tried() -> list[Case]:
    """A window of each fault, and of changes of the world that have none; those of many columns are slow."""
    return list(cases([5, 6], most_columns=8))


def test_faults_of_the_development_streams_are_found_and_no_change_of_the_world_is_one(tried: list[Case]) -> None:
    missed, false = counted(tried)

    assert sum(case.is_fault for case in tried) >= 8
    assert sum(not case.is_fault for case in tried) >= 4
    assert set(missed) <= {"gallons"}, "a unit that labels alone can tell"
    assert false == []


@pytest.mark.parametrize("factor", [0.7, 1.4])
@pytest.mark.parametrize("module_name", sorted({module.__name__.rpartition(".")[2] for module, _ in THRESHOLDS}))
def test_each_threshold_may_be_a_third_more_or_less(tried: list[Case], module_name: str, factor: float) -> None:
    """All of a module at once: one fault more is missed at most, and no change of the world is taken for one."""
    with ExitStack() as stack:
        for module, name in THRESHOLDS:
            if module.__name__.endswith(f".{module_name}"):
                stack.enter_context(multiplied(module, name, factor))
        missed, false = counted(tried)

    assert len(missed) <= 2, missed
    assert false == []
