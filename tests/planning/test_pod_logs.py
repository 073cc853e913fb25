"""Pods write JSON when the operator is told so, and what they work on does not change by it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mlops.api import tasks
from mlops.api.model_version import Capture
from mlops.planning import pods
from tests.planning.builders import SETTINGS, digest

AMOUNTS = pods.resources(cpu="1", memory="1Gi", cpu_limit="1", memory_limit="1Gi")
TASKS = [
    tasks.FetchTask(namespace="n", run="r", dataset_artifact=digest("a"), dataset_digest=digest("d")),
    tasks.VerifyTask(namespace="n", model_name="m", version=1, artifact=digest("a")),
    tasks.ServeTask(
        namespace="n", model_name="m", version=1, stage="production", artifact=digest("a"), capture=Capture()
    ),
]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.task)
def test_a_pod_is_told_the_format_of_its_log(task: tasks.Task) -> None:
    """By one variable and nothing else; text is what pods write without a word."""
    text = pods.container(SETTINGS, task, AMOUNTS)
    told = pods.container(replace(SETTINGS, pod_log_format="json"), task, AMOUNTS)
    added = {"name": tasks.LOG_FORMAT_VARIABLE, "value": "json"}
    assert added in told["env"]
    assert [each for each in told["env"] if each != added] == text["env"]
    assert {**told, "env": []} == {**text, "env": []}
    assert tasks.LOG_FORMAT_VARIABLE not in {each["name"] for each in text["env"]}
