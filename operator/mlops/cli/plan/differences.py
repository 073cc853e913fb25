"""What differs between two specs, and between what two runs are made of, in a few words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlops.planning.plan import Manifest

_MOST = 4
_LONGEST = 40


def changed_paths(old: Any, new: Any) -> str:
    """Return where two specs differ, with both values where they are short."""
    found = list(_changes(old, new, "spec"))
    more = f" and {len(found) - _MOST} more" if len(found) > _MOST else ""
    return ", ".join(found[:_MOST]) + more


def _changes(old: Any, new: Any, path: str) -> Iterator[str]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys((*old, *new)):
            yield from _changes(old.get(name), new.get(name), f"{path}.{name}")
    elif _are_named(old) and _are_named(new):
        before, after = ({one["name"]: one for one in each} for each in (old, new))
        for name in dict.fromkeys((*before, *after)):
            yield from _changes(before.get(name), after.get(name), f"{path}[{name}]")
        if list(before) != list(after) and before.keys() == after.keys():
            yield f"{path} (another order)"
    else:
        yield f"{path} ({_shown(old)} -> {_shown(new)})"


def _are_named(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) and "name" in one for one in value)


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, dict | list):
        return "..."
    text = str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def other_inputs(earlier: Manifest, run: Manifest) -> str:
    """Return which of its inputs differ from those of an earlier run: all that the inputs digest is made of."""
    old, new = earlier["spec"], run["spec"]
    had, has = earlier["status"].get("resolved", {}), run["status"].get("resolved", {})
    found = []
    if had.get("datasetDigest") != has.get("datasetDigest"):
        name = new["datasetRef"]["name"]
        found.append(f"data ({name} version {had.get('datasetVersion')} -> {has.get('datasetVersion')})")
    if old["datasetRef"].get("since") != new["datasetRef"].get("since"):
        found.append(
            f"rows since ({_shown(old['datasetRef'].get('since'))} -> {_shown(new['datasetRef'].get('since'))})"
        )
    found += [f"recipe: {one}" for one in _changes(old.get("trainer"), new.get("trainer"), "trainer")][:_MOST]
    found += [f"search: {one}" for one in _changes(old.get("search"), new.get("search"), "search")][:_MOST]
    seeds = [(spec.get("reproducibility") or {}).get("seed", 0) for spec in (old, new)]
    if seeds[0] != seeds[1]:
        found.append(f"seed ({seeds[0]} -> {seeds[1]})")
    if had.get("environmentDigest") != has.get("environmentDigest"):
        found.append("environment (other libraries, or another platform)")
    return "; ".join(found)
