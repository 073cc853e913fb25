"""The one-machine cluster for real: `up`, pods, Services, `down`, and what is left after each kind of end: nothing."""

from __future__ import annotations

import json
import os
import platform
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hack.cluster import images
from tests.servers.process import program

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.skipif(platform.system() != "Linux", reason="makes a cluster out of Linux's namespaces"),
]
needs_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="a node needs root")

ROOT = Path(__file__).resolve().parents[2]
DOOR = [sys.executable, str(ROOT / "hack" / "cluster.py")]
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
BINARIES = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
NODE_BINARIES = ("kubelet", "kube-proxy", "coredns")


def door(*arguments: str, name: str) -> subprocess.CompletedProcess[str]:
    command, *rest = arguments
    return subprocess.run(
        [*DOOR, command, "--name", name, *rest], capture_output=True, text=True, timeout=240, check=False
    )


def traces(name: str) -> list[str]:
    """What of the cluster a person would find on the machine, looked for by other means than the tool's own."""
    found = [f"mount: {line}" for line in Path("/proc/self/mountinfo").read_text().splitlines() if name in line]
    for listing in (["ip", "link"], ["ip", "-4", "route", "show", "table", "all"], ["ip", "netns"]):
        lines = subprocess.run(listing, capture_output=True, text=True, check=True).stdout.splitlines()
        found += [f"{' '.join(listing)}: {line}" for line in lines if name in line]
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                seen = [(process / file).read_bytes() for file in ("cmdline", "environ", "cgroup")]
            except OSError:
                continue
            found += [f"process {process.name}: {text[:120]!r}" for text in seen if name.encode() in text]
    folders = ["/run", "/run/mlops-cluster", "/var/lib", "/var/lib/mlops-cluster", "/var/lib/cni", "/sys/fs/cgroup"]
    folders += [str(path) for path in Path("/sys/fs/cgroup").iterdir() if path.is_dir()]
    folders += ["/var/log/containers", "/run/containerd"]
    found += [
        f"{folder}: {item}"
        for folder in folders
        if os.path.isdir(folder)
        for item in os.listdir(folder)
        if name in item
    ]
    return found


def container(*arguments: str, **more: Any) -> dict[str, Any]:
    return {"name": "main", "image": "probe:1", "args": list(arguments), "securityContext": RESTRICTED, **more}


class Running:
    """A cluster that is up, and kubectl on it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.kubeconfig = door("kubeconfig", name=name).stdout.strip()

    def kubectl(self, *arguments: str, given: object = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [program("kubectl"), "--kubeconfig", self.kubeconfig, *arguments],
            input=None if given is None else json.dumps(given),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    def apply(self, *objects: dict[str, Any]) -> None:
        self.kubectl("apply", "-f", "-", given={"apiVersion": "v1", "kind": "List", "items": objects})

    def run_job(self, name: str, *arguments: str) -> str:
        """Run the probe as a Job in the namespace `app` and return what it printed."""
        template = {"spec": {"restartPolicy": "Never", "containers": [container(*arguments)]}}
        metadata = {"name": name, "namespace": "app"}
        self.apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template}})
        self.kubectl("-n", "app", "wait", "--for=condition=Complete", f"job/{name}", "--timeout=60s")
        return self.kubectl("-n", "app", "logs", f"job/{name}").stdout.strip()


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of an image with one static program."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go builds the program that the test's pods run")
    folder = tmp_path_factory.mktemp("probe")
    environ = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}
    source = Path(__file__).with_name("probe")
    subprocess.run(
        [go, "build", "-buildvcs=false", "-ldflags", "-s -w", "-o", str(folder / "probe"), "."],
        cwd=source,
        env=environ,
        check=True,
    )
    images.archive(folder / "probe.tar", "probe:1", {"probe": (folder / "probe").read_bytes()}, ["/probe"])
    return folder / "probe.tar"


@pytest.fixture
def name() -> Iterator[str]:
    """A name of its own, so that a cluster that somebody works with stays; ended whatever the test does."""
    chosen = f"t{secrets.token_hex(4)}"
    for binary in (*BINARIES, *NODE_BINARIES):
        program(binary)
    yield chosen
    door("down", name=chosen)


@needs_root
@pytest.mark.long
def test_pods_jobs_services_names_and_logs_work_and_down_leaves_nothing(name: str, probe: Path) -> None:
    """The whole way of somebody who tries the product, in one cluster: `up`, use it, `down`."""
    up = door("up", "--audit-log", name=name)
    assert up.returncode == 0, up.stderr
    cluster = Running(name)
    assert up.stdout == f"{cluster.kubeconfig}\n"
    assert door("load-image", str(probe), name=name).stdout == "docker.io/library/probe:1\n"
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": "app", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        }
    )
    # The controllers have given the namespace what its pods need before the first one asks.
    cluster.kubectl("-n", "app", "wait", "--for=create", "serviceaccount/default", "--timeout=30s")

    assert cluster.run_job("say", "say", "hello") == "hello"

    selected = {"app": "web"}
    web = {"metadata": {"labels": selected}, "spec": {"containers": [container("serve")]}}
    cluster.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "app"},
            "spec": {"replicas": 2, "selector": {"matchLabels": selected}, "template": web},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web", "namespace": "app"},
            "spec": {"selector": selected, "ports": [{"port": 80, "targetPort": 8080}]},
        },
    )
    cluster.kubectl("-n", "app", "rollout", "status", "deployment/web", "--timeout=60s")
    pods = cluster.kubectl("-n", "app", "get", "pods", "-l", "app=web", "-o", "name").stdout.split()
    assert len(pods) == 2
    # By name from a pod, across pods and namespaces of names; by address from the host.
    assert f"pod/{cluster.run_job('get', 'get', 'http://web.app.svc.cluster.local')}" in pods
    shell = cluster.kubectl("-n", "app", "exec", "deployment/web", "--", "/probe", "get", "http://web")
    assert f"pod/{shell.stdout.strip()}" in pods
    address = cluster.kubectl("-n", "app", "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}").stdout
    with urllib.request.urlopen(f"http://{address}", timeout=5) as answer:
        assert f"pod/{answer.read().decode().strip()}" in pods

    # What a hardened cluster refuses, this one refuses.
    privileged = {"spec": {"containers": [{"name": "main", "image": "probe:1"}]}, "metadata": {"name": "no"}}
    refused = cluster.kubectl(
        "-n", "app", "create", "-f", "-", given={"apiVersion": "v1", "kind": "Pod", **privileged}, check=False
    )
    assert "violates PodSecurity" in refused.stderr

    # There is no way out of the cluster's network.
    status = door("status", name=name).stdout
    inside = ["nsenter", f"--net=/run/netns/mlops-{name}", "ip", "route", "get", "192.0.2.1"]
    assert subprocess.run(inside, capture_output=True, text=True, check=False).returncode != 0

    # A second `up` changes nothing; one that wants another cluster is told.
    again = door("up", "--audit-log", name=name)
    assert (again.returncode, again.stdout) == (0, up.stdout)
    assert "runs already" in again.stderr
    other = door("up", name=name)
    assert other.returncode == 2
    assert "other options" in other.stderr

    audit = Path(next(line.split()[-1] for line in status.splitlines() if line.startswith("audit log")))
    events = [json.loads(line) for line in audit.read_text().splitlines()]
    who = {(event["user"]["username"], event["verb"]) for event in events if event.get("objectRef")}
    assert ("system:serviceaccount:kube-system:job-controller", "create") in who
    assert (f"system:node:{name}", "patch") in who

    assert traces(name) != []
    down = door("down", name=name)
    assert down.returncode == 0, down.stderr
    assert traces(name) == []


@needs_root
def test_after_everything_was_killed_down_leaves_nothing_and_up_starts_anew(name: str, probe: Path) -> None:
    """`kill -9` of every process, in the worst order: those that would have cleaned up go first."""
    assert door("up", name=name).returncode == 0
    cluster = Running(name)
    door("load-image", str(probe), name=name)
    pod = {"containers": [container("serve")], "terminationGracePeriodSeconds": 0}
    cluster.kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=30s")
    cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": pod})
    cluster.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=60s")

    mark = f"MLOPS_CLUSTER_FOLDER=/run/mlops-cluster/{name}".encode()
    killed = 0
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                ours = mark in (process / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if ours:
                os.kill(int(process.name), signal.SIGKILL)
                killed += 1
    assert killed >= 9  # the components and a shim; the pod's own processes live on
    down = door("down", name=name)
    assert down.returncode == 0, down.stderr
    assert traces(name) == []
    assert door("down", name=name).returncode == 0

    assert door("up", name=name).returncode == 0
    assert door("down", name=name).returncode == 0
    assert traces(name) == []


@needs_root
@pytest.mark.parametrize(
    "seconds", [pytest.param(0.5, marks=pytest.mark.long), 2.0, pytest.param(5.0, marks=pytest.mark.long)]
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["asked to stop", "killed"])
def test_an_up_that_is_stopped_half_way_leaves_nothing(name: str, number: signal.Signals, seconds: float) -> None:
    """Asked to stop, it cleans up itself; killed, the next `down` does."""
    process = subprocess.Popen(
        [*DOOR, "up", "--name", name], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    time.sleep(seconds)
    process.send_signal(number)
    assert process.stderr is not None
    process.stderr.close()  # as when the terminal is gone
    code = process.wait(timeout=60)
    if number == signal.SIGTERM and code != 0:
        # 130: it cleaned up. The signal's own end: it came before there was anything.
        assert code in (130, -signal.SIGTERM)
        assert traces(name) == []
    assert door("down", name=name).returncode == 0
    assert traces(name) == []


@pytest.mark.long
def test_without_a_node_fake_ones_run_jobs_and_nothing_stays(name: str) -> None:
    """For benchmarks: an API server, its controllers and kwok, which needs no root. Building kwok takes minutes."""
    program("kwok")
    up = door("up", "--no-kubelet", "--kwok", "3", name=name)
    assert up.returncode == 0, up.stderr
    cluster = Running(name)
    assert len(cluster.kubectl("get", "nodes", "-o", "name").stdout.split()) == 3
    cluster.kubectl("create", "job", "some", "--image=none")
    cluster.kubectl("wait", "--for=condition=Complete", "job/some", "--timeout=60s")
    down = door("down", name=name)
    assert down.returncode == 0, down.stderr
    assert traces(name) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["up", "--no-kubelet"], "add --kwok 1", id="no node at all"),
        pytest.param(["up", "--no-kubelet", "--kwok", "1", "--kwok-stages", "/none"], "no such file", id="no stages"),
        pytest.param(["kubeconfig"], "start it with `up`", id="no cluster"),
        pytest.param(["logs", "kubelet"], "no cluster runs", id="no log"),
    ],
)
def test_what_cannot_be_done_is_said_with_the_way_out(name: str, arguments: list[str], words: str) -> None:
    """Exit code 2, the reason, no traceback, and nothing made."""
    done = door(*arguments, name=name)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert traces(name) == []
