"""The namespaces of a cluster: a network of its own with no route out, joined to the host by a veth pair, and a view
of the mounts of its own, so that whatever containerd and the kubelet mount is gone with them."""

from __future__ import annotations

import json
import shlex
from contextlib import suppress
from ipaddress import IPv4Network
from pathlib import Path

from hack.cluster.layout import Cluster, Places
from hack.cluster.machine import run

NETNS = Path("/run/netns")
MOUNTS = Path("/proc/self/mountinfo")
# Paths that the programs have compiled in. In the node's view of the mounts they are folders of the cluster; on the
# host, where another kubelet may live, they stay as they are.
FIXED = (Path("/var/lib/kubelet"), Path("/var/lib/cni"), Path("/var/log/containers"))


def inside(places: Places) -> list[str]:
    """What goes before a command that runs in the cluster's network."""
    return ["nsenter", f"--net={NETNS / places.netns}"]


def inside_node(places: Places) -> list[str]:
    """The same with the node's mounts. (`ip netns exec` would hide the cgroups from the kubelet.)"""
    return [*inside(places), f"--mount={places.mountns}"]


def networks_of(routes: str) -> list[IPv4Network]:
    """The networks with a route, out of `ip -json route show table all`; the default route is none."""
    found = []
    for route in json.loads(routes or "[]"):
        target = route["dst"]
        if target != "default" and ":" not in target and not target.startswith("0.0.0.0"):
            found.append(IPv4Network(target, strict=False))
    return found


def host_networks() -> list[IPv4Network]:
    return networks_of(run("ip", "-4", "-json", "route", "show", "table", "all"))


def join(cluster: Cluster, places: Places) -> None:
    """Make the network namespace and the veth pair, and tell the host the way to pods and Services."""
    run("ip", "netns", "add", places.netns)
    run("ip", "link", "add", places.link, "type", "veth", "peer", "name", "eth0", "netns", places.netns)
    run("ip", "address", "add", f"{cluster.host_address}/30", "dev", places.link)
    run("ip", "link", "set", places.link, "up")
    node = inside(places)
    run("sysctl", "-qw", "net.ipv4.ip_forward=1", within=node)
    run(
        "sysctl",
        "-qw",
        "net.ipv6.conf.all.disable_ipv6=1",
        "net.ipv6.conf.default.disable_ipv6=1",
        within=node,
        check=False,
    )
    run("ip", "link", "set", "lo", "up", within=node)
    run("ip", "address", "add", f"{cluster.address}/30", "dev", "eth0", within=node)
    run("ip", "link", "set", "eth0", "up", within=node)
    # The API server itself calls Services (webhooks). A packet is routed before the rules turn it towards a pod, so
    # there must be a route; what no rule turns ends here.
    run("ip", "route", "add", cluster.services, "dev", "lo", "src", cluster.address, within=node)
    for network in (cluster.pods, cluster.services):
        run("ip", "route", "add", network, "via", cluster.address, "dev", places.link)


def make_mounts(places: Places) -> None:
    """Make the mount namespace, kept by a file so that it needs no process."""
    folder = places.mountns.parent
    folder.mkdir(parents=True, exist_ok=True)
    run("mount", "--bind", str(folder), str(folder))
    run("mount", "--make-private", str(folder))
    places.mountns.touch()
    steps = ["set -e"]
    for path in FIXED:
        own = places.data / "fixed" / path.name
        own.mkdir(parents=True, exist_ok=True)
        if not path.exists():  # there must be something to mount on; `leave` takes it away again
            with (places.run / "made").open("a") as made:
                made.write(f"{path}\n")
            path.mkdir(parents=True)
        steps.append(f"mount --bind {shlex.quote(str(own))} {path}")
    steps.append("mount --make-rshared /")  # volumes of pods may ask to see later mounts
    run("unshare", f"--mount={places.mountns}", "--propagation", "slave", "sh", "-c", "\n".join(steps))


def leave(places: Places) -> None:
    """Take all of it away, whatever of it there is. The host's routes go with the veth pair."""
    run("ip", "link", "delete", places.link, check=False)
    run("ip", "netns", "delete", places.netns, check=False)
    for path in mounts_below(MOUNTS.read_text(), places.run, places.data):
        run("umount", "--lazy", path, check=False)
    made = places.run / "made"
    for path in made.read_text().split() if made.exists() else []:
        with suppress(OSError):  # somebody uses it by now
            Path(path).rmdir()


def mounts_below(mountinfo: str, *folders: Path) -> list[str]:
    """Mount points at or below the folders, the last mounted first; each as often as it is mounted."""
    found = []
    for line in mountinfo.splitlines():
        path = line.split()[4].encode().decode("unicode_escape")  # a space is written \040
        if any(path == str(folder) or path.startswith(f"{folder}/") for folder in folders):
            found.append(path)
    return found[::-1]


def links() -> list[str]:
    return [link["ifname"] for link in json.loads(run("ip", "-json", "link", "show") or "[]")]
