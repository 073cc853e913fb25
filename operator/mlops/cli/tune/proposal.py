"""Of all that was tried, what is proposed, and the monitor that has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from mlops.cli.tune.trials import Trial, short
from mlops.cli.tune.wishes import Wishes
from mlops.planning.plan import Manifest

_NEVER = timedelta.max


@dataclass(frozen=True)
class Proposal:
    """A trial, and what of the wishes it does not fulfil."""

    trial: Trial
    unmet: tuple[str, ...]


def proposed(trials: Sequence[Trial], wishes: Wishes) -> Proposal:
    """Return the one that finds changes soonest among those that keep quiet; of equals the one with fewer checks.

    If none keeps quiet, the one with the fewest false alarms.
    """
    quiet = [each for each in trials if each.keeps_quiet(wishes)]
    if quiet:
        best = min(quiet, key=lambda each: (each.delay or _NEVER, each.checks_per_year, each.false_alarms))
    else:
        best = min(trials, key=lambda each: (each.false_alarms, each.recorded_alarms, each.delay or _NEVER))
    unmet = []
    if not quiet:
        unmet.append(
            f"nothing that was tried has at most {wishes.false_alarms:.3g} false alarms a year: this has the fewest. "
            "Raise --false-alarms; or, if something has happened in the history, leave it out by --since and --until"
        )
    if best.delay is None:
        unmet.append(
            "fewer than half of the changes were found: name a larger --size, record more history, or accept more "
            "--false-alarms"
        )
    elif not best.is_soon(wishes):
        asked = short(wishes.delay) if wishes.delay else ""
        unmet.append(f"half of the changes are found within {short(best.delay)}, not {asked}: raise --delay or --size")
    return Proposal(best, tuple(unmet))


def monitor_with(monitor: Manifest, trial: Trial) -> Manifest:
    """Return the monitor with the trial's window, schedule and limits; all else is as it was written."""
    spec = monitor["spec"]
    window = {name: value for name, value in spec["window"].items() if name not in ("rows", "duration")}
    checks = [
        {**written, **{name: value for name, value in check.dump().items() if name in _LIMITS and value is not None}}
        if trial.limits.changed
        else written
        for written, check in zip(spec["checks"], trial.limits.checks, strict=True)
    ]
    changed = {"schedule": trial.schedule, "window": {"duration": short(trial.length), **window}, "checks": checks}
    metadata = {
        name: monitor["metadata"][name] for name in ("name", "namespace", "labels") if name in monitor["metadata"]
    }
    return {
        "apiVersion": monitor["apiVersion"],
        "kind": monitor["kind"],
        "metadata": metadata,
        "spec": {**spec, **changed},
    }


_LIMITS = ("alpha", "minEffectSize", "minDrop")
