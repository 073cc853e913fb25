"""Start processes that outlive this one, each with a record by which exactly it, and no other, is ended later."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.errors import ClusterError
from hack.cluster.layout import Places

BOOT = Path("/proc/sys/kernel/random/boot_id")
# The process writes its own record before it becomes the program: there is no time at which it runs unrecorded, even
# if whoever starts it is killed. The id and the start time stay the same across `exec`.
RECORDED = 'cat /proc/sys/kernel/random/boot_id /proc/$$/stat >"$0.new" && mv "$0.new" "$0" && exec "$@"'


@dataclass(frozen=True)
class Process:
    """One process of one boot: an id alone is given to another process sooner or later. `started` in clock ticks."""

    name: str
    pid: int
    started: int
    boot: str

    def alive(self) -> bool:
        return self.boot == boot_id() and started(self.pid) == self.started

    def signal(self, number: int) -> None:
        """Send it, if the process is still the same: the descriptor holds the id while we look."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            if self.alive():
                signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            pass
        finally:
            os.close(descriptor)


def boot_id() -> str:
    return BOOT.read_text().strip()


def parse_stat(text: str) -> tuple[str, int]:
    """State letter and start time (clock ticks since boot) out of /proc/PID/stat; the name in it may hold anything."""
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])


def started(pid: int) -> int | None:
    """When the process began, or None if there is none: one that waits to be reaped is none."""
    try:
        state, ticks = parse_stat(Path(f"/proc/{pid}/stat").read_text("utf-8", "replace"))
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in "ZX" else ticks


def running_process(pid: int, name: str) -> Process | None:
    """The process that has the id now."""
    ticks = started(pid)
    return None if ticks is None else Process(name, pid, ticks, boot_id())


def start(places: Places, name: str, command: Sequence[str], within: Sequence[str] = ()) -> None:
    """Start the program, its output in the log of its name; `within` is the nsenter in front of it."""
    places.records.mkdir(parents=True, exist_ok=True)
    places.logs.mkdir(parents=True, exist_ok=True)
    marker, _, folder = places.marker.partition("=")
    with (places.logs / f"{name}.log").open("ab") as log:
        subprocess.Popen(
            ["/bin/sh", "-c", RECORDED, str(places.records / name), *within, *command],
            # Little of our own: a proxy for the web, say, is none for the way to a kubelet.
            env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(places.data), marker: folder},
            cwd=places.data,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C at `up` is for `up`, which ends them itself
        )
    deadline = time.monotonic() + 10
    while not (places.records / name).exists():
        if time.monotonic() > deadline:
            raise ClusterError(f"{name} was not started: {tail(places, name)}")
        time.sleep(0.005)


def tail(places: Places, name: str, characters: int = 2000) -> str:
    """The end of the component's log."""
    log = places.logs / f"{name}.log"
    return log.read_text("utf-8", "replace")[-characters:] if log.exists() else ""


def recorded(places: Places) -> dict[str, Process]:
    """By component, what was started, dead or alive."""
    found = {}
    for record in sorted(places.records.glob("*")) if places.records.is_dir() else []:
        boot, _, stat = record.read_text("utf-8", "replace").partition("\n")
        if record.suffix != ".new" and stat.strip():
            found[record.name] = Process(record.name, int(stat.split()[0]), parse_stat(stat)[1], boot)
    return found


def marked(places: Places) -> list[Process]:
    """Every process with the cluster's mark in its environment: containerd's shims, and what lost its record."""
    mark = places.marker.encode()
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                name = (folder / "comm").read_text("utf-8", "replace").strip()
            else:
                continue
        except OSError:  # gone meanwhile, or another user's
            continue
        if (process := running_process(int(folder.name), name)) is not None:
            found.append(process)
    return found


def end(processes: Iterable[Process], grace: float = 2.0) -> list[Process]:
    """Ask them all to end, after `grace` seconds make them; returns those that are still there 5 s later."""
    left = [process for process in processes if process.alive()]
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
        for process in left:
            process.signal(number)
        left = wait_gone(left, seconds)
    return left


def wait_gone(processes: list[Process], seconds: float) -> list[Process]:
    """Wait until all are gone; returns those that are not."""
    deadline = time.monotonic() + seconds
    while (left := [process for process in processes if process.alive()]) and time.monotonic() < deadline:
        reap()
        select.select([], [], [], 0.01)
    return left


def reap() -> None:
    """Those that this very process started stay as zombies until somebody asks for them."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
