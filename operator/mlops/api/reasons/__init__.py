"""Every reason that a condition of the four kinds can have: what it means, and the way out.

The one source of docs/reasons.md and of `mlops explain`. A test holds it against the code: no reason that can be
produced is missing, and none is listed that nothing produces.
"""

from __future__ import annotations

from mlops.api.reasons.any_kind import ANY_KIND
from mlops.api.reasons.dataset import DATASET
from mlops.api.reasons.drift_monitor import DRIFT_MONITOR
from mlops.api.reasons.explanation import ALL, Explanation
from mlops.api.reasons.model_version import MODEL_VERSION
from mlops.api.reasons.training_run import TRAINING_RUN

__all__ = ["ALL", "REASONS", "Explanation", "explain", "of_kind"]

REASONS: tuple[Explanation, ...] = (*DATASET, *TRAINING_RUN, *MODEL_VERSION, *DRIFT_MONITOR, *ANY_KIND)


def explain(reason: str) -> tuple[Explanation, ...]:
    """Return what is known of a reason, in any writing of it; the kinds of several explanations differ."""
    return tuple(each for each in REASONS if each.reason.lower() == reason.lower())


def of_kind(kind: str) -> tuple[Explanation, ...]:
    """Return the explanations for one kind, by reason."""
    return tuple(sorted((each for each in REASONS if kind in each.kinds), key=lambda each: each.reason))
