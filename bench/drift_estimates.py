"""How good are estimates of performance without labels? On the streams of development, whose labels are known.

    python bench/drift_estimates.py --seeds 1 2 3

For each kind of stream (of bench/drift_streams.py and bench/drift_worlds.py), in windows before and after something
happened: how many EstimatedPerformance checks detect by their defaults while no label has come, and with the labels,
which refute an estimate that is too low; in how many windows the measured metric dropped by more than minDrop; how
often the 95 % interval of measured less estimated value holds 0; and how far apart the two are in the mean, in
minDrops.

Beside other checks it ranks last: it turns `Stable` or `Inconclusive` into `EstimatedPerformance`, and no other verdict
into anything. So what it detects in quiet windows is the most that it adds to false alarms.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from typing import Any

from bench import drift_streams, drift_worlds
from mlops.api.drift_monitor import Check, Labels
from mlops.api.drift_monitor import Window as WindowSpec
from mlops.workloads.drift.verdict import decide

STREAMS = ("stable", "seasonal", "covariate", "harder", "concept", "label", "quality")
WORLDS = ("nothing", "nothing-ar", "nothing-season", "mean", "variance", "mix", "one-of-many", "sign")
CHECK = Check(name="estimate", type="EstimatedPerformance")
LIMITS = WindowSpec(duration="7d", min_samples=200)


@dataclass
class Tally:
    """What was seen in windows of a kind, before or after something happened."""

    windows: int = 0
    unlabelled: int = 0
    labelled: int = 0
    dropped: int = 0
    covered: int = 0
    distance: float = 0.0

    def add(self, stream: Any, number: int) -> None:
        """Decide a window and count."""
        found = decide(stream.reference, stream.windows[number], (CHECK,), limits=LIMITS, labels=Labels(), seed=1)
        estimated = found.estimated
        if estimated is None or estimated.measured is None:
            return
        better = estimated.measured.better
        self.windows += 1
        self.unlabelled += estimated.p_value <= float(CHECK.alpha)
        self.labelled += found.verdict == "EstimatedPerformance"
        self.dropped += estimated.measured.drop > estimated.min_drop
        self.covered += better.low <= 0.0 <= better.high
        self.distance += abs(better.value) / estimated.min_drop


def main() -> int:
    """Print a line per kind of stream and side of the change."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2], help="a stream of each kind for each (1 2)")
    kinds = [*STREAMS, *WORLDS]
    parser.add_argument("--kinds", nargs="+", choices=kinds, default=kinds, help="kinds of streams (all)")
    arguments = parser.parse_args()
    print("kind            when    windows  detected: no labels  labels  dropped  covered  distance")
    for kind in arguments.kinds:
        before, after = Tally(), Tally()
        for seed in arguments.seeds:
            stream: Any = (
                drift_streams.make_stream(kind, seed, windows=4)
                if kind in STREAMS
                else drift_worlds.make_stream(kind, seed, windows=4)
            )
            never = kind in ("stable", "seasonal") or kind.startswith("nothing")
            for number in range(len(stream.windows)):
                (before if never or number < stream.change else after).add(stream, number)
        for when, tally in (("before", before), ("after", after)):
            if tally.windows:
                print(
                    f"{kind:<15} {when:<7} {tally.windows:>7}  {tally.unlabelled:>19}  {tally.labelled:>6}"
                    f"  {tally.dropped:>7}  {tally.covered / tally.windows:>7.2f}"
                    f"  {tally.distance / tally.windows:>8.2f}",
                    flush=True,
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
