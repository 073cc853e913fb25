"""Whatever happens in whatever order: no planner raises, every status is valid, and the world comes to rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops.api import tasks
from tests.planning.builders import (
    a_container_run,
    a_dataset,
    a_drift_report,
    a_monitor,
    a_run,
    a_template,
    a_train_report,
    a_verify_report,
    a_version,
    an_ingest_report,
    digest,
)
from tests.planning.test_loop import CHECK_TIME
from tests.planning.world import World

LONG = "n" * 52
STAGES = {"stages": [{"name": "dev"}, {"name": "production", "gates": [{"latency": {"p99Milliseconds": 2}}]}]}
CAPTURED = {"s3": None, "captured": {"modelName": "rain", "window": "30d"}}
EVERY_HOUR = {"schedule": "0 * * * *"}

OBJECTS = [
    a_dataset(),
    a_dataset(spec={"refresh": EVERY_HOUR}),
    a_dataset(spec={"source": CAPTURED, "refresh": EVERY_HOUR}),
    a_dataset(metadata={"name": LONG}, spec={"refresh": EVERY_HOUR, "suspend": True}),
    a_run(),
    a_run(metadata={"name": LONG}, spec={"datasetRef": {"name": LONG, "notBefore": "2026-01-10T12:30:00.5Z"}}),
    a_run(metadata={"name": "twice"}, spec={"reproducibility": {"verify": "Once"}, "gates": []}),
    a_container_run(metadata={"name": "own"}, spec={"register": None}),
    a_template(),
    a_template(metadata={"name": "m" * 52}, spec={"datasetRef": {"version": 1}}),
    a_version(1),
    a_version(2, spec={"promotion": STAGES}),
    a_version(2, metadata={"name": "claims-two", "uid": "claims-two"}),
    a_version(3, spec={"artifact": None, "source": {"trainingRunRef": {"name": "rain-1"}}}),
    a_version(999_999, spec={"withdrawn": True}),
    a_monitor(),
    a_monitor(metadata={"name": LONG}, spec={"targetRef": {"stage": "dev"}, "guard": {"cooldown": "1s"}}),
]
objects = st.sampled_from(OBJECTS)
letters = st.sampled_from("0123456789abcdef")
failures = st.sampled_from(["Rejected", "SourceUnavailable", "StoreUnavailable", "DigestMismatch"]).map(
    lambda reason: lambda task: tasks.FailureReport(reason=reason, message="no")
)


def answers(letter: str, value: str, verdict: str) -> Callable[[tasks.Task], Any]:
    """Return pods that answer everything, with this content, metric and verdict."""

    def answer(task: tasks.Task) -> Any:
        match task:
            case tasks.IngestTask():
                as_of = "2026-01-10T13:00:00Z" if task.as_of == "scheduled" else task.as_of
                return an_ingest_report(letter, as_of=as_of)
            case tasks.TrainTask():
                return a_train_report(letter, value)
            case tasks.VerifyTask():
                return a_verify_report(value)
            case _:
                return a_drift_report(verdict, change_point="2026-01-05T00:00:00Z")

    return answer


pods = st.one_of(
    st.just(lambda task: None),
    failures,
    st.builds(
        answers, letters, st.sampled_from(["0.5", "0.9", "3"]), st.sampled_from(["Stable", "DataDrift", "ConceptDrift"])
    ),
)
events = st.lists(
    st.one_of(
        st.tuples(st.just("put"), objects),
        st.tuples(st.just("pods"), pods),
        st.tuples(st.just("delete"), st.integers(0, 30)),
        st.tuples(st.just("plan"), st.integers(1, 4)),
        st.tuples(st.just("break"), letters),
        st.tuples(st.just("schedule"), st.integers(0, 5)),
        st.tuples(st.just("suspend"), st.integers(0, 30)),
    ),
    max_size=14,
)


def happen(world: World, what: str, value: Any) -> None:
    """Let one thing happen."""
    keys = sorted(world.objects)
    match what:
        case "put" if value.key not in keys:
            world.put(value)
        case "pods":
            world.pods = value
        case "delete" if keys:
            key = keys[value % len(keys)]
            world.delete(key.kind, key.name)
        case "plan":
            for plan in world.plans():
                world.carry_out(plan, writes=value)
            world.tick()
        case "break":
            world.broken_artifacts ^= {digest(value)}
        case "schedule":
            for name in world.names("CronJob"):
                world.schedule(name, CHECK_TIME.replace(minute=value))
        case "suspend" if keys:
            key = keys[value % len(keys)]
            if key.kind in ("Dataset", "TrainingRun", "DriftMonitor"):
                world.change(key.kind, key.name, suspend=not world.objects[key]["spec"].get("suspend", False))


@given(history=events)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
def test_any_history_comes_to_rest(history: list[tuple[str, Any]]) -> None:
    """The simulated cluster refuses invalid objects and statuses, so that they would show here."""
    world = World(answers("1", "0.9", "Stable"))
    for what, value in history:
        happen(world, what, value)
    world.pods = answers("1", "0.9", "Stable")
    world.settle()
    world.assert_settled()
    for key in world.objects:
        assert len(key.name) <= (52 if key.kind == "CronJob" else 63)
