"""Run the simulation: `python -m tests.simulation --seconds 60`, or one case again by its seed or its file."""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import queue
import sys
import time
from pathlib import Path
from typing import Any

from tests.simulation.cases import Case, Result, draw, judge
from tests.simulation.shrink import shrink
from tests.simulation.worker import work

_SAY_SECONDS = 10.0
_KEPT = Path(__file__).parent / "regressions"


def say(text: str) -> None:
    """Tell the person in front of the terminal."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if all invariants held, 1 if not, 2 for wrong arguments."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="for how long to draw new cases (default: 60)")
    parser.add_argument(
        "--steps", type=int, default=0, help="go on until so many steps were made, however long it takes"
    )
    parser.add_argument("--seed", type=int, default=1, help="the first case's seed; the next ones follow (default: 1)")
    parser.add_argument("--jobs", type=int, default=2, help="processes side by side (default: 2)")
    parser.add_argument("--only", type=int, metavar="SEED", help="run the case of this seed again, with the log")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run a case from a file again, with the log")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first violation, nor shrink it")
    parser.add_argument("--first", action="store_true", help="print the first violation as one line of JSON, and end")
    parser.add_argument("--kept", action="store_true", help="with --first: try the cases that are kept as tests before")
    options = parser.parse_args(arguments)
    if options.first:
        return _first(options)
    if options.only is not None:
        return _again(draw(options.only))
    if options.replay is not None:
        return _again(Case.load(options.replay.read_text("utf-8")))
    return _many(options)


def _again(case: Case) -> int:
    logging.basicConfig(level=logging.INFO, format="%(name)s %(levelname)s %(message)s")
    result = judge(case)
    say(case.dump())
    return _report(case, result)


def _report(case: Case, result: Result) -> int:
    if result.violation is None:
        say(f"all invariants held: {result.steps:,} steps in {result.seconds:,.0f} virtual seconds")
        return 0
    say(f"seed {case.seed}, {case.scenario}, step {result.at_step}: {result.violation[1]}")
    return 1


def _many(options: argparse.Namespace) -> int:
    context = multiprocessing.get_context("spawn")
    results: Any = context.Queue()
    workers = [
        context.Process(target=work, args=(options.seed + place, options.jobs, results), daemon=True)
        for place in range(options.jobs)
    ]
    for worker in workers:
        worker.start()
    started = said = time.monotonic()
    cases = steps = violations = 0
    virtual = 0.0
    try:
        while steps < options.steps if options.steps else time.monotonic() - started < options.seconds:
            try:
                seed, result = results.get(timeout=1.0)
            except queue.Empty:
                if not all(worker.is_alive() for worker in workers):
                    say("a worker has died")
                    return 1
                continue
            cases, steps, virtual = cases + 1, steps + result.steps, virtual + result.seconds
            if result.violation is not None:
                violations += 1
                _report(draw(seed), result)
                if not options.keep_going:
                    break
            if time.monotonic() - said > _SAY_SECONDS:
                said = time.monotonic()
                say(f"{cases} cases, {steps:,} steps, {virtual / 3600:,.0f} virtual hours")
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()
    took = time.monotonic() - started
    say(f"{cases} cases, {steps:,} steps, {virtual / 3600:,.0f} virtual hours in {took:.0f} s: {violations} violations")
    if violations and not options.keep_going:
        _show_smallest(draw(seed), result)
    return 1 if violations else 0


def _first(options: argparse.Namespace) -> int:
    logging.disable(logging.CRITICAL)
    started, seed, cases, steps = time.monotonic(), options.seed, 0, 0
    found: tuple[str, str] | None = None
    for kept in sorted(_KEPT.glob("*.json")) if options.kept else ():
        result = judge(Case.load(kept.read_text("utf-8")))
        cases, steps, found = cases + 1, steps + result.steps, found or result.violation
    drawn = found is None
    while found is None and (steps < options.steps if options.steps else time.monotonic() - started < options.seconds):
        result = judge(draw(seed))
        cases, steps, found, seed = cases + 1, steps + result.steps, result.violation, seed + 1
    said = {
        "invariant": found[0] if found else None,
        "message": found[1] if found else None,
        "seconds": round(time.monotonic() - started, 2),
        "cases": cases,
        "steps": steps,
        "seed": seed - 1 if drawn else None,
    }
    print(json.dumps(said))
    return 1 if found else 0


def _show_smallest(case: Case, result: Result) -> None:
    logging.disable(logging.CRITICAL)
    name = (result.violation or ("", ""))[0]
    say("looking for a smaller case that does the same")
    smallest = shrink(case, name, say)
    say("keep it as tests/simulation/regressions/<name>.json, and run it with --replay:")
    print(smallest.dump())


if __name__ == "__main__":
    sys.exit(main())
