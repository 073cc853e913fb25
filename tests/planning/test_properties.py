"""What holds of every plan for any objects that an API server lets in, in any state of their children and pods."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops.api import kinds, labels, tasks
from mlops.api.base import TEXT_RULES, format_time
from mlops.api.conditions import find
from mlops.planning.dataset import planner as dataset
from mlops.planning.execution import retry_at
from mlops.planning.monitor import planner as drift_monitor
from mlops.planning.plan import Key
from mlops.planning.serving import planner as model_version
from mlops.planning.serving.manifests import deployment, service
from mlops.planning.timestamps import timestamp
from mlops.planning.training import run as training_run
from mlops.planning.views import DatasetView, DriftMonitorView, ModelView, TrainingRunView
from tests.api import produced
from tests.planning import any_objects, any_world, many
from tests.planning.any_cluster import Seen
from tests.planning.anything import MENDS, PATTERNS, Draw, part, value
from tests.planning.builders import (
    NOW,
    SETTINGS,
    a_dataset,
    a_live_version,
    a_monitor,
    a_run,
    a_template,
    an_ingest_report,
    digest,
    failed,
    finished,
    running,
    with_status,
)

seeds = st.integers(0, 2**32 - 1)
# Every choice is hypothesis's own, so that a failing world is shrunk to a plain one.
choices = st.randoms(use_true_random=False)
quick = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


@given(seed=seeds)
@settings(quick, max_examples=40)
def test_any_cluster_comes_to_rest(seed: int) -> None:
    """No planner raises, every plan may be carried out, and the operator stops writing when nothing else moves."""
    any_world.live(Random(seed), objects=1 + seed % 3, moves=1)


@given(seed=seeds)
@settings(quick, max_examples=200)
def test_no_planner_raises_whatever_it_sees(seed: int) -> None:
    """Any objects, any children, pods with any message: each view has a plan that may be carried out."""
    any_world.glance(Random(seed), objects=2, rounds=1)


@given(random=choices)
@settings(quick, max_examples=15)
def test_small_worlds_that_can_be_shrunk(random: Random) -> None:
    """The same, drawn by hypothesis itself."""
    any_world.glance(random, objects=1, rounds=1)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_a_hundred_thousand_objects() -> None:
    """100,000 random objects through every planner without an exception."""
    assert many.run(100_000, seed=1).objects >= 100_000


# These take a report and versions that fit each other, which drawing hardly finds: `monitor/test_rollback.py` has them.
_OF_FITTING_WORLDS = {"RolledBack", "NoOlderBetter", "RollbackUndone", "LabelsAsked", "NoRowsToLabel"}


@pytest.mark.thorough
def test_many_objects_reach_most_of_what_planners_can_say() -> None:
    """What is drawn is not only strange: the planners come to most of their reasons with it."""
    seen = many.run(1500, seed=2)
    for kind in kinds.KINDS:
        says = produced.said_by_planners(kind) - _OF_FITTING_WORLDS
        reached = {reason for of, _, _, reason in seen.conditions if of == kind}
        assert len(reached & says) >= 0.75 * len(says), (kind, says - reached)


# --- what is drawn ---


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_what_is_drawn_is_let_in(kind: str) -> None:
    """Any spec and any status that is drawn is one that the kind allows, and every field is drawn."""
    fields: dict[str, set[str]] = {"spec": set(), "status": set()}
    for seed in range(40):
        draw = Draw(Random(seed), 0.6)
        manifest: Any = {
            "apiVersion": "mlops.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": "a", "generation": 1},
            "spec": any_objects.a_spec(draw, kind),
        }
        manifest["status"] = any_objects.a_status(draw, manifest)
        kinds.parse(manifest)
        for name, found in fields.items():
            found.update(manifest[name])
    for name, found in fields.items():
        assert found == {field.alias or field_name for field_name, field in part(kind, name).model_fields.items()}


def test_every_pattern_is_known_to_what_draws_and_no_rule_is_mended_in_vain() -> None:
    """A type that is added tomorrow cannot be left out unnoticed."""
    assert set(TEXT_RULES) <= set(PATTERNS)
    models = {model for kind in kinds.KINDS.values() for model in kinds.models_of(kind)}
    ruled = {model.__name__ for model in models if any(not rule.transition for rule in model.rules)}
    assert MENDS.keys() <= ruled, "these have no rules any more"
    value(part("TrainingRun", "spec"), Draw(Random(1), 1.0))


# --- what was found ---


def test_a_moment_after_which_there_is_none() -> None:
    """`notBefore` may name the last timestamp of the calendar: it is not rounded up beyond it."""
    last = timestamp("9999-12-31T23:59:59.999999Z")
    assert last == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert timestamp("2026-01-10T12:00:00.5Z") == datetime(2026, 1, 10, 12, 0, 1, tzinfo=UTC)
    assert retry_at(datetime(9999, 12, 31, 23, 59, tzinfo=UTC), 1) > NOW
    assert format_time(datetime(1, 1, 1, tzinfo=UTC)) == "0001-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        pytest.param("Dataset", {"lastCheckTime": "soon"}, id="the time of a sync"),
        pytest.param("Dataset", {"lastJobTime": ""}, id="a Job's time"),
        pytest.param("DriftMonitor", {"lastCheckTime": "yesterday"}, id="a check's time"),
        pytest.param("DriftMonitor", {"actionTimes": ["12:00"]}, id="an action's time"),
    ],
)
def test_a_status_with_a_time_that_is_none_is_refused(kind: str, status: dict[str, Any]) -> None:
    """The planners read these times: what is none must not get into the cluster."""
    base = a_dataset() if kind == "Dataset" else a_monitor()
    with pytest.raises(kinds.InvalidObject, match="a timestamp in UTC"):
        with_status(base, status)


def test_the_champion_of_a_run_has_an_objects_name() -> None:
    """It becomes `spec.lineage.parentVersion`, which would be refused otherwise."""
    resolved = dict.fromkeys(("datasetDigest", "datasetArtifact", "environmentDigest"), digest("1"))
    with pytest.raises(kinds.InvalidObject, match="championVersion"):
        with_status(a_run(), {"resolved": {**resolved, "datasetVersion": 1, "championVersion": "No Name"}})


@pytest.mark.parametrize(
    "name", [pytest.param(n, id=n) for n in ("rain", "other-v1", "rain-v0", "rain-v01", "rain-v1000000")]
)
def test_a_version_on_record_that_no_operator_chose_counts_as_none(name: str) -> None:
    """A run whose status was edited chooses a number again instead of failing for ever."""
    resolved = dict.fromkeys(("datasetDigest", "datasetArtifact", "environmentDigest"), digest("1"))
    metrics = [{"name": "roc_auc", "dataset": "test", "value": "0.9"}]
    run = with_status(
        a_run(),
        {
            "resolved": {**resolved, "datasetVersion": 1},
            "inputsDigest": digest("2"),
            "outputDigest": digest("3"),
            "metrics": metrics,
            "modelVersionRef": name,
        },
    )
    plan = training_run.plan(TrainingRunView(NOW, SETTINGS, run))
    assert plan.statuses[Key(*run.key)].model_version_ref == "rain-v1"


def test_a_deployment_without_its_stage_label_is_mended_not_deleted() -> None:
    """Taking one label off by hand must not take the model down."""
    version = a_live_version()
    there = deployment(SETTINGS, version, str(version.status.artifact), "production", [version], "2026-01-10T12:00:00Z")
    address = service(version, "production", [version])
    for each in (there, address):
        each["metadata"]["uid"] = "seen"
        del each["metadata"]["labels"][labels.STAGE]
    view = ModelView(
        NOW,
        SETTINGS,
        "team",
        "rain",
        versions=(version,),
        deployments={"rain-production": there},
        services={"rain-production": address},
    )
    plan = model_version.plan(view)
    assert not plan.delete
    assert {each["kind"] for each in plan.apply} == {"ConfigMap", "Deployment", "Service", "PodDisruptionBudget"}


def test_an_action_without_a_run_makes_none() -> None:
    """An action on record that names no run is no reason to make one called None."""
    action = {"time": "2026-01-10T11:00:00Z", "kind": "Hold", "verdict": "DataQuality", "outcome": "Pending"}
    monitor = with_status(a_monitor(), {"lastAction": action})
    assert not drift_monitor.plan(DriftMonitorView(NOW, SETTINGS, monitor, template=a_template())).create


def test_a_failure_without_a_word_still_says_something() -> None:
    """Ready=False always says why, and where to look."""
    job = dataset.plan(DatasetView(NOW, SETTINGS, a_dataset())).create[0]
    silent = failed(job, message=tasks.write_report(tasks.FailureReport(reason="Rejected", message=" ")))
    data = with_status(
        a_dataset(), {"conditions": [any_objects.some_conditions(Draw(Random(3)), "Dataset")[0] | {"type": "Ready"}]}
    )
    plan = dataset.plan(DatasetView(NOW, SETTINGS, data, jobs=(silent,)))
    ready = find(with_status(data, plan.statuses[Key(*data.key)].dump()).status.conditions, "Ready")
    assert ready is not None
    assert "exited with code 2: see its pod's log" in ready.message


def test_a_job_whose_labels_were_edited_goes_before_it_is_made_anew() -> None:
    """One plan never makes and deletes the same Job."""
    job = dataset.plan(DatasetView(NOW, SETTINGS, a_dataset())).create[0]
    edited = running(job)
    edited.manifest["metadata"]["labels"][labels.DIGEST] = "edited"
    plan = dataset.plan(DatasetView(NOW, SETTINGS, a_dataset(), jobs=(edited,)))
    assert [key.name for key, _ in plan.delete] == [job["metadata"]["name"]]
    assert not plan.create
    assert finished(job, None).complete


def test_two_looks_are_not_taken_in_by_turns_for_ever() -> None:
    """A sync that failed, a later one by schedule that succeeded, and a run that wants a newer one than both: each is
    taken in, and then there is nothing more to write."""
    data = a_dataset(spec={"refresh": {"schedule": "0 * * * *"}})
    wants = a_run(spec={"datasetRef": {"name": "weather", "notBefore": "2026-01-10T13:00:00Z"}})
    view = DatasetView(NOW, SETTINGS, data, waiting_runs=(wants,))
    first = dataset.plan(view)
    cron_job = first.apply[0]
    by_schedule = {**cron_job["spec"]["jobTemplate"], "kind": "Job"}
    by_schedule["metadata"] = {**by_schedule["metadata"], "name": f"{cron_job['metadata']['name']}-29467410"}
    jobs = (
        failed(first.create[0], why="DeadlineExceeded", message="", exit_code=None, at="2026-01-10T11:20:00Z"),
        finished(by_schedule, an_ingest_report(as_of="2026-01-10T11:30:00Z"), at="2026-01-10T11:31:00Z"),
    )
    statuses: list[Any] = []
    for _ in range(6):
        statuses.append(dataset.plan(replace(view, dataset=data, jobs=jobs)).statuses[Key(*data.key)].dump())
        data = with_status(data, statuses[-1])
    assert statuses[-1] == statuses[-2]
    assert statuses[-1]["version"] == 1


def test_figures_are_counted() -> None:
    """The program says what it reached."""
    seen = Seen()
    many.world(1, 1, seen)
    assert f"{seen.objects} objects" in many.summary(seen)
    assert seen.plans
