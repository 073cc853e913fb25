"""One of several processes that draw cases and run them; apart, since a spawned one imports no __main__."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from tests.simulation.cases import draw, judge


def work(first: int, stride: int, results: Any) -> None:
    """Run every `stride`-th case from `first` on, until ended, and put (seed, result) into the queue."""
    logging.disable(logging.CRITICAL)
    seed = first
    while True:
        results.put((seed, replace(judge(draw(seed)), pictures=())))
        seed += stride
