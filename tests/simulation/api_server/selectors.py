"""Label and field selectors of lists."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from tests.simulation.api_server.errors import ApiError

Manifest = dict[str, Any]
Matches = Callable[[Mapping[str, str]], bool]

_SET = re.compile(r"^(\S+)\s+(in|notin)\s*\(([^)]*)\)$")
_EQUAL = re.compile(r"^([^\s=!,()]+)\s*(==|=|!=)\s*([^\s=!,()]*)$")
_EXISTS = re.compile(r"^(!?)\s*([^\s=!,()]+)$")


@lru_cache(maxsize=256)
def of_labels(text: str) -> Matches:
    """A label selector as a predicate of labels. Raises ApiError (400) if it cannot be read."""
    tests = [_requirement(part) for part in _split(text)]
    return lambda labels: all(test(labels) for test in tests)


def _split(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for place, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append(text[start:place].strip())
            start = place + 1
    parts.append(text[start:].strip())
    return [part for part in parts if part] if text.strip() else []


def _requirement(part: str) -> Matches:
    if found := _SET.match(part):
        key, operator, listed = found.groups()
        values = {value.strip() for value in listed.split(",")}
        if operator == "in":
            return lambda labels: labels.get(key, _ABSENT) in values
        return lambda labels: labels.get(key, _ABSENT) not in values
    if found := _EQUAL.match(part):
        key, operator, value = found.groups()
        if operator == "!=":
            return lambda labels: labels.get(key, _ABSENT) != value
        return lambda labels: labels.get(key, _ABSENT) == value
    if found := _EXISTS.match(part):
        no, key = found.groups()
        return (lambda labels: key not in labels) if no else (lambda labels: key in labels)
    raise ApiError(400, f"unable to parse requirement: {part!r}")


# No label has it.
_ABSENT = "\0"


@lru_cache(maxsize=4096)
def of_fields(text: str, kind: str) -> Callable[[Manifest], bool]:
    """A field selector as a predicate of objects. Raises ApiError (400) for a field that cannot be selected by."""
    wanted = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        found = re.match(r"^([^=!]+)(!=|==|=)(.*)$", part)
        if found is None:
            raise ApiError(400, f"invalid selector: '{part}'; can't understand '{part}'")
        field, operator, value = found.groups()
        read = _FIELDS.get(field) or _KIND_FIELDS.get((kind, field))
        if read is None:
            raise ApiError(400, f'field label not supported: "{field}"')
        wanted.append((read, operator != "!=", value))
    return lambda manifest: all((read(manifest) == value) is equal for read, equal, value in wanted)


_FIELDS: dict[str, Callable[[Manifest], str]] = {
    "metadata.name": lambda manifest: str(manifest["metadata"]["name"]),
    "metadata.namespace": lambda manifest: str(manifest["metadata"]["namespace"]),
}
_KIND_FIELDS: dict[tuple[str, str], Callable[[Manifest], str]] = {
    ("Pod", "spec.nodeName"): lambda manifest: str(manifest["spec"].get("nodeName", "")),
    ("Pod", "status.phase"): lambda manifest: str((manifest.get("status") or {}).get("phase", "")),
    ("Job", "status.successful"): lambda manifest: str((manifest.get("status") or {}).get("succeeded", 0)),
}


def selects(selector: Manifest, labels: Manifest) -> bool:
    """Whether a LabelSelector, as it stands in objects, takes these labels."""
    for item in selector.get("matchExpressions") or ():
        value, values = labels.get(item["key"]), item.get("values") or ()
        holds = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not holds.get(item["operator"], False):
            return False
    return all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())
