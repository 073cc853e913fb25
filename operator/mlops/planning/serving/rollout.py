"""What the Deployments of a model and their pods say of a version: where it came up, and where and why it did not."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta

from mlops.api import labels
from mlops.api.base import format_time, is_timestamp, parse_time
from mlops.api.conditions import READY, find
from mlops.api.model_version import StageFailure
from mlops.api.reasons import Reason
from mlops.planning import retrying
from mlops.planning.plan import Manifest
from mlops.planning.serving import server_pods
from mlops.planning.serving.candidates import Candidate
from mlops.planning.serving.manifests import PROGRESS_DEADLINE, STARTUP_SECONDS, server_name
from mlops.planning.serving.server_pods import Fault, ServerTrouble
from mlops.planning.views import ModelView, ServerPod

_MAX_MESSAGE = 1024
# In what a Deployment repeats of a pod that is refused, the pod's name differs with every attempt.
_REFUSED_POD = re.compile(r'pods "[^"]*"')


def deployment_of(view: ModelView, stage: str) -> Manifest | None:
    """Return the stage's Deployment, if it is there."""
    return view.deployments.get(server_name(view.model_name, stage))


def shows(present: Manifest, candidate: Candidate) -> bool:
    """Return whether the Deployment's pods are those of this version."""
    metadata = present["spec"]["template"]["metadata"]
    return bool(
        metadata.get("labels", {}).get(labels.MODEL_VERSION) == candidate.version.metadata.name
        and metadata.get("annotations", {}).get(labels.ARTIFACT) == candidate.checked.status.artifact
    )


def is_applied(present: Manifest, candidate: Candidate) -> bool:
    """Return whether the newest edit has reached the Deployment: the status is written before it is."""
    made_for = present["metadata"].get("annotations", {}).get(labels.GENERATION)
    return bool(made_for == str(candidate.version.metadata.generation))


def _is_retried(present: Manifest, candidate: Candidate) -> bool:
    """Return whether the newest retry that a person asks for has reached the Deployment. That it was acted on stands in
    the status, which is written before: between the two the power may go."""
    return bool(present["metadata"].get("annotations", {}).get(labels.RETRY, "") == retrying.newest(candidate.version))


def is_available(present: Manifest) -> bool:
    """Return whether all pods are of the present template, and ready.

    `replicas` counts pods of the template before as well: while one is left, the ready one may be that.
    """
    status = present.get("status", {})
    updated, least = status.get("updatedReplicas", 0), least_replicas(present)
    # An autoscaler may want more than there are: who has the least number serves. What is scaled to none has shown
    # nothing yet.
    enough = updated == present["spec"].get("replicas", 1) if least is None else True
    return bool(
        _is_current(present)
        and enough
        and status.get("replicas", updated) == updated
        and status.get("readyReplicas", 0) >= wanted_replicas(present)
    )


def least_replicas(present: Manifest) -> int | None:
    """Return how many pods are to be ready at least where something else scales; None where their number is fixed."""
    said = present["metadata"].get("annotations", {}).get(labels.LEAST_REPLICAS, "")
    return int(said) if said.isascii() and said.isdigit() and len(said) <= 4 else None


def wanted_replicas(present: Manifest) -> int:
    """Return how many pods have to be ready for the Deployment to be available."""
    least = least_replicas(present)
    return int(present["spec"].get("replicas", 1)) if least is None else max(least, 1)


def serves(view: ModelView, candidate: Candidate, stage: str) -> bool:
    """Return whether all its pods are there and ready, as the present spec wants them."""
    present = deployment_of(view, stage)
    if present is None or not shows(present, candidate) or not is_applied(present, candidate):
        return False
    return is_available(present) or _is_being_scaled(view, present, candidate, stage)


def _is_being_scaled(view: ModelView, present: Manifest, candidate: Candidate, stage: str) -> bool:
    """Return whether only its number of pods changes, by somebody else: what served goes on serving.

    Each change of that number is a new generation of the Deployment, which nobody has acted on yet.
    """
    least, ready = least_replicas(present), find(candidate.version.status.conditions, READY)
    served = (
        ready is not None
        and ready.status == "True"
        and ready.observed_generation == candidate.version.metadata.generation
        and stage in candidate.version.status.stages
    )
    if least is None or not served:
        return False
    if least == 0 and present["spec"].get("replicas") == 0:
        return True
    return not _is_current(present) and sum(pod.ready for pod in pods_of(view, candidate, stage)) >= max(least, 1)


def ready_pods(present: Manifest) -> int:
    """Return how many pods of the present template are ready at least: a Deployment counts those of any template."""
    status = present.get("status", {})
    if not _is_current(present):
        return 0
    updated = int(status.get("updatedReplicas", 0))
    of_before = int(status.get("replicas", updated)) - updated
    return min(updated, max(0, int(status.get("readyReplicas", 0)) - of_before))


def pods_of(view: ModelView, candidate: Candidate, stage: str) -> list[ServerPod]:
    """Return the version's own pods in the stage, of whatever template."""
    digest = labels.short(candidate.checked.status.artifact or "", 16)
    return [
        pod
        for pod in view.pods
        if pod.stage == stage and pod.version == candidate.version.metadata.name and pod.digest == digest
    ]


def _own_pods(view: ModelView, candidate: Candidate, stage: str) -> list[ServerPod]:
    """Return the version's pods without those that went down with a second version in them, which may be its doing.

    What a server says of a model is of this version's: it refuses no request for a second one that it cannot load.
    """
    return [pod for pod in pods_of(view, candidate, stage) if not pod.canary or _refuses_its_model(pod)]


def _refuses_its_model(pod: ServerPod) -> bool:
    trouble = server_pods.trouble_of(pod)
    return trouble is not None and trouble.fault is Fault.MODEL


def is_down(view: ModelView, candidate: Candidate, stage: str) -> bool:
    """Return whether no pod of the version answers in the stage, by a fault of its own."""
    found = server_pods.foremost(_own_pods(view, candidate, stage))
    return found is not None and found.fault is not Fault.CLUSTER and not answers(view, candidate, stage)


def has_enough(view: ModelView, candidate: Candidate, stage: str) -> bool:
    """Return whether as many pods of the version answer in the stage as its Deployment is to have, of any template."""
    present = deployment_of(view, stage)
    ready = sum(pod.ready for pod in pods_of(view, candidate, stage))
    return (
        present is not None
        and shows(present, candidate)
        and is_applied(present, candidate)
        and ready >= wanted_replicas(present)
    )


def has_canary(view: ModelView, stage: str) -> bool:
    """Return whether a pod of the stage has a second version, or had one when it was seen last."""
    return any(pod.canary for pod in view.pods if pod.stage == stage)


def shows_trial(present: Manifest, mark: str, weight: int) -> bool:
    """Return whether the Deployment's pods have the candidate of that canary, with that weight."""
    metadata = present["spec"]["template"]["metadata"]
    said = (metadata.get("labels", {}).get(labels.CANARY), metadata.get("annotations", {}).get(labels.WEIGHT))
    return said == (mark, str(weight))


def trouble_of_trial(view: ModelView, stage: str, mark: str, since: datetime) -> ServerTrouble | None:
    """Return what keeps pods that have the candidate of that canary from answering. `since`: when it began."""
    found = server_pods.foremost(_pods_of_trial(view, stage, mark))
    present, until = deployment_of(view, stage), silent_trial_until(view, stage, mark, since)
    if present is None:
        return found
    if found is None and until is not None and until <= view.now and _gave_up(present):
        return ServerTrouble(Fault.CRASH, Reason.SERVING_FAILED, _SILENT)
    return found or _refused(present)


def silent_trial_until(view: ModelView, stage: str, mark: str, since: datetime) -> datetime | None:
    """Return until when pods that have the candidate of that canary may be silent; None if none is up and silent."""
    up = server_pods.silent_since(_pods_of_trial(view, stage, mark))
    return None if up is None else server_pods.gives_up_at(max(up, min(since, view.now)))


def _pods_of_trial(view: ModelView, stage: str, mark: str) -> list[ServerPod]:
    return [pod for pod in view.pods if pod.stage == stage and pod.canary == mark]


def answers(view: ModelView, candidate: Candidate, stage: str) -> bool:
    """Return whether a pod of the version answers in the stage."""
    return any(pod.ready for pod in pods_of(view, candidate, stage))


def is_answered(view: ModelView, stage: str) -> bool:
    """Return whether a pod of any version answers in the stage."""
    return any(pod.ready for pod in view.pods if pod.stage == stage)


def observed(view: ModelView, candidate: Candidate) -> Candidate:
    """Return the candidate with what its Deployments and pods show: where it came up, and where it did not."""
    version, status = candidate.version, candidate.version.status
    passed = set(status.passed_stages) & set(candidate.stages)
    # An edit of the spec is the user's way to have it tried again, and so is a retry.
    asked = retrying.wanted(version) is not None
    edited = asked or status.observed_generation != version.metadata.generation
    failures = {} if edited else _failures_on_record(candidate)
    for stage in candidate.stages:
        present = deployment_of(view, stage)
        if present is None or not shows(present, candidate):
            continue
        if is_available(present):
            passed.add(stage)
            failures.pop(stage, None)
        elif stage not in failures and not asked:
            blamed = _blamed(view, present, candidate, stage, proven=stage in passed)
            if blamed is not None:
                message = blamed.message[:_MAX_MESSAGE]
                failures[stage] = StageFailure(stage=stage, reason=str(blamed.reason), message=message)
    return candidate.seen(passed=frozenset(passed), failures=failures)


def _failures_on_record(candidate: Candidate) -> dict[str, StageFailure]:
    status = candidate.version.status
    known = {each.stage: each for each in status.failures}
    # An earlier release recorded the stage alone.
    return {
        stage: known.get(stage) or StageFailure(stage=stage, reason=Reason.SERVING_FAILED, message=_SILENT)
        for stage in status.failed_stages
        if stage in candidate.stages
    }


_SILENT = f"its pods did not become ready within {STARTUP_SECONDS + PROGRESS_DEADLINE} s"


def _blamed(
    view: ModelView, present: Manifest, candidate: Candidate, stage: str, *, proven: bool
) -> ServerTrouble | None:
    """Return why the version has failed in the stage, if it has: by its own fault, and as its spec is now.

    One that has served there with this artifact is not failed by time, nor by trouble of the cluster: something else
    has changed. Only if its pods refuse the model, and none of them answers, is another version tried.
    """
    if not is_applied(present, candidate) or not _is_retried(present, candidate):
        return None
    pods, since = pods_of(view, candidate, stage), since_of(present)
    if proven and any(pod.ready for pod in pods):
        return None
    faults = (Fault.MODEL,) if proven else (Fault.MODEL, Fault.CRASH)
    # What a pod said before the version was wanted there, or wanted again, was an earlier attempt.
    fresh = [pod for pod in _own_pods(view, candidate, stage) if not _is_of_before(pod, since)]
    trouble = server_pods.foremost(fresh)
    if trouble is not None and trouble.fault in faults:
        return trouble
    silent_until = _silent_until(present, pods)
    if proven or silent_until is None or silent_until > view.now or not _gave_up(present):
        return None
    return ServerTrouble(Fault.MODEL, Reason.SERVING_FAILED, _SILENT)


def _is_of_before(pod: ServerPod, since: datetime | None) -> bool:
    trouble = server_pods.trouble_of(pod)
    return trouble is not None and trouble.at is not None and since is not None and trouble.at < since


def _silent_until(present: Manifest, pods: Iterable[ServerPod]) -> datetime | None:
    """Return until when the pods that are up may be silent; None if none is up and silent."""
    up = server_pods.silent_since(pods)
    if up is None:
        return None
    since = since_of(present)
    return server_pods.gives_up_at(max(up, since) if since else up)


def trouble(view: ModelView, candidate: Candidate, stage: str) -> ServerTrouble | None:
    """Return what keeps the version from answering with all its pods in the stage, as far as somebody says so."""
    present = deployment_of(view, stage)
    if present is None or not shows(present, candidate):
        return None
    is_current = is_applied(present, candidate) and _is_retried(present, candidate)
    since = since_of(present) if is_current else view.now
    found = server_pods.foremost(pod for pod in _own_pods(view, candidate, stage) if not _is_of_before(pod, since))
    return found or _refused(present)


def trouble_of_left(view: ModelView, candidate: Candidate, stage: str) -> ServerTrouble | None:
    """Return what keeps the pods that are left of a version from answering, while another one is rolled out."""
    present = deployment_of(view, stage)
    found = server_pods.foremost(_own_pods(view, candidate, stage))
    return found or (_refused(present) if present is not None else None)


def _refused(present: Manifest) -> ServerTrouble | None:
    """Return why pods cannot even be made, such as a quota that is used up."""
    for each in present.get("status", {}).get("conditions", ()):
        if each["type"] == "ReplicaFailure" and each["status"] == "True":
            said = _REFUSED_POD.sub("pods", str(each.get("message") or "no details"))
            return ServerTrouble(Fault.CLUSTER, Reason.CHILD_REFUSED, f"a pod cannot be made: {said}")
    return None


def _is_current(present: Manifest) -> bool:
    return bool(present.get("status", {}).get("observedGeneration", 0) >= present["metadata"].get("generation", 1))


def _gave_up(present: Manifest) -> bool:
    """Return whether the Deployment says that its progress deadline has passed.

    It says so until it makes progress, also when it was given a good version in the place of the one that failed.
    """
    return _is_current(present) and any(
        each["type"] == "Progressing" and each["status"] == "False"
        for each in present.get("status", {}).get("conditions", [])
    )


def since_of(present: Manifest) -> datetime | None:
    """Return since when the Deployment is to serve what it serves; None if nobody knows."""
    since = present["metadata"].get("annotations", {}).get(labels.SINCE, "")
    return parse_time(since) if is_timestamp(since) else None


def requeue_times(view: ModelView, candidates: list[Candidate]) -> Iterable[datetime]:
    """Yield when to plan again at Deployments that gave up, and whose pods have not had their time yet."""
    for candidate in candidates:
        for stage in candidate.stages:
            present = deployment_of(view, stage)
            if present is None or not shows(present, candidate) or stage in candidate.passed or not _gave_up(present):
                continue
            until = _silent_until(present, pods_of(view, candidate, stage))
            if until is not None and until > view.now and stage not in candidate.failed:
                # A clock that was wrong may have written a time to come.
                yield min(until, view.now + timedelta(seconds=PROGRESS_DEADLINE))


def since(view: ModelView, choice: Candidate, stage: str) -> str:
    """Return since when the version, as its spec is now, is to serve in the stage."""
    present = deployment_of(view, stage)
    known = present["metadata"].get("annotations", {}).get(labels.SINCE, "") if present is not None else ""
    same = (
        present is not None and shows(present, choice) and is_applied(present, choice) and _is_retried(present, choice)
    )
    return known if same and is_timestamp(known) else format_time(view.now)
