"""The simulated API server answers as the real one: the same random calls go to both, and the answers are compared."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
import yaml

from hack.generate import ROOT
from tests.servers.apiserver import ApiServer as RealServer
from tests.simulation.api_server.server import ApiServer
from tests.simulation.differential.calls import Call, Difference, Side, first_difference, shrunk
from tests.simulation.differential.generate import Sequence

pytestmark = pytest.mark.apiserver

_CALLS_EACH = 40
_SEEDS = 10
_FULL = 6_000


@pytest.fixture(scope="module")
def real(apiserver: RealServer) -> RealServer:
    """A real API server with the product's definitions."""
    apiserver.apply_crds([yaml.safe_load(file.read_text()) for file in sorted((ROOT / "crds").glob("*.yaml"))])
    return apiserver


def compare(calls: list[Call], real: RealServer) -> Difference | None:
    """Send the calls to a fresh namespace of the real server, and to a fresh simulated one."""
    namespace = real.new_namespace()
    simulated = ApiServer(lambda: datetime.now(UTC), Random(0), namespaces=frozenset({namespace}))

    def ours(method: str, path: str, query: Mapping[str, str], body: Any, content_type: str) -> tuple[int, Any]:
        answer = simulated.request(method, path, query=query, body=body, content_type=content_type)
        return answer.status, answer.body

    def theirs(method: str, path: str, query: Mapping[str, str], body: Any, content_type: str) -> tuple[int, Any]:
        return real.request(method, path, body, content_type, **query)

    return first_difference(calls, Side(ours, namespace), Side(theirs, namespace))


def run(seeds: range, real: RealServer) -> int:
    """Compare one sequence for each seed; returns the calls that were compared. Fails with all that differed."""
    compared, found = 0, []
    for seed in seeds:
        calls = Sequence(seed).calls(_CALLS_EACH)
        difference = compare(calls, real)
        if difference is not None:
            smaller = shrunk(difference, lambda fewer: compare(fewer, real))
            found.append(f"seed {seed}, replay with compare(calls, real):\n{smaller}")
            print(found[-1], flush=True)
        compared += len(calls)
    if found:
        pytest.fail(f"{len(found)} of {len(seeds)} sequences differ\n\n" + "\n\n".join(found), pytrace=False)
    return compared


def test_random_calls_are_answered_alike(real: RealServer) -> None:
    """Status, reason, and the whole object with its managedFields, after each call. Always the same: new ones are drawn
    by the long test."""
    first = int(os.environ.get("MLOPS_DIFFERENTIAL_SEED", "1"))
    assert run(range(first, first + _SEEDS), real) == _SEEDS * _CALLS_EACH


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_thousands_of_random_calls_are_answered_alike(real: RealServer) -> None:
    """The same with other seeds, without a limit of time."""
    calls = int(os.environ.get("MLOPS_DIFFERENTIAL_CALLS", str(_FULL)))
    compared = run(range(1_000_000, 1_000_000 + calls // _CALLS_EACH), real)
    print(f"{compared} calls compared")
    assert compared >= calls - _CALLS_EACH
