"""Server-side apply as far as it matters here: each field manager owns what it applied last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_MISSING: Any = object()


def merge(live: Any, before: Any, wanted: Any, others: Sequence[Any] = ()) -> Any:
    """Return `live` with `wanted` laid over it, without what the manager applied `before` and no longer wants.

    What another manager applied too (`others`) stays. Maps are merged; lists are replaced, except those whose
    items all have a distinct `name` or `type`: they are merged item by item, as Kubernetes does with list-maps.
    """
    if isinstance(wanted, dict) and isinstance(live, dict):
        return _merge_maps(live, before if isinstance(before, dict) else {}, wanted, _maps(others))
    key = _key_field(wanted)
    if key and isinstance(live, list) and _key_field(live) in (key, None):
        theirs = [_by(key, items) for items in others]
        merged = _merge_maps(_by(key, live), _by(key, before), _by(key, wanted), theirs)
        return list(merged.values())
    return wanted


def _merge_maps(
    live: dict[str, Any], before: dict[str, Any], wanted: dict[str, Any], others: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    result = {}
    for name, value in live.items():
        if name not in wanted and name in before:
            theirs = [other[name] for other in others if name in other]
            # Of a map only this manager's entries go; it goes itself if nothing is left that somebody put there.
            if isinstance(value, dict) and isinstance(before[name], dict):
                value = _merge_maps(value, before[name], {}, _maps(theirs))
                if not value and not theirs:
                    continue
            elif not theirs:
                continue
        result[name] = value
    for name, value in wanted.items():
        if name in live:
            theirs = [other[name] for other in others if name in other]
            result[name] = merge(live[name], before.get(name, _MISSING), value, theirs)
        else:
            result[name] = value
    return result


def _maps(values: Sequence[Any]) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)]


def _key_field(items: Any) -> str | None:
    if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
        return None
    for field in ("name", "type"):
        values = [item.get(field) for item in items]
        if all(isinstance(value, str) for value in values) and len(set(values)) == len(values):
            return field
    return None


def _by(key: str, items: Any) -> dict[str, Any]:
    if not isinstance(items, list):
        return {}
    return {item[key]: item for item in items if isinstance(item, dict) and isinstance(item.get(key), str)}
