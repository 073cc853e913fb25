"""Any number of random objects through every planner: `python -m tests.planning.many --objects 100000 --seed 1`.

Every world is drawn from (seed, its number): a failing one is named, and `--world` draws it again alone. Of twenty
worlds one lives until it rests, with every property checked; the others are glanced at, for their number.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from random import Random

from tests.planning import any_world
from tests.planning.any_cluster import Seen

_EVERY = 20


def world(seed: int, number: int, seen: Seen) -> None:
    """Draw one world and let it live; raises what a planner raises, and AssertionError for a property."""
    random = Random(seed * 1_000_003 + number)
    if number % _EVERY:
        any_world.glance(random, objects=6, rounds=1, seen=seen)
    else:
        any_world.live(random, objects=1 + number // _EVERY % 5, moves=2, seen=seen)


def run(objects: int, seed: int, tell: Callable[[str], None] = print) -> Seen:
    """Draw worlds until so many objects of the four kinds have been planned; return what was reached."""
    seen, number, began, told = Seen(), 0, time.monotonic(), 0.0
    while seen.objects < objects:
        try:
            world(seed, number, seen)
        except Exception as error:
            error.add_note(f"python -m tests.planning.many --seed {seed} --world {number}")
            raise
        number += 1
        if time.monotonic() - told > 10:
            told = time.monotonic()
            tell(f"{told - began:6.0f} s  {number} worlds  {summary(seen)}")
    tell(f"{time.monotonic() - began:6.0f} s  {number} worlds  {summary(seen)}")
    return seen


def summary(seen: Seen) -> str:
    """Return the figures in one line."""
    reasons = {(kind, reason) for kind, _, _, reason in seen.conditions}
    return (
        f"{seen.objects} objects ({seen.invalid} do not parse)  {seen.children} children and pods  {seen.plans} plans  "
        f"{sum(seen.writes.values())} writes  {len(seen.conditions)} conditions by kind, type, status and reason, "
        f"{len(reasons)} by kind and reason"
    )


def main() -> int:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--world", type=int, help="only this one")
    arguments = parser.parse_args()
    if arguments.world is not None:
        world(arguments.seed, arguments.world, Seen())
        return 0
    # Into a file or a pipe, too, progress is shown when it is made.
    seen = run(arguments.objects, arguments.seed, partial(print, flush=True))
    for what, count in sorted(seen.writes.items()):
        print(f"{count:9}  {what}")
    for (kind, type_, status, reason), count in sorted(seen.conditions.items()):
        print(f"{count:9}  {kind:12} {type_:20} {status:7} {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
