"""A kill -9 of the runtime leaves no process behind, and the next start goes on from the last write."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from mlops.local.errors import StateInUse
from mlops.local.records import read_objects
from mlops.planning.plan import Key
from tests.local.world import a_job, a_runtime, end_of, group_members, is_alive, make, now, until

# A runtime in a process of its own: one long Job, one Deployment, then a stream of writes.
PROGRAM = """
import asyncio, sys
from pathlib import Path
from tests.local.world import a_deployment, a_job, a_runtime, make, until

async def main(state):
    async with a_runtime(Path(state)) as runtime:
        if not runtime.list("Job"):
            # A process in the container's group, and one that has left it.
            script = f"echo $$$$ > {state}/group; setsid sleep 300 & echo $! > {state}/escaped; sleep 300"
            make(runtime, a_job("long", script))
            make(runtime, a_deployment(script="sleep 300"))
        await until(lambda: Path(state, "escaped").exists() and Path(state, "escaped").read_text())
        print("up", flush=True)
        for number in range(1_000_000):
            event = {"apiVersion": "v1", "kind": "Note", "metadata": {"name": f"n{number}", "namespace": "default"}}
            if not runtime.list("Note") or number > len(runtime.list("Note")):
                make(runtime, event)
            print(number, flush=True)
            await asyncio.sleep(0)

asyncio.run(main(sys.argv[1]))
"""


def start(state: Path) -> subprocess.Popen[bytes]:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(state)], stdout=subprocess.PIPE, env=environ)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    return process


def children_of(pid: int) -> list[int]:
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    if int(file.read().rsplit(")", 1)[1].split()[1]) == pid:
                        found.append(int(entry))
            except FileNotFoundError:
                continue
    return found


def wait_until_gone(pids: list[int], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, f"still alive: {[pid for pid in pids if is_alive(pid)]}"
        time.sleep(0.01)


def test_after_a_kill_9_of_the_runtime_no_process_is_left(tmp_path: Path) -> None:
    """Not the container, not its children, not one that left the process group, not the supervisors."""
    process = start(tmp_path)
    group, escaped = (int((tmp_path / name).read_text()) for name in ("group", "escaped"))
    members = group_members(group)
    supervisors = children_of(process.pid)
    assert len(members) >= 2
    assert len(supervisors) == 2
    process.kill()
    process.communicate()
    wait_until_gone([*members, escaped, *supervisors])


def test_a_supervisor_that_is_killed_takes_its_container_along(tmp_path: Path) -> None:
    process = start(tmp_path)
    try:
        supervisors = children_of(process.pid)
        containers = [child for supervisor in supervisors for child in children_of(supervisor)]
        for supervisor in supervisors:
            os.kill(supervisor, signal.SIGKILL)
        group = int((tmp_path / "group").read_text())
        wait_until_gone([*containers, *group_members(group)])
    finally:
        # What has left its group too is out of reach without its supervisor.
        os.kill(int((tmp_path / "escaped").read_text()), signal.SIGKILL)
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_kills_at_random_moments_lose_no_write(tmp_path: Path) -> None:
    """What was told to be written is there; the file is sound each time."""
    random = Random(20)
    for _ in range(15):
        process = start(tmp_path)
        time.sleep(random.uniform(0, 0.05))
        process.kill()
        output, _ = process.communicate()
        written = [int(line) for line in output.splitlines() if line.isdigit()]
        with sqlite3.connect(tmp_path / "objects.sqlite") as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        database.close()
        notes = sum(manifest["kind"] == "Note" for manifest in read_objects(tmp_path))
        assert notes >= (max(written) if written else 0)
        (tmp_path / "escaped").unlink()


async def test_an_unfinished_job_runs_again_and_the_lost_pod_is_no_failure(tmp_path: Path) -> None:
    process = start(tmp_path)
    await asyncio.to_thread(process.kill)
    await asyncio.to_thread(process.communicate)
    async with a_runtime(tmp_path) as runtime:
        await until(lambda: [p for p in runtime.list("Pod") if p["status"]["phase"] == "Running"])
        job = now(runtime, "Job", "long")
        assert "conditions" not in job["status"]
        assert job["status"].get("failed", 0) == 0
        assert len(runtime.list("Pod", labels={"batch.kubernetes.io/job-name": "long"})) == 1
        assert len(runtime.list("Pod", labels={"app": "server"})) == 1
        runtime.delete(Key("Job", "default", "long"))
        runtime.delete(Key("Deployment", "default", "server"))


async def test_stopping_the_runtime_leaves_no_process_and_the_job_is_done_at_the_next_start(tmp_path: Path) -> None:
    script = f"echo $$$$ >> {tmp_path}/pids; test -e {tmp_path}/go || sleep 300"
    async with a_runtime(tmp_path) as runtime:
        make(runtime, a_job(script=script))
        await until(lambda: (tmp_path / "pids").exists() and (tmp_path / "pids").read_text())
    pid = int((tmp_path / "pids").read_text())
    assert not group_members(pid)
    (tmp_path / "go").touch()
    async with a_runtime(tmp_path) as runtime:
        await runtime.settled(10)
        assert end_of(now(runtime, "Job", "job")) == ("Complete", None)


def test_a_second_run_on_the_same_folder_is_refused_by_name_and_reading_is_not(tmp_path: Path) -> None:
    process = start(tmp_path)
    try:
        with pytest.raises(StateInUse, match=str(process.pid)):
            asyncio.run(a_runtime(tmp_path).__aenter__())
        assert {"Job", "Deployment", "Pod"} <= {manifest["kind"] for manifest in read_objects(tmp_path)}
    finally:
        process.kill()
        process.communicate()
