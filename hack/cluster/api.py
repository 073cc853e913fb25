"""The few requests that `up` itself makes of the API server and of the DNS server."""

from __future__ import annotations

import base64
import http.client
import json
import secrets
import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any
from urllib.parse import urlsplit

Answer = tuple[int, dict[str, Any]]


class Api:
    """One kept connection to the API server of a kubeconfig that this tool wrote. Not for several threads."""

    def __init__(self, kubeconfig: Path) -> None:
        config = json.loads(kubeconfig.read_text())
        server, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        authority = base64.b64decode(server["certificate-authority-data"]).decode()
        context = ssl.create_default_context(cadata=authority)
        with NamedTemporaryFile() as pair:  # the ssl module takes a client's certificate from a file only
            pair.write(base64.b64decode(user["client-certificate-data"]))
            pair.write(base64.b64decode(user["client-key-data"]))
            pair.flush()
            context.load_cert_chain(pair.name)
        address = urlsplit(server["server"])
        self._connection = http.client.HTTPSConnection(address.hostname or "", address.port, context=context, timeout=5)

    def close(self) -> None:
        self._connection.close()

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Answer:
        """Status and the object of the answer. Raises OSError or http.client.HTTPException without an answer."""
        try:
            self._connection.request(
                method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"}
            )
            response = self._connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()  # the next request opens a new one
            raise
        try:
            return response.status, json.loads(text)
        except ValueError:
            return response.status, {"message": text.decode("utf-8", "replace")}

    def ready(self) -> bool:
        """Whether the server's own start-up is complete."""
        with suppress(OSError, http.client.HTTPException):
            return self.request("GET", "/readyz")[0] == 200
        return False

    def create(self, path: str, content: dict[str, Any]) -> None:
        """POST; an object that is there already is left as it is. Raises RuntimeError with the server's words."""
        status, answer = self.request("POST", path, content)
        if status not in (201, 409):
            raise RuntimeError(f"{content['kind']} {content['metadata']['name']}: {answer.get('message')}")

    def exists(self, path: str) -> bool:
        return self.request("GET", path)[0] == 200

    def nodes_ready(self) -> list[str]:
        """The names of the nodes that are Ready."""
        _, answer = self.request("GET", "/api/v1/nodes")
        return [
            node["metadata"]["name"]
            for node in answer.get("items", [])
            for condition in node.get("status", {}).get("conditions", [])
            if condition["type"] == "Ready" and condition["status"] == "True"
        ]


@contextmanager
def connected(kubeconfig: Path) -> Iterator[Api]:
    api = Api(kubeconfig)
    try:
        yield api
    finally:
        api.close()


def dns_query(name: str, identity: int) -> bytes:
    """A question for the IPv4 address of a name (RFC 1035, section 4)."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">HHHHHH", identity, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)


def dns_address(answer: bytes, identity: int) -> str | None:
    """The last IPv4 address in the answer; None if it is another question's, an error, or has none."""
    if len(answer) < 12:
        return None
    number, state, _, answers, _, _ = struct.unpack(">HHHHHH", answer[:12])
    if number != identity or state & 0x800F != 0x8000 or answers == 0:
        return None
    return socket.inet_ntoa(answer[-4:])


def resolve(server: str, name: str) -> str | None:
    """Ask the DNS server for the name's address; None when it does not answer within a second, or knows none."""
    identity = secrets.randbelow(1 << 16)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.settimeout(1)
        try:
            channel.sendto(dns_query(name, identity), (server, 53))
            return dns_address(channel.recv(512), identity)
        except OSError:
            return None
