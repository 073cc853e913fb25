"""The policies that are rehearsed: the one that is asked about, and those that it is held against."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, get_args

from mlops.api.drift_monitor import Verdict

Spec = Mapping[str, Any]
_NOTHING: list[dict[str, Any]] = [{"when": ["DataQuality"], "do": "Hold"}]
_ALWAYS: list[dict[str, Any]] = [{"when": list(get_args(Verdict)), "do": "Retrain"}]
# Nothing holds a run back but another one that is active.
_FREE: dict[str, Any] = {
    "cooldown": "0s", "maxRunsPerWeek": 1000, "maxRejectedChallengers": 100, "circuitResetAfter": "0s",
}  # fmt: skip


@dataclass(frozen=True)
class Rehearsable:
    """A policy: the monitor's spec, and at which checks it is another one, by their scheduled times."""

    name: str
    spec: Spec
    switched: Mapping[datetime, Spec] = field(default_factory=dict)


def as_written(spec: Spec) -> Rehearsable:
    """Return the policy that is asked about."""
    return Rehearsable("as written", spec)


def never(spec: Spec) -> Rehearsable:
    """Return the same checks, after which nothing is trained."""
    return Rehearsable("never", {**spec, "actions": _NOTHING})


def always(spec: Spec) -> Rehearsable:
    """Return the same checks, after each of which there is a run, whatever the verdict is."""
    return Rehearsable("always", {**spec, "actions": _ALWAYS, "guard": _FREE})


def coin(spec: Spec, checks: tuple[datetime, ...], runs: int, seed: int) -> Rehearsable:
    """Return a policy that makes a run after `runs` of the `checks`, drawn by `seed`, whatever the verdicts are."""
    drawn = set(random.Random(seed).sample(checks, min(runs, len(checks))))
    heads, tails = always(spec).spec, {**never(spec).spec, "guard": _FREE}
    return Rehearsable(f"coin {seed}", tails, {at: heads if at in drawn else tails for at in checks})
