"""The loop on a stream in one process, as `bench/loop_worth.py` plays it: what the guard lets through, for ever."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bench.loop_adversary import ever_drifting, let_through
from bench.loop_world import Loop, Work
from bench.loop_worth import played, trained_after
from mlops.api.drift_monitor import Guard

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_a_stream_that_drifts_for_ever_stays_within_cooldown_cap_and_circuit() -> None:
    """Twelve windows of twelve hours: six days, each of which has something to retrain for."""
    found = let_through(ever_drifting(timedelta(hours=12), windows=12), Guard(), windows=12)
    assert found.windows == 12
    assert sum(found.verdicts.get(each, 0) for each in ("ConceptDrift", "DataDrift")) > found.runs, "more was asked for"
    assert 1 <= found.runs <= 3, "the cap of a week"
    assert found.most_in_a_week <= 3
    assert found.shortest_pause is None or found.shortest_pause >= timedelta(hours=24)
    assert found.beyond_circuit == 0
    assert found.refusals.get("InCooldown", 0) + found.refusals.get("WeeklyLimit", 0) > 0


def test_a_policy_is_measured_by_the_answers_of_what_was_live(tmp_path: Path) -> None:
    """Never has one model; with a run after the second window the later rows are another model's."""
    stream = ever_drifting(timedelta(hours=12), windows=4)
    work = Work(stream, tmp_path)
    never, once = trained_after(work, ()), trained_after(work, (1,))
    begun = never.live[0][0]
    assert (never.runs(), len(never.live)) == (0, 1)
    assert once.runs() == 1
    first = Loop(work, checks=False)
    assert first.live == never.live[:1] == once.live[:1], "all begin with one model"
    second = begun + 2 * stream.window
    assert never.answered(begun, second).equals(once.answered(begun, second))
    assert never.value(begun, never.end) == never.value(begun, never.end)
    assert 0.0 <= never.value(begun, never.end) <= 1.0


def test_a_template_that_waits_for_more_rows_makes_its_run_when_they_have_come(tmp_path: Path) -> None:
    """Each of four windows brings 240: a quarter more than the 1,921 at first are there after one, and then after the
    last."""
    work = Work(ever_drifting(timedelta(hours=12), windows=4), tmp_path)
    grown = played(Loop(work, checks=False, growth=25))
    runs = [grown.get("TrainingRun", name) for name in grown.names("TrainingRun")]
    assert [entry.rows for entry in grown.get("Dataset", "rows").status.history] == [3361, 3121, 2881, 2641, 1921]
    assert sorted(run.status.resolved.dataset_version for run in runs if run.status.resolved) == [1, 2, 5]
    assert grown.runs() == 2
    assert played(Loop(work, checks=False)).runs() == 0
