"""A Job or a CronJob that scores rows: nobody's child, for a user to apply and to own."""

from __future__ import annotations

from typing import Final

from mlops.api import digests, labels, tasks
from mlops.planning import pods
from mlops.planning.plan import Manifest, Settings

_COMPONENT: Final = "score"
_AMOUNTS = pods.resources(cpu="500m", memory="512Mi", cpu_limit="1", memory_limit="4Gi")
# A pod that was lost goes on where it was, so trying again is worth more than elsewhere.
_BACKOFF_LIMIT, _DEADLINE = 6, 86_400
# What a Job of a CronJob is called after it: a dash and minutes.
LONGEST_NAME, LONGEST_CRON_NAME = 63, 52


def scoring_name(task: tasks.ScoreTask, *, is_scheduled: bool) -> str:
    """Return the name of what scores, if nobody says another: the same for the same task."""
    mark = labels.short(digests.digest_of(task.dump()), 8)
    limit = LONGEST_CRON_NAME if is_scheduled else LONGEST_NAME
    return labels.child_name(task.model_name, f"score-{mark}", limit=limit)


def scoring_job(settings: Settings, task: tasks.ScoreTask, name: str) -> Manifest:
    """Return the Job that does it once."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": task.namespace, "labels": _labels()},
        "spec": _job_spec(settings, task),
    }


def scoring_cron_job(
    settings: Settings, task: tasks.ScoreTask, name: str, *, schedule: str, time_zone: str | None
) -> Manifest:
    """Return the CronJob that does it again and again, and never twice at a time."""
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name, "namespace": task.namespace, "labels": _labels()},
        "spec": {
            "schedule": schedule,
            "timeZone": time_zone or "UTC",
            "concurrencyPolicy": "Forbid",
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {"metadata": {"labels": _labels()}, "spec": _job_spec(settings, task)},
        },
    }


def _labels() -> dict[str, str]:
    # Neither the operator's mark nor a model's: the operator would take the Job for a child that nobody wants.
    return {"app.kubernetes.io/name": _COMPONENT, labels.COMPONENT: _COMPONENT, "app.kubernetes.io/part-of": "mlops"}


def _job_spec(settings: Settings, task: tasks.ScoreTask) -> Manifest:
    container = pods.container(settings, task, _AMOUNTS, env=[pods.JOB_NAME_VARIABLE])
    return pods.job_spec(
        pods.pod(settings, _labels(), [container]),
        backoff_limit=_BACKOFF_LIMIT,
        active_deadline_seconds=_DEADLINE,
        # All is answered that can be: another pod would put the same rows aside.
        final_codes=(tasks.EXIT_BAD_INPUT, tasks.EXIT_PUT_ASIDE),
    )
