"""Replaying a model's record gives the statuses, whatever happened, and says of any time what answered then."""

from __future__ import annotations

from datetime import datetime
from random import Random
from typing import Any

import pytest

from mlops.api import tasks
from mlops.planning import model_history
from mlops.planning.history_chain import ChainHead, checked
from mlops.planning.history_entries import entries
from mlops.planning.history_replay import Stages, after, in_time, live_at
from mlops.planning.plan import Manifest
from tests.planning.builders import a_verify_report, a_version, digest
from tests.planning.world import World

STAGES = ("staging", "production")
STEPS = 200


def _promotion(*names: str) -> dict[str, Any]:
    return {"stages": [{"name": name} for name in names]}


class Drawn:
    """A world in which anything may happen to the versions of a model, and what was seen to serve when."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.world = World(lambda task: a_verify_report() if isinstance(task, tasks.VerifyTask) else None)
        self.newest = 0
        # By time: what each stage answered with.
        self.seen: dict[datetime, dict[str, str]] = {}
        self.full: dict[str, Manifest] = {}

    def step(self) -> None:
        """Let one thing happen, plan, and let some time go by. Every third plan dies between two of its writes."""
        self._happen()
        crash = self.random.random() < 0.3
        self.plan(writes=self.random.randrange(4) if crash else 1_000_000)
        if not crash:
            self.check()
        self.world.tick()

    def plan(self, *, writes: int) -> None:
        """Carry out a plan of all versions, or so much of it."""
        if names := self.world.names("ModelVersion"):
            self.world.carry_out(self.world.plan("ModelVersion", names[0]), writes=writes)

    def _happen(self) -> None:
        names = self.world.names("ModelVersion")
        name = self.random.choice(names) if names else ""
        match self.random.randrange(9):
            case 0 | 1:
                self.newest += 1
                stages = self.random.choice([STAGES, STAGES[1:], STAGES[::-1]])
                artifact = {"digest": digest(self.random.choice("0123456789abcdef"))}
                spec = {"promotion": _promotion(*stages), "artifact": artifact}
                self.world.put(a_version(self.newest, spec=spec))
            case 2 | 3 if names:
                there = self.world.get("ModelVersion", name).spec.withdrawn
                self.world.change("ModelVersion", name, withdrawn=not there)
            case 4 if len(names) > 1:
                self.world.delete("ModelVersion", name)
            case 5 if names:
                stages = self.random.choice([STAGES, STAGES[1:], STAGES[:1]])
                self.world.change("ModelVersion", name, promotion=_promotion(*stages))
            case 6:
                self.world.broken_artifacts ^= {digest(self.random.choice("0123456789abcdef"))}
            case 7 if names:
                self.world.annotate("ModelVersion", name, "mlops.dev/retry", str(self.random.random()))

    def history(self) -> list[Manifest]:
        return [manifest for key, manifest in self.world.objects.items() if key.kind == "ConfigMap"]

    def served(self) -> dict[str, str]:
        versions = [self.world.get("ModelVersion", name) for name in self.world.names("ModelVersion")]
        return {stage: version.metadata.name for version in versions for stage in version.status.stages}

    def check(self) -> None:
        """Hold the record to what is."""
        recorded = entries(self.history())
        served = self.served()
        for stages in (after(recorded), after(in_time(recorded))):
            assert {stage: entry["version"] for stage, entry in stages.live.items()} == served
        self.seen[self.world.now] = served
        versions = [self.world.get("ModelVersion", name) for name in self.world.names("ModelVersion")]
        heads = {
            each.metadata.name: ChainHead(head.entries, head.hash)
            for each in versions
            if (head := each.status.history_head)
        }
        assert checked("rain", self.history(), heads).fault is None
        for each in self.history():
            name = each["metadata"]["name"]
            assert self.full.get(name, each)["data"] == each["data"]
            if each.get("immutable"):
                self.full[name] = each


@pytest.mark.parametrize("seed", range(2))
def test_the_record_of_any_history_replays_to_the_statuses(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each plan, dead ones in between; and at each time that was seen it says what answered then."""
    monkeypatch.setattr(model_history, "SEGMENT_BYTES", 5_000)
    drawn = Drawn(seed)
    for _ in range(STEPS):
        drawn.step()
    drawn.plan(writes=1_000_000)
    drawn.check()
    assert len(drawn.seen) > STEPS / 2
    assert len(drawn.full) > 3
    recorded = in_time(entries(drawn.history()))
    for time, served in drawn.seen.items():
        assert {stage: entry["version"] for stage, entry in live_at(recorded, time).items()} == served, time
    registered = [entry["uid"] for entry in recorded if entry["event"] == "Registered"]
    assert len(registered) == len(set(registered)) == drawn.newest, "none is doubled, none is lost"


def _entry(event: str, number: int, stage: str | None = None) -> dict[str, Any]:
    time = "2026-01-10T12:00:00Z"
    known = {"time": time, "event": event, "version": f"rain-v{number}", "number": number, "uid": str(number)}
    return {**known, **({"stage": stage} if stage else {})}


def test_an_entry_tells_from_which_stages_a_version_came_and_where_it_is() -> None:
    stages = Stages()
    told = [
        stages.told(_entry(*what))
        for what in (
            ("Registered", 1),
            ("Live", 1, "staging"),
            ("Live", 1, "production"),
            ("Failed", 1, "production"),
            ("Left", 1, "production"),
            ("Live", 2, "staging"),
            ("Superseded", 1),
        )
    ]
    assert [(each["from"], each["to"]) for each in told] == [
        ([], []),
        ([], ["staging"]),
        (["staging"], ["staging", "production"]),
        (["staging", "production"], ["staging", "production"]),
        (["staging", "production"], ["staging"]),
        ([], ["staging"]),
        ([], []),
    ]


def test_an_older_version_is_live_again_because_a_newer_one_left() -> None:
    """It names that one and how it left; one that follows an older one is a rollout."""
    stages = Stages()
    for what in (("Live", 1, "production"), ("Live", 2, "production"), ("Withdrawn", 2)):
        stages.told(_entry(*what))
    assert (
        stages.told({**_entry("Live", 1, "production"), "cause": "rollout"})["cause"]
        == "ModelVersion/rain-v2 Withdrawn"
    )
    stages.told(_entry("Withdrawn", 1))
    assert stages.told({**_entry("Live", 3, "production"), "cause": "rollout"})["cause"] == "rollout"
    assert stages.told({**_entry("Live", 2, "production"), "cause": "rollout"})["cause"] == "rollout"


def test_what_was_live_after_many_segments_is_found_without_deep_recursion() -> None:
    """A record of a thousand ConfigMaps is read in one go after a start."""
    line = '{"event":"Live","number":1,"stage":"a","time":"2026-01-10T12:00:00Z","uid":"u","version":"rain-v1"}\n'
    assert set(model_history._stages_after((line,) * 1_500).live) == {"a"}
