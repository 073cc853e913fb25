"""Sets of field paths, in the form in which managedFields hold them (FieldsV1), so that nothing is ever converted.

A node is a dict of path elements (`f:name`, `k:{"name":"x"}`, `v:"x"`) to nodes. An empty node, or one with the
element `.`, is itself a member of the set. The root is never a member: `{}` as a root is the empty set. Nodes are
shared and never changed. The operations are those of fieldpath.Set in sigs.k8s.io/structured-merge-diff.
"""

from __future__ import annotations

from typing import Any

Fields = dict[str, Any]

MEMBER: Fields = {}


def is_member(node: Fields) -> bool:
    """Whether the path of the node itself is in the set."""
    return not node or "." in node


def with_member(node: Fields | None) -> Fields:
    """The node with its own path in the set."""
    if not node:
        return MEMBER
    return node if "." in node else {".": MEMBER, **node}


def union(one: Fields, other: Fields) -> Fields:
    """What is in either."""
    if not one or one is other:
        return other
    return one if not other else _joined(one, other)


def _joined(one: Fields, other: Fields) -> Fields:
    out = dict(one)
    for element, node in other.items():
        present = out.get(element)
        if present is None:
            out[element] = node
        elif present is not node and element != ".":
            out[element] = _union(present, node)
    return out


def _union(one: Fields, other: Fields) -> Fields:
    if not one:
        return with_member(other)
    return with_member(one) if not other else _joined(one, other)


def difference(one: Fields, other: Fields) -> Fields:
    """What is in `one` and not in `other`, path by path: a parent does not stand for its children."""
    if not one or not other:
        return one
    return _difference(one, other) or {}


def _difference(one: Fields, other: Fields) -> Fields | None:
    out: Fields = {}
    for element, node in one.items():
        if element == ".":
            continue
        taken = other.get(element)
        left = node if taken is None else _difference_of_nodes(node, taken)
        if left is not None:
            out[element] = left
    return out or None


def _difference_of_nodes(one: Fields, other: Fields) -> Fields | None:
    member = is_member(one) and not is_member(other)
    left = _difference(one, other) if one else None
    if left is None:
        return MEMBER if member else None
    return {".": MEMBER, **left} if member else left


def without(one: Fields, other: Fields) -> Fields:
    """What is in `one` and neither in `other` nor below one of its members."""
    if not one or not other:
        return one
    out: Fields = {}
    for element, node in one.items():
        taken = other.get(element)
        if taken is None:
            out[element] = node
        elif not is_member(taken):
            left = without({key: value for key, value in node.items() if key != "."}, taken)
            if is_member(node):
                out[element] = with_member(left)
            elif left:
                out[element] = left
    return out


def intersection(one: Fields, other: Fields) -> Fields:
    """What is in both."""
    if not one or not other:
        return {}
    return _intersection(one, other) or {}


def _intersection(one: Fields, other: Fields) -> Fields | None:
    if len(other) < len(one):
        one, other = other, one
    out: Fields = {}
    for element, node in one.items():
        if element == ".":
            continue
        present = other.get(element)
        if present is not None:
            both = _intersection(node, present) if node and present else None
            if is_member(node) and is_member(present):
                out[element] = with_member(both)
            elif both is not None:
                out[element] = both
    return out or None


def paths(node: Fields, prefix: str = "") -> list[str]:
    """The members as people read them, such as `.spec.containers[name="main"].image`, in order."""
    found = []
    members = sorted(element for element, child in node.items() if element != "." and is_member(child))
    found += [prefix + _shown(element) for element in members]
    for element in sorted(node):
        if element != "." and node[element]:
            found += paths(node[element], prefix + _shown(element))
    return found


def _shown(element: str) -> str:
    kind, _, text = element.partition(":")
    if kind == "f":
        return f".{text}"
    if kind == "k":
        return "[" + text[1:-1].replace('":', "=").replace(',"', ",").lstrip('"') + "]"
    return f"[={text}]"
