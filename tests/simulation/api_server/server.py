"""A simulated kube-apiserver: synchronous, in memory, without a clock or randomness of its own.

It answers requests as the real one does for the kinds that the operator and the controllers touch. A test sends the
same random requests to both and compares the answers; docs/simulation-fidelity.md lists what is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID

import orjson

from mlops.planning.plan import Key
from tests.simulation.api_server import deletion, errors, selectors
from tests.simulation.api_server.errors import Answer, ApiError
from tests.simulation.api_server.memo import Interned
from tests.simulation.api_server.paths import Target, target_of
from tests.simulation.api_server.store import Change, Store
from tests.simulation.api_server.typed import same
from tests.simulation.api_server.writes import Request, Writes

__all__ = ["Answer", "ApiServer", "Change"]

Manifest = dict[str, Any]

JSON = "application/json"
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"


class ApiServer:
    """Objects behind the paths of a kube-apiserver.

    `now` is the server's clock; uids and addresses come from `random`. `namespaces` are the ones there are; every
    namespace is there if it is None.
    """

    def __init__(self, now: Callable[[], datetime], random: Random, namespaces: frozenset[str] | None = None) -> None:
        self._now, self._random, self._namespaces = now, random, namespaces
        self._store = Store()
        self._writes = Writes(self._store, self._time, self._new_uid, self._check_namespace, random)

    @property
    def version(self) -> int:
        """The newest resourceVersion."""
        return self._store.version

    @property
    def changes(self) -> list[Change]:
        """Everything since the start, in order."""
        return self._store.changes

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Tell of each change from now on, synchronously, after it happened."""
        self._store.listen(listener)

    def get(self, key: Key) -> Manifest | None:
        """The object. It is shared: nobody changes it."""
        return self._store.get(key)

    def list(self, kind: str) -> list[Manifest]:
        """All objects of a kind, oldest first. They are shared: nobody changes them."""
        return self._store.list(kind)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Manifest | None = None,
        content_type: str = JSON,
        user: str = "user",
        as_of: int | None = None,
    ) -> Answer:
        """Answer one request, completely and at once. `as_of`: answer a read from the state of an older version."""
        try:
            target = target_of(path)
            # What goes over the wire is a copy, and JSON.
            sent = None if body is None else _on_the_wire(body)
            return self._answer(method, target, query or {}, sent, content_type, user, as_of)
        except ApiError as error:
            return error.answer()

    def _answer(
        self,
        method: str,
        target: Target,
        query: Mapping[str, str],
        body: Any,
        content_type: str,
        user: str,
        as_of: int | None,
    ) -> Answer:
        if method == "GET":
            if target.name is None:
                return Answer(200, self._list(target, query, as_of))
            return Answer(200, self._read(target, as_of))
        if target.subresource == "binding" and method == "POST":
            self._bind(target, body, user)
            return Answer(201, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})
        if target.name is None:
            if method != "POST":
                raise _not_allowed(target)
            self._check_content(content_type, (JSON,))
            request = Request(target, query, body, user)
            return Answer(201, self._writes.create(request))
        if method == "DELETE":
            return self._delete(target, query, body, user)
        request = Request(target, query, body, user)
        if method == "PUT":
            self._check_content(content_type, (JSON,))
            return Answer(*self._writes.replace(request))
        if method == "PATCH":
            self._check_content(content_type, (MERGE, APPLY))
            if content_type == APPLY:
                return Answer(*self._writes.apply(request))
            return Answer(200, self._writes.merge(request))
        raise _not_allowed(target)

    def _read(self, target: Target, as_of: int | None) -> Manifest:
        found = self._store.get(target.key, as_of)
        if found is None:
            raise errors.not_found(target.resource.group, target.resource.plural, target.key.name)
        return found

    def _list(self, target: Target, query: Mapping[str, str], as_of: int | None) -> Manifest:
        resource, namespace = target.resource, target.namespace
        by_labels = selectors.of_labels(query.get("labelSelector", ""))
        by_fields = selectors.of_fields(query.get("fieldSelector", ""), resource.kind)
        name = _only_name(query.get("fieldSelector", ""))
        if name is not None and namespace is not None:
            one = self._store.get(Key(resource.kind, namespace, name), as_of)
            found = [] if one is None else [one]
        else:
            found = self._store.list(resource.kind, as_of)
        items = [
            manifest
            for manifest in found
            if (namespace is None or manifest["metadata"]["namespace"] == namespace)
            and by_labels(manifest["metadata"].get("labels") or {})
            and by_fields(manifest)
        ]
        items.sort(key=lambda manifest: (manifest["metadata"]["namespace"], manifest["metadata"]["name"]))
        version = str(self.version if as_of is None else as_of)
        return {
            "kind": f"{resource.kind}List",
            "apiVersion": resource.api_version,
            "metadata": {"resourceVersion": version},
            "items": items if resource.lists_whole else [_untyped(manifest) for manifest in items],
        }

    def _bind(self, target: Target, body: Any, user: str) -> None:
        """Give a pod its node, as the scheduler does."""
        pod = self._read(target, None)
        if pod["spec"].get("nodeName") or pod["metadata"].get("deletionTimestamp"):
            raise errors.conflict("", "pods/binding", target.key.name, "pod is assigned to a node or being deleted")
        scheduled = {
            "type": "PodScheduled",
            "status": "True",
            "lastProbeTime": None,
            "lastTransitionTime": self._time(),
        }
        others = [each for each in pod["status"].get("conditions") or () if each["type"] != "PodScheduled"]
        status = {**pod["status"], "conditions": [*others, scheduled]}
        bound = {**pod, "spec": {**pod["spec"], "nodeName": body["target"]["name"]}, "status": status}
        self._store.put(target.key, bound, user)

    def _delete(self, target: Target, query: Mapping[str, str], body: Any, user: str) -> Answer:
        options = deletion.options_of(query, body)
        found = self._read(target, None)
        deletion.check(options, found, target.resource)
        wanted = deletion.deleted(options, found, target.resource, self._now())
        left = found if same(wanted.marked, found) else self._store.put(target.key, wanted.marked, user)
        if not wanted.gone:
            return Answer(200, left)
        last = self._store.remove(target.key, left, user)
        return Answer(200, last if target.resource.returns_deleted else deletion.done(found, target.resource))

    def _check_content(self, content_type: str, allowed: tuple[str, ...]) -> None:
        if content_type not in allowed:
            listed = ", ".join(allowed)
            message = f"the body of the request was in an unknown format - accepted media types include: {listed}"
            raise ApiError(415, message)

    def _check_namespace(self, namespace: str) -> None:
        if self._namespaces is not None and namespace not in self._namespaces:
            raise errors.not_found("", "namespaces", namespace)

    def _time(self) -> str:
        return self._now().astimezone(UTC).isoformat(timespec="seconds")[:19] + "Z"

    def _new_uid(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))


_interned = Interned()


def _on_the_wire(body: Manifest) -> Any:
    sent = orjson.loads(orjson.dumps(body))
    if isinstance(sent, dict) and isinstance(sent.get("spec"), dict):
        sent["spec"] = _interned(sent["spec"])
    return sent


def _only_name(selector: str) -> str | None:
    field, equals, name = selector.partition("=")
    return name.lstrip("=") if field == "metadata.name" and equals and "," not in name else None


def _untyped(manifest: Manifest) -> Manifest:
    return {name: value for name, value in manifest.items() if name not in ("apiVersion", "kind")}


def _not_allowed(target: Target) -> ApiError:
    return ApiError(405, "the server does not allow this method on the requested resource", details={})
