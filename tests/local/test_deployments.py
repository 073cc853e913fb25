"""Deployments and Services: a switch of versions loses no request."""

from __future__ import annotations

import asyncio
import http.client
import os
import signal
import threading
import time
from pathlib import Path

from mlops.local.runtime import LocalRuntime
from mlops.planning.plan import Key, Manifest
from tests.local.world import a_deployment, a_runtime, is_alive, make, now, until

# A server that, as a good one does, finishes what it has begun when it is told to stop.
SERVER = """
import http.server, os, signal, sys, threading, time

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/ready":
            time.sleep(0.01)
        body = f"{sys.argv[1]} {os.getpid()}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass

class Server(http.server.ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128

server = Server((os.environ["MLOPS_HOST"], int(os.environ["MLOPS_PORT"])), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever(poll_interval=0.01)
server.server_close()
"""
PROBE = {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "server", "namespace": "default"},
    "spec": {"selector": {"app": "server"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
}


def a_server(says: str, **spec: object) -> Manifest:
    container = {
        "command": ["python", "-S", "-c", SERVER, says],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": PROBE,
    }
    return a_deployment(container=container, **spec)


def port_of(runtime: LocalRuntime) -> int:
    (ingress,) = now(runtime, "Service", "server")["status"]["loadBalancer"]["ingress"]
    assert ingress["ip"] == "127.0.0.1"
    return int(ingress["ports"][0]["port"])


def ask(port: int) -> list[str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode().split()
    finally:
        connection.close()


async def test_a_rolling_update_loses_no_request(tmp_path: Path) -> None:
    """Clients that ask all the time, each on new connections, get an answer every time: first the old, then the new."""
    answers: list[str] = []
    done = threading.Event()

    def client(port: int) -> None:
        while not done.is_set():
            answers.append(ask(port)[0])

    async with a_runtime(tmp_path) as runtime:
        make(runtime, SERVICE)
        make(runtime, a_server("old", replicas=2))
        await runtime.settled(20)
        clients = [asyncio.create_task(asyncio.to_thread(client, port_of(runtime))) for _ in range(3)]
        for says in ("new", "newest"):
            await asyncio.sleep(0.2)
            runtime.cluster.apply_as("test", a_server(says, replicas=2))
            await runtime.settled(20)
            await until(lambda: len(runtime.list("Pod")) == 2)
        await asyncio.sleep(0.2)
        done.set()
        await asyncio.gather(*clients)
        status = now(runtime, "Deployment", "server")["status"]
    assert {"old", "new", "newest"} == set(answers)
    assert answers[-1] == "newest"
    assert (status["observedGeneration"], status["updatedReplicas"], status["readyReplicas"]) == (3, 2, 2)


async def test_a_new_version_that_never_gets_ready_leaves_the_old_one_serving(tmp_path: Path) -> None:
    async with a_runtime(tmp_path) as runtime:
        make(runtime, SERVICE)
        make(runtime, a_server("old"))
        await runtime.settled(20)
        broken = a_server("new", progressDeadlineSeconds=1)
        broken["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = {"httpGet": {"path": "/", "port": 1}}
        runtime.cluster.apply_as("test", broken)
        await runtime.settled(20)
        conditions = {c["type"]: c for c in now(runtime, "Deployment", "server")["status"]["conditions"]}
        assert (await asyncio.to_thread(ask, port_of(runtime)))[0] == "old"
    assert (conditions["Progressing"]["status"], conditions["Progressing"]["reason"]) == (
        "False",
        "ProgressDeadlineExceeded",
    )
    assert conditions["Available"]["status"] == "True"


async def test_a_server_that_crashes_is_started_again_under_the_same_address(tmp_path: Path) -> None:
    async with a_runtime(tmp_path) as runtime:
        make(runtime, SERVICE)
        make(runtime, a_server("here"))
        await runtime.settled(20)
        _, pid = await asyncio.to_thread(ask, port_of(runtime))
        os.kill(int(pid), signal.SIGKILL)
        await until(lambda: not runtime_is_ready(runtime))
        await until(lambda: runtime_is_ready(runtime), seconds=20)
        says, new_pid = await asyncio.to_thread(ask, port_of(runtime))
        assert says == "here"
        assert new_pid != pid
        assert runtime.list("Pod")[0]["status"]["containerStatuses"][0]["restartCount"] == 1


def runtime_is_ready(runtime: LocalRuntime) -> bool:
    return bool(now(runtime, "Deployment", "server")["status"].get("readyReplicas", 0))


async def test_without_a_ready_pod_a_connection_is_refused_at_once(tmp_path: Path) -> None:
    async with a_runtime(tmp_path) as runtime:
        make(runtime, SERVICE)
        port = port_of(runtime)
        start = time.monotonic()
        try:
            await asyncio.to_thread(ask, port)
        except ConnectionRefusedError:
            pass
        else:
            raise AssertionError("somebody answered")
        assert time.monotonic() - start < 1
        make(runtime, a_server("here"))
        await runtime.settled(20)
        assert (await asyncio.to_thread(ask, port))[0] == "here"


async def test_a_service_keeps_its_port_over_a_restart_and_an_update(tmp_path: Path) -> None:
    async with a_runtime(tmp_path) as runtime:
        runtime.cluster.apply_as("operator", SERVICE)
        port = port_of(runtime)
        runtime.cluster.apply_as("operator", {**SERVICE, "metadata": {**SERVICE["metadata"], "labels": {"a": "b"}}})  # type: ignore[dict-item]
        assert port_of(runtime) == port
    async with a_runtime(tmp_path) as runtime:
        assert port_of(runtime) == port


async def test_deleting_a_deployment_stops_its_processes_and_so_does_scaling_to_0(tmp_path: Path) -> None:
    async with a_runtime(tmp_path) as runtime:
        make(runtime, SERVICE)
        make(runtime, a_server("here"))
        await runtime.settled(20)
        _, first = await asyncio.to_thread(ask, port_of(runtime))
        runtime.cluster.apply_as("test", a_server("here", replicas=0))
        await until(lambda: not runtime.list("Pod") and not is_alive(int(first)))
        runtime.cluster.apply_as("test", a_server("here", replicas=1))
        await runtime.settled(20)
        _, second = await asyncio.to_thread(ask, port_of(runtime))
        runtime.delete(Key("Deployment", "default", "server"))
        await until(lambda: not is_alive(int(second)))


async def test_a_server_that_ignores_sigterm_is_killed_after_its_grace_period(tmp_path: Path) -> None:
    async with a_runtime(tmp_path) as runtime:
        deployment = a_deployment(script=f"trap '' TERM; echo $$$$ > {tmp_path}/pid; while :; do sleep 0.1; done")
        deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 0.3
        make(runtime, deployment)
        await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
        runtime.delete(Key("Deployment", "default", "server"))
        await until(lambda: not is_alive(int((tmp_path / "pid").read_text())))


async def test_the_end_starts_no_pod_that_nobody_stops(tmp_path: Path) -> None:
    """A Deployment's pods are looked at just as the runtime stops them: others in their place would run for ever."""
    runtime = await a_runtime(tmp_path).__aenter__()
    make(runtime, a_server("one"))
    await until(lambda: now(runtime, "Deployment", "server").get("status", {}).get("readyReplicas") == 1)
    loop = asyncio.get_running_loop()

    def touch() -> None:
        for rollout in runtime._deployments._rollouts.values():
            rollout.touch()

    runtime._engine.add_done_callback(lambda _: loop.call_soon(touch))
    async with asyncio.timeout(20):
        await runtime.stop()
    assert runtime._node.running == {}
