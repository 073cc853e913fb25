"""Random calls as the operator, its users, the controllers and careless people make them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from random import Random
from typing import Any

from mlops.cluster.kinds import _WRITTEN as SERVED
from tests.simulation.differential.calls import APPLY, MERGE, Call
from tests.simulation.differential.material import OURS, manifests, statuses

Manifest = dict[str, Any]

_MANAGERS = ("mlops-operator", "kubectl", "controller")
_NAMES = ("one", "two")
_LONG, _BAD = "a" * 70, "Not_a_name"


class Sequence:
    """Calls about a few objects of a few kinds, so that they meet."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        kinds = sorted(manifests())
        self._kinds = self._random.sample(kinds, 2)
        # What was sent as an object's configuration, by manager.
        self._sent: dict[tuple[str, str, str], Manifest] = {}

    def calls(self, number: int) -> list[Call]:
        """The calls, without knowing the answers."""
        made: list[Call] = []
        for kind in self._kinds:
            made.append(self._post(kind, _NAMES[0]))
        while len(made) < number:
            made += self._next()
        return made[:number]

    def _next(self) -> Iterator[Call] | list[Call]:
        random = self._random
        kind, name = random.choice(self._kinds), random.choices(_NAMES, (3, 1))[0]
        choice = random.choices(
            (self._post, self._apply, self._status, self._merge, self._put, self._delete, self._get, self._odd),
            (10, 30, 16, 14, 10, 8, 8, 4),
        )[0]
        made = choice(kind, name)
        return made if isinstance(made, list) else [made]

    # --- the calls ---

    def _post(self, kind: str, name: str) -> Call:
        body = self._configuration(kind, name)
        return Call("POST", _collection(kind), body, {"fieldManager": self._manager()})

    def _apply(self, kind: str, name: str) -> Call:
        manager = self._manager()
        last = self._sent.get((kind, name, manager))
        if last is not None and self._random.random() < 0.6:
            body = self._changed(last)
        else:
            body = self._configuration(kind, name)
        if self._random.random() < 0.3:
            body = self._part(body)
        self._sent[kind, name, manager] = body
        if self._random.random() < 0.05:
            body = self._with_version(body, kind, name)
        query = {"fieldManager": manager, "force": "true"}
        if self._random.random() < 0.4:
            query["force"] = "false"
        return Call("PATCH", _object(kind, name), body, query, APPLY)

    def _status(self, kind: str, name: str) -> Call:
        known = statuses().get(kind)
        if not known:
            return self._merge(kind, name)
        served, random = SERVED[kind], self._random
        status = copy.deepcopy(random.choice(known))
        if random.random() < 0.3:
            self._mutate(status)
        body = {"apiVersion": served.api_version, "kind": kind, "metadata": {"name": name}, "status": status}
        query = {"fieldManager": self._manager()}
        path = _object(kind, name) + "/status"
        if random.random() < 0.7:
            body = self._with_version(body, kind, name)
        if kind in OURS or random.random() < 0.2:
            return Call("PATCH", path, body, {**query, "force": random.choice(("true", "true", "false"))}, APPLY)
        return Call("PATCH", path, {"status": status}, query, MERGE)

    def _merge(self, kind: str, name: str) -> Call:
        random = self._random
        if random.random() < 0.5:
            body = {"metadata": self._metadata_change()}
        else:
            body = self._part(self._changed(self._configuration(kind, name)))
            body.pop("apiVersion", None)
            if random.random() < 0.5:
                body.pop("metadata", None)
        if random.random() < 0.1:
            body = self._with_version(body, kind, name)
        if random.random() < 0.1:
            self._null(body)
        return Call("PATCH", _object(kind, name), body, {"fieldManager": self._manager()}, MERGE)

    def _put(self, kind: str, name: str) -> Call:
        body = self._configuration(kind, name)
        if self._random.random() < 0.8:
            body = self._with_version(body, kind, name)
        if self._random.random() < 0.4:
            body["metadata"]["uid"] = f"<uid {_reference(kind, name)}>"
        return Call("PUT", _object(kind, name), body, {"fieldManager": self._manager()})

    def _delete(self, kind: str, name: str) -> Call:
        random = self._random
        options: Manifest = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if random.random() < 0.7:
            options["propagationPolicy"] = random.choice(("Background", "Background", "Foreground", "Orphan", "Never"))
        if random.random() < 0.5:
            uid = random.choice((f"<uid {_reference(kind, name)}>", f"<uid {_reference(kind, name)}>", "1234"))
            options["preconditions"] = {"uid": uid}
        elif random.random() < 0.2:
            options["preconditions"] = {"resourceVersion": self._version(kind, name)}
        if random.random() < 0.2:
            options["gracePeriodSeconds"] = random.choice((0, 0, 5, 60))
        if random.random() < 0.1:
            return Call("DELETE", _object(kind, name), None, {"propagationPolicy": "Background"})
        return Call("DELETE", _object(kind, name), options)

    def _get(self, kind: str, name: str) -> Call:
        random = self._random
        if random.random() < 0.5:
            return Call("GET", _object(kind, name))
        selectors = (
            {},
            {"labelSelector": "app.kubernetes.io/managed-by=mlops-operator"},
            {"labelSelector": "color=red"},
            {"labelSelector": "color!=red"},
            {"labelSelector": "color in (red,blue),app.kubernetes.io/part-of"},
            {"labelSelector": "color notin (red)"},
            {"labelSelector": "!color"},
            {"labelSelector": "=,="},
            {"fieldSelector": f"metadata.name={name}"},
            {"fieldSelector": f"metadata.name!={name}"},
            {"fieldSelector": "spec.color=red"},
        )
        return Call("GET", _collection(kind), None, random.choice(selectors))

    def _odd(self, kind: str, name: str) -> Call:
        random = self._random
        body = self._configuration(kind, name)
        query = {"fieldManager": "kubectl"}
        elsewhere = {**body, "metadata": {**body["metadata"], "namespace": "elsewhere"}}
        stranger = {**body, "kind": "Stranger"}
        older = {**body, "apiVersion": "mlops.dev/v1"}
        nameless = {**body, "metadata": {key: value for key, value in body["metadata"].items() if key != "name"}}
        other = {**body, "metadata": {**body["metadata"], "name": "another"}}
        return random.choice(
            (
                Call("PATCH", _object(kind, name), body, query, "application/xml"),
                Call("PATCH", _object(kind, name), body, query, "text/plain"),
                Call("POST", _collection(kind), body, query, "text/plain"),
                Call("POST", _collection(kind), elsewhere, query),
                Call("POST", _collection(kind), stranger, query),
                Call("POST", _collection(kind), older, query),
                Call("POST", _collection(kind), nameless, query),
                Call("POST", _collection(kind).replace("<ns>", "nowhere"), nameless, query),
                Call("POST", _collection(kind).replace("<ns>", "nowhere"), _in(body, "nowhere"), query),
                Call("PATCH", _object(kind, name).replace("<ns>", "nowhere"), _in(body, "nowhere"), query, APPLY),
                Call("GET", _object(kind, name).replace("<ns>", "nowhere")),
                Call("GET", _collection(kind).replace("<ns>", "nowhere")),
                Call("PUT", _object(kind, name), other, query),
                Call("PATCH", _object(kind, name), other, query, APPLY),
                Call("PATCH", _object(kind, name), body, {}, APPLY),
                Call("PATCH", _object(kind, name), stranger, query, APPLY),
                Call("PATCH", _object(kind, name), elsewhere, query, APPLY),
                Call("PATCH", _object(kind, name), {"metadata": {"name": "another"}}, query, MERGE),
                Call("PATCH", _object(kind, name), {"kind": "Stranger"}, query, MERGE),
                Call("PATCH", _object(kind, name) + "/status", body, query, MERGE),
                Call("PUT", _object(kind, name) + "/status", body, query),
                Call("GET", _object(kind, name) + "/status"),
                Call("GET", _object(kind, name) + "/nothing"),
            )
        )

    # --- their bodies ---

    def _manager(self) -> str:
        return self._random.choice(_MANAGERS)

    def _configuration(self, kind: str, name: str) -> Manifest:
        random = self._random
        body = copy.deepcopy(random.choice(manifests()[kind]))
        body["metadata"] = {key: value for key, value in body["metadata"].items() if key in _KEPT}
        body["metadata"]["name"] = name
        if random.random() < 0.02:
            body["metadata"]["name"] = random.choice((_LONG, _BAD, "", "a.b"))
        for reference in body["metadata"].get("ownerReferences") or ():
            reference.setdefault("uid", "1234")
        if random.random() < 0.3:
            body["metadata"]["namespace"] = "<ns>"
        if random.random() < 0.2:
            body["metadata"] |= {
                key: value for key, value in self._metadata_change().items() if value and key != "ownerReferences"
            }
        if random.random() < 0.3:
            self._mutate(body)
        return body

    def _changed(self, body: Manifest) -> Manifest:
        changed = copy.deepcopy(body)
        if self._random.random() < 0.7:
            self._mutate(changed)
        if self._random.random() < 0.4:
            self._drop(changed)
        return changed

    def _part(self, body: Manifest) -> Manifest:
        """Only some of the fields, as a second manager has them."""
        part = copy.deepcopy(body)
        for _ in range(self._random.randint(1, 6)):
            self._drop(part)
        return part

    def _metadata_change(self) -> Manifest:
        random = self._random
        choices: tuple[Manifest, ...] = (
            {"labels": {"color": random.choice(("red", "blue", "", None))}},
            {"labels": {"color": random.choice(("not allowed!", _LONG))}},
            {"labels": {"not allowed!": "x"}},
            {"labels": {"app.kubernetes.io/managed-by": None}},
            {"labels": None},
            {"labels": {"color": 7}},
            {"annotations": {"note": random.choice(("x", "y z", None)), "mlops.dev/applied": "1234"}},
            {"annotations": {}},
            {"finalizers": ["mlops.dev/hold"]},
            {"finalizers": ["mlops.dev/hold", "mlops.dev/other"]},
            {"finalizers": []},
            {"finalizers": None},
            {"ownerReferences": [_owner("1234", True)]},
            {"ownerReferences": [_owner("1234", True), _owner("5678", True)]},
            {"ownerReferences": [_owner("1234", False), _owner("5678", True)]},
            {"ownerReferences": [_owner("", True)]},
            {"ownerReferences": None},
            {"unknown": 1},
            {"generation": 7},
            {"creationTimestamp": None},
            {"uid": "1234"},
            {"deletionTimestamp": "2026-01-10T12:00:00Z"},
            {"managedFields": []},
        )
        return random.choice(choices)

    def _with_version(self, body: Manifest, kind: str, name: str) -> Manifest:
        metadata = body.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        return {**body, "metadata": {**metadata, "resourceVersion": self._version(kind, name)}}

    def _version(self, kind: str, name: str) -> str:
        back = self._random.choices(("", " 1", " 3"), (6, 2, 1))[0]
        return f"<version {_reference(kind, name)}{back}>"

    # --- changing a field somewhere ---

    def _place(self, body: Manifest) -> tuple[Any, Any] | None:
        """A random field: what holds it, and its key."""
        places = [
            (holder, path[-1], len(path))
            for holder, path in _fields(body, ())
            if len(path) > 1 and path[-1] not in ("apiVersion", "kind", "name", "namespace") and _is_simulated(path)
        ]
        if not places:
            return None
        # Fields near the top count as much as the many deep ones.
        depth = self._random.choice(sorted({place[2] for place in places}))
        holder, key, _ = self._random.choice([place for place in places if place[2] == depth])
        return holder, key

    def _mutate(self, body: Manifest) -> None:
        place = self._place(body)
        if place is None:
            return
        holder, key = place
        holder[key] = self._other(holder[key])

    def _drop(self, body: Manifest) -> None:
        place = self._place(body)
        if place is not None:
            holder, key = place
            del holder[key]

    def _null(self, body: Manifest) -> None:
        place = self._place(body)
        if place is not None:
            holder, key = place
            holder[key] = None

    def _other(self, value: Any) -> Any:
        random = self._random
        if random.random() < 0.15:
            return random.choice((None, "text", 7, True, {}, [], ["x"], {"unknown": "x"}, 1.5, -1))
        if isinstance(value, bool):
            return not value
        if isinstance(value, int):
            return random.choice((0, 1, value + 1, -1, 100_000))
        if isinstance(value, str):
            return random.choice(("", "other", value + "x", _LONG, "0 5 * * *"))
        if isinstance(value, list):
            return self._other_list(value)
        if isinstance(value, dict):
            return {**value, random.choice(("unknown", "color")): random.choice(("x", 1, {}))}
        return "text"

    def _other_list(self, value: list[Any]) -> list[Any]:
        random = self._random
        if not value:
            return [random.choice(("x", {}, 1))]
        changed = copy.deepcopy(value)
        match random.randrange(4):
            case 0:
                changed.pop(random.randrange(len(changed)))
            case 1:
                changed.append(copy.deepcopy(random.choice(changed)))
            case 2:
                random.shuffle(changed)
            case _:
                item = copy.deepcopy(random.choice(changed))
                if isinstance(item, dict) and "name" in item:
                    item["name"] = "added"
                changed.insert(random.randrange(len(changed) + 1), item)
        return changed


_KEPT = ("labels", "annotations", "ownerReferences", "name")


def _owner(uid: str, controller: bool) -> Manifest:
    reference = {"apiVersion": "mlops.dev/v1alpha1", "kind": "Dataset", "name": "weather", "uid": uid}
    return {**reference, "controller": True, "blockOwnerDeletion": True} if controller else reference


def _in(body: Manifest, namespace: str) -> Manifest:
    return {**body, "metadata": {**body["metadata"], "namespace": namespace}}


def _collection(kind: str) -> str:
    return SERVED[kind].path("<ns>")


def _object(kind: str, name: str) -> str:
    return SERVED[kind].path("<ns>", name)


def _reference(kind: str, name: str) -> str:
    return f"{SERVED[kind].plural}/{name}"


def _fields(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Every field: what holds it, and its path."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in list(items):
        yield value, (*path, key)
        if isinstance(item, dict | list):
            yield from _fields(item, (*path, key))


# Of a pod, the parts that planners and users change: not its probes, volumes, security contexts and so on.
_OF_A_POD = ("image", "env", "value", "args", "command", "restartPolicy", "containers", "terminationGracePeriodSeconds")


def _is_simulated(path: tuple[Any, ...]) -> bool:
    named = [key for key in path if isinstance(key, str)]
    if named[0] != "spec":
        return True
    inside = {"containers", "initContainers", "volumes", "securityContext"} & {*named}
    deep = inside or named[-3:-1] == ["template", "spec"]
    return not deep or named[-1] in _OF_A_POD
