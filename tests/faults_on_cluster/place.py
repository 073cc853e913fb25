"""A namespace with a store of its own, where one fault happens."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.e2e_cluster.kubectl import OUR_KINDS, Kubectl, condition, eventually, is_ready, told
from tests.faults_on_cluster import example
from tests.faults_on_cluster.api import Api
from tests.faults_on_cluster.door import Door, door
from tests.servers.s3 import S3Server, minio

Object = dict[str, Any]
CHILDREN = "jobs,cronjobs,deployments,services,pods"
OURS = "app.kubernetes.io/managed-by=mlops-operator"
SECRET = "mlops-store"


@dataclass
class Place:
    """`store` is the service as this machine sees it, `door` what the pods go through to it."""

    kubectl: Kubectl
    api: Api
    name: str
    store: S3Server
    door: Door
    folder: Path

    def run(self, *arguments: str, given: str | None = None, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """kubectl in this namespace, whatever its outcome."""
        return self.kubectl.run("-n", self.name, *arguments, given=given, timeout=timeout)

    def __call__(self, *arguments: str, given: str | None = None, timeout: float = 120) -> str:
        return self.kubectl("-n", self.name, *arguments, given=given, timeout=timeout)

    def apply(self, manifests: str) -> None:
        self("apply", "-f", "-", given=manifests)

    def patch(self, kind: str, name: str, change: str | dict[str, Any], kind_of_patch: str = "merge") -> None:
        text = change if isinstance(change, str) else json.dumps(change)
        self("patch", kind, name, f"--type={kind_of_patch}", "-p", text)

    def find(self, kind: str, name: str) -> Object | None:
        """The object, or None."""
        return self.api.find(kind, name, self.name)

    def get(self, kind: str, name: str) -> Object:
        """The object, which must be there."""
        found = self.find(kind, name)
        assert found is not None, f"{kind} {name} is not there"
        return found

    def list(self, kinds: str, selector: str = "") -> list[Object]:
        """The objects of one kind or of several (`a,b`)."""
        return self.api.list(kinds, self.name, selector)

    def jobs(self, **labels: str) -> list[Object]:
        """Our Jobs with these `mlops.dev/` labels."""
        return self.list("jobs", ",".join([OURS, *(f"mlops.dev/{name}={value}" for name, value in labels.items())]))

    def ready(self, kind: str, name: str, within: float = 300) -> Object:
        """Wait until the object is Ready at its present generation."""

        def probe() -> Object | None:
            found = self.find(kind, name)
            return found if found and is_ready(found) else None

        return eventually(f"{kind} {name} is Ready", probe, within, every=0.5, told=self.told)

    def says(self, kind: str, name: str, reason: str, within: float = 90, *, type_: str = "Ready") -> Object:
        """Wait until the condition has that reason; returns the condition."""

        def probe() -> Object | None:
            found = condition(self.find(kind, name) or {}, type_)
            return found if found.get("reason") == reason else None

        return eventually(f"{kind} {name} says {reason}", probe, within, every=0.3, told=self.told)

    def takes(self, what: str, probe: Callable[[], object], within: float) -> float:
        """Wait until `look` returns something; returns the seconds."""
        start = time.monotonic()
        eventually(what, probe, within, every=0.2, told=self.told)
        return time.monotonic() - start

    def pod(self, selector: str, within: float = 240) -> Object:
        """Wait for a pod that is at work and not on its way out."""

        def probe() -> Object | None:
            return next((pod for pod in self.list("pods", selector) if _at_work(pod)), None)

        return eventually(f"a pod {selector} is at work", probe, within, every=0.2, told=self.told)

    def event(self, name: str, reason: str) -> None:
        """Wait for an Event of the operator's on an object of that name: Events are posted beside the work."""

        def posted() -> bool:
            listed = (each for each in self.list("events") if each.get("reportingController") == "mlops.dev/operator")
            return any((each["regarding"]["name"], each["reason"]) == (name, reason) for each in listed)

        self.takes(f"the Event {reason} of {name}", posted, 60)

    def put_data(self, key: str = "parts/history.parquet", data: bytes | None = None) -> None:
        """Deliver the example's rows, or `data`."""
        data = example.history() if data is None else data
        (self.folder / "delivery").write_bytes(data)
        self.store.client().fput_object("raw", key, str(self.folder / "delivery"))

    def told(self) -> str:
        """All that helps a person to see why it does not go on."""
        return f"{told(self.list(OUR_KINDS))}\n{self.run('get', f'{CHILDREN},events').stdout[-6000:]}"


def _at_work(pod: Object) -> bool:
    """Whether one of its containers runs; the phase is Pending as long as that is an init container."""
    fields = ("initContainerStatuses", "containerStatuses")
    containers = [each for field in fields for each in pod["status"].get(field, ())]
    return "deletionTimestamp" not in pod["metadata"] and any("running" in each["state"] for each in containers)


@contextmanager
def place(kubectl: Kubectl, api: Api, host: str, name: str, folder: Path) -> Iterator[Place]:
    """A namespace that enforces the strictest Pod Security, with data, buckets and the Secret of the store in it."""
    with ExitStack() as stack:
        store = stack.enter_context(minio(folder))
        address = urlsplit(store.endpoint)
        opened = stack.enter_context(door(host, (str(address.hostname), int(address.port or 0))))
        made = Place(kubectl, api, name, store, opened, folder)
        for bucket in ("raw", "mlops"):
            store.client().make_bucket(bucket)
        made.put_data()
        kubectl("create", "namespace", name)
        kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
        give_secret(made)
        stack.callback(kubectl.run, "delete", "namespace", name, "--wait=false", "--ignore-not-found")
        yield made


def give_secret(there: Place, **keys: str) -> None:
    """Make or change the Secret of the store; `keys` replace those that are right."""
    right = {**there.store.environ(), "MLOPS_S3_ENDPOINT": there.door.endpoint}
    manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "stringData": {**right, **keys}}
    there.apply(json.dumps(manifest))
