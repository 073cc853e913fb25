"""What a version says of itself, to the word, from what its Deployments and pods show; and what is read of those."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mlops.api import labels, tasks
from mlops.api.base import format_time
from mlops.api.model_version import ModelVersion
from mlops.planning.plan import Manifest
from mlops.planning.serving import rollout
from mlops.planning.serving.candidates import candidates
from mlops.planning.serving.planner import plan
from mlops.planning.views import ModelView, PodEnd, ServerPod
from tests.planning.builders import NOW, SETTINGS, a_condition, a_live_version, a_version, digest, failed

TWO = {"promotion": {"stages": [{"name": "dev"}, {"name": "production", "replicas": 2}]}}
UP = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}
SEEN = [a_condition("Ready", "Unknown", "Pending")]
BEFORE = NOW - timedelta(hours=2)


def a_deployment(
    number: int, stage: str = "production", status: Manifest | None = None, *, replicas: int = 2, **notes: str
) -> Manifest:
    """Return the Deployment of a version in a stage; all of its pods are ready unless `status` says else."""
    template = {
        "metadata": {
            "labels": {labels.MODEL_VERSION: f"rain-v{number}"},
            "annotations": {labels.ARTIFACT: digest(str(number))},
        }
    }
    annotations = {labels.GENERATION: "1", labels.SINCE: format_time(BEFORE), **notes}
    own = {labels.MODEL: "rain", labels.MANAGED_BY: labels.MANAGER}
    up = {"observedGeneration": 1, "replicas": replicas, "updatedReplicas": replicas, "readyReplicas": replicas}
    return {
        "kind": "Deployment",
        "metadata": {
            "name": f"rain-{stage}",
            "namespace": "team",
            "uid": stage,
            "generation": 1,
            "annotations": annotations,
            "labels": own,
        },
        "spec": {"replicas": replicas, "template": template},
        "status": up if status is None else status,
    }


def a_pod(number: int, stage: str = "production", **changes: Any) -> ServerPod:
    return replace(ServerPod("p", stage, f"rain-v{number}", str(number) * 16), **changes)


def a_view(*versions: ModelVersion, deployments: tuple[Manifest, ...] = (), **changes: Any) -> ModelView:
    there = {each["metadata"]["name"]: each for each in deployments}
    present = frozenset(each.metadata.uid for each in versions)
    return ModelView(NOW, SETTINGS, "team", "rain", versions, deployments=there, present=present, **changes)


def of_two_stages(number: int, *stages: str, **status: Any) -> ModelVersion:
    known = {"stages": list(stages), "passedStages": list(stages), **status}
    if not stages:
        known |= {"stage": None}
    return a_live_version(number, spec=TWO, status=known)


def said(view: ModelView, number: int = 1) -> dict[str, tuple[str, str, str]]:
    """Return what a version says: status, reason and message of each condition."""
    statuses = {key.name: status for key, status in plan(view).statuses.items()}
    return {each.type: (each.status, each.reason, each.message) for each in statuses[f"rain-v{number}"].conditions}


DEV, PRODUCTION = a_deployment(1, "dev", replicas=1), a_deployment(1)
NONE_READY = {**UP, "readyReplicas": 0}
QUOTA = {"type": "ReplicaFailure", "status": "True", "message": 'pods "rain-x1" is forbidden: quota'}


def test_a_version_that_serves_says_where() -> None:
    """In all of its stages."""
    told = said(a_view(of_two_stages(1, "dev", "production"), deployments=(DEV, PRODUCTION)))
    assert told["Ready"] == told["Available"] == ("True", "Serving", "live in dev, production")
    assert set(told) == {"Ready", "ArtifactVerified", "GatesPassed", "Available"}
    assert told["ArtifactVerified"] == ("True", "Verified", "64 recorded answers reproduced")


@pytest.mark.parametrize(
    ("status", "ready"),
    [
        pytest.param(NONE_READY, 0, id="none"),
        pytest.param({**UP, "readyReplicas": 1}, 1, id="one"),
        pytest.param({**UP, "updatedReplicas": 1}, 1, id="one of the new and one of before"),
        pytest.param({**UP, "replicas": 3, "readyReplicas": 1}, 0, id="it may be that of before"),
        pytest.param({**UP, "replicas": 3, "readyReplicas": 3}, 2, id="more than are wanted"),
        pytest.param({"observedGeneration": 1, "updatedReplicas": 1, "readyReplicas": 1}, 1, id="no count of all"),
        pytest.param({"observedGeneration": 1, "replicas": 2, "readyReplicas": 2}, 0, id="no count of the new"),
        pytest.param({"observedGeneration": 1}, 0, id="no count"),
        pytest.param({**UP, "observedGeneration": 0}, 0, id="of the template before"),
        pytest.param({}, 0, id="nothing"),
    ],
)
def test_ready_are_as_many_pods_as_are_surely_of_the_present_template(status: Manifest, ready: int) -> None:
    """A Deployment counts those of any."""
    assert rollout.ready_pods(a_deployment(1, status=status)) == ready
    told = said(a_view(of_two_stages(1, "dev"), deployments=(DEV, a_deployment(1, status=status, replicas=3))))
    assert told["Ready"] == ("Unknown", "Progressing", f"production: {ready} of 2 pods ready")


def test_a_version_that_comes_up_in_its_first_stage_serves_nowhere_yet() -> None:
    """Available is as open as Ready."""
    told = said(a_view(of_two_stages(1)))
    assert told["Ready"] == ("Unknown", "Progressing", "dev: 0 of 1 pods ready")
    assert told["Available"] == ("Unknown", "Progressing", "dev: 0 of 1 pods ready")


def test_a_version_that_waits_behind_a_newer_one_says_so() -> None:
    """That one is rolled out first, where this one had been."""
    newer = of_two_stages(2)
    view = a_view(of_two_stages(1), newer, deployments=(a_deployment(2, "dev", NONE_READY, replicas=1),))
    assert said(view)["Ready"] == ("Unknown", "Progressing", "version 2 is rolled out first")


def test_a_version_that_another_took_over_from_says_from_where() -> None:
    """Its pods answer in the stage before."""
    old, new = of_two_stages(1, "dev", "production"), of_two_stages(2, "dev", "production")
    view = a_view(old, new, deployments=(a_deployment(2, "dev", replicas=1), a_deployment(2)))
    told = said(view)
    assert told["Ready"] == told["Superseded"] == ("True", "Superseded", "version 2 took over")
    assert told["Available"] == ("False", "Superseded", "version 2 took over")
    kept = a_condition("Superseded", "True", "Superseded", "version 7 took over")
    told = said(replace(view, versions=(old.evolve(status=of_two_stages(1, conditions=[kept]).status), new)))
    assert told["Superseded"] == ("True", "Superseded", "version 7 took over")


PULLS = {"waits": "ErrImagePull", "image": "serve:2"}
CANNOT_PULL = "pod p: cannot pull its image serve:2"
REFUSES = {"end": PodEnd(2, "Error", tasks.write_report(tasks.FailureReport(reason="GoldenFailed", message="no")))}


def of_production(status: Manifest, *pods: ServerPod, live: bool = True) -> dict[str, tuple[str, str, str]]:
    """Return what a version says that is live in dev, and in production unless it never was, where it is in trouble."""
    stages = ("dev", "production") if live else ("dev",)
    version = of_two_stages(1, *stages, conditions=SEEN)
    return said(a_view(version, deployments=(DEV, a_deployment(1, status=status)), pods=pods))


@pytest.mark.parametrize(
    ("pods", "live", "want"),
    [
        pytest.param((PULLS,), False, ("ImagePull", f"production: {CANNOT_PULL}"), id="it cannot come up"),
        pytest.param((PULLS,), True, ("ImagePull", f"production: {CANNOT_PULL}"), id="none answers any more"),
        pytest.param(
            (PULLS, {"ready": True}),
            True,
            ("ImagePull", f"production: {CANNOT_PULL}; its other pods answer"),
            id="others answer",
        ),
    ],
)
def test_trouble_of_the_cluster_is_told_with_its_stage(
    pods: tuple[dict[str, Any], ...], live: bool, want: tuple[str, str]
) -> None:
    """It is being worked on; Available is whether a pod answers where it is live."""
    reason, message = want
    told = of_production(NONE_READY, *(a_pod(1, **each) for each in pods), live=live)
    assert told["Ready"] == ("False", reason, message)
    assert told["Reconciling"] == ("True", reason, message)
    answers = any(each.get("ready") for each in pods)
    if live and answers:
        assert told["Available"] == ("True", "Serving", "live in dev, production")
    elif live:
        assert told["Available"] == ("False", reason, message)
    else:
        assert told["Available"][:2] == ("True", "Serving"), "in dev it answers"


def test_a_model_that_its_own_pods_refuse_stalls_where_it_has_served() -> None:
    """The pods that answer stay, and somebody has to know."""
    told = of_production(NONE_READY, a_pod(1, ready=True), a_pod(1, **REFUSES))
    message = "production: pod p: no; its other pods answer"
    assert told["Ready"] == ("False", "GoldenFailed", message)
    assert told["Stalled"] == ("True", "GoldenFailed", message)
    assert told["Available"] == ("True", "Serving", "live in dev, production")


def test_a_model_that_none_of_its_pods_takes_has_failed() -> None:
    """With the way to have it tried again, and who serves there if somebody does."""
    way = "See its pods' logs; any edit of spec.promotion or spec.capture tries again, or make a new version"
    told = of_production(NONE_READY, a_pod(1, **REFUSES), live=False)
    assert told["Ready"] == ("False", "GoldenFailed", f"production: pod p: no. {way}")
    assert told["Stalled"] == ("True", "GoldenFailed", f"production: pod p: no. {way}")
    newer, older = of_two_stages(2, "dev", conditions=SEEN), of_two_stages(1, "dev", "production")
    deployments = (a_deployment(2, "dev", replicas=1), a_deployment(2, status=NONE_READY))
    told = said(a_view(older, newer, deployments=deployments, pods=(a_pod(2, **REFUSES),)), 2)
    assert told["Ready"] == ("False", "GoldenFailed", f"production: pod p: no; version 1 serves there. {way}")


def test_a_pod_that_cannot_be_made_is_told_in_the_same_words_each_time() -> None:
    """The name of a refused pod differs with every attempt."""
    told = of_production({**NONE_READY, "conditions": [QUOTA]})
    assert told["Ready"] == ("False", "ChildRefused", "production: a pod cannot be made: pods is forbidden: quota")
    for silent in ({**QUOTA, "status": "False"}, {**QUOTA, "type": "Progressing"}):
        told = of_production({**NONE_READY, "conditions": [silent]})
        assert told["Ready"] == ("Unknown", "Progressing", "production: 0 of 2 pods ready")
    told = of_production({**NONE_READY, "conditions": [{**QUOTA, "message": None}]})
    assert told["Ready"][2] == "production: a pod cannot be made: no details"


def test_pods_that_are_left_of_a_version_are_its_matter_while_another_is_rolled_out() -> None:
    """In the stage where it is still what is live: whether any pod answers there."""
    old, new = of_two_stages(1, "dev", "production"), of_two_stages(2, "dev")
    deployments = (a_deployment(2, "dev", replicas=1), a_deployment(2, status=NONE_READY))
    view = a_view(old, new, deployments=deployments)
    answered = said(replace(view, pods=(a_pod(1, ready=True),)))
    assert answered["Available"] == ("True", "Serving", "live in production")
    silent = said(replace(view, pods=(a_pod(1, **PULLS),)))
    assert silent["Ready"] == ("False", "ImagePull", f"production: {CANNOT_PULL}")
    assert silent["Available"] == ("False", "ImagePull", "production: no pod answers")
    refused = a_deployment(2, status={**NONE_READY, "conditions": [QUOTA]})
    quota = said(replace(view, deployments={**view.deployments, "rain-production": refused}))
    assert quota["Ready"] == ("False", "ChildRefused", "production: a pod cannot be made: pods is forbidden: quota")
    assert quota["Available"] == ("False", "ChildRefused", "production: no pod answers")


def test_what_a_pod_said_before_the_version_was_wanted_there_is_an_earlier_attempt() -> None:
    """At that second it counts."""
    version = of_two_stages(1, "dev", conditions=SEEN)
    for at, reason in ((BEFORE - timedelta(seconds=1), "Progressing"), (BEFORE, "GoldenFailed")):
        pod = a_pod(1, end=replace(REFUSES["end"], at=at))
        view = a_view(version, deployments=(DEV, a_deployment(1, status=NONE_READY)), pods=(pod,))
        assert said(view)["Ready"][1] == reason


def test_what_serves_is_owned_by_the_newest_and_by_those_that_are_live_or_wanted() -> None:
    """Not by all of thousands; of equal numbers the last by name comes first."""

    def owners(*versions: ModelVersion) -> list[str]:
        deployment = next(each for each in plan(a_view(*versions)).apply if each["kind"] == "Deployment")
        return [each["name"] for each in deployment["metadata"]["ownerReferences"]]

    def settled(number: int, **changes: Any) -> ModelVersion:
        return a_live_version(number, status={"stages": [], "stage": None}, **changes)

    withdrawn = {"spec": {"withdrawn": True}}
    assert owners(settled(1), *(settled(number, **withdrawn) for number in (2, 3, 4, 5))) == [
        "rain-v1",
        "rain-v3",
        "rain-v4",
        "rain-v5",
    ], "the one that is wanted"
    assert owners(a_live_version(1), *(settled(number) for number in (2, 3, 4, 5))) == [
        "rain-v1",
        "rain-v3",
        "rain-v4",
        "rain-v5",
    ], "the one that is live"
    assert owners(*(settled(number) for number in (1, 2, 3, 4, 5))) == ["rain-v3", "rain-v4", "rain-v5"]


def test_what_serves_no_more_goes_and_what_is_not_ours_stays() -> None:
    """By name; the Service keeps its address as long as a version names the stage."""
    gone = a_live_version(1, spec={"withdrawn": True})
    ours = a_deployment(1, "production")
    foreign = {
        name: {**ours, "metadata": {**ours["metadata"], "name": name, "labels": own}}
        for name, own in (
            ("rain-a", {labels.MODEL: "sun", labels.MANAGED_BY: labels.MANAGER}),
            ("rain-b", {labels.MODEL: "rain", labels.MANAGED_BY: "Helm"}),
            ("rain-c", {}),
        )
    }
    services = {
        name: {**ours, "kind": "Service", "metadata": {**ours["metadata"], "name": name}}
        for name in ("rain-production", "rain-old")
    }
    view = a_view(gone, deployments=(ours,), services=services)
    found = plan(replace(view, deployments={**view.deployments, **foreign}))
    assert [(key.kind, key.name) for key, _ in found.delete] == [
        ("Deployment", "rain-production"),
        ("Service", "rain-old"),
    ]


@pytest.mark.parametrize(
    ("final", "want"),
    [
        pytest.param(True, ("False", "GoldenFailed", "told GoldenFailed"), id="for good"),
        pytest.param(False, ("Unknown", "StoreUnavailable", "told StoreUnavailable; attempt 2 follows"), id="for now"),
    ],
)
def test_a_model_that_is_not_verified_says_why(final: bool, want: tuple[str, str, str]) -> None:
    """In ArtifactVerified and in Ready."""
    version = a_version(1, status={"conditions": SEEN})
    [job] = plan(a_view(version)).create
    how = {"reason": "GoldenFailed"} if final else {"reason": "StoreUnavailable", "exit_code": 1}
    told = said(a_view(version, jobs=(failed(job, **how),)))
    assert told["ArtifactVerified"] == want
    assert told["Ready"] == ("False", *want[1:])
    assert ("Stalled" in told, "Reconciling" in told) == (final, not final)


def test_a_deployment_is_of_a_version_if_its_pods_are_and_it_was_made_for_its_spec() -> None:
    """Of its name, its artifact, its generation; all are wanted to be there and ready."""
    version = a_live_version(1, spec=TWO)
    view = a_view(version, deployments=(PRODUCTION,))
    [candidate] = candidates(view, [version])
    assert rollout.serves(view, candidate, "production")
    other = a_deployment(1)
    other["spec"]["template"]["metadata"]["annotations"] = {labels.ARTIFACT: digest("9")}
    for present in (
        a_deployment(2),
        other,
        a_deployment(1, **{labels.GENERATION: "2"}),
        a_deployment(1, status={**UP, "readyReplicas": 1}),
        a_deployment(1, status={**UP, "updatedReplicas": 1}),
        a_deployment(1, status={**UP, "replicas": 3}),
        a_deployment(1, status={**UP, "observedGeneration": 0}),
    ):
        assert not rollout.serves(a_view(version, deployments=(present,)), candidate, "production")
    assert not rollout.serves(view, candidate, "dev"), "there is none"


@pytest.mark.parametrize(
    ("ingress", "url"),
    [
        pytest.param(None, "http://rain-production.team.svc", id="none"),
        pytest.param([], "http://rain-production.team.svc", id="an empty one"),
        pytest.param([{"ip": "10.0.0.1"}], "http://10.0.0.1", id="an address"),
        pytest.param([{"hostname": "x.example"}], "http://x.example", id="a name"),
        pytest.param([{"ip": "10.0.0.1", "ports": [{"port": 81}]}], "http://10.0.0.1:81", id="another port"),
        pytest.param([{"ip": "10.0.0.1", "ports": [{"port": 80}]}], "http://10.0.0.1", id="the usual port"),
    ],
)
def test_a_stage_answers_where_its_service_says(ingress: Any, url: str) -> None:
    """Else under its name in the cluster."""
    status = {"loadBalancer": {"ingress": ingress}} if ingress is not None else {}
    services = {"rain-production": {"kind": "Service", "metadata": {"name": "rain-production"}, "status": status}}
    view = a_view(of_two_stages(1, "dev", "production"), deployments=(DEV, PRODUCTION), services=services)
    [found] = plan(view).statuses.values()
    assert found.dump()["url"] == url


def test_a_version_that_a_newer_one_took_over_from_in_its_last_stage_serves_where_it_is() -> None:
    """The newer one has not all of its stages; here it stays."""
    only = {"promotion": {"stages": [{"name": "production", "replicas": 2}]}}
    newer = a_live_version(2, spec=only)
    view = a_view(of_two_stages(1, "dev", "production"), newer, deployments=(DEV, a_deployment(2)))
    assert said(view)["Ready"] == ("True", "Serving", "live in dev; version 2 took over in production")


def test_of_several_versions_that_were_live_the_newest_is_still() -> None:
    """While the pods of a newer one come up, whatever the order of the versions."""
    old, newer, newest = (of_two_stages(number, "dev", "production") for number in (1, 2, 3))
    newest = of_two_stages(3, "dev")
    deployments = (a_deployment(3, "dev", replicas=1), a_deployment(3, status=NONE_READY))
    for versions in ((old, newer, newest), (newest, newer, old), (newer, old, newest)):
        statuses = {
            key.name: status for key, status in plan(a_view(*versions, deployments=deployments)).statuses.items()
        }
        assert [statuses[f"rain-v{number}"].stages for number in (1, 2, 3)] == [(), ("production",), ("dev",)]
