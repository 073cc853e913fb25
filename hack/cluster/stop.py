"""End a cluster, whatever there is of it: also after a crash, a half-finished start, or a first attempt at this."""

from __future__ import annotations

import os
import shutil

from hack.cluster import cgroups, network, processes
from hack.cluster.errors import ClusterError
from hack.cluster.layout import Places
from hack.cluster.remains import remains

# Who would start pods again goes first; who is asked by the others goes last.
BEFORE_PODS = ("kubelet",)
AFTER_PODS = (
    ("containerd", "kube-proxy", "coredns", "kwok"),
    ("kube-controller-manager", "kube-scheduler"),
    ("kube-apiserver",),
    ("etcd",),
)


def down(places: Places) -> None:
    """Raises ClusterError that says what is left, if anything is."""
    recorded = processes.recorded(places)
    processes.end([recorded[name] for name in BEFORE_PODS if name in recorded], grace=1)
    cgroups.end_members(places)
    known = {process.pid for process in recorded.values()}
    processes.end([found for found in processes.marked(places) if found.pid not in known], grace=0)  # the shims
    for stage in AFTER_PODS:
        # Nothing of theirs is kept, so nobody waits for a farewell.
        processes.end([recorded[name] for name in stage if name in recorded], grace=0.3)
    processes.end([*recorded.values(), *processes.marked(places)], grace=0)
    if os.geteuid() == 0:
        network.leave(places)
    cgroups.remove(places)
    # The records go last: whoever interrupts this finds them still there.
    still = network.mounts_below(network.MOUNTS.read_text(), places.run, places.data)
    for folder in (places.data, places.run) if not still else ():  # what is mounted is perhaps not ours to remove
        shutil.rmtree(folder, ignore_errors=True)
    if left := remains(places):
        lines = "\n  ".join(left)
        raise ClusterError(f"the cluster {places.name} is not gone; left on this machine:\n  {lines}")
