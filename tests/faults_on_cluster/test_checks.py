"""The clockwork of drift checks in a real cluster: checks that cannot start, and windows without requests."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from itertools import pairwise

import pytest

from mlops.api.base import parse_time
from mlops.api.tasks import scheduled_time
from tests.e2e_cluster.kubectl import condition
from tests.faults_on_cluster import example
from tests.faults_on_cluster.conftest import Cluster
from tests.faults_on_cluster.place import Object, Place

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.timeout(1200),
    pytest.mark.xdist_group("cluster"),
]

EVERY_MINUTE = example.LOOP.replace('"0 0 1 1 *"', '"* * * * *"')
NO_MORE_PODS = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "no-more-pods"},
    "spec": {"hard": {"pods": "0"}},
}


def test_checks_do_not_overlap_and_are_not_made_up_for(cluster: Cluster) -> None:
    """F41, F42: for minutes no pod may start. Never are there two unfinished checks, what was missed is not made up
    for, each scheduled time has one result; and a window without requests is Inconclusive, which calls for nothing."""
    with cluster.place("F41 F42") as there:
        example.deploy(there, EVERY_MINUTE)
        _wait_for_checks(there, 1)
        there.apply(json.dumps(NO_MORE_PODS))
        held = there.takes("a check that cannot start", lambda: _unfinished(there), 90)
        names, most, until = set[str](), 0, time.monotonic() + 150
        while time.monotonic() < until:
            unfinished = _unfinished(there)
            names |= {job["metadata"]["name"] for job in unfinished}
            most = max(most, len(unfinished))
            time.sleep(0.5)
        assert (most, len(names)) == (1, 1), names
        there("delete", "resourcequota", "no-more-pods")
        checks = _wait_for_checks(there, len(_checks(there)) + 2)
        times = [parse_time(check["time"]) for check in checks]
        assert len(set(times)) == len(times)
        assert any(later - earlier >= timedelta(minutes=2) for later, earlier in pairwise(times))
        (waited,) = names
        assert scheduled_time(waited) * 60 in {int(timestamp.timestamp()) for timestamp in times}
        assert {check["verdict"] for check in checks} == {"Inconclusive"}
        monitor = there.get("driftmonitor", "parts")
        assert condition(monitor, "Ready")["status"] == "True"
        assert "lastAction" not in monitor["status"]
        assert all(condition(monitor, kind).get("status") != "True" for kind in ("DataDriftDetected", "Stalled"))
        print(f"F41 F42: held after {held:.0f} s; {len(times)} checks, one of them over the times of two others")


def _unfinished(there: Place) -> list[Object]:
    checks = there.jobs(monitor="parts")
    return [job for job in checks if not any(c["status"] == "True" for c in job["status"].get("conditions", ()))]


def _checks(there: Place) -> list[Object]:
    found: list[Object] = there.get("driftmonitor", "parts")["status"].get("history", [])
    return found


def _wait_for_checks(there: Place, number: int) -> list[Object]:
    there.takes(f"{number} checks", lambda: len(_checks(there)) >= number, 240)
    return _checks(there)


def test_nothing_of_it_surprised_the_operator(cluster: Cluster) -> None:
    """No traceback in a log, one restart at most."""
    assert cluster.surprises() == []
