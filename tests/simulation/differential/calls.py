"""Requests that mean the same to two API servers, although each has given its objects other uids and versions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Manifest = dict[str, Any]
# Sends one request to a server: method, path, query, body, content type; returns status and body.
Send = Callable[[str, str, Mapping[str, str], Any, str], tuple[int, Manifest]]

JSON = "application/json"
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True)
class Call:
    """One request. In its body and query, a text `<uid jobs/a>` stands for the uid of that object as the server has
    told it last, `<version jobs/a>` for its resourceVersion, `<version jobs/a 2>` for the one two changes before,
    `<address services/a>` for the address that the server gave it. The path has `<ns>` in it for the namespace."""

    method: str
    path: str
    body: Any = None
    query: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON

    def __str__(self) -> str:
        parts = [repr(self.method), repr(self.path)]
        if self.body is not None:
            parts.append(f"body={self.body!r}")
        if self.query:
            parts.append(f"query={dict(self.query)!r}")
        if self.content_type != JSON:
            parts.append(f"content_type={self.content_type!r}")
        return f"Call({', '.join(parts)})"


_REFERENCE = re.compile(r"<(uid|version|address) ([a-z]+/[^ >]+)(?: (\d+))?>")


class Side:
    """One server in a namespace: resolves what calls refer to, and keeps what the answers tell."""

    def __init__(self, send: Send, namespace: str) -> None:
        self._send, self.namespace = send, namespace
        # By collection and name: the states that were seen, oldest first.
        self._seen: dict[str, list[Manifest]] = {}

    def send(self, call: Call) -> tuple[int, Manifest]:
        """Send it; the answer is as the server gave it."""
        path = call.path.replace("<ns>", self.namespace)
        query = {key: self._resolved(value) for key, value in call.query.items()}
        status, answer = self._send(call.method, path, query, self._resolved(call.body), call.content_type)
        if status < 300:
            self._remember(path, answer)
        return status, answer

    def _remember(self, path: str, answer: Manifest) -> None:
        collection = re.sub(r".*/namespaces/[^/]+/([a-z]+).*", r"\1", path)
        for item in answer.get("items") or [answer]:
            metadata = item.get("metadata") or {}
            if "uid" in metadata and "name" in metadata:
                states = self._seen.setdefault(f"{collection}/{metadata['name']}", [])
                if not states or states[-1]["metadata"]["resourceVersion"] != metadata["resourceVersion"]:
                    states.append(item)

    def _resolved(self, value: Any) -> Any:
        if isinstance(value, str) and ("<" in value):
            return _REFERENCE.sub(self._resolve, value).replace("<ns>", self.namespace)
        if isinstance(value, dict):
            return {key: self._resolved(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._resolved(item) for item in value]
        return value

    def _resolve(self, found: re.Match[str]) -> str:
        what, key, back = found.groups()
        states = self._seen.get(key)
        if not states:
            return "00000000-0000-4000-8000-000000000000" if what == "uid" else "1"
        state = states[max(0, len(states) - 1 - int(back or 0))]
        if what == "address":
            return str(state["spec"].get("clusterIP", ""))
        return str(state["metadata"]["uid" if what == "uid" else "resourceVersion"])


# --- what is the same on both sides, although it looks otherwise ---

_UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ADDRESS = re.compile(r"10\.96\.\d+\.\d+")


class Normal:
    """Brings the answers of one side into the form in which those of both are compared."""

    def __init__(self) -> None:
        self._uids: dict[str, str] = {}
        self._versions: dict[str, list[str]] = {}

    def answer(self, status: int, body: Manifest, namespace: str) -> Manifest:
        """Status and body, without what each server makes up."""
        if body.get("kind") == "Status":
            return {"status": status, "body": self._text(_status(body), namespace)}
        if "items" in body:
            shown: Manifest = {key: body.get(key) for key in ("kind", "apiVersion")}
            shown["items"] = [self._object(item) for item in body["items"]]
        else:
            shown = self._object(body)
        return {"status": status, "body": self._text(shown, namespace)}

    def _object(self, manifest: Manifest) -> Manifest:
        metadata = dict(manifest.get("metadata") or {})
        versions = self._versions.setdefault(metadata.get("uid", ""), [])
        version = metadata.get("resourceVersion")
        if version not in versions:
            versions.append(str(version))
        metadata["resourceVersion"] = f"state {versions.index(str(version))}"
        for name in ("creationTimestamp", "deletionTimestamp"):
            if name in metadata:
                metadata[name] = "a timestamp"
        if "managedFields" in metadata:
            entries = [
                {key: value for key, value in entry.items() if key != "time"} for entry in metadata["managedFields"]
            ]
            metadata["managedFields"] = sorted(entries, key=lambda entry: json.dumps(entry, sort_keys=True))
        return {**manifest, "metadata": metadata}

    def _text(self, value: Any, namespace: str) -> Any:
        text = json.dumps(value, sort_keys=True)
        text = _UID.sub(lambda found: self._uids.setdefault(found[0], f"uid {len(self._uids)}"), text)
        text = _ADDRESS.sub("an address", text)
        return json.loads(text.replace(namespace, "<ns>"))


def _status(body: Manifest) -> Manifest:
    """Of a Status, what a program reads: not the sentences."""
    details = body.get("details") or {}
    shown = {key: body.get(key) for key in ("status", "reason", "code")}
    shown["details"] = {key: details[key] for key in ("name", "group", "kind") if key in details}
    return shown


def _fields_refused(body: Manifest) -> set[str]:
    causes = (body.get("details") or {}).get("causes") or []
    return {str(cause.get("field")) for cause in causes} if body.get("reason") == "Invalid" else set()


# --- one sequence on both servers ---


@dataclass(frozen=True)
class Difference:
    """The calls up to the first that was answered otherwise, and both answers."""

    calls: tuple[Call, ...]
    simulated: Manifest
    real: Manifest
    messages: tuple[str, str]

    def __str__(self) -> str:
        lines = ["calls = ["]
        lines += [f"    {call}," for call in self.calls]
        lines += ["]", "the last one is answered otherwise:"]
        lines += [f"  {path}\n    simulated: {one}\n    real:      {other}" for path, one, other in self.places()]
        lines += [f"  message, simulated: {self.messages[0]}", f"  message, real:      {self.messages[1]}"]
        return "\n".join(lines)

    def places(self) -> list[tuple[str, Any, Any]]:
        """The fields that differ."""
        return list(_places("", self.simulated, self.real))


_NOWHERE = "(nothing)"


def _places(path: str, one: Any, other: Any) -> list[tuple[str, Any, Any]]:
    if isinstance(one, dict) and isinstance(other, dict):
        found = []
        for key in sorted({*one, *other}):
            found += _places(f"{path}.{key}", one.get(key, _NOWHERE), other.get(key, _NOWHERE))
        return found
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [
            place
            for index, pair in enumerate(zip(one, other, strict=True))
            for place in _places(f"{path}[{index}]", *pair)
        ]
    return [] if one == other and type(one) is type(other) else [(path, one, other)]


def first_difference(calls: list[Call], simulated: Side, real: Side) -> Difference | None:
    """Send the calls to both until an answer differs."""
    normal_simulated, normal_real = Normal(), Normal()
    for place, call in enumerate(calls):
        ours, theirs = simulated.send(call), real.send(call)
        one = normal_simulated.answer(*ours, simulated.namespace)
        other = normal_real.answer(*theirs, real.namespace)
        # A refusal names at least one of the fields that the real one names, and no other.
        named, allowed = _fields_refused(ours[1]), _fields_refused(theirs[1])
        if not named <= allowed or (allowed and not named):
            one["fields"], other["fields"] = sorted(named), sorted(allowed)
        if one != other:
            messages = (str(ours[1].get("message")), str(theirs[1].get("message")))
            return Difference(tuple(calls[: place + 1]), one, other, messages)
    return None


def shrunk(difference: Difference, again: Callable[[list[Call]], Difference | None]) -> Difference:
    """Leave out calls as long as the same fields differ in the end; `again` sends calls to both in a new namespace."""
    wanted = [path for path, _, _ in difference.places()]
    size = max(1, len(difference.calls) // 2)
    while size:
        start = 0
        while start < len(difference.calls) - 1:
            calls = list(difference.calls)
            last = calls.pop()
            fewer = calls[:start] + calls[start + size :]
            found = again([*fewer, last]) if len(fewer) < len(calls) else None
            if found is not None and len(found.calls) == len(fewer) + 1 and [p for p, _, _ in found.places()] == wanted:
                difference = found
            else:
                start += size
        size //= 2
    return difference
