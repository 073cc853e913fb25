"""The catalogue of bad inputs: what a user did, where it is refused, what is said, and the way out. Data, in YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hack import bad_inputs

FOLDER = Path(__file__).parent / "catalogue"
# By file: where its cases are refused.
PLACES = {
    "api_server": "API server",
    "kubectl": "kubectl",
    "command_line": "`mlops`",
    "chart": "Helm",
    "condition": "condition `Ready`",
}
# What every case says; what else it has is for the test that walks its file.
FIELDS = ("id", "category", "did", "message", "wayOut")

Case = dict[str, Any]


def cases(place: str) -> list[Case]:
    """Return the cases of one file of the catalogue."""
    return bad_inputs.cases(place)


def parameters(place: str) -> list[Any]:
    """Return the cases as pytest's parameters, named by category and id."""
    return [pytest.param(case, id=f"{case['category']}: {case['id']}") for case in cases(place)]


def value_of(written: Any) -> Any:
    """Return the value that a case writes: what is too large to be written out is a list that begins with `*`.

    ["*", 3, x] are three of x (with names of their own), ["*map", 3, x] three keys with x, ["*text", 5, "<", "ab"] is
    "<abab".
    """
    match written:
        case ["*", int(count), {"name": str(name), **rest}]:
            return [{"name": f"{name}{index}", **rest} for index in range(count)]
        case ["*", int(count), item]:
            return [f"{item}{index}" if isinstance(item, str) else item for index in range(count)]
        case ["*map", int(count), item]:
            return {f"key{index}": item for index in range(count)}
        case ["*text", int(count), *parts]:
            *head, last = map(str, parts)
            return ("".join(head) + last * count)[:count]
        case list():
            return [value_of(item) for item in written]
        case dict():
            return {name: value_of(item) for name, item in written.items()}
    return written
