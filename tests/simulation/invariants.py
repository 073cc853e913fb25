"""What must hold at every step, and what must hold when everything has come to rest."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from mlops.api import kinds, labels, tasks
from mlops.api.base import parse_time
from mlops.api.dataset import Dataset
from mlops.api.kinds import KINDS
from mlops.cluster.memory import version_of
from mlops.engine.cluster import key_of, labels_of, owners_of
from mlops.engine.over import run_is_over
from mlops.engine.routes import JOB_NAME
from mlops.planning.history_entries import FILE, HISTORY, entries
from mlops.planning.plan import Key, Manifest
from tests.simulation.api_server.server import ApiServer, Change
from tests.simulation.approval_invariants import ApprovalsKnown
from tests.simulation.canary_invariants import CanariesKnown
from tests.simulation.history_invariants import broken_by
from tests.simulation.loop import EPOCH
from tests.simulation.workloads import Workloads, schema_digest

# Whatever goes wrong with watches, what is older than this was seen by everybody.
_LONG_UNSEEN = 300.0
CHILDREN = ("Job", "CronJob", "Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler")
# Pinned when they are first set: what ran has to be provable.
_PINNED = {
    "TrainingRun": ("resolved", "inputsDigest", "outputDigest", "predictionDigest"),
    "ModelVersion": ("artifact", "lineage"),
}
# Longer than what happens can stay unknown: lists repair what watches missed.
_KNOWN_SECONDS = 80.0
# Whose attempts a Job is one of, by the label that says it.
_JOBS_OF = {"Dataset": labels.DATASET, "TrainingRun": labels.RUN, "ModelVersion": labels.MODEL_VERSION}

# Of how many of the newest versions of a model what serves is owned, beside those that are live.
_OWNERS = 3


class Violation(Exception):
    """An invariant does not hold; `name` is which."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name


class Invariants:
    """Looks at every change of the server's state as it happens, and keeps the first violation."""

    def __init__(self, server: ApiServer, clock: Callable[[], float], workloads: Workloads) -> None:
        self._server, self._clock, self._workloads = server, clock, workloads
        self.violation: Violation | None = None
        self._finished: set[tuple[str, str]] = set()
        # Uids of the owners of which a Job was complete, and by Job the owner that it was made for.
        self._executed: set[str] = set()
        self._made_for: dict[Key, str] = {}
        # By process and uid: what it knows to be gone.
        self._known_gone: set[tuple[str, str]] = set()
        # By the object that a Job is of: the uids of those that have ended, and how many ends it has counted.
        self._ended: dict[Key, set[str]] = {}
        self._counted: Counter[str] = Counter()
        # By version: where it is live, whether it is withdrawn or has failed, and since when that is so.
        self._serving: dict[Key, tuple[tuple[tuple[str, ...], bool, bool], float]] = {}
        self._approvals = ApprovalsKnown(server, clock, _LONG_UNSEEN)
        self._canaries = CanariesKnown(server, clock, _LONG_UNSEEN)
        # Who holds the Lease; one that was deleted by hand is still its last holder's.
        self._holder = ""
        self._renewed = -math.inf
        server.listen(self.changed)

    def changed(self, change: Change) -> None:
        """Check what one change did."""
        if self.violation is not None:
            return
        try:
            self._check(change)
        except Violation as violation:
            self.violation = violation

    def arriving(self, user: str, method: str, path: str, body: Manifest | None) -> None:
        """Check a request that is about to be carried out."""
        if method == "GET" or "/leases" in path or self.violation is not None:
            return
        if self._holder != user:
            said = f"{user} sends {method} {path}, the Lease is {self._holder}'s"
            self.violation = Violation("OnlyTheHolderWrites", said)
        if path.endswith("/status") and not ((body or {}).get("metadata") or {}).get("resourceVersion"):
            self.violation = Violation("StatusIsGuarded", f"{method} {path} does not say what it has seen")
        if method == "DELETE" and not ((body or {}).get("preconditions") or {}).get("uid"):
            self.violation = Violation("DeletionIsGuarded", f"{method} {path} takes whatever has that name")

    def learning(self, name: str, old: Manifest | None, new: Manifest | None) -> None:
        """Check what a process comes to know: it never goes back, and nothing that is there is taken for gone."""
        if self.violation is not None:
            return
        key = key_of(new or old or {})
        uid = (new or old or {})["metadata"]["uid"]
        if new is None:
            there = self._server.get(key)
            if there is not None and there["metadata"]["uid"] == uid:
                self.violation = Violation("WhatIsThereIsKnown", f"{name} takes {key} for gone, and it is there")
            self._known_gone.add((name, uid))
        elif (name, uid) in self._known_gone:
            self.violation = Violation("TheGoneStayGone", f"{name} takes {key} for there again")
        elif old is not None and old["metadata"]["uid"] != uid:
            self.violation = Violation("NamesakesAreTwo", f"{name} takes {key} for the one that was deleted before")
        elif old is not None and version_of(new) <= version_of(old):
            said = f"{name} knew {key} at {version_of(old)}, and now at {version_of(new)}"
            self.violation = Violation("KnowledgeGrows", said)

    def _check(self, change: Change) -> None:
        kind = change.key.kind
        ours = change.user.startswith("operator")
        if ours and kind in KINDS and change.old is not None and change.type == "MODIFIED":
            _users_own(change)
        if kind in _PINNED and change.type == "MODIFIED" and change.old is not None:
            _pinned(change)
        if kind in KINDS and ours and change.type == "MODIFIED":
            _says_why(change)
            _not_denied(change)
        if ours and kind == "ModelVersion" and change.type == "ADDED":
            self._something_new(change)
        if kind == "Lease" and change.type != "DELETED":
            self._held(change)
        if kind == "Job":
            self._job(change)
        if kind in ("TrainingRun", "ModelVersion", "Dataset") and ours and change.type == "MODIFIED":
            self._result_is_its_own(change)
            self._each_end_counts_once(change)
        if kind == "ModelVersion" and change.type != "DELETED":
            self._approvals.note(change.new)
            self._canaries.note(change.new)
        if kind in ("Deployment", "ModelVersion") and ours and change.type != "DELETED":
            _raise(self._approvals.broken_by(change))
            _raise(self._canaries.broken_by(change))
        if kind == "Deployment" and ours and change.type != "DELETED":
            self._verified(change)
        if kind == "ModelVersion" and change.type != "DELETED":
            self._note_serving(change)
        if kind == "Deployment" and ours and change.type == "MODIFIED":
            self._goes_back(change)
            _leaves_replicas(change)
        if kind == "ModelVersion" and change.type == "MODIFIED":
            self._live(change)
        if kind == "ConfigMap" and change.type == "MODIFIED" and change.old is not None:
            _only_adds(change)
        if ours and (broken := broken_by(self._server, change)) is not None:
            raise Violation(*broken)
        if kind == "Dataset" and change.type == "MODIFIED":
            _grows(change)
            self._is_a_new_number(change)
            if (
                ours
                and (change.new.get("status") or {}).get("observedGeneration") == change.new["metadata"]["generation"]
            ):
                _of_its_spec(change.new)
            self._what_is_needed_stays(change)
        if kind == "TrainingRun" and change.type == "MODIFIED":
            self._pinned_to_what_stays(change)
            self._rows_grew(change)
        if kind == "DriftMonitor" and change.type == "MODIFIED":
            self._acted(change)
            _not_on_broken_data(change)
            _mends_what_moved(change)
        if kind == "TrainingRun" and change.type == "ADDED" and ours:
            self._not_made_on_broken_data(change)
        if kind == "ModelVersion" and change.type == "MODIFIED" and ours:
            self._rolled_back(change)

    def _held(self, change: Change) -> None:
        before = (change.old or {}).get("spec") or {}
        spec = change.new.get("spec") or {}
        self._holder = spec.get("holderIdentity") or ""
        was, since, self._renewed = before.get("holderIdentity"), self._clock() - self._renewed, self._clock()
        if was and self._holder not in ("", was) and since < before["leaseDurationSeconds"]:
            said = f"{self._holder} takes the Lease {since:.1f} s after {was} has renewed it"
            raise Violation("TheLeaseRunsOut", said)

    def _job(self, change: Change) -> None:
        key = change.key
        if change.type == "DELETED" or _over(change.new):
            for kind, label in _JOBS_OF.items():
                if name := labels_of(change.new).get(label):
                    self._ended.setdefault(Key(kind, key.namespace, name), set()).add(change.new["metadata"]["uid"])
        if change.type == "DELETED":
            return
        if change.type == "ADDED" and change.user.startswith("operator"):
            run = labels_of(change.new).get(labels.RUN)
            owner = next((each["uid"] for each in owners_of(change.new)), "")
            # One that somebody took away before its result was on record is made again; so is one of a run that is gone
            # and not known to be, which the garbage collector takes at once.
            known = self._server.get(Key("TrainingRun", key.namespace, run or ""))
            recorded = ((known or {}).get("status") or {}).get("outputDigest") is not None
            if (owner, key.name) in self._finished and recorded:
                raise Violation("OneJobPerAttempt", f"Job {key.name} had finished, and is made again")
            if run or labels_of(change.new).get(labels.MODEL_VERSION):
                self._one_execution(change, owner)
            self._work_that_was_done(change, owner)
            self._is_on_record_first(change)
        if change.type == "ADDED":
            self._made_for[key] = next((each["uid"] for each in owners_of(change.new)), "")
        if change.type == "MODIFIED" and _complete(change.new):
            self._executed.add(self._made_for.get(key, ""))
            for each in owners_of(change.new):
                if labels_of(change.new).get(labels.RUN):
                    self._finished.add((each["uid"], key.name))

    def _each_end_counts_once(self, change: Change) -> None:
        """An attempt that failed is one Job that has ended: what is taken in again and again is tried ever later."""
        before = ((change.old or {}).get("status") or {}).get("attempts") or 0
        more = ((change.new.get("status") or {}).get("attempts") or 0) - before
        if more > 0:
            uid = change.new["metadata"]["uid"]
            self._counted[uid] += more
            ended = len(self._ended.get(change.key, ()))
            if self._counted[uid] > ended:
                said = (
                    f"{change.key} has counted {self._counted[uid]} attempts that failed, and {ended} Jobs have ended"
                )
                raise Violation("EachEndCountsOnce", said)

    def _result_is_its_own(self, change: Change) -> None:
        """What an object says of its result came of a Job made for it, and not for one of the same name before."""
        status, before = change.new.get("status") or {}, (change.old or {}).get("status") or {}
        uid, key = change.new["metadata"]["uid"], change.key
        field = {"TrainingRun": "outputDigest", "ModelVersion": "verification", "Dataset": "lastJob"}[key.kind]
        if status.get(field) is None or status.get(field) == before.get(field):
            return
        if key.kind == "Dataset":
            owner = self._made_for.get(Key("Job", key.namespace, status["lastJob"]), uid)
            datasets = {each["metadata"]["uid"] for each in self._server.list("Dataset")} | {uid}
            if owner != uid and owner in datasets:
                raise Violation("ResultsAreItsOwn", f"{key} takes Job {status['lastJob']} of another Dataset")
        elif status.get("cachedFrom"):
            equal_run = (self._server.get(Key(key.kind, key.namespace, status["cachedFrom"])) or {}).get("status") or {}
            if equal_run and equal_run.get("inputsDigest") != status.get("inputsDigest"):
                raise Violation(
                    "ResultsAreItsOwn", f"{key} takes over {status['cachedFrom']}'s, which had other inputs"
                )
        elif key.kind == "TrainingRun" and self._is_of_a_version(key.namespace, status):
            # A run that would only make again what there is takes it from there.
            return
        elif uid not in self._executed:
            raise Violation("ResultsAreItsOwn", f"{key} has {field}, and no Job of its own was complete")

    def _note_serving(self, change: Change) -> None:
        """Remember since when a version is live where, and wanted there."""
        spec, status = change.new["spec"], change.new.get("status") or {}
        stalled = any(each["type"] == "Stalled" and each["status"] == "True" for each in _conditions(change.new))
        now = (tuple(status.get("stages") or ()), bool(spec.get("withdrawn")), stalled)
        if self._serving.get(change.key, ((), 0.0))[0] != now:
            self._serving[change.key] = now, self._clock()

    def _something_new(self, change: Change) -> None:
        """What the operator makes a version of differs from what serves, and has for longer than anything is unseen."""
        spec = change.new["spec"]
        others = [
            each
            for each in self._server.list("ModelVersion")
            if each["spec"]["modelName"] == spec["modelName"] and each["metadata"]["name"] != change.key.name
        ]
        newest = max(others, key=lambda each: int(each["spec"]["version"]), default=None)
        if newest is None:
            return
        (stages, withdrawn, stalled), since = self._serving.get(key_of(newest), (((), False, True), 0.0))
        last = [stage["name"] for stage in newest["spec"].get("promotion", {}).get("stages", [])][-1:]
        serves = stages and not withdrawn and not stalled and (not last or last[0] in stages)
        same = (newest.get("status") or {}).get("artifact") == (spec.get("artifact") or {}).get("digest")
        if serves and same and self._clock() - since > _LONG_UNSEEN:
            raise Violation("SomethingNew", f"{change.key.name} is {newest['metadata']['name']}, byte for byte")

    def _is_of_a_version(self, namespace: str, status: Manifest) -> bool:
        return any(
            each["metadata"]["namespace"] == namespace
            and (each["spec"].get("lineage") or {}).get("inputsDigest") == status.get("inputsDigest")
            and (each["spec"].get("artifact") or {}).get("digest") == status.get("outputDigest")
            for each in self._server.list("ModelVersion")
        )

    def _one_execution(self, change: Change, owner: str) -> None:
        others = [
            job["metadata"]["name"]
            for job in self._server.list("Job")
            if any(each["uid"] == owner for each in owners_of(job))
            and job["metadata"]["name"] != change.key.name
            and not _over(job)
            and not job["metadata"].get("deletionTimestamp")
        ]
        if others:
            raise Violation("OneJobPerAttempt", f"Job {change.key.name} is made while {', '.join(others)} runs")

    def _work_that_was_done(self, change: Change, owner: str) -> None:
        """A Job for a task whose report lies in a pod that is still there does the work a second time."""
        task = _task(change.new)
        for job in self._server.list("Job"):
            if job["metadata"]["name"] == change.key.name or not _complete(job) or _task(job) != task:
                continue
            if not any(each["uid"] == owner for each in owners_of(job)):
                continue
            if _proves(job) != _proves(change.new):
                continue
            for pod in self._server.list("Pod"):
                if labels_of(pod).get(JOB_NAME) == job["metadata"]["name"] and _has_reported(pod):
                    done = job["metadata"]["name"]
                    raise Violation("WorkIsDoneOnce", f"Job {change.key.name} is made, and Job {done} has reported")

    def _verified(self, change: Change) -> None:
        template = change.new["spec"]["template"]["metadata"]
        name = template.get("labels", {}).get(labels.MODEL_VERSION)
        version = self._server.get(Key("ModelVersion", change.key.namespace, str(name)))
        owners = {each["uid"] for each in owners_of(change.new)}
        if version is None or version["metadata"]["uid"] not in owners:
            # It was deleted just now, and perhaps made again: nobody can have looked it up later than its last
            # plan. What belongs to the one that is gone goes with it.
            return
        status = version.get("status") or {}
        artifact = template.get("annotations", {}).get(labels.ARTIFACT)
        if status.get("verification") is None or status.get("artifact") != artifact:
            before = (change.old or {}).get("spec", {}).get("template", {}).get("metadata", {})
            if before.get("annotations", {}).get(labels.ARTIFACT) != artifact:
                raise Violation("OnlyVerifiedServes", f"{change.key.name} serves {artifact} of {name}: not verified")

    def _goes_back(self, change: Change) -> None:
        """A stage goes back from a version that has served there to an older one only if a monitor found that one
        better, if nobody approves of it any more, or if the model is to blame, and none of its pods answers."""
        stage = labels_of(change.new).get(labels.STAGE, "")
        before, after = (self._shown(each) for each in (change.old or {}, change.new))
        if before is None or after is None or after["spec"]["version"] >= before["spec"]["version"]:
            return
        status, spec = before.get("status") or {}, before["spec"]
        seen = status.get("observedGeneration") == before["metadata"]["generation"]
        if stage not in (status.get("passedStages") or ()) or spec.get("withdrawn") or not seen:
            return
        if not self._approvals.holds_now(before, stage, status["artifact"]):
            return
        name = before["metadata"]["name"]
        over = [each for each in status.get("rolledBack") or () if each["stage"] == stage and not each.get("ended")]
        if over and (over[0]["to"] == after["metadata"]["name"] or not self._able(change, over[0])):
            return
        if self._workloads.serves(status["artifact"]):
            said = f"{name} has served in {stage}, its model is well, and {after['metadata']['name']} takes its place"
            raise Violation("ProvenIsNotReplacedByOlder", said)
        for pod in self._server.list("Pod"):
            own = labels_of(pod)
            if (own.get(labels.MODEL_VERSION), own.get(labels.STAGE)) == (name, stage) and self._answers_long(pod):
                raise Violation("AnsweringPodsStay", f"{name} answers in {stage}, and an older version takes its place")

    def _shown(self, deployment: Manifest) -> Manifest | None:
        """Return the version that a Deployment is of, if it is still there and to stay."""
        name = labels_of(deployment["spec"]["template"]).get(labels.MODEL_VERSION) if deployment else None
        namespace = deployment["metadata"]["namespace"] if deployment else ""
        version = self._server.get(Key("ModelVersion", namespace, str(name)))
        if version is None or version["metadata"].get("deletionTimestamp"):
            return None
        # One that was made again is another one.
        owners = {each["uid"] for each in owners_of(deployment)}
        return version if version["metadata"]["uid"] in owners else None

    def _answers_long(self, pod: Manifest) -> bool:
        """Return whether a pod has answered for so long that every process knows."""
        if pod["metadata"].get("deletionTimestamp"):
            return False
        ready = next((each for each in _conditions(pod) if each["type"] == "Ready"), {})
        if ready.get("status") != "True":
            return False
        return (EPOCH - parse_time(ready["lastTransitionTime"])).total_seconds() + self._clock() > _KNOWN_SECONDS

    def _live(self, change: Change) -> None:
        status = change.new.get("status") or {}
        before = set(((change.old or {}).get("status") or {}).get("stages") or ())
        for stage in status.get("stages") or ():
            if status.get("verification") is None:
                raise Violation("OnlyVerifiedServes", f"{change.key.name} is live in {stage}, and not verified")
            if stage not in before and change.new["spec"].get("withdrawn"):
                seen = status.get("observedGeneration") == change.new["metadata"]["generation"]
                if seen:
                    raise Violation("WithdrawnIsNotLive", f"{change.key.name} is withdrawn and goes live in {stage}")

    def _what_is_needed_stays(self, change: Change) -> None:
        """Of what a run is at work on, or a model was made of, no byte goes; nor of the current version."""
        (_, namespace, name), status = change.key, change.new.get("status") or {}
        began = _erasing(change.new) - _erasing(change.old or {})
        if any(each["version"] == status.get("version") for each in _removed(change.new)):
            raise Violation("TheCurrentStays", f"{change.key}: version {status.get('version')} is current and removed")
        if began:
            for speaker, number, digest in self._need(namespace, name):
                if (number, digest) in began:
                    raise Violation("WhatIsNeededStays", f"{change.key}: version {number} goes, {speaker} needs it")

    def _need(self, namespace: str, dataset: str) -> Iterator[tuple[str, int, str | None]]:
        for speaker, number, digest in self._speak_of(namespace, dataset):
            run = self._server.get(Key("TrainingRun", namespace, speaker))
            if run is None or not run_is_over(run):
                yield speaker, number, digest

    def _pinned_to_what_stays(self, change: Change) -> None:
        """No run is pinned to a version whose bytes go."""
        before = ((change.old or {}).get("status") or {}).get("resolved")
        resolved = (change.new.get("status") or {}).get("resolved")
        if resolved is None or resolved == before:
            return
        name = change.new["spec"]["datasetRef"]["name"]
        dataset = self._server.get(Key("Dataset", change.key.namespace, name)) or {}
        if (resolved["datasetVersion"], resolved["datasetDigest"]) in _erasing(dataset):
            said = f"{change.key} is pinned to version {resolved['datasetVersion']}, which is being removed"
            raise Violation("PinnedToWhatStays", said)

    def _is_on_record_first(self, change: Change) -> None:
        """A Job removes only what the record says is removed."""
        task = tasks.parse_task(_task(change.new) or "")
        if not isinstance(task, tasks.RemoveTask):
            return
        dataset = self._server.get(Key("Dataset", change.key.namespace, task.dataset))
        going = {each["artifact"] for each in _removed(dataset or {}) if each["removed"].get("erasing")}
        if dataset is not None and not going.issuperset(task.artifacts):
            raise Violation("RemovedOnRecordFirst", f"Job {change.key.name} removes what {task.dataset} still has")
        for each in ((dataset or {}).get("status") or {}).get("history") or ():
            if each["artifact"] in task.artifacts and not (each.get("removed") or {}).get("erasing"):
                said = f"Job {change.key.name} removes bytes that version {each['version']} of {task.dataset} has too"
                raise Violation("SharedBytesStay", said)

    def _acted(self, change: Change) -> None:
        after = (change.new.get("status") or {}).get("lastAction")
        before = ((change.old or {}).get("status") or {}).get("lastAction")
        if after and (not before or before["time"] != after["time"]):
            if before and after["time"] < before["time"]:
                raise Violation("ActionsGoForward", f"{change.key.name}: {after['time']} after {before['time']}")
            self._one_at_a_time(change, before)
            limit = (change.new["spec"].get("guard") or {}).get("maxRunsPerWeek", 3)
            times = (change.new.get("status") or {}).get("actionTimes") or ()
            recent = [time for time in times if parse_time(after["time"]) - parse_time(time) < timedelta(days=7)]
            if len(recent) > limit:
                raise Violation(
                    "GuardHolds", f"{change.key.name}: {len(recent)} actions in a week, allowed are {limit}"
                )

    def _not_made_on_broken_data(self, change: Change) -> None:
        """No run of a monitor is made while that one knows of a fault of the data."""
        name = labels_of(change.new).get(labels.MONITOR)
        monitor = self._server.get(Key("DriftMonitor", change.key.namespace, name)) if name else None
        faults = ((monitor or {}).get("status") or {}).get("faults")
        if faults:
            raise Violation("BrokenDataIsNotTrainedOn", f"{change.key.name} is made, and {name} knows of {faults}")

    def _rolled_back(self, change: Change) -> None:
        """A version is passed over because a monitor asked for it; what a person undid is not done again to it; and it
        serves there no more until that has ended."""
        old, new = (((each or {}).get("status") or {}) for each in (change.old, change.new))
        known = {each["stage"]: each for each in old.get("rolledBack") or ()}
        for each in new.get("rolledBack") or ():
            before = known.get(each["stage"])
            if before is None or before["time"] != each["time"]:
                self._was_asked_for(change, each)
            elif before.get("ended") and not each.get("ended"):
                raise Violation("WhatHasEndedStaysEnded", f"{change.key.name}: {before} begins again")
            if before and not before.get("ended") and not each.get("ended"):
                entered = each["stage"] in (set(new.get("stages") or ()) - set(old.get("stages") or ()))
                if entered and self._able(change, each):
                    raise Violation("ThePassedOverStayOut", f"{change.key.name} enters {each['stage']}: {each}")

    def _was_asked_for(self, change: Change, record: Manifest) -> None:
        monitor = self._server.get(Key("DriftMonitor", change.key.namespace, record["monitor"]))
        status = (monitor or {}).get("status") or {}
        asked = [each["time"] for each in (status.get("rollback"), status.get("lastAction")) if each]
        # The power may have gone between a record and the next one, so that a later ask is on record by now.
        if monitor is not None and all(parse_time(time) < parse_time(record["time"]) for time in asked):
            raise Violation("RollbacksAreAskedFor", f"{change.key.name}: {record}, and no monitor asks for it")

    def _able(self, change: Change, record: Manifest) -> bool:
        """Return whether the older version is there and may serve."""
        older = self._server.get(Key("ModelVersion", change.key.namespace, record["to"]))
        if older is None or older["metadata"].get("deletionTimestamp") or older["spec"].get("withdrawn"):
            return False
        return record["stage"] not in ((older.get("status") or {}).get("failedStages") or ())

    def _one_at_a_time(self, change: Change, before: Manifest | None) -> None:
        """A monitor has at most one run at work."""
        name = (before or {}).get("ref")
        run = self._server.get(Key("TrainingRun", change.key.namespace, str(name))) if name else None
        if run is not None and not run_is_over(run):
            raise Violation("OneRunOfAMonitor", f"{change.key.name} acts again, and its run {name} is not over")

    def _is_a_new_number(self, change: Change) -> None:
        """What finished runs and versions say they were trained on must not become something else."""
        (_, namespace, name), status = change.key, change.new.get("status") or {}
        for speaker, number, digest in self._speak_of(namespace, name):
            if number == status.get("version") and digest != status.get("digest"):
                said = f"{change.key}: version {number} is what {speaker} had by that name"
                raise Violation("NumbersAreNotReused", said)

    def _speak_of(self, namespace: str, dataset: str) -> Iterator[tuple[str, int, str | None]]:
        """Yield who speaks of a version of a Dataset by its number, the number and the digest."""
        for run in self._server.list("TrainingRun"):
            resolved = (run.get("status") or {}).get("resolved") or {}
            same = run["metadata"]["namespace"] == namespace and run["spec"]["datasetRef"]["name"] == dataset
            if same and resolved.get("datasetVersion") is not None:
                yield run["metadata"]["name"], resolved["datasetVersion"], resolved.get("datasetDigest")
        for version in self._server.list("ModelVersion"):
            lineage = version["spec"].get("lineage") or {}
            same = version["metadata"]["namespace"] == namespace and lineage.get("dataset") == dataset
            if same and lineage.get("datasetVersion") is not None:
                yield version["metadata"]["name"], lineage["datasetVersion"], lineage.get("datasetDigest")

    # --- at rest ---

    def at_rest(self) -> None:
        """Raise Violation unless nothing is orphaned, stuck or left open."""
        uids = {manifest["metadata"]["uid"] for kind in (*KINDS, *CHILDREN) for manifest in self._server.list(kind)}
        for kind in (*KINDS, *CHILDREN, "Pod"):
            for manifest in self._server.list(kind):
                _not_stuck(kind, manifest)
                if kind in CHILDREN or kind == "Pod":
                    _not_orphaned(kind, manifest, uids)
                if kind == "Deployment":
                    self._has_a_route_and_owners(manifest)
        for kind in KINDS:
            for manifest in self._server.list(kind):
                _settled(kind, manifest)
        for version in self._server.list("ModelVersion"):
            self._serves(version)
            self._the_older_one_serves(version)
        for monitor in self._server.list("DriftMonitor"):
            if (monitor.get("status") or {}).get("rollback"):
                raise Violation("RollbacksEnd", f"{monitor['metadata']['name']} waits for a rollback for ever")
        for dataset in self._server.list("Dataset"):
            _of_its_spec(dataset)
        self._is_on_record()
        _raise(self._approvals.at_rest())
        _raise(self._canaries.at_rest())

    def _is_on_record(self) -> None:
        """What a version has been is on record as long as it is there, and that it is gone when it is gone."""
        maps = [each for each in self._server.list("ConfigMap") if labels_of(each).get(labels.COMPONENT) == HISTORY]
        recorded = entries(maps)
        known = {(entry["uid"], entry["event"], entry.get("stage")) for entry in recorded}
        versions = {each["metadata"]["uid"]: each for each in self._server.list("ModelVersion")}
        for uid, version in versions.items():
            for step in (version.get("status") or {}).get("transitions") or ():
                if {(uid, "Live", step["to"]), (uid, step["to"], step.get("stage"))}.isdisjoint(known):
                    raise Violation("ThePastIsOnRecord", f"{version['metadata']['name']}: {step} is on no record")
        for entry in recorded:
            if entry["uid"] not in versions and (entry["uid"], "Deleted", None) not in known:
                raise Violation("ThePastIsOnRecord", f"that {entry['version']} was deleted is on no record")

    def _has_a_route_and_owners(self, deployment: Manifest) -> None:
        name, namespace = deployment["metadata"]["name"], deployment["metadata"]["namespace"]
        if self._server.get(Key("Service", namespace, name)) is None:
            raise Violation("ServedHasARoute", f"Deployment {name} has no Service")
        owners = {each["uid"] for each in owners_of(deployment)}
        versions = [
            version
            for version in self._server.list("ModelVersion")
            if version["spec"]["modelName"] == labels_of(deployment).get(labels.MODEL)
            and version["metadata"]["namespace"] == namespace
        ]
        newest = sorted(versions, key=lambda each: (each["spec"]["version"], each["metadata"]["name"]), reverse=True)
        for number, version in enumerate(newest):
            live = (version.get("status") or {}).get("stages")
            if (live or number < _OWNERS) and version["metadata"]["uid"] not in owners:
                raise Violation(
                    "SeveralVersionsOwn", f"Deployment {name} goes though {version['metadata']['name']} stays"
                )

    def _the_older_one_serves(self, version: Manifest) -> None:
        """Where a version is passed over, the older one serves, or one that is newer than both."""
        others = [
            each
            for each in self._server.list("ModelVersion")
            if each["spec"]["modelName"] == version["spec"]["modelName"]
            and each["metadata"]["namespace"] == version["metadata"]["namespace"]
        ]
        for record in (version.get("status") or {}).get("rolledBack") or ():
            serving = [each for each in others if record["stage"] in ((each.get("status") or {}).get("stages") or ())]
            names = {each["metadata"]["name"] for each in serving}
            newer = any(each["spec"]["version"] > version["spec"]["version"] for each in serving)
            if not record.get("ended") and names and record["to"] not in names and not newer:
                said = f"{version['metadata']['name']} is passed over for {record['to']}, and {sorted(names)} serves"
                raise Violation("TheOlderOneServes", said)

    def _serves(self, version: Manifest) -> None:
        name, namespace = version["metadata"]["name"], version["metadata"]["namespace"]
        for stage in (version.get("status") or {}).get("stages") or ():
            found = [
                each
                for each in self._server.list("Deployment")
                if each["metadata"]["namespace"] == namespace
                and labels_of(each).get(labels.MODEL) == version["spec"]["modelName"]
                and labels_of(each).get(labels.STAGE) == stage
            ]
            ready = sum(each.get("status", {}).get("readyReplicas", 0) for each in found)
            if not found or not ready:
                raise Violation("NoRouteToNothing", f"{name} is said to be live in {stage}, where no pod is ready")

    def _rows_grew(self, change: Change) -> None:
        """A template has a run for more rows only where there are as many more as it asks for."""
        status, before = change.new.get("status") or {}, (change.old or {}).get("status") or {}
        trigger, known = status.get("lastTrigger") or {}, status.get("trainedOn")
        if trigger.get("kind") != "DatasetGrowth" or status.get("lastRun") == before.get("lastRun") or not known:
            return
        data = self._server.get(Key("Dataset", change.key.namespace, trigger["ref"]))
        history = ((data or {}).get("status") or {}).get("history") or ()
        rows = next((each["rows"] for each in history if each["version"] == status["lastDatasetVersion"]), None)
        asked = [each["datasetGrowth"]["percent"] for each in change.new["spec"]["triggers"] if "datasetGrowth" in each]
        if rows is not None and asked and rows * 100 < known["rows"] * (100 + min(asked)):
            said = f"{change.key.name}: {rows} rows make a run, and its newest model was trained on {known}"
            raise Violation("RowsGrewFirst", said)


def _not_on_broken_data(change: Change) -> None:
    """An action is taken on data in which no check has found a fault, or has found it mended since."""
    status, before = change.new.get("status") or {}, (change.old or {}).get("status") or {}
    action = status.get("lastAction")
    if not action or (before.get("lastAction") or {}).get("time") == action["time"]:
        return
    found = [each["name"] for each in status.get("checks") or () if (each["type"], each["result"]) == _A_FAULT]
    if found or status.get("faults"):
        raise Violation("BrokenDataIsNotTrainedOn", f"{change.key.name}: {action}, and {found or status['faults']}")


def _mends_what_moved(change: Change) -> None:
    """A model gets a map of its scores only where its calibration is all that was found to have moved."""
    status, before = change.new.get("status") or {}, (change.old or {}).get("status") or {}
    action, found = status.get("lastAction"), status.get("calibration") or {}
    if not action or (before.get("lastAction") or {}).get("time") == action["time"] or action["kind"] != "Recalibrate":
        return
    if not found.get("alone") or found.get("artifact") != action.get("recalibrates"):
        raise Violation("MapsMendWhatMoved", f"{change.key.name}: {action}, and what was found is {found}")


_A_FAULT = ("DataQuality", "Detected")


def _users_own(change: Change) -> None:
    old, new = change.old or {}, change.new
    if old.get("spec") != new.get("spec"):
        raise Violation("UsersOwn", f"{change.user} wrote the spec of {change.key}")
    for part in ("labels", "annotations"):
        if old["metadata"].get(part) != new["metadata"].get(part):
            raise Violation("UsersOwn", f"{change.user} wrote the {part} of {change.key}")


def _pinned(change: Change) -> None:
    old, new = (change.old or {}).get("status") or {}, change.new.get("status") or {}
    for field in _PINNED[change.key.kind]:
        if old.get(field) is not None and old[field] != new.get(field):
            raise Violation("PinnedStays", f"{change.key}: {field} was {old[field]}, is {new.get(field)}")


def _raise(broken: tuple[str, str] | None) -> None:
    if broken is not None:
        raise Violation(*broken)


def _says_why(change: Change) -> None:
    for each in _conditions(change.new):
        if each["type"] == "Ready" and each["status"] != "True" and not (each.get("reason") and each.get("message")):
            raise Violation("ReadySaysWhy", f"{change.key}: {each}")


def _not_denied(change: Change) -> None:
    """Simulated training gives the same bytes for the same inputs: nobody may say that it did not."""
    for each in _conditions(change.new):
        if each["type"] == "Reproducible" and each["status"] == "False":
            raise Violation("SameInputsSameBytes", f"{change.key}: {each.get('message')}")


def _grows(change: Change) -> None:
    old = ((change.old or {}).get("status") or {}).get("version") or 0
    new = (change.new.get("status") or {}).get("version") or 0
    if new < old:
        raise Violation("VersionsGrow", f"{change.key}: version {new} after {old}")


def _removed(dataset: Manifest) -> list[Manifest]:
    return [each for each in (dataset.get("status") or {}).get("history") or () if each.get("removed")]


def _erasing(dataset: Manifest) -> set[tuple[int, str]]:
    return {(each["version"], each["digest"]) for each in _removed(dataset) if each["removed"].get("erasing")}


def _leaves_replicas(change: Change) -> None:
    """Where something else scales, the operator changes no number of pods: the two would undo each other's work."""
    both = [change.old or {}, change.new]
    scaled = all(labels.LEAST_REPLICAS in (each["metadata"].get("annotations") or {}) for each in both if each)
    before, now = ((each.get("spec") or {}).get("replicas") for each in both)
    if scaled and change.old is not None and before != now:
        raise Violation("ReplicasAreTheScalers", f"{change.key} had {before} pods wanted, now {now}")


def _only_adds(change: Change) -> None:
    old, new = ((each.get("data") or {}).get(FILE, "") for each in (change.old or {}, change.new))
    if not new.startswith(old):
        raise Violation("ThePastStays", f"{change.key} was {old!r}, is {new!r}")


def _not_stuck(kind: str, manifest: Manifest) -> None:
    metadata = manifest["metadata"]
    if metadata.get("deletionTimestamp"):
        raise Violation("NothingIsStuck", f"{kind} {metadata['name']} is being deleted for ever")
    if kind == "Job" and not _over(manifest) and not manifest["spec"].get("suspend"):
        raise Violation("NothingIsStuck", f"Job {metadata['name']} never ends")


def _not_orphaned(kind: str, manifest: Manifest, uids: set[str]) -> None:
    if labels_of(manifest).get(labels.MANAGED_BY) != labels.MANAGER or kind == "Pod":
        return
    owners = [owner["uid"] for owner in owners_of(manifest)]
    if owners and not uids & set(owners):
        raise Violation("NoOrphans", f"{kind} {manifest['metadata']['name']} is left of somebody who is gone")


def _of_its_spec(manifest: Manifest) -> None:
    dataset = kinds.parse(manifest)
    ready = next((each for each in _conditions(manifest) if each["type"] == "Ready"), {})
    if not isinstance(dataset, Dataset) or dataset.spec.suspend or ready.get("status") != "True":
        return
    if dataset.status.schema_digest != schema_digest(dataset.spec):
        raise Violation("DataIsOfItsSpec", f"Dataset {dataset.metadata.name} is Ready with columns of an earlier spec")


def _settled(kind: str, manifest: Manifest) -> None:
    name, status = manifest["metadata"]["name"], manifest.get("status") or {}
    if status.get("observedGeneration") != manifest["metadata"].get("generation"):
        raise Violation("AllIsObserved", f"{kind} {name}: generation {manifest['metadata'].get('generation')} unseen")
    if any(each["type"] == "Reconciling" and each["status"] == "True" for each in _conditions(manifest)):
        ready = next((each for each in _conditions(manifest) if each["type"] == "Ready"), {})
        raise Violation("NothingIsStuck", f"{kind} {name} reconciles for ever: {ready.get('message')}")


def _task(job: Manifest) -> str | None:
    environment = job["spec"]["template"]["spec"]["containers"][-1].get("env") or ()
    return next((each.get("value") for each in environment if each["name"] == tasks.TASK_VARIABLE), None)


def _proves(job: Manifest) -> bool:
    """Return whether a Job does a run's work a second time on purpose."""
    return labels.RUN in labels_of(job) and str(job["metadata"]["name"]).endswith("-v")


def _has_reported(pod: Manifest) -> bool:
    if pod.get("status", {}).get("phase") != "Succeeded":
        return False
    for container in pod["status"].get("containerStatuses", ()):
        try:
            report = tasks.parse_report((container.get("state", {}).get("terminated") or {}).get("message") or "")
        except tasks.ReportError:
            continue
        # A pod that writes anything may write a report of something else.
        return isinstance(report, tasks.IngestReport | tasks.RemoveReport | tasks.TrainReport | tasks.VerifyReport)
    return False


def _over(job: Manifest) -> bool:
    return any(each["type"] in ("Complete", "Failed") and each["status"] == "True" for each in _conditions(job))


def _complete(job: Manifest) -> bool:
    return any(each["type"] == "Complete" and each["status"] == "True" for each in _conditions(job))


def _conditions(manifest: Manifest) -> Iterator[dict[str, Any]]:
    yield from (manifest.get("status") or {}).get("conditions") or ()
