"""What the loop is worth on real streams: the metric of all answers, beside never, always, and coins of as many runs.

    pip install --no-deps --target DATA river==0.26.1 statsmodels==0.15.0 vega_datasets==0.9.0
    python bench/loop_worth.py --data DATA
    python bench/loop_worth.py --data DATA --streams weather brent --coins 10 --out worth.jsonl
    python bench/loop_worth.py --adversarial

The loop is the product's: all planners, training, checks and gates (bench/loop_world.py), a monitor with the six checks
and the guard by their defaults, a template with one gate: at least as good as the champion on the same rows. Each
window is answered before a label of it is known; then there is a check, and what follows from it. `refreshing` is the
same with an action that also names Stable and PerformanceDrop: a Retrain. `growing` is the loop with the trigger
datasetGrowth of its template, of half as many rows again. `never` trains once, `always` after each
window, a coin after as many windows as the loop made runs, drawn by its seed. `--adversarial` has a relation that turns
in every window, for ever, and tells what guard, circuit and gates let through.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from statistics import fmean
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.loop_adversary import adversary
from bench.loop_streams import DEVELOPMENT, EVALUATION, RealStream
from bench.loop_world import Loop, Work
from mlops.api.drift_monitor import DriftMonitor
from mlops.cli.simulate import policies

STREAMS = {**DEVELOPMENT, **EVALUATION}
# The default actions, and a Retrain too where nothing moved or no check says why the model is worse.
REFRESHING = [
    {"when": ["DataDrift", "LabelShift", "PerformanceDrop", "Stable"], "do": "Retrain"},
    {"when": ["ConceptDrift"], "do": "Rebuild"},
    {"when": ["DataQuality"], "do": "Hold"},
]

GROWTH = 50


def played(loop: Loop, trains: Callable[[int], bool] | None = None) -> Loop:
    """Let a policy go through all windows; `trains` says after which ones there is a run, whatever the checks say."""
    for number in range(loop.windows):
        loop.step("DataDrift" if trains is not None and trains(number) else "Stable")
    return loop


def trained_after(work: Work, windows: Collection[int]) -> Loop:
    """Return a policy that makes a run after these windows, without a guard."""
    free = {"guard": policies.always({}).spec["guard"]}
    return played(Loop(work, free, checks=False), lambda number: number in windows)


def worth(stream: RealStream, coins: int, every: int) -> dict[str, Any]:
    """Play a stream under each policy and return what came of it."""
    begun = time.process_time()
    with tempfile.TemporaryDirectory(prefix="loop-worth-") as folder:
        work = Work(stream, Path(folder))
        loop = Loop(work)
        since, windows = loop.end, loop.windows
        played(loop)
        until, runs = loop.end, loop.runs()
        refreshing = played(Loop(work, {"actions": REFRESHING}))
        growing = played(Loop(work, growth=GROWTH))
        drawn = [random.Random(seed).sample(range(windows), min(runs, windows)) for seed in range(coins)]
        others = {
            "never": trained_after(work, ()),
            "always": trained_after(work, range(windows)),
            f"every {every}": trained_after(work, range(every - 1, windows, every)),
        }
        # Coins of no run are `never`.
        flips = [(trained_after(work, each) if each else others["never"]).value(since, until) for each in drawn]
        return {
            "stream": stream.name,
            "metric": stream.metric,
            "rows": loop.answered(since, until).height,
            "windows": windows,
            "loop": loop.value(since, until),
            "runs": runs,
            "versions": len(loop.live) - 1,
            "verdicts": dict(Counter(loop.verdicts)),
            "refreshing": refreshing.value(since, until),
            "refreshing runs": refreshing.runs(),
            "growing": growing.value(since, until),
            "growing runs": growing.runs(),
            "actions": [f"{c.time[:10]} {c.verdict} {c.action}" for c in monitor_of(loop).status.history],
            **{name: each.value(since, until) for name, each in others.items()},
            "coins": flips,
            "seconds": time.process_time() - begun,
        }


def monitor_of(loop: Loop) -> DriftMonitor:
    """Return the monitor as it is now."""
    found = loop.get("DriftMonitor", "watch")
    assert isinstance(found, DriftMonitor)
    return found


def shown(found: dict[str, Any], every: int) -> str:
    """Return a line of the table."""
    coins, better = found["coins"], -1 if found["metric"] == "mae" else 1
    ahead = sum(better * (found["loop"] - coin) >= 0 for coin in coins)
    figures = [found[name] for name in ("loop", "refreshing", "growing", "never", "always", f"every {every}")]
    return " | ".join(
        [
            f"| {found['stream']}, {found['metric']}",
            f"{found['windows']}",
            f"{found['runs']}",
            *(f"{figure:.4f}" for figure in figures),
            f"{fmean(coins):.4f} ({min(coins):.4f} to {max(coins):.4f}) | {ahead} of {len(coins)} |",
        ]
    )


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="where the wheels are unpacked")
    parser.add_argument("--streams", nargs="*", choices=sorted(STREAMS), default=list(STREAMS))
    parser.add_argument("--coins", type=int, default=10)
    parser.add_argument("--every", type=int, default=4, help="the n of every n-th window")
    parser.add_argument("--out", type=Path, help="append a JSON line per stream")
    parser.add_argument("--adversarial", action="store_true")
    arguments = parser.parse_args()
    if arguments.adversarial:
        adversary()
        return
    if arguments.data is None:
        parser.error("--data: name the folder in which the wheels are unpacked (see above)")
    names = f"stream | windows | runs | loop | refreshing | growing | never | always | every {arguments.every}"
    print(f"| {names} | coins | not behind |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for name in arguments.streams:
        found = worth(STREAMS[name](arguments.data), arguments.coins, arguments.every)
        print(shown(found, arguments.every), flush=True)
        if arguments.out:
            with arguments.out.open("a") as file:
                file.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
