"""A real Kubernetes API server (etcd and kube-apiserver, nothing else) as a fixture.

There is no controller and no node: what is applied stays as it is, so this is for what the API server itself decides
(schemas, CEL, defaulting, pruning, server-side apply, status subresources, access rules).
"""

from __future__ import annotations

import json
import secrets
import ssl
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import urllib3

from tests.servers.process import free_port, program, running

Object = dict[str, Any]
Answer = tuple[int, Object]
"""HTTP status, and the body (an object, or a Status with `message` and `reason`)."""

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

# People who are known by tokens of their own, and their groups. Without roles they may nothing.
PEOPLE = {
    "alice": ("developers", "ml-approvers"),
    "bob": ("ml-approvers",),
    "carol": ("developers", "ml-approvers"),
    "mallory": ("developers",),
    "a,b": ("ml-approvers",),
}


@dataclass
class ApiServer:
    """A running API server: `url`, `ca` (the PEM file to check its certificate against), an administrator's `token`.

    Objects are plain dicts in the shape of their YAML. Writes are validated strictly: an unknown field is an error.
    """

    url: str
    ca: Path
    token: str
    people: Mapping[str, str] = field(default_factory=dict)
    _resources: dict[str, dict[str, Object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._pool: urllib3.PoolManager | None = None

    def acting_as(self, name: str) -> ApiServer:
        """The same server as one of `PEOPLE` reaches it."""
        return self.with_token(self.people[name])

    def with_token(self, token: str) -> ApiServer:
        """The same server as the holder of a token reaches it."""
        return replace(self, token=token)

    def request(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        content_type: str = JSON,
        token: str | None = None,
        seconds: float = 30,
        headers: Mapping[str, str] | None = None,
        **query: str,
    ) -> Answer:
        """Any request, as the administrator or with another `token`; `seconds` is how long to wait for the answer."""
        if self._pool is None:
            # Not before the server has made its certificate.
            trust = ssl.create_default_context(cafile=str(self.ca))
            self._pool = urllib3.PoolManager(ssl_context=trust, retries=False)
        response = self._pool.request(
            method,
            self.url + path + (f"?{urlencode(query)}" if query else ""),
            body=None if body is None else json.dumps(body, ensure_ascii=False).encode(),
            headers={"Authorization": f"Bearer {token or self.token}", "Content-Type": content_type, **(headers or {})},
            timeout=seconds,
        )
        try:
            answer: Object = json.loads(response.data)
        except ValueError:
            answer = {"message": response.data.decode("utf-8", "replace")}
        return response.status, answer

    def create(self, manifest: Object, **query: str) -> Answer:
        """POST the object."""
        path = self._path(manifest, with_name=False)
        return self.request("POST", path, manifest, **{"fieldValidation": "Strict", **query})

    def apply(self, manifest: Object, subresource: str = "", manager: str = "tests", force: bool = True) -> Answer:
        """Server-side apply, of the object or of its `status`."""
        query = {"fieldManager": manager, "force": str(force).lower(), "fieldValidation": "Strict"}
        return self.request("PATCH", self._path(manifest, subresource), manifest, APPLY_PATCH, **query)

    def patch(self, manifest: Object, change: Object, subresource: str = "", **query: str) -> Answer:
        """Merge-patch the object that `manifest` names (apiVersion, kind, metadata)."""
        path = self._path(manifest, subresource)
        return self.request("PATCH", path, change, MERGE_PATCH, **{"fieldValidation": "Strict", **query})

    def get(self, manifest: Object) -> Answer:
        """The object that `manifest` names, as it is now."""
        return self.request("GET", self._path(manifest))

    def list(self, api_version: str, kind: str, namespace: str = "", **query: str) -> Answer:
        """All objects of a kind, in one namespace or everywhere; `query` is for selectors."""
        base, resource = self._resource(api_version, kind)
        within = f"/namespaces/{namespace}" if namespace else ""
        return self.request("GET", f"{base}{within}/{resource['name']}", **query)

    def delete(self, manifest: Object, policy: str = "Background") -> Answer:
        """Delete the object that `manifest` names."""
        return self.request("DELETE", self._path(manifest), propagationPolicy=policy)

    def apply_crds(self, definitions: Iterable[Object]) -> None:
        """Apply CustomResourceDefinitions and wait until their kinds are served. Raises AssertionError otherwise."""
        applied = list(definitions)
        for definition in applied:
            status, answer = self.apply(definition)
            assert status in (200, 201), f"{definition['metadata']['name']}: {answer.get('message')}"
        for definition in applied:
            self._wait_established(definition)
        self._resources.clear()

    def new_namespace(self) -> str:
        """Make a namespace of a name that nobody has used, and return the name."""
        name = f"test-{secrets.token_hex(4)}"
        status, answer = self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        assert status == 201, answer
        return name

    def answers(self) -> bool:
        """Whether it is ready, its own start-up hooks included."""
        try:
            # A server that is starting may take a connection and forget it: ask again soon.
            return self.ca.exists() and self.request("GET", "/readyz", seconds=2)[0] == 200
        except (urllib3.exceptions.HTTPError, ssl.SSLError):
            self._pool = None
            return False

    def _wait_established(self, definition: Object, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        spec = definition["spec"]
        served = f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}"
        while True:
            status, answer = self.get(definition)
            conditions = {item["type"]: item for item in answer.get("status", {}).get("conditions") or []}
            established = conditions.get("Established", {}).get("status") == "True"
            if status == 200 and established and self.request("GET", served, limit="1")[0] == 200:
                return
            assert time.monotonic() < deadline, f"{definition['metadata']['name']} is not established: {conditions}"
            time.sleep(0.05)

    def _path(self, manifest: Object, subresource: str = "", with_name: bool = True) -> str:
        base, resource = self._resource(manifest["apiVersion"], manifest["kind"])
        metadata = manifest["metadata"]
        within = f"/namespaces/{metadata.get('namespace', 'default')}" if resource["namespaced"] else ""
        name = f"/{metadata['name']}" if with_name else ""
        return f"{base}{within}/{resource['name']}{name}" + (f"/{subresource}" if subresource else "")

    def _resource(self, api_version: str, kind: str) -> tuple[str, Object]:
        base = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        if kind not in self._resources.get(api_version, {}):
            status, found = self.request("GET", base)
            assert status == 200, f"{api_version} is not served: {found.get('message')}"
            self._resources[api_version] = {
                item["kind"]: item for item in found["resources"] if "/" not in item["name"]
            }
        return base, self._resources[api_version][kind]


@contextmanager
def api_server(folder: Path, flags: Mapping[str, str] | None = None) -> Iterator[ApiServer]:
    """etcd and kube-apiserver with their data in `folder`; `flags` are added to the API server's own."""
    with etcd(folder) as etcd_url:
        server, command = prepared_api_server(folder, etcd_url, flags)
        with running(command, server.answers, folder / "kube-apiserver.log"):
            yield server


def prepared_api_server(
    folder: Path, etcd_url: str, flags: Mapping[str, str] | None = None
) -> tuple[ApiServer, list[str]]:
    """An API server on an etcd, and the command that starts it: as often as somebody ends it, on the same port."""
    port = free_port()
    token = secrets.token_hex(16)
    people = {name: secrets.token_hex(16) for name in PEOPLE}
    lines = [f'{token},admin,admin,"system:masters"']
    lines += [
        f'{people[name]},"{name}",uid-{number},"{",".join(of)}"' for number, (name, of) in enumerate(PEOPLE.items())
    ]
    (folder / "tokens.csv").write_text("\n".join(lines) + "\n", "utf-8")
    key = folder / "service-account.key"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    server = ApiServer(f"https://127.0.0.1:{port}", folder / "certs" / "apiserver.crt", token, people)
    options = {
        "etcd-servers": etcd_url,
        "bind-address": "127.0.0.1",
        "secure-port": str(port),
        "cert-dir": str(folder / "certs"),  # it signs its own certificate here
        "token-auth-file": str(folder / "tokens.csv"),
        "authorization-mode": "RBAC",
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "service-account-key-file": str(key),
        "service-account-signing-key-file": str(key),
        "service-cluster-ip-range": "10.96.0.0/24",
        # No controller makes the service accounts that this plug-in would demand of every pod.
        "disable-admission-plugins": "ServiceAccount",
        **(flags or {}),
    }
    return server, [program("kube-apiserver"), *(f"--{name}={value}" for name, value in options.items())]


@contextmanager
def etcd(folder: Path) -> Iterator[str]:
    """An etcd of its own that syncs nothing to disk: its URL."""
    client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    command = [program("etcd"), "--data-dir", str(folder / "etcd"), "--unsafe-no-fsync", "--log-level", "warn"]
    urls = {"listen-client-urls": client, "advertise-client-urls": client, "listen-peer-urls": peer}
    urls |= {"initial-advertise-peer-urls": peer, "initial-cluster": f"default={peer}"}
    pool = urllib3.PoolManager(retries=False, timeout=2)

    def healthy() -> bool:
        try:
            return pool.request("GET", client + "/health").status == 200
        except urllib3.exceptions.HTTPError:
            return False

    with running([*command, *(f"--{name}={url}" for name, url in urls.items())], healthy, folder / "etcd.log"):
        yield client


@pytest.fixture(scope="session")
def apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """One API server for the whole run; every test works in a namespace of its own (`namespace`)."""
    with api_server(tmp_path_factory.mktemp("apiserver")) as server:
        yield server


@pytest.fixture
def namespace(apiserver: ApiServer) -> str:
    """The name of a fresh namespace."""
    return apiserver.new_namespace()
