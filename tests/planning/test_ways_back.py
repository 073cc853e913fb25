"""Templates that are put back, runs that are deleted, Jobs that a person makes of a CronJob, a store that is away."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from mlops.api import digests, labels, tasks
from mlops.api.conditions import find
from mlops.planning.dataset import planner as dataset
from mlops.planning.outcome import scheduled_at
from mlops.planning.ownership import key_of
from mlops.planning.plan import Key
from mlops.planning.serving.planner import plan as plan_versions
from mlops.planning.training import run as training_run
from mlops.planning.training.recipe import recipe_digest, template_digest
from mlops.planning.views import DatasetView, JobView, ModelView, TrainingRunView
from tests.planning.builders import (
    NOW,
    SETTINGS,
    a_condition,
    a_dataset,
    a_drift_report,
    a_monitor,
    a_run,
    a_template,
    a_train_report,
    a_verify_report,
    a_version,
    a_versioned_dataset,
    an_ingest_report,
    digest,
    running,
    with_status,
)
from tests.planning.world import End, World

AWAY = tasks.write_report(tasks.FailureReport(reason="StoreUnavailable", message="s3://artifacts/: no answer"))


class Team(World):
    """A world whose models are digests of what was trained; `fails` is how trainings end instead."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.fails: End | None = None

    def _answer(self, task: tasks.Task) -> Any:
        match task:
            case tasks.IngestTask():
                return an_ingest_report(as_of=task.as_of)
            case tasks.TrainTask():
                estimator = task.estimator.dump() if task.estimator else None
                model = digests.digest_of([task.dataset_digest, estimator, task.seed])
                return self.fails or a_train_report().model_copy(update={"output_digest": model})
            case tasks.VerifyTask():
                return a_verify_report()
        return None

    def recipe(self, c: str) -> None:
        """Edit the template."""
        estimator = {"name": "LogisticRegression", "params": {"C": c}}
        self.change("TrainingRun", "rain", trainer={"estimator": estimator})
        self.settle()

    def template(self) -> tuple[str, str, str]:
        """Return the template's Ready: status, reason, message."""
        ready = find(self.get("TrainingRun", "rain").status.conditions, "Ready")
        assert ready is not None
        return ready.status, ready.reason, ready.message

    def live(self) -> list[tuple[str, str]]:
        """Return the versions that are live, with the C that each was trained with."""
        versions = [self.get("ModelVersion", name) for name in self.names("ModelVersion")]
        return [(v.metadata.name, v.spec.lineage.estimator.params["C"]) for v in versions if v.status.stages]


def a_team(**spec: Any) -> Team:
    team = Team()
    free = {"gates": [], "triggers": [{"templateChange": {}}], **spec}
    team.put(a_dataset(), a_template(spec=free))
    team.settle()
    return team


OUT_OF_MEMORY = End(None, 137, "OOMKilled", "BackoffLimitExceeded")


# --- templates ---


def test_a_template_that_is_put_back_serves_what_it_says() -> None:
    """Each time: the result of the run of before is taken over, and a version is made of it."""
    team = a_team()
    for c, name in (("7", "rain-v2"), ("0.1", "rain-v3"), ("7", "rain-v4"), ("0.1", "rain-v5")):
        team.recipe(c)
        assert team.live() == [(name, c)]
        assert team.template()[:2] == ("True", "Template")
    team.settle()
    team.assert_settled()


def test_a_template_that_is_put_back_before_anything_came_of_the_edit_makes_no_run() -> None:
    """What it says serves already."""
    team = a_team()
    team.fails = OUT_OF_MEMORY
    team.recipe("7")
    assert team.template()[:2] == ("False", "OOMKilled")
    runs = team.names("TrainingRun")
    team.recipe("0.1")
    assert (team.names("TrainingRun"), team.live()) == (runs, [("rain-v1", "0.1")])
    assert team.template()[:2] == ("True", "Template")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"promotion": {"stages": [{"name": "production", "replicas": 3}]}}, id="replicas"),
        pytest.param({"capture": {"percent": 10}}, id="capture"),
    ],
)
def test_an_edit_of_how_it_serves_trains_nothing_and_says_where_to_edit(change: dict[str, Any]) -> None:
    """It changes no model: the template is Ready, and says that the live version has to be edited."""
    team = a_team()
    runs = team.names("TrainingRun")
    team.change("TrainingRun", "rain", register={"modelName": "rain", **change})
    team.settle()
    assert team.names("TrainingRun") == runs
    status, reason, message = team.template()
    assert (status, reason) == ("True", "Template")
    assert f"spec.register.{next(iter(change))} holds for the next version: edit ModelVersion rain-v1" in message


def test_more_memory_is_a_remedy() -> None:
    """An edit that changes no model makes a run all the same if the newest one failed."""
    team = a_team()
    team.fails = OUT_OF_MEMORY
    team.recipe("7")
    team.fails = None
    team.change("TrainingRun", "rain", resources={"limits": {"memory": "8Gi"}})
    team.settle()
    assert team.live() == [("rain-v2", "7")]


def test_the_newest_run_is_made_again_if_it_had_failed_and_was_deleted() -> None:
    """One that had succeeded is the user's to delete."""
    team = a_team()
    team.delete("TrainingRun", team.get("TrainingRun", "rain").status.last_run)
    team.settle()
    assert team.names("TrainingRun") == ["rain"]
    team.fails = OUT_OF_MEMORY
    team.recipe("7")
    team.fails = None
    team.delete("TrainingRun", team.get("TrainingRun", "rain").status.last_run)
    team.settle()
    assert team.live() == [("rain-v2", "7")]


def test_a_template_stands_as_what_its_newest_run_made() -> None:
    """A version that is refused is the template's trouble, until something else is asked for."""
    team = a_team()
    team.broken_artifacts.update(
        digests.digest_of([digest("1"), {"name": "LogisticRegression", "params": {"C": "7"}}, 0]).split()
    )
    team.recipe("7")
    status, reason, message = team.template()
    assert (status, reason) == ("False", "NotServing")
    assert "ModelVersion rain-v2: ServingFailed" in message
    assert team.live() == [("rain-v1", "0.1")]


def test_a_run_of_a_monitor_that_fails_is_not_the_templates() -> None:
    """It proposed a challenger; the template declares what it declares."""
    team = a_team()
    theirs = a_run(
        metadata={"name": "rain-retrain-1", "labels": {labels.TEMPLATE: "rain", labels.MONITOR: "m"}},
        status={
            "conditions": [a_condition("Ready", "False", "OOMKilled"), a_condition("Stalled", "True", "OOMKilled")]
        },
    )
    team.put(theirs)
    team.settle()
    assert team.template()[:2] == ("True", "Template")


def test_an_upgrade_makes_nobody_retrain() -> None:
    """A status of the release before knows the digest of the whole spec only."""
    team = a_team()
    status = team.objects[Key("TrainingRun", "team", "rain")]["status"]
    for name in ("lastRecipeDigest", "lastTrigger"):
        status.pop(name)
    runs = team.names("TrainingRun")
    team.settle()
    assert team.names("TrainingRun") == runs
    template = team.get("TrainingRun", "rain")
    assert template.status.last_recipe_digest == recipe_digest(template)
    # What names runs is what it was.
    assert template_digest(a_template()) == "sha256:e03667b480c42b199dae98359d40c7684204727bf4eb168b5cf73d9660d5db69"


# --- runs ---


def a_run_at_work(**changes: Any) -> tuple[TrainingRunView, JobView]:
    view = TrainingRunView(now=NOW, settings=SETTINGS, run=a_run(**changes), dataset=a_versioned_dataset())
    view = replace(view, run=with_status(view.run, training_run.plan(view).statuses[key_of(view.run)].dump()))
    [job] = training_run.plan(view).create
    return view, running(job)


def test_a_run_that_takes_over_a_result_leaves_no_job_behind() -> None:
    """A Job that waits for a node of 64 processors has an autoscaler buy one."""
    view, job = a_run_at_work()
    resolved = view.run.status.resolved.dump()  # type: ignore[union-attr]
    equal_run = a_run(
        metadata={"name": "twin"},
        status={
            "resolved": resolved,
            "inputsDigest": view.run.status.inputs_digest,
            "outputDigest": digest("f"),
            "conditions": [a_condition("Succeeded", "True", "Succeeded")],
        },
    )
    view = replace(view, jobs=(job,), siblings=(equal_run,))
    plan = training_run.plan(view)
    assert [key.name for key, _ in plan.delete] == [job.name]
    after_a_crash = replace(view, run=with_status(view.run, plan.statuses[key_of(view.run)].dump()))
    assert [key.name for key, _ in training_run.plan(after_a_crash).delete] == [job.name]


def test_a_run_says_that_the_store_is_away_while_its_job_tries() -> None:
    """And that it trains again, when a pod works again."""
    view, job = a_run_at_work()

    def ready(job: JobView) -> tuple[str, str, str]:
        [status] = training_run.plan(replace(view, jobs=(job,))).statuses.values()
        found = next(each for each in status.conditions if each.type == "Ready")
        return found.status, found.reason, found.message

    failed = replace(job, message=AWAY, exit_code=tasks.EXIT_RETRY)
    assert ready(failed) == ("False", "StoreUnavailable", "s3://artifacts/: no answer; the Job tries again")
    assert ready(replace(failed, working=True))[1] == "Running"
    assert ready(replace(failed, exit_code=tasks.EXIT_BAD_INPUT))[1] == "Running", "the Job is about to fail"


def test_so_do_a_dataset_and_a_version() -> None:
    """The same words, wherever a Job tries."""
    view = DatasetView(NOW, SETTINGS, a_dataset(status={"conditions": [a_condition("Ready", "Unknown", "Pending")]}))
    [job] = dataset.plan(view).create
    failed = replace(running(job), message=AWAY, exit_code=tasks.EXIT_RETRY)
    [status] = dataset.plan(replace(view, jobs=(failed,))).statuses.values()
    assert status.conditions[0].reason == "StoreUnavailable"
    known = {"status": {"conditions": [a_condition("Ready", "Unknown", "Pending")]}}
    versions = ModelView(NOW, SETTINGS, "team", "rain", versions=(a_version(**known),))
    [verify] = plan_versions(versions).create
    tried = replace(running(verify), message=AWAY, exit_code=tasks.EXIT_RETRY)
    [said] = plan_versions(replace(versions, jobs=(tried,))).statuses.values()
    assert said.conditions[0].reason == "StoreUnavailable"


def test_refused_keys_are_tried_again_ever_more_slowly() -> None:
    """They come back without anybody touching the run."""
    team = a_team()
    denied = tasks.write_report(tasks.FailureReport(reason="AccessDenied", message="s3://artifacts/: refused"))
    team.fails = End(denied, 2)
    team.change("TrainingRun", "rain", reproducibility={"seed": 9})
    seen = set()
    for _ in range(6):
        for plan in team.plans():
            team.carry_out(plan)
        team.tick()
        seen.add(team.template()[:2])
        assert find(team.get("TrainingRun", "rain").status.conditions, "Stalled") is None
    assert ("False", "AccessDenied") in seen
    team.fails = None
    team.settle()
    assert team.template()[:2] == ("True", "Template")


# --- who goes live is said before who leaves ---


def test_no_status_between_two_says_that_nothing_is_live() -> None:
    """Statuses are written one by one: a monitor that looks in between finds a live version."""
    team = a_team()
    team.recipe("7")
    team.change("ModelVersion", "rain-v2", withdrawn=True)
    for _ in range(8):
        for plan in team.plans():
            for key, status in plan.statuses.items():
                team._write_status(key, status.dump())
                versions = [team.get("ModelVersion", name) for name in team.names("ModelVersion")]
                withdrawn = team.get("ModelVersion", "rain-v2").status.observed_generation == 2
                assert any(v.status.stages for v in versions) or withdrawn
            team.carry_out(plan)
        team.tick()
    third = a_team()
    third.change("TrainingRun", "rain", reproducibility={"seed": 5})
    for _ in range(12):
        for plan in third.plans():
            for key, status in plan.statuses.items():
                third._write_status(key, status.dump())
                assert any(third.get("ModelVersion", name).status.stages for name in third.names("ModelVersion"))
            third.carry_out(plan)
        third.tick()


# --- Jobs that a person makes of a CronJob ---

BY_HAND = {"annotations": {labels.INSTANTIATED: "manual"}, "creationTimestamp": "2026-01-10T13:37:11Z"}


def a_cron_jobs_job(name: str, cron_job: str, **metadata: Any) -> JobView:
    owner = {"kind": "CronJob", "name": cron_job, "uid": "u", "controller": True}
    return JobView({"metadata": {"name": name, "ownerReferences": [owner], **metadata}, "spec": {}})


@pytest.mark.parametrize(
    ("job", "want"),
    [
        pytest.param(a_cron_jobs_job("w-check-29467440", "w-check"), "2026-01-10T12:00:00+00:00", id="scheduled"),
        pytest.param(a_cron_jobs_job("w--5784480", "w"), "1959-01-02T00:00:00+00:00", id="in a replay of 1959"),
        pytest.param(a_cron_jobs_job("now", "w-check", **BY_HAND), "2026-01-10T13:37:11+00:00", id="by hand"),
        pytest.param(a_cron_jobs_job("try-2", "w-check", **BY_HAND), "2026-01-10T13:37:11+00:00", id="ends in a digit"),
        pytest.param(
            a_cron_jobs_job("w-check-29467440", "w-check", **BY_HAND),
            "2026-01-10T13:37:11+00:00",
            id="by hand under a scheduled name",
        ),
        pytest.param(a_cron_jobs_job("other-7", "w-check"), None, id="nobody can tell"),
    ],
)
def test_the_moment_of_a_cron_jobs_job(job: JobView, want: str | None) -> None:
    """`kubectl create job --from=cronjob/...` gives a name that says nothing, and an annotation."""
    assert scheduled_at(job) == (datetime.fromisoformat(want) if want else None)


def test_a_check_made_by_hand_is_taken_in() -> None:
    """It counts like a scheduled one, when it was made."""
    team = a_team()
    team.put(a_monitor())
    team.pods = lambda task: None
    team.settle()
    cron = team.objects[Key("CronJob", "team", "rain-drift-check")]
    name = team.schedule("rain-drift-check", team.now + timedelta(hours=1))
    job = team.objects.pop(Key("Job", "team", name))
    job["metadata"] |= {"name": "look-now", "annotations": {labels.INSTANTIATED: "manual"}}
    job["status"] = {
        "conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": "2026-01-10T14:00:00Z"}]
    }
    team.messages["look-now"] = (tasks.write_report(a_drift_report("Stable")), 0)
    team.objects[Key("Job", "team", "look-now")] = job
    team.settle()
    status = team.get("DriftMonitor", "rain-drift").status
    assert (status.verdict, status.last_job) == ("Stable", "look-now")
    assert status.last_check_time == job["metadata"]["creationTimestamp"]
    assert cron["metadata"]["name"] == "rain-drift-check"


@pytest.mark.parametrize(
    ("kind", "task", "made"),
    [
        pytest.param("Dataset", tasks.IngestTask, a_dataset, id="Dataset"),
        pytest.param("TrainingRun", tasks.TrainTask, a_run, id="TrainingRun"),
        pytest.param("ModelVersion", tasks.VerifyTask, a_version, id="ModelVersion"),
    ],
)
def test_an_outage_of_days_leaves_no_heap_of_jobs(kind: str, task: type, made: Any) -> None:
    """Of those that failed the newest stays, to be read; and what follows is made once, as ever."""
    team = Team()
    if kind == "TrainingRun":
        team.put(a_dataset())
        team.settle()
    failing, most = [End(AWAY, 1, why="BackoffLimitExceeded")] * 12, []

    def answer(asked: tasks.Task) -> Any:
        most.append(len(jobs()))
        return failing.pop() if failing and isinstance(asked, task) else team._answer(asked)

    def jobs() -> list[str]:
        label = {"Dataset": "ingest", "TrainingRun": "train", "ModelVersion": "verify"}[kind]
        of = [each for key, each in team.objects.items() if key.kind == "Job"]
        return [each["metadata"]["name"] for each in of if each["metadata"]["labels"][labels.COMPONENT] == label]

    team.pods = answer
    team.put(made())
    team.settle(200)
    assert not failing
    assert max(most) <= 3
    assert len(jobs()) <= 2
    ready = find(team.get(kind, made().metadata.name).status.conditions, "Ready")
    assert ready is not None
    assert ready.status == "True"


def test_the_first_execution_is_kept_for_the_second_to_be_compared_with() -> None:
    """However many attempts the second one took: the file that differs first is named."""
    team = Team()
    team.put(a_dataset())
    team.settle()
    first = a_train_report().model_copy(update={"files": {"model.onnx": digest("1"), "schema.json": digest("2")}})
    other = first.model_copy(update={"output_digest": digest("9"), "files": {**first.files, "model.onnx": digest("3")}})
    away = End(AWAY, 1, why="BackoffLimitExceeded")
    ends = iter([away, away, away, first, away, away, away, other])
    team.pods = lambda task: next(ends) if isinstance(task, tasks.TrainTask) else team._answer(task)
    team.put(a_run(spec={"reproducibility": {"verify": "Once"}}))
    team.settle(200)
    verification = team.get("TrainingRun", "rain-1").status.verification
    assert verification.first_difference == "model.onnx"
    training = [
        each
        for key, each in team.objects.items()
        if key.kind == "Job" and "train" in each["metadata"]["labels"][labels.COMPONENT]
    ]
    assert len(training) == 3
