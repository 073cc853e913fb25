"""What the monitor does about a verdict, as its spec says it, in words."""

from __future__ import annotations

from typing import Any

from mlops.api.drift_monitor import MAKES_A_RUN, Verdict, action_of
from mlops.api.drift_task import MonitorPolicy

# What each action is, in a sentence; one without is named only.
_DOES = {
    "Retrain": "the same recipe on refreshed data; it must pass the gates",
    "Rebuild": "the search re-opened, on rows from after the change; it must pass the gates",
    "Recalibrate": "the live model with a map of its scores, fitted to rows from after the change; it must pass the "
    "gates, and be better than without the map",
    "Rollback": "an older version serves again, if one is shown to be better on the window",
    "RollbackAndRebuild": "an older version serves again, if one is shown to be better on the window, and the search "
    "is re-opened, on rows from after the change; what it finds must pass the gates",
    "AskForLabels": "rows to label stand beside the report",
    "Notify": "it is said, and nothing is done",
    "Hold": "nothing is trained",
}


def in_words(policy: dict[str, Any], verdict: Verdict, calibration: dict[str, Any] | None = None) -> str:
    """Return what the policy of a report's document does about a verdict, with what the guard asks first.

    `calibration` is what the document says of it; None in those of earlier releases.
    """
    said = MonitorPolicy.model_validate(policy)
    mends = calibration is not None and calibration["alone"] and calibration["obstacle"] is None
    action = action_of(said.actions, verdict, mends=mends)
    if action is None:
        return "Nothing: no action of the monitor names this verdict."
    about = f": {_DOES[action.do]}" if action.do in _DOES else ""
    if action.do not in MAKES_A_RUN:
        return f"{action.do}{about}."
    template = f" of the template {said.template}" if said.template else ""
    guard = said.guard
    checks = "" if guard.confirmations == 1 else f"; after {guard.confirmations} such verdicts in a row"
    return (
        f"{action.do}, a run{template}{about}. The guard lets a run through {guard.cooldown} after the one before, "
        f"at most {guard.max_runs_per_week} in a week{checks}; after {guard.max_rejected_challengers} in a row without "
        f"a new version it rests, and tries again {guard.circuit_reset_after} later."
    )
