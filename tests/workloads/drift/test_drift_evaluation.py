"""The evaluation of the drift check can make and decide every event, and counts what it prints rightly."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from bench.drift_copulas import EVENTS, Event
from bench.drift_evaluation import ROUND, Record, check, judge, make_stream, misses, plan, report, wilson
from bench.drift_truth import World
from mlops.workloads.drift.findings import Verdict

VERDICTS = get_args(Verdict)


@pytest.mark.parametrize("event", [pytest.param(event, id=event.name) for event in EVENTS])
def test_a_stream_of_each_event_is_made_and_decided(event: Event) -> None:
    stream = make_stream(event, 1.0, "season x1" if event.name == "recurring season" else "iid", 7, small=True)

    decision = check(stream, -1)

    assert decision.verdict in VERDICTS
    assert decision.sentence


def test_the_same_number_gives_the_same_record() -> None:
    first, again = (judge(3, 42, small=True) for _ in range(2))

    assert replace(first, seconds=0.0) == replace(again, seconds=0.0)


def test_a_round_of_streams_holds_every_event_in_both_sizes() -> None:
    drawn = [plan(number, 900_000) for number in range(len(ROUND))]

    assert sorted((e.name, s) for e, s, _ in drawn) == sorted((e.name, s) for e, s in ROUND)
    assert all(d.startswith("season") for e, _, d in drawn if e.name == "recurring season")


def test_a_changed_correlation_leaves_the_marginals_where_they_were() -> None:
    event = next(event for event in EVENTS if event.name == "correlation")
    world = World(event, 1.0, "iid", 11)
    a, b = world.pairs[0]
    before, after = (world._innovations(20_000, happened) for happened in (False, True))

    assert np.corrcoef(before[:, a], before[:, b])[0, 1] == pytest.approx(0.8, abs=0.03)
    assert np.corrcoef(after[:, a], after[:, b])[0, 1] == pytest.approx(-0.8, abs=0.03)
    assert after[:, b].mean() == pytest.approx(0.0, abs=0.03)
    assert after[:, b].std() == pytest.approx(1.0, abs=0.03)


def test_a_moved_class_balance_reaches_the_balance_that_it_names() -> None:
    event = next(event for event in EVENTS if event.name == "prior")
    world = next(w for w in (World(event, 1.0, "iid", seed) for seed in range(20)) if w.prior == "balanced")

    after = world.draw(10, happened=True, since=10)

    assert (after.target == "yes").mean() == pytest.approx(0.8, abs=0.06)


def test_the_tables_count_alarms_and_misses() -> None:
    record = Record(
        number=0,
        event="flip",
        family="concept",
        size=1.0,
        dependence="iid",
        task="regression",
        relation="linear",
        table="",
        columns=5,
        rows=500,
        sd=1.0,
        quiet=["Stable", "DataDrift"],
        quiet_sentences=["x0 moved"],
        quiet_baseline=[True, True],
        verdict="Stable",
        sentence="nothing",
        baseline=False,
        seconds=1.0,
    )

    assert "| flip | 1/2 | 0 | 0/1 | 0/1 | - | {'Stable': 1} |" in report([record])
    assert misses([record]).count("\n") == 1
    assert wilson(0, 162) == "0/162 = 0.0 % (0.0 to 2.3)"
