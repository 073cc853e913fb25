"""Large values that come again and again, such as the spec of a Deployment that is applied each minute, are worked on
once: equal ones are made the same object, and what was found out about an object is found again by its identity.

Only the time depends on this, never an answer. Values are never changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

_MOST = 4096


class Interned:
    """Makes equal JSON values the same object."""

    def __init__(self) -> None:
        self._values: dict[bytes, Any] = {}

    def __call__(self, value: Any) -> Any:
        key = orjson.dumps(value)
        known = self._values.get(key)
        if known is None:
            if len(self._values) >= _MOST:
                self._values.clear()
            known = self._values[key] = value
        return known


class Memo:
    """A pure function whose results are kept, by the identity of its arguments (which are kept, too)."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._results: dict[tuple[int, ...], tuple[tuple[Any, ...], Any]] = {}

    def __call__(self, *values: Any) -> Any:
        key = tuple(map(id, values))
        known = self._results.get(key)
        if known is None:
            result = self._function(*values)
            if len(self._results) >= _MOST:
                self._results.clear()
            known = self._results[key] = (values, result)
        return known[1]
