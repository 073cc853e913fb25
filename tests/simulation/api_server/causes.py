"""What is wrong with a field, in the API server's words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.simulation.api_server.errors import REQUIRED, UNSUPPORTED, Cause, shown

Manifest = dict[str, Any]


def required(field: str, text: str = "") -> Cause:
    return Cause(field, "Required value" + (f": {text}" if text else ""), REQUIRED)


def invalid(field: str, value: Any, text: str) -> Cause:
    return Cause(field, f"Invalid value: {shown(value) if not isinstance(value, dict | list) else '{}'}: {text}")


def unsupported(field: str, value: Any, allowed: Iterable[str]) -> Cause:
    listed = ", ".join(f'"{name}"' for name in sorted(allowed))
    return Cause(field, f"Unsupported value: {shown(value)}: supported values: {listed}", UNSUPPORTED)


def not_negative(spec: Manifest, path: str, *names: str) -> list[Cause]:
    return [
        invalid(f"{path}.{name}", spec[name], "must be greater than or equal to 0")
        for name in names
        if spec.get(name, 0) < 0
    ]
