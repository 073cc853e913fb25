"""Who may write, of several operators: the Lease."""

from __future__ import annotations

import asyncio
import copy
import heapq
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest

from mlops.cluster.lease import Lease, LeaseLost
from mlops.cluster.lease_api import owners_from
from mlops.engine.cluster import Conflict, Unavailable
from mlops.planning.plan import Key
from tests.cluster.access import token_for
from tests.servers.apiserver import ApiServer

Object = dict[str, Any]
KEY = Key("Lease", "default", "mlops-operator")


class Time:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []
        self._order = count()

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.Event()
        heapq.heappush(self._sleepers, (self.seconds + seconds, next(self._order), woken))
        await woken.wait()

    async def settle(self) -> None:
        for _ in range(12):
            await asyncio.sleep(0)

    async def pass_by(self, seconds: float) -> None:
        end = self.seconds + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            at, _, woken = heapq.heappop(self._sleepers)
            self.seconds = max(self.seconds, at)
            woken.set()
            await self.settle()
        self.seconds = max(self.seconds, end)


class Skewed:
    """One machine's view of the time: its wall clock is off, and its process can be stopped."""

    def __init__(self, time: Time, off: timedelta = timedelta(0)) -> None:
        self._time, self._off = time, off
        self.going_on = asyncio.Event()
        self.going_on.set()

    def monotonic(self) -> float:
        return self._time.monotonic()

    def now(self) -> datetime:
        return self._time.now() + self._off

    async def sleep(self, seconds: float) -> None:
        await self._time.sleep(seconds)
        await self.going_on.wait()


class Server:
    """The Lease as a server keeps it: guarded by its resourceVersion."""

    def __init__(self) -> None:
        self.lease: Object | None = None
        self.writes: list[tuple[str, Object]] = []
        self._versions = count(1)

    def edit(self, **spec: Any) -> None:
        assert self.lease is not None
        self.store({**self.lease, "spec": {**self.lease["spec"], **spec}})

    def store(self, lease: Object) -> Object:
        lease = copy.deepcopy(lease)
        lease["metadata"] |= {"resourceVersion": str(next(self._versions))}
        self.lease = lease
        return copy.deepcopy(lease)


class Port:
    """One candidate's way to the server; `broken` answers nothing useful, `deaf` does it and loses the answer."""

    def __init__(self, server: Server, name: str) -> None:
        self._server, self._name = server, name
        self.broken = self.deaf = False
        self.requests = 0

    def _ask(self) -> None:
        self.requests += 1
        if self.broken:
            raise Unavailable(KEY, "503")

    def _answer(self, lease: Object) -> Object:
        self._server.writes.append((self._name, lease["spec"]))
        if self.deaf:
            raise Unavailable(KEY, "the connection was reset")
        return lease

    async def get(self) -> Object | None:
        self._ask()
        return copy.deepcopy(self._server.lease)

    async def create(self, lease: Object) -> Object:
        self._ask()
        if self._server.lease is not None:
            raise Conflict(KEY, "there is one")
        return self._answer(self._server.store(lease))

    async def replace(self, lease: Object) -> Object:
        self._ask()
        present = self._server.lease
        if present is None or present["metadata"]["resourceVersion"] != lease["metadata"]["resourceVersion"]:
            raise Conflict(KEY, "changed")
        return self._answer(self._server.store(lease))


class Candidate:
    """An operator as far as the Lease goes."""

    def __init__(self, world: World, name: str, off: timedelta = timedelta(0)) -> None:
        self.clock = Skewed(world.time, off)
        self.port = Port(world.server, name)
        self.lease = Lease(
            self.port,
            namespace="default",
            name="mlops-operator",
            identity=name,
            clock=self.clock,
            random=Random(name),
        )
        self.running = asyncio.create_task(self.lease.run())

    @property
    def held(self) -> bool:
        return self.lease.held

    @property
    def lost(self) -> bool:
        return self.running.done() and isinstance(self.running.exception(), LeaseLost)

    def kill(self) -> None:
        self.running.cancel()


class World:
    def __init__(self) -> None:
        self.time, self.server = Time(), Server()
        self.candidates: list[Candidate] = []

    def start(self, name: str, **options: Any) -> Candidate:
        candidate = Candidate(self, name, **options)
        self.candidates.append(candidate)
        return candidate

    async def pass_by(self, seconds: float, step: float = 0.1) -> None:
        """Let time pass; at no time may two processes hold the Lease."""
        end = self.time.seconds + seconds
        while self.time.seconds < end:
            await self.time.pass_by(min(step, end - self.time.seconds))
            assert sum(candidate.held for candidate in self.candidates) <= 1

    async def until(self, candidate: Candidate, most: float = 60) -> float:
        """The seconds until the candidate holds the Lease."""
        start = self.time.seconds
        while not candidate.held:
            await self.pass_by(0.1)
            assert self.time.seconds - start < most
        return self.time.seconds - start


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    for candidate in world.candidates:
        candidate.kill()
    await asyncio.gather(*(candidate.running for candidate in world.candidates), return_exceptions=True)


async def test_the_first_one_has_it_at_once_and_keeps_it(world: World) -> None:
    first = world.start("a")
    await world.pass_by(0.1)
    assert first.held
    await first.lease.acquired()
    second = world.start("b")
    await world.pass_by(120)
    assert first.held
    assert not second.held
    assert second.lease.holder == "a"


async def test_the_object_is_a_lease_as_others_read_it(world: World) -> None:
    """`kubectl get lease` and client-go read these fields."""
    world.start("a")
    await world.pass_by(3)
    lease = world.server.lease
    assert lease is not None
    assert (lease["apiVersion"], lease["kind"]) == ("coordination.k8s.io/v1", "Lease")
    assert lease["metadata"] | {"resourceVersion": ""} == {
        "name": "mlops-operator",
        "namespace": "default",
        "resourceVersion": "",
    }
    spec = lease["spec"]
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"], spec["leaseTransitions"]) == ("a", 15, 0)
    assert spec["acquireTime"] == "2026-01-01T00:16:40.000000Z"
    assert spec["renewTime"] > spec["acquireTime"]


async def test_a_renewal_is_one_request(world: World) -> None:
    first = world.start("a")
    await world.pass_by(1)
    before = first.port.requests
    await world.pass_by(60)
    assert 28 <= first.port.requests - before <= 31


async def test_a_killed_holder_is_followed_within_twenty_seconds(world: World) -> None:
    first = world.start("a")
    await world.pass_by(10)
    second = world.start("b")
    await world.pass_by(5.5)
    first.kill()
    waited = await world.until(second)
    assert 12 < waited <= 18
    assert world.server.lease is not None
    assert world.server.lease["spec"]["leaseTransitions"] == 1


async def test_a_released_lease_is_taken_within_two_seconds(world: World) -> None:
    first, second = world.start("a"), world.start("b")
    await world.pass_by(10)
    assert first.held
    await first.lease.release()
    assert not first.held
    assert world.server.lease is not None
    assert world.server.lease["spec"]["holderIdentity"] == ""
    assert await world.until(second) <= 2.1
    await world.pass_by(30)
    assert first.running.done()
    assert not first.lost


@pytest.mark.parametrize(
    "off",
    [
        pytest.param(timedelta(hours=-3), id="slow clock"),
        pytest.param(timedelta(hours=3), id="fast clock"),
    ],
)
async def test_wall_clocks_that_disagree_change_nothing(world: World, off: timedelta) -> None:
    """Only what a candidate has seen itself, on its own monotonic clock, counts."""
    first = world.start("a", off=off)
    await world.pass_by(1)
    second = world.start("b")
    await world.pass_by(60)
    assert first.held
    first.kill()
    assert 12 < await world.until(second) <= 18


async def test_a_paused_holder_has_lost_it_before_it_does_anything(world: World) -> None:
    first, second = world.start("a"), world.start("b")
    await world.pass_by(10)
    first.clock.going_on.clear()
    await world.pass_by(40)
    assert second.held
    assert not first.held
    requests = first.port.requests
    first.clock.going_on.set()
    await world.pass_by(5)
    assert first.lost
    assert first.port.requests == requests
    await first.lease.release()
    assert first.port.requests == requests
    assert second.held


async def test_a_holder_that_cannot_renew_stops_before_another_starts(world: World) -> None:
    first, second = world.start("a"), world.start("b")
    await world.pass_by(10)
    first.port.broken = True
    await world.pass_by(8.5)
    assert not second.held
    await world.pass_by(2)
    assert first.lost
    assert not second.held
    assert await world.until(second) <= 8


async def test_an_outage_shorter_than_the_deadline_is_bridged(world: World) -> None:
    first = world.start("a")
    await world.pass_by(10)
    first.port.broken = True
    await world.pass_by(7)
    first.port.broken = False
    await world.pass_by(30)
    assert first.held


async def test_an_answer_that_got_lost_does_not_confuse(world: World) -> None:
    """The server has carried it out, and the holder has not heard of it."""
    first = world.start("a")
    first.port.deaf = True
    await world.pass_by(0.1)
    assert not first.held
    first.port.deaf = False
    assert await world.until(first) <= 2.1
    first.port.deaf = True
    await world.pass_by(3)
    first.port.deaf = False
    await world.pass_by(60)
    assert first.held
    assert world.server.lease is not None
    assert world.server.lease["spec"]["leaseTransitions"] == 0


async def test_a_restart_under_the_same_name_goes_on(world: World) -> None:
    """A container that is restarted in its pod has the same name, and its forerunner is dead."""
    first = world.start("a")
    await world.pass_by(10)
    first.kill()
    world.candidates.remove(first)
    again = world.start("a")
    assert await world.until(again) <= 0.2


async def test_a_lease_that_was_taken_by_hand_is_lost(world: World) -> None:
    first = world.start("a")
    await world.pass_by(10)
    world.server.edit(holderIdentity="somebody")
    await world.pass_by(2.1)
    assert first.lost
    assert world.server.writes[-1][0] == "a"
    again = world.start("a")
    assert await world.until(again) <= 17


async def test_a_lease_that_was_emptied_by_hand_is_lost(world: World) -> None:
    first = world.start("a")
    await world.pass_by(10)
    world.server.edit(holderIdentity="")
    await world.pass_by(2.1)
    assert first.lost
    again = world.start("b")
    assert await world.until(again) <= 0.2


async def test_a_deleted_lease_is_made_again_by_its_holder(world: World) -> None:
    """The others know that it was held just now and leave its holder the time."""
    first, second = world.start("a"), world.start("b")
    await world.pass_by(10)
    assert first.held
    for _ in range(10):
        world.server.lease = None
        await world.pass_by(2.3)
        assert world.server.lease is not None
    assert first.held
    assert not second.held


async def test_a_deleted_lease_of_a_dead_holder_is_made_by_another(world: World) -> None:
    first, second = world.start("a"), world.start("b")
    await world.pass_by(10)
    first.kill()
    world.server.lease = None
    assert 10 < await world.until(second) <= 17


async def test_an_edited_note_on_the_lease_changes_nothing(world: World) -> None:
    first = world.start("a")
    await world.pass_by(10)
    assert world.server.lease is not None
    world.server.store({**world.server.lease, "metadata": {**world.server.lease["metadata"], "labels": {"note": "x"}}})
    await world.pass_by(10)
    assert first.held
    assert world.server.lease["metadata"]["labels"] == {"note": "x"}


async def test_another_s_longer_duration_is_respected(world: World) -> None:
    """During an upgrade the two versions need not agree."""
    first = world.start("a")
    await world.pass_by(0.5)
    first.kill()
    world.candidates.remove(first)
    world.server.edit(holderIdentity="of a version with longer terms", leaseDurationSeconds=40)
    second = world.start("b")
    assert 39 < await world.until(second) <= 42.5


async def test_a_release_right_after_a_cut_off_write_finds_it(world: World) -> None:
    first = world.start("a")
    first.port.deaf = True
    await world.pass_by(0.1)
    first.kill()
    first.port.deaf = False
    await first.lease.release()
    assert world.server.lease is not None
    assert world.server.lease["spec"]["holderIdentity"] == ""


async def test_one_that_never_held_it_releases_nothing(world: World) -> None:
    first, second = world.start("a"), world.start("b")
    await world.pass_by(10)
    requests = second.port.requests
    await second.lease.release()
    assert second.port.requests == requests
    assert first.held


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_happens_never_two(world: World, seed: int) -> None:
    """Pauses, outages, lost answers, kills and restarts of three candidates; `pass_by` checks at every step."""
    random = Random(seed)
    numbers = count()
    for _ in range(3):
        world.start(f"candidate-{next(numbers)}")
    held = 0
    for _ in range(120):
        one = random.choice(world.candidates)
        match random.randrange(5):
            case 0:
                one.clock.going_on.clear()
            case 1:
                one.clock.going_on.set()
            case 2:
                one.port.broken = not one.port.broken
            case 3:
                one.port.deaf = not one.port.deaf
            case 4 if random.random() < 0.3:
                one.kill()
        for dead in [each for each in world.candidates if each.running.done()]:
            world.candidates.remove(dead)
            world.start(f"candidate-{next(numbers)}")
        await world.pass_by(random.uniform(0.1, 6), step=0.5)
        held += any(each.held for each in world.candidates)
    assert held > 10


class OnServer:
    """The port on a real API server."""

    def __init__(self, server: ApiServer, namespace: str) -> None:
        self._server = server
        self._name = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": "mlops-operator", "namespace": namespace},
        }

    async def get(self) -> Object | None:
        status, answer = await asyncio.to_thread(self._server.get, self._name)
        return None if status == 404 else answer

    async def create(self, lease: Object) -> Object:
        status, answer = await asyncio.to_thread(self._server.create, lease)
        return self._checked(status, answer)

    async def replace(self, lease: Object) -> Object:
        path = "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}".format(**lease["metadata"])
        status, answer = await asyncio.to_thread(self._server.request, "PUT", path, lease)
        return self._checked(status, answer)

    def _checked(self, status: int, answer: Object) -> Object:
        # A Lease that is replaced with a resourceVersion and is gone is a 409 or a 404, by the server's version.
        if status in (404, 409):
            raise Conflict(KEY, answer["message"])
        if status not in (200, 201):
            raise Unavailable(KEY, answer["message"])
        return answer

    def delete(self) -> None:
        assert self._server.delete(self._name)[0] == 200

    def edit(self, **spec: Any) -> None:
        assert self._server.patch(self._name, {"spec": spec})[0] == 200


@pytest.mark.apiserver
@pytest.mark.slow
async def test_two_contend_on_a_real_api_server(apiserver: ApiServer, namespace: str) -> None:
    """Start, deletion by hand, release, being taken by hand: with terms of 3 s, 2 s and 0.4 s, to be quick."""
    port = OnServer(apiserver, namespace)
    leases = {
        name: Lease(port, namespace=namespace, name="mlops-operator", identity=name, duration=3, renew=2, retry=0.4)
        for name in ("a", "b")
    }
    tasks = {name: asyncio.create_task(lease.run()) for name, lease in leases.items()}

    async def holder(among: str = "ab", seconds: float = 5) -> str:
        async with asyncio.timeout(seconds):
            while True:
                holders = [name for name, lease in leases.items() if lease.held]
                assert len(holders) <= 1
                if holders and holders[0] in among:
                    return holders[0]
                await asyncio.sleep(0.02)

    first = await holder()
    second = "b" if first == "a" else "a"
    await asyncio.sleep(1)
    stored = await port.get()
    assert stored is not None
    assert stored["spec"]["holderIdentity"] == first
    assert stored["spec"]["renewTime"] > stored["spec"]["acquireTime"]

    port.delete()
    await asyncio.sleep(1.5)
    assert await holder() == first
    assert await port.get() is not None

    await leases[first].release()
    assert await holder(second, seconds=1) == second
    await tasks[first]

    port.edit(holderIdentity="somebody", leaseDurationSeconds=3)
    with pytest.raises(LeaseLost, match="somebody has it"):
        await asyncio.wait_for(tasks[second], 2)
    assert not leases[second].held

    third = Lease(port, namespace=namespace, name="mlops-operator", identity="c", duration=3, renew=2, retry=0.4)
    leases["c"] = third
    task = asyncio.create_task(third.run())
    assert await holder("c", seconds=4) == "c"
    await third.release()
    await task
    stored = await port.get()
    assert stored is not None
    assert (stored["spec"].get("holderIdentity", ""), stored["spec"]["leaseTransitions"]) == ("", 2)


@pytest.mark.apiserver
@pytest.mark.slow
def test_the_lease_belongs_to_the_service_account_that_a_token_names(
    apiserver: ApiServer, namespace: str, tmp_path: Path
) -> None:
    """Helm did not make it and would leave it behind; so it goes with the account, in the account's namespace only."""
    (tmp_path / "token").write_text(token_for(apiserver, namespace, "operator")[0])
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "operator", "namespace": namespace}}
    uid = apiserver.get(account)[1]["metadata"]["uid"]
    want = {"apiVersion": "v1", "kind": "ServiceAccount", "name": "operator", "uid": uid}
    assert owners_from(tmp_path / "token", namespace) == [want]
    assert owners_from(tmp_path / "token", "elsewhere") == []
    assert owners_from(tmp_path / "no-such-file", namespace) == []
    (tmp_path / "token").write_text("a token of another make")
    assert owners_from(tmp_path / "token", namespace) == []
