"""One reconcile: what is written, in which order, and what is not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlops.api.dataset import DatasetStatus
from mlops.api.kinds import KINDS
from mlops.engine.cluster import ClusterError, Conflict, Invalid, NotAllowed, Refused, Unavailable, key_of
from mlops.engine.comparing import covers, timeless_digest
from mlops.engine.gather import Gatherer
from mlops.engine.metrics import Counters
from mlops.engine.planners import PLANNERS
from mlops.engine.reconcile import Reconciler
from mlops.local.clock import VirtualClock
from mlops.planning import model_history
from mlops.planning.history_chain import checked
from mlops.planning.plan import Key, Manifest, Plan, Settings
from tests.engine.objects import DIGEST, NotedCluster, a_child, a_dataset, a_monitor, a_version
from tests.planning.test_ways_out import STORIES, Place

RAIN = Key("Dataset", "default", "rain")
READY = {"type": "Ready", "status": "True", "reason": "Versioned", "message": "", "lastTransitionTime": ""}


@pytest.fixture
def reconcile(cluster: NotedCluster, clock: VirtualClock) -> Callable[[Any, Key], Any]:
    """Return `reconcile(planner, key)`, each time with an engine that remembers the times before."""
    planners: dict[str, Any] = {}
    reconciler = Reconciler(cluster, Gatherer(cluster, Settings(), clock), planners, clock, Counters())

    async def run(planner: Any, key: Key = RAIN) -> None:
        planners[key.kind] = planner
        await reconciler.reconcile(key)

    return run


def a_plan(cluster: NotedCluster, **changes: Any) -> Plan:
    owner = cluster.now("Dataset", "rain")
    full: dict[str, Any] = {
        "statuses": {RAIN: DatasetStatus.model_validate({"observedGeneration": 1, "conditions": [READY]})},
        "apply": (a_child("CronJob", "refresh", owner, dataset="rain"),),
        "create": (a_child("Job", "ingest", owner, dataset="rain"),),
    }
    return Plan(**{**full, **changes})


async def test_the_status_comes_first_then_children_then_deletions(cluster: NotedCluster, reconcile: Any) -> None:
    """What a child depends on is on record before the child is there, whenever the power goes."""
    cluster.by_user(a_dataset())
    old = cluster.create_as("test", a_child("Job", "old", cluster.now("Dataset", "rain"), dataset="rain"))
    delete = ((Key("Job", "default", "old"), old["metadata"]["uid"]),)
    await reconcile(lambda _: a_plan(cluster, delete=delete))
    assert cluster.writes == [
        ("status", "Dataset", "rain"),
        ("apply", "CronJob", "refresh"),
        ("create", "Job", "ingest"),
        ("delete", "Job", "old"),
    ]


async def test_a_settled_world_costs_no_write(cluster: NotedCluster, reconcile: Any) -> None:
    cluster.by_user(a_dataset())
    for _ in range(3):
        await reconcile(lambda _: a_plan(cluster))
    assert len(cluster.writes) == 3


async def test_a_field_that_is_no_longer_wanted_is_taken_away(cluster: NotedCluster, reconcile: Any) -> None:
    """Every wanted field is there; the one that is wanted no more has to go all the same."""
    cluster.by_user(a_dataset())
    child = a_child("CronJob", "refresh", cluster.now("Dataset", "rain"), dataset="rain")
    child["spec"] = {"suspend": True, "startingDeadlineSeconds": 60}
    await reconcile(lambda _: a_plan(cluster, apply=(child,)))
    await reconcile(lambda _: a_plan(cluster))
    assert cluster.now("CronJob", "refresh")["spec"] == {"suspend": True}


async def test_a_name_that_is_taken_is_looked_at_again(cluster: NotedCluster, clock: VirtualClock) -> None:
    """The stranger's object is watched by nobody: that it is gone would never be heard of."""
    cluster.by_user(a_dataset())
    cluster.by_user({**a_child("CronJob", "refresh"), "metadata": {"name": "refresh", "namespace": "default"}})
    planners: dict[str, Any] = {"Dataset": lambda _: a_plan(cluster)}
    reconciler = Reconciler(cluster, Gatherer(cluster, Settings(), clock), planners, clock, Counters())
    assert await reconciler.reconcile(RAIN) == clock.now() + timedelta(seconds=60)
    assert cluster.condition("Dataset", "rain", "Stalled") == ("True", "NameTaken")
    cluster.remove(Key("CronJob", "default", "refresh"))
    assert await reconciler.reconcile(RAIN) is None


async def test_a_child_that_somebody_edited_is_corrected(cluster: NotedCluster, reconcile: Any) -> None:
    cluster.by_user(a_dataset())
    await reconcile(lambda _: a_plan(cluster))
    edited = {**cluster.now("CronJob", "refresh"), "spec": {"suspend": False}}
    cluster.apply_as("kubectl", edited)
    await reconcile(lambda _: a_plan(cluster))
    assert cluster.now("CronJob", "refresh")["spec"] == {"suspend": True}


async def test_what_a_webhook_makes_of_a_child_is_not_fought(
    cluster: NotedCluster, reconcile: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is applied comes out with the webhook's part in it: once more would end the same. A person's edit is
    corrected all the same."""
    cluster.by_user(a_dataset())
    apply = cluster.apply

    async def mutated(manifest: Manifest) -> Manifest:
        applied = await apply(manifest)
        return cluster.apply_as("webhook", {**applied, "spec": {"suspend": False}})[0]

    monkeypatch.setattr(cluster, "apply", mutated)
    for _ in range(4):
        await reconcile(lambda _: a_plan(cluster))
    assert cluster.writes.count(("apply", "CronJob", "refresh")) == 1
    edited = {**cluster.now("CronJob", "refresh"), "spec": {"suspend": False, "startingDeadlineSeconds": 9}}
    cluster.apply_as("kubectl", edited)
    for _ in range(4):
        await reconcile(lambda _: a_plan(cluster))
    assert cluster.writes.count(("apply", "CronJob", "refresh")) == 2


@pytest.mark.parametrize("kind", ["Job", "CronJob"])
async def test_a_strangers_object_of_the_wanted_name_is_left_alone_and_named(
    cluster: NotedCluster, reconcile: Any, kind: str
) -> None:
    cluster.by_user(a_dataset())
    name = {"Job": "ingest", "CronJob": "refresh"}[kind]
    stranger = a_child(kind, name)
    stranger["metadata"]["labels"] = {}
    cluster.create_as("somebody", stranger)
    before = cluster.now(kind, name)
    for _ in range(3):
        await reconcile(lambda _: a_plan(cluster))
    assert cluster.condition("Dataset", "rain", "Stalled") == ("True", "NameTaken")
    assert cluster.condition("Dataset", "rain", "Ready") == ("False", "NameTaken"), "not what the planner said"
    message = next(
        c["message"] for c in cluster.now("Dataset", "rain")["status"]["conditions"] if c["type"] == "Stalled"
    )
    assert f'{kind} "{name}"' in message
    assert cluster.now(kind, name) is before
    assert sum(verb == "status" for verb, _, _ in cluster.writes) == 1, "said once, not every time"


async def test_the_complaint_ends_when_the_stranger_is_gone(cluster: NotedCluster, reconcile: Any) -> None:
    cluster.by_user(a_dataset())
    stranger = a_child("Job", "ingest")
    stranger["metadata"]["labels"] = {}
    cluster.create_as("somebody", stranger)
    await reconcile(lambda _: a_plan(cluster))
    cluster.remove(Key("Job", "default", "ingest"))
    await reconcile(lambda _: a_plan(cluster))
    assert cluster.condition("Dataset", "rain", "Stalled") is None
    assert ("create", "Job", "ingest") in cluster.writes


async def test_a_job_of_a_deleted_namesake_is_not_taken_for_ours(cluster: NotedCluster, reconcile: Any) -> None:
    """Deleted and applied again at once: the new object has nothing from the old one."""
    cluster.by_user(a_dataset())
    old_owner = cluster.now("Dataset", "rain")
    keeper = cluster.by_user(a_dataset("keeper"))
    child = a_child("Job", "ingest", old_owner, dataset="rain")
    # Garbage collection is late: another owner keeps it from happening.
    child["metadata"]["ownerReferences"].append(
        {"apiVersion": "v1", "kind": "Dataset", "name": "keeper", "uid": keeper["metadata"]["uid"]}
    )
    cluster.create_as("test", child)
    cluster.remove(RAIN)
    cluster.by_user(a_dataset())
    with pytest.raises(Conflict):
        await reconcile(lambda _: a_plan(cluster))


async def test_an_object_that_does_not_parse_gets_a_condition_with_the_field(
    cluster: NotedCluster, reconcile: Any
) -> None:
    """An older program may have let it in."""
    stored = cluster.by_user(a_dataset())
    broken = {**stored, "spec": {**stored["spec"], "format": "xls"}}
    cluster._put(RAIN, broken, None, {})

    def never(_: object) -> Plan:
        raise AssertionError("there is nothing to plan")

    for _ in range(2):
        await reconcile(never)
    assert cluster.condition("Dataset", "rain", "Stalled") == ("True", "InvalidSpec")
    assert cluster.condition("Dataset", "rain", "Ready") == ("False", "InvalidSpec")
    assert "spec.format" in str(cluster.now("Dataset", "rain")["status"])


async def test_an_object_that_was_mended_is_planned_again(cluster: NotedCluster, reconcile: Any) -> None:
    """InvalidSpec is left by editing the object as the message says."""
    stored = cluster.by_user(a_dataset())
    cluster._put(RAIN, {**stored, "spec": {**stored["spec"], "format": "xls"}}, None, {})
    await reconcile(lambda _: Plan())
    assert cluster.condition("Dataset", "rain", "Stalled") == ("True", "InvalidSpec")
    cluster.by_user(a_dataset(format="csv"))
    await reconcile(lambda _: a_plan(cluster))
    assert cluster.condition("Dataset", "rain", "Stalled") is None
    assert cluster.condition("Dataset", "rain", "Ready") == ("True", "Versioned")


async def test_one_version_that_does_not_parse_does_not_stop_the_model(cluster: NotedCluster, reconcile: Any) -> None:
    cluster.by_user(a_version())
    bad = cluster.by_user(a_version("rain-v2", version=2))
    broken = {**bad, "spec": {**bad["spec"], "version": -2}}
    cluster._put(Key("ModelVersion", "default", "rain-v2"), broken, None, {})
    seen: list[list[str]] = []

    def planner(view: Any) -> Plan:
        seen.append([version.metadata.name for version in view.versions])
        return Plan()

    await reconcile(planner, Key("Model", "default", "rain"))
    assert seen == [["rain-v1"]]
    assert cluster.condition("ModelVersion", "rain-v2", "Stalled") == ("True", "InvalidSpec")


async def test_an_object_that_is_being_deleted_is_not_planned(cluster: NotedCluster, reconcile: Any) -> None:
    """A child that is made now would hold up the deletion."""
    cluster.by_user(a_dataset())
    cluster.mark_deleted(RAIN)
    await reconcile(lambda _: a_plan(cluster))
    assert cluster.writes == []


async def test_a_status_is_not_written_over_a_newer_object(cluster: NotedCluster) -> None:
    cluster.by_user(a_dataset())
    seen = cluster.now("Dataset", "rain")
    cluster.by_user(a_dataset(format="csv"))
    with pytest.raises(Conflict):
        await cluster.write_status(seen, {"observedGeneration": 1})


async def test_after_a_fault_in_the_middle_the_next_round_does_the_rest(cluster: NotedCluster, reconcile: Any) -> None:
    cluster.by_user(a_dataset())

    def planner(_: object) -> Plan:
        return a_plan(cluster)

    cluster.faults = [Unavailable(RAIN, "503")]
    for _ in range(3):
        try:
            await reconcile(planner)
        except Unavailable:
            cluster.faults = []
    assert sorted(verb for verb, _, _ in cluster.writes) == ["apply", "create", "status"]


async def test_a_child_that_the_cluster_refuses_becomes_a_condition(cluster: NotedCluster, reconcile: Any) -> None:
    """A time zone that does not exist can only be found out by the cluster; trying it again cannot help."""
    cluster.by_user(a_dataset())
    child = a_child("CronJob", "refresh", cluster.now("Dataset", "rain"), dataset="rain")
    child["spec"] = {"schedule": "0 0 * * *", "timeZone": "Mars/Olympus"}
    with pytest.raises(Conflict):
        await reconcile(lambda _: a_plan(cluster, apply=(child,)))
    for _ in range(3):
        await reconcile(lambda _: a_plan(cluster, apply=(child,)))
    assert cluster.condition("Dataset", "rain", "Stalled") == ("True", "ChildRefused")
    assert sum(verb == "apply" for verb, _, _ in cluster.writes) == 1
    assert ("create", "Job", "ingest") in cluster.writes, "the other children are made"


async def test_a_child_for_which_there_is_no_room_is_tried_again(
    cluster: NotedCluster, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quota is used up: the owner says so in the server's words, is not given up, and goes on when there is room."""
    cluster.by_user(a_dataset())
    tried, room, make = [], False, cluster.create

    async def create(manifest: Manifest) -> Manifest:
        if manifest["kind"] == "Job" and not room:
            tried.append(clock.now())
            raise Refused(key_of(manifest), "403 exceeded quota: team, requested: count/jobs.batch=1")
        return await make(manifest)

    monkeypatch.setattr(cluster, "create", create)
    planners: dict[str, Any] = {"Dataset": lambda _: a_plan(cluster)}
    reconciler = Reconciler(cluster, Gatherer(cluster, Settings(), clock), planners, clock, Counters())
    with pytest.raises(Conflict):
        await reconciler.reconcile(RAIN)
    for _ in range(3):
        assert await reconciler.reconcile(RAIN) == clock.now() + timedelta(seconds=60)
    assert cluster.condition("Dataset", "rain", "Ready") == ("False", "ChildRefused")
    assert cluster.condition("Dataset", "rain", "Stalled") is None
    assert "exceeded quota: team" in str(cluster.now("Dataset", "rain")["status"])
    assert ("apply", "CronJob", "refresh") in cluster.writes, "the other children are made"
    statuses = sum(verb == "status" for verb, _, _ in cluster.writes)
    for _ in range(2):
        clock.advance(clock.now() + timedelta(seconds=60))
        with pytest.raises(Conflict):
            await reconciler.reconcile(RAIN)
        await reconciler.reconcile(RAIN)
    assert len(tried) == 3, "once a minute"
    assert sum(verb == "status" for verb, _, _ in cluster.writes) == statuses, "said once"
    room = True
    clock.advance(clock.now() + timedelta(seconds=60))
    await reconciler.reconcile(RAIN)
    await reconciler.reconcile(RAIN)
    assert cluster.condition("Dataset", "rain", "Ready") == ("True", "Versioned")
    assert ("create", "Job", "ingest") in cluster.writes


def refuse(monkeypatch: pytest.MonkeyPatch, cluster: NotedCluster, verb: str, kind: str, error: Any) -> list[Any]:
    """Have the cluster refuse all children of a kind, until the list of tries that is returned holds a None."""
    tried: list[Any] = []
    write = getattr(cluster, verb)

    async def refusing(manifest: Manifest) -> Manifest:
        if manifest["kind"] == kind and None not in tried:
            tried.append(manifest["metadata"]["name"])
            raise error(key_of(manifest), "denied the request")
        written: Manifest = await write(manifest)
        return written

    monkeypatch.setattr(cluster, verb, refusing)
    return tried


async def rounds(cluster: NotedCluster, clock: VirtualClock, key: Key, number: int = 16) -> int:
    """Reconcile every 15 s with the real planners; return how many rounds failed."""
    reconciler, failed = Reconciler(cluster, Gatherer(cluster, Settings(), clock), PLANNERS, clock, Counters()), 0
    for _ in range(number):
        try:
            await reconciler.reconcile(key)
        except (Conflict, NotAllowed):
            failed += 1
        clock.advance(clock.now() + timedelta(seconds=15))
    return failed


VERIFIED = {"artifact": DIGEST, "verification": {"goldenRows": 64, "maxDifference": "0", "p99Milliseconds": "1.5"}}


@pytest.mark.parametrize(
    ("error", "tries", "stalled"),
    [
        pytest.param(Refused, 4, None, id="a quota or a policy"),
        pytest.param(Invalid, 1, ("True", "ChildRefused"), id="no such field"),
        pytest.param(NotAllowed, 16, None, id="a missing right"),
    ],
)
async def test_a_refused_deployment_is_told_and_holds_up_nothing_else(
    cluster: NotedCluster, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch, error: Any, tries: int, stalled: Any
) -> None:
    """Its annotation says since when it is wanted, so no plan has the same Deployment; the refusal is the same. The
    next version is verified meanwhile."""
    cluster.by_user(a_version())
    cluster.set_status(Key("ModelVersion", "default", "rain-v1"), {"observedGeneration": 1, **VERIFIED})
    cluster.by_user(a_version("rain-v2", version=2))
    tried = refuse(monkeypatch, cluster, "apply", "Deployment", error)
    assert await rounds(cluster, clock, Key("Model", "default", "rain")) == tries
    assert tried == ["rain-production"] * tries
    assert cluster.condition("ModelVersion", "rain-v1", "Ready") == ("False", "ChildRefused")
    assert cluster.condition("ModelVersion", "rain-v1", "Stalled") == stalled
    assert [job["metadata"]["labels"]["mlops.dev/model-version"] for job in cluster.list("Job")] == ["rain-v2"]


def test_a_child_is_the_same_in_whatever_second_it_is_planned() -> None:
    """Whatever the state of the world, and while a person asks for a retry of everything: a refusal of a child is told
    and waited for only if the plan after the status has the same child."""
    differ = set()
    for (kind, reason), story in STORIES.items():
        place = Place()
        story.provoke(place)
        for key in [key for key in place.objects if key.kind in KINDS]:
            for asked in ("", "again"):
                place.annotate(key.kind, key.name, "mlops.dev/retry", asked)
                first = place.plan(key.kind, key.name)
                place.carry_out(Plan(statuses=first.statuses))
                place.now += timedelta(seconds=1)
                then = {
                    key_of(each): timeless_digest(each)
                    for plan in (first, place.plan(key.kind, key.name))
                    for each in (*plan.apply, *plan.create)
                }
                for each in (*first.apply, *first.create):
                    if then[key_of(each)] != timeless_digest(each):
                        differ.add((kind, reason, *key_of(each)))
    assert not differ


async def test_a_refused_check_is_told_and_made_when_there_is_room(
    cluster: NotedCluster, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks at the time when it is made: no plan has the same Job."""
    cluster.by_user(a_version())
    live = {"artifact": DIGEST, "stages": ["production"], "passedStages": ["production"]}
    cluster.set_status(Key("ModelVersion", "default", "rain-v1"), {"observedGeneration": 1, **live})
    monitor = a_monitor()
    monitor["metadata"]["annotations"] = {"mlops.dev/retry": "x"}
    cluster.by_user(monitor)
    tried = refuse(monkeypatch, cluster, "create", "Job", Refused)
    watch = Key("DriftMonitor", "default", "watch")
    assert await rounds(cluster, clock, watch) == len(tried) == 4, "once a minute"
    assert cluster.condition("DriftMonitor", "watch", "Ready") == ("False", "ChildRefused")
    tried.append(None)
    assert await rounds(cluster, clock, watch) == 0
    assert len(cluster.list("Job")) == 1
    assert cluster.now("DriftMonitor", "watch")["status"]["retried"] == "x"


RECORD = Key("ConfigMap", "default", "rain-history")
MODEL = Key("Model", "default", "rain")


def serves(cluster: NotedCluster) -> None:
    """Have rain-v1 live; its Deployment is yet to be made."""
    cluster.by_user(a_version())
    verified = {"goldenRows": 64, "maxDifference": "0", "p99Milliseconds": "1.5"}
    live = {"stages": ["production"], "stage": "production", "passedStages": ["production"]}
    condition = {**READY, "reason": "Serving", "lastTransitionTime": "2026-01-10T11:00:00Z", "observedGeneration": 1}
    told = {"artifact": DIGEST, "format": "onnx", "verification": verified, "conditions": [condition]}
    cluster.set_status(Key("ModelVersion", "default", "rain-v1"), {"observedGeneration": 1, **live, **told})


async def _until_at_rest(reconciler: Reconciler, cluster: NotedCluster, clock: VirtualClock) -> None:
    server = Key("Deployment", "default", "rain-production")
    for _ in range(5):
        clock.advance(clock.now() + timedelta(seconds=60))
        with suppress(Conflict, NotAllowed):
            await reconciler.reconcile(MODEL)
        if (there := cluster.get(server)) is not None:
            ready = {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}
            cluster.set_status(server, {"observedGeneration": there["metadata"].get("generation", 1), **ready})


@pytest.mark.parametrize("error", [None, Refused, Invalid, NotAllowed])
async def test_a_record_that_cannot_be_written_keeps_no_model_from_serving(
    cluster: NotedCluster,
    clock: VirtualClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: type[ClusterError] | None,
) -> None:
    """The history's name is taken, or a policy refuses it: servers are kept, versions are told as they are, and what
    is wrong is told by itself, once; when it is mended, the record is written."""
    serves(cluster)
    mended, apply = False, cluster.apply

    async def refusing(manifest: Manifest) -> Manifest:
        if error is not None and manifest["kind"] == "ConfigMap" and not mended:
            raise error(key_of(manifest), "no ConfigMaps here")
        return await apply(manifest)

    monkeypatch.setattr(cluster, "apply", refusing)
    if error is None:
        metadata = {"name": RECORD.name, "namespace": RECORD.namespace}
        cluster.by_user({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "b"}})
    reconciler = Reconciler(cluster, Gatherer(cluster, Settings(), clock), PLANNERS, clock, Counters())
    await _until_at_rest(reconciler, cluster, clock)
    assert cluster.get(Key("Deployment", "default", "rain-production")) is not None
    assert cluster.condition("ModelVersion", "rain-v1", "Ready") == ("True", "Serving")
    assert cluster.condition("ModelVersion", "rain-v1", "Stalled") is None
    told = [each for each in cluster.list("Event") if each["action"] == "Recorded"]
    said = [record.getMessage() for record in caplog.records]
    if error is not NotAllowed:  # The loop itself warns of that.
        assert [each["type"] for each in told] == ["Warning"]
        assert len(said) == 1
        assert said[0].startswith("the history of a model is not recorded: ")
    mended = True
    if error is None:
        cluster.remove(RECORD)
    await _until_at_rest(reconciler, cluster, clock)
    assert "Registered" in cluster.now("ConfigMap", RECORD.name)["data"]["history.jsonl"]


async def test_after_a_part_of_a_record_that_is_refused_none_follows(
    cluster: NotedCluster, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each goes on where the one before ends: the next one alone would leave a gap for ever."""
    monkeypatch.setattr(model_history, "SEGMENT_BYTES", 600)
    serves(cluster)
    apply, refused = cluster.apply, [RECORD.name]

    async def refusing(manifest: Manifest) -> Manifest:
        if manifest["metadata"]["name"] in refused:
            raise Refused(key_of(manifest), "no ConfigMaps here")
        return await apply(manifest)

    monkeypatch.setattr(cluster, "apply", refusing)
    reconciler = Reconciler(cluster, Gatherer(cluster, Settings(), clock), PLANNERS, clock, Counters())
    await _until_at_rest(reconciler, cluster, clock)
    cluster.by_user(a_version("rain-v2", version=2, withdrawn=True))
    await _until_at_rest(reconciler, cluster, clock)
    assert cluster.list("ConfigMap") == []
    refused.clear()
    await _until_at_rest(reconciler, cluster, clock)
    history = cluster.list("ConfigMap")
    assert len(history) > 1
    assert checked("rain", history, {}).fault is None


async def test_events_tell_what_flipped(cluster: NotedCluster, reconcile: Any) -> None:
    cluster.by_user(a_dataset())
    await reconcile(lambda _: a_plan(cluster))
    await reconcile(lambda _: a_plan(cluster))
    (event,) = cluster.list("Event")
    assert (event["reason"], event["type"], event["regarding"]["name"]) == ("Versioned", "Normal", "rain")


@pytest.mark.parametrize(
    ("present", "wanted", "want"),
    [
        pytest.param({"a": 1, "b": 2}, {"a": 1}, True, id="more is fine"),
        pytest.param({"a": 1}, {"a": 2}, False, id="another value"),
        pytest.param({}, {"a": None}, False, id="missing is not null"),
        pytest.param({"l": [{"x": 1, "y": 2}]}, {"l": [{"x": 1}]}, True, id="defaults in a list's items"),
        pytest.param({"l": [1, 2]}, {"l": [1]}, False, id="a longer list is another list"),
        pytest.param({"l": [2, 1]}, {"l": [1, 2]}, False, id="order counts"),
        pytest.param(
            {"ownerReferences": [{"uid": "2", "name": "theirs"}, {"uid": "1", "name": "ours", "controller": False}]},
            {"ownerReferences": [{"uid": "1", "name": "ours"}]},
            True,
            id="another's owner beside ours",
        ),
        pytest.param(
            {"ownerReferences": [{"uid": "2", "name": "rain"}]},
            {"ownerReferences": [{"uid": "1", "name": "rain"}]},
            False,
            id="a namesake for an owner",
        ),
        pytest.param({}, {"ownerReferences": [{"uid": "1", "name": "rain"}]}, False, id="no owner"),
        pytest.param({"name": "A"}, {"name": "A", "value": ""}, True, id="an empty text is left out"),
        pytest.param(
            {"name": "A", "value": "x"}, {"name": "A", "value": ""}, False, id="an empty text that was filled"
        ),
        pytest.param({}, {"args": []}, True, id="an empty list is left out"),
        pytest.param({"hostPath": {}}, {"emptyDir": {}}, False, id="an empty map says something"),
        pytest.param({"limits": {"cpu": "2"}}, {"limits": {"cpu": "2000m"}}, True, id="thousandths"),
        pytest.param({"limits": {"memory": "1Gi"}}, {"limits": {"memory": "1024Mi"}}, True, id="a larger unit"),
        pytest.param({"limits": {"cpu": "500m"}}, {"limits": {"cpu": "0.5"}}, True, id="a fraction"),
        pytest.param({"sizeLimit": "1k"}, {"sizeLimit": "1e3"}, True, id="an exponent"),
        pytest.param({"limits": {"memory": "1G"}}, {"limits": {"memory": "1Gi"}}, False, id="another amount"),
        pytest.param({"limits": {"cpu": "2"}}, {"limits": {"cpu": "two"}}, False, id="no amount"),
        pytest.param({"value": "2"}, {"value": "2.0"}, False, id="a text is not an amount"),
    ],
)
def test_covers(present: Manifest, wanted: Manifest, want: bool) -> None:
    assert covers(present, wanted) is want


@pytest.mark.parametrize("quantity", ["1.2.3", ".", "", "1e99999999999999999999", "١", "1" * 5000, "1Qi", None, {}, []])
def test_what_is_no_quantity_is_none(quantity: Any) -> None:
    """Also what looks like a number: never an exception of the decimal type."""
    assert not covers({"cpu": quantity}, {"cpu": "1000m"})


def test_quantities_are_compared_by_what_they_are_worth() -> None:
    for one, other in (("1", "1000m"), ("1.", "1"), (".5", "500m"), ("1e3", "1k"), ("1Ki", "1024")):
        assert covers({"resources": {"limits": {"cpu": one}}}, {"resources": {"limits": {"cpu": other}}})


async def test_what_is_taken_is_tried_again_up_to_the_end_of_the_calendar(
    cluster: NotedCluster, clock: VirtualClock, reconcile: Any
) -> None:
    """A clock that is so wrong ends in no exception."""
    clock.advance(datetime(9999, 12, 31, 23, 59, 30, tzinfo=UTC))
    cluster.by_user(a_dataset())
    cluster.create_as("test", a_child("Job", "ingest"))
    for _ in range(2):
        await reconcile(lambda _: a_plan(cluster))
    assert cluster.condition("Dataset", "rain", "Ready") is not None
