"""The texts of a nested document, such as one read from JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def texts_in(document: Any) -> Iterator[str]:
    """Yield every text of dicts and lists, keys and values, however deep: without recursion."""
    todo = [document]
    while todo:
        one = todo.pop()
        if isinstance(one, dict):
            todo += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple):
            todo += one
        elif isinstance(one, str):
            yield one
