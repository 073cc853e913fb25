"""Who may serve where: verified, let through by the gates, and seen in the stage before."""

from __future__ import annotations

from typing import Any

import pytest

from mlops.api.model_version import VersionVerification
from mlops.planning.serving.artifact_check import judge_gates
from mlops.planning.serving.candidates import Candidate, candidates
from mlops.planning.views import ModelView
from tests.planning.builders import NOW, SETTINGS, a_live_version, a_version

STAGES = [{"name": "dev"}, {"name": "test"}, {"name": "production"}]


def verified(p99: str = "1.5") -> VersionVerification:
    return VersionVerification(golden_rows=64, max_difference="0", p99_milliseconds=p99)


def gated(*limits: int | None) -> dict[str, Any]:
    """Return stages of which each has this limit of latency."""
    return {
        "promotion": {
            "stages": [
                {**stage, **({"gates": [{"latency": {"p99Milliseconds": limit}}]} if limit else {})}
                for stage, limit in zip(STAGES, limits, strict=False)
            ]
        }
    }


def a_candidate(*passed: str, p99: str = "1.5", limits: tuple[int | None, ...] = (None,) * 3, **spec: Any) -> Candidate:
    version = a_live_version(1, spec={**gated(*limits), **spec}, status={"stages": []})
    [made] = candidates(ModelView(NOW, SETTINGS, "team", "rain", (version,)), [version])
    gates = judge_gates(version, verified(p99))
    return Candidate(version, made.checked, gates, passed=frozenset(passed))


def may_enter(candidate: Candidate) -> list[str]:
    return [stage for stage in candidate.stages if candidate.may_enter(stage)]


@pytest.mark.parametrize(
    ("passed", "want"),
    [
        pytest.param((), ["dev"], id="new"),
        pytest.param(("dev",), ["dev", "test"], id="seen in the first"),
        pytest.param(("dev", "test"), ["dev", "test", "production"], id="seen in two"),
        pytest.param(("production",), ["dev", "production"], id="an edit put stages in front"),
    ],
)
def test_a_version_goes_one_stage_at_a_time(passed: tuple[str, ...], want: list[str]) -> None:
    """Where it has served it may stay."""
    assert may_enter(a_candidate(*passed)) == want


def test_a_closed_stage_closes_what_is_behind_it_unless_it_has_served_there() -> None:
    """And itself, though it has served there."""
    slow = a_candidate("dev", p99="9", limits=(None, 5, None))
    assert may_enter(slow) == ["dev"]
    assert may_enter(a_candidate("dev", "test", "production", p99="9", limits=(None, 5, None))) == ["dev", "production"]
    assert slow.open_stages == ["dev"]


def test_the_gate_of_latency_holds_at_its_limit() -> None:
    """The first that fails is told with its figures."""
    version = a_version(1, spec=gated(9, 5, 4))
    fine = judge_gates(version, verified("4"))
    assert (fine.open_stages, fine.closed, fine.message) == (
        3,
        frozenset(),
        "the recorded answers are reproduced, p99 is 4 ms",
    )
    slow = judge_gates(version, verified("5.01"))
    assert (slow.open_stages, slow.closed, slow.message) == (
        1,
        frozenset({"test", "production"}),
        "LatencyTooHigh for test: p99 is 5.01 ms, allowed 5 ms",
    )


def test_what_is_not_verified_withdrawn_or_of_a_number_that_is_taken_enters_nothing() -> None:
    """Nor does anything enter a stage that it does not name."""
    known = a_candidate("dev")
    assert not known.may_enter("elsewhere")
    assert may_enter(Candidate(known.version, known.checked, None, passed=frozenset({"dev"}))) == []
    assert may_enter(a_candidate("dev", withdrawn=True)) == []
    taken = Candidate(known.version, known.checked, known.gates, competitor=a_version(1))
    assert may_enter(taken) == []
    assert Candidate(known.version, known.checked).open_stages == []


def test_a_number_belongs_to_the_older_object_and_of_equally_old_ones_to_the_first_by_name() -> None:
    """The other is told whose it is, and is not verified."""

    def owner(*versions: Any) -> list[str | None]:
        made = candidates(ModelView(NOW, SETTINGS, "team", "rain", versions), versions)
        return [each.competitor.metadata.name if each.competitor else None for each in made]

    old = a_version(1, metadata={"name": "z", "creationTimestamp": "2026-01-10T10:00:00Z"})
    new = a_version(1, metadata={"name": "a"})
    assert owner(new, old) == ["z", None]
    assert owner(a_version(1, metadata={"name": "b"}), new) == ["a", None]
    assert owner(a_version(1), a_version(2)) == [None, None]
    [told, _] = candidates(ModelView(NOW, SETTINGS, "team", "rain", (new, old)), [new, old])
    said = told.checked.verified
    assert (said.status, said.reason, said.message) == (
        "Unknown",
        "VersionConflict",
        'version 1 belongs to ModelVersion "z"',
    )
    assert told.checked.create == ()
