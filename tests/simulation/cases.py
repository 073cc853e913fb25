"""One run of the simulation: a story, the faults in it, and the seed of everything else; as JSON and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from random import Random
from typing import Any

from mlops.cluster.kinds import WATCHED
from mlops.planning import model_history
from mlops.planning.plan import Key, Settings
from tests.planning.builders import SETTINGS
from tests.simulation import scenarios
from tests.simulation.invariants import Violation
from tests.simulation.scenarios import SCENARIOS, Step
from tests.simulation.users import TEAM
from tests.simulation.world import World

# Faults of a step come within so many seconds after the user has acted.
_STORM_SECONDS = 150.0
# In a storm the user does all steps in this time, and does not wait for anything.
_ALL_STEPS_SECONDS = 240.0
# In so many of the cases only a few kinds of things go wrong, but those again and again: what hides behind two faults
# of one kind is rarely met when everything may happen (swarm testing: Groce et al., ISSTA 2012).
_FEW = 0.5
_REST_MINUTES = 600.0
_SEGMENT_BYTES = 2_000
_LATER = replace(SETTINGS, image="mlops-workloads:later", environment_digest="sha256:" + "f" * 64)


@dataclass(frozen=True)
class Disturbance:
    """One thing that goes wrong, `at` seconds after the user did a step. `what` names it in `DISTURBANCES`."""

    step: int
    at: float
    what: str
    args: dict[str, Any]


@dataclass(frozen=True)
class Case:
    """What is run. A `story` waits for the end of each step, and has to look in the end as if nothing had gone wrong;
    in a `storm` the user waits for nothing, pods fail for good, and only what must always hold is asked for."""

    scenario: str
    seed: int
    replicas: int = 1
    # With 2 there are two releases at once: of two replicas one each, and whoever is restarted is of the later one.
    releases: int = 1
    storm: bool = False
    disturbances: tuple[Disturbance, ...] = ()

    def dump(self) -> str:
        """Return the case as JSON."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def load(cls, text: str) -> Case:
        """Read a case from JSON."""
        read = json.loads(text)
        return cls(**{**read, "disturbances": tuple(Disturbance(**each) for each in read["disturbances"])})

    @property
    def quiet(self) -> Case:
        """Return the same story with nothing going wrong."""
        return Case(self.scenario, 0)


@dataclass(frozen=True)
class Result:
    """What came of a case. `violation` is (name, message), None if all invariants held."""

    steps: int
    seconds: float
    pictures: tuple[dict[str, Any], ...]
    violation: tuple[str, str] | None = None
    at_step: int = 0
    # Reasons of the Events that warned.
    warnings: tuple[str, ...] = ()


# --- what can go wrong ---


def _slot(random: Random) -> dict[str, Any]:
    return {"slot": random.randrange(2)}


def _weather(random: Random) -> dict[str, Any]:
    worse = random.choice(
        [
            {"latency": random.uniform(0.2, 2.0)},
            {"lost": random.uniform(0.05, 0.5)},
            {"unanswered": random.uniform(0.05, 0.5)},
            {"refused": True},
            {"status": random.choice([500, 503, 403, 401])},
            {"status": 429, "retry_after": float(random.randrange(1, 15))},
            {"stale": random.randrange(1, 60)},
            {"stale": random.randrange(1, 200)},
            {"watch_delay": random.uniform(1.0, 40.0)},
            {"events_lost": random.uniform(0.05, 1.0)},
            {"events_doubled": random.uniform(0.1, 1.0)},
            {"events_reordered": random.uniform(0.1, 1.0)},
        ]
    )
    seconds = random.uniform(0.5, 8.0) if random.random() < 0.4 else random.uniform(1.0, 75.0)
    return {**_slot(random), "seconds": seconds, "changes": worse}


def _cut(random: Random) -> dict[str, Any]:
    kinds = random.sample(sorted(WATCHED), random.choice([1, 2, len(WATCHED)]))
    return {**_slot(random), "kinds": kinds, "seconds": random.uniform(0.5, 60.0), "expired": random.random() < 0.5}


def _stall(random: Random) -> dict[str, Any]:
    # What comes over two watches, a Job and its pod, is what a late one can spoil.
    kind = random.choice([*sorted(WATCHED), "Pod", "Pod", "Job"])
    return {**_slot(random), "kind": kind, "seconds": random.uniform(1.0, 45.0)}


def _silence(random: Random) -> dict[str, Any]:
    kinds = random.sample(sorted(WATCHED), random.choice([1, 2, len(WATCHED), len(WATCHED)]))
    return {**_slot(random), "kinds": kinds, "seconds": random.uniform(5.0, 75.0)}


def _at_write(random: Random) -> dict[str, Any]:
    return {**_slot(random), "count": random.randrange(1, 12), "after": random.random() < 0.5}


def _pause(random: Random) -> dict[str, Any]:
    return {**_slot(random), "seconds": random.choice([3.0, 9.0, 12.0, 16.0, 40.0])}


def _passing(random: Random) -> dict[str, Any]:
    fate = random.choice(["evicted", "late", "image", "unschedulable"])
    return {"seconds": random.uniform(5.0, 60.0), "changes": {fate: random.uniform(0.1, 0.7)}}


def _unseen(random: Random) -> dict[str, Any]:
    fates = {random.choice(["evicted", "late", "evicted"]): random.uniform(0.3, 0.9)}
    kinds = random.choice([["Pod"], ["Pod"], ["Job"], ["Job", "Pod"]])
    later = random.uniform(0.0, 60.0)
    return {**_slot(random), "seconds": random.uniform(20.0, 75.0), "changes": fates, "kinds": kinds, "later": later}


def _final(random: Random) -> dict[str, Any]:
    fates = ["fail", "fail", "fail", "bad_input", "hang", "out_of_memory", "vanish", "garbage", "silent", "never_ready"]
    share = random.choice([random.uniform(0.1, 0.9), 1.0])
    return {"seconds": random.uniform(5.0, 240.0), "changes": {random.choice(fates): share}}


def _child(random: Random) -> dict[str, Any]:
    return {"kind": random.choice(["Deployment", "Service", "CronJob"]), "index": random.randrange(10)}


def _object(random: Random) -> dict[str, Any]:
    kinds = ["Dataset", "TrainingRun", "ModelVersion", "DriftMonitor"]
    return {"kind": random.choice(kinds), "index": random.randrange(10)}


def _job(random: Random) -> dict[str, Any]:
    return {"index": random.randrange(10)}


def _deletion(random: Random) -> dict[str, Any]:
    return {**_object(random), "propagation": random.choice(["Background", "Foreground", "Orphan"])}


def _recreation(random: Random) -> dict[str, Any]:
    return {**_object(random), "pause": random.choice([0.0, 0.05, 2.0]), "unseen": random.random() < 0.4}


def _do_weather(world: World, slot: int, seconds: float, changes: dict[str, Any]) -> None:
    world.change_weather(slot, seconds, **changes)


def _do_fates(world: World, seconds: float, changes: dict[str, float]) -> None:
    world.change_fates(seconds, **changes)


def _do_unseen(
    world: World, slot: int, seconds: float, changes: dict[str, float], kinds: list[str], later: float
) -> None:
    # That the first pod failed is seen, and what came of the next one is not.
    world.change_fates(seconds, **changes)
    for kind in kinds:
        world.loop.call_later(later, world.stall, slot, kind, seconds)


def _nth(world: World, kind: str, index: int) -> Key | None:
    found = [each for each in world.server.list(kind) if not each["metadata"].get("deletionTimestamp")]
    return Key(kind, TEAM, found[index % len(found)]["metadata"]["name"]) if found else None


def _do_delete(world: World, kind: str, index: int, propagation: str = "Background") -> None:
    if (key := _nth(world, kind, index)) is not None:
        world.user.delete(key, propagation)


def _do_strip(world: World, kind: str, index: int) -> None:
    # Of what nobody owns any more nobody is left to mend it: that would be orphaning, as with --cascade=orphan.
    if (key := _nth(world, kind, index)) is not None and world.is_owned(key):
        world.user.strip_owners(key)


def _do_scale(world: World, index: int) -> None:
    if (key := _nth(world, "Deployment", index)) is not None:
        # To take all pods away is to turn an autoscaler off, which is a person's to say and to take back.
        scaled = any(
            "autoscaling" in stage
            for version in world.server.list("ModelVersion")
            for stage in (version["spec"].get("promotion") or {}).get("stages", ())
        )
        world.user.scale(key, max(index, 1) if scaled else index)


def _do_suspend(world: World, kind: str, index: int) -> None:
    key = _nth(world, kind, index)
    if key is not None and key.kind != "ModelVersion":
        spec = (world.server.get(key) or {})["spec"]
        world.user.change(key, {"spec": {"suspend": not spec.get("suspend", False)}})
    elif key is not None:
        spec = (world.server.get(key) or {})["spec"]
        world.user.change(key, {"spec": {"withdrawn": not spec.get("withdrawn", False)}})


def _do_recreate(world: World, kind: str, index: int, pause: float, *, unseen: bool) -> None:
    key = _nth(world, kind, index)
    if key is None:
        return
    if unseen:
        # Nobody sees that it was gone: the next list has it, with another uid.
        for slot in range(len(world.operators)):
            world.cut(slot, [kind], 5.0, expired=True)
    there = world.server.get(key) or {}
    again = {
        "apiVersion": there["apiVersion"],
        "kind": kind,
        "metadata": {"name": key.name, "namespace": key.namespace},
        "spec": there["spec"],
    }
    world.user.delete(key)
    world.loop.call_later(pause, lambda: world.user.create(again))


def _do_lease(world: World) -> None:
    for lease in world.server.list("Lease"):
        world.user.delete(Key("Lease", lease["metadata"]["namespace"], lease["metadata"]["name"]))


def _do_new_rows(world: World, letter: str) -> None:
    world.workloads.contents["weather"] = letter
    world.user.ask_for_a_sync("weather")


def _do_columns(world: World, back: float | None) -> None:
    key = Key("Dataset", TEAM, "weather")
    fields = scenarios.dataset()["spec"]["fields"]

    def other() -> None:
        there = (world.server.get(key) or {}).get("spec", {}).get("fields") or ()
        world.user.change(key, {"spec": {"fields": fields[1:] if len(there) == len(fields) else fields}})

    other()
    if back is not None:
        world.loop.call_later(back, other)


def _do_run_and_rows(world: World, letter: str, pause: float) -> None:
    world.user.create(scenarios.run(f"also-{letter}", letter.replace("a", "11")))
    world.loop.call_later(pause, lambda: _do_new_rows(world, letter))


def _hand_over(random: Random) -> dict[str, Any]:
    seconds = random.choice([16.0, 20.0, 30.0])
    return {**_slot(random), **_child(random), "seconds": seconds, "before": random.uniform(0.0, 0.3)}


def _do_hand_over(world: World, slot: int, seconds: float, before: float, **child: Any) -> None:
    # The one that was stopped had the Lease, does not know that another has it by now, and finds something to do.
    world.pause(slot, seconds)
    world.loop.call_later(seconds - before, lambda: _do_delete(world, **child))


@dataclass(frozen=True)
class _Kind:
    """How a disturbance is drawn, and how it happens. `passing`: nothing is left of it in the end."""

    draw: Callable[[Random], dict[str, Any]]
    happen: Callable[..., None]
    share: int
    passing: bool = True


DISTURBANCES: dict[str, _Kind] = {
    "weather": _Kind(_weather, _do_weather, 8),
    "cut": _Kind(_cut, World.cut, 4),
    "stall": _Kind(_stall, World.stall, 4),
    "silence": _Kind(_silence, World.silence, 4),
    "kill": _Kind(_slot, World.kill, 2),
    "kill at write": _Kind(_at_write, World.kill_at_write, 5),
    "terminate": _Kind(_slot, World.terminate, 1),
    "pause": _Kind(_pause, World.pause, 4),
    "pause at write": _Kind(
        lambda random: {**_slot(random), "count": random.randrange(1, 12), "seconds": random.choice([3.0, 12.0, 25.0])},
        World.pause_at_write,
        3,
    ),
    "writes are lost": _Kind(
        lambda random: {**_slot(random), "count": random.randrange(1, 12), "number": random.choice([1, 1, 2, 4])},
        World.lose_writes,
        4,
    ),
    "pods fare badly unseen": _Kind(_unseen, _do_unseen, 3),
    "a leader is stopped": _Kind(_hand_over, _do_hand_over, 2),
    "pods fare badly": _Kind(_passing, _do_fates, 3),
    "a child is deleted": _Kind(_child, _do_delete, 2),
    "a child's owners are taken off": _Kind(_child, _do_strip, 2),
    "a Job's owners are taken off": _Kind(_job, lambda world, index: _do_strip(world, "Job", index), 2, passing=False),
    "a Deployment is scaled": _Kind(_job, _do_scale, 1),
    "pods fail": _Kind(_final, _do_fates, 5, passing=False),
    "a Job is deleted": _Kind(_job, lambda world, index: _do_delete(world, "Job", index), 2, passing=False),
    "an object is deleted": _Kind(_deletion, _do_delete, 3, passing=False),
    "an object is made again": _Kind(_recreation, _do_recreate, 4, passing=False),
    "suspend or resume": _Kind(_object, _do_suspend, 4, passing=False),
    "new rows": _Kind(lambda random: {"letter": random.choice("3456789abcd")}, _do_new_rows, 6, passing=False),
    "other columns": _Kind(
        lambda random: {"back": random.choice([None, random.uniform(0.0, 20.0)])}, _do_columns, 8, passing=False
    ),
    "new rows while a run works": _Kind(
        lambda random: {"letter": random.choice("345678a"), "pause": random.uniform(0.0, 40.0)},
        _do_run_and_rows,
        6,
        passing=False,
    ),
    "the Lease is deleted": _Kind(lambda random: {}, _do_lease, 1, passing=False),
}


def draw(seed: int) -> Case:
    """Return the case of a seed."""
    random = Random(f"case {seed}")
    scenario = random.choice(sorted(SCENARIOS))
    storm = random.random() < 0.5
    steps = len(SCENARIOS[scenario])
    names = [name for name, kind in DISTURBANCES.items() if storm or kind.passing]
    if random.random() < _FEW:
        names = random.sample(names, random.randrange(1, 5))
    shares = [DISTURBANCES[name].share for name in names]
    found = []
    for step in range(steps):
        for _ in range(random.choice([0, 1, 2, 3, 5, 8])):
            name = random.choices(names, shares)[0]
            at = (
                round(random.uniform(0.0, _STORM_SECONDS), 3)
                if random.random() < 0.5
                else round(random.expovariate(0.1), 3)
            )
            found.append(Disturbance(step, at, name, DISTURBANCES[name].draw(random)))
    replicas, releases = random.choice([1, 2]), random.choice([1, 1, 2])
    return Case(scenario, seed, replicas, releases, storm, tuple(found))


# --- running ---


def run(case: Case) -> Result:
    """Run one case."""
    # Some entries fill a ConfigMap here: what happens between one and the next happens often.
    whole, model_history.SEGMENT_BYTES = model_history.SEGMENT_BYTES, _SEGMENT_BYTES
    try:
        return _run(case)
    finally:
        model_history.SEGMENT_BYTES = whole


def _run(case: Case) -> Result:
    world = World(case.seed, replicas=case.replicas, releases=_releases(case))
    pictures: list[dict[str, Any]] = []
    at_step = 0
    violation: tuple[str, str] | None = None
    try:
        steps = SCENARIOS[case.scenario]
        if case.storm:
            _all_at_once(world, case, steps)
        else:
            for at_step, step in enumerate(steps):
                _one_step(world, case, at_step, step)
                pictures.append(world.picture())
    except Violation as found:
        violation = (found.name, str(found))
    finally:
        world.close()
    warned = {str(each["reason"]) for each in world.server.list("Event") if each["type"] == "Warning"}
    return Result(world.steps, world.loop.time(), tuple(pictures), violation, at_step, tuple(sorted(warned)))


def _releases(case: Case) -> tuple[Settings, ...]:
    if case.releases == 1:
        return (SETTINGS,)
    # What a run is pinned to is another environment then, and an end another end.
    return SETTINGS, _LATER if case.storm else replace(SETTINGS, image=_LATER.image)


def _one_step(world: World, case: Case, number: int, step: Step) -> None:
    if number == 0:
        world.run(world.random.uniform(0.0, 3.0))
    world.begin_step()
    _schedule(world, case, number)
    step.act(world)
    world.run(_STORM_SECONDS if case.disturbances else 1.0)
    world.calm()
    world.come_to_rest(step.minutes, step.ends)
    world.check_rest()


def _all_at_once(world: World, case: Case, steps: tuple[Step, ...]) -> None:
    for number, step in enumerate(steps):
        at = world.random.uniform(0.0, _ALL_STEPS_SECONDS) * (number > 0)
        world.loop.call_later(at, _acting(world, step))
        world.loop.call_later(at, lambda number=number: _schedule(world, case, number))
    world.run(_ALL_STEPS_SECONDS + _STORM_SECONDS)
    world.calm()
    world.come_to_rest(_REST_MINUTES)
    world.check_rest()


def _acting(world: World, step: Step) -> Callable[[], None]:
    def act() -> None:
        try:
            step.act(world)
        except AssertionError:
            """What it was for is not there: then not."""

    return act


def _schedule(world: World, case: Case, step: int) -> None:
    for each in case.disturbances:
        if each.step == step:
            happen = DISTURBANCES[each.what].happen
            world.loop.call_later(each.at, lambda happen=happen, each=each: happen(world, **each.args))


_QUIET: dict[str, tuple[dict[str, Any], ...]] = {}


def judge(case: Case) -> Result:
    """Run a case, and compare each end of a story with that of the undisturbed one."""
    result = run(case)
    if result.violation is not None or case.storm:
        return result
    if case.scenario not in _QUIET:
        quiet = run(case.quiet)
        if quiet.violation is not None:
            return replace(quiet, violation=(quiet.violation[0], f"undisturbed: {quiet.violation[1]}"))
        _QUIET[case.scenario] = quiet.pictures
    for number, (wanted, found) in enumerate(zip(_QUIET[case.scenario], result.pictures, strict=True)):
        if wanted != found:
            return replace(result, violation=("SameEnd", _difference(wanted, found)), at_step=number)
    return result


def _difference(wanted: dict[str, Any], found: dict[str, Any]) -> str:
    said = [f"{name} is not there" for name in sorted(wanted.keys() - found.keys())]
    said += [f"{name} should not be there" for name in sorted(found.keys() - wanted.keys())]
    said += [
        f"{name} is {found[name]}, without faults {wanted[name]}"
        for name in sorted(wanted.keys() & found.keys())
        if wanted[name] != found[name]
    ]
    return "; ".join(said)
