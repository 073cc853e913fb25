"""Jobs as Kubernetes runs them, as real processes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlops.planning.plan import Key
from tests.local.world import (
    FAIL_ON_BAD_INPUT,
    a_container,
    a_job,
    a_pod_spec,
    a_runtime,
    end_of,
    is_alive,
    make,
    now,
    terminated,
    until,
)


async def test_a_job_that_exits_0_is_complete_and_its_message_is_in_the_pod(tmp_path: Path) -> None:
    async with a_runtime(tmp_path) as runtime:
        make(runtime, a_job(script='printf "the report" > "$MLOPS_TERMINATION_LOG"'))
        await runtime.settled(10)
        job, (pod,) = now(runtime, "Job", "job"), runtime.list("Pod")
    assert end_of(job) == ("Complete", None)
    assert job["status"]["succeeded"] == 1
    assert job["status"]["completionTime"]
    assert pod["status"]["phase"] == "Succeeded"
    assert terminated(pod)["exitCode"] == 0
    assert terminated(pod)["message"] == "the report"
    assert pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] == "job"
    assert pod["metadata"]["labels"]["own"] == "label"


@pytest.mark.parametrize(
    ("script", "spec", "want", "pods"),
    [
        pytest.param("exit 1", {"backoffLimit": 2}, ("Failed", "BackoffLimitExceeded"), 3, id="1 is tried again"),
        pytest.param(
            "exit 2",
            {"backoffLimit": 2, "podFailurePolicy": FAIL_ON_BAD_INPUT},
            ("Failed", "PodFailurePolicy"),
            1,
            id="2 is bad input and is not",
        ),
        pytest.param("exit 2", {"backoffLimit": 1}, ("Failed", "BackoffLimitExceeded"), 2, id="2 without a policy is"),
        pytest.param("kill -9 $$$$", {}, ("Failed", "BackoffLimitExceeded"), 1, id="killed"),
        pytest.param("sleep 60", {"activeDeadlineSeconds": 1}, ("Failed", "DeadlineExceeded"), 0, id="deadline"),
    ],
)
async def test_how_a_job_fails(
    tmp_path: Path, script: str, spec: dict[str, object], want: tuple[str, str], pods: int
) -> None:
    async with a_runtime(tmp_path) as runtime:
        make(runtime, a_job(script=script, **spec))
        await runtime.settled(20)
        assert end_of(now(runtime, "Job", "job")) == want
        assert len(runtime.list("Pod")) == pods
        assert now(runtime, "Job", "job")["status"].get("failed", 0) == pods


async def test_a_job_that_fails_once_is_complete_after_the_second_pod(tmp_path: Path) -> None:
    async with a_runtime(tmp_path) as runtime:
        make(runtime, a_job(script=f"test -e {tmp_path}/seen || {{ touch {tmp_path}/seen; exit 1; }}", backoffLimit=1))
        await runtime.settled(10)
        assert end_of(now(runtime, "Job", "job")) == ("Complete", None)
        assert now(runtime, "Job", "job")["status"]["failed"] == 1


async def test_a_message_is_cut_at_4096_bytes(tmp_path: Path) -> None:
    async with a_runtime(tmp_path) as runtime:
        make(runtime, a_job(script='head -c 10000 /dev/zero | tr "\\0" x > "$MLOPS_TERMINATION_LOG"'))
        await runtime.settled(10)
        assert len(terminated(runtime.list("Pod")[0])["message"]) == 4096


async def test_init_containers_run_one_after_another_and_share_volumes_with_the_main_one(tmp_path: Path) -> None:
    """The way in which a user's own trainer gets its data and hands over its model."""
    mount = {"volumeMounts": [{"name": "io", "mountPath": "/io"}], "env": [{"name": "IO", "value": "/io/file"}]}
    pod = a_pod_spec(
        'cat "$IO" > "$MLOPS_TERMINATION_LOG"',
        container=mount,
        initContainers=[
            a_container('printf one > "$IO"', name="first", **mount),
            a_container('printf two >> "$0"', name="second", args=["/io/file"], **mount),
        ],
        volumes=[{"name": "io", "emptyDir": {}}],
    )
    async with a_runtime(tmp_path) as runtime:
        make(runtime, a_job(pod=pod))
        await runtime.settled(10)
        assert terminated(runtime.list("Pod")[0])["message"] == "onetwo"
    assert not list((tmp_path / "pods").glob("*")), "what a pod's volumes held goes with the pod"


async def test_an_init_container_that_fails_fails_the_pod(tmp_path: Path) -> None:
    failing = a_container('printf why > "$MLOPS_TERMINATION_LOG"; exit 2', name="fetch")
    pod = a_pod_spec(f"touch {tmp_path}/ran", initContainers=[failing])
    async with a_runtime(tmp_path) as runtime:
        make(runtime, a_job(pod=pod, backoffLimit=3, podFailurePolicy=FAIL_ON_BAD_INPUT))
        await runtime.settled(10)
        assert end_of(now(runtime, "Job", "job")) == ("Failed", "PodFailurePolicy")
        end = terminated(runtime.list("Pod")[0], "initContainerStatuses")
    assert (end["exitCode"], end["message"]) == (2, "why")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("container", "want"),
    [
        pytest.param({"command": ["no-such-program"]}, "no-such-program", id="program not found"),
        pytest.param({"command": []}, "has no command", id="no command"),
        pytest.param({"env": [{"name": "X", "value": "x" * 3_000_000}]}, "Argument list too long", id="too large"),
        pytest.param(
            {"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}, "env X", id="a Secret"
        ),
        pytest.param({"volumeMounts": [{"name": "gone", "mountPath": "/x"}]}, "'gone'", id="no such volume"),
    ],
)
async def test_a_container_that_cannot_start_says_why(tmp_path: Path, container: dict[str, object], want: str) -> None:
    async with a_runtime(tmp_path) as runtime:
        make(runtime, a_job(pod=a_pod_spec(container=container)))
        await runtime.settled(10)
        end = terminated(runtime.list("Pod")[0])
    assert end["exitCode"] == 128
    assert want in end["message"]


async def test_deleting_a_job_ends_its_processes_down_to_the_last_grandchild(tmp_path: Path) -> None:
    """Also one that has left its process group."""
    async with a_runtime(tmp_path) as runtime:
        script = f"setsid sh -c 'echo $$$$ > {tmp_path}/pid; sleep 300' & wait"
        make(runtime, a_job(script=script))
        await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
        pid = int((tmp_path / "pid").read_text())
        runtime.delete(Key("Job", "default", "job"))
        assert runtime.list("Pod") == []
        await until(lambda: not is_alive(pid))


async def test_a_suspended_job_does_not_run_and_a_resumed_one_does(tmp_path: Path) -> None:
    async with a_runtime(tmp_path) as runtime:
        make(runtime, a_job(script="sleep 300", suspend=False))
        await until(lambda: runtime.list("Pod") and runtime.list("Pod")[0]["status"]["phase"] == "Running")
        runtime.cluster.apply_as("test", a_job(script="sleep 300", suspend=True))
        await until(lambda: not runtime.list("Pod"))
        await runtime.settled(10)
        runtime.cluster.apply_as("test", a_job(script="true", suspend=False))
        await runtime.settled(10)
        assert end_of(now(runtime, "Job", "job")) == ("Complete", None)


async def test_no_more_pods_than_slots_run_at_once_and_the_others_are_pending(tmp_path: Path) -> None:
    async with a_runtime(tmp_path, pods=2) as runtime:
        # The last one waits for longer than its deadline, and works for much less.
        for number in range(7):
            make(runtime, a_job(f"job-{number}", "sleep 1.5", activeDeadlineSeconds=4))
        most = 0
        while len(runtime.moving()) > 0:
            phases = [pod["status"].get("phase") for pod in runtime.list("Pod")]
            most = max(most, phases.count("Running"))
            await asyncio.sleep(0.01)
        ends = [end_of(job) for job in runtime.list("Job")]
    assert most == 2
    assert ends == [("Complete", None)] * 7, "waiting for a slot does not count against the deadline"


async def test_the_surroundings_of_a_container_are_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the user's shell decides what a training run does."""
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    code = tmp_path / "code"
    code.mkdir()
    env = [
        {"name": "MLOPS_JOB", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['own']"}}},
        {"name": "TWICE", "value": "$(MLOPS_JOB)-$(MLOPS_JOB)-$(UNKNOWN)-$$(MLOPS_JOB)"},
    ]
    mounts = [{"name": "tmp", "mountPath": "/tmp"}]
    container = {"image": "mine", "env": env, "volumeMounts": mounts}
    pod = a_pod_spec("env; pwd; command -v python", container=container, volumes=[{"name": "tmp", "emptyDir": {}}])
    state = tmp_path / "state"
    async with a_runtime(state, images={"mine": code}, environment={"MLOPS_STORE": "file:///store"}) as runtime:
        make(runtime, a_job(pod=pod))
        await runtime.settled(10)
    (log,) = (state / "logs" / "default").glob("*/main.log")
    lines = log.read_text().splitlines()
    variables = dict(line.split("=", 1) for line in lines if "=" in line)
    assert variables["MLOPS_JOB"] == "label"
    assert variables["TWICE"] == "label-label-$(UNKNOWN)-$(MLOPS_JOB)"
    assert variables["MLOPS_STORE"] == "file:///store"
    assert variables["TMPDIR"].endswith("/volumes/tmp")
    assert "OMP_NUM_THREADS" not in variables
    assert "AWS_SECRET_ACCESS_KEY" not in variables
    assert str(code) in lines
    assert Path(lines[-1]).resolve() == Path(sys.executable).resolve()


async def test_what_a_job_costs_beside_its_own_time(tmp_path: Path) -> None:
    """A trivial Job, from its creation to its status, takes a few times the start of a bare interpreter: tens of ms."""
    async with a_runtime(tmp_path) as runtime:
        jobs, interpreters = [], []
        for number in range(15):
            start = time.perf_counter()
            make(runtime, a_job(f"job-{number}"))
            await until(lambda name=f"job-{number}": "conditions" in now(runtime, "Job", name).get("status", {}))  # type: ignore[misc]
            jobs.append(time.perf_counter() - start)
            start = time.perf_counter()
            await asyncio.to_thread(subprocess.run, [sys.executable, "-I", "-S", "-c", "import ctypes"], check=True)
            interpreters.append(time.perf_counter() - start)
    assert sorted(jobs)[7] < 5 * sorted(interpreters)[7]
