"""Every state of the four kinds that the simulated world comes through, as a client would read it from the server."""

from __future__ import annotations

import copy
import itertools
import json
import random
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from mlops.api import kinds, tasks
from mlops.api.crd import crd
from mlops.engine import problems
from mlops.planning import readiness
from mlops.planning.plan import Key, Manifest
from tests.planning.builders import NOW, a_monitor, a_run, a_template, a_version
from tests.planning.test_any_history import OBJECTS, STAGES, answers, happen
from tests.planning.test_loop import CHECK_TIME, a_world
from tests.planning.world import World
from tests.servers.process import program

GOLDEN = Path(__file__).parents[1] / "planning" / "golden"
# What an outage says: exit code 1, tried again.
PASSING = ("SourceUnavailable", "StoreUnavailable")
ENGINE = (problems.NAME_TAKEN, problems.INVALID_SPEC, problems.CHILD_REFUSED)


@dataclass(frozen=True)
class State:
    """An object at one time; `how` says how it came there."""

    how: str
    manifest: Manifest

    @property
    def kind(self) -> str:
        return str(self.manifest["kind"])

    @property
    def status(self) -> Manifest:
        return dict(self.manifest["status"])

    @property
    def is_seen(self) -> bool:
        """Return whether the status is about the present spec."""
        return bool(self.status["observedGeneration"] == self.manifest["metadata"]["generation"])

    @property
    def is_suspended(self) -> bool:
        return bool(self.manifest["spec"].get("suspend", False))

    def condition(self, type_: str) -> Manifest | None:
        return next((dict(c) for c in self.status.get("conditions", ()) if c["type"] == type_), None)

    def says(self, type_: str) -> tuple[str | None, str | None]:
        """Return status and reason of a condition."""
        found = self.condition(type_) or {}
        return found.get("status"), found.get("reason")

    def __str__(self) -> str:
        return f"{self.how}:\n{yaml.safe_dump(self.manifest, sort_keys=False)}"


def as_served(manifest: Manifest) -> Manifest:
    """Return the object as an API server gives it out: what it has no status of gets the definition's default."""
    served = copy.deepcopy(manifest)
    served["metadata"].setdefault("generation", 1)
    if not served.get("status", {}).get("conditions"):
        served["status"] = _first_status(manifest["kind"])
    return served


@cache
def _first_status(kind: str) -> Manifest:
    schema = crd(kinds.KINDS[kind])["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return dict(schema["properties"]["status"]["default"])


class States:
    """States without repetition: times, messages and digests make no difference to who waits for an object."""

    def __init__(self) -> None:
        self._by_mark: dict[str, State] = {}

    def note(self, how: str, manifest: Manifest) -> None:
        state = State(how, as_served(manifest))
        conditions = [(c["type"], c["status"], c["reason"]) for c in state.status.get("conditions", ())]
        spec = state.manifest["spec"]
        switches = (state.is_suspended, spec.get("withdrawn", False), bool(spec.get("triggers")))
        leaving = "deletionTimestamp" in state.manifest["metadata"]
        mark = json.dumps([state.kind, state.status["observedGeneration"] < 0, state.is_seen, conditions, switches])
        self._by_mark.setdefault(mark + str(leaving), state)

    def __iter__(self) -> Iterator[State]:
        return iter(list(self._by_mark.values()))

    def __len__(self) -> int:
        return len(self._by_mark)


class WatchedWorld(World):
    """The simulated world, with somebody who reads each object whenever it changes."""

    def __init__(self, states: States, pods: Any = None) -> None:
        super().__init__(pods)
        self._states = states

    def put(self, *resources: Any) -> None:
        super().put(*resources)
        for resource in resources:
            self.seen("just applied", Key(*resource.key))

    def change(self, kind: str, name: str, **spec: Any) -> None:
        super().change(kind, name, **spec)
        self.seen("just edited", Key(kind, "team", name))

    def seen(self, how: str, key: Key) -> None:
        self._states.note(how, self.objects[key])

    def _write_status(self, key: Key, status: Manifest) -> bool:
        written = super()._write_status(key, status)
        if written:
            self.seen("planned", key)
        return written

    def _create(self, manifest: Manifest) -> bool:
        made = super()._create(manifest)
        if made and manifest["kind"] in kinds.KINDS:
            self.seen("just made by the operator", Key(manifest["kind"], "team", manifest["metadata"]["name"]))
        return made

    def _run_job(self, key: Key, manifest: Manifest) -> None:
        super()._run_job(key, manifest)
        message, code = self.messages.get(key.name, ("", 0))
        if code and any(f'"{reason}"' in message for reason in PASSING):
            self.messages[key.name] = (message, 1)


EDITS: dict[str, list[Manifest]] = {
    "Dataset": [{"governance": {"owner": "me"}}, {"format": "csv"}, {"refresh": {"schedule": "0 3 * * *"}}],
    "TrainingRun": [{"suspend": True}, {"suspend": False}],
    "ModelVersion": [{"capture": {"percent": 50}}, {"withdrawn": True}, {"withdrawn": False}],
    "DriftMonitor": [{"schedule": "30 * * * *"}, {"trainingRunRef": {"name": "nobody"}}],
}
# Beside those of the planners' own random histories.
MORE_OBJECTS = [
    a_monitor(metadata={"name": "other"}, spec={"trainingRunRef": {"name": "rain-1"}}),
    a_monitor(metadata={"name": "resting"}, spec={"suspend": True}),
    a_run(metadata={"name": "third"}, spec={"datasetRef": {"version": 7}}),
    a_run(metadata={"name": "later"}, spec={"suspend": True}),
    a_template(metadata={"name": "resting"}, spec={"suspend": True}),
    a_version(4, spec={"artifact": None, "source": {"trainingRunRef": {"name": "nobody"}}}),
]
# Its gate of production holds for some answers only.
SLOW = a_version(2, spec={"promotion": STAGES})
REASONS = ("Rejected", "DigestMismatch", *PASSING)


def _any_pods(chance: random.Random) -> Callable[[tasks.Task], Any]:
    """Return pods that answer well, answer badly, fail, or are still at work; now and then not the same twice."""
    if chance.random() < 0.15:
        return lambda task: None
    if chance.random() < 0.3:
        failure = tasks.FailureReport(reason=chance.choice(REASONS), message="no")
        return lambda task: failure
    value, verdict = chance.choice(["0.5", "0.9", "0.9", "3"]), chance.choice(["Stable", "DataDrift", "ConceptDrift"])
    if chance.random() < 0.3:
        return lambda task: answers(chance.choice("0123456789"), value, verdict)(task)
    return answers(chance.choice("0123456789"), value, verdict)


def _happen(world: World, chance: random.Random, hour: int) -> None:
    keys = sorted(world.objects)
    what = chance.choice(
        ["put", "put", "pods", "pods", "edit", "edit", "schedule", "suspend", "break", "delete", "time"]
    )
    match what:
        case "put":
            happen(world, "put", chance.choice(OBJECTS + MORE_OBJECTS))
        case "pods":
            world.pods = _any_pods(chance)
        case "break":
            happen(world, "break", chance.choice("0123456789"))
        case "schedule":
            for name in world.names("CronJob"):
                world.schedule(name, CHECK_TIME + timedelta(hours=hour))
        case "edit" if ours := [key for key in keys if key.kind in kinds.KINDS]:
            key = chance.choice(ours)
            world.change(key.kind, key.name, **chance.choice(EDITS[key.kind]))
        case "suspend" | "delete":
            happen(world, what, chance.randrange(30))
        case "time":
            world.now += timedelta(hours=2)


def _walk(states: States, histories: int) -> None:
    for seed in range(histories):
        chance = random.Random(seed)
        world = WatchedWorld(states, answers("1", "0.9", "Stable") if chance.random() < 0.7 else _any_pods(chance))
        # Most histories begin with what belongs together.
        world.put(
            *OBJECTS[:1], *chance.sample([a_template(), a_run(), a_version(1), SLOW, a_monitor()], chance.randint(1, 4))
        )
        for hour in range(14):
            for _ in range(chance.randint(1, 3)):
                for plan in world.plans():
                    world.carry_out(plan)
                world.tick()
            _happen(world, chance, hour)


def _loop(states: States) -> None:
    """The whole loop, from the first sync of the data to the version that a drift led to."""
    undisturbed = a_world()
    world = WatchedWorld(states, undisturbed.pods)
    world.objects = undisturbed.objects
    world.settle()
    world.schedule("rain-drift-check", CHECK_TIME)
    world.settle()


def _unequal(states: States) -> None:
    """A training that gives another model each time."""
    letters = itertools.cycle("ab")
    world = WatchedWorld(states, lambda task: answers(next(letters), "0.9", "Stable")(task))
    world.put(OBJECTS[0], a_run(spec={"reproducibility": {"verify": "Once"}}))
    world.settle()


def _golden(states: States) -> None:
    """The plans that reviewers read."""
    for path in sorted(GOLDEN.glob("*.yaml")):
        for address, status in yaml.safe_load(path.read_text()).get("statuses", {}).items():
            kind, namespace, name = address.split("/")
            metadata = {"name": name, "namespace": namespace, "generation": status["observedGeneration"]}
            manifest = {"apiVersion": "mlops.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": {}}
            states.note(f"golden file {path.name}", {**manifest, "status": status})


def _engine(states: States) -> None:
    """What the engine says of its own, over whatever a planner had said."""
    for state in states:
        for reason in ENGINE:
            said = readiness.laid_over_manifest(state.manifest, readiness.stalled(reason, f"told {reason}"), now=NOW)
            states.note(f"{state.how}, then {reason}", {**state.manifest, "status": said})


def _leaving(states: States) -> None:
    for state in states:
        metadata = state.manifest["metadata"] | {"deletionTimestamp": "2026-01-10T12:00:00Z"}
        states.note(f"{state.how}, then deleted", {**state.manifest, "metadata": metadata})


@cache
def all_states() -> tuple[State, ...]:
    """Return every distinct state that was come through; half a minute of work, once a session."""
    states = States()
    _loop(states)
    _unequal(states)
    _walk(states, histories=80)
    _golden(states)
    _engine(states)
    _leaving(states)
    return tuple(states)


def judged(manifests: Iterator[Manifest] | list[Manifest]) -> list[dict[str, dict[str, str]]]:
    """Return for each object what cli-utils (`upstream`) and Flux (`flux`) make of it: `status` and `message`."""
    lines = "\n".join(json.dumps(manifest) for manifest in manifests)
    ended = subprocess.run([program("kstatus")], input=lines, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


@cache
def all_verdicts() -> tuple[str, ...]:
    """Return upstream's verdict on each of `all_states()`, in their order."""
    return tuple(each["upstream"]["status"] for each in judged([state.manifest for state in all_states()]))
