"""What a cluster is called, where its files are and which addresses it has. Nothing here touches the machine."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from ipaddress import IPv4Network
from pathlib import Path

from hack.cluster.errors import ClusterError

OCTETS = range(77, 97)
"""10.OCTET.0.0/16 is one cluster's: the first that no route of the host uses."""
MARKER = "MLOPS_CLUSTER_FOLDER"
"""In the environment of every process of a cluster: by it `down` finds those that no record names."""
NAME = re.compile(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?")  # with its prefix it must fit an interface name: 15 letters


@dataclass(frozen=True)
class Places:
    """The names on this machine that belong to the cluster `name`, and to nothing else.

    `run` holds what a reboot may take (records, sockets, keys), `data` what wants a real disk (images, etcd, logs).
    """

    name: str
    run: Path
    data: Path

    @property
    def netns(self) -> str:
        return f"mlops-{self.name}"

    @property
    def link(self) -> str:
        """The host's end of the veth pair."""
        return f"mc-{self.name}"

    @property
    def cgroup(self) -> str:
        return f"mlops-cluster-{self.name}"

    @property
    def mountns(self) -> Path:
        """The file that keeps the mount namespace of containerd and the kubelet."""
        return self.run / "namespaces" / "mount"

    @property
    def records(self) -> Path:
        return self.run / "processes"

    @property
    def description(self) -> Path:
        return self.run / "cluster.json"

    @property
    def pki(self) -> Path:
        return self.run / "pki"

    @property
    def config(self) -> Path:
        return self.run / "config"

    @property
    def kubeconfig(self) -> Path:
        return self.run / "kubeconfig"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def audit_log(self) -> Path:
        return self.data / "logs" / "audit.jsonl"

    @property
    def containerd_socket(self) -> Path:
        return self.run / "containerd.sock"

    @property
    def marker(self) -> str:
        return f"{MARKER}={self.run}"


@dataclass(frozen=True)
class Cluster:
    """What `up` was asked for and decided: enough to say what runs, and to see whether it is what is asked now."""

    octet: int  # 0: no network of its own, everything on 127.0.0.1
    api_port: int
    etcd_port: int
    peer_port: int
    kwok: int = 0
    audit: bool = False
    stages: str = ""  # a file with kwok's stages; empty: our own

    @property
    def node(self) -> bool:
        """Whether there is a real node: containerd, kubelet, kube-proxy, CoreDNS."""
        return self.octet != 0

    @property
    def block(self) -> IPv4Network:
        return IPv4Network(f"10.{self.octet}.0.0/16")

    @property
    def host_address(self) -> str:
        return f"10.{self.octet}.0.1"

    @property
    def address(self) -> str:
        """Of the API server, the node and the DNS server."""
        return f"10.{self.octet}.0.2" if self.node else "127.0.0.1"

    @property
    def pods(self) -> str:
        return f"10.{self.octet}.64.0/18"

    @property
    def services(self) -> str:
        return f"10.{self.octet}.128.0/18" if self.node else "10.96.0.0/16"

    @property
    def first_service(self) -> str:
        """The address of the Service `kubernetes`."""
        return str(IPv4Network(self.services)[1])

    @property
    def api_url(self) -> str:
        return f"https://{self.address}:{self.api_port}"

    @property
    def etcd_url(self) -> str:
        return f"http://127.0.0.1:{self.etcd_port}"

    def dumps(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    def options(self) -> tuple[object, ...]:
        """What the user chose; the rest was chosen by `up`."""
        return (self.node, self.kwok, self.audit, self.stages)


def cluster_loads(text: str) -> Cluster:
    return Cluster(**json.loads(text))


def places(name: str, root: bool, environ: Mapping[str, str] = os.environ) -> Places:
    """Root's clusters are the machine's; anybody else's (no node) are his own. Raises ClusterError for a bad name."""
    if NAME.fullmatch(name) is None:
        raise ClusterError(
            f"--name {name!r}: lower-case letters, digits and hyphens, at most 12, a letter first", exit_code=2
        )
    if root:
        data = Path(environ.get("MLOPS_CLUSTER_DATA") or "/var/lib/mlops-cluster")
        return Places(name, Path("/run/mlops-cluster") / name, data / name)
    state = Path(environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "mlops-cluster"
    run = Path(environ["XDG_RUNTIME_DIR"]) / "mlops-cluster" if environ.get("XDG_RUNTIME_DIR") else state / "run"
    return Places(name, run / name, state / name)


def located(chosen: Places) -> Places:
    """The same places, with the data where `up` put it: MLOPS_CLUSTER_DATA may have been another then."""
    try:
        return Places(chosen.name, chosen.run, Path((chosen.run / "data").read_text()))
    except FileNotFoundError:
        return chosen


def free_octet(taken: list[IPv4Network]) -> int:
    """The first block that overlaps none of the networks `taken`. Raises ClusterError when all are in use."""
    for octet in OCTETS:
        block = IPv4Network(f"10.{octet}.0.0/16")
        if not any(block.overlaps(network) for network in taken):
            return octet
    raise ClusterError(
        f"every network from 10.{OCTETS[0]}.0.0/16 to 10.{OCTETS[-1]}.0.0/16 has a route on this machine already: "
        "`ip route` lists them; a cluster needs one of them free",
        exit_code=2,
    )
