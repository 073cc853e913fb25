"""Only what a new process mends is told to a liveness probe, however little CPU there is."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest
import urllib3

from mlops.cluster.health import serving
from mlops.cluster.liveness import HUNG_SECONDS, Liveness
from mlops.cluster.own_time import OwnTime, waited_for_a_cpu


class Machine:
    """A clock that is moved by hand, and how long the thread 1 has waited for a CPU."""

    def __init__(self) -> None:
        self.wall = self.waited = 0.0
        self.own_time = OwnTime(clock=lambda: self.wall, waited=lambda thread: self.waited)
        self.own_time.judge(1)

    def passes(self, seconds: float, *, waiting: float = 0.0, nap: float = 0.2) -> None:
        """Time passes in naps of the ticker; a share of it the thread waits for a CPU."""
        for _ in range(round(seconds / nap)):
            self.wall += nap
            self.waited += nap * waiting
            self.own_time.tick()


@pytest.mark.parametrize(
    ("how", "own"),
    [
        pytest.param({}, (99, 101), id="alone on its node"),
        pytest.param({"waiting": 0.95}, (4, 6), id="busy neighbours"),
        pytest.param({"nap": 5.0}, (0, 6), id="throttled by its limit"),
        pytest.param({"nap": 100.0}, (0, 0.3), id="stopped, or the machine asleep"),
    ],
)
def test_own_time_stands_still_while_the_process_cannot_work(how: dict[str, float], own: tuple[float, float]) -> None:
    """Of a hundred seconds on the wall."""
    machine = Machine()
    machine.passes(100, **how)
    assert own[0] <= machine.own_time.now() <= own[1]


def test_a_wait_that_is_told_late_is_made_up_for() -> None:
    """The kernel adds it up when the thread runs again."""
    machine = Machine()
    machine.passes(30)
    machine.waited += 30
    machine.passes(30)
    assert 29 <= machine.own_time.now() <= 31


def test_the_kernel_tells_how_long_a_thread_waited() -> None:
    """A thread that sleeps waits for none; of one that is not there, nothing is known."""
    here = threading.get_native_id()
    assert Path(f"/proc/self/task/{here}/schedstat").exists()
    before = waited_for_a_cpu(here)
    time.sleep(0.5)
    assert waited_for_a_cpu(here) - before < 0.4
    assert waited_for_a_cpu(2**30) == 0.0


def test_a_loop_that_hangs_is_told_after_its_time_and_a_starved_one_is_not() -> None:
    machine = Machine()
    liveness = Liveness(machine.own_time.now)
    liveness.beat("the program")
    machine.passes(3600, waiting=0.98)
    assert liveness.problems() == []
    liveness.beat("the program")
    machine.passes(HUNG_SECONDS - 1)
    assert liveness.problems() == []
    machine.passes(2)
    (problem,) = liveness.problems()
    assert problem.startswith("the loop of the program has hung for 12")
    liveness.beat("the program")
    assert liveness.problems() == []


def test_a_trouble_has_to_last() -> None:
    """By own time, without a break, and it is taken back when it is over."""
    machine = Machine()
    liveness = Liveness(machine.own_time.now)
    for found in ({"stuck": 60.0}, {}, {"stuck": 60.0}):
        liveness.troubles(found)
        machine.passes(40)
        liveness.troubles(found)
        assert liveness.problems() == []
    machine.passes(600, waiting=0.97)
    liveness.troubles({"stuck": 60.0})
    assert liveness.problems() == []
    machine.passes(30)
    liveness.troubles({"stuck": 60.0, "new": 5.0})
    (problem,) = liveness.problems()
    assert problem.startswith("stuck for ")
    liveness.troubles({})
    assert (liveness.problems(), liveness.lasted("stuck")) == ([], 0.0)


async def test_probes_are_answered_while_the_loop_is_busy() -> None:
    """By another thread; the metrics, which are the loop's own, come when it has a turn again."""
    answers: dict[str, float] = {}

    def ask(path: str, port: int) -> None:
        began = time.monotonic()
        answer = urllib3.request("GET", f"http://127.0.0.1:{port}{path}", retries=False, timeout=10)
        assert answer.status == 200
        answers[path] = time.monotonic() - began

    async with serving("127.0.0.1", 0, healthy=list, ready=list, metrics=lambda: b"x 1\n") as port:
        threads = [threading.Thread(target=ask, args=(path, port)) for path in ("/healthz", "/readyz", "/metrics")]
        for thread in threads:
            thread.start()
        time.sleep(2)
        await asyncio.to_thread(lambda: [thread.join() for thread in threads])
    assert answers["/healthz"] < 1.5
    assert answers["/readyz"] < 1.5
    assert answers["/metrics"] > 1.5


async def test_a_port_that_is_taken_is_told() -> None:
    async with serving("127.0.0.1", 0, healthy=list, ready=list, metrics=bytes) as port:
        with pytest.raises(OSError, match=r"(?i)address already in use"):
            async with serving("127.0.0.1", port, healthy=list, ready=list, metrics=bytes):
                raise AssertionError
