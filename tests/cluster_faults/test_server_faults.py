"""Faults of a real API server and a real etcd: history that is compacted away, kinds that go, a server that is killed.

One server of its own for this, and one fault after the other. It keeps no watch cache, so that a watch asks etcd for
its history and really gets the error that an old position leads to.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import urllib3

from tests.cluster.programs import eventually
from tests.cluster_faults.conftest import definitions
from tests.cluster_faults.example import in_namespace
from tests.cluster_faults.scale import FAULT_SECONDS, RECOVERY_SECONDS
from tests.cluster_faults.trial import Outcome, trial
from tests.engine.objects import a_dataset
from tests.servers.api_proxy import ApiProxy, Refuse
from tests.servers.apiserver import ApiServer, etcd, prepared_api_server
from tests.servers.process import running

pytestmark = [pytest.mark.apiserver, pytest.mark.slow, pytest.mark.timeout(900)]


@dataclass
class Machine:
    """An etcd, and an API server on it that can be killed and started again at the same address."""

    folder: Path
    etcd_url: str
    server: ApiServer
    command: list[str]

    def __post_init__(self) -> None:
        self._stack = ExitStack()

    def start(self) -> None:
        log = self.folder / "kube-apiserver.log"
        self._process = self._stack.enter_context(running(self.command, self.server.answers, log))

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        self._stack.close()

    def compact(self) -> None:
        """Forget all history, as the API server has etcd do every five minutes."""
        http = urllib3.PoolManager(retries=False, timeout=10)
        now = http.request("POST", self.etcd_url + "/v3/kv/range", body=json.dumps({"key": "AA=="})).json()
        revision = now["header"]["revision"]
        answer = http.request(
            "POST", self.etcd_url + "/v3/kv/compaction", body=json.dumps({"revision": revision, "physical": True})
        )
        assert answer.status == 200, answer.data


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("machine")
    with etcd(folder) as url:
        machine = Machine(folder, url, *prepared_api_server(folder, url, {"watch-cache": "false"}))
        try:
            machine.start()
            machine.server.apply_crds(definitions())
            yield machine
        finally:
            machine.close()


def check(outcome: Outcome, name: str, restarts: int = 1) -> None:
    print(f"{name}: recovered {outcome.recovered:.1f} s after, {outcome.restarts} restarts")
    assert not outcome.problems, outcome.log
    assert outcome.recovered <= RECOVERY_SECONDS, outcome.log
    assert outcome.restarts <= restarts, outcome.log
    assert outcome.jobs == {"before": 1, "during": 1, "after": 1}
    assert "Versioned" in outcome.events


def test_history_that_was_compacted_away(machine: Machine, tmp_path: Path) -> None:
    """F7: while the operator is cut off, much happens and etcd forgets it; its watches get 410 in the stream."""

    @contextmanager
    def compacted(proxy: ApiProxy, server: ApiServer, namespace: str) -> Iterator[None]:
        with proxy.fault(Refuse()):
            yield
            for number in range(20):
                note = {"metadata": {"labels": {"note": str(number)}}}
                assert server.patch(in_namespace(a_dataset("before"), namespace), note)[0] == 200
            machine.compact()

    outcome = trial(machine.server, tmp_path, compacted, 4.0, within=RECOVERY_SECONDS)
    check(outcome, "F7 compaction")
    assert outcome.expired > 0


def test_a_kind_that_goes_and_comes_back(machine: Machine, tmp_path: Path) -> None:
    """F5: the CustomResourceDefinition of DriftMonitors is deleted and applied again."""
    monitors = next(each for each in definitions() if each["metadata"]["name"].startswith("driftmonitors"))

    @contextmanager
    def gone(proxy: ApiProxy, server: ApiServer, namespace: str) -> Iterator[None]:
        assert server.delete(monitors)[0] == 200
        eventually(lambda: server.get(monitors)[0] == 404, 30)
        yield
        server.apply_crds([monitors])

    check(trial(machine.server, tmp_path, gone, 8.0, within=RECOVERY_SECONDS), "F5 kind deleted")


def test_an_api_server_that_is_killed(machine: Machine, tmp_path: Path) -> None:
    """F12: SIGKILL, and a new process at the same address some time later."""

    @contextmanager
    def killed(proxy: ApiProxy, server: ApiServer, namespace: str) -> Iterator[None]:
        machine.kill()
        time.sleep(FAULT_SECONDS)
        machine.start()
        yield  # nobody can change anything before

    check(trial(machine.server, tmp_path, killed, 1.0, within=RECOVERY_SECONDS), "F12 API server killed")
