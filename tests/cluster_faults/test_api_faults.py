"""An API server that fails, lies, or says nothing: the operator catches up by itself, soon after it is over.

Each case has an operator, a proxy and a namespace of its own, and they run side by side. In the middle of the fault a
Dataset is made and a Job ends; right after it another Dataset is made. All of that has to be dealt with in time,
while /healthz may not be green without the watches, and no Job is made twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlops.cluster.kinds import WATCHED
from tests.cluster_faults.scale import (
    FAULT_SECONDS,
    LONG_FAULT_SECONDS,
    RECOVERY_SECONDS,
    SILENCE_SECONDS,
)
from tests.cluster_faults.trial import Begin, Outcome, trial
from tests.servers.api_proxy import (
    Answer,
    ApiProxy,
    Fault,
    InStream,
    Refuse,
    Requests,
    Silence,
    Slow,
    error_event,
)
from tests.servers.apiserver import ApiServer

pytestmark = [pytest.mark.apiserver, pytest.mark.slow, pytest.mark.timeout(900)]

WATCHES = Requests(watch=True)
UNNOTICED_SECONDS = 12.0
# What happens once is over at once; the rest of this time is for the changes.
TIMESTAMP = 4.0
UNAVAILABLE = Answer(503, "ServiceUnavailable", "the server is currently unable to handle the request")
# A pause that the server asks for; the operator may still keep to it when the fault is over.
PAUSE = 10


@dataclass(frozen=True)
class Case:
    """A fault, for how long, and within how many seconds after it everything has to be dealt with."""

    id: str
    begin: Begin
    seconds: float = FAULT_SECONDS
    within: float = RECOVERY_SECONDS
    lease: bool = False
    code: str = ""


def fault(what: Fault, to: Requests | None = None, *, once: bool = False) -> Begin:
    """The fault for as long as it is on, or `once` for each watch."""

    def begin(proxy: ApiProxy, server: ApiServer, namespace: str) -> AbstractContextManager[None]:
        return proxy.fault(what, to, times=len(WATCHED) if once else None)

    return begin


@contextmanager
def new_token(proxy: ApiProxy, server: ApiServer, namespace: str) -> Iterator[None]:
    """The token is rotated under the operator, and its streams end."""
    proxy.rotate_token("second")
    with proxy.fault(Answer(401, "Unauthorized", "Unauthorized"), Requests(watch=True), times=0):
        yield


@contextmanager
def streams_cut(proxy: ApiProxy, server: ApiServer, namespace: str) -> Iterator[None]:
    """A line of JSON that is cut off in the middle, and the connection with it."""
    with proxy.fault(InStream(b'{"type":"MODIFIED","object":{"apiVersion":"ml', then="reset"), WATCHES):
        yield


CASES = [
    Case("F10 silent streams", fault(Silence(), WATCHES), within=SILENCE_SECONDS),
    Case("F10 silence everywhere", fault(Silence(everywhere=True)), within=SILENCE_SECONDS),
    Case("F1 503", fault(UNAVAILABLE)),
    Case("F1 503 for long", fault(UNAVAILABLE), LONG_FAULT_SECONDS),
    Case("F1 503 with a Lease", fault(UNAVAILABLE), lease=True, code="503"),
    Case("F2 500 leader changed", fault(Answer(500, "InternalError", "etcdserver: leader changed"))),
    Case("F3 403", fault(Answer(403, "Forbidden", "forbidden: User cannot list resource"))),
    Case("F3 403 with a Lease", fault(Answer(403, "Forbidden", "forbidden")), lease=True, code="403"),
    Case("F4 401 once", fault(Answer(401, "Unauthorized", "Unauthorized"), WATCHES, once=True), TIMESTAMP),
    Case("F4 new token", new_token, TIMESTAMP),
    Case(
        "F5 404 once",
        fault(Answer(404, "NotFound", "the server could not find the resource"), WATCHES, once=True),
        TIMESTAMP,
    ),
    Case(
        "F6 410 on the request",
        fault(Answer(410, "Expired", "too old resource version"), WATCHES, once=True),
        TIMESTAMP,
    ),
    Case(
        "F7 410 in the stream",
        fault(error_event(410, "Expired", "too old resource version"), WATCHES, once=True),
        TIMESTAMP,
    ),
    Case(
        "F8 500 in the stream",
        fault(error_event(500, "InternalError", "etcd leader changed"), WATCHES, once=True),
        TIMESTAMP,
    ),
    Case(
        "F8 504 in the stream",
        fault(error_event(504, "Timeout", "Timeout: too many requests"), WATCHES, once=True),
        TIMESTAMP,
    ),
    Case("F9 cut JSON", fault(InStream(b'{"type":"ADDED","object":{"apiVer'), WATCHES, once=True), TIMESTAMP),
    Case("F9 cut JSON and a reset", streams_cut, TIMESTAMP),
    Case("F9 garbage", fault(InStream(b"\x00\xff<html>502</html>\n", then="go on"), WATCHES, once=True), TIMESTAMP),
    Case("F11 429", fault(Answer(429, "TooManyRequests", "please try again later", retry_after=PAUSE)), code="429"),
    Case("F12 refused", fault(Refuse())),
    Case("F12 refused with a Lease", fault(Refuse()), lease=True, code="connection"),
    Case("F16 no pod is seen", fault(UNAVAILABLE, Requests(path="/pods", watch=True))),
    Case("F13 slow and reset", fault(Slow(2.0, jitter=1.0, resets=0.05))),
]


@pytest.fixture(scope="module")
def outcomes(
    server: ApiServer, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[dict[str, Future[Outcome]]]:
    """The trials of the cases that were asked for, all under way at once."""
    wanted = {item.name for item in request.session.items}
    with ThreadPoolExecutor(12) as pool:
        started = {}
        for number, case in enumerate(CASES):
            if any(f"[{case.id}]" in name for name in wanted):
                folder: Path = tmp_path_factory.mktemp(f"case-{number}")
                started[case.id] = pool.submit(
                    trial,
                    ApiServer(server.url, server.ca, server.token),
                    folder,
                    case.begin,
                    case.seconds,
                    within=case.within,
                    lease=case.lease,
                    code=case.code,
                )
        yield started
        for future in started.values():
            future.cancel()


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in CASES])
def test_it_catches_up(outcomes: dict[str, Future[Outcome]], case: Case) -> None:
    """Within 20 s after the fault (75 s of silence), at most one restart, one Job each, and Events that tell."""
    outcome = outcomes[case.id].result()
    print(
        f"{case.id}: recovered {outcome.recovered:.1f} s after {case.seconds:.0f} s, {outcome.restarts} restarts, "
        f"{outcome.requests} requests meanwhile, green without watches {outcome.green_without_watches:.1f} s"
    )
    assert not outcome.problems, outcome.log
    assert outcome.recovered <= case.within, outcome.log
    assert outcome.restarts <= 1, outcome.log
    assert outcome.jobs == {"before": 1, "during": 1, "after": 1}
    assert "Versioned" in outcome.events
    # Silence shows only in time; anything else a watch may miss for as long as kopf waits between two tries.
    unnoticed = SILENCE_SECONDS if case.within == SILENCE_SECONDS else UNNOTICED_SECONDS
    assert outcome.green_without_watches <= unnoticed, outcome.log
    if case.lease:
        assert outcome.errors_counted > 0
    if case.id == "F11 429":
        assert outcome.requests <= 2 * case.seconds
