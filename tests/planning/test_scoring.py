"""The Job and the CronJob that a user applies to score rows: the pods of our workloads, and nobody's children."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mlops.api import labels, tasks
from mlops.api.dataset import DatasetSpec
from mlops.planning import pods
from mlops.planning.plan import Plan
from mlops.planning.scoring import scoring_cron_job, scoring_job, scoring_name
from tests.planning.builders import SETTINGS, a_dataset, digest

TASK = tasks.ScoreTask(
    namespace="team",
    model_name="rain",
    version=3,
    object_name="rain-v3",
    artifact=digest("a"),
    input=tasks.ScoredInput(uri="s3://raw/{date}/"),
    output="s3://answers/{time}/",
    spec=DatasetSpec.model_validate(a_dataset().spec.dump()),
    on_invalid="quarantine",
)


def test_the_job_and_the_cron_job(golden: Callable[[str, Plan], None]) -> None:
    """As they are printed."""
    scheduled = scoring_cron_job(SETTINGS, TASK, "nightly", schedule="0 4 * * *", time_zone="Europe/Berlin")
    golden("scoring", Plan(create=(scoring_job(SETTINGS, TASK, "once"), scheduled)))


def pods_of(manifest: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The Job's spec and the pod's."""
    spec = manifest["spec"]["jobTemplate"]["spec"] if manifest["kind"] == "CronJob" else manifest["spec"]
    return spec, spec["template"]["spec"]


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(scoring_job(SETTINGS, TASK, "once"), id="Job"),
        pytest.param(scoring_cron_job(SETTINGS, TASK, "o", schedule="0 4 * * *", time_zone=None), id="CronJob"),
    ],
)
def test_its_pod_is_one_of_the_workloads(made: dict[str, Any]) -> None:
    """With the container, the keys and the environment that every other has; and no planner takes it for a child."""
    spec, pod = pods_of(made)
    (container,) = pod["containers"]
    like = pods.container(SETTINGS, TASK, {"requests": {}, "limits": {}}, env=[pods.JOB_NAME_VARIABLE])
    assert {**container, "resources": {}} == {**like, "resources": {}}
    assert container["envFrom"] == [{"secretRef": {"name": SETTINGS.store_secret, "optional": True}}]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert "ownerReferences" not in made["metadata"]
    assert labels.MANAGED_BY not in made["metadata"]["labels"]
    assert not [name for name in made["metadata"]["labels"] if name.startswith("mlops.dev/")]
    failing = spec["podFailurePolicy"]["rules"][1]["onExitCodes"]["values"]
    assert failing == [tasks.EXIT_BAD_INPUT, tasks.EXIT_PUT_ASIDE], "nothing is done again that cannot end otherwise"


def test_a_name_follows_from_the_task() -> None:
    """The same for the same, so that what is applied twice is applied once; and short enough for a CronJob's Jobs."""
    name = scoring_name(TASK, is_scheduled=False)
    assert name == scoring_name(TASK.model_copy(), is_scheduled=False)
    assert name != scoring_name(TASK.evolve(version=4), is_scheduled=False)
    long = TASK.evolve(model_name="a" * 40)
    assert len(scoring_name(long, is_scheduled=True)) <= 52


def test_a_job_that_a_cron_job_makes_knows_its_time() -> None:
    """By its name, which the pod is told."""
    _, pod = pods_of(scoring_cron_job(SETTINGS, TASK, "nightly", schedule="0 4 * * *", time_zone=None))
    assert pods.JOB_NAME_VARIABLE in pod["containers"][0]["env"]
    assert tasks.scheduled_time("nightly-29942280") == 29942280
