"""Values with a type: comparing, merging and removing, as sigs.k8s.io/structured-merge-diff does it.

Values are JSON; what does not change is shared between the input and the result.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import orjson

from tests.simulation.api_server.fields import MEMBER, Fields, is_member, with_member
from tests.simulation.api_server.memo import Memo
from tests.simulation.api_server.shapes import Type


class Missing:
    """The value of a field that is not there (None is a null that is there)."""


MISSING = Missing()


class TypeMismatch(Exception):
    """A value that does not have the type."""


def element_of(list_type: Type, item: Any) -> str:
    """The path element of a list's item."""
    if not list_type.keys:
        return "v:" + _dumped(item)
    if not isinstance(item, dict):
        raise TypeMismatch("associative list with keys may not have non-map elements")
    values = {}
    for key in list_type.keys:
        if key in item:
            values[key] = item[key]
        elif key in list_type.key_defaults:
            values[key] = list_type.key_defaults[key]
        else:
            raise TypeMismatch(
                f'associative list with keys has an element that omits key field "{key}" '
                "(and doesn't have default value)"
            )
    return "k:" + _dumped(values)


def _dumped(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def field_type(type_: Type, name: str) -> Type:
    """The type of a field or of a map's values."""
    return type_.fields.get(name) or type_.element or ANY_SCALAR


ANY_SCALAR = Type("any")


def _shape_of(type_: Type, value: Any) -> Type:
    """What an undescribed value is taken for: maps merge, lists and scalars are replaced."""
    if type_.shape != "any":
        return type_
    if isinstance(value, dict):
        return _ANY_MAP
    return _ANY_LIST if isinstance(value, list) else _ANY_LEAF


_ANY_MAP = Type("map", element=ANY_SCALAR)
_ANY_LIST = Type("list", atomic=True)
_ANY_LEAF = Type("scalar")


# --- the set of a value's fields ---


def field_set(type_: Type, value: Any) -> Fields:
    """The fields that a configuration speaks of."""
    return _field_set(_shape_of(type_, value), value) or {}


def fields_of(type_: Type, value: Any) -> Fields:
    """The fields of an object, of which the spec may have been seen before."""
    spec, inner = value.get("spec"), type_.fields.get("spec")
    if not isinstance(spec, dict) or inner is None:
        return field_set(type_, value)
    found = field_set(type_, {name: item for name, item in value.items() if name != "spec"})
    node = _spec_set(inner, spec)
    return {**found, "f:spec": node} if node is not None else found


def _field_set(type_: Type, value: Any) -> Fields | None:
    """A node; MEMBER if the value is a leaf, None if nothing of it is in the set."""
    if type_.leaf:
        return MEMBER
    if not value:
        return None
    if type_.shape == "list":
        return _list_set(type_, value)
    out: Fields = {}
    for name, item in value.items():
        known = type_.fields.get(name)
        inner = known or type_.element or ANY_SCALAR
        if inner.leaf:
            out["f:" + name] = MEMBER
            continue
        inner = _shape_of(inner, item)
        node = _field_set(inner, item)
        if known is None or item is None or item == {}:
            node = with_member(node)
        if node is not None:
            out["f:" + name] = node
    return out or None


def _node_of_spec(type_: Type, spec: Any) -> Fields | None:
    node = _field_set(type_, spec)
    return node if spec else with_member(node)


_spec_set = Memo(_node_of_spec)


def _list_set(type_: Type, value: list[Any]) -> Fields:
    out: Fields = {}
    seen: set[str] = set()
    for item in value:
        element = element_of(type_, item)
        if element in seen:
            out[element] = MEMBER
        else:
            seen.add(element)
            inner = _shape_of(type_.element or ANY_SCALAR, item)
            out[element] = MEMBER if inner.leaf else with_member(_field_set(inner, item))
    return out


# --- what differs ---


@dataclass(frozen=True)
class Comparison:
    """The fields that the newer value has beside the older one, has otherwise, and has no more."""

    added: Fields
    modified: Fields
    removed: Fields


SAME = Comparison({}, {}, {})


def compare(type_: Type, old: Any, new: Any) -> Comparison:
    """Compare two objects."""
    before, after = old.get("spec"), new.get("spec")
    if isinstance(before, dict) and isinstance(after, dict) and "spec" in type_.fields:
        rest_old = {name: value for name, value in old.items() if name != "spec"}
        rest_new = {name: value for name, value in new.items() if name != "spec"}
        found = tuple(node or {} for node in _compare(type_, rest_old, rest_new))
        if before is not after:
            _take("f:spec", _compare_specs(type_.fields["spec"], before, after), *found)
        return Comparison(*found)
    added, modified, removed = _compare(type_, old, new)
    return Comparison(added or {}, modified or {}, removed or {})


_Nodes = tuple[Fields | None, Fields | None, Fields | None]
_NOTHING: _Nodes = (None, None, None)


def _compare(type_: Type, old: Any, new: Any) -> _Nodes:
    if old is new:
        return _NOTHING
    if old is MISSING:
        return _all_of(type_, new), None, None
    if new is MISSING:
        return None, None, _all_of(type_, old)
    one, other = _shape_of(type_, old), _shape_of(type_, new)
    if one is not other and (old is None or new is None):
        one = other = one if new is None else other
    if one is not other:
        # From one shape to another: each is looked at by itself.
        return _all_of(one, new) if one.leaf else None, MEMBER, None
    if one.leaf or (not old and not new):
        return _NOTHING if same(old, new) else (None, MEMBER, None)
    if one.shape == "list":
        return _compare_lists(one, old or [], new or [])
    added: Fields = {}
    modified: Fields = {}
    removed: Fields = {}
    old, new = old or {}, new or {}
    if not isinstance(old, dict) or not isinstance(new, dict):
        raise TypeMismatch("expected a map")
    known, others = one.fields.get, one.element or ANY_SCALAR
    for name, item in new.items():
        before = old.get(name, MISSING)
        if before is item or (item.__class__ is str and before == item):
            continue
        inner = known(name) or others
        if before is MISSING:
            added["f:" + name] = MEMBER if inner.leaf else _all_of(inner, item)
        else:
            _take("f:" + name, _compare(inner, before, item), added, modified, removed)
    for name, item in old.items():
        if name not in new:
            removed["f:" + name] = _all_of(field_type(one, name), item)
    return added or None, modified or None, removed or None


def _take(element: str, nodes: _Nodes, added: Fields, modified: Fields, removed: Fields) -> None:
    for target, node in zip((added, modified, removed), nodes, strict=True):
        if node is not None:
            target[element] = node


def _compare_lists(type_: Type, old: list[Any], new: list[Any]) -> _Nodes:
    before, after = _by_element(type_, old), _by_element(type_, new)
    inner = type_.element or ANY_SCALAR
    added: Fields = {}
    modified: Fields = {}
    removed: Fields = {}
    for element, items in before.items():
        others = after.get(element, [])
        if len(items) <= 1 and len(others) <= 1:
            nodes = _compare(inner, items[0], others[0] if others else MISSING)
            _take(element, nodes, added, modified, removed)
        elif len(items) > 1 and len(others) > 1:
            if not same(items, others):
                modified[element] = MEMBER
        elif len(items) > 1:
            if others:
                added[element] = _all_of(inner, others[0])
            removed[element] = MEMBER
        else:
            _take(element, _compare(inner, items[0], MISSING), added, modified, removed)
            added[element] = MEMBER
    for element, items in after.items():
        if element not in before:
            added[element] = _all_of(inner, items[0]) if len(items) == 1 else MEMBER
    return added or None, modified or None, removed or None


def _by_element(type_: Type, items: list[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    if not isinstance(items, list):
        raise TypeMismatch("expected a list")
    for item in items:
        found.setdefault(element_of(type_, item), []).append(item)
    return found


def _all_of(type_: Type, value: Any) -> Fields:
    """The value's own path and every path below it."""
    type_ = _shape_of(type_, value)
    if type_.leaf or not value:
        return MEMBER
    out: Fields = {".": MEMBER}
    if type_.shape == "list":
        inner = type_.element or ANY_SCALAR
        for element, items in _by_element(type_, value).items():
            out[element] = _all_of(inner, items[0]) if len(items) == 1 else MEMBER
    elif isinstance(value, dict):
        known, others = type_.fields.get, type_.element or ANY_SCALAR
        for name, item in value.items():
            field = known(name) or others
            out["f:" + name] = MEMBER if field.leaf else _all_of(field, item)
    else:
        raise TypeMismatch("expected a map")
    return out


_compare_specs = Memo(_compare)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal; true is not 1."""
    if one is other:
        return True
    if isinstance(one, dict):
        if not isinstance(other, dict) or len(one) != len(other):
            return False
        return all(name in other and same(item, other[name]) for name, item in one.items())
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


# --- merging ---


def merge(type_: Type, old: Any, new: Any) -> Any:
    """The old value with the new one laid over it. Raises TypeMismatch if an item stands in `new` twice."""
    before, after, inner = old.get("spec"), new.get("spec"), type_.fields.get("spec")
    if isinstance(before, dict) and isinstance(after, dict) and inner is not None:
        result = _merge(type_, old, {name: item for name, item in new.items() if name != "spec"})
        spec = _merge_specs(inner, before, after)
        return result if spec is before else {**result, "spec": spec}
    result = _merge(type_, old, new)
    return {} if result is MISSING else result


def _merge(type_: Type, old: Any, new: Any) -> Any:
    if new is MISSING or old is new:
        return old
    shape = _shape_of(type_, new)
    if shape.leaf or ((old is MISSING or not old) and not new):
        return old if old is not MISSING and same(old, new) else new
    if old is MISSING and shape.shape != "list":
        old = {}
    if shape.shape == "list":
        return _merge_lists(shape, [] if old is MISSING else old or [], new or [])
    if not isinstance(old, dict):
        old = {}
    out: dict[str, Any] | None = None
    for name, item in (new or {}).items():
        before = old.get(name, MISSING)
        merged = _merge(field_type(shape, name), before, item)
        if merged is not before and merged is not MISSING:
            out = dict(old) if out is None else out
            out[name] = merged
    if out is None:
        out = old
    return out or MISSING


_merge_specs = Memo(_merge)


def _merge_lists(type_: Type, old: list[Any], new: list[Any]) -> Any:
    inner = type_.element or ANY_SCALAR
    elements_old = [element_of(type_, item) for item in old]
    elements_new = [element_of(type_, item) for item in new]
    by_old: dict[str, Any] = {}
    for element, item in zip(elements_old, old, strict=True):
        # Of an item that stands there twice nothing is merged.
        by_old[element] = None if element in by_old else item
    by_new: dict[str, Any] = {}
    for element, item in zip(elements_new, new, strict=True):
        if element in by_new:
            raise TypeMismatch(f"duplicate entries for key {element}")
        by_new[element] = item

    def merged(element: str) -> Any:
        before = by_old.get(element, MISSING)
        return _merge(inner, MISSING if before is None else before, by_new[element])

    if elements_old == elements_new:
        out = [merged(element) for element in elements_new]
        return old if all(one is other for one, other in zip(out, old, strict=True)) else out
    return [
        merged(element) if place is None else old[place] for element, place in _order(elements_old, elements_new)
    ] or MISSING


def _order(old: list[str], new: list[str]) -> list[tuple[str, int | None]]:
    """The items of the merged list: (element, None) for one of the new list, (element, place) for one of the old.

    The new list's order holds; items that only the old list has stay where they were among their neighbours.
    """
    in_new, in_old = set(new), set(old)
    shared = [element for element in new if element in in_old]
    following = shared.pop(0) if shared else None
    done: set[str] = set()
    out: list[tuple[str, int | None]] = []
    left, right = 0, 0
    while left < len(old) or right < len(new):
        if left < len(old) and right < len(new):
            element = old[left]
            if element == new[right]:
                done.add(element)
                out.append((element, None))
                left, right = left + 1, right + 1
                following = shared.pop(0) if shared else None
                continue
            if element in in_new and following is not None and following != element:
                left += 1
                continue
        if left < len(old):
            element = old[left]
            if element not in in_new:
                out.append((element, left))
                left += 1
                continue
            if element in done:
                left += 1
        if right < len(new):
            element = new[right]
            done.add(element)
            out.append((element, None))
            right += 1
            if following == element:
                following = shared.pop(0) if shared else None
    return out


# --- removing ---


def remove(type_: Type, value: Any, fields: Fields) -> Any:
    """The value without the members of `fields` and what is below them; None if nothing is left."""
    type_ = _shape_of(type_, value)
    if type_.shape == "scalar":
        return value
    if not value or type_.atomic:
        return None
    if type_.shape == "list":
        items = []
        for item in value:
            node = fields.get(element_of(type_, item))
            if node is None:
                items.append(item)
            elif not is_member(node):
                items.append(remove(type_.element or ANY_SCALAR, item, node))
        return items or None
    out = {}
    for name, item in value.items():
        node = fields.get("f:" + name)
        if node is None:
            out[name] = item
        elif not is_member(node):
            out[name] = remove(field_type(type_, name), item, node)
    return out or None


def named(type_: Type, fields: Fields) -> Fields:
    """The set with every known field in it that has members below: fields of structs are no members by themselves."""
    out: Fields = {}
    for element, node in fields.items():
        if not node:
            out[element] = node
            continue
        if element.startswith("f:") and type_.shape in ("struct", "map"):
            known = type_.fields.get(element[2:])
            inner = named(known or type_.element or ANY_SCALAR, node)
            out[element] = with_member(inner) if known is not None else inner
        elif element.startswith("k:") and type_.shape == "list":
            out[element] = named(type_.element or ANY_SCALAR, node)
        else:
            out[element] = node
    return out


# --- checking ---


def check_object(type_: Type, value: Any) -> list[str]:
    """What in an applied configuration does not have its type: the API server's sentences."""
    spec, inner = value.get("spec"), type_.fields.get("spec")
    if spec is None or inner is None:
        return check(type_, value)
    rest = check(type_, {name: item for name, item in value.items() if name != "spec"})
    return rest + [f".spec{text}" for text in _check_spec(inner, spec)]


def check(type_: Type, value: Any) -> list[str]:
    """The same of a part."""
    shape = type_.shape
    if shape == "any" or value is None:
        return []
    if shape == "scalar":
        return [] if _is_scalar(type_.check, value) else [f": expected {type_.check or 'scalar'}, got {_go(value)}"]
    if shape == "list":
        return _check_list(type_, value)
    if not isinstance(value, dict):
        return [f": expected map, got {_go(value)}"]
    wrong: list[str] = []
    known, others = type_.fields.get, type_.element
    for name, item in value.items():
        inner = known(name) or others
        if inner is None:
            wrong.append(f".{name}: field not declared in schema")
        elif item.__class__ is not str or inner.check != "string":
            wrong += [f".{name}{text}" for text in check(inner, item)]
    return wrong


_check_spec = Memo(check)


def _check_list(type_: Type, value: Any) -> list[str]:
    if not isinstance(value, list):
        return [f": expected list, got {_go(value)}"]
    wrong: list[str] = []
    seen = set()
    for index, item in enumerate(value):
        place = f"[{index}]"
        if not type_.atomic:
            try:
                element = element_of(type_, item)
            except TypeMismatch as error:
                wrong.append(f": element {index}: {error}")
                continue
            place = f"[{element[2:]}]" if type_.keys else f"[={element[2:]}]"
            if element in seen:
                wrong.append(f": duplicate entries for key {place}")
            seen.add(element)
        if type_.element is not None:
            wrong += [f"{place}{text}" for text in check(type_.element, item)]
    return wrong


def _is_scalar(wanted: str, value: Any) -> bool:
    if wanted == "string":
        return isinstance(value, str)
    if wanted == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if wanted == "boolean":
        return isinstance(value, bool)
    return not isinstance(value, dict | list)


def _go(value: Any) -> str:
    return f"&value.valueUnstructured{{Value:{json.dumps(value)}}}"
