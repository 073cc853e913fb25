"""What is done to a cluster, real or simulated, and until when it is watched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from mlops.planning import pods
from mlops.planning.plan import Manifest
from tests.simulation.controllers.cron_jobs import SCHEDULED
from tests.simulation.fidelity.deeds import NAMESPACE, SCENARIO, a_container, a_pod
from tests.simulation.fidelity.views import is_running, view


class Site(Protocol):
    """Where a scenario is played."""

    def create(self, manifest: Manifest) -> Manifest:
        """Make an object and return it."""

    def delete(self, manifest: Manifest, *, policy: str | None = None, grace: int | None = None) -> None:
        """Delete an object."""

    def change(self, manifest: Manifest, changes: Manifest) -> None:
        """Merge changes into an object."""

    def evict(self, pod: Manifest) -> None:
        """Evict a pod."""


@dataclass(frozen=True)
class Seen:
    """The objects of one scenario as they are, oldest first."""

    objects: Sequence[Manifest]

    def of(self, kind: str) -> list[Manifest]:
        return [each for each in self.objects if each["kind"] == kind]

    def one(self, kind: str) -> Manifest:
        return self.of(kind)[0]

    def shows(self, kind: str, words: str) -> bool:
        return any(words in view(each) for each in self.of(kind))


When = Callable[[Seen], bool]
Do = Callable[[Site, Seen], None]


@dataclass(frozen=True)
class Scenario:
    """One story: what is made, what is done when something is to be seen, and when it is over."""

    name: str
    start: Callable[[Site], None]
    over: When
    steps: tuple[tuple[When, Do], ...] = ()
    # It takes minutes on a real cluster.
    long: bool = False


@dataclass
class Play:
    """A scenario that is being played."""

    scenario: Scenario
    site: Site
    steps: list[tuple[When, Do]] = field(default_factory=list)
    finished: bool = False

    def begin(self) -> None:
        self.steps = list(self.scenario.steps)
        self.scenario.start(self.site)

    def go_on(self, seen: Seen) -> None:
        """Do what is due."""
        if self.steps and self.steps[0][0](seen):
            self.steps.pop(0)[1](self.site, seen)
        elif not self.steps:
            self.finished = self.finished or self.scenario.over(seen)


# --- manifests ---


def _metadata(name: str, owners: Sequence[Manifest] = (), *, scenario: str = "") -> Manifest:
    references = [
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            "blockOwnerDeletion": True,
        }
        for owner in owners
    ]
    more = {"ownerReferences": references} if references else {}
    return {"name": name, "namespace": NAMESPACE, "labels": {SCENARIO: scenario or name}, **more}


def _template(name: str, template: Manifest) -> Manifest:
    return {**template, "metadata": {"labels": {SCENARIO: name}}}


def a_job(
    name: str,
    *,
    owners: Sequence[Manifest] = (),
    init: Manifest | None = None,
    backoff: int = 1,
    deadline: int = 300,
    **deed: Any,
) -> Manifest:
    """Return a Job with the policies of the operator's own."""
    template = _template(name, a_pod(a_container(**deed), init=init))
    spec = pods.job_spec(template, backoff_limit=backoff, active_deadline_seconds=deadline)
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": _metadata(name, owners), "spec": spec}


def a_cron_job(name: str, *, history: int = 3, **deed: Any) -> Manifest:
    """Return a CronJob of every minute."""
    job = a_job(name, **deed)
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": _metadata(name),
        "spec": {
            "schedule": "* * * * *",
            "timeZone": "UTC",
            "concurrencyPolicy": "Forbid",
            "suspend": False,
            "successfulJobsHistoryLimit": history,
            "failedJobsHistoryLimit": history,
            "jobTemplate": {"metadata": {"labels": job["metadata"]["labels"]}, "spec": job["spec"]},
        },
    }


def a_deployment(name: str, *, replicas: int = 1, deadline: int = 600, **deed: Any) -> Manifest:
    """Return a Deployment with the strategy of the operator's own."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(name),
        "spec": {
            "replicas": replicas,
            "progressDeadlineSeconds": deadline,
            "revisionHistoryLimit": 3,
            "selector": {"matchLabels": {SCENARIO: name}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": _template(name, a_pod(a_container(**deed), restart="Always")),
        },
    }


def a_service(name: str, scenario: str) -> Manifest:
    """Return a Service: something to own others."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(name, scenario=scenario),
        "spec": {"type": "ClusterIP", "selector": {"app": name}, "ports": [{"name": "http", "port": 80}]},
    }


# --- what is waited for, and done ---


def _made(*manifests: Manifest) -> Callable[[Site], None]:
    def start(site: Site) -> None:
        for manifest in manifests:
            site.create(manifest)

    return start


def _owned(name: str, *, owners: int = 1, **deed: Any) -> Callable[[Site], None]:
    def start(site: Site) -> None:
        made = [site.create(a_service(f"{name}-o{number}", name)) for number in range(owners)]
        site.create(a_job(name, owners=made, **deed))

    return start


def _shows(kind: str, words: str) -> When:
    return lambda seen: seen.shows(kind, words)


def _nothing(*kinds: str) -> When:
    return lambda seen: not any(seen.of(kind) for kind in kinds)


def _job_over(seen: Seen) -> bool:
    ended = not any(view(pod).startswith("works") for pod in seen.of("Pod"))
    return ended and any(f"{end}=True" in view(job) for job in seen.of("Job") for end in ("Complete", "Failed"))


def _third_job_begun(seen: Seen) -> bool:
    """Return whether the first Job is gone, the second kept and the third there: all were due after a minute."""
    first = datetime.fromisoformat(seen.one("CronJob")["metadata"]["creationTimestamp"]) + timedelta(minutes=1)
    due = [datetime.fromisoformat(job["metadata"]["annotations"][SCHEDULED]) for job in seen.of("Job")]
    return len(due) == 2 and min(due) > first


def _delete(kind: str, policy: str | None = None, grace: int | None = None, *, place: int = 0) -> Do:
    return lambda site, seen: site.delete(seen.of(kind)[place], policy=policy, grace=grace)


def _change(kind: str, spec: Manifest) -> Do:
    return lambda site, seen: site.change(seen.one(kind), {"spec": spec})


def _new_template(*, deadline: int = 600, **deed: Any) -> Do:
    def change(site: Site, seen: Seen) -> None:
        there = seen.one("Deployment")
        template = _template(there["metadata"]["name"], a_pod(a_container(**deed), restart="Always"))
        site.change(there, {"spec": {"template": template, "progressDeadlineSeconds": deadline}})

    return change


_READY = _shows("Deployment", ": available")


def _runs(seen: Seen) -> bool:
    return any(map(is_running, seen.of("Pod")))


def _servers(count: int) -> When:
    return lambda seen: len(seen.of("Pod")) == sum(map(is_running, seen.of("Pod"))) == count


def _settled(count: int) -> When:
    return lambda seen: _READY(seen) and _servers(count)(seen)


def _wait(_site: Site, _seen: Seen) -> None:
    """Do nothing but have waited."""


SCENARIOS = (
    Scenario("succeeds", _made(a_job("succeeds", seconds=2, message='{"report":"fetch","rows":1}')), _job_over),
    Scenario(
        "succeeds-with-init",
        _made(a_job("succeeds-with-init", init=a_container("fetch", seconds=1, message="f"), seconds=2, message="m")),
        _job_over,
    ),
    Scenario(
        "init-fails",
        _made(a_job("init-fails", init=a_container("fetch", seconds=1, code=2, message="bad"), seconds=2)),
        _job_over,
    ),
    Scenario("silent", _made(a_job("silent", seconds=1)), _job_over),
    Scenario("fails", _made(a_job("fails", seconds=1, code=1, message="no")), _job_over),
    Scenario("bad-input", _made(a_job("bad-input", seconds=1, code=2, message="bad", backoff=2)), _job_over),
    Scenario("deadline", _made(a_job("deadline", deadline=12)), _job_over),
    Scenario("out-of-memory", _made(a_job("out-of-memory", backoff=0, megabytes=300)), _job_over),
    Scenario(
        "evicted",
        _made(a_job("evicted", seconds=20, message="done", backoff=0)),
        _job_over,
        ((_runs, lambda site, seen: site.evict(seen.one("Pod"))),),
    ),
    Scenario(
        "pod-deleted",
        _made(a_job("pod-deleted", seconds=20, message="done")),
        _job_over,
        ((_runs, _delete("Pod")),),
    ),
    Scenario(
        "pod-deleted-with-force",
        _made(a_job("pod-deleted-with-force", seconds=20, message="done")),
        _job_over,
        ((_runs, _delete("Pod", grace=0)),),
    ),
    Scenario(
        "ended-pod-deleted",
        _made(a_job("ended-pod-deleted", seconds=1, message="done")),
        _nothing("Pod"),
        ((_job_over, _delete("Pod")),),
    ),
    Scenario(
        "suspended",
        _made(a_job("suspended", seconds=40, message="done")),
        _job_over,
        (
            (_runs, _change("Job", {"suspend": True})),
            (
                lambda seen: seen.shows("Job", "Suspended=True") and not seen.of("Pod"),
                _change("Job", {"suspend": False}),
            ),
        ),
    ),
    Scenario(
        "image",
        _made(a_job("image", image="registry.invalid/nowhere:1")),
        _nothing("Job", "Pod"),
        ((_shows("Pod", "ImagePull"), _delete("Job", "Background")),),
    ),
    Scenario(
        "image-until-deadline",
        _made(a_job("image-until-deadline", image="registry.invalid/nowhere:1", deadline=10)),
        _job_over,
    ),
    Scenario(
        "unschedulable",
        _made(a_job("unschedulable", memory="100Ti")),
        _nothing("Job", "Pod"),
        ((_shows("Pod", "Unschedulable"), _delete("Job", "Background")),),
    ),
    Scenario(
        "unschedulable-until-deadline",
        _made(a_job("unschedulable-until-deadline", memory="100Ti", deadline=5)),
        _job_over,
    ),
    *(
        Scenario(
            f"job-{policy.lower()}",
            _made(a_job(f"job-{policy.lower()}")),
            _nothing("Job", *(["Pod"] if policy != "Orphan" else [])),
            ((_runs, _delete("Job", policy)),),
        )
        for policy in ("Background", "Foreground", "Orphan")
    ),
    *(
        Scenario(
            f"owner-{policy.lower()}",
            _owned(f"owner-{policy.lower()}"),
            (lambda seen: not seen.of("Service") and not seen.shows("Job", "of Service"))
            if policy == "Orphan"
            else _nothing("Service", "Job", "Pod"),
            ((_runs, _delete("Service", policy)),),
        )
        for policy in ("Background", "Foreground", "Orphan")
    ),
    Scenario(
        "two-owners",
        _owned("two-owners", owners=2),
        _nothing("Service", "Job", "Pod"),
        (
            (_runs, _delete("Service", "Background")),
            (
                lambda seen: not seen.shows("Job", "two-owners-o0") and len(seen.of("Service")) == 1,
                _delete("Service", "Background"),
            ),
        ),
    ),
    Scenario("deployment", _made(a_deployment("deployment", ready=2, replicas=2)), _settled(2)),
    Scenario(
        "deployment-rolled",
        _made(a_deployment("deployment-rolled", ready=1)),
        _settled(1),
        ((_READY, _new_template(ready=2)), (lambda seen: not _READY(seen), _wait)),
    ),
    Scenario(
        "deployment-scaled",
        _made(a_deployment("deployment-scaled", ready=1)),
        _settled(1),
        (
            (_READY, _change("Deployment", {"replicas": 2})),
            (_shows("Deployment", "wants 2: available"), _change("Deployment", {"replicas": 1})),
        ),
    ),
    Scenario(
        "deployment-gives-up",
        _made(a_deployment("deployment-gives-up", ready=1)),
        _settled(1),
        (
            (_READY, _new_template(ready=900, deadline=8)),
            (_shows("Deployment", "gave up"), _new_template(ready=1)),
        ),
    ),
    Scenario(
        "deployment-never-ready",
        _made(a_deployment("deployment-never-ready", ready=900, deadline=8)),
        _settled(1),
        ((_shows("Deployment", "gave up"), _new_template(ready=1)),),
    ),
    Scenario(
        "server-deleted",
        _made(a_deployment("server-deleted", ready=1)),
        _settled(1),
        ((_settled(1), _delete("Pod")), (lambda seen: not _READY(seen), _wait)),
    ),
    *(
        Scenario(
            f"deployment-{policy.lower()}",
            _made(a_deployment(f"deployment-{policy.lower()}", ready=1)),
            _nothing("Deployment", *(["Pod"] if policy != "Orphan" else [])),
            ((_settled(1), _delete("Deployment", policy)),),
        )
        for policy in ("Background", "Foreground", "Orphan")
    ),
    Scenario(
        "cron",
        _made(a_cron_job("cron", seconds=2, message="done")),
        _job_over,
        ((lambda seen: bool(seen.of("Job")), _change("CronJob", {"suspend": True})),),
    ),
    Scenario(
        "cron-forbid",
        _made(a_cron_job("cron-forbid", history=1, seconds=70, message="done")),
        _third_job_begun,
        long=True,
    ),
)  # fmt: skip
