"""The next item is made while the one at hand is worked on."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from mlops.workloads.ingest.ahead import ahead


def test_items_come_in_order_and_a_fault_after_those_before_it() -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise ValueError("the fourth")

    seen: list[int] = []
    with pytest.raises(ValueError, match="the fourth"):
        seen.extend(ahead(items()))
    assert seen == [0, 1, 2]


def test_one_is_made_ahead_and_no_more() -> None:
    made, second = [], threading.Event()

    def items() -> Iterator[int]:
        for number in range(5):
            made.append(number)
            if number == 1:
                second.set()
            yield number

    rest = ahead(items())
    assert next(rest) == 0
    assert second.wait(10)
    assert made == [0, 1]
    assert list(rest) == [1, 2, 3, 4]


def test_whoever_stops_early_leaves_no_thread() -> None:
    before = threading.active_count()
    for item in ahead(iter(range(100))):
        if item == 1:
            break
    assert threading.active_count() <= before + 1
