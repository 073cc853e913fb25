"""Bring a cluster up, step by step, each with its seconds."""

from __future__ import annotations

import http.client
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from hack.cluster import api, cgroups, components, images, machine, network, pki, processes
from hack.cluster.components import Component
from hack.cluster.errors import ClusterError
from hack.cluster.layout import Cluster, Places, cluster_loads, free_octet

STAGES = Path(__file__).with_name("kwok-stages.yaml")
KUBERNETES_SERVICE = f"kubernetes.default.svc.{components.CLUSTER_DOMAIN}"


@dataclass
class Progress:
    """Says what is done and after how many seconds, on standard error: standard output is the kubeconfig's path."""

    began: float = field(default_factory=time.monotonic)

    def say(self, message: str) -> None:
        with suppress(OSError):  # nobody reads any more: what is being done goes on
            print(f"{time.monotonic() - self.began:5.1f} s  {message}", file=sys.stderr, flush=True)


@dataclass
class Start:
    """One `up`: the programs found, the cluster decided on, and the steps in the order in which they must happen."""

    places: Places
    cluster: Cluster
    programs: dict[str, Path]
    plugins: Path
    progress: Progress

    def run(self) -> None:
        """Raises ClusterError with the end of the log of whatever does not become ready."""
        self.prepare()
        self.control_plane()
        with api.connected(self.places.kubeconfig) as server:
            if self.cluster.node:
                self.node(server)
            if self.cluster.kwok:
                self.fake_nodes(server)
            # The controllers fill in what every pod needs.
            self.wait(
                "kube-controller-manager",
                lambda: (
                    server.exists("/api/v1/namespaces/default/serviceaccounts/default")
                    and server.exists("/api/v1/namespaces/default/configmaps/kube-root-ca.crt")
                ),
            )
            self.progress.say(f"the cluster {self.places.name} is up")

    def prepare(self) -> None:
        places, cluster = self.places, self.cluster
        if cluster.node:
            network.join(cluster, places)
            network.make_mounts(places)
            cgroups.make(places)
        pki.make(cluster, places)
        places.config.mkdir(parents=True, exist_ok=True)
        for client in pki.clients(places.name):
            self.write(f"{client}.kubeconfig", pki.kubeconfig(cluster, places.pki, client))
        self.progress.say("network, namespaces and certificates made" if cluster.node else "certificates made")

    def control_plane(self) -> None:
        cluster, places = self.cluster, self.places
        if cluster.node:  # meanwhile: it needs nobody
            self.launch(components.containerd(cluster, places, self.plugins))
        self.launch(components.etcd(cluster, places))
        self.launch(components.apiserver(cluster, places))
        admin = places.config / "admin.kubeconfig"
        with api.connected(admin) as server:
            self.wait("kube-apiserver", server.ready, seconds=90)
        self.progress.say(f"API server ready at {cluster.api_url}")
        places.kubeconfig.touch(mode=0o600)
        places.kubeconfig.write_text(admin.read_text())
        machine.give_to_caller(places.kubeconfig)
        self.launch(components.controller_manager(cluster, places))
        self.launch(components.scheduler(cluster, places))

    def node(self, server: api.Api) -> None:
        cluster, places = self.cluster, self.places
        self.wait("containerd", places.containerd_socket.exists)
        images.load(places, images.pause_archive())
        self.progress.say("containerd ready, pause image loaded")
        for path, content in components.coredns_access():
            server.create(path, content)
        for component in (components.kubelet, components.kube_proxy, components.coredns):
            self.launch(component(cluster, places))
        self.wait("kubelet", lambda: places.name in server.nodes_ready(), seconds=90)
        self.progress.say(f"node {places.name} Ready")
        self.wait("coredns", lambda: api.resolve(cluster.address, KUBERNETES_SERVICE) == cluster.first_service)
        self.wait("kube-proxy", lambda: connects(cluster.first_service, 443))
        self.progress.say("CoreDNS answers, Service addresses reach from the host")

    def fake_nodes(self, server: api.Api) -> None:
        cluster = self.cluster
        stages = Path(cluster.stages) if cluster.stages else STAGES
        self.launch(components.kwok(cluster, self.places, stages.read_text("utf-8")))
        for index in range(cluster.kwok):
            server.create("/api/v1/nodes", components.kwok_node(index, tainted=cluster.node))
        wanted = cluster.kwok + cluster.node
        self.wait("kwok", lambda: len(server.nodes_ready()) >= wanted, seconds=60 + cluster.kwok / 20)
        self.progress.say(f"{cluster.kwok} fake nodes Ready")

    def write(self, name: str, content: str) -> None:
        target = self.places.config / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch(mode=0o600)
        target.write_text(content)

    def launch(self, component: Component) -> None:
        for name, content in component.files.items():
            self.write(name, content)
        within: list[str] = []
        if self.cluster.node:
            within = network.inside_node(self.places) if component.mounts else network.inside(self.places)
        program = str(self.programs.get(component.program, component.program))
        processes.start(self.places, component.name, [program, *component.arguments], within)

    def wait(self, name: str, ready: Callable[[], bool], seconds: float = 60) -> None:
        """Until `ready`. Raises ClusterError when the component ends before that, or takes longer."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if ready():
                    return
            except (OSError, http.client.HTTPException):  # it is busy: ask again
                pass
            processes.reap()
            dead = [found.name for found in processes.recorded(self.places).values() if not found.alive()]
            if dead or time.monotonic() > deadline:
                what = f"{dead[0]} ended" if dead else f"{name} was not ready within {seconds:.0f} s"
                raise ClusterError(
                    f"{what}; the end of its log:\n{processes.tail(self.places, dead[0] if dead else name)}"
                )
            time.sleep(0.05)


def connects(address: str, port: int) -> bool:
    with socket.create_connection((address, port), timeout=1):
        return True


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on now."""
    listeners = [socket.socket() for _ in range(count)]
    try:
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in listeners]
    finally:
        for listener in listeners:
            listener.close()


def running(places: Places) -> Cluster | None:
    """The cluster of that name if it is complete and all its components live; None if none of them does.

    Raises ClusterError when some do: somebody may be using what is left of it.
    """
    described = describe(places)
    recorded = processes.recorded(places)
    dead = [name for name, process in recorded.items() if not process.alive()]
    if described is not None and places.kubeconfig.exists() and recorded and not dead:
        return described
    if len(recorded) > len(dead):
        state = f"ended: {', '.join(dead)}" if dead else "its `up` did not get to the end"
        raise ClusterError(
            f"the cluster {places.name} is there in part ({state}): end it with `down`, or choose another --name",
            exit_code=2,
        )
    return None


def describe(places: Places) -> Cluster | None:
    """What `up` wrote down, or None."""
    try:
        return cluster_loads(places.description.read_text())
    except FileNotFoundError:
        return None


def decide(node: bool, kwok: int, audit: bool, stages: str) -> Cluster:
    """Choose the addresses and ports."""
    if node:
        return Cluster(free_octet(network.host_networks()), 6443, 2379, 2380, kwok, audit, stages)
    api_port, etcd_port, peer_port = free_ports(3)
    return Cluster(0, api_port, etcd_port, peer_port, kwok, audit, stages)
