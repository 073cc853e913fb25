"""One operator in one namespace through one fault: what changes meanwhile, and how long until it is dealt with."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops.api import labels
from mlops.cluster.kinds import WATCHED
from tests.cluster.programs import eventually
from tests.cluster_faults.example import condition, in_namespace, objects_of
from tests.cluster_faults.nodes import Nodes
from tests.cluster_faults.operators import Operator, Probe, operator
from tests.engine.objects import a_dataset
from tests.servers.api_proxy import ApiProxy, api_proxy
from tests.servers.apiserver import ApiServer

Object = dict[str, Any]
# A dozen processes that start at once on a small machine would all be slow.
_STARTING = threading.Semaphore(3)


@dataclass
class Outcome:
    """What came of a trial. `recovered` is the seconds after the fault's end until everything was dealt with."""

    recovered: float
    restarts: int
    jobs: dict[str, int]
    events: set[str]
    green_without_watches: float
    requests: int
    errors_counted: float
    expired: int
    log: str
    problems: list[str] = field(default_factory=list)


Begin = Callable[[ApiProxy, ApiServer, str], AbstractContextManager[object]]


def trial(
    server: ApiServer, folder: Path, fault: Begin, seconds: float, *, within: float, lease: bool = False, code: str = ""
) -> Outcome:
    """Run an operator, begin the fault, change things in the middle of it, end it after `seconds`, change another."""
    namespace = server.new_namespace()
    released: list[bool] = []

    def held_back(job: Object) -> bool:
        return job["metadata"]["labels"].get(labels.DATASET) == "before" and not released

    with ExitStack() as stack:
        proxy = stack.enter_context(api_proxy(server.url, server.token, folder))
        stack.enter_context(Nodes(server, namespace, holds=held_back))
        with _STARTING:
            running = stack.enter_context(operator(proxy, namespace, lease=lease))
            eventually(lambda: running.ready() and proxy.streams == len(WATCHED), 90, lambda: _log(running))
        _create(server, namespace, "before")
        eventually(lambda: _jobs(server, namespace).get("before"), 30, lambda: _log(running))
        before = sum(proxy.requests.values())
        with fault(proxy, server, namespace):
            began = time.monotonic()
            time.sleep(seconds / 2)
            eventually(lambda: _create(server, namespace, "during"), 90)
            released.append(True)
            time.sleep(max(0.0, began + seconds - time.monotonic()))
            requests = sum(proxy.requests.values()) - before
        ended = time.monotonic()
        eventually(lambda: _create(server, namespace, "after"), 30)
        names, problems = {"before", "during", "after"}, []
        while left := [name for name in sorted(names) if not _ready(server, namespace, name)]:
            if time.monotonic() - ended > within + 30:
                problems.append(f"{left} were not dealt with; /healthz is green: {running.healthy()}")
                break
            time.sleep(0.1)
        recovered = time.monotonic() - ended
        while proxy.streams < len(WATCHED) and time.monotonic() - ended < within:
            time.sleep(0.1)
        if proxy.streams < len(WATCHED) and running.healthy():
            problems.append(f"only {proxy.streams} watches are open, and /healthz is green")
        counted = running.metric("mlops_operator_api_errors_total", f'code="{code}"') if running.ready() else -1
        return Outcome(
            recovered=recovered,
            restarts=running.restarts,
            jobs=_jobs(server, namespace),
            events=_events(server, namespace, "during"),
            green_without_watches=_green_without_watches(running.probes, ended),
            requests=requests,
            errors_counted=counted,
            expired=len(proxy.expired),
            log=_log(running),
            problems=problems,
        )


def _green_without_watches(probes: list[Probe], ended: float) -> float:
    """The longest time after the fault's end for which /healthz was green all along and not every watch was open."""
    longest, since = 0.0, None
    for probe in probes:
        if probe.at > ended and probe.healthy and probe.streams < len(WATCHED):
            since = since if since is not None else probe.at
            longest = max(longest, probe.at - since)
        elif probe.streams >= len(WATCHED) or not probe.healthy:
            since = None
    return longest


def _create(server: ApiServer, namespace: str, name: str) -> bool:
    status, answer = server.create(in_namespace(a_dataset(name), namespace))
    assert status in (201, 409), answer
    return True


def _ready(server: ApiServer, namespace: str, name: str) -> bool:
    status, answer = server.get(in_namespace(a_dataset(name), namespace))
    return status == 200 and condition(answer, "Ready")[0] == "True"


def _jobs(server: ApiServer, namespace: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for (kind, _), item in objects_of(server, namespace).items():
        if kind == "Job":
            name = item["metadata"]["labels"][labels.DATASET]
            found[name] = found.get(name, 0) + 1
    return found


def _events(server: ApiServer, namespace: str, name: str) -> set[str]:
    _, answer = server.list("events.k8s.io/v1", "Event", namespace)
    return {item["reason"] for item in answer["items"] if item["regarding"]["name"] == name}


def _log(running: Operator) -> str:
    return running.log.read_text("utf-8", "replace")[-6000:]
