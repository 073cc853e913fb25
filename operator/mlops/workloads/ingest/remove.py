"""Remove versions of a Dataset from the store: the only program that takes away what another one stored."""

from __future__ import annotations

from mlops.api.ingest_task import RemoveReport, RemoveTask
from mlops.workloads.floor.log import say
from mlops.workloads.floor.pod import Pod


def remove(pod: Pod, task: RemoveTask) -> RemoveReport:
    """Remove the artifacts and report that they are gone; those that are gone already are no error.

    Raises an error of the store; what is half done then is finished by the next attempt.
    """
    freed = pod.store.remove(task.artifacts)
    say(f"{len(task.artifacts)} removed, {freed:,} bytes of files that nothing else has")
    return RemoveReport(artifacts=task.artifacts, bytes=freed)
