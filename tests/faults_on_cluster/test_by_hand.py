"""What people do to objects with kubectl: delete, edit, strip and make again what is the operator's.

The faults run side by side, each in a namespace of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any

import pytest

from tests.e2e_cluster.kubectl import OUR_KINDS, eventually
from tests.faults_on_cluster import example
from tests.faults_on_cluster.conftest import Cluster
from tests.faults_on_cluster.example import DATASET, LOOP, RUN
from tests.faults_on_cluster.place import CHILDREN, OURS, Place
from tests.faults_on_cluster.together import Fault, side_by_side

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.timeout(1200),
    pytest.mark.xdist_group("cluster"),
]

REPAIRED_SECONDS = 10.0
GONE_SECONDS = 60.0
CONVERGED = {"deployment": "parts-production", "service": "parts-production", "cronjob": "parts-check"}


def children_deleted(there: Place) -> str:
    """F29: Deployment, Service and CronJob come back, as other objects; what is done is not done again."""
    example.deploy(there)
    before = example.outcome(there)
    took = []
    for kind, name in CONVERGED.items():
        uid = there.get(kind, name)["metadata"]["uid"]
        there("delete", kind, name, "--wait=false")
        took.append(_until_another(there, kind, name, uid))
    assert max(took) <= REPAIRED_SECONDS, took
    there("delete", "jobs", "--all", "--wait=true")
    example.ready(there)
    there.pod("mlops.dev/stage=production")
    assert there.jobs() == []
    assert example.outcome(there) == before
    return f"made again after {max(took):.1f} s; no finished Job was"


def _until_another(there: Place, kind: str, name: str, uid: str) -> float:
    """The seconds until there is an object of that name with another uid."""

    def other() -> bool:
        found = there.find(kind, name)
        return found is not None and found["metadata"]["uid"] != uid

    return there.takes(f"another {kind} {name}", other, 60)


def running_jobs_deleted(there: Place) -> str:
    """F29: each Job is deleted while its pod is at work; another one does the work, and one only."""
    there.apply(LOOP.replace(RUN, example.slow_run(5)))
    took = []
    for label in ("dataset=parts", "run=parts", "model-version=parts-v1"):
        pod = eventually(f"a pod of {label}", lambda label=label: _pods_of_jobs(there, label), 240, every=0.2)[0]
        job = next(ref["name"] for ref in pod["metadata"]["ownerReferences"] if ref["kind"] == "Job")
        uid = there.get("job", job)["metadata"]["uid"]
        there("delete", "job", job, "--wait=false")
        took.append(_until_another(there, "job", job, uid))
    example.ready(there)
    assert max(took) <= REPAIRED_SECONDS, took
    assert sum(example.jobs(there).values()) == 3
    return f"made again after {max(took):.1f} s"


def _pods_of_jobs(there: Place, label: str) -> list[dict[str, Any]]:
    pods = there.list("pods", f"mlops.dev/{label},batch.kubernetes.io/job-name")
    return [pod for pod in pods if pod["status"].get("phase") in ("Pending", "Running")]


EDITS: Mapping[str, tuple[str, str, str, dict[str, Any] | list[dict[str, Any]]]] = {
    "replicas": ("deployment", "parts-production", "merge", {"spec": {"replicas": 3}}),
    "image": (
        "deployment",
        "parts-production",
        "json",
        [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "example.com/other:1"}],
    ),
    "a second container": (
        "deployment",
        "parts-production",
        "strategic",
        {"spec": {"template": {"spec": {"containers": [{"name": "spy", "image": "example.com/spy:1"}]}}}},
    ),
    "a variable": (
        "deployment",
        "parts-production",
        "strategic",
        {"spec": {"template": {"spec": {"containers": [{"name": "server", "env": [{"name": "X", "value": "1"}]}]}}}},
    ),
    "the selector of the Service": (
        "service",
        "parts-production",
        "merge",
        {"spec": {"selector": {"mlops.dev/stage": "staging"}}},
    ),
    "the schedule": ("cronjob", "parts-check", "merge", {"spec": {"schedule": "* * * * *"}}),
    "suspend": ("cronjob", "parts-check", "merge", {"spec": {"suspend": True}}),
    "owners of the Deployment": ("deployment", "parts-production", "merge", {"metadata": {"ownerReferences": None}}),
    "owners of the Service": ("service", "parts-production", "merge", {"metadata": {"ownerReferences": None}}),
    "owners of the CronJob": ("cronjob", "parts-check", "merge", {"metadata": {"ownerReferences": None}}),
}


def children_edited(there: Place) -> str:
    """F30, F31: whatever is edited, or stripped of its owners, is as it was within ten seconds."""
    example.deploy(there)
    before = example.outcome(there)
    assert all(each["finalizers"] == [] for each in before.values() if "finalizers" in each), "nothing to strip"
    took = {}
    for what, (kind, name, how, change) in EDITS.items():
        there.patch(kind, name, json.dumps(change), how)
        took[what] = there.takes(what, lambda: example.outcome(there) == before, 60)
        assert took[what] <= REPAIRED_SECONDS, took
    example.ready(there)
    assert there.list("pods", "mlops.dev/stage=production")
    return f"corrected after {max(took.values()):.1f} s at most, of {len(took)} edits"


def owners_of_jobs_stripped(there: Place) -> str:
    """F31: a Job that has lost its owner goes on and counts; it is nobody's afterwards, and is told by its labels."""
    there.apply(LOOP.replace(RUN, example.slow_run(5)))
    for label in ("dataset=parts", "run=parts", "model-version=parts-v1"):
        (job,) = eventually(f"the Job of {label}", lambda label=label: _jobs_of(there, label), 240, every=0.2)
        there.patch("job", job["metadata"]["name"], {"metadata": {"ownerReferences": None}})
    example.ready(there)
    assert sum(example.jobs(there).values()) == 3
    return "each ended once"


def _jobs_of(there: Place, label: str) -> list[dict[str, Any]]:
    name, _, value = label.partition("=")
    return there.jobs(**{name: value})


def deleted_while_its_job_is_made(there: Place) -> str:
    """F33: no Job is left of a Dataset that goes at any time of its first second."""
    for number in range(12):
        name = f"brief-{number}"
        there.apply(DATASET.replace("name: parts", f"name: {name}"))
        there("delete", "dataset", name, "--wait=false")
    took = there.takes("nothing is left", lambda: not there.list(CHILDREN, OURS), GONE_SECONDS)
    assert there.list(OUR_KINDS) == []
    return f"nothing left after {took:.1f} s, of 12"


def made_again_at_once(there: Place) -> str:
    """F34: the new objects get Jobs of their own, and nothing of the old ones is taken over or left."""
    example.deploy(there)
    before = example.outcome(there)
    old = {job["metadata"]["uid"] for job in there.jobs()}
    there("delete", OUR_KINDS, "--all", "--wait=false")
    there.apply(LOOP)
    example.ready(there)
    assert example.outcome(there) == before
    new = there.jobs()
    assert not old & {job["metadata"]["uid"] for job in new}
    assert len(new) == 3
    return "Jobs, Deployment, Service and CronJob are new"


def made_again_while_at_work(there: Place) -> str:
    """F34: the same while the Jobs of the old ones are at work."""
    there.apply(LOOP.replace(RUN, example.slow_run(3)))
    old: set[str] = set()
    for label in ("dataset=parts", "run=parts"):
        pods = eventually(f"a pod of {label}", lambda label=label: _pods_of_jobs(there, label), 240, every=0.2)
        old |= {pod["metadata"]["uid"] for pod in pods}
        there("delete", OUR_KINDS, "--all", "--wait=false")
        there.apply(LOOP.replace(RUN, example.slow_run(3)))
    example.ready(there)
    left = there.takes("the old pods are gone", lambda: not old & _uids(there, "pods"), GONE_SECONDS)
    assert len(there.jobs()) == 3
    return f"the old pods went after {left:.0f} s"


def _uids(there: Place, kind: str) -> set[str]:
    return {each["metadata"]["uid"] for each in there.list(kind, OURS)}


def _names(there: Place) -> set[str]:
    children = there.list("jobs,deployments,services,cronjobs", OURS)
    return {f"{each['kind']} {each['metadata']['name']} {each['metadata']['uid']}" for each in children}


def orphaned(there: Place) -> str:
    """F35: children of what is deleted with --cascade=orphan stay; an object of that name looks for itself."""
    example.deploy(there)
    before = example.outcome(there)
    kept = _names(there)
    # The monitor first: it would suspend its CronJob for want of a version, when it goes itself.
    for kind in ("driftmonitors", "modelversions", "trainingruns", "datasets"):
        there("delete", f"{kind}.mlops.dev", "--all", "--cascade=orphan", "--wait=true", timeout=60)
    assert there.list(OUR_KINDS) == []
    assert _names(there) == kept
    there.apply(LOOP)
    example.ready(there)
    assert example.outcome(there) == before
    own = [job for job in there.jobs() if job["metadata"].get("ownerReferences")]
    assert len(own) == 3, "each looked, trained and verified for itself"
    return f"{len(kept)} children stayed, and Deployment, Service and CronJob have owners again"


def deleted_in_the_foreground(there: Place) -> str:
    """F35: --cascade=foreground goes with all children, also while a Job is at work."""
    example.deploy(there)
    there.apply(example.slow_run(300).replace("name: parts}\nspec", "name: slow}\nspec"))
    there.pod("mlops.dev/run=slow")
    took = there.takes("deleted", lambda: there("delete", OUR_KINDS, "--all", "--cascade=foreground", timeout=90), 90)
    left = there.takes("nothing is left", lambda: not there.list(CHILDREN, OURS), GONE_SECONDS)
    return f"gone after {took + left:.0f} s"


def namespace_deleted(there: Place) -> str:
    """F32: a namespace with live objects and Jobs at work goes."""
    return _namespace_goes(there)


def namespace_deleted_without_the_store(there: Place) -> str:
    """F32: the same while the store is away."""
    return _namespace_goes(there, there.door.shut)


def _namespace_goes(there: Place, before: Callable[[], None] = lambda: None) -> str:
    example.deploy(there)
    there.apply(example.slow_run(300).replace("name: parts}\nspec", "name: slow}\nspec"))
    there.apply(DATASET.replace("name: parts", "name: more"))
    there.pod("mlops.dev/run=slow")
    before()
    there.kubectl("delete", "namespace", there.name, "--wait=false")

    def gone() -> bool:
        return there.kubectl.run("get", "namespace", there.name).returncode != 0

    took = there.takes("the namespace is gone", gone, GONE_SECONDS)
    return f"gone after {took:.0f} s"


FAULTS: dict[str, Fault] = {
    "F29 children deleted": children_deleted,
    "F29 running Jobs deleted": running_jobs_deleted,
    "F30 F31 children edited": children_edited,
    "F31 owners of Jobs stripped": owners_of_jobs_stripped,
    "F32 namespace deleted": namespace_deleted,
    "F32 namespace deleted without the store": namespace_deleted_without_the_store,
    "F33 deleted while its Job is made": deleted_while_its_job_is_made,
    "F34 made again at once": made_again_at_once,
    "F34 made again while at work": made_again_while_at_work,
    "F35 orphaned": orphaned,
    "F35 deleted in the foreground": deleted_in_the_foreground,
}


@pytest.fixture(scope="module")
def outcomes(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Mapping[str, Future[str]]]:
    with side_by_side(cluster, FAULTS, request) as started:
        yield started


@pytest.mark.parametrize("fault", [pytest.param(name, id=name) for name in FAULTS])
def test_it_ends_as_if_nothing_had_happened(outcomes: Mapping[str, Future[str]], fault: str) -> None:
    """What was deleted is made again, what was edited is put right, and what should be gone is gone."""
    print(f"{fault}: {outcomes[fault].result()}")


def test_nothing_of_it_surprised_the_operator(cluster: Cluster) -> None:
    """No traceback in a log, one restart at most."""
    assert cluster.surprises() == []
