"""The simulated pods: what befalls them is what the planners can tell apart, and the same seed gives the same run."""

from __future__ import annotations

from random import Random

import pytest

from mlops.api import tasks
from mlops.planning.dataset.manifests import ingest_job
from mlops.planning.outcome import Failure, outcome
from mlops.planning.plan import Manifest
from mlops.planning.serving.planner import plan
from mlops.planning.views import JobView, ModelView
from tests.planning.builders import ENVIRONMENT, NOW, SETTINGS, a_dataset, a_live_version, digest
from tests.simulation.api_server.server import ApiServer
from tests.simulation.controllers.controllers import Controllers
from tests.simulation.controllers.fates import Fates
from tests.simulation.fidelity.simulated import Heap
from tests.simulation.workloads import Workloads, checked_version


class Cluster:
    """A simulated cluster whose pods do the operator's work."""

    def __init__(self, seed: int = 1, **fates: float) -> None:
        self.heap, self.fates, self.workloads = Heap(), Fates(**fates), Workloads()
        self.server = ApiServer(self.heap.now, Random(seed))
        self.controllers = Controllers(self.server, self.heap, self.heap.now, Random(seed), self.fates, self.workloads)

    def make(self, path: str, manifest: Manifest) -> None:
        metadata = {name: value for name, value in manifest["metadata"].items() if name != "ownerReferences"}
        answer = self.server.request("POST", path, body={**manifest, "metadata": metadata})
        assert answer.status == 201, answer.body

    def settle(self, hours: float = 5) -> None:
        while not self.controllers.settled:
            assert self.heap.step()
            assert self.heap.time() < hours * 3600

    def job(self) -> JobView:
        (job,) = self.server.list("Job")
        pods = [
            pod["status"] for pod in self.server.list("Pod") if pod["status"].get("phase") in ("Succeeded", "Failed")
        ]
        ends = [status["containerStatuses"][-1]["state"]["terminated"] for status in pods]
        end = ends[-1] if ends else {}
        return JobView(job, end.get("message"), end.get("exitCode"), end.get("reason"))


def an_ingest() -> Manifest:
    return ingest_job(SETTINGS, a_dataset(), as_of="2026-03-01T12:00:00Z", attempt=0, captures=False)


def a_server() -> Manifest:
    """Return the Deployment of a verified version."""
    view = ModelView(NOW, SETTINGS, "team", "rain", versions=(a_live_version(),))
    return next(each for each in plan(view).apply if each["kind"] == "Deployment")


def ingested(**fates: float) -> JobView:
    cluster = Cluster(**fates)
    cluster.make("/apis/batch/v1/namespaces/team/jobs", an_ingest())
    cluster.settle()
    return cluster.job()


def test_a_pod_that_nothing_befalls_reports() -> None:
    """All fates zero: the undisturbed run."""
    assert isinstance(outcome(ingested(), tasks.IngestReport), tasks.IngestReport)


@pytest.mark.parametrize(
    ("fate", "reasons", "final"),
    [
        pytest.param("fail", ("StoreUnavailable", "BackoffLimitExceeded"), False, id="fail"),
        pytest.param("bad_input", ("SchemaMismatch",), True, id="bad input"),
        pytest.param("hang", ("DeadlineExceeded",), False, id="hang"),
        pytest.param("out_of_memory", ("OOMKilled",), True, id="out of memory"),
        pytest.param("garbage", ("ReportMissing",), False, id="garbage"),
        pytest.param("silent", ("ReportMissing",), False, id="silent"),
    ],
)
def test_what_befalls_every_pod_is_what_the_planner_finds(fate: str, reasons: tuple[str, ...], final: bool) -> None:
    """A Job none of whose pods does its work fails in the way that belongs to it."""
    found = outcome(ingested(**{fate: 1.0}), tasks.IngestReport)
    assert isinstance(found, Failure)
    assert (found.reason in reasons, found.final) == (True, final)


@pytest.mark.parametrize("fate", ["evicted", "vanish", "unschedulable", "image", "late"])
def test_a_job_gets_over_what_is_nobodys_fault(fate: str) -> None:
    """Its first pod is lost or held up; a later one, or the same one later, reports."""
    cluster = Cluster(seed=3, **{fate: 1.0})
    cluster.make("/apis/batch/v1/namespaces/team/jobs", an_ingest())
    while not cluster.server.list("Pod"):
        cluster.heap.step()
    setattr(cluster.fates, fate, 0.0)
    cluster.settle()
    assert cluster.job().complete
    assert len({change.key for change in cluster.server.changes if change.key.kind == "Pod"}) == (
        2 if fate == "evicted" else len(cluster.server.list("Pod")) + (fate == "vanish")
    )


def test_the_same_seed_gives_the_same_run() -> None:
    """Every change with its version and its time, and so every delay and every name."""

    def run(seed: int) -> list[object]:
        cluster = Cluster(seed, fail=0.3, evicted=0.3, vanish=0.2)
        for name in ("weather", "rain", "wind"):
            job = an_ingest()
            cluster.make("/apis/batch/v1/namespaces/team/jobs", {**job, "metadata": {**job["metadata"], "name": name}})
        cluster.settle()
        return [(change.version, change.type, change.key, change.new) for change in cluster.server.changes]

    assert run(7) == run(7)
    assert run(7) != run(8)


def test_a_server_that_cannot_load_its_model_is_given_up_and_the_world_settles() -> None:
    """It crashes for ever, which is nothing to wait for; the Deployment says that it makes no progress."""
    cluster = Cluster()
    cluster.workloads.broken[digest("1")] = None
    cluster.make("/apis/apps/v1/namespaces/team/deployments", a_server())
    cluster.settle()
    (there,) = cluster.server.list("Deployment")
    progressing = next(each for each in there["status"]["conditions"] if each["type"] == "Progressing")
    assert (progressing["status"], progressing["reason"]) == ("False", "ProgressDeadlineExceeded")


# --- reports ---


def a_training(**changes: object) -> tasks.TrainTask:
    given = {"dataset_artifact": digest("a"), "dataset_digest": digest("1"), "environment_digest": ENVIRONMENT}
    return tasks.TrainTask(**{"namespace": "team", "run": "rain-1", **given, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        pytest.param({"run": "rain-2", "dataset_artifact": digest("b")}, True, id="another run on the same data"),
        pytest.param({"dataset_digest": digest("2")}, False, id="other data"),
        pytest.param({"seed": 1}, False, id="another seed"),
    ],
)
def test_the_same_inputs_give_the_same_model(changes: dict[str, object], same: bool) -> None:
    """As with real pods: the digest of the output follows from what goes in."""
    before, after = (Workloads().report(task, "any-job") for task in (a_training(), a_training(**changes)))
    assert isinstance(before, tasks.TrainReport)
    assert isinstance(after, tasks.TrainReport)
    assert (before.output_digest == after.output_digest) is same


def test_a_version_of_a_dataset_follows_from_source_and_spec() -> None:
    """Another word in the source, or another field in the spec, is another version; another owner is not."""
    world = Workloads()

    def version(**spec: object) -> str:
        dataset = a_dataset(spec=spec)
        task = tasks.IngestTask(namespace="team", dataset="weather", spec=dataset.spec, as_of="2026-03-01T12:00:00Z")
        report = world.report(task, "any-job")
        assert isinstance(report, tasks.IngestReport)
        return report.digest

    before = version()
    assert version(governance={"owner": "somebody"}) == before
    assert version(fields=[{"name": "wind", "type": "float64"}]) != before
    world.contents["weather"] = "b"
    assert version() != before


def test_a_check_names_the_version_that_it_looked_at() -> None:
    """So that a verdict about a version that is no longer live can be told from one that is."""
    task = tasks.DriftTask.model_validate(
        {
            "namespace": "team",
            "monitor": "rain-drift",
            "target": {"modelName": "rain"},
            "modelVersion": "rain-v3",
            "artifact": digest("3"),
            "window": {"duration": "24h"},
            "labels": {},
            "checks": [{"name": "inputs", "type": "DataDrift"}],
        }
    )
    report = Workloads(verdicts={"rain-drift": "DataDrift"}).report(task, "rain-drift-check-29539440")
    assert isinstance(report, tasks.DriftReport)
    assert (report.verdict, report.window_end, checked_version(report)) == (
        "DataDrift",
        "2026-03-01T12:00:00Z",
        "rain-v3",
    )
