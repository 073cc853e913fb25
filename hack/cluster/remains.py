"""What of a cluster is on this machine: the proof that `down` left nothing, and that `up` starts from nothing."""

from __future__ import annotations

import os
from pathlib import Path

from hack.cluster import cgroups, network, processes
from hack.cluster.layout import Places


def remains(places: Places) -> list[str]:
    """One line for each process, mount, network namespace, interface, cgroup and folder of the cluster that is there.

    The host's routes point through the interface: without it the kernel has none.
    """
    living = {found.pid: found for found in processes.recorded(places).values() if found.alive()}
    living |= {found.pid: found for found in [*processes.marked(places), *cgroups.members(places)]}
    lines = [f"process {pid} ({found.name})" for pid, found in sorted(living.items())]
    lines += [f"mount {path}" for path in network.mounts_below(network.MOUNTS.read_text(), places.run, places.data)]
    if os.geteuid() == 0:
        if (network.NETNS / places.netns).exists():
            lines.append(f"network namespace {places.netns}")
        if (Path("/sys/class/net") / places.link).exists():
            lines.append(f"interface {places.link}")
    lines += [f"cgroup {folder}" for folder in cgroups.folders(places) if folder.exists()]
    lines += [f"folder {folder}" for folder in (places.run, places.data) if folder.exists()]
    return lines
