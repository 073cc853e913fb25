"""Stories: what a user does step by step, each step after the one before has come to its end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops.api import labels
from mlops.api.base import API_VERSION
from mlops.api.canary import AnalysisOutcome
from mlops.api.drift_monitor import Verdict
from mlops.engine.cluster import labels_of
from mlops.planning.plan import Key, Manifest
from tests.simulation.users import TEAM

if TYPE_CHECKING:
    from tests.simulation.world import World


@dataclass(frozen=True)
class Step:
    """What the user does, and what has to come of it within `minutes` after the faults have ended."""

    name: str
    act: Callable[[World], None]
    ends: Callable[[World], bool]
    minutes: float = 150.0


def an_object(kind: str, name: str, spec: Manifest) -> Manifest:
    """Return an object as a user writes it."""
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name, "namespace": TEAM}, "spec": spec}


def dataset(name: str = "weather", **more: Any) -> Manifest:
    """Return a Dataset of delivered rows."""
    fields = [
        {"name": "time", "type": "timestamp", "role": "timestamp"},
        {"name": "wind", "type": "float64"},
        {"name": "rain", "type": "string", "role": "label", "enum": ["yes", "no"]},
    ]
    return an_object("Dataset", name, {"source": {"s3": {"uri": f"s3://raw/{name}/"}}, "fields": fields, **more})


def run(name: str, c: str = "0.1", **more: Any) -> Manifest:
    """Return a TrainingRun that registers what passes its gate."""
    spec = {
        "datasetRef": {"name": "weather"},
        "trainer": {"estimator": {"name": "LogisticRegression", "params": {"C": c}}},
        "gates": [{"metric": "roc_auc", "min": "0.60"}],
        "register": {"modelName": "rain"},
        **more,
    }
    return an_object("TrainingRun", name, {name: value for name, value in spec.items() if value is not None})


def version(number: int, letter: str, **more: Any) -> Manifest:
    """Return a ModelVersion of an artifact that somebody brought."""
    spec = {"modelName": "rain", "version": number, "artifact": {"digest": "sha256:" + letter * 64}}
    return an_object("ModelVersion", f"rain-v{number}", {**spec, **more})


def monitor(**more: Any) -> Manifest:
    """Return a DriftMonitor that checks every hour and acts at once."""
    spec = {
        "targetRef": {"modelName": "rain"},
        "schedule": "0 * * * *",
        "window": {"duration": "24h"},
        "checks": [{"name": "inputs", "type": "DataDrift"}, {"name": "concept", "type": "ConceptDrift"}],
        "trainingRunRef": {"name": "rain"},
        "actions": [{"when": ["DataDrift"], "do": "Retrain"}, {"when": ["ConceptDrift"], "do": "Rebuild"}],
        "guard": {"cooldown": "1s", "maxRunsPerWeek": 20},
    }
    return an_object("DriftMonitor", "rain-drift", {**spec, **more})


TWO_STAGES = {"stages": [{"name": "dev"}, {"name": "production", "replicas": 2}]}
APPROVED = {"stages": [{"name": "dev"}, {"name": "production", "approval": {"group": "ml-approvers"}}]}


def _canary(*steps: Manifest, **more: Any) -> Manifest:
    """Return a way to production with a canary in it."""
    return {"stages": [{"name": "production", "replicas": 2, "canary": {"steps": list(steps)}, **more}]}


_ANALYSED = {"analysis": {"errorRate": {}, "interval": "1m"}}
CANARY = _canary({"setWeight": 20}, {"pause": "5m"}, _ANALYSED, {"setWeight": 60}, {"pause": "2m"})
SHADOWED = _canary({"pause": "3m"}, _ANALYSED, shadow={"percent": 50})

ONE_POD, TWO_PODS = ({"stages": [{"name": "production", "replicas": replicas}]} for replicas in (1, 2))
AUTOSCALED = {
    "stages": [{"name": "production", "autoscaling": {"minReplicas": 2, "maxReplicas": 5, "targetCPUUtilization": 70}}]
}


def _create(*manifests: Manifest) -> Callable[[World], None]:
    def act(world: World) -> None:
        for manifest in world.shuffled(manifests):
            _ok(world.user.create(manifest).status)

    return act


def _change(kind: str, name: str, **spec: Any) -> Callable[[World], None]:
    return lambda world: _ok(world.user.change(Key(kind, TEAM, name), {"spec": spec}).status)


def _delete(kind: str, name: str, propagation: str = "Background") -> Callable[[World], None]:
    return lambda world: _ok(world.user.delete(Key(kind, TEAM, name), propagation).status)


def _all_of(*acts: Callable[[World], None]) -> Callable[[World], None]:
    def act(world: World) -> None:
        for each in acts:
            each(world)

    return act


def _unready(letter: str) -> Callable[[World], None]:
    return lambda world: world.workloads.unready.update({"sha256:" + letter * 64: None})


def _withdraw(*names: str) -> Callable[[World], None]:
    return _all_of(*(_change("ModelVersion", name, withdrawn=True) for name in names))


def _of_alice(number: int, letter: str) -> Manifest:
    """Return a version of alice's, of which somebody else has to approve in production."""
    manifest = version(number, letter, promotion=APPROVED)
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": {labels.AUTHORS: "alice"}}}


def _approve(name: str, letter: str, *users: str) -> Callable[[World], None]:
    """Have the approvals of a version be those of these users."""
    given = [{"stage": "production", "artifact": "sha256:" + letter * 64, "user": user} for user in users]
    return _change("ModelVersion", name, approvals=given)


def _judged(letter: str, outcome: AnalysisOutcome) -> Callable[[World], None]:
    return lambda world: world.workloads.judged.update({"sha256:" + letter * 64: outcome})


def _heavy(letter: str) -> Callable[[World], None]:
    return lambda world: world.workloads.heavy.update({"sha256:" + letter * 64: None})


def _ok(status: int) -> None:
    assert status < 300, status


def _ready(kind: str, name: str, *reasons: str) -> Callable[[World], bool]:
    return lambda world: world.reason(kind, name) in reasons


def _data_version(name: str, number: int) -> Callable[[World], bool]:
    def has_it(world: World) -> bool:
        status = (world.server.get(Key("Dataset", TEAM, name)) or {}).get("status") or {}
        return bool(status.get("version") == number)

    return has_it


def _history(name: str, **versions: str) -> Callable[[World], bool]:
    """Return whether versions of a Dataset, such as v1, are "there" or "removed" with all their bytes."""

    def has_it(world: World) -> bool:
        status = (world.server.get(Key("Dataset", TEAM, name)) or {}).get("status") or {}
        found = {f"v{each['version']}": each.get("removed") for each in status.get("history") or ()}
        return all(
            number in found
            and (bool((found[number] or {}).get("erased")) if wanted == "removed" else found[number] is None)
            for number, wanted in versions.items()
        )

    return has_it


def _gone(kind: str, name: str) -> Callable[[World], bool]:
    return lambda world: world.server.get(Key(kind, TEAM, name)) is None


def _all(*ends: Callable[[World], bool]) -> Callable[[World], bool]:
    return lambda world: all(end(world) for end in ends)


def _live(name: str, stage: str = "production") -> Callable[[World], bool]:
    def is_live(world: World) -> bool:
        status = (world.server.get(Key("ModelVersion", TEAM, name)) or {}).get("status") or {}
        return stage in (status.get("stages") or ()) and world.reason("ModelVersion", name) == "Serving"

    return is_live


def _needs(servers: int) -> Callable[[World], None]:
    """Have so many requests come that a model needs so many servers."""
    return lambda world: setattr(world.workloads, "servers_needed", servers)


def _pods_wanted(number: int, *, autoscaled: bool) -> Callable[[World], bool]:
    """Return whether production has so many pods, and an autoscaler or none."""

    def has_them(world: World) -> bool:
        scaler, deployment = (
            world.server.get(Key(kind, TEAM, "rain-production")) for kind in ("HorizontalPodAutoscaler", "Deployment")
        )
        wanted = None if deployment is None else deployment["spec"].get("replicas")
        return bool(wanted == number and (scaler is not None) == autoscaled)

    return has_them


def _new_content(letter: str) -> Callable[[World], None]:
    return lambda world: world.workloads.contents.update(weather=letter)


def _new_rows(letter: str) -> Callable[[World], None]:
    def act(world: World) -> None:
        world.workloads.contents["weather"] = letter
        _ok(world.user.ask_for_a_sync("weather").status)

    return act


def _that_many_rows(letter: str, rows: int) -> Callable[[World], None]:
    def act(world: World) -> None:
        world.workloads.rows[letter] = rows
        _new_rows(letter)(world)

    return act


def _drifts(verdict: Verdict, of: str) -> Callable[[World], None]:
    def act(world: World) -> None:
        world.workloads.verdicts[of] = verdict
        world.workloads.contents["weather"] = f"after {of}"

    return act


def _calibration_moves(of: str) -> Callable[[World], None]:
    return lambda world: world.workloads.miscalibrated.update({of: None})


def _done_last(kind: str) -> Callable[[World], bool]:
    """Return whether the monitor's newest action was of this kind."""

    def is_done(world: World) -> bool:
        status = (world.server.get(Key("DriftMonitor", TEAM, "rain-drift")) or {}).get("status") or {}
        return (status.get("lastAction") or {}).get("kind") == kind

    return is_done


def _slow_training(world: World) -> None:
    world.workloads.training_seconds = 1_500.0


def _drifts_on_the_same_rows(world: World) -> None:
    world.workloads.verdicts["rain-drift"] = "DataDrift"


def _drifts_for_good(world: World) -> None:
    world.workloads.verdicts["rain-drift"] = "DataDrift"
    world.workloads.contents["weather"] = "2"


def _champion_scores(score: str) -> Callable[[World], None]:
    return lambda world: setattr(world.workloads, "champion", score)


def _circuit_closed(world: World) -> bool:
    status = (world.server.get(Key("DriftMonitor", TEAM, "rain-drift")) or {}).get("status") or {}
    return status.get("circuit") == "Closed"


def _rows_come(letter: str) -> Callable[[World], None]:
    return lambda world: world.workloads.contents.update(weather=letter)


def _triggered(*reasons: str) -> Callable[[World], bool]:
    """Return whether the monitor's newest check led to this."""

    def is_triggered(world: World) -> bool:
        status = (world.server.get(Key("DriftMonitor", TEAM, "rain-drift")) or {}).get("status") or {}
        said = [each for each in status.get("conditions", ()) if each["type"] == "RetrainingTriggered"]
        return bool(said) and said[0]["reason"] in reasons

    return is_triggered


def _retry(kind: str, name: str, text: str = "now") -> Callable[[World], None]:
    change = {"metadata": {"annotations": {labels.RETRY: text}}}
    return lambda world: _ok(world.user.change(Key(kind, TEAM, name), change).status)


def _older_is_better(version: str, older: str) -> Callable[[World], None]:
    """Return: the relation moves under a version, and that older one fits the new one."""

    def act(world: World) -> None:
        world.workloads.verdicts[version] = "ConceptDrift"
        world.workloads.better[version] = older

    return act


def _faulty(now: bool) -> Callable[[World], None]:
    return lambda world: setattr(world.workloads, "faulty", now)


def _acted(*outcomes: str) -> Callable[[World], bool]:
    """Return whether this came of the monitor's newest action."""

    def has_acted(world: World) -> bool:
        status = (world.server.get(Key("DriftMonitor", TEAM, "rain-drift")) or {}).get("status") or {}
        return (status.get("lastAction") or {}).get("outcome") in outcomes

    return has_acted


def _no_keys_for(seconds: float) -> Callable[[World], None]:
    """Return: the store's keys are revoked, and there again after a while."""

    def act(world: World) -> None:
        world.workloads.denied = True
        world.loop.call_later(seconds, lambda: setattr(world.workloads, "denied", False))

    return act


def _fails(now: bool) -> Callable[[World], None]:
    return lambda world: setattr(world.workloads, "training_fails", now)


def _recipe(c: str) -> Callable[[World], None]:
    return _change("TrainingRun", "rain", trainer={"estimator": {"params": {"C": c}}})


def _number_of_runs(number: int) -> Callable[[World], bool]:
    """Return whether there are so many runs beside the template."""
    return lambda world: len(world.server.list("TrainingRun")) == number + 1


def _newest_run(world: World) -> str:
    template = world.server.get(Key("TrainingRun", TEAM, "rain")) or {}
    name = (template.get("status") or {}).get("lastRun")
    assert name, "the template has made no run"
    return str(name)


def _delete_the_newest_run(world: World) -> None:
    _delete("TrainingRun", _newest_run(world))(world)


def _retry_the_newest_run(world: World) -> None:
    _retry("TrainingRun", _newest_run(world))(world)


def _images_come_slowly(world: World) -> None:
    """For ten minutes, each takes longer than any deadline."""
    world.workloads.pull_seconds = 400.0
    world.loop.call_later(600.0, lambda: setattr(world.workloads, "pull_seconds", 0.0))


def _store_away(world: World) -> None:
    """For ten minutes no server finds the store."""
    world.workloads.store_away = True
    world.loop.call_later(600.0, lambda: setattr(world.workloads, "store_away", False))


def _upgrade(world: World) -> None:
    world.upgrade()


def _removed(letter: str) -> Callable[[World], None]:
    return lambda world: world.workloads.missing.update({"sha256:" + letter * 64: None})


def _restored(world: World) -> None:
    world.workloads.missing.clear()


def _lose_the_pods(world: World) -> None:
    for pod in world.server.list("Pod"):
        if labels.STAGE in labels_of(pod):
            world.user.delete(Key("Pod", TEAM, pod["metadata"]["name"]))


def _later(seconds: float, *acts: Callable[[World], None]) -> Callable[[World], None]:
    """Do something later, unless the world is another one by then: in a storm the user does all at once."""

    def act(world: World) -> None:
        def do() -> None:
            with contextlib.suppress(AssertionError):
                _all_of(*acts)(world)

        world.loop.call_later(seconds, do)

    return act


def _nothing_left(world: World) -> bool:
    children = ("Job", "CronJob", "Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler", "Pod")
    return not any(world.server.list(kind) for kind in children)


def _delete_all(world: World) -> None:
    for kind in world.shuffled(("DriftMonitor", "ModelVersion", "TrainingRun", "Dataset")):
        for manifest in world.server.list(kind):
            world.user.delete(Key(kind, TEAM, manifest["metadata"]["name"]))


_JUDGED = run(
    "rain", gates=[{"metric": "roc_auc", "compareTo": "champion", "minDelta": "0.0"}], triggers=[{"templateChange": {}}]
)
_SEARCHED = run(
    "rain",
    search={"objective": {"metric": "roc_auc"}, "parameters": [{"name": "max_iter", "values": ["100", "200"]}]},
    triggers=[{"templateChange": {}}],
)
_TEMPLATE = run("rain", triggers=[{"templateChange": {}}])
_ON_DATA = run("rain", triggers=[{"templateChange": {}}, {"datasetVersion": {}}])
_GROWING = run("rain", triggers=[{"templateChange": {}}, {"datasetGrowth": {"percent": 50}}])

_ROLLING = monitor(
    trainingRunRef=None,
    checks=[{"name": "concept", "type": "ConceptDrift"}, {"name": "delivery", "type": "DataQuality"}],
    actions=[{"when": ["ConceptDrift"], "do": "Rollback"}, {"when": ["DataQuality"], "do": "Hold"}],
)
_ROLLING["spec"].pop("trainingRunRef")
_REBUILDING = monitor(
    actions=[{"when": ["ConceptDrift"], "do": "RollbackAndRebuild"}, {"when": ["Inconclusive"], "do": "AskForLabels"}]
)

_RECALIBRATING = monitor(
    actions=[{"when": ["ConceptDrift"], "do": "Recalibrate"}, {"when": ["ConceptDrift"], "do": "Rebuild"}]
)

_EAGER = monitor(schedule="*/10 * * * *", guard={"cooldown": "1s", "maxRunsPerWeek": 2})

SCENARIOS: dict[str, tuple[Step, ...]] = {
    "loop": (
        Step(
            "apply all",
            _create(dataset(), _TEMPLATE, monitor()),
            _all(_live("rain-v1"), _ready("DriftMonitor", "rain-drift", "Checked")),
        ),
        Step("the inputs drift", _drifts("DataDrift", "rain-v1"), _live("rain-v2")),
        Step("the concept drifts", _drifts("ConceptDrift", "rain-v2"), _live("rain-v3")),
        Step("roll back", _change("ModelVersion", "rain-v3", withdrawn=True), _live("rain-v2")),
        Step("delete all", _delete_all, _nothing_left),
    ),
    # Checks are made faster than runs end, and find drift whatever serves.
    "slow training": (
        Step(
            "apply all",
            _all_of(_slow_training, _create(dataset(), _SEARCHED, _EAGER)),
            _all(_live("rain-v1"), _ready("DriftMonitor", "rain-drift", "Checked")),
        ),
        # On the same rows there is nothing new: one run finds out, and then there is none.
        Step(
            "the inputs drift for good",
            _drifts_on_the_same_rows,
            _all(_live("rain-v1"), _triggered("NothingNew")),
            minutes=300.0,
        ),
        # The monitor has the source synced, though nobody else does.
        Step("new rows come", _rows_come("3"), _live("rain-v2"), minutes=300.0),
        Step("delete all", _delete_all, _nothing_left),
    ),
    # The keys to the store are revoked for a while, and nobody does anything but give them back.
    "revoked keys": (
        Step("apply all", _create(dataset(), _TEMPLATE), _live("rain-v1")),
        Step(
            "another recipe, and no keys for a while",
            _all_of(
                _no_keys_for(seconds=600.0),
                _change("TrainingRun", "rain", trainer={"estimator": {"params": {"C": "7"}}}),
            ),
            _all(_live("rain-v2"), _ready("TrainingRun", "rain", "Template")),
        ),
        Step(
            "new rows, and no keys for a while",
            _all_of(_no_keys_for(seconds=600.0), _new_rows("2")),
            _ready("Dataset", "weather", "Versioned"),
        ),
    ),
    # What failed is tried again by a retry, by an edit, and by deleting the run.
    "ways back": (
        Step("apply all", _create(dataset(), _TEMPLATE), _live("rain-v1")),
        Step("one that fails", _all_of(_fails(True), _recipe("8")), _ready("TrainingRun", "rain", "TrainingFailed")),
        Step(
            "a retry of the template",
            _all_of(_fails(False), _retry("TrainingRun", "rain")),
            _all(_live("rain-v2"), _ready("TrainingRun", "rain", "Template")),
        ),
        Step("another", _all_of(_fails(True), _recipe("9")), _ready("TrainingRun", "rain", "TrainingFailed")),
        Step(
            "its run is deleted",
            _all_of(_fails(False), _delete_the_newest_run),
            _all(_live("rain-v3"), _ready("TrainingRun", "rain", "Template")),
        ),
        Step("a third", _all_of(_fails(True), _recipe("10")), _ready("TrainingRun", "rain", "TrainingFailed")),
        Step(
            "a retry of its run",
            _all_of(_fails(False), _retry_the_newest_run),
            _all(_live("rain-v4"), _ready("TrainingRun", "rain", "Template")),
        ),
        Step(
            "put back to the first", _recipe("0.1"), _all(_live("rain-v5"), _ready("TrainingRun", "rain", "Template"))
        ),
        Step(
            "more pods are no other recipe",
            _change(
                "TrainingRun",
                "rain",
                register={"promotion": {"stages": [{"name": "production", "replicas": 2}]}},
            ),
            _all(_live("rain-v5"), _ready("TrainingRun", "rain", "Template"), _number_of_runs(6)),
        ),
        Step("delete all", _delete_all, _nothing_left),
    ),
    # Retrains for moved inputs are refused until their circuit opens; the concept drifts all the same.
    "several causes": (
        Step(
            "apply all",
            _create(dataset(), _JUDGED, monitor()),
            _all(_live("rain-v1"), _ready("DriftMonitor", "rain-drift", "Checked")),
        ),
        Step(
            "the inputs drift, and no challenger is better",
            _all_of(_champion_scores("0.9"), _drifts_for_good),
            _triggered("CircuitOpen"),
            minutes=600.0,
        ),
        Step(
            "the concept drifts",
            _all_of(_champion_scores("0.5"), _drifts("ConceptDrift", "rain-v1")),
            _all(_live("rain-v2"), _circuit_closed),
        ),
    ),
    # The relation moves in calibration alone, and then in more.
    "calibration": (
        Step(
            "apply all",
            _create(dataset(), _JUDGED, _RECALIBRATING),
            _all(_live("rain-v1"), _ready("DriftMonitor", "rain-drift", "Checked")),
        ),
        Step(
            "calibration alone moves",
            _all_of(_champion_scores("0.5"), _calibration_moves("rain-v1"), _drifts("ConceptDrift", "rain-v1")),
            _all(_live("rain-v2"), _done_last("Recalibrate")),
        ),
        Step(
            "the concept drifts",
            _drifts("ConceptDrift", "rain-v2"),
            _all(_live("rain-v3"), _done_last("Rebuild")),
        ),
        Step("delete all", _delete_all, _nothing_left),
    ),
    # A monitor finds an older version better, and it serves again, whatever anybody applies once more.
    "rollback": (
        # Only what has served can be rolled back to.
        Step("one version", _create(version(1, "1")), _live("rain-v1")),
        Step(
            "another one and a monitor",
            _create(version(2, "2"), _ROLLING),
            _all(_live("rain-v2"), _ready("DriftMonitor", "rain-drift", "Checked")),
        ),
        Step(
            "the concept drifts, and the data is broken",
            _all_of(_faulty(True), _older_is_better("rain-v2", "rain-v1")),
            _all(_live("rain-v2"), _triggered("DataFaulty")),
        ),
        Step(
            "the data is mended",
            _faulty(False),
            _all(_live("rain-v1"), _ready("ModelVersion", "rain-v2", "RolledBack"), _acted("RolledBack")),
        ),
        Step(
            "the newer one is applied again, with an edit",
            _change("ModelVersion", "rain-v2", capture={"percent": 50}),
            _all(_live("rain-v1"), _ready("ModelVersion", "rain-v2", "RolledBack")),
        ),
        Step(
            "a person undoes it",
            _retry("ModelVersion", "rain-v2"),
            _all(_live("rain-v2"), _triggered("RollbackUndone")),
        ),
        Step(
            "a third, under which it drifts too",
            _all_of(_older_is_better("rain-v3", "rain-v1"), _create(version(3, "3"))),
            _all(_live("rain-v1"), _ready("ModelVersion", "rain-v3", "RolledBack")),
        ),
        Step("the older one is withdrawn", _withdraw("rain-v1"), _live("rain-v3")),
        Step("a fourth", _create(version(4, "4")), _live("rain-v4")),
        Step("delete all", _delete_all, _nothing_left),
    ),
    "rollback and rebuild": (
        Step(
            "apply all",
            _create(dataset(), _TEMPLATE, _REBUILDING),
            _all(_live("rain-v1"), _ready("DriftMonitor", "rain-drift", "Checked")),
        ),
        Step("another recipe", _recipe("7"), _live("rain-v2")),
        Step(
            "the concept drifts, and the first one was better",
            _all_of(_older_is_better("rain-v2", "rain-v1"), _new_content("after the change")),
            _all(_live("rain-v3"), _acted("Promoted")),
        ),
        Step("delete all", _delete_all, _nothing_left),
    ),
    "approval": (
        Step(
            "a version that nobody approves of",
            _create(_of_alice(1, "1")),
            _ready("ModelVersion", "rain-v1", "ApprovalWanted"),
        ),
        Step("its author does", _approve("rain-v1", "1", "alice"), _ready("ModelVersion", "rain-v1", "ApprovalWanted")),
        Step("somebody else does", _approve("rain-v1", "1", "alice", "bob"), _live("rain-v1")),
        Step(
            "a second one",
            _create(_of_alice(2, "2")),
            _all(_ready("ModelVersion", "rain-v2", "ApprovalWanted"), _live("rain-v1")),
        ),
        Step(
            "somebody approves of another model",
            _approve("rain-v2", "1", "bob"),
            _all(_ready("ModelVersion", "rain-v2", "ApprovalWanted"), _live("rain-v1")),
        ),
        Step("of its own", _approve("rain-v2", "2", "bob"), _live("rain-v2")),
        Step(
            "the approval is taken back",
            _approve("rain-v2", "2"),
            _all(_ready("ModelVersion", "rain-v2", "ApprovalWanted"), _live("rain-v1")),
        ),
        Step("and given again", _approve("rain-v2", "2", "carol"), _live("rain-v2")),
        Step(
            "a third, and back to the first",
            _all_of(_create(_of_alice(3, "3")), _withdraw("rain-v2")),
            _live("rain-v1"),
        ),
        Step("delete all", _delete_all, _nothing_left),
    ),
    "canary": (
        Step("the first version", _create(version(1, "1", promotion=CANARY)), _live("rain-v1")),
        Step("a second, by its steps", _create(version(2, "2", promotion=CANARY)), _live("rain-v2")),
        Step(
            "one that is found worse",
            _all_of(_judged("3", "Failed"), _create(version(3, "3", promotion=CANARY))),
            _all(_live("rain-v2"), _ready("ModelVersion", "rain-v3", "CanaryFailed")),
        ),
        Step(
            "it is tried again, and cannot be told for a while",
            _all_of(
                _judged("3", "Inconclusive"),
                _retry("ModelVersion", "rain-v3"),
                _later(1500.0, _judged("3", "Successful")),
            ),
            _live("rain-v3"),
        ),
        Step(
            "one that takes too much memory",
            _all_of(_heavy("4"), _create(version(4, "4", promotion=CANARY))),
            _all(_live("rain-v3"), _ready("ModelVersion", "rain-v4", "OOMKilled")),
        ),
        Step(
            "a newer one comes meanwhile",
            _all_of(
                _create(version(5, "5", promotion=CANARY)), _later(400.0, _create(version(6, "6", promotion=CANARY)))
            ),
            _all(_live("rain-v6"), _ready("ModelVersion", "rain-v5", "Superseded")),
        ),
        Step(
            "the version that serves is withdrawn meanwhile",
            _all_of(_create(version(7, "7", promotion=CANARY)), _later(400.0, _withdraw("rain-v6"))),
            _live("rain-v7"),
        ),
        Step(
            "other steps meanwhile",
            _all_of(
                _create(version(8, "8", promotion=CANARY)),
                _later(400.0, _change("ModelVersion", "rain-v8", promotion=SHADOWED)),
            ),
            _live("rain-v8"),
        ),
        Step(
            "one that is withdrawn meanwhile",
            _all_of(_create(version(9, "9", promotion=CANARY)), _later(300.0, _withdraw("rain-v9"))),
            _all(_live("rain-v8"), _ready("ModelVersion", "rain-v9", "Withdrawn")),
        ),
        Step("delete all", _delete_all, _nothing_left),
    ),
    "new data": (
        # One run is nobody's but the user's: it stays when the template goes, and says what it was trained on.
        Step(
            "apply all",
            _all_of(_create(dataset(), _ON_DATA), _later(30.0, _create(run("kept", "3", register=None)))),
            _all(_live("rain-v1"), _ready("TrainingRun", "kept", "Succeeded")),
        ),
        Step("new rows", _new_rows("2"), _live("rain-v2")),
        Step("the same rows again", _new_rows("2"), _ready("Dataset", "weather", "Unchanged")),
        Step(
            "another recipe",
            _change("TrainingRun", "rain", trainer={"estimator": {"params": {"C": "7"}}}),
            _live("rain-v3"),
        ),
        Step(
            "other columns",
            _change("Dataset", "weather", fields=dataset()["spec"]["fields"][1:]),
            _live("rain-v4"),
        ),
        Step("delete the template", _delete("TrainingRun", "rain"), _live("rain-v4")),
        Step("delete the data", _delete("Dataset", "weather"), _gone("Dataset", "weather")),
        # Its numbers go on: the run that was kept and the versions still name those of the one before.
        Step(
            "the data again, and a run on it",
            _all_of(_new_content("made again"), _create(dataset()), _later(30.0, _create(run("again")))),
            _all(_ready("TrainingRun", "again", "Succeeded"), _live("rain-v5"), _data_version("weather", 4)),
        ),
        Step(
            "delete the run and its version",
            _all_of(_delete("TrainingRun", "again"), _delete("ModelVersion", "rain-v5")),
            _all(_gone("ModelVersion", "rain-v5"), _live("rain-v4")),
        ),
        Step("another run", _create(run("more", "6")), _live("rain-v6")),
    ),
    # A run whenever there are half as many rows again as the newest model was trained on.
    "growth": (
        Step("apply all", _create(dataset(), _GROWING), _live("rain-v1")),
        Step(
            "a fifth more rows",
            _that_many_rows("2", 120),
            _all(_data_version("weather", 2), _live("rain-v1"), _number_of_runs(1)),
        ),
        Step("half as many again", _that_many_rows("3", 150), _live("rain-v2")),
        Step(
            "many more, and no run gets through",
            _all_of(_fails(True), _that_many_rows("4", 400)),
            _all(_data_version("weather", 4), _ready("TrainingRun", "rain", "TrainingFailed"), _number_of_runs(3)),
        ),
        Step(
            "hardly more than these",
            _all_of(_fails(False), _that_many_rows("5", 410)),
            _all(_live("rain-v3"), _number_of_runs(4)),
        ),
        Step(
            "hardly more than the newest model's",
            _that_many_rows("6", 420),
            _all(_data_version("weather", 6), _live("rain-v3"), _number_of_runs(4)),
        ),
    ),
    # One version stays, and what models were made of.
    "retention": (
        Step("apply all", _create(dataset(retention={"keepVersions": 1}), _ON_DATA), _live("rain-v1")),
        Step("new rows", _new_rows("2"), _all(_live("rain-v2"), _history("weather", v1="there", v2="there"))),
        Step("delete the template", _delete("TrainingRun", "rain"), _gone("TrainingRun", "rain")),
        Step("rows that nobody trains on", _new_rows("3"), _data_version("weather", 3)),
        Step(
            "and more of them",
            _new_rows("4"),
            _all(_data_version("weather", 4), _history("weather", v1="there", v2="there", v3="removed", v4="there")),
        ),
        Step(
            "a model that nobody needs",
            _delete("ModelVersion", "rain-v1"),
            _all(_live("rain-v2"), _history("weather", v1="removed", v2="there")),
        ),
        Step(
            "runs on what is gone and on what stayed",
            _create(
                run("late", "3", register=None, datasetRef={"name": "weather", "version": 1}),
                run("kept", "4", register=None, datasetRef={"name": "weather", "version": 2}),
            ),
            _all(_ready("TrainingRun", "late", "DatasetVersionRemoved"), _ready("TrainingRun", "kept", "Succeeded")),
        ),
        Step(
            "what was removed comes again",
            _new_rows("3"),
            _all(_data_version("weather", 5), _history("weather", v2="there", v4="removed", v5="there")),
        ),
        Step(
            "and what is being removed",
            _all_of(_new_rows("5"), _later(240.0, _new_rows("3"))),
            _all(_data_version("weather", 7), _history("weather", v2="there", v6="removed", v7="there")),
        ),
        Step("delete all", _delete_all, _nothing_left),
    ),
    "runs": (
        Step(
            "a run before its data",
            _create(run("a"), run("b", register=None), run("c", reproducibility={"verify": "Once"}, register=None)),
            _ready("TrainingRun", "a", "DatasetNotFound"),
        ),
        Step(
            "the data",
            _create(dataset()),
            _all(*(_ready("TrainingRun", name, "Succeeded") for name in "abc"), _live("rain-v1")),
        ),
        Step("a suspended one", _create(run("d", "9", suspend=True)), _ready("TrainingRun", "d", "Suspended")),
        Step(
            "resume",
            _change("TrainingRun", "d", suspend=False),
            _all(_ready("TrainingRun", "d", "Succeeded"), _live("rain-v2")),
        ),
        Step(
            "its version is not wanted",
            _delete("ModelVersion", "rain-v2"),
            _all(_gone("ModelVersion", "rain-v2"), _live("rain-v1")),
        ),
        Step(
            "one below its gate",
            _create(run("e", "8", gates=[{"metric": "roc_auc", "min": "0.99"}])),
            _ready("TrainingRun", "e", "GatesFailed"),
        ),
        Step("delete one", _delete("TrainingRun", "a"), _gone("TrainingRun", "a")),
        Step("delete all", _delete_all, _nothing_left),
    ),
    "stages": (
        Step(
            "two versions",
            _create(version(1, "1", promotion=TWO_STAGES), version(2, "2", promotion=TWO_STAGES)),
            _live("rain-v2"),
        ),
        Step(
            "more pods",
            _change(
                "ModelVersion",
                "rain-v2",
                promotion={"stages": [{"name": "dev"}, {"name": "production", "replicas": 3}]},
            ),
            _live("rain-v2"),
        ),
        Step("roll back", _change("ModelVersion", "rain-v2", withdrawn=True), _live("rain-v1")),
        Step("and forward", _change("ModelVersion", "rain-v2", withdrawn=False), _live("rain-v2")),
        Step(
            "a third that claims a number",
            _create(
                version(3, "3", promotion=TWO_STAGES),
                {**version(3, "4"), "metadata": {"name": "z-other", "namespace": TEAM}},
            ),
            _all(_live("rain-v3"), _ready("ModelVersion", "z-other", "VersionConflict")),
        ),
        Step("the live one goes", _delete("ModelVersion", "rain-v3"), _live("z-other")),
        Step("delete all", _delete_all, _nothing_left),
    ),
    # A number of pods has one owner at a time: the operator, or the autoscaler that it makes.
    "autoscaling": (
        Step("one number", _create(version(1, "1", promotion=TWO_PODS)), _live("rain-v1")),
        Step(
            "an autoscaler, and many requests",
            _all_of(_needs(4), _change("ModelVersion", "rain-v1", promotion=AUTOSCALED)),
            _all(_live("rain-v1"), _pods_wanted(4, autoscaled=True)),
        ),
        Step("more than it may have", _needs(9), _all(_live("rain-v1"), _pods_wanted(5, autoscaled=True))),
        Step(
            "a new version, and fewer requests meanwhile",
            _all_of(_create(version(2, "2", promotion=AUTOSCALED)), _later(20.0, _needs(3))),
            _all(_live("rain-v2"), _pods_wanted(3, autoscaled=True)),
        ),
        Step("an edit", _change("ModelVersion", "rain-v2", capture={"percent": 50}), _live("rain-v2")),
        Step("hardly any", _needs(0), _all(_live("rain-v2"), _pods_wanted(2, autoscaled=True))),
        Step(
            "one number again",
            _change("ModelVersion", "rain-v2", promotion=ONE_POD),
            _all(_live("rain-v2"), _pods_wanted(1, autoscaled=False)),
        ),
        Step(
            "back to what is scaled",
            _change("ModelVersion", "rain-v2", withdrawn=True),
            _all(_live("rain-v1"), _pods_wanted(2, autoscaled=True)),
        ),
        Step("delete all", _delete_all, _nothing_left),
    ),
    "a broken version": (
        Step("one that serves", _create(version(1, "1")), _live("rain-v1")),
        Step(
            "one that does not",
            _all_of(_unready("2"), _create(version(2, "2"))),
            _all(_live("rain-v1"), _ready("ModelVersion", "rain-v2", "GoldenFailed")),
        ),
        Step("a third", _create(version(3, "3")), _live("rain-v3")),
        Step("without the good ones", _withdraw("rain-v3", "rain-v1"), _ready("ModelVersion", "rain-v1", "Withdrawn")),
        Step("with one of them", _change("ModelVersion", "rain-v1", withdrawn=False), _live("rain-v1")),
        Step("delete all", _delete_all, _nothing_left),
    ),
    # Rollouts of versions that have served, disturbed for longer than any deadline.
    "slow rollouts": (
        Step("one after the other", _create(version(1, "1"), version(2, "2")), _live("rain-v2")),
        Step("an upgrade, and images come slowly", _all_of(_images_come_slowly, _upgrade), _live("rain-v2")),
        Step(
            "an edit, and the store is away",
            _all_of(_store_away, _change("ModelVersion", "rain-v2", capture={"percent": 50})),
            _live("rain-v2"),
        ),
        Step("pods are lost, and the store is away", _all_of(_store_away, _lose_the_pods), _live("rain-v2")),
        Step(
            "a third, and both",
            _all_of(_store_away, _images_come_slowly, _create(version(3, "3"))),
            _live("rain-v3"),
        ),
        Step(
            "an edit, and its artifact is gone for a while",
            _all_of(
                _removed("3"),
                _change("ModelVersion", "rain-v3", capture={"percent": 50}),
                _later(250.0, _restored, _change("ModelVersion", "rain-v3", capture={"percent": 60})),
            ),
            _live("rain-v3"),
        ),
        Step(
            "pods are lost, and its artifact is gone",
            _all_of(_removed("3"), _lose_the_pods),
            _all(_live("rain-v2"), _ready("ModelVersion", "rain-v3", "ArtifactNotFound")),
        ),
        Step(
            "it is back, and asked for",
            _all_of(_restored, _change("ModelVersion", "rain-v3", capture={"percent": 70})),
            _live("rain-v3"),
        ),
        Step("delete all", _delete_all, _nothing_left),
    ),
    "schedules": (
        Step(
            "a scheduled refresh",
            _create(dataset(refresh={"schedule": "30 * * * *"})),
            _ready("Dataset", "weather", "Versioned", "Unchanged"),
        ),
        Step(
            "a model and its captures",
            _create(
                version(1, "1"),
                an_object(
                    "Dataset",
                    "seen",
                    {**dataset()["spec"], "source": {"captured": {"modelName": "rain", "window": "30d"}}},
                ),
            ),
            _all(_live("rain-v1"), _ready("Dataset", "seen", "Versioned", "Unchanged")),
        ),
        Step(
            "suspend",
            _change("Dataset", "weather", suspend=True),
            _ready("Dataset", "weather", "Versioned", "Unchanged"),
        ),
        Step(
            "resume without a schedule",
            _change("Dataset", "weather", suspend=False, refresh=None),
            _ready("Dataset", "weather", "Versioned", "Unchanged"),
        ),
        Step("delete all", _delete_all, _nothing_left),
    ),
}
