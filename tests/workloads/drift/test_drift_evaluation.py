"""The evaluation of the drift check can make and decide every event, and counts what it prints rightly."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from bench.drift_copulas import Event
from bench.drift_evaluation import FAMILIES, Record, check, judge, make_stream, misses, plan, report, wilson
from bench.drift_structural import PRIORS_AFTER, Structural
from bench.drift_truth import World
from mlops.workloads.drift.findings import Verdict

VERDICTS = get_args(Verdict)
COPULAS = {event.name: event for event in FAMILIES["copulas"].events}
STRUCTURAL = {event.name: event for event in FAMILIES["structural"].events}


@pytest.mark.parametrize(
    ("family", "event"),
    [pytest.param(name, event, id=f"{name}-{event.name}") for name, f in FAMILIES.items() for event in f.events],
)
def test_a_stream_of_each_event_is_made_and_decided(family: str, event: Event) -> None:
    dependence = "season x2" if event.name == "recurring season" else "iid"
    stream = make_stream(FAMILIES[family], event, 1.0, dependence, 7, small=True)

    decision = check(stream, -1)

    assert decision.verdict in VERDICTS
    assert decision.sentence


@pytest.mark.parametrize("family", list(FAMILIES))
def test_the_same_number_gives_the_same_record(family: str) -> None:
    first, again = (judge(FAMILIES[family], 3, 42, small=True) for _ in range(2))

    assert replace(first, seconds=0.0) == replace(again, seconds=0.0)


@pytest.mark.parametrize("name", list(FAMILIES))
def test_a_round_of_streams_holds_every_event_in_both_sizes(name: str) -> None:
    family = FAMILIES[name]
    drawn = [plan(family, number, 900_000) for number in range(len(family.round))]

    assert sorted((e.name, s) for e, s, _ in drawn) == sorted((e.name, s) for e, s in family.round)
    assert all(d.startswith("season") for e, _, d in drawn if e.name == "recurring season")


def test_a_changed_correlation_leaves_the_marginals_where_they_were() -> None:
    world = World(COPULAS["correlation"], 1.0, "iid", 11)
    a, b = world.pairs[0]
    before, after = (world._innovations(20_000, happened) for happened in (False, True))

    assert np.corrcoef(before[:, a], before[:, b])[0, 1] == pytest.approx(0.8, abs=0.03)
    assert np.corrcoef(after[:, a], after[:, b])[0, 1] == pytest.approx(-0.8, abs=0.03)
    assert after[:, b].mean() == pytest.approx(0.0, abs=0.03)
    assert after[:, b].std() == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("dependence", [d for d in FAMILIES["structural"].dependences if not d.startswith("season")])
def test_windows_of_a_structural_world_are_alike_until_something_happens(dependence: str) -> None:
    """Means of a node over windows scatter about zero, and its spread stays; whatever rows have in common."""
    world = Structural(STRUCTURAL["nothing"], 1.0, dependence, 5)
    share = (np.arange(4000) + 0.5) / 4000
    values = [world._nodes(world._uniforms(4000, share, i), happened=False) for i in range(12)]
    limit = 0.35 if dependence in ("ar.95", "devices") else 0.2

    assert np.abs(np.mean([v.mean(axis=0) for v in values], axis=0)).max() < limit
    assert np.mean([v.std(axis=0) for v in values], axis=0) == pytest.approx(1.0, abs=0.25)


@pytest.mark.parametrize("name", ["mean", "spread", "mechanism", "selection", "one of 80", "mix", "gradual", "prior"])
def test_what_moves_inputs_leaves_the_relation_where_it_was(name: str) -> None:
    world = Structural(STRUCTURAL[name], 1.0, "iid", 3)
    columns = world.draw(9, happened=True, since=9).columns

    before, after = (world._scores(columns, happened=happened) for happened in (False, True))

    assert np.array_equal(before, after, equal_nan=True)


@pytest.mark.parametrize("name", [e.name for e in STRUCTURAL.values() if e.family == "concept"])
def test_what_moves_the_relation_leaves_the_inputs_where_they_were(name: str) -> None:
    world = Structural(STRUCTURAL[name], 1.0, "iid", 3)
    u = np.random.default_rng(1).random((500, world.width))

    assert np.array_equal(world._nodes(u, happened=False), world._nodes(u, happened=True))


def test_mechanisms_that_turn_leave_each_input_where_it_was_and_turn_it_against_its_parents() -> None:
    world = Structural(STRUCTURAL["mechanism"], 1.0, "iid", 11)
    u = np.random.default_rng(1).random((20_000, world.width))
    before, after = (world._nodes(u, happened=happened) for happened in (False, True))
    i = min(world.followers)
    parents = world.nodes[i].parents

    assert after[:, i].mean() == pytest.approx(before[:, i].mean(), abs=0.05)
    assert after[:, i].std() == pytest.approx(before[:, i].std(), abs=0.1)
    pulled = before[:, parents] @ world.nodes[i].weights
    assert np.corrcoef(pulled, before[:, i])[0, 1] > 0.3
    assert np.corrcoef(after[:, parents] @ world.nodes[i].weights, after[:, i])[0, 1] < -0.3


def test_classes_of_a_structural_world_have_the_shares_that_it_names() -> None:
    worlds = [Structural(STRUCTURAL["prior"], 1.0, "iid", seed) for seed in range(12)]
    for world in {world.prior: world for world in worlds}.values():
        quiet, after = (world.draw(9, happened=happened, since=9).target for happened in (False, True))
        names = sorted(set(quiet.tolist()))

        assert [float((quiet == n).mean()) for n in names] == pytest.approx(world.priors.tolist(), abs=0.08)
        assert [float((after == n).mean()) for n in names] == pytest.approx(PRIORS_AFTER[world.prior], abs=0.08)


def test_a_moved_class_balance_reaches_the_balance_that_it_names() -> None:
    world = next(w for w in (World(COPULAS["prior"], 1.0, "iid", seed) for seed in range(20)) if w.prior == "balanced")

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
