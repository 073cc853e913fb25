"""A stream that drifts for ever: what guard, gates and circuit let through."""

from __future__ import annotations


def adversary() -> None:
    raise SystemExit("not yet")
