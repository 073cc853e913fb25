"""What the pods of a training are told, field by field: each value differs from its default."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mlops.api.training_run import Resolved, TrainingRun
from mlops.planning.plan import Manifest
from mlops.planning.training.manifests import inputs_digest, training_job, training_job_name
from tests.planning.builders import SETTINGS, a_container_run, a_run, digest

SINCE = "2025-01-01T00:00:00Z"
RESOLVED = Resolved(
    dataset_version=3,
    dataset_digest=digest("1"),
    dataset_artifact=digest("2"),
    environment_digest=digest("3"),
    champion_version="rain-v1",
    champion_artifact=digest("4"),
)
SEARCH = {"objective": {"metric": "roc_auc"}, "parameters": [{"name": "C", "values": ["0.1", "1"]}]}
SPEC = {"datasetRef": {"since": SINCE}, "reproducibility": {"seed": 7}}


def the_job(run: TrainingRun, *, verifying: bool = False, attempt: int = 0) -> Manifest:
    return training_job(SETTINGS, run, RESOLVED, digest("5"), attempt, verifying=verifying)


def tasks_of(job: Manifest) -> dict[str, Any]:
    """Return what each container of the Job's pod is to do, by its name."""
    spec = job["spec"]["template"]["spec"]
    said = {
        container["name"]: {each["name"]: each.get("value") for each in container["env"]}
        for container in [*spec.get("initContainers", ()), *spec["containers"]]
    }
    return {name: json.loads(values["MLOPS_TASK"]) for name, values in said.items() if "MLOPS_TASK" in values}


OF_THE_DATA = {
    "namespace": "team",
    "run": "rain-1",
    "datasetArtifact": digest("2"),
    "datasetDigest": digest("1"),
    "since": SINCE,
    "seed": 7,
}
OF_THE_RUN = {
    "task": "train",
    "modelName": "rain",
    "environmentDigest": digest("3"),
    "championArtifact": digest("4"),
}


def test_our_own_trainer_is_told_everything_that_the_run_is_pinned_to() -> None:
    """What is left out has a default in the pod, which would be another model."""
    run = a_run(spec={**SPEC, "search": SEARCH})
    [(name, task)] = tasks_of(the_job(run)).items()
    assert name == "main"
    estimator = {"name": "LogisticRegression", "params": {"C": "0.1"}}
    wanted = {**OF_THE_DATA, **OF_THE_RUN, "estimator": estimator}
    assert {key: task[key] for key in wanted} == wanted
    assert [each["name"] for each in task["search"]["parameters"]] == ["C"]
    assert set(task) == {*wanted, "search"}


def test_costs_are_told_to_all_who_measure_and_are_a_part_of_the_inputs() -> None:
    """Also to who fetches, for the user's code may learn by them; without costs nothing is another run than before."""
    costs = [{"actual": "yes", "predicted": "no", "cost": "500", "column": "amount"}]
    for run, told in (
        (a_run(spec={"costs": costs}), {"main"}),
        (a_container_run(spec={"costs": costs}), {"fetch", "collect"}),
    ):
        assert {name: task["costs"] for name, task in tasks_of(the_job(run)).items()} == dict.fromkeys(told, costs)
    of = [inputs_digest(a_run(spec=spec).spec, digest("1"), digest("2")) for spec in ({}, {"costs": costs})]
    other = inputs_digest(a_run(spec={"costs": [{**costs[0], "cost": "501"}]}).spec, digest("1"), digest("2"))
    assert len({*of, other}) == 3


def test_a_container_of_the_user_is_given_the_same_data_and_seed() -> None:
    """Who fetches and who collects are told of them; the user's code finds the seed in its environment."""
    job = the_job(a_container_run(spec=SPEC))
    assert tasks_of(job) == {"fetch": {"task": "fetch", **OF_THE_DATA}, "collect": {**OF_THE_RUN, **OF_THE_DATA}}
    trainer = job["spec"]["template"]["spec"]["initContainers"][1]
    told = {each["name"]: each["value"] for each in trainer["env"]}
    assert {name: told[name] for name in ("MLOPS_SEED", "MLOPS_INPUTS", "MLOPS_OUTPUTS", "DEPTH")} == {
        "MLOPS_SEED": "7",
        "MLOPS_INPUTS": "/inputs",
        "MLOPS_OUTPUTS": "/outputs",
        "DEPTH": "4",
    }


def test_a_run_that_registers_nothing_names_no_model() -> None:
    """Nor a champion, if it is pinned to none."""
    run, resolved = a_run(spec={"register": None, "gates": []}), RESOLVED.evolve(champion_artifact=None)
    [task] = tasks_of(training_job(SETTINGS, run, resolved, digest("5"), 0, verifying=False)).values()
    assert {"modelName", "championArtifact", "search"} & set(task) == set()


@pytest.mark.parametrize(("verifying", "component"), [(False, "train"), (True, "verify-training")])
def test_a_job_says_what_it_is_of(verifying: bool, component: str) -> None:
    """By its name and labels, and has the limits of its run."""
    run = a_run(spec={"backoffLimit": 5, "activeDeadlineSeconds": 77})
    job = the_job(run, verifying=verifying, attempt=2)
    assert job["metadata"]["name"] == training_job_name(run, digest("5"), 2, verifying=verifying)
    assert job["metadata"]["name"].endswith("-v") is verifying
    labels = job["metadata"]["labels"]
    assert labels["app.kubernetes.io/component"] == component
    assert labels["app.kubernetes.io/instance"] == labels["mlops.dev/run"] == "rain-1"
    assert labels["mlops.dev/digest"] == "5" * 16
    assert job["spec"]["template"]["metadata"]["labels"] == labels
    assert (job["spec"]["backoffLimit"], job["spec"]["activeDeadlineSeconds"]) == (5, 77)


def test_each_execution_has_a_name_of_its_own() -> None:
    """Of the run's uid, inputs, attempt and whether it verifies: else a Job of an earlier run would be taken for it."""
    run, other = a_run(), a_run(metadata={"uid": "another"})
    names = [
        training_job_name(each, inputs, attempt, verifying=verifying)
        for each in (run, other)
        for inputs in (digest("5"), digest("6"))
        for attempt in (0, 1)
        for verifying in (False, True)
    ]
    assert len(set(names)) == len(names) == 16
    assert all(name.startswith("rain-1-") for name in names)


def test_a_long_name_of_a_run_leaves_room_for_the_jobs() -> None:
    """A name has 63 characters at most."""
    run = a_run(metadata={"name": "r" * 52})
    assert len(training_job_name(run, digest("5"), 1, verifying=True)) == 63
