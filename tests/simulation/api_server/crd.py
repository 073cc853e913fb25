"""Structural schemas of CustomResourceDefinitions: pruning, defaulting, validating, and types for server-side apply."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.simulation.api_server.errors import (
    DUPLICATE,
    INVALID,
    REQUIRED,
    TOO_LONG,
    TOO_MANY,
    UNSUPPORTED,
    WRONG_TYPE,
    Cause,
)
from tests.simulation.api_server.shapes import ANY, BOOLEAN, NUMBER, STRING, Type
from tests.simulation.api_server.typed import MISSING

Manifest = dict[str, Any]

_JSON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}


@dataclass(eq=False)
class Schema:
    """One node of a structural schema."""

    type: str
    properties: dict[str, Schema] = field(default_factory=dict)
    # Of an object with any keys, or of an array.
    inner: Schema | None = None
    required: tuple[str, ...] = ()
    default: Any = MISSING
    nullable: bool = False
    enum: tuple[Any, ...] = ()
    limits: dict[str, Any] = field(default_factory=dict)
    pattern: re.Pattern[str] | None = None
    format: str = ""
    keys: tuple[str, ...] = ()
    list_type: str = ""
    # Properties of which this node or one below has a default.
    defaulted: dict[str, Schema] = field(default_factory=dict)


_LIMITS = ("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")


def schema_of(node: Manifest) -> Schema:
    """Read the openAPIV3Schema of a definition."""
    inner = node.get("items") or node.get("additionalProperties")
    schema = Schema(
        type=node["type"],
        properties={name: schema_of(value) for name, value in (node.get("properties") or {}).items()},
        inner=schema_of(inner) if isinstance(inner, dict) else None,
        required=tuple(node.get("required") or ()),
        default=node.get("default", MISSING),
        nullable=node.get("nullable", False),
        enum=tuple(node.get("enum") or ()),
        limits={name: node[name] for name in _LIMITS if name in node},
        pattern=re.compile(_python(node["pattern"])) if "pattern" in node else None,
        format=node.get("format", ""),
        keys=tuple(sorted(node.get("x-kubernetes-list-map-keys") or ())),
        list_type=node.get("x-kubernetes-list-type", "atomic") if node["type"] == "array" else "",
    )
    schema.defaulted = {name: value for name, value in schema.properties.items() if _has_defaults(value)}
    return schema


_STEP = re.compile(r"\.([^.\[]+)|\[\d+\]")


def place(schema: Schema, path: str) -> str:
    """Return a path (`.resources.limits.cpu`) below a node as rules in CEL name it: a key of a map in brackets.

    Keys may have dots, and maps here hold plain values: what is left of the path is the key.
    """
    if path and schema.type == "object" and not schema.properties and schema.inner is not None:
        return f"[{path.removeprefix('.')}]"
    step = _STEP.match(path)
    below = None if step is None else schema.properties.get(step[1]) if step[1] else schema.inner
    return path if step is None or below is None else step[0] + place(below, path[step.end() :])


def _python(pattern: str) -> str:
    # In Go's syntax $ is the end of the text, not also the place before a last newline.
    return pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern


def _has_defaults(schema: Schema) -> bool:
    return (
        schema.default is not MISSING
        or bool(schema.defaulted)
        or (schema.inner is not None and _has_defaults(schema.inner))
    )


def type_of(schema: Schema) -> Type:
    """The type that server-side apply merges by."""
    if schema.type == "object":
        if schema.properties:
            fields = {name: type_of(value) for name, value in schema.properties.items()}
            return Type("struct", fields=fields)
        return Type("map", element=type_of(schema.inner) if schema.inner is not None else ANY)
    if schema.type == "array":
        inner = schema.inner or Schema("string")
        defaults = {
            key: inner.properties[key].default for key in schema.keys if inner.properties[key].default is not MISSING
        }
        return Type(
            "list",
            atomic=schema.list_type == "atomic",
            element=type_of(inner),
            keys=schema.keys,
            key_defaults=defaults,
        )
    return {"string": STRING, "boolean": BOOLEAN}.get(schema.type, NUMBER)


def pruned(schema: Schema, value: Any, *, nulls: bool = False) -> Any:
    """The value without fields that the schema does not know and, unless `nulls`, nulls that may not be there."""
    if isinstance(value, dict) and schema.type == "object":
        if not schema.properties:
            if schema.inner is not None:
                return _each_value(schema, value, nulls)
            return {} if value else value
        out: Manifest | None = None
        for name, item in value.items():
            known = schema.properties.get(name)
            stays = (
                nulls or item is not None or (known is not None and (known.nullable or known.default is not MISSING))
            )
            kept = MISSING if known is None or not stays else pruned(known, item, nulls=nulls)
            if kept is not item:
                out = dict(value) if out is None else out
                if kept is MISSING:
                    del out[name]
                else:
                    out[name] = kept
        return value if out is None else out
    if isinstance(value, list) and schema.inner is not None:
        items = [pruned(schema.inner, item, nulls=nulls) for item in value]
        return value if all(map(_is, items, value)) else items
    return value


def _each_value(schema: Schema, value: Manifest, nulls: bool) -> Manifest:
    assert schema.inner is not None
    kept = {name: item for name, item in value.items() if nulls or item is not None}
    out = {name: pruned(schema.inner, item, nulls=nulls) for name, item in kept.items()}
    return value if len(out) == len(value) and all(out[name] is item for name, item in value.items()) else out


def _is(one: Any, other: Any) -> bool:
    return one is other


def defaulted(schema: Schema, value: Any) -> Any:
    """The value with its defaults; itself if none was missing. A null that may not be one is as if left out."""
    if isinstance(value, dict) and schema.type == "object":
        out: Manifest | None = None
        for name, known in schema.defaulted.items():
            item = value.get(name, MISSING)
            if item is None and known.default is not MISSING and not known.nullable:
                item = MISSING
            if item is MISSING:
                if known.default is MISSING:
                    continue
                filled = defaulted(known, known.default)
            else:
                filled = defaulted(known, item)
            if filled is not item:
                out = dict(value) if out is None else out
                out[name] = filled
        if not schema.properties and schema.inner is not None:
            items = {name: defaulted(schema.inner, item) for name, item in value.items()}
            return value if all(items[name] is item for name, item in value.items()) else items
        return value if out is None else out
    if isinstance(value, list) and schema.inner is not None:
        filled_items = [defaulted(schema.inner, item) for item in value]
        return value if all(map(_is, filled_items, value)) else filled_items
    return value


def in_order(schema: Schema, value: Any) -> Any:
    """The value with sets and maps in lists in one order: for rules in CEL their order means nothing."""
    if isinstance(value, dict):
        known = schema.properties
        return {name: in_order(known.get(name) or schema.inner or schema, item) for name, item in value.items()}
    if isinstance(value, list) and schema.inner is not None:
        items = [in_order(schema.inner, item) for item in value]
        return (
            items if schema.list_type == "atomic" else sorted(items, key=lambda item: json.dumps(item, sort_keys=True))
        )
    return value


def validate(schema: Schema, value: Any, path: str) -> list[Cause]:
    """What the schema forbids of a value that is pruned and defaulted."""
    if value is None:
        if schema.nullable:
            return []
        return [_wrong_type(schema, value, path)]
    allowed = _JSON_TYPES[schema.type]
    whole = schema.type == "integer" and isinstance(value, float) and value.is_integer()
    if (not isinstance(value, allowed) and not whole) or (isinstance(value, bool) and schema.type != "boolean"):
        return [_wrong_type(schema, value, path)]
    causes = _limits(schema, value, path) if schema.limits or schema.enum or schema.pattern or schema.format else []
    if schema.type == "object":
        causes += [Cause(f"{path}.{name}", "Required value", REQUIRED) for name in schema.required if name not in value]
        for name, item in value.items():
            known = schema.properties.get(name) or schema.inner
            if known is not None:
                causes += validate(known, item, f"{path}.{name}")
    elif schema.type == "array" and schema.inner is not None:
        for index, item in enumerate(value):
            causes += validate(schema.inner, item, f"{path}[{index}]")
        if schema.list_type != "atomic":
            causes += _duplicates(schema, value, path)
    return causes


def _wrong_type(schema: Schema, value: Any, path: str) -> Cause:
    name = {str: "string", bool: "boolean", dict: "object", list: "array", int: "integer", float: "number"}
    shown = "null" if value is None else name[type(value)]
    message = f'Invalid value: "{shown}": {path} in body must be of type {schema.type}: "{shown}"'
    return Cause(path, message, WRONG_TYPE)


def _limits(schema: Schema, value: Any, path: str) -> list[Cause]:
    causes = []
    if schema.enum and value not in schema.enum:
        listed = ", ".join(json.dumps(item) for item in schema.enum)
        causes.append(Cause(path, f"Unsupported value: {json.dumps(value)}: supported values: {listed}", UNSUPPORTED))
    if schema.pattern is not None and isinstance(value, str) and not schema.pattern.search(value):
        text = f"{path} in body should match '{schema.pattern.pattern}'"
        causes.append(Cause(path, f"Invalid value: {json.dumps(value)}: {text}", INVALID))
    if schema.format == "date-time" and isinstance(value, str) and not _is_timestamp(value):
        text = f"{path} in body must be of type date-time: {json.dumps(value)}"
        causes.append(Cause(path, f"Invalid value: {json.dumps(value)}: {text}", INVALID))
    for name, limit in schema.limits.items():
        size = value if name.endswith("imum") else len(value)
        over = size < limit if name.startswith("min") else size > limit
        if over:
            causes.append(_beyond(name, limit, value, path))
    return causes


def _beyond(name: str, limit: Any, value: Any, path: str) -> Cause:
    if name == "maxLength":
        return Cause(path, f"Too long: may not be more than {limit} bytes", TOO_LONG)
    if name in ("maxItems", "maxProperties"):
        return Cause(path, f"Too many: {len(value)}: must have at most {limit} items", TOO_MANY)
    text = {
        "minimum": f"should be greater than or equal to {limit}",
        "maximum": f"should be less than or equal to {limit}",
        "minLength": f"should be at least {limit} chars long",
        "minItems": f"should have at least {limit} items",
        "minProperties": f"should have at least {limit} properties",
    }[name]
    return Cause(path, f"Invalid value: {json.dumps(value)}: {path} in body {text}", INVALID)


def _duplicates(schema: Schema, items: list[Any], path: str) -> list[Cause]:
    seen: set[str] = set()
    causes = []
    for index, item in enumerate(items):
        if schema.keys and not isinstance(item, dict):
            continue
        found = {key: item.get(key) for key in schema.keys} if schema.keys else item
        text = json.dumps(found, sort_keys=True)
        if text in seen:
            causes.append(Cause(f"{path}[{index}]", f"Duplicate value: {text}", DUPLICATE))
        seen.add(text)
    return causes


_TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:?\d{2})")


def _is_timestamp(text: str) -> bool:
    if not _TIMESTAMP.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
