"""What must always hold of canaries: who is tried beside whom, with which weight, and how a version takes over."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from mlops.api import labels, tasks
from mlops.api.base import parse_duration, parse_time
from mlops.engine.cluster import labels_of, owners_of
from mlops.planning.plan import Key, Manifest
from tests.containers import task_of
from tests.simulation.api_server.server import ApiServer, Change
from tests.simulation.loop import EPOCH

Broken = tuple[str, str]
# By how much the clocks of two operators differ at most, and what is lost where times are whole seconds.
_CLOCKS = 6.0


class CanariesKnown:
    """Remembers what versions were told, and since when that is so: an operator learns late of what people do."""

    def __init__(self, server: ApiServer, clock: Callable[[], float], unseen_seconds: float) -> None:
        self._server, self._clock, self._unseen = server, clock, unseen_seconds
        # By uid of a version: what decides whether it may serve, and since when that is so.
        self._since: dict[str, tuple[str, float]] = {}
        # By uid and start of a canary: the steps it was begun with, and whether it has failed.
        self._begun: dict[tuple[str, str], str] = {}
        self._failed: set[tuple[str, str]] = set()

    def note(self, version: Manifest) -> None:
        """Take in a version as it is now."""
        status = version.get("status") or {}
        told = json.dumps(
            [version["spec"], status.get("failedStages"), status.get("passedStages"), status.get("rolledBack")]
        )
        uid = version["metadata"]["uid"]
        if self._since.get(uid, ("", 0.0))[0] != told:
            self._since[uid] = told, self._clock()

    def broken_by(self, change: Change) -> Broken | None:
        """Return what is wrong with the operator's write of a Deployment or of a status."""
        if change.key.kind == "ModelVersion":
            return self._steps(change)
        return self._candidate(change) or self._takes_over(change)

    def at_rest(self) -> Broken | None:
        """Return what is still tried when all has come to rest."""
        for deployment in self._server.list("Deployment"):
            if _told(deployment) is not None:
                return "CanariesEnd", f"{deployment['metadata']['name']} has a candidate for ever"
        return None

    # --- who is tried ---

    def _candidate(self, change: Change) -> Broken | None:
        told, name = _told(change.new), change.key.name
        if told is None:
            return None
        stage = labels_of(change.new).get(labels.STAGE, "")
        version = self._owner(change, str(told.object_name))
        stable = self._owner(change, _shown(change.new))
        if version is None or stable is None:
            # One of the two was deleted just now.
            return None
        status, before = version.get("status") or {}, stable.get("status") or {}
        record = status.get("canary") or {}
        if stage in (status.get("failedStages") or ()):
            return "WhoFailedGetsNoRequests", f"{name} has {told.object_name}, which has failed in {stage}"
        if status.get("verification") is None or status.get("artifact") != told.artifact:
            return "OnlyTheVerifiedAreTried", f"{name} has {told.artifact} of {told.object_name}: not verified"
        if version["spec"]["version"] <= stable["spec"]["version"]:
            return "TheNewerIsTried", f"{name} has {told.object_name} beside {stable['metadata']['name']}"
        if stage not in (before.get("passedStages") or ()):
            return "BesideTheProven", f"{name} has {stable['metadata']['name']} for stable, which never served there"
        if (record.get("stage"), record.get("weight")) != (stage, told.weight):
            return "WeightsAreOnRecord", f"{name} gives {told.object_name} {told.weight} %, on record is {record}"
        return None

    def _takes_over(self, change: Change) -> Broken | None:
        """A version takes a stage from one that could go on only when it has been through its steps."""
        if change.old is None:
            return None
        stage = labels_of(change.new).get(labels.STAGE, "")
        before, after = self._owner(change, _shown(change.old)), self._owner(change, _shown(change.new))
        if before is None or after is None or before["metadata"]["uid"] == after["metadata"]["uid"]:
            return None
        steps, status = _steps_of(after, stage), after.get("status") or {}
        if not steps or stage in (status.get("passedStages") or ()) or not self._could_go_on(before, stage):
            return None
        if after["spec"]["version"] < before["spec"]["version"] or not self._is_known(after):
            return None
        record = status.get("canary") or {}
        if (record.get("stage"), record.get("step")) != (stage, len(steps)):
            said = f"{after['metadata']['name']} takes {stage} from {before['metadata']['name']} with {record}"
            return "TakesOverByItsSteps", said
        return None

    def _could_go_on(self, version: Manifest, stage: str) -> bool:
        status, metadata = version.get("status") or {}, version["metadata"]
        answers = any(
            labels_of(pod).get(labels.STAGE) == stage
            and labels_of(pod).get(labels.MODEL_VERSION) == metadata["name"]
            and any(each["type"] == "Ready" and each["status"] == "True" for each in _conditions(pod))
            for pod in self._server.list("Pod")
        )
        return (
            answers
            and stage in (status.get("passedStages") or ())
            and stage not in (status.get("failedStages") or ())
            and not version["spec"].get("withdrawn")
            and not [each for each in status.get("rolledBack") or () if not each.get("ended")]
            and status.get("observedGeneration") == metadata.get("generation")
            and self._is_known(version)
        )

    def _is_known(self, version: Manifest) -> bool:
        """Return whether every process knows the version as it is; one that was just made is known by who plans it."""
        since = self._since.get(version["metadata"]["uid"], ("", 0.0))[1]
        return version["metadata"].get("generation") == 1 or self._clock() - since > self._unseen

    def _owner(self, change: Change, name: str) -> Manifest | None:
        version = self._server.get(Key("ModelVersion", change.key.namespace, name))
        owners = {each["uid"] for each in owners_of(change.new)}
        if version is None or version["metadata"].get("deletionTimestamp"):
            return None
        return version if version["metadata"]["uid"] in owners else None

    # --- how it goes on ---

    def _steps(self, change: Change) -> Broken | None:
        old, new = ((((each or {}).get("status") or {}).get("canary")) or {} for each in (change.old, change.new))
        if not new:
            return None
        name, status = change.key.name, change.new.get("status") or {}
        steps, mark = _steps_of(change.new, new["stage"]), (change.new["metadata"]["uid"], new["startedAt"])
        has_failed = new["stage"] in (status.get("failedStages") or ())
        seen = status.get("observedGeneration") == change.new["metadata"].get("generation")
        if seen and not has_failed:
            if mark in self._failed:
                return "WhoFailedStartsAgain", f"{name} goes on with the canary that it has failed: {new}"
            said = json.dumps(steps)
            if self._begun.setdefault(mark, said) != said:
                return "AnEditStartsAgain", f"{name} goes on with other steps: {new}"
        if has_failed:
            self._failed.add(mark)
            return None
        if not old or old["startedAt"] != new["startedAt"] or old["stage"] != new["stage"] or not seen:
            # It begins. A step may be done at once only if there is nothing to wait for.
            return ("StepsAreDone", f"{name} begins at step {new['step']}") if new["step"] else None
        if new["step"] < old["step"] or (new["looks"] < old["looks"] and new["step"] == old["step"]):
            return "StepsGoForward", f"{name} was at {old}, is at {new}"
        for number in range(old["step"], min(new["step"], len(steps))):
            if (why := self._not_done(change, steps[number], old, new, entered=number == old["step"])) is not None:
                return "StepsAreDone", f"{name} has passed step {number}: {why}"
        return None

    def _not_done(self, change: Change, step: Manifest, old: Manifest, new: Manifest, *, entered: bool) -> str | None:
        """Return why a step that was passed is not done, if it is not."""
        key = Key("Deployment", change.key.namespace, f"{change.new['spec']['modelName']}-{new['stage']}")
        told = _told(self._server.get(key) or {})
        if "setWeight" in step and (told is None or told.weight != step["setWeight"]):
            return f"the Deployment has {told}, and not {step['setWeight']} %"
        if "pause" in step:
            span = parse_duration(step["pause"]).total_seconds()
            passed = 0.0
            if entered and old.get("stepSince"):
                passed = (EPOCH - parse_time(old["stepSince"])).total_seconds() + self._clock()
            if span > passed + _CLOCKS:
                return f"{passed} s of {step['pause']} have passed"
        if "analysis" in step and (new.get("analysis") or {}).get("outcome") != "Successful":
            return f"what was found is {new.get('analysis')}"
        return None


def _told(deployment: Manifest) -> tasks.ServeCandidate | None:
    containers = (((deployment.get("spec") or {}).get("template") or {}).get("spec") or {}).get("containers") or ()
    found = next(filter(None, map(task_of, containers)), None)
    return found.candidate if isinstance(found, tasks.ServeTask) else None


def _shown(deployment: Manifest) -> str:
    return str(labels_of(deployment["spec"]["template"]).get(labels.MODEL_VERSION, ""))


def _steps_of(version: Manifest, stage: str) -> list[Manifest]:
    stages = (version["spec"].get("promotion") or {}).get("stages") or ()
    return next((each["canary"]["steps"] for each in stages if each["name"] == stage and "canary" in each), [])


def _conditions(manifest: Manifest) -> list[dict[str, Any]]:
    return list((manifest.get("status") or {}).get("conditions") or ())
