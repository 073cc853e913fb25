"""Several faults at once, each in a place of its own: most of the time of each is waiting."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.faults_on_cluster.conftest import Cluster
from tests.faults_on_cluster.place import Place

# Returns what was measured, in words.
Fault = Callable[[Place], str]


@contextmanager
def side_by_side(
    cluster: Cluster, faults: Mapping[str, Fault], request: pytest.FixtureRequest, at_a_time: int = 3
) -> Iterator[Mapping[str, Future[str]]]:
    """The faults that were asked for, `at_a_time` of them under way."""
    asked = [name for name in faults if any(f"[{name}]" in item.name for item in request.session.items)]
    with ThreadPoolExecutor(at_a_time) as pool:
        started = {name: pool.submit(_suffered, cluster, name, faults[name]) for name in asked}
        yield started
        for future in started.values():
            future.cancel()


def _suffered(cluster: Cluster, name: str, fault: Fault) -> str:
    with cluster.place(name) as there:
        start = time.monotonic()
        try:
            return f"{fault(there)}; {time.monotonic() - start:.0f} s in all"
        except AssertionError as error:
            # Now, and not when the last of them has ended.
            print(f"{name}: failed after {time.monotonic() - start:.0f} s: {error}", flush=True)
            raise
