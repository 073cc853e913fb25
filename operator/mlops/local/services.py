"""Services: a stable port on this machine for each, forwarded to the pods that are ready."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

from mlops.engine.cluster import key_of
from mlops.local.cluster import LocalCluster
from mlops.local.containers import HOST
from mlops.local.node import Node
from mlops.local.pods import is_ready
from mlops.planning.plan import Key, Manifest

# How long a pod that is to stop may keep its connections before it is told. Idle ones are closed at once.
_DRAIN_SECONDS, _IDLE_SECONDS, _POLL_SECONDS = 1.0, 0.02, 0.01


class ServiceController:
    """Forwards connections. A port is chosen once and kept in the Service's status, so a restart finds it again."""

    def __init__(self, cluster: LocalCluster, node: Node) -> None:
        self._cluster, self._node = cluster, node
        self._ports: dict[Key, list[_Port]] = {}
        self._closing = False
        self._connections: dict[str, set[_Client]] = {}
        node.drain = lambda uid: asyncio.ensure_future(self._drain(uid))

    def start(self) -> None:
        """Take up every Service, and from now on each that is made."""
        self._cluster.watch(self._on_change)
        for service in self._cluster.list("Service"):
            self._on_change(None, service)

    def close(self) -> None:
        """Stop listening, and drop every connection."""
        self._closing = True
        for ports in self._ports.values():
            for port in ports:
                port.close()
        for client in [client for clients in self._connections.values() for client in clients]:
            client.close()

    def _on_change(self, old: Manifest | None, new: Manifest | None) -> None:
        manifest = new or old
        if manifest is None or self._closing:
            return
        if manifest["kind"] == "Pod":
            for service in self._cluster.list("Service", manifest["metadata"]["namespace"]):
                self._listen(key_of(service))
        elif manifest["kind"] == "Service" and new is None:
            for port in self._ports.pop(key_of(manifest), ()):
                port.close()
        elif manifest["kind"] == "Service":
            self._open(manifest)
            self._listen(key_of(manifest))

    def _open(self, service: Manifest) -> None:
        key, wanted = key_of(service), service["spec"].get("ports", [])
        before = self._ports.get(key, [])
        if len(before) != len(wanted):
            for port in before:
                port.close()
            known = _known_ports(service)
            self._ports[key] = [
                _Port(self, key, index, known[index] if index < len(known) else 0) for index in range(len(wanted))
            ]
        ingress = {
            "ip": HOST,
            "ports": [{"port": port.number, "protocol": "TCP"} for port in self._ports[key]],
        }
        self._cluster.set_status(key, {"loadBalancer": {"ingress": [ingress]}})

    def _listen(self, key: Key) -> None:
        service = self._cluster.get(key)
        ready = bool(service and _ready_pods(self._cluster, service))
        for port in self._ports.get(key, ()):
            port.listen() if ready else port.refuse()

    def targets(self, key: Key, index: int) -> Iterator[tuple[str, int]]:
        """Yield (uid, port) of each pod that is ready."""
        service = self._cluster.get(key)
        if service is None:
            return
        port = service["spec"]["ports"][index]
        for pod in _ready_pods(self._cluster, service):
            if running := self._node.running.get(pod["metadata"]["uid"]):
                yield running.uid, running.port(port.get("targetPort", port["port"]))

    def opened(self, uid: str, client: _Client) -> None:
        """Take note of a connection to a pod."""
        self._connections.setdefault(uid, set()).add(client)

    def closed(self, uid: str, client: _Client) -> None:
        """Take note of its end."""
        clients = self._connections.get(uid, set())
        clients.discard(client)
        if not clients:
            self._connections.pop(uid, None)

    async def _drain(self, uid: str) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _DRAIN_SECONDS
        while (clients := self._connections.get(uid)) and loop.time() < deadline:
            for client in tuple(clients):
                if client.is_idle():
                    client.close()
            await asyncio.sleep(_POLL_SECONDS)


class _Port:
    """One port of a Service. Without a ready pod it is bound but does not listen: connections are refused at once."""

    def __init__(self, controller: ServiceController, key: Key, index: int, number: int) -> None:
        self._controller, self._key, self._index = controller, key, index
        self._turn = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening = False
        try:
            self._socket = _bound(number)
        except OSError:
            # Somebody else has it by now: another one, which the status says.
            self._socket = _bound(0)
        self.number = int(self._socket.getsockname()[1])

    def listen(self) -> None:
        """Accept connections."""
        if not self._listening:
            self._socket.listen(1024)
            asyncio.get_running_loop().add_reader(self._socket, self._accept)
            self._listening = True

    def refuse(self) -> None:
        """Refuse connections from now on."""
        if self._listening:
            self.close()
            self._socket = _bound(self.number)

    def close(self) -> None:
        """Give the port up."""
        if self._listening:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._listening = False
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
            while True:
                accepted, _ = self._socket.accept()
                accepted.setblocking(False)
                task = asyncio.create_task(self._forward(accepted))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _forward(self, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        targets = list(self._controller.targets(self._key, self._index))
        self._turn += 1
        turn = self._turn % max(1, len(targets))
        for uid, port in targets[turn:] + targets[:turn]:
            client = _Client(self._controller, uid)
            try:
                await loop.create_connection(lambda client=client: client.server, HOST, port)  # type: ignore[misc]
            except OSError:
                continue
            await loop.connect_accepted_socket(lambda client=client: client, accepted)  # type: ignore[misc]
            return
        accepted.close()


class _End(asyncio.Protocol):
    """One end of a forwarded connection."""

    peer: _End
    transport: asyncio.Transport
    # Whether it has said all that it has to say.
    ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        with contextlib.suppress(OSError):
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self.peer.transport.write(data)

    def eof_received(self) -> bool:
        self.ended = True
        if self.peer.ended:
            # Nobody has anything more to say: an end that stayed open would do so for ever. What is to be written, is.
            self.peer.transport.close()
            return False
        if self.peer.transport.can_write_eof() and not self.peer.transport.is_closing():
            self.peer.transport.write_eof()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        self.peer.transport.close()

    # A slow reader slows the writer down: nothing piles up in here.
    def pause_writing(self) -> None:
        self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        self.peer.transport.resume_reading()


class _Server(_End):
    """The end towards the pod."""

    def __init__(self, client: _Client) -> None:
        self.peer = client
        self._client = client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # Until the client's end is there, nothing can be passed on.
        self.transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        self._client.answered_at = asyncio.get_running_loop().time()
        super().data_received(data)

    def connection_lost(self, error: Exception | None) -> None:
        if hasattr(self._client, "transport"):
            self._client.transport.close()


class _Client(_End):
    """The end towards who connected."""

    def __init__(self, controller: ServiceController, uid: str) -> None:
        self._controller, self._uid = controller, uid
        self.server = _Server(self)
        self.peer = self.server
        self.answered_at: float | None = None

    def is_idle(self) -> bool:
        """Return whether the last word was the pod's, and some time ago: no request is under way."""
        return self.answered_at is not None and asyncio.get_running_loop().time() - self.answered_at > _IDLE_SECONDS

    def close(self) -> None:
        """End the connection, after what is still to be written."""
        self.transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._controller.opened(self._uid, self)
        self.server.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        self.answered_at = None
        super().data_received(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._controller.closed(self._uid, self)
        super().connection_lost(error)


def _ready_pods(cluster: LocalCluster, service: Manifest) -> list[Manifest]:
    selector = service["spec"].get("selector")
    if not selector:
        return []
    return [pod for pod in cluster.list("Pod", key_of(service).namespace, selector) if is_ready(pod)]


def _known_ports(service: Manifest) -> list[int]:
    ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress") or [{}]
    return [int(port["port"]) for port in ingress[0].get("ports", ())]


def _bound(number: int) -> socket.socket:
    bound = socket.socket()
    try:
        bound.setblocking(False)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((HOST, number))
    except OSError:
        bound.close()
        raise
    return bound
