"""Every field of every kind gets other values on a live system: refused by name, or dealt with; and back again.

A real API server and the real operator; Jobs are finished and Deployments rolled out by status writes, as a cluster
does. A value that is taken must come to rest (the status is of the newest generation, nothing under way, no reconcile
ended in an error), and with the old value everything is as it was: conditions, and the children down to the digest of
what was applied. Of what is immutable a new object with the value is made instead, and deleted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from mlops.engine.comparing import APPLIED
from mlops.engine.problems import INVALID_SPEC, NAME_TAKEN
from tests.bad_input.mutations import Mutation, fields, live, mutations
from tests.cluster.programs import eventually
from tests.cluster_faults.conftest import definitions
from tests.cluster_faults.example import in_namespace, objects_of
from tests.cluster_faults.nodes import Nodes
from tests.cluster_faults.operators import Operator, operator
from tests.servers.api_proxy import api_proxy
from tests.servers.apiserver import ApiServer

pytestmark = [pytest.mark.apiserver, pytest.mark.slow, pytest.mark.timeout(1800)]

Object = dict[str, Any]
_SEED, _SAMPLE = 5, 40
_LANES = 4
_SECONDS, _QUIET_SECONDS, _POLL_SECONDS = 60.0, 0.6, 0.1
_KINDS = ("CronJob", "Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler")


@dataclass
class Lane:
    """A namespace with an operator and the objects of its own, in which one mutation after the other is tried."""

    server: ApiServer
    namespace: str
    operator: Operator

    def try_out(self, mutation: Mutation) -> str:
        """Return "refused", "converged" or "new object". Raises AssertionError."""
        manifest = in_namespace(live()[mutation.base], self.namespace)
        self.settle(manifest)
        before = self.readiness(manifest)
        errors = self.errors()
        status, answer = self.put(mutation.on(manifest))
        outcome = "converged"
        if (status == 422 and "immutable" in answer["message"]) or "into a template" in answer.get("message", ""):
            return self.try_new(mutation, manifest)
        if status >= 400:
            assert status in (400, 422), answer
            assert _named(mutation, answer["message"]), answer
            return "refused"
        self.settle(manifest)
        assert self.errors() == errors, f"{mutation.id}: a reconcile ended in an error"
        status, answer = self.put(manifest)
        assert status == 200, answer
        self.settle(manifest)
        assert self.errors() == errors, f"{mutation.id}: a reconcile ended in an error on the way back"
        assert self.readiness(manifest) == before, mutation.id
        return outcome

    def try_new(self, mutation: Mutation, manifest: Object) -> str:
        """Make an object with the value, let it come to rest, and delete it."""
        errors = self.errors()
        made = mutation.on(manifest)
        made["metadata"] = {**made["metadata"], "name": f"{manifest['metadata']['name']}-new"}
        status, answer = self.server.create(made)
        if status >= 400:
            assert _named(mutation, answer["message"]), answer
            return "refused"
        self.settle(made)
        assert self.errors() == errors, f"{mutation.id}: a reconcile ended in an error"
        assert self.server.delete(made)[0] == 200
        eventually(lambda: self.server.get(made)[0] == 404, _SECONDS)
        return "new object"

    def put(self, manifest: Object) -> tuple[int, Object]:
        """Replace the object, as `kubectl replace` does."""
        version = self.server.get(manifest)[1]["metadata"]["resourceVersion"]
        body = {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": version}}
        return self.server.request("PUT", self.server._path(manifest), body, fieldValidation="Strict")

    def settle(self, manifest: Object) -> None:
        """Wait until the status is of the newest generation and nothing has changed for a while."""
        deadline, quiet_since, seen = time.monotonic() + _SECONDS, time.monotonic(), None
        while True:
            now = self.state(manifest)
            if now != seen:
                quiet_since, seen = time.monotonic(), now
            present = self.server.get(manifest)[1]
            status = present.get("status") or {}
            of_now = status.get("observedGeneration") == present["metadata"]["generation"]
            if of_now and time.monotonic() - quiet_since > _QUIET_SECONDS:
                break
            assert time.monotonic() < deadline, f"not at rest: {status} {self.operator.log.read_text()[-2000:]}"
            time.sleep(_POLL_SECONDS)
        reasons = {each["reason"] for each in status["conditions"]}
        assert not reasons & {INVALID_SPEC, NAME_TAKEN}, status["conditions"]

    def state(self, manifest: Object) -> list[tuple[str, str, str]]:
        """Return what would change if anything was still under way in this namespace."""
        found = objects_of(self.server, self.namespace)
        return sorted((kind, name, item["metadata"]["resourceVersion"]) for (kind, name), item in found.items())

    def readiness(self, manifest: Object) -> tuple[Object, Object]:
        """Return the conditions of an object, and its children that are kept converged, by what was applied."""
        present = self.server.get(manifest)[1]
        conditions = {each["type"]: (each["status"], each["reason"]) for each in present["status"]["conditions"]}
        children = {
            (kind, name): item["metadata"].get("annotations", {}).get(APPLIED)
            for (kind, name), item in objects_of(self.server, self.namespace).items()
            if kind in _KINDS and present["metadata"]["uid"] in map(_uid, item["metadata"].get("ownerReferences", ()))
        }
        return conditions, children

    def errors(self) -> float:
        return self.operator.metric("mlops_operator_reconciles_total", 'outcome="Error"')


def _named(mutation: Mutation, message: str) -> bool:
    """Whether a refusal names the field, or another one that does not go with it: a rule between fields."""
    return mutation.field in message or mutation.path.split(".")[1] in message or "spec: Invalid value" in message


def _uid(owner: Object) -> str:
    uid: str = owner["uid"]
    return uid


@pytest.fixture(scope="module")
def lanes(apiserver: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Lane]]:
    """Namespaces side by side, in each of them every base object at rest."""
    apiserver.apply_crds(definitions())
    made = []
    with ExitStack() as stack:
        for number in range(_LANES):
            # A pool of connections of its own: the threads do not wait for each other.
            server = ApiServer(apiserver.url, apiserver.ca, apiserver.token)
            namespace = server.new_namespace()
            folder: Path = tmp_path_factory.mktemp(f"lane{number}")
            proxy = stack.enter_context(api_proxy(server.url, server.token, folder))
            stack.enter_context(Nodes(server, namespace))
            running = stack.enter_context(operator(proxy, namespace, lease=False, restart=False))
            made.append(Lane(server, namespace, running))
        for lane in made:
            for manifest in live().values():
                status, answer = lane.server.create(in_namespace(manifest, lane.namespace))
                assert status == 201, answer
        for lane in made:
            eventually(lane.operator.ready, 90)
            for manifest in live().values():
                lane.settle(in_namespace(manifest, lane.namespace))
        yield made


def _walk(lanes: list[Lane], chosen: list[Mutation]) -> dict[str, int]:
    began, counts, failed = time.monotonic(), {"refused": 0, "converged": 0, "new object": 0}, []

    def work(lane: Lane, some: list[Mutation]) -> Iterator[str]:
        for number, mutation in enumerate(some):
            if lane is lanes[0] and number % 25 == 24:
                print(f"{_LANES * number} of {len(chosen)} after {time.monotonic() - began:.0f} s", flush=True)
            try:
                yield lane.try_out(mutation)
            except AssertionError as error:
                failed.append(f"{mutation.id}: {error}"[:1500])
                print(failed[-1], flush=True)

    with ThreadPoolExecutor(_LANES) as pool:
        shares = [chosen[number::_LANES] for number in range(_LANES)]
        for outcomes in pool.map(lambda pair: list(work(*pair)), zip(lanes, shares, strict=True)):
            for outcome in outcomes:
                counts[outcome] += 1
    print(f"{fields()} fields, {len(chosen)} mutations, {time.monotonic() - began:.0f} s: {counts}")
    assert not failed, f"{len(failed)} of {len(chosen)}:\n" + "\n".join(failed)
    return counts


@pytest.mark.long
def test_a_sample_of_mutations_is_refused_or_dealt_with(lanes: list[Lane]) -> None:
    """One in some, by a seed."""
    everything = mutations()
    counts = _walk(lanes, Random(_SEED).sample(everything, _SAMPLE))
    assert all(counts.values())


@pytest.mark.long
def test_every_mutation_is_refused_or_dealt_with(lanes: list[Lane]) -> None:
    """All of them."""
    counts = _walk(lanes, mutations())
    assert sum(counts.values()) == len(mutations())
