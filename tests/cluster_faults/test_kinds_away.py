"""What a new process would not mend: kinds that are not served, rights that were taken away, discovery that fails.

The tests do as a kubelet does with the chart's probes. None of these may end the operator; everything else goes on
meanwhile, and what was missed is dealt with afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import urllib3

from tests.cluster.programs import eventually
from tests.cluster_faults.conftest import definitions
from tests.cluster_faults.example import condition, in_namespace
from tests.cluster_faults.operators import Operator, operator
from tests.cluster_faults.scale import FULL, RECOVERY_SECONDS
from tests.engine.objects import a_dataset
from tests.servers.api_proxy import Answer, Requests, api_proxy
from tests.servers.apiserver import ApiServer, api_server

pytestmark = [pytest.mark.apiserver, pytest.mark.slow, pytest.mark.timeout(900)]

# Long enough for a kubelet to kill a container twice.
AWAY_SECONDS = 300.0 if FULL else 75.0


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A server of this module's own: kinds that go are gone for everybody."""
    with api_server(tmp_path_factory.mktemp("away")) as server:
        server.apply_crds(definitions())
        yield server


def _text(running: Operator, path: str) -> str:
    answer = urllib3.request("GET", f"http://127.0.0.1:{running.port}{path}", retries=False, timeout=5)
    return answer.data.decode()


def _started(server: ApiServer, namespace: str, name: str) -> bool:
    status, answer = server.get(in_namespace(a_dataset(name), namespace))
    return status == 200 and condition(answer, "Ready")[1] == "Ingesting"


def _make(server: ApiServer, namespace: str, name: str) -> None:
    status, answer = server.create(in_namespace(a_dataset(name), namespace))
    assert status == 201, answer


def _remove(server: ApiServer, names: tuple[str, ...]) -> list[dict[str, object]]:
    """Delete the definitions of these plurals; return them."""
    gone = [each for each in definitions() if str(each["spec"]["names"]["plural"]) in names]  # type: ignore[index]
    for definition in gone:
        server.list("mlops.dev/v1alpha1", str(definition["spec"]["names"]["kind"]))  # type: ignore[index]
        assert server.delete(definition)[0] == 200
    for number in range(300):
        left = [each for each in gone if server.get(each)[0] != 404]
        if not left:
            return gone
        if number % 100 == 99:  # the API server may have missed that it is to look, see tests/chart/cluster.py
            for each in left:
                server.patch(each, {"metadata": {"annotations": {"tests.mlops.dev/look-again": str(number)}}})
        time.sleep(0.1)
    raise AssertionError("the definitions do not go")


def _logs(all_running: Sequence[Operator]) -> str:
    """The log of each: any of them may be the one that works."""
    return "\n\n".join(f"{running.identity}:\n{running.log.read_text()}" for running in all_running)


def _without_a_kill(running: Operator, since: float) -> None:
    assert running.exits == [], running.log.read_text()
    red = [probe for probe in running.probes if probe.at > since and not probe.healthy]
    assert red == [], running.log.read_text()


@pytest.mark.long
@pytest.mark.parametrize(
    "plurals",
    [
        pytest.param(("datasets", "trainingruns", "modelversions", "driftmonitors"), id="all"),
        pytest.param(("driftmonitors",), id="one"),
    ],
)
def test_definitions_that_are_gone_are_waited_for(
    own_server: ApiServer, tmp_path: Path, plurals: tuple[str, ...]
) -> None:
    """No replica is killed, readiness, a metric and a few lines of log say which kind it is, and on return what was
    made meanwhile or is made then is dealt with."""
    namespace = own_server.new_namespace()
    with ExitStack() as stack:
        proxy = stack.enter_context(api_proxy(own_server.url, own_server.token, tmp_path))
        both = [stack.enter_context(operator(proxy, namespace, identity=name)) for name in ("one", "two")]
        for running in both:
            eventually(running.ready, 90, running.log.read_text)
            eventually(lambda each=running: each.metric("mlops_operator_watches_missing") == 0, 30)
        _make(own_server, namespace, "before")
        eventually(lambda: _started(own_server, namespace, "before"), 30, lambda: _logs(both))
        began = time.monotonic()
        gone = _remove(own_server, plurals)
        for running in both:
            eventually(lambda each=running: not each.ready(), 30, running.log.read_text)
            assert "its CustomResourceDefinition or API is gone" in _text(running, "/readyz")
            assert running.metric("mlops_operator_kind_unavailable") == len(plurals)
        if "datasets" not in plurals:
            _make(own_server, namespace, "meanwhile")
            eventually(lambda: _started(own_server, namespace, "meanwhile"), RECOVERY_SECONDS)
        time.sleep(max(0.0, began + AWAY_SECONDS - time.monotonic()))
        own_server.apply_crds(gone)
        _make(own_server, namespace, "after")
        eventually(lambda: _started(own_server, namespace, "after"), RECOVERY_SECONDS, lambda: _logs(both))
        for running in both:
            eventually(running.ready, RECOVERY_SECONDS, running.log.read_text)
            eventually(lambda each=running: each.metric("mlops_operator_watches_missing") == 0, RECOVERY_SECONDS)
            _without_a_kill(running, began)
            said = [line for line in running.log.read_text().splitlines() if " WARNING " in line]
            assert 1 <= sum("is gone" in line for line in said) <= 6 * len(plurals)
            assert len(said) <= 15 * len(plurals), said
            assert " ERROR " not in running.log.read_text(), running.log.read_text()


@dataclass(frozen=True)
class Away:
    """A fault in front of the API server, and whether the operator is of use to other kinds meanwhile."""

    id: str
    fault: Answer
    to: Requests
    others_go_on: bool = True


FORBIDDEN = Answer(403, "Forbidden", "driftmonitors.mlops.dev is forbidden: User cannot list resource")
UNKNOWN = Answer(404, "NotFound", "the server could not find the requested resource")
CONVERSION = Answer(500, "InternalError", "conversion webhook for mlops.dev/v1, Kind=DriftMonitor failed: no endpoints")
CASES = [
    Away("a right is revoked", FORBIDDEN, Requests(path="/driftmonitors", methods=("GET",))),
    Away("a kind is unknown", UNKNOWN, Requests(path="/driftmonitors", methods=("GET",))),
    Away("a built-in kind is unknown", UNKNOWN, Requests(path="/cronjobs", methods=("GET",))),
    Away("conversion fails", CONVERSION, Requests(path="/driftmonitors", methods=("GET",))),
    Away("all rights are revoked", FORBIDDEN, Requests(path="/namespaces/"), others_go_on=False),
    Away(
        "discovery fails",
        Answer(503, "ServiceUnavailable", "the server is currently unable to handle the request"),
        Requests(path="^/(api|apis|version)(/[^/]+(/v[0-9a-z]+)?)?/?$"),
    ),
]


def _in_the_middle(server: ApiServer, folder: Path, case: Away) -> None:
    """The fault begins and ends under an operator that works."""
    namespace = server.new_namespace()
    with api_proxy(server.url, server.token, folder) as proxy, operator(proxy, namespace, lease=False) as running:
        eventually(running.ready, 90, running.log.read_text)
        eventually(lambda: running.metric("mlops_operator_watches_missing") == 0, 60)
        began = time.monotonic()
        with proxy.fault(case.fault, case.to):
            time.sleep(5)
            _make(server, namespace, "meanwhile")
            if case.others_go_on:
                eventually(lambda: _started(server, namespace, "meanwhile"), RECOVERY_SECONDS, running.log.read_text)
            time.sleep(max(0.0, began + AWAY_SECONDS - time.monotonic()))
            _without_a_kill(running, began)
        eventually(lambda: _started(server, namespace, "meanwhile"), RECOVERY_SECONDS, running.log.read_text)
        _make(server, namespace, "after")
        eventually(lambda: _started(server, namespace, "after"), RECOVERY_SECONDS, running.log.read_text)
        eventually(running.ready, RECOVERY_SECONDS, running.log.read_text)
        _without_a_kill(running, began)


def _at_the_start(server: ApiServer, folder: Path, case: Away) -> None:
    """The fault is there before the operator is."""
    namespace = server.new_namespace()
    with ExitStack() as stack, ExitStack() as away:
        proxy = stack.enter_context(api_proxy(server.url, server.token, folder))
        away.enter_context(proxy.fault(case.fault, case.to))
        running = stack.enter_context(operator(proxy, namespace, lease=False))
        eventually(running.healthy, 90, running.log.read_text)
        began = time.monotonic()
        _make(server, namespace, "before")
        waits = case.id != "discovery fails"
        time.sleep(AWAY_SECONDS)
        assert running.ready() is not waits
        assert (case.fault.message in _text(running, "/readyz")) is waits
        assert bool(proxy.writes) is not waits
        _without_a_kill(running, began)
        away.close()
        eventually(lambda: _started(server, namespace, "before"), RECOVERY_SECONDS, running.log.read_text)
        eventually(running.ready, RECOVERY_SECONDS, running.log.read_text)
        _without_a_kill(running, began)


# Each waits for longer than a kubelet does, and those that are asked for wait together: the others are as much load.
ESSENTIAL = ("a kind is unknown, in the middle", "a right is revoked, at the start")
TRIALS = [
    pytest.param(trial, case, id=id_, marks=() if id_ in ESSENTIAL else pytest.mark.long)
    for when, trial in (("in the middle", _in_the_middle), ("at the start", _at_the_start))
    for case in CASES
    for id_ in (f"{case.id}, {when}",)
]


@pytest.fixture(scope="module")
def under_way(
    server: ApiServer, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[dict[str, Future[None]]]:
    """The trials that were asked for, all at once: nearly all of their time is waiting."""
    wanted = {item.name for item in request.session.items}
    with ThreadPoolExecutor(len(TRIALS)) as pool:
        started = {}
        for number, trial in enumerate(TRIALS):
            if any(f"[{trial.id}]" in name for name in wanted):
                run, case = trial.values
                folder = tmp_path_factory.mktemp(f"trial-{number}")
                # A pool of connections of its own for each thread.
                theirs = ApiServer(server.url, server.ca, server.token)
                started[str(trial.id)] = pool.submit(run, theirs, folder, case)
        yield started
        for future in started.values():
            future.cancel()


@pytest.mark.parametrize(("trial", "case"), TRIALS)
def test_what_a_restart_does_not_mend_is_no_reason_for_one(
    under_way: dict[str, Future[None]], trial: object, case: Away, request: pytest.FixtureRequest
) -> None:
    """/healthz is never red for it. In the middle of the work other kinds go on, and all is caught up with afterwards;
    a process that starts meanwhile waits, says for what, writes nothing, and begins when it is over."""
    under_way[request.node.callspec.id].result()
