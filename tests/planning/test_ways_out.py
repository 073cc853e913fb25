"""Every reason that docs/reasons.md gives a way out of: it is provoked, read, and left by each way that stands there.

A reason without a story fails: whoever adds one says here how it comes about and how it is left. Those that only the
engine says, of pods that do not start or children that are refused, and a few others, are left in the tests that
`ELSEWHERE` names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mlops.api import labels, tasks
from mlops.api.reasons import REASONS
from mlops.planning.plan import Key
from mlops.planning.pod_policy import PodPolicy
from tests.planning.builders import (
    a_dataset,
    a_drift_report,
    a_monitor,
    a_run,
    a_template,
    a_train_report,
    a_verify_report,
    a_version,
    an_analysis_report,
    an_ingest_report,
    digest,
    merged,
)
from tests.planning.world import End, World, copied

ROOT = Path(__file__).resolve().parents[2]
CHECK = "rain-drift-check"
# Pods report these as passing: the Job tries again, and then a later one.
PASSING = {"StoreUnavailable", "BucketMissing", "CredentialsMissing", "SourceUnavailable", "Interrupted"}
ODD_ENDS = {
    "DeadlineExceeded": End(None, 137, why="DeadlineExceeded"),
    "OOMKilled": End(None, 137, "OOMKilled", "BackoffLimitExceeded"),
    "ReportMissing": End(None, 0, "Completed", None),
    "BackoffLimitExceeded": End("Killed", 1, why="BackoffLimitExceeded"),
}


def an_end(reason: str) -> End:
    """Return how a Job ends that leads to the reason."""
    if reason in ODD_ENDS:
        return ODD_ENDS[reason]
    message = tasks.write_report(tasks.FailureReport(reason=reason, message=f"told {reason}"))
    passes = reason in PASSING
    return End(message, 1 if passes else 2, why="BackoffLimitExceeded" if passes else "PodFailurePolicy")


class Place(World):
    """A world whose pods do well, but for tasks of the types in `bad`; `content` is what the Dataset's source holds."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.bad: dict[type, End] = {}
        self.content = "1"
        self.verdict = "Stable"
        self.score = "0.85"
        self.second = "f"
        self.p99 = "1.5"
        self.look = an_analysis_report()

    def _answer(self, task: tasks.Task) -> Any:
        if type(task) in self.bad:
            return self.bad[type(task)]
        match task:
            case tasks.IngestTask():
                return an_ingest_report(self.content, as_of=task.as_of if task.as_of != "scheduled" else None)
            case tasks.TrainTask():
                champion = [{"name": "roc_auc", "dataset": "test", "value": "0.80"}] if task.champion_artifact else []
                return a_train_report(task.dataset_digest[-1], self.score, champion_metrics=champion)
            case tasks.VerifyTask():
                return a_verify_report(self.p99)
            case tasks.DriftTask():
                return a_drift_report(self.verdict)
            case tasks.AnalysisTask():
                return self.look
        return None

    def go(self, rounds: int = 8) -> None:
        """Plan, act and let the cluster work for a few minutes; what is to be looked at later is not waited for."""
        for _ in range(rounds):
            before = copied(self.objects)
            for plan in self.plans():
                self.carry_out(plan)
            self.tick()
            if self.objects == before:
                return

    def wait(self, hours: int = 3) -> None:
        """Let time go by: what is tried again later is tried."""
        self.now += timedelta(hours=hours)
        self.go()

    def said(self, kind: str, name: str) -> dict[str, str]:
        """Return the reason of each condition of an object."""
        status = self.objects[Key(kind, "team", name)].get("status", {})
        return {each["type"]: each["reason"] for each in status.get("conditions", ())}

    def check(self) -> None:
        """Have the CronJob's next Job made, and taken in."""
        self.now += timedelta(hours=1)
        self.schedule(CHECK, self.now.replace(minute=0))
        self.go()


Act = Callable[[Place], None]


@dataclass(frozen=True)
class Way:
    """A way out: what a person does. `leads_to`: the object that is as wanted then, if it is another one."""

    name: str
    act: Act
    leads_to: tuple[str, str] | None = None


@dataclass(frozen=True)
class Story:
    """How a reason comes about on an object, and the ways out of it."""

    kind: str
    name: str
    provoke: Act
    ways: tuple[Way, ...]


# --- what people do ---


def then(*acts: Act) -> Act:
    def act(place: Place) -> None:
        for each in acts:
            each(place)

    return act


def nothing(place: Place) -> None:
    """Wait."""


def put(*resources: Callable[[], Any]) -> Act:
    def act(place: Place) -> None:
        place.put(*(each() for each in resources))
        place.go()

    return act


def change(kind: str, name: str, **spec: Any) -> Act:
    def act(place: Place) -> None:
        there = place.objects[Key(kind, "team", name)]["spec"]
        place.change(kind, name, **{key: merged(there.get(key, {}), value) for key, value in spec.items()})
        place.go()

    return act


def retry(kind: str, name: str) -> Act:
    def act(place: Place) -> None:
        place.annotate(kind, name, labels.RETRY, f"at {place.now}")
        place.go()

    return act


def delete(kind: str, name: str) -> Act:
    def act(place: Place) -> None:
        place.delete(kind, name)
        place.go()

    return act


def spoil(task: type, reason: str) -> Act:
    return lambda place: place.bad.update({task: an_end(reason)})


def reports(task: type, report: tasks.Report) -> Act:
    return lambda place: place.bad.update({task: End(tasks.write_report(report), 0, why=None)})


def mend(place: Place) -> None:
    """Mend what is outside of the objects."""
    place.bad.clear()


def later(place: Place) -> None:
    place.wait()


def check(place: Place) -> None:
    place.check()


def set_to(**values: Any) -> Act:
    def act(place: Place) -> None:
        for name, value in values.items():
            setattr(place, name, value)

    return act


# --- stories of what pods report ---


def of_a_dataset(reason: str) -> Story:
    waits = Way("wait", then(mend, later))
    again = Way("retry", then(mend, retry("Dataset", "weather")))
    edit = Way("edit", then(mend, change("Dataset", "weather", format="csv")))
    heals = reason in PASSING | {"AccessDenied", "NoSpace", "CertificateUntrusted", "DeadlineExceeded"}
    heals |= reason in ("ReportMissing", "BackoffLimitExceeded")
    provoke = then(spoil(tasks.IngestTask, reason), put(a_dataset))
    return Story("Dataset", "weather", provoke, (again, edit, *((waits,) if heals else ())))


def of_a_run(reason: str) -> Story:
    again = Way("retry", then(mend, retry("TrainingRun", "rain-1")))
    another = Way(
        "a new run",
        then(mend, put(lambda: a_run(metadata={"name": "rain-2"}, spec={"reproducibility": {"seed": 2}}))),
        ("TrainingRun", "rain-2"),
    )
    waits = Way("wait", then(mend, later, later))
    heals = reason in PASSING | {"AccessDenied", "NoSpace", "CertificateUntrusted", "ReportMissing"}
    provoke = then(put(a_dataset), spoil(tasks.TrainTask, reason), put(a_run))
    return Story("TrainingRun", "rain-1", provoke, (again, another, *((waits,) if heals else ())))


def of_a_version(reason: str) -> Story:
    again = Way("retry", then(mend, retry("ModelVersion", "rain-v1")))
    another = Way("a new version", then(mend, put(lambda: a_version(2))), ("ModelVersion", "rain-v2"))
    waits = Way("wait", then(mend, later))
    heals = reason in PASSING | {"AccessDenied", "NoSpace", "CertificateUntrusted", "DeadlineExceeded"}
    heals |= reason in ("ReportMissing", "BackoffLimitExceeded")
    provoke = then(spoil(tasks.VerifyTask, reason), put(a_version))
    return Story("ModelVersion", "rain-v1", provoke, (again, another, *((waits,) if heals else ())))


def of_a_monitor(reason: str) -> Story:
    again = Way("retry", then(mend, retry("DriftMonitor", "rain-drift")))
    waits = Way("wait for the next check", then(mend, check))
    edit = Way("edit", then(mend, change("DriftMonitor", "rain-drift", window={"maxSamples": 1000}), check))
    provoke = then(put(a_dataset, a_template, a_version, a_monitor), spoil(tasks.DriftTask, reason), check)
    return Story("DriftMonitor", "rain-drift", provoke, (again, waits, edit))


REPORTED = {
    "Dataset": of_a_dataset,
    "TrainingRun": of_a_run,
    "ModelVersion": of_a_version,
    "DriftMonitor": of_a_monitor,
}

# --- stories of what planners say ---


def monitored(*more: Act) -> Act:
    return then(put(a_dataset, a_template, a_version, a_monitor), *more)


def labelled_by(name: str, **reference: Any) -> Callable[[], Any]:
    """Return what builds a monitor whose labels come of a Dataset, or that compares with a version of one."""
    labels_of_it = {"sources": [{"datasetRef": {"name": name}}]}
    spec = {"reference": {"datasetRef": {"name": name, **reference}}} if reference else {"labels": labels_of_it}
    return lambda: a_monitor(spec=spec)


def compares_with(name: str, version: int) -> Act:
    """Name the Dataset, or another version of it, that the window is compared with."""
    return change("DriftMonitor", "rain-drift", reference={"datasetRef": {"name": name, "version": version}})


def without_bytes(version: int) -> Act:
    """Put on record that a version of the Dataset was removed, as its retention does."""

    def act(place: Place) -> None:
        history = place.objects[Key("Dataset", "team", "weather")]["status"]["history"]
        next(each for each in history if each["version"] == version)["removed"] = {"at": "2026-01-01T00:00:00Z"}
        place.go()

    return act


def two_versions(place: Place) -> None:
    """Have the Dataset made, and deliver other rows."""
    put(a_dataset, a_template, a_version)(place)
    place.content = "2"
    retry("Dataset", "weather")(place)


def a_tried_version(*steps: dict[str, Any]) -> Any:
    """Return a second version that takes over by these steps."""
    return a_version(2, spec={"promotion": {"stages": [{"name": "production", "canary": {"steps": [*steps]}}]}})


def tried(outcome: str) -> Act:
    """Have a second version tried, and found so."""
    steps = {"setWeight": 10}, {"analysis": {"errorRate": {}, "interval": "1m"}}
    return then(
        put(a_version), set_to(look=an_analysis_report(outcome)), put(lambda: a_tried_version(*steps)), lambda p: p.go()
    )


AND_REBUILD = [{"when": ["ConceptDrift"], "do": "RollbackAndRebuild"}]
QUALITY = {"name": "delivery", "type": "DataQuality"}


def acting(do: str, verdict: str = "ConceptDrift", **action: Any) -> Callable[[], Any]:
    """Return what builds a monitor that does something else than train, with a check of the delivery."""
    spec = {
        "actions": [{"when": [verdict], "do": do, **action}],
        "guard": {"cooldown": "1s"},
        "checks": [QUALITY, {"name": "concept", "type": "ConceptDrift"}],
    }
    return lambda: a_monitor(spec=spec)


def two_served(*more: Act, do: str = "Rollback") -> Act:
    """Have two versions serve one after the other, under a monitor that rolls back."""
    return then(put(a_dataset, a_template, a_version), put(lambda: a_version(2)), put(acting(do)), *more)


def found(verdict: str, *, better: bool | None = None, quality: str = "NotDetected", **report: Any) -> Act:
    """Have the next checks find it, and that the older version is better, or is not."""
    older = {
        "version": "rain-v1",
        "artifact": digest("1"),
        "against": digest("2"),
        "metric": "roc_auc",
        "live": "0.61",
        "older": "0.74",
        "gain": "0.13",
        "low": "0.09",
        "high": "0.17",
        "pValue": "0.0001",
        "better": better,
    }
    checks = [
        {**QUALITY, "result": quality},
        {
            "name": "concept",
            "type": "ConceptDrift",
            "result": "Detected" if verdict == "ConceptDrift" else "NotDetected",
        },
    ]
    whole = a_drift_report(verdict, checks=checks, **report, **({} if better is None else {"older": older}))
    return reports(tasks.DriftTask, whole)


def wanted_labels(rows: int, asked_before: int) -> tasks.LabelsWanted:
    return tasks.LabelsWanted(rows=rows, asked_before=asked_before, needed=300, file="label-request.jsonl")


_ROLLED_BACK = two_served(found("ConceptDrift", better=True), check)
_UNDONE = then(_ROLLED_BACK, retry("ModelVersion", "rain-v2"), check)
_STABLE = then(found("Stable"), check)


def captured() -> Any:
    return a_dataset(spec={"source": {"s3": None, "captured": {"modelName": "rain", "window": "30d"}}})


SEED = {"reproducibility": {"seed": 2}}
WORSE = {"gates": [{"metric": "roc_auc", "min": "0.99"}]}
SLOW = {"stages": [{"name": "production", "gates": [{"latency": {"p99Milliseconds": 10}}]}]}
AWAY = {"targetRef": {"stage": "elsewhere"}}


def a_suspended(build: Callable[..., Any]) -> Callable[[], Any]:
    return lambda: build(spec={"suspend": True})


def another_run(**spec: Any) -> Way:
    made = put(lambda: a_run(metadata={"name": "rain-2"}, spec=spec or SEED))
    return Way("a new run", made, ("TrainingRun", "rain-2"))


def another_version(**spec: Any) -> Way:
    return Way("a new version", put(lambda: a_version(2, spec=spec)), ("ModelVersion", "rain-v2"))


def half_way(*resources: Callable[[], Any], rounds: int) -> Act:
    """Stop in the middle."""

    def act(place: Place) -> None:
        place.put(*(each() for each in resources))
        place.go(rounds)

    return act


def go(place: Place) -> None:
    place.go()


WAIT = (Way("wait", go),)


def one_more_refused(place: Place) -> None:
    """Have the runs of a verdict refused until its circuit opens."""
    place.change("DriftMonitor", "rain-drift", guard={"cooldown": "1s", "maxRejectedChallengers": 1})
    place.verdict, place.score, place.content = "DataDrift", "0.1", "2"
    place.check()
    place.go()
    place.check()


def drifting(**guard: Any) -> Act:
    return monitored(
        change("DriftMonitor", "rain-drift", guard={"cooldown": "1s", **guard}),
        set_to(verdict="DataDrift", content="2"),
    )


FORBIDDEN = {"podTemplate": {"serviceAccountName": "reader"}}
OF_A_STAGE = {"promotion": {"stages": [{"name": "production", **FORBIDDEN}]}}


def allowed(place: Place) -> None:
    """Have the administrator list the account."""
    place.settings = replace(place.settings, pod_policy=PodPolicy(service_account_names=("reader",)))
    place.go()


OWN_ACCOUNT = {"podTemplate": {"serviceAccountName": None}}

STORIES: dict[tuple[str, str], Story] = {
    ("Dataset", "PodForbidden"): Story(
        "Dataset",
        "weather",
        put(lambda: a_dataset(spec=FORBIDDEN)),
        (Way("edit", change("Dataset", "weather", **OWN_ACCOUNT)), Way("have it listed", allowed)),
    ),
    ("TrainingRun", "PodForbidden"): Story(
        "TrainingRun",
        "rain-1",
        put(a_dataset, lambda: a_run(spec=FORBIDDEN)),
        (another_run(), Way("have it listed", allowed)),
    ),
    ("ModelVersion", "PodForbidden"): Story(
        "ModelVersion",
        "rain-v1",
        put(lambda: a_version(spec=OF_A_STAGE)),
        (
            Way("edit", change("ModelVersion", "rain-v1", promotion={"stages": [{"name": "production"}]})),
            Way("have it listed", allowed),
        ),
    ),
    ("DriftMonitor", "PodForbidden"): Story(
        "DriftMonitor",
        "rain-drift",
        put(a_dataset, a_template, a_version, lambda: a_monitor(spec=FORBIDDEN)),
        (
            Way("edit", then(change("DriftMonitor", "rain-drift", **OWN_ACCOUNT), check)),
            Way("have it listed", then(allowed, check)),
        ),
    ),
    ("Dataset", "Pending"): Story("Dataset", "weather", half_way(a_dataset, rounds=1), WAIT),
    ("Dataset", "Ingesting"): Story(
        "Dataset",
        "weather",
        then(set_to(bad={tasks.IngestTask: None}), half_way(a_dataset, rounds=3)),
        (Way("wait", then(mend, go)),),
    ),
    ("Dataset", "Suspended"): Story(
        "Dataset", "weather", put(a_suspended(a_dataset)), (Way("resume", change("Dataset", "weather", suspend=False)),)
    ),
    ("Dataset", "NoLiveModel"): Story(
        "Dataset",
        "weather",
        put(captured),
        (
            Way("a ModelVersion", put(a_version)),
            Way(
                "delivered history",
                change("Dataset", "weather", source={"captured": {"history": {"s3": {"uri": "s3://raw/a/"}}}}),
            ),
        ),
    ),
    ("TrainingRun", "Pending"): Story(
        "TrainingRun", "rain-1", half_way(a_run, rounds=1), (Way("wait", put(a_dataset)),)
    ),
    ("TrainingRun", "RunPending"): Story("TrainingRun", "rain", half_way(a_template, rounds=1), WAIT),
    ("TrainingRun", "Suspended"): Story(
        "TrainingRun",
        "rain-1",
        put(a_dataset, a_suspended(a_run)),
        (Way("resume", change("TrainingRun", "rain-1", suspend=False)),),
    ),
    ("TrainingRun", "DatasetNotFound"): Story(
        "TrainingRun",
        "rain-1",
        put(a_run),
        (
            Way("make it", put(a_dataset)),
            Way(
                "the right name",
                put(
                    lambda: a_dataset(metadata={"name": "other"}),
                    lambda: a_run(metadata={"name": "rain-2"}, spec={"datasetRef": {"name": "other"}}),
                ),
                ("TrainingRun", "rain-2"),
            ),
        ),
    ),
    ("TrainingRun", "DatasetNotReady"): Story(
        "TrainingRun",
        "rain-1",
        then(spoil(tasks.IngestTask, "Rejected"), put(a_dataset, a_run)),
        (Way("mend the Dataset", then(mend, retry("Dataset", "weather"))),),
    ),
    ("TrainingRun", "DatasetVersionNotFound"): Story(
        "TrainingRun",
        "rain-1",
        put(a_dataset, lambda: a_run(spec={"datasetRef": {"version": 9}})),
        (another_run(datasetRef={"version": 1}),),
    ),
    ("TrainingRun", "WaitingForRefresh"): Story(
        "TrainingRun",
        "rain-1",
        then(
            put(a_dataset),
            set_to(bad={tasks.IngestTask: None}),
            put(lambda: a_run(spec={"datasetRef": {"notBefore": "2026-01-10T13:00:00Z"}})),
        ),
        (Way("wait", then(mend, go)),),
    ),
    ("TrainingRun", "Running"): Story(
        "TrainingRun",
        "rain-1",
        then(put(a_dataset), set_to(bad={tasks.TrainTask: None}), put(a_run)),
        (Way("wait", then(mend, go)),),
    ),
    ("TrainingRun", "Verifying"): Story(
        "TrainingRun",
        "rain-1",
        then(
            put(a_dataset),
            half_way(lambda: a_run(spec={"reproducibility": {"verify": "Once"}}), rounds=1),
            set_to(bad={tasks.TrainTask: None}),
            go,
        ),
        (Way("wait", then(mend, go)),),
    ),
    ("TrainingRun", "GatesFailed"): Story(
        "TrainingRun",
        "rain-1",
        put(a_dataset, lambda: a_run(spec=WORSE)),
        (
            another_run(gates=[{"metric": "roc_auc", "min": "0.5"}]),
            Way(
                "train otherwise",
                then(set_to(score="0.999"), another_run(**SEED, **WORSE).act),
                ("TrainingRun", "rain-2"),
            ),
        ),
    ),
    ("TrainingRun", "MetricMissing"): Story(
        "TrainingRun",
        "rain-1",
        put(a_dataset, lambda: a_run(spec={"gates": [{"metric": "f1", "min": "0.1"}]})),
        (another_run(),),
    ),
    ("TrainingRun", "NotReproducible"): Story(
        "TrainingRun",
        "rain-1",
        then(
            put(a_dataset),
            half_way(lambda: a_run(spec={"reproducibility": {"verify": "Once"}}), rounds=1),
            reports(tasks.TrainTask, a_train_report("b")),
            go,
        ),
        (Way("without verify", then(mend, another_run().act), ("TrainingRun", "rain-2")),),
    ),
    ("TrainingRun", "EnvironmentMismatch"): Story(
        "TrainingRun",
        "rain-1",
        then(put(a_dataset), reports(tasks.TrainTask, a_train_report(environment_digest=digest("9"))), put(a_run)),
        (Way("retry with the right image", then(mend, retry("TrainingRun", "rain-1"))),),
    ),
    ("TrainingRun", "NotServing"): Story(
        "TrainingRun",
        "rain",
        then(spoil(tasks.VerifyTask, "GoldenFailed"), put(a_dataset, a_template)),
        (
            Way("mend the version", then(mend, retry("ModelVersion", "rain-v1"))),
            Way("edit the template", then(mend, set_to(content="3"), change("TrainingRun", "rain", **SEED))),
            Way("retry", then(mend, retry("TrainingRun", "rain"))),
        ),
    ),
    ("ModelVersion", "TrainingRunNotFound"): Story(
        "ModelVersion",
        "rain-v1",
        put(lambda: a_version(spec={"artifact": None, "source": {"trainingRunRef": {"name": "rain-1"}}})),
        (Way("make the run", put(a_dataset, lambda: a_run(spec={"register": None}))), another_version()),
    ),
    ("ModelVersion", "TrainingRunNotReady"): Story(
        "ModelVersion",
        "rain-v1",
        then(
            spoil(tasks.TrainTask, "TrainingFailed"),
            put(
                a_dataset,
                lambda: a_run(spec={"register": None}),
                lambda: a_version(spec={"artifact": None, "source": {"trainingRunRef": {"name": "rain-1"}}}),
            ),
        ),
        (Way("retry of the run", then(mend, retry("TrainingRun", "rain-1"))), another_version()),
    ),
    ("ModelVersion", "Verifying"): Story(
        "ModelVersion",
        "rain-v1",
        then(set_to(bad={tasks.VerifyTask: None}), put(a_version)),
        (Way("wait", then(mend, go)),),
    ),
    ("ModelVersion", "VersionConflict"): Story(
        "ModelVersion",
        "rain-v1b",
        put(a_version, lambda: a_version(metadata={"name": "rain-v1b"})),
        (another_version(), Way("delete the other", delete("ModelVersion", "rain-v1"))),
    ),
    ("ModelVersion", "Withdrawn"): Story(
        "ModelVersion",
        "rain-v1",
        put(lambda: a_version(spec={"withdrawn": True})),
        (Way("take it back", change("ModelVersion", "rain-v1", withdrawn=False)),),
    ),
    ("ModelVersion", "GatesFailed"): Story(
        "ModelVersion",
        "rain-v1",
        then(set_to(p99="50"), put(lambda: a_version(spec={"promotion": SLOW}))),
        (
            Way("edit the gate", change("ModelVersion", "rain-v1", promotion={"stages": [{"name": "production"}]})),
            another_version(),
        ),
    ),
    ("ModelVersion", "ApprovalWanted"): Story(
        "ModelVersion",
        "rain-v1",
        put(
            lambda: a_version(spec={"promotion": {"stages": [{"name": "production", "approval": {"group": "people"}}]}})
        ),
        (
            Way(
                "approve",
                change(
                    "ModelVersion",
                    "rain-v1",
                    approvals=[{"stage": "production", "user": "bob", "artifact": digest("1")}],
                ),
            ),
        ),
    ),
    ("ModelVersion", "CanaryRunning"): Story(
        "ModelVersion",
        "rain-v2",
        then(put(a_version), put(lambda: a_tried_version({"setWeight": 10}, {"pause": "1h"}))),
        (Way("wait", later),),
    ),
    ("ModelVersion", "CanaryWaiting"): Story(
        "ModelVersion",
        "rain-v2",
        tried("Inconclusive"),
        (
            Way("requests come", then(set_to(look=an_analysis_report()), later)),
            Way(
                "edit the steps",
                change("ModelVersion", "rain-v2", promotion=a_tried_version({"setWeight": 50}).spec.promotion.dump()),
            ),
        ),
    ),
    ("ModelVersion", "CanaryFailed"): Story(
        "ModelVersion",
        "rain-v2",
        tried("Failed"),
        (
            Way("retry", then(set_to(look=an_analysis_report()), retry("ModelVersion", "rain-v2"), later)),
            Way(
                "a better version",
                then(set_to(look=an_analysis_report()), put(lambda: a_version(3))),
                ("ModelVersion", "rain-v3"),
            ),
        ),
    ),
    ("ModelVersion", "Progressing"): Story("ModelVersion", "rain-v1", half_way(a_version, rounds=2), WAIT),
    ("ModelVersion", "Pending"): Story(
        "ModelVersion",
        "rain-v1",
        half_way(
            lambda: a_version(spec={"artifact": None, "source": {"trainingRunRef": {"name": "rain-1"}}}), rounds=1
        ),
        (Way("wait", put(a_dataset, lambda: a_run(spec={"register": None}))),),
    ),
    ("DriftMonitor", "Pending"): Story(
        "DriftMonitor",
        "rain-drift",
        half_way(lambda: a_monitor(), rounds=1),
        (Way("wait", put(a_dataset, a_template, a_version)),),
    ),
    ("DriftMonitor", "TargetNotFound"): Story(
        "DriftMonitor",
        "rain-drift",
        put(a_template, a_monitor),
        (
            Way("make it", put(a_version)),
            Way(
                "the right name",
                then(
                    put(lambda: a_version(metadata={"name": "snow-v1"}, spec={"modelName": "snow"})),
                    change("DriftMonitor", "rain-drift", targetRef={"modelName": "snow"}),
                ),
            ),
        ),
    ),
    ("DriftMonitor", "TargetNotLive"): Story(
        "DriftMonitor",
        "rain-drift",
        put(a_dataset, a_template, a_version, lambda: a_monitor(spec=AWAY)),
        (Way("the right stage", change("DriftMonitor", "rain-drift", targetRef={"stage": "production"})),),
    ),
    ("DriftMonitor", "WaitingForFirstCheck"): Story("DriftMonitor", "rain-drift", monitored(), (Way("wait", check),)),
    ("DriftMonitor", "Suspended"): Story(
        "DriftMonitor",
        "rain-drift",
        put(a_dataset, a_template, a_version, a_suspended(a_monitor)),
        (Way("resume", change("DriftMonitor", "rain-drift", suspend=False)),),
    ),
    ("DriftMonitor", "TrainingRunNotFound"): Story(
        "DriftMonitor",
        "rain-drift",
        put(a_version, a_monitor),
        (
            Way("make it", put(a_template)),
            Way(
                "the right name",
                then(
                    put(lambda: a_template(metadata={"name": "other"})),
                    change("DriftMonitor", "rain-drift", trainingRunRef={"name": "other"}),
                ),
            ),
        ),
    ),
    ("DriftMonitor", "NotATemplate"): Story(
        "DriftMonitor",
        "rain-drift",
        put(a_dataset, a_version, lambda: a_run(metadata={"name": "rain"}), a_monitor),
        (
            Way(
                "name a template",
                then(
                    put(lambda: a_template(metadata={"name": "other"})),
                    change("DriftMonitor", "rain-drift", trainingRunRef={"name": "other"}),
                ),
            ),
        ),
    ),
    ("DriftMonitor", "DatasetNotFound"): Story(
        "DriftMonitor",
        "rain-drift",
        put(a_dataset, a_template, a_version, labelled_by("outcomes")),
        (
            Way("make it", put(lambda: a_dataset(metadata={"name": "outcomes"}))),
            Way(
                "the right name",
                change("DriftMonitor", "rain-drift", labels={"sources": [{"datasetRef": {"name": "weather"}}]}),
            ),
        ),
    ),
    ("DriftMonitor", "DatasetNotReady"): Story(
        "DriftMonitor",
        "rain-drift",
        then(
            put(a_dataset, a_template, a_version),
            spoil(tasks.IngestTask, "SchemaMismatch"),
            put(lambda: a_dataset(metadata={"name": "outcomes"}), labelled_by("outcomes")),
        ),
        (Way("mend the Dataset", then(mend, retry("Dataset", "outcomes"))),),
    ),
    ("DriftMonitor", "DatasetVersionNotFound"): Story(
        "DriftMonitor",
        "rain-drift",
        put(a_dataset, a_template, a_version, labelled_by("weather", version=7)),
        (Way("correct it", compares_with("weather", 1)),),
    ),
    ("DriftMonitor", "DatasetVersionRemoved"): Story(
        "DriftMonitor",
        "rain-drift",
        then(two_versions, put(labelled_by("weather", version=1)), without_bytes(1)),
        (Way("correct it", compares_with("weather", 2)),),
    ),
    ("ModelVersion", "RolledBack"): Story(
        "ModelVersion", "rain-v2", _ROLLED_BACK, (Way("retry", retry("ModelVersion", "rain-v2")),)
    ),
    ("DriftMonitor", "RolledBack"): Story(
        "DriftMonitor", "rain-drift", _ROLLED_BACK, (Way("undo", then(retry("ModelVersion", "rain-v2"), check)),)
    ),
    ("DriftMonitor", "NoOlderBetter"): Story(
        "DriftMonitor",
        "rain-drift",
        two_served(found("ConceptDrift", better=False), check),
        (
            Way(
                "rebuild as well",
                then(
                    change(
                        "DriftMonitor", "rain-drift", actions=[{"when": ["ConceptDrift"], "do": "RollbackAndRebuild"}]
                    ),
                    check,
                ),
            ),
        ),
    ),
    ("DriftMonitor", "RollbackUndone"): Story(
        "DriftMonitor",
        "rain-drift",
        _UNDONE,
        (Way("withdraw it", then(change("ModelVersion", "rain-v2", withdrawn=True), _STABLE)),),
    ),
    ("DriftMonitor", "DataFaulty"): Story(
        "DriftMonitor",
        "rain-drift",
        then(
            two_served(do="RollbackAndRebuild"),
            found("ConceptDrift", quality="Detected"),
            check,
        ),
        (
            Way("mend the delivery", then(found("ConceptDrift"), check)),
            Way(
                "take the check out",
                then(
                    change("DriftMonitor", "rain-drift", checks=[{"name": "concept", "type": "ConceptDrift"}]),
                    found("ConceptDrift", quality="Inconclusive"),
                    check,
                ),
            ),
        ),
    ),
    ("DriftMonitor", "LabelsAsked"): Story(
        "DriftMonitor",
        "rain-drift",
        then(
            put(a_dataset, a_template, a_version, acting("AskForLabels", "Inconclusive")),
            found("Inconclusive", labels_wanted=wanted_labels(200, 0)),
            check,
        ),
        (Way("send labels", _STABLE),),
    ),
    ("DriftMonitor", "NoRowsToLabel"): Story(
        "DriftMonitor",
        "rain-drift",
        then(
            put(a_dataset, a_template, a_version, acting("AskForLabels", "Inconclusive")),
            found("Inconclusive", labels_wanted=wanted_labels(0, 200)),
            check,
        ),
        (
            Way("send labels", _STABLE),
            Way("raise the budget", then(found("Inconclusive", labels_wanted=wanted_labels(100, 200)), check)),
        ),
    ),
    ("DriftMonitor", "Notified"): Story(
        "DriftMonitor",
        "rain-drift",
        then(put(a_dataset, a_template, a_version, acting("Notify")), found("ConceptDrift"), check),
        (Way("read the report", _STABLE),),
    ),
    ("DriftMonitor", "InCooldown"): Story(
        "DriftMonitor",
        "rain-drift",
        then(drifting(cooldown="90m"), check, set_to(content="3"), check),
        (Way("wait", then(later, check)),),
    ),
    ("DriftMonitor", "WeeklyLimit"): Story(
        "DriftMonitor",
        "rain-drift",
        then(drifting(maxRunsPerWeek=1), check, set_to(content="3"), check),
        (
            Way("wait", then(lambda place: place.wait(24 * 8), check)),
            Way("raise the limit", then(change("DriftMonitor", "rain-drift", guard={"maxRunsPerWeek": 9}), check)),
        ),
    ),
    ("DriftMonitor", "CircuitOpen"): Story(
        "DriftMonitor",
        "rain-drift",
        monitored(one_more_refused),
        (
            Way(
                "edit", then(set_to(score="0.9"), change("DriftMonitor", "rain-drift", guard={"cooldown": "2s"}), check)
            ),
            Way("retry", then(set_to(score="0.9", content="3"), retry("DriftMonitor", "rain-drift"), check)),
            Way("wait", then(lambda place: place.wait(24 * 8), set_to(score="0.9", content="4"), check)),
        ),
    ),
    ("DriftMonitor", "NothingNew"): Story(
        "DriftMonitor",
        "rain-drift",
        then(drifting(), check, check, check),
        (
            Way("new data", then(set_to(content="3"), check)),
            Way("edit the template", then(change("TrainingRun", "rain", **SEED), check)),
        ),
    ),
    ("DriftMonitor", "Unconfirmed"): Story(
        "DriftMonitor", "rain-drift", then(drifting(confirmations=2), check), (Way("wait", check),)
    ),
    ("DriftMonitor", "OnHold"): Story(
        "DriftMonitor",
        "rain-drift",
        monitored(set_to(verdict="DataQuality"), check),
        (Way("mend the data", then(set_to(verdict="Stable"), check)),),
    ),
    ("DriftMonitor", "RunActive"): Story(
        "DriftMonitor",
        "rain-drift",
        then(drifting(), set_to(bad={tasks.TrainTask: None}), check, check),
        (Way("wait", then(mend, go, set_to(verdict="Stable"), check)),),
    ),
    ("DriftMonitor", "Detected"): Story(
        "DriftMonitor",
        "rain-drift",
        monitored(set_to(verdict="DataDrift"), check),
        (Way("read the report", then(set_to(verdict="Stable"), check)),),
    ),
    ("DriftMonitor", "Inconclusive"): Story(
        "DriftMonitor",
        "rain-drift",
        monitored(reports(tasks.DriftTask, a_drift_report(label_coverage="0.1")), check),
        (Way("send labels", then(mend, check)),),
    ),
}

_SERVING_FAILED = Story(
    "ModelVersion",
    "rain-v1",
    then(lambda place: place.broken_artifacts.add(digest("1")), put(a_version), later),
    (
        Way("retry", then(lambda place: place.broken_artifacts.clear(), retry("ModelVersion", "rain-v1"))),
        Way(
            "edit",
            then(
                lambda place: place.broken_artifacts.clear(), change("ModelVersion", "rain-v1", capture={"percent": 50})
            ),
        ),
        another_version(),
    ),
)
STORIES["ModelVersion", "ServingFailed"] = _SERVING_FAILED

# Said by the engine, of children and pods, by the command line, and of what takes its time: provoked, read and left in
# these tests.
_RETENTION, _FRESHNESS = "tests/planning/dataset/test_retention.py", "tests/planning/dataset/test_freshness.py"
ELSEWHERE = {
    "GatesFull": "tests/planning/monitor/test_recalibrating.py::"
    "test_a_template_that_has_no_room_for_the_gate_is_told_and_no_map_goes_live_without_it",
    "Retained": f"{_RETENTION}::test_the_record_is_written_first_and_bytes_go_after_the_grace",
    "Removing": f"{_RETENTION}::test_the_record_is_written_first_and_bytes_go_after_the_grace",
    "RemovalFailed": f"{_RETENTION}::test_a_removal_that_fails_is_tried_again_and_says_why",
    "DatasetVersionRemoved": "tests/planning/training/test_removed.py::"
    "test_a_retry_on_what_is_gone_is_told_so_and_the_next_one_takes_the_current_version",
    "Fresh": f"{_FRESHNESS}::test_data_are_fresh_until_their_time_is_over",
    "DataStale": f"{_FRESHNESS}::test_data_are_fresh_until_their_time_is_over",
    "AgeUnknown": f"{_FRESHNESS}::test_what_nobody_dates_is_neither_fresh_nor_stale",
    "NotRunning": "tests/cli/test_past.py::test_after_a_run_nothing_claims_to_serve",
    "InvalidSpec": "tests/engine/test_reconcile.py::test_an_object_that_was_mended_is_planned_again",
    "NameTaken": "tests/engine/test_reconcile.py::test_the_complaint_ends_when_the_stranger_is_gone",
    "ChildRefused": "tests/engine/test_reconcile.py::test_a_child_for_which_there_is_no_room_is_tried_again",
    "Unschedulable": "tests/engine/test_waiting.py::test_a_pod_that_starts_after_all_takes_it_back",
    "ImagePull": "tests/engine/test_waiting.py::test_a_pod_that_starts_after_all_takes_it_back",
    "ContainerConfig": "tests/engine/test_waiting.py::test_a_pod_that_starts_after_all_takes_it_back",
}

PAIRS = [(kind, each.reason) for each in REASONS if each.way_out for kind in each.kinds]


def story_of(kind: str, reason: str) -> Story:
    return STORIES[kind, reason] if (kind, reason) in STORIES else REPORTED[kind](reason)


CASES = [
    pytest.param(story, way, reason, id=f"{kind} {reason}: {way.name}")
    for kind, reason in PAIRS
    if (kind, reason) in STORIES or reason not in ELSEWHERE
    for story in [story_of(kind, reason)]
    for way in story.ways
]


@pytest.mark.parametrize(("story", "way", "reason"), CASES)
def test_a_reason_is_provoked_read_and_left(story: Story, way: Way, reason: str) -> None:
    """What stands in docs/reasons.md happens, and its way out is one."""
    place = Place()
    story.provoke(place)
    said = place.said(story.kind, story.name)
    assert reason in said.values(), said
    way.act(place)
    place.go()
    kind, name = way.leads_to or (story.kind, story.name)
    left = place.said(kind, name)
    assert reason not in left.values(), left
    assert left.get("Stalled") is None


def test_every_reason_of_a_planner_has_a_story_of_its_own() -> None:
    """A reason that no pod reports cannot be provoked by a pod: it must be listed."""
    from tests.api import produced

    for kind, reason in PAIRS:
        told_by_pods = any(
            where.startswith(("mlops.workloads", "mlops.store", "mlops.planning.outcome"))
            for where in produced.produced(kind)[reason]
        )
        assert (kind, reason) in STORIES or reason in ELSEWHERE or told_by_pods, (kind, reason)


@pytest.mark.parametrize("reason", sorted(ELSEWHERE))
def test_what_the_engine_says_has_a_test(reason: str) -> None:
    """The tests that are named are there."""
    path, _, test = ELSEWHERE[reason].partition("::")
    text = (ROOT / path).read_text("utf-8")
    assert f"def {test}(" in text
    assert reason in text
    assert reason in {each.reason for each in REASONS}
