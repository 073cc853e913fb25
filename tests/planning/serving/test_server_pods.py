"""What a pod that serves says of itself, read off its manifest."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlops.api import labels, tasks
from mlops.planning.dataset import manifests as dataset_manifests
from mlops.planning.monitor import manifests as drift_manifests
from mlops.planning.serving import manifests as serving_manifests
from mlops.planning.serving.server_pods import Fault, foremost, gives_up_at, server_pod, silent_since, trouble_of
from mlops.planning.training import manifests as training_manifests
from mlops.planning.views import PodEnd, ServerPod
from tests.planning.builders import NOW as NOON
from tests.planning.builders import SETTINGS, a_version, digest

OWN = {labels.STAGE: "production", labels.MODEL_VERSION: "rain-v1", labels.DIGEST: "1111111111111111"}


def a_pod(container: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    server = [{"name": "server", "image": "serve:2", **container}] if container is not None else []
    status = {"phase": "Running", "containerStatuses": server, **status}
    return {"metadata": {"name": "p", "labels": OWN}, "status": status}


def said(reason: str, code: int = 2) -> dict[str, Any]:
    message = tasks.write_report(tasks.FailureReport(reason=reason, message="why"))
    return {"terminated": {"exitCode": code, "reason": "Error", "message": message}}


@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param({**a_pod(), "metadata": {"name": "p", "labels": {}}}, id="of no stage"),
        pytest.param({**a_pod(), "metadata": {"name": "p", "labels": OWN, "deletionTimestamp": "t"}}, id="going"),
        pytest.param(a_pod(phase="Failed", reason="Evicted"), id="evicted"),
    ],
)
def test_a_pod_that_is_over_says_nothing(manifest: dict[str, Any]) -> None:
    """Another one comes in its place."""
    assert server_pod(manifest) is None


@pytest.mark.parametrize(
    ("container", "fault", "reason"),
    [
        pytest.param({"state": said("GoldenFailed")}, Fault.MODEL, "GoldenFailed", id="just ended"),
        pytest.param(
            {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": said("GoldenFailed")},
            Fault.MODEL,
            "GoldenFailed",
            id="to be started again",
        ),
        pytest.param(
            {"state": {"running": {"startedAt": "2026-01-10T12:00:00Z"}}, "lastState": said("GoldenFailed")},
            Fault.MODEL,
            "GoldenFailed",
            id="started again",
        ),
        pytest.param(
            {"state": said("GoldenFailed", 1)}, Fault.CLUSTER, "GoldenFailed", id="a passing fault by its code"
        ),
        pytest.param({"state": said("AccessDenied")}, Fault.CLUSTER, "AccessDenied", id="keys"),
        pytest.param({"state": said("StoreUnavailable", 1)}, Fault.CLUSTER, "StoreUnavailable", id="store"),
        pytest.param(
            {"state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}, Fault.CRASH, "OOMKilled", id="memory"
        ),
        pytest.param(
            {"state": {"terminated": {"exitCode": 139, "reason": "Error"}}, "restartCount": 3},
            Fault.CRASH,
            "ServingFailed",
            id="crashes",
        ),
        pytest.param(
            {"state": {"waiting": {"reason": "ErrImagePull", "message": "a"}}}, Fault.CLUSTER, "ImagePull", id="pull"
        ),
    ],
)
def test_the_words_of_a_pod_are_told_apart(container: dict[str, Any], fault: Fault, reason: str) -> None:
    """By whose fault it is, whatever the container is doing then."""
    pod = server_pod(a_pod(container))
    assert pod is not None
    found = trouble_of(pod)
    assert found is not None
    assert (found.fault, found.reason) == (fault, reason)


@pytest.mark.parametrize(
    "container",
    [
        pytest.param(None, id="no container yet"),
        pytest.param({"state": {"waiting": {"reason": "ContainerCreating"}}}, id="creating"),
        pytest.param({"state": {"terminated": {"exitCode": 139}}, "restartCount": 1}, id="one crash"),
        pytest.param({"state": {"terminated": {"exitCode": 0}}, "restartCount": 9}, id="ended well"),
        pytest.param({"lastState": said("GoldenFailed"), "state": {}, "ready": True}, id="answers again"),
    ],
)
def test_what_is_still_starting_is_nobodys_fault(container: dict[str, Any] | None) -> None:
    """There is nothing to say yet."""
    ready = [{"type": "Ready", "status": "True"}] if container and container.get("ready") else []
    pod = server_pod(a_pod(container, conditions=ready))
    assert pod is not None
    assert trouble_of(pod) is None


def test_a_pull_is_said_in_the_same_words_each_time() -> None:
    """The kubelet's change between attempts, and with them a status would be written for each."""
    texts = set()
    for reason, message in (("ErrImagePull", "not found"), ("ImagePullBackOff", "back-off"), ("ErrImagePull", "dns")):
        pod = server_pod(a_pod({"state": {"waiting": {"reason": reason, "message": message}}}))
        assert pod is not None
        texts.add(trouble_of(pod))
    assert len(texts) == 1


def test_a_server_asks_for_more_than_any_batch_work() -> None:
    """What containers request is how a node that is busy is shared among them."""
    version = a_version()
    made = serving_manifests.deployment(SETTINGS, version, digest("1"), "production", [version], "")
    (server,) = made["spec"]["template"]["spec"]["containers"]
    batch = [
        amounts["requests"]["cpu"]
        for module in (training_manifests, dataset_manifests, drift_manifests, serving_manifests)
        for name, amounts in vars(module).items()
        if name.endswith("_AMOUNTS") and name != "_SERVE_AMOUNTS"
    ]
    assert len(batch) >= 4
    assert all(
        int(server["resources"]["requests"]["cpu"].removesuffix("m")) > int(each.removesuffix("m")) for each in batch
    )


@pytest.mark.parametrize(
    ("words", "want"),
    [
        ({"message": "0/3 nodes are available"}, "0/3 nodes are available"),
        ({}, "no node fits"),
        ({"message": ""}, "no node fits"),
    ],
)
def test_a_pod_that_no_node_takes_says_so(words: dict[str, str], want: str) -> None:
    """In the scheduler's words, if it has any; any other reason is none."""
    said = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", **words}
    pod = server_pod(a_pod(conditions=[said]))
    assert pod is not None
    assert pod.unschedulable == want
    found = trouble_of(pod)
    assert found is not None
    assert (found.fault, found.reason, found.message) == (Fault.CLUSTER, "Unschedulable", f"pod p: {want}")
    for other in ({**said, "reason": "SchedulingGated"}, {**said, "status": "True"}):
        pod = server_pod(a_pod(conditions=[other]))
        assert pod is not None
        assert pod.unschedulable is None


@pytest.mark.parametrize(("words", "want"), [({"message": "no such key"}, "no such key"), ({}, "no details")])
def test_a_container_that_cannot_be_made_says_why(words: dict[str, str], want: str) -> None:
    """In the kubelet's words, if it has any."""
    pod = server_pod(a_pod({"state": {"waiting": {"reason": "CreateContainerConfigError", **words}}}))
    assert pod is not None
    found = trouble_of(pod)
    assert found is not None
    assert found.message == f"pod p: CreateContainerConfigError: {want}"


@pytest.mark.parametrize(
    "message",
    [
        pytest.param("Traceback", id="no report"),
        pytest.param(tasks.write_report(tasks.FailureReport(reason="not a word", message="x")), id="no reason"),
        pytest.param(
            tasks.write_report(
                tasks.VerifyReport(golden_rows=1, max_difference="0", p99_milliseconds="1", format="onnx")
            ),
            id="the report of another task",
        ),
    ],
)
def test_what_is_no_report_of_a_failure_blames_nobody(message: str) -> None:
    """One end of a server is an accident until it is the third."""
    end = {"terminated": {"exitCode": 2, "reason": "Error", "message": message}}
    pod = server_pod(a_pod({"state": end, "restartCount": 1}))
    assert pod is not None
    assert trouble_of(pod) is None
    again = server_pod(a_pod({"state": end, "restartCount": 3}))
    assert again is not None
    found = trouble_of(again)
    assert found is not None
    assert found.message == "pod p: its server ended again and again with exit code 2 and no report"


@pytest.mark.parametrize(
    ("began", "blamed"),
    [
        pytest.param("2026-01-10T11:50:00Z", False, id="as long as its startup probe waits"),
        pytest.param("2026-01-10T11:50:01Z", True, id="a second less"),
        pytest.param("yesterday", True, id="nobody knows since when"),
    ],
)
def test_a_server_that_its_probe_may_have_ended_is_no_crash(began: str, blamed: bool) -> None:
    """It was waiting for its artifact, and has not looked at the model."""
    ended = {"exitCode": 137, "reason": "Error", "startedAt": began, "finishedAt": "2026-01-10T12:00:00Z"}
    pod = server_pod(a_pod({"state": {"terminated": ended}, "restartCount": 5}))
    assert pod is not None
    found = trouble_of(pod)
    assert (found is not None) is blamed
    if found is not None:
        assert (found.fault, found.reason, found.at) == (Fault.CRASH, "ServingFailed", NOON)


# --- to the field ---


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 1, 10, hour, minute, tzinfo=UTC)


def test_everything_that_a_pod_says_is_read() -> None:
    """Of its server; another container beside it is none of ours."""
    other = {"name": "sidecar", "image": "x", "restartCount": 9, "state": {"running": {}}}
    server = {
        "name": "server",
        "image": "serve:2",
        "started": True,
        "restartCount": 2,
        "state": {"running": {"startedAt": "2026-01-10T10:00:00Z"}},
        "lastState": {
            "terminated": {
                "exitCode": 137,
                "reason": "OOMKilled",
                "message": "m",
                "startedAt": "2026-01-10T08:00:00Z",
                "finishedAt": "2026-01-10T09:00:00Z",
            }
        },
    }
    conditions = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "True"}]
    assert server_pod(a_pod(containerStatuses=[other, server], conditions=conditions)) == ServerPod(
        name="p",
        stage="production",
        version="rain-v1",
        digest="1" * 16,
        ready=True,
        image="serve:2",
        started=True,
        running_since=at(10),
        restarts=2,
        end=PodEnd(137, "OOMKilled", "m", at(8), at(9)),
    )


@pytest.mark.parametrize(
    "status",
    [None, {}, {"containerStatuses": None, "conditions": None}, {"containerStatuses": [{"name": "server"}]}],
)
def test_a_pod_that_says_nothing_yet_is_not_ready(status: dict[str, Any] | None) -> None:
    """Nobody has looked at it; its labels may say no more than its stage."""
    manifest = {"metadata": {"name": "p", "labels": {labels.STAGE: "production"}}, "status": status}
    nothing = ServerPod("p", "production", "", "")
    assert server_pod(manifest) == nothing
    assert trouble_of(nothing) is None


def test_a_container_that_waits_says_why_and_an_end_without_details_is_one() -> None:
    """What it ended with before stands beside it; a present end counts more than one before."""
    waiting = {"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}}
    before = {"lastState": {"terminated": {"exitCode": 1}}}
    pod = server_pod(a_pod({**waiting, **before}))
    assert pod == ServerPod(
        "p", "production", "rain-v1", "1" * 16, image="serve:2", waits="CrashLoopBackOff", why="back-off", end=PodEnd(1)
    )
    pod = server_pod(a_pod({"state": {"terminated": {}}, **before}))
    assert pod is not None
    assert pod.end == PodEnd(1), "an end that says nothing is none"
    pod = server_pod(a_pod({"state": {"terminated": {"exitCode": None, "reason": "Error"}}, **before}))
    assert pod is not None
    assert pod.end == PodEnd(0, "Error")


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_of_a_phase_that_is_over_is_none(phase: str) -> None:
    """One that runs or waits is one."""
    assert server_pod(a_pod(phase=phase)) is None
    assert server_pod(a_pod(phase="Pending")) is not None


A_POD = ServerPod("p", "production", "rain-v1", "1" * 16, image="serve:2")


def report(reason: str, message: str = "why") -> str:
    return tasks.write_report(tasks.FailureReport(reason=reason, message=message))


@pytest.mark.parametrize(
    ("pod", "fault", "reason", "message"),
    [
        pytest.param({"waits": "ErrImagePull"}, Fault.CLUSTER, "ImagePull", "cannot pull its image serve:2", id="pull"),
        pytest.param(
            {"end": PodEnd(2, "Error", report("GoldenFailed"), at=NOON)}, Fault.MODEL, "GoldenFailed", "why", id="model"
        ),
        pytest.param(
            {"end": PodEnd(2, "Error", report("GoldenFailed", " "), at=NOON)},
            Fault.MODEL,
            "GoldenFailed",
            "exit code 2",
            id="without words",
        ),
        pytest.param(
            {"end": PodEnd(1, "Error", report("GoldenFailed"), at=NOON)},
            Fault.CLUSTER,
            "GoldenFailed",
            "why",
            id="not for good",
        ),
        pytest.param(
            {"end": PodEnd(137, "OOMKilled", at=NOON)},
            Fault.CRASH,
            "OOMKilled",
            "its server needed more memory than its limit",
            id="memory",
        ),
        pytest.param(
            {"restarts": 3, "end": PodEnd(139, "Error", at=NOON)},
            Fault.CRASH,
            "ServingFailed",
            "its server ended again and again with exit code 139 and no report",
            id="crashes",
        ),
    ],
)
def test_what_keeps_a_pod_from_answering_is_told(pod: dict[str, Any], fault: Fault, reason: str, message: str) -> None:
    """With its name, and when it was found out."""
    found = trouble_of(replace(A_POD, **pod))
    assert found is not None
    assert (found.fault, found.reason, found.message) == (fault, reason, f"pod p: {message}")
    assert found.at == (NOON if "end" in pod else None)
    assert trouble_of(replace(A_POD, ready=True, **pod)) is None, "it answers"


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param({"restarts": 2, "end": PodEnd(139, "Error")}, id="twice is an accident"),
        pytest.param({"restarts": 9, "end": PodEnd(0, "Completed")}, id="it ended well"),
        pytest.param({"restarts": 0, "end": PodEnd(0, "Completed", report("GoldenFailed"))}, id="whatever it says"),
        pytest.param({"waits": "ContainerCreating"}, id="it is being made"),
        pytest.param({"restarts": 9}, id="nobody knows how it ended"),
    ],
)
def test_a_pod_that_may_yet_answer_is_in_no_trouble(pod: dict[str, Any]) -> None:
    """It is waited for."""
    assert trouble_of(replace(A_POD, **pod)) is None


def test_of_many_troubles_the_models_counts_most() -> None:
    """Then a crash, then the cluster; of equal ones the first by reason and words: the same each time."""
    model = replace(A_POD, name="m", end=PodEnd(2, "Error", report("GoldenFailed")))
    crash = replace(A_POD, name="c", end=PodEnd(137, "OOMKilled"))
    pull, full = replace(A_POD, name="z", waits="ErrImagePull"), replace(A_POD, name="a", unschedulable="no node fits")
    pulls = replace(pull, name="y")
    for pods, name in (
        ([pull, crash, model], "m"),
        ([full, pull, crash], "c"),
        ([full, pull], "z"),
        ([pull, pulls], "y"),
        ([pulls, pull], "y"),
    ):
        found = foremost([A_POD, *pods])
        assert found is not None
        assert found.message.startswith(f"pod {name}:")
    assert foremost([A_POD]) is None


def test_a_server_is_silent_since_its_process_is_up_and_not_ready() -> None:
    """The longest of them; what has not started has looked at no model."""
    up = replace(A_POD, started=True, running_since=at(11))
    longer = replace(up, running_since=at(10))
    assert silent_since([up, longer]) == at(10)
    others = [
        replace(longer, started=False),
        replace(longer, ready=True),
        replace(longer, running_since=None),
    ]
    assert silent_since([up, *others]) == at(11)
    assert silent_since(others) is None
    limit = serving_manifests.STARTUP_SECONDS + serving_manifests.PROGRESS_DEADLINE
    assert gives_up_at(NOON) == NOON + timedelta(seconds=limit)
