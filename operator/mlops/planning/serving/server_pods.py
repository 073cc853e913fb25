"""What the pods of a model's server say of themselves, and whose fault it is if they do not answer.

A time limit cannot tell a bad model from a slow cluster. The pods can: a server that refuses its model exits with code
2 and says why, one that misses its store exits with code 1, and what has not started yet has looked at no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from mlops.api import labels, tasks
from mlops.api.base import is_timestamp, parse_time
from mlops.api.reasons import Reason, Trait, Word, having
from mlops.planning.not_started import UNSCHEDULABLE, WAITING
from mlops.planning.plan import Manifest
from mlops.planning.readiness import is_reason
from mlops.planning.serving.manifests import PROGRESS_DEADLINE, STARTUP_SECONDS
from mlops.planning.views import PodEnd, ServerPod

_OF_MODEL = having(Trait.OF_MODEL)
_OF_PROGRAM = having(Trait.OF_PROGRAM)
# So many ends without a word are no accident.
_CRASHES = 3
_CONTAINER = "server"


class Fault(Enum):
    """Whose fault it is that a pod does not answer."""

    # The server looked at the model and refused it.
    MODEL = "model"
    # It went down with this model, again and again, or for want of memory. Of a version that has served already, the
    # model was not the cause: something else has changed.
    CRASH = "crash"
    # The pod cannot start, or its server misses what any server needs.
    CLUSTER = "cluster"


@dataclass(frozen=True)
class ServerTrouble:
    """What keeps a pod from answering. `at`: when it was found out, if that is one timestamp."""

    fault: Fault
    reason: Word
    message: str
    at: datetime | None = None


def server_pod(manifest: Manifest) -> ServerPod | None:
    """Return what counts of a pod that serves; None of one that is on its way out, or serves nothing."""
    metadata, status = manifest["metadata"], manifest.get("status") or {}
    own = metadata.get("labels") or {}
    # A pod that starts its containers again is over only when it was evicted, or lost its node: another one comes.
    if labels.STAGE not in own or metadata.get("deletionTimestamp") or status.get("phase") in ("Succeeded", "Failed"):
        return None
    conditions = {str(each.get("type")): each for each in status.get("conditions") or ()}
    scheduled = conditions.get("PodScheduled", {})
    unschedulable = scheduled.get("status") == "False" and scheduled.get("reason") == UNSCHEDULABLE
    containers = {each.get("name"): each for each in status.get("containerStatuses") or ()}
    container: Manifest = containers.get(_CONTAINER, {})
    state = container.get("state") or {}
    last = (container.get("lastState") or {}).get("terminated")
    end = state.get("terminated") or last
    return ServerPod(
        name=str(metadata["name"]),
        stage=str(own[labels.STAGE]),
        version=str(own.get(labels.MODEL_VERSION, "")),
        digest=str(own.get(labels.DIGEST, "")),
        canary=str(own.get(labels.CANARY, "")),
        ready=conditions.get("Ready", {}).get("status") == "True",
        unschedulable=str(scheduled.get("message") or "no node fits") if unschedulable else None,
        image=str(container.get("image", "")),
        waits=str((state.get("waiting") or {}).get("reason") or ""),
        why=str((state.get("waiting") or {}).get("message") or ""),
        started=bool(container.get("started")),
        running_since=_timestamp((state.get("running") or {}).get("startedAt")),
        restarts=int(container.get("restartCount") or 0),
        end=_end(end) if end else None,
    )


def _end(terminated: Manifest) -> PodEnd:
    return PodEnd(
        exit_code=int(terminated.get("exitCode") or 0),
        reason=str(terminated.get("reason") or ""),
        message=str(terminated.get("message") or ""),
        began=_timestamp(terminated.get("startedAt")),
        at=_timestamp(terminated.get("finishedAt")),
    )


def _timestamp(text: object) -> datetime | None:
    return parse_time(text) if isinstance(text, str) and is_timestamp(text) else None


def trouble_of(pod: ServerPod) -> ServerTrouble | None:
    """Return what keeps the pod from answering; None if it answers, or is still starting.

    It says the same from one start of the container to the next, so that nothing is written for each of them.
    """
    if pod.ready:
        return None
    if pod.unschedulable is not None:
        return ServerTrouble(Fault.CLUSTER, UNSCHEDULABLE, f"pod {pod.name}: {pod.unschedulable}")
    if reason := WAITING.get(pod.waits):
        if reason is Reason.IMAGE_PULL:
            # The kubelet's own words change with every attempt.
            return ServerTrouble(Fault.CLUSTER, reason, f"pod {pod.name}: cannot pull its image {pod.image}")
        return ServerTrouble(Fault.CLUSTER, reason, f"pod {pod.name}: {pod.waits}: {pod.why or 'no details'}")
    return _of_end(pod, pod.end) if pod.end is not None else None


def _of_end(pod: ServerPod, end: PodEnd) -> ServerTrouble | None:
    said = _said(end)
    if said is not None:
        message = said.message.strip() or f"exit code {end.exit_code}"
        return ServerTrouble(_fault_of(end, said.reason), said.reason, f"pod {pod.name}: {message}", end.at)
    if end.reason == Reason.OUT_OF_MEMORY:
        message = f"pod {pod.name}: its server needed more memory than its limit"
        return ServerTrouble(Fault.CRASH, Reason.OUT_OF_MEMORY, message, end.at)
    if end.exit_code and pod.restarts >= _CRASHES and not _was_starved(end):
        message = f"pod {pod.name}: its server ended again and again with exit code {end.exit_code} and no report"
        return ServerTrouble(Fault.CRASH, Reason.SERVING_FAILED, message, end.at)
    return None


def _fault_of(end: PodEnd, reason: str) -> Fault:
    if end.exit_code != tasks.EXIT_BAD_INPUT:
        return Fault.CLUSTER
    if reason in _OF_MODEL:
        return Fault.MODEL
    return Fault.CRASH if reason in _OF_PROGRAM else Fault.CLUSTER


def _was_starved(end: PodEnd) -> bool:
    """Return whether the startup probe may have ended it: until it succeeds, the server has looked at no model."""
    return end.began is not None and end.at is not None and end.at - end.began >= timedelta(seconds=STARTUP_SECONDS)


def _said(end: PodEnd) -> tasks.FailureReport | None:
    if not end.exit_code:
        return None
    try:
        report = tasks.parse_report(end.message)
    except tasks.ReportError:
        return None
    return report if isinstance(report, tasks.FailureReport) and is_reason(report.reason) else None


def foremost(pods: Iterable[ServerPod]) -> ServerTrouble | None:
    """Return the trouble that says most: one of the model before a crash, that before one of the cluster."""
    order = list(Fault)
    return min(_troubles(pods), key=lambda each: (order.index(each.fault), each.reason, each.message), default=None)


def _troubles(pods: Iterable[ServerPod]) -> Iterator[ServerTrouble]:
    return (found for pod in pods if (found := trouble_of(pod)) is not None)


def silent_since(pods: Iterable[ServerPod]) -> datetime | None:
    """Return since when a server has been up that does not become ready, the longest; None if there is none.

    Up means that its process answers and has its artifact: what does not even have that has looked at no model.
    """
    return min(
        (pod.running_since for pod in pods if pod.started and not pod.ready and pod.running_since is not None),
        default=None,
    )


def gives_up_at(since: datetime) -> datetime:
    """Return until when a server that is up may be silent. `since`: when its container was started.

    When it had its artifact nobody notes: by then the startup probe would have ended it.
    """
    return since + timedelta(seconds=STARTUP_SECONDS + PROGRESS_DEADLINE)
