"""Lists of which only names and versions matter, read without making objects of the rest."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter

from mlops.planning.plan import Manifest


@dataclass(frozen=True)
class _Head:
    name: str
    uid: str
    resourceVersion: str
    namespace: str = ""


@dataclass(frozen=True)
class _Item:
    metadata: _Head


@dataclass(frozen=True)
class _About:
    resourceVersion: str = ""


@dataclass(frozen=True)
class _Heads:
    # An empty list is none here.
    items: list[_Item] | None
    metadata: _About = _About()


_HEADS = TypeAdapter(_Heads)


def heads_of(text: bytes) -> Manifest:
    """Return a list of objects with name, namespace, uid and resourceVersion of each; raises ValueError."""
    found = _HEADS.validate_json(text)
    return {
        "metadata": vars(found.metadata),
        "items": [{"metadata": vars(item.metadata)} for item in found.items or ()],
    }
