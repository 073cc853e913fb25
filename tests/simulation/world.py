"""A whole simulated cluster with its operators, and what goes wrong in it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import fields, replace
from random import Random
from typing import Any, TypeVar

from mlops.api import labels
from mlops.api.kinds import KINDS
from mlops.engine.cluster import labels_of, owners_of
from mlops.planning.plan import Key, Manifest, Settings
from tests.planning.builders import SETTINGS
from tests.simulation.api_server.server import ApiServer, Change
from tests.simulation.controllers.controllers import Controllers
from tests.simulation.controllers.fates import Fates
from tests.simulation.invariants import Invariants, Violation
from tests.simulation.loop import Livelock, Loop
from tests.simulation.network import Network, Weather
from tests.simulation.process import Operator
from tests.simulation.users import TEAM, User
from tests.simulation.workloads import Workloads

# For so long nothing may happen before the world counts as at rest: longer than the lists that repair what was missed.
_QUIET_SECONDS = 75.0
_POLL_SECONDS = 5.0
# Without faults a step of a story takes some dozens.
_MOST_WRITES = 1_500
_TIME = re.compile(r"-\d{12}\b")
Item = TypeVar("Item")


class World:
    """`seed` decides every delay. Faults come from outside, through the methods of the second half."""

    def __init__(self, seed: int, *, replicas: int = 1, releases: tuple[Settings, ...] = (SETTINGS,)) -> None:
        self.random = Random(f"world {seed}")
        self.loop = Loop()
        self.server = ApiServer(self.loop.now, Random(f"server {seed}"))
        self.network = Network(self.loop, self.server, Random(f"network {seed}"))
        self.workloads, self.fates = Workloads(), Fates()
        self.controllers = Controllers(
            self.server, self.loop, self.loop.now, Random(f"controllers {seed}"), self.fates, self.workloads
        )
        self.user = User(self.server, self.loop)
        self.invariants = Invariants(self.server, self.loop.time, self.workloads)
        self.network.arriving = self._arriving
        self.operators: list[Operator] = []
        self.weather = [Weather() for _ in range(replicas)]
        self._started = 0
        self._releases = releases
        for each in releases:
            self.workloads.environments[each.image] = each.environment_digest
        self._gone: list[Operator] = []
        # When something last changed, or the faults ended: until a while later nobody can say that nothing follows.
        self._changed_at = 0.0
        self._others_changes = 0
        # Of operators: since the user did something last, and since the beginning.
        self._writes = self._write_requests = 0
        self._last_write = ""
        # Of a process that is to be killed at one of its next writes: how many are left, and whether that one arrives.
        self._doomed: dict[int, tuple[int, bool]] = {}
        # Likewise of one that is to be stopped, and for how long.
        self._drowsy: dict[int, tuple[int, float]] = {}
        # Likewise of one whose write is lost on its way, with those after it.
        self._losing: dict[int, tuple[int, int]] = {}
        self.server.listen(self._note)
        for slot in range(replicas):
            self.operators.append(self._start(slot))

    # --- what is there ---

    @property
    def steps(self) -> int:
        """Return how much has happened: requests of operators, events they saw, changes that others made."""
        seen = sum(
            watch.delivered
            for operator in (*self.operators, *self._gone)
            if operator.watches
            for watch in operator.watches.by_kind.values()
        )
        return self.network.requests + seen + self._others_changes

    def reason(self, kind: str, name: str) -> str:
        """Return the reason of an object's Ready, if its present spec was looked at."""
        manifest = self.server.get(Key(kind, TEAM, name))
        status = (manifest or {}).get("status") or {}
        if manifest is None or status.get("observedGeneration") != manifest["metadata"].get("generation"):
            return ""
        ready = next((each for each in status.get("conditions", ()) if each["type"] == "Ready"), {})
        return str(ready.get("reason", ""))

    def is_owned(self, key: Key) -> bool:
        """Return whether an object has an owner that is there to stay."""
        owners = owners_of(self.server.get(key) or {"metadata": {}})
        there = [(self.server.get(Key(owner["kind"], key.namespace, owner["name"])), owner) for owner in owners]
        return any(
            manifest is not None
            and manifest["metadata"]["uid"] == owner["uid"]
            and not manifest["metadata"].get("deletionTimestamp")
            for manifest, owner in there
        )

    def shuffled(self, items: Iterable[Item]) -> list[Item]:
        """Return the items in an order of this seed."""
        return self.random.sample(found := list(items), len(found))

    @property
    def at_rest(self) -> bool:
        """Return whether nothing happens any more until somebody does something."""
        return (
            self.loop.time() - self._changed_at > _QUIET_SECONDS
            and self.controllers.settled
            and all(each.alive and each.idle and each.controller.queue.next_requeue is None for each in self.operators)
        )

    def picture(self) -> dict[str, Any]:
        """Return what has to be the same however much went wrong on the way: no times, no names made of them."""
        found: dict[str, Any] = {}
        for kind in KINDS:
            for manifest in self.server.list(kind):
                found[f"{kind}/{_without_time(manifest['metadata']['name'])}"] = _essence(manifest)
        for kind in ("Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler", "CronJob"):
            for manifest in self.server.list(kind):
                template = manifest["spec"].get("template", {}) if kind == "Deployment" else {}
                found[f"{kind}/{manifest['metadata']['name']}"] = [
                    labels_of(template).get(labels.MODEL_VERSION) if template else None,
                    manifest["spec"].get("replicas"),
                    manifest["spec"].get("suspend"),
                    sorted(each["name"] for each in manifest["metadata"].get("ownerReferences", ())),
                ]
        return found

    # --- time goes on ---

    def run(self, seconds: float) -> None:
        """Let time go on; raises Violation."""
        try:
            self.loop.run_until(self.loop.time() + seconds, self._broken)
        except Livelock as error:
            raise Violation("NothingSpins", str(error)) from error
        self._raise()

    def come_to_rest(self, minutes: float, ends: Any = None) -> None:
        """Let time go on until the world is at rest, and `ends` holds; raises Violation if that takes too long."""
        until = self.loop.time() + 60.0 * minutes
        while not (self.at_rest and (ends is None or ends(self))):
            if self.loop.time() > until:
                raise Violation("ComesToRest", self._why_not())
            self.run(_POLL_SECONDS)

    def check_rest(self) -> None:
        """Check that nothing is left open, and that looking at everything again writes nothing."""
        self.invariants.at_rest()
        before = self._write_requests
        for operator in self.operators:
            if operator.lease.held:
                self.loop.spawn(operator, operator.controller.resync)
        jobs = len(self.server.list("Job"))
        self.run(20.0)
        if len(self.server.list("Job")) == jobs and self._write_requests != before:
            raise Violation("NoWriteAtRest", f"{self._write_requests - before} writes, the last: {self._last_write}")

    def close(self) -> None:
        """End everything."""
        self.network.closed = True
        self.loop.close()

    # --- what goes wrong ---

    def change_weather(self, slot: int, seconds: float, **changes: Any) -> None:
        """Let the network of one process be bad for a while."""
        weather = self.weather[slot % len(self.weather)]
        fine = {each.name: each.default for each in fields(Weather) if each.name in changes}
        _set(weather, changes)
        self.loop.call_later(seconds, lambda: _set(weather, fine))

    def change_fates(self, seconds: float, **changes: float) -> None:
        """Let pods fare badly for a while."""
        _set(self.fates, changes)
        self.loop.call_later(seconds, lambda: _set(self.fates, dict.fromkeys(changes, 0.0)))

    def cut(self, slot: int, kinds: list[str], seconds: float, *, expired: bool) -> None:
        """Cut watches of one process for a while."""
        operator = self._operator(slot)
        if operator.alive and operator.watches:
            operator.watches.broken(tuple(kinds), seconds, expired=expired)

    def stall(self, slot: int, kind: str, seconds: float) -> None:
        """Hold back the events of one watch."""
        operator = self._operator(slot)
        if operator.alive and operator.watches:
            operator.watches.by_kind[kind].stall(seconds)

    def silence(self, slot: int, kinds: list[str], seconds: float) -> None:
        """Lose the events of some watches, which stay open."""
        operator = self._operator(slot)
        if operator.alive and operator.watches:
            for kind in kinds:
                operator.watches.by_kind[kind].silence(seconds)

    def kill(self, slot: int) -> None:
        """SIGKILL."""
        operator = self._operator(slot)
        if operator.alive:
            operator.kill()

    def kill_at_write(self, slot: int, count: int, *, after: bool) -> None:
        """SIGKILL when the count-th write from now arrives: before the server carries it out, or after."""
        self._doomed[slot % len(self.operators)] = (count, after)

    def pause_at_write(self, slot: int, count: int, seconds: float) -> None:
        """SIGSTOP when the count-th write from now arrives: its answer and what follows wait for the SIGCONT."""
        self._drowsy[slot % len(self.operators)] = (count, seconds)

    def lose_writes(self, slot: int, count: int, number: int) -> None:
        """Lose a number of writes, the first of them the count-th from now."""
        self._losing[slot % len(self.operators)] = (count, number)

    def terminate(self, slot: int) -> None:
        """SIGTERM."""
        operator = self._operator(slot)
        if operator.alive:
            operator.terminate()

    def upgrade(self) -> None:
        """Install another workload image: every process ends, and those that come after it are of the next release."""
        later = replace(self._releases[-1], image=f"{self._releases[-1].image}-upgraded")
        self.workloads.environments[later.image] = later.environment_digest
        self._releases = (*self._releases, later)
        for slot in range(len(self.operators)):
            self.terminate(slot)

    def pause(self, slot: int, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after a while."""
        operator = self._operator(slot)
        if operator.alive:
            operator.paused = True
            self.loop.call_later(seconds, lambda: self.loop.resume(operator))

    def begin_step(self) -> None:
        """The user does something: writes are counted again."""
        self._writes = 0

    def calm(self) -> None:
        """Let everything be well from now on; what has died is started again."""
        for weather in self.weather:
            _set(weather, {each.name: each.default for each in fields(Weather)})
        _set(self.fates, {each.name: 0.0 for each in fields(Fates)})
        self._doomed.clear()
        self._drowsy.clear()
        self._losing.clear()
        self._changed_at = self.loop.time()
        for operator in self.operators:
            if operator.paused:
                self.loop.resume(operator)

    # --- inside ---

    def _operator(self, slot: int) -> Operator:
        return self.operators[slot % len(self.operators)]

    def _start(self, slot: int) -> Operator:
        self._started += 1
        later = slot > 0 or self._started > len(self.weather)
        operator = Operator(
            f"operator-{slot}-{self._started}",
            self.loop,
            self.server,
            self.network,
            self.weather[slot],
            Random(self.random.random()),
            replace(self._releases[-1 if later else 0]),
            skew=self.random.uniform(-2.0, 2.0),
        )
        operator.learning = self.invariants.learning
        operator.start()
        self._watch_over(slot, operator)
        return operator

    def _watch_over(self, slot: int, operator: Operator) -> None:
        """Start a process again when it has ended, as a kubelet does."""

        def visit() -> None:
            if operator.exit_code is None:
                self.loop.call_later(1.0, visit)
                return
            if operator.error is not None and self.invariants.violation is None:
                self.invariants.violation = Violation("NoCrash", f"{operator.name}: {operator.error!r}")
            self._gone.append(operator)
            self.operators[slot] = self._start(slot)

        self.loop.call_later(1.0, visit)

    def _arriving(self, user: str, method: str, path: str, body: Manifest | None) -> bool:
        """Return whether a request is carried out."""
        if method != "GET" and "/leases" not in path:
            self._write_requests += 1
            self._last_write = f"{user} {method} {path}"
            self._writes += 1
            if self._writes > _MOST_WRITES and self.invariants.violation is None:
                self.invariants.violation = Violation("WritesAreBounded", f"{self._writes} writes for one step")
            for slot, (count, seconds) in list(self._drowsy.items()):
                if self.operators[slot].name == user:
                    self._drowsy[slot] = (count - 1, seconds)
                    if count <= 1:
                        del self._drowsy[slot]
                        self.pause(slot, seconds)
            for slot, (count, number) in list(self._losing.items()):
                if self.operators[slot].name != user:
                    continue
                if count > 1:
                    self._losing[slot] = (count - 1, number)
                    continue
                self._losing[slot] = (1, number - 1)
                if number <= 1:
                    del self._losing[slot]
                return False
            for slot, (count, after) in list(self._doomed.items()):
                if self.operators[slot].name != user:
                    continue
                self._doomed[slot] = (count - 1, after)
                if count <= 1:
                    del self._doomed[slot]
                    self.operators[slot].kill()
                    if not after:
                        return False
        self.invariants.arriving(user, method, path, body)
        return True

    def _note(self, change: Change) -> None:
        if change.key.kind not in ("Lease", "Event"):
            self._changed_at = self.loop.time()
        if not change.user.startswith("operator"):
            self._others_changes += 1

    def _broken(self) -> bool:
        return self.invariants.violation is not None

    def _raise(self) -> None:
        if self.invariants.violation is not None:
            raise self.invariants.violation
        for operator in (*self.operators, *self._gone):
            if errors := operator.outcomes["Error"]:
                raise Violation("NoBugInAPlan", f"{errors} reconciles of {operator.name} ended in an exception")
        if self.loop.errors:
            raise Violation("NoCrash", str(self.loop.errors[0]))

    def _why_not(self) -> str:
        said = [f"changed {self.loop.time() - self._changed_at:.0f} s ago"]
        if not self.controllers.settled:
            said.append("the cluster's controllers work")
        for operator in self.operators:
            queue = operator.controller.queue
            state = "alive" if operator.alive else "dead"
            said.append(f"{operator.name} is {state}, busy with {queue.busy_with}, looks again {queue.next_requeue}")
        for kind in KINDS:
            for manifest in self.server.list(kind):
                name = manifest["metadata"]["name"]
                said.append(f"{kind} {name}: {self.reason(kind, name) or 'not observed'}")
        return "; ".join(said)


def _set(target: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(target, name, value)


def _without_time(name: str) -> str:
    return _TIME.sub("-<time>", name)


_ESSENTIAL = {
    "Dataset": ("version", "digest", "artifact", "schemaDigest", "rows"),
    "TrainingRun": ("inputsDigest", "outputDigest", "metrics"),
    "ModelVersion": ("artifact", "stage", "stages", "passedStages", "failedStages", "url"),
    "DriftMonitor": ("circuit", "rejectedInARow"),
}


def _essence(manifest: Manifest) -> dict[str, Any]:
    status = manifest.get("status") or {}
    ready = [
        [each["status"], each["reason"]]
        for each in status.get("conditions", ())
        if each["type"] in ("Ready", "Stalled")
    ]
    found = {name: status.get(name) for name in _ESSENTIAL[manifest["kind"]]}
    if "Superseded" in [reason for _, reason in ready]:
        # How far it got before the newer one was faster is a matter of time.
        found.pop("passedStages", None)
    if "VersionConflict" in [reason for _, reason in ready]:
        # It may have been looked at before the other one was seen.
        found.pop("artifact", None)
    return {**found, "ready": ready, "generation": manifest["metadata"].get("generation")}
