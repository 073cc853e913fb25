"""The cluster's cgroup in every hierarchy of the machine: version 1, version 2, or both side by side."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from hack.cluster.layout import Places
from hack.cluster.processes import Process, end, running_process

MOUNTS = Path("/proc/self/mountinfo")


def hierarchies(mountinfo: str) -> dict[Path, str]:
    """Mount point -> "1" or "2", out of the text of /proc/self/mountinfo."""
    found = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        kind = after.split(" ", 1)[0]
        if kind in ("cgroup", "cgroup2"):
            found[Path(before.split()[4])] = "2" if kind == "cgroup2" else "1"
    return found


def version(mountinfo: str) -> str:
    """What the kubelet will use: "1" as soon as the memory controller is in a hierarchy of its own, "2", or "none"."""
    found = hierarchies(mountinfo)
    if any(kind == "1" and "memory" in place.name.split(",") for place, kind in found.items()):
        return "1"
    return "2" if "2" in found.values() else "none"


def folders(places: Places) -> list[Path]:
    return [place / places.cgroup for place in hierarchies(MOUNTS.read_text())]


def make(places: Places) -> None:
    """Make it where controllers are, as the kubelet demands of its root."""
    text = MOUNTS.read_text()
    wanted = version(text)
    for place, kind in hierarchies(text).items():
        if kind != wanted:
            continue
        folder = place / places.cgroup
        if kind == "2":
            # A child has the controllers that its parents hand down.
            available = (place / "cgroup.controllers").read_text().split()
            hand_down(place, available)
            folder.mkdir(exist_ok=True)
            hand_down(folder, available)
        else:
            folder.mkdir(exist_ok=True)
            for name in ("cpuset.cpus", "cpuset.mems"):
                if (folder / name).exists() and not (folder / name).read_text().strip():
                    (folder / name).write_text((place / name).read_text())


def hand_down(folder: Path, controllers: list[str]) -> None:
    for controller in controllers:
        try:
            (folder / "cgroup.subtree_control").write_text(f"+{controller}")
        except OSError:  # one that this kernel gives to the root only
            continue


def inside(places: Places) -> Iterator[Path]:
    """The cluster's cgroups, the deepest first."""
    for top in folders(places):
        for folder, _, _ in os.walk(top, topdown=False):
            yield Path(folder)


def members(places: Places) -> list[Process]:
    """Every process in them: those of the pods."""
    pids: set[int] = set()
    for folder in inside(places):
        try:
            pids.update(int(pid) for pid in (folder / "cgroup.procs").read_text().split())
        except OSError:  # gone meanwhile, or not a group that may hold processes
            continue
    return [found for pid in sorted(pids - {0}) if (found := running_process(pid, "pod")) is not None]


def end_members(places: Places) -> list[Process]:
    """Kill all processes of the pods; returns those that stay. They may start others meanwhile: look again."""
    for _ in range(20):
        if not (found := members(places)):
            return []
        end(found, grace=0)
    return members(places)


def remove(places: Places) -> None:
    """Remove the cgroups; one that still holds a process stays and is reported as left."""
    for folder in list(inside(places)):
        try:
            folder.rmdir()
        except OSError:
            continue
