"""Scenarios in the simulated cluster: its API server and controllers on a heap of alarms."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from random import Random

from mlops.cluster.kinds import collection_of, path_of
from mlops.engine.cluster import key_of, labels_of
from mlops.planning.plan import Manifest
from tests.simulation.api_server.server import ApiServer, Change
from tests.simulation.controllers.controllers import Controllers
from tests.simulation.controllers.fates import Fates
from tests.simulation.fidelity.deeds import SCENARIO, Deeds
from tests.simulation.fidelity.record import KINDS, Event, Sequences, sequences
from tests.simulation.fidelity.scenarios import Play, Scenario, Seen
from tests.simulation.workloads import Workloads

START = datetime(2026, 3, 1, 12, 0, 20, tzinfo=UTC)


class Heap:
    """Alarms in the order of their timestamps."""

    def __init__(self) -> None:
        self._now, self._count = 0.0, 0
        self._alarms: list[tuple[float, int, Callable[[], None]]] = []

    def call_later(self, delay: float, callback: Callable[[], None]) -> object:
        self._count += 1
        heapq.heappush(self._alarms, (self._now + delay, self._count, callback))
        return None

    def time(self) -> float:
        return self._now

    def now(self) -> datetime:
        """Return the virtual timestamp."""
        return START + timedelta(seconds=self._now)

    def step(self) -> bool:
        """Ring the next alarm; return whether there was one."""
        if not self._alarms:
            return False
        self._now, _, callback = heapq.heappop(self._alarms)
        callback()
        return True


class SimulatedSite:
    """A cluster of nobody else."""

    def __init__(self, seed: int) -> None:
        self.heap, random = Heap(), Random(seed)
        self.server = ApiServer(self.heap.now, random)
        self.controllers = Controllers(
            self.server, self.heap, self.heap.now, random, Fates(), Workloads(), behaviour=Deeds()
        )
        self.events: list[Event] = []
        self.server.listen(self._changed)

    def _changed(self, change: Change) -> None:
        self.events.append(Event(change.type, change.new))

    def seen(self, scenario: str) -> Seen:
        """Return the scenario's objects."""
        found = (each for kind in KINDS for each in self.server.list(kind))
        return Seen([each for each in found if labels_of(each).get(SCENARIO) == scenario])

    def create(self, manifest: Manifest) -> Manifest:
        return self._request("POST", collection_of(key_of(manifest)), manifest)

    def delete(self, manifest: Manifest, *, policy: str | None = None, grace: int | None = None) -> None:
        options = {"propagationPolicy": policy, "gracePeriodSeconds": grace}
        body = {name: value for name, value in options.items() if value is not None}
        self._request("DELETE", path_of(key_of(manifest)), body)

    def change(self, manifest: Manifest, changes: Manifest) -> None:
        self._request("PATCH", path_of(key_of(manifest)), changes, "application/merge-patch+json")

    def evict(self, pod: Manifest) -> None:
        self.controllers.evict(key_of(pod))

    def _request(self, method: str, path: str, body: Manifest, content_type: str = "application/json") -> Manifest:
        answer = self.server.request(method, path, body=body, content_type=content_type)
        assert answer.status < 300, answer.body
        return answer.body


def played(scenario: Scenario, seed: int, *, seconds: float = 600, rest: float = 3) -> Sequences:
    """Play one scenario and return what was seen; fails if it is not over after so many virtual seconds."""
    site = SimulatedSite(seed)
    play = Play(scenario, site)
    play.begin()
    over, synced_at, idle = None, -1, 0
    while idle < 3 and (over is None or site.heap.time() < over + rest):
        if len(site.events) != synced_at or idle:
            synced_at = len(site.events)
            play.go_on(site.seen(scenario.name))
        if play.finished and over is None:
            over = site.heap.time()
        idle = 0 if site.heap.step() else idle + 1
        assert over is not None or site.heap.time() < seconds, (
            f"{scenario.name}: {sequences(site.events, scenario.name)}"
        )
    assert play.finished, f"{scenario.name}: {sequences(site.events, scenario.name)}"
    return sequences(site.events, scenario.name)


def all_played(scenarios: Iterable[Scenario], seed: int) -> dict[str, Sequences]:
    """Play each scenario in a cluster of its own."""
    return {scenario.name: played(scenario, seed) for scenario in scenarios}
