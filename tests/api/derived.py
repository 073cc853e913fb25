"""A violation of every plain limit in the generated schemas: types, enums, ranges, lengths, required, unknown fields.

Derived from the schema itself, so a field that is added tomorrow is covered tomorrow.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from mlops.api.crd import crds
from tests.api.objects import VALID, Object, changed


class Violation(NamedTuple):
    """A wrong object, the schema's keyword it breaks, and the field that must be named."""

    manifest: Object
    keyword: str
    field: str


SCHEMAS: dict[str, Any] = {
    crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    for crd in crds().values()
}


def violations() -> dict[str, Violation]:
    """Return one violation per constraint and field, by a name for it.

    Items of a list have one schema, so the first that shows a limit shows it for all. The same holds of what is equal
    within a podTemplate, which all kinds have, and in which affinity says four times what a place is.
    """
    found: dict[str, Violation] = {}
    seen: set[tuple[str, ...]] = set()
    for base in VALID.values():
        kind = base["kind"]
        for path, node, value in places(SCHEMAS[kind], base["spec"], "spec"):
            for keyword, wrong in _wrong(node, value):
                missing = wrong if keyword == "required" else ""
                limit = (*_place_of(kind, path, node), keyword, missing)
                if limit in seen:
                    continue
                seen.add(limit)
                field = f"{path}.{missing}" if missing else path
                change = {field: None} if missing else {path: wrong}
                name = f"{kind} {path} {keyword} {missing}".rstrip()
                found[name] = Violation(changed(base, change), keyword, _shown(field))
    return found


def _place_of(kind: str, path: str, node: Any) -> tuple[str, ...]:
    plain = ".".join(part for part in path.split(".") if not part.isdigit())
    _, shared, within = plain.partition(".podTemplate.")
    return (within.rpartition(".")[2], json.dumps(node, sort_keys=True)) if shared else (kind, plain)


def constraints() -> Iterator[tuple[str, str]]:
    """Yield (kind, dotted path without list positions) of every node of the specs' schemas."""
    for kind, schema in SCHEMAS.items():
        yield from ((kind, path) for path in _paths(schema, "spec"))


def covered() -> set[tuple[str, str]]:
    """Return the nodes that some valid object reaches."""
    return {
        (base["kind"], ".".join(part for part in path.split(".") if not part.isdigit()))
        for base in VALID.values()
        for path, _, _ in places(SCHEMAS[base["kind"]], base["spec"], "spec")
    }


def places(node: Any, value: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield (dotted path, schema, value) of everything in `value`."""
    yield path, node, value
    if isinstance(value, dict) and "properties" in node:
        for key, child in value.items():
            yield from places(node["properties"][key], child, f"{path}.{key}")
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from places(node["items"], child, f"{path}.{index}")


def _paths(node: Any, path: str) -> Iterator[str]:
    yield path
    for key, child in node.get("properties", {}).items():
        yield from _paths(child, f"{path}.{key}")
    if "items" in node:
        yield from _paths(node["items"], path)


def _shown(path: str) -> str:
    """Return a dotted path as error messages write it: fields[2].min."""
    return "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in path.split("."))[1:]


def _wrong(node: Any, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield (keyword, a value that breaks just that)."""
    yield (
        "type",
        {"string": 7, "integer": "seven", "boolean": "maybe", "object": "text", "array": {"a": 1}}[node["type"]],
    )
    for keyword, limit in node.items():
        match keyword:
            case "enum":
                yield keyword, "no-such-value"
            case "minimum":
                yield keyword, limit - 1
            case "maximum":
                yield keyword, limit + 1
            case "maxLength":
                yield keyword, "a" * (limit + 1)
            case "minLength":
                yield keyword, ""
            case "minItems":
                yield keyword, []
            case "maxItems":
                # Distinct where the items are a map by name.
                yield keyword, [_renamed(value[0], index) for index in range(limit + 1)] if value else None
            case "maxProperties":
                yield keyword, {f"key{index}": "1" for index in range(limit + 1)}
            case "required":
                yield from (("required", field) for field in limit)
            case "properties":
                yield "unknown field", {**value, "noSuchField": 1}


def _renamed(item: Any, index: int) -> Any:
    return {**item, "name": f"n{index}"} if isinstance(item, dict) and "name" in item else item
