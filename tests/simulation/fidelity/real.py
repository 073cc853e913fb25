"""Scenarios in a real cluster, all at once in one namespace, through `kubectl proxy`."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import urllib3

from hack import tools
from mlops.cluster.kinds import WATCHED, collection_of, path_of
from mlops.engine.cluster import key_of, labels_of
from mlops.planning.plan import Manifest
from tests.simulation.fidelity.deeds import NAMESPACE, SCENARIO
from tests.simulation.fidelity.record import KINDS, Event, Sequences, sequences
from tests.simulation.fidelity.scenarios import Play, Scenario, Seen

_API_VERSIONS = {kind: WATCHED[kind].api_version for kind in KINDS}


class RealSite:
    """A cluster behind a URL, and what its watches have told since the start."""

    def __init__(self, url: str) -> None:
        self._url, self._pool = url, urllib3.PoolManager(num_pools=4, maxsize=16)
        self._lock = threading.Lock()
        self._there: dict[tuple[str, str], Manifest] = {}
        self._events: list[Event] = []

    def watch(self) -> None:
        """Begin to listen, one watch a kind."""
        for kind in KINDS:
            path = f"{self._url}{WATCHED[kind].path(NAMESPACE)}?watch=1"
            stream = self._pool.request(
                "GET", path, preload_content=False, timeout=urllib3.Timeout(connect=10, read=None)
            )
            threading.Thread(target=self._listen, args=(kind, stream), daemon=True).start()

    def events(self) -> list[Event]:
        """Return what was told so far."""
        with self._lock:
            return list(self._events)

    def seen(self, scenario: str) -> Seen:
        """Return the scenario's objects, oldest first."""
        with self._lock:
            found = [each for each in self._there.values() if labels_of(each).get(SCENARIO) == scenario]
        return Seen(sorted(found, key=lambda each: (each["metadata"]["creationTimestamp"], each["metadata"]["name"])))

    def _listen(self, kind: str, stream: Any) -> None:
        rest = b""
        try:
            for piece in stream.stream(65536):
                *lines, rest = (rest + piece).split(b"\n")
                for line in filter(None, lines):
                    self._take(kind, json.loads(line))
        except (urllib3.exceptions.HTTPError, AttributeError, ValueError, OSError):
            return  # the proxy has ended

    def _take(self, kind: str, told: Manifest) -> None:
        manifest = {"apiVersion": _API_VERSIONS[kind], "kind": kind, **told["object"]}
        key = (kind, manifest["metadata"]["name"])
        with self._lock:
            self._events.append(Event(told["type"], manifest))
            if told["type"] == "DELETED":
                self._there.pop(key, None)
            else:
                self._there[key] = manifest

    def create(self, manifest: Manifest) -> Manifest:
        return self._request("POST", collection_of(key_of(manifest)), manifest)

    def delete(self, manifest: Manifest, *, policy: str | None = None, grace: int | None = None) -> None:
        options = {"propagationPolicy": policy, "gracePeriodSeconds": grace}
        body = {name: value for name, value in options.items() if value is not None}
        self._request("DELETE", path_of(key_of(manifest)), {"apiVersion": "v1", "kind": "DeleteOptions", **body})

    def change(self, manifest: Manifest, changes: Manifest) -> None:
        self._request("PATCH", path_of(key_of(manifest)), changes, "application/merge-patch+json")

    def evict(self, pod: Manifest) -> None:
        metadata = {"name": pod["metadata"]["name"], "namespace": NAMESPACE}
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
        self._request("POST", path_of(key_of(pod), "eviction"), body)

    def _request(self, method: str, path: str, body: Manifest, content_type: str = "application/json") -> Manifest:
        headers = {"Content-Type": content_type}
        answer = self._pool.request(method, self._url + path, body=json.dumps(body).encode(), headers=headers)
        assert answer.status < 300, answer.data
        made: Manifest = answer.json()
        return made


def all_played(kubeconfig: Path, scenarios: Iterable[Scenario], seconds: float) -> dict[str, Sequences]:
    """Play the scenarios beside each other and return what was seen of each; fails if one is not over in time."""
    # With the proxy the watches end.
    with _proxy(kubeconfig) as url, _namespace(url):
        site = RealSite(url)
        site.watch()
        plays = [Play(scenario, site) for scenario in scenarios]
        for play in plays:
            play.begin()
        end = time.monotonic() + seconds
        while pending := [play for play in plays if not play.finished]:
            for play in pending:
                play.go_on(site.seen(play.scenario.name))
            late = {play.scenario.name: sequences(site.events(), play.scenario.name) for play in pending}
            assert time.monotonic() < end, json.dumps(late, indent=1)
            time.sleep(0.1)
        time.sleep(2)
        events = site.events()
    return {play.scenario.name: sequences(events, play.scenario.name) for play in plays}


@contextmanager
def _proxy(kubeconfig: Path) -> Iterator[str]:
    program = tools.find("kubectl")
    assert program is not None, "python hack/tools.py build kubectl"
    command = [str(program), "--kubeconfig", str(kubeconfig), "proxy", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://{process.stdout.readline().split()[-1]}"
        finally:
            process.terminate()


@contextmanager
def _namespace(url: str) -> Iterator[None]:
    pool, path = urllib3.PoolManager(), f"{url}/api/v1/namespaces"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    _until(201, lambda: pool.request("POST", path, json=body))  # one of that name may be on its way out
    _until(200, lambda: pool.request("GET", f"{path}/{NAMESPACE}/serviceaccounts/default"))
    try:
        yield
    finally:
        pool.request("DELETE", f"{path}/{NAMESPACE}")


def _until(status: int, ask: Callable[[], urllib3.BaseHTTPResponse]) -> None:
    for _ in range(600):
        answer = ask()
        if answer.status == status:
            return
        time.sleep(0.1)
    raise AssertionError(answer.data)
