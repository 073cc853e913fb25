"""One of several processes that draw cases and run them; apart, since a spawned one imports no __main__."""

from __future__ import annotations

import logging
import multiprocessing
from dataclasses import replace
from typing import Any

from tests.simulation.cases import draw, judge


def work(first: int, stride: int, results: Any) -> None:
    """Run every `stride`-th case from `first` on until this or its parent ends; put (seed, result) into the queue."""
    logging.disable(logging.CRITICAL)
    seed, parent = first, multiprocessing.parent_process()
    # Whoever ends the parent by a signal ends its workers too.
    while parent is None or parent.is_alive():
        results.put((seed, replace(judge(draw(seed)), pictures=())))
        seed += stride
