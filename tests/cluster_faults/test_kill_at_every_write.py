"""SIGKILL at every write of a small example, before and after the API server has carried it out; `make test` takes
every fifth of these timestamps, `make test-faults` all.

The operator is started again, as a kubelet does, and what stands there in the end is what an undisturbed run leaves.
"""

from __future__ import annotations

import difflib
import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.cluster_faults.example import comparable, example, objects_of, settled
from tests.cluster_faults.nodes import Nodes
from tests.cluster_faults.operators import operator
from tests.cluster_faults.scale import FULL
from tests.servers.api_proxy import ApiProxy, api_proxy
from tests.servers.apiserver import ApiServer

pytestmark = [pytest.mark.apiserver, pytest.mark.slow, pytest.mark.timeout(900)]

Object = dict[str, Any]
Moment = Literal["before", "after"]
_SECONDS, _QUIET_SECONDS = 90.0, 1.0
_PARALLEL = 6


@dataclass(frozen=True)
class Run:
    """What an operator left: the comparable state, its counted writes, and whether it was killed."""

    state: list[str]
    orphans: list[str]
    writes: list[str]
    kills: int
    log: str


def run_example(server: ApiServer, proxy: ApiProxy, number: int = 0, timestamp: Moment = "before") -> Run:
    """Run the example in a fresh namespace, and kill the operator at one of its writes."""
    namespace = server.new_namespace()
    for manifest in example(namespace):
        status, answer = server.create(manifest)
        assert status == 201, answer
    first = len(proxy.writes)
    with ExitStack() as stack:
        victims: list[Callable[[], None]] = []
        proxy.strike_at(number, timestamp, lambda: victims[0]())
        stack.enter_context(Nodes(server, namespace))
        running = stack.enter_context(operator(proxy, namespace, lease=False))
        victims.append(running.kill)
        deadline, quiet_since, seen = time.monotonic() + _SECONDS, time.monotonic(), -1
        while True:
            time.sleep(0.1)
            if len(proxy.writes) != seen:
                seen, quiet_since = len(proxy.writes), time.monotonic()
            quiet = time.monotonic() - quiet_since > _QUIET_SECONDS
            if quiet and settled(objects_of(server, namespace)):
                break
            assert time.monotonic() < deadline, running.log.read_text("utf-8", "replace")[-4000:]
        kills = running.restarts
        log = running.log.read_text("utf-8", "replace")[-4000:]
    objects = objects_of(server, namespace)
    return Run(comparable(objects, namespace), _orphans(objects), [str(w) for w in proxy.writes[first:]], kills, log)


def _orphans(objects: dict[tuple[str, str], Object]) -> list[str]:
    uids = {item["metadata"]["uid"] for item in objects.values()}
    return [
        f"{kind} {name}"
        for (kind, name), item in objects.items()
        for owner in item["metadata"].get("ownerReferences", ())
        if owner["uid"] not in uids
    ]


@contextmanager
def proxies(server: ApiServer, folder: Path, count: int) -> Iterator[list[ApiProxy]]:
    with ExitStack() as stack:
        yield [stack.enter_context(api_proxy(server.url, server.token, folder / f"proxy-{n}")) for n in range(count)]


def test_the_end_is_the_same_wherever_it_is_killed(server: ApiServer, tmp_path: Path) -> None:
    """Same objects, specs and statuses; exactly one Job per attempt; nothing whose owner is not there."""
    with proxies(server, tmp_path, _PARALLEL) as pool, ThreadPoolExecutor(_PARALLEL) as threads:
        undisturbed = run_example(server, pool[0])
        assert undisturbed.kills == 0
        assert undisturbed.orphans == []
        assert run_example(server, pool[0]).state == undisturbed.state
        points = list(itertools.product(range(1, len(undisturbed.writes) + 1), ("before", "after")))
        points = points if FULL else points[::5]

        def take(worker: int) -> list[tuple[int, Moment, Run]]:
            own = ApiServer(server.url, server.ca, server.token)
            return [(n, m, run_example(own, pool[worker], n, m)) for n, m in points[worker::_PARALLEL]]

        runs = [run for part in threads.map(take, range(_PARALLEL)) for run in part]
    killed = [run for *_, run in runs if run.kills]
    print(f"{len(undisturbed.writes)} writes, {len(runs)} runs, {len(killed)} of them killed")
    # Which writes there are depends on what is seen together: a few of the last points may never come.
    assert len(killed) >= 0.9 * len(runs)
    wrong = {
        f"killed {timestamp} write {number} ({run.kills} kills)": _difference(undisturbed, run)
        for number, timestamp, run in runs
        if run.state != undisturbed.state or run.orphans or run.kills > 1
    }
    assert not wrong, "\n\n".join(f"{point}:\n{what}" for point, what in wrong.items())


def _difference(undisturbed: Run, run: Run) -> str:
    before, after = (list(itertools.chain(*(text.splitlines() for text in r.state))) for r in (undisturbed, run))
    return "\n".join([*run.orphans, *difflib.unified_diff(before, after, lineterm="", n=4)])[:3000]
