"""Only what a new process mends is told to a liveness probe, however little CPU there is."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import urllib3

from mlops.cluster.health import serving
from mlops.cluster.liveness import HUNG_SECONDS, Liveness
from mlops.cluster.own_time import OwnTime, waited_for_a_cpu
from tests.cluster.programs import DIGEST, Program, eventually
from tests.servers.process import WITH_PARENT, free_port


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
        pytest.param({"waiting": 0.8, "nap": 0.5}, (19, 21), id="busy neighbours, from whom the ticker waits too"),
        pytest.param({"nap": 5.0}, (0, 6), id="throttled by its limit"),
        pytest.param({"waiting": 0.9, "nap": 5.0}, (0, 6), id="throttled, which the kernel counts as waiting"),
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


def test_a_starved_hour_is_no_credit_for_a_loop_that_hangs_later() -> None:
    """What the ticker's long naps left out is not taken off once more: nothing has to be made up for afterwards."""
    machine = Machine()
    machine.passes(3600, waiting=0.95, nap=1.0)
    before = machine.own_time.now()
    machine.passes(30)
    assert 29 <= machine.own_time.now() - before <= 31


def test_threads_that_wait_in_turns_count_once() -> None:
    """One waits while another sleeps; then it is the other way round."""
    wall, waited = 0.0, {1: 0.0, 2: 0.0}
    own_time = OwnTime(clock=lambda: wall, waited=lambda thread: waited[thread])
    own_time.judge(1)
    own_time.judge(2)
    for thread in (1, 2, 1):
        before = own_time.now()
        for _ in range(500):
            wall += 0.2
            waited[thread] += 0.16
            own_time.tick()
        assert 19 <= own_time.now() - before <= 21


def test_a_thread_may_be_added_during_a_tick() -> None:
    """The kernel is asked about each thread, and meanwhile others run: the watches begin while the program ticks."""
    wall, adding = 0.0, threading.Event()

    def waited(thread: int) -> float:
        if thread == 1 and adding.is_set():
            adding.clear()
            added.start()
            added.join(0.2)
        return 0.0

    own_time = OwnTime(clock=lambda: wall, waited=waited)
    added = threading.Thread(target=lambda: own_time.judge(2))
    own_time.judge(1)
    adding.set()
    for _ in range(10):
        wall += 0.2
        own_time.tick()
    added.join(10)
    assert own_time.now() == pytest.approx(2.0)


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


# What its main thread does, and for how many seconds it has worked before.
HANGS = {"sleeps": ("lambda *_: time.sleep(600)", 8), "turns in circles from its first second on": ("turn", 0)}
PROGRAM = """
import signal, time
from mlops.cluster import liveness
from mlops.cluster.main import main

def turn(*_):
    while True:
        pass

liveness.HUNG_SECONDS = 3.0
signal.signal(signal.SIGUSR1, {hang})
main(prog_name="mlops-operator")
"""


@pytest.mark.slow
@pytest.mark.parametrize("hang", HANGS)
def test_a_program_whose_main_loop_hangs_is_told(tmp_path: Path, hang: str) -> None:
    """The whole program, whose API server is away, which is no reason to be killed; then its main thread hangs."""
    config = json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "users": [{"name": "test", "user": {}}],
            "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{free_port()}"}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
    )
    (tmp_path / "kubeconfig").write_text(config, "utf-8")
    port, log = free_port(), tmp_path / "log"
    what, seconds = HANGS[hang]
    command = [
        *(sys.executable, "-c", WITH_PARENT, sys.executable, "-c", PROGRAM.format(hang=what), "--no-lease"),
        *("--kubeconfig", str(tmp_path / "kubeconfig"), "--image", "mlops-workloads:test"),
        *("--environment-digest", DIGEST, "--pod-env", "MLOPS_STORE=s3://mlops", "--listen", f"127.0.0.1:{port}"),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    program = Program(process, port, log)
    try:
        eventually(lambda: program.probe("/healthz") == 200, 60, lambda: program.log)
        for _ in range(seconds):
            time.sleep(1)
            assert program.probe("/healthz") == 200, program.log
        process.send_signal(signal.SIGUSR1)
        eventually(lambda: program.probe("/healthz") == 503, 120, lambda: program.log)
        answer = urllib3.request("GET", f"http://127.0.0.1:{port}/healthz", retries=False, timeout=10)
        assert answer.data.startswith(b"the loop of the program has hung for ")
    finally:
        process.kill()
        process.wait()


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
