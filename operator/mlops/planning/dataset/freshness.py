"""How old the newest data of a Dataset are, and whether that is too old."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mlops.api.base import parse_duration, parse_time
from mlops.api.conditions import Condition, ConditionType
from mlops.api.dataset import DatasetStatus
from mlops.api.reasons import Reason
from mlops.planning.readiness import condition
from mlops.planning.timestamps import later
from mlops.planning.views import DatasetView

FRESH = ConditionType.FRESH


@dataclass(frozen=True)
class DataAge:
    """What is said of the data's age, and when that changes by itself."""

    said: Condition | None = None
    stale_at: datetime | None = None


def freshness(view: DatasetView, status: DatasetStatus) -> DataAge:
    """Return whether the data are as new as spec.freshness asks. Their age says nothing of Ready: they stay usable."""
    wanted = view.dataset.spec.freshness
    if wanted is None:
        return DataAge()
    by_event = wanted.measure == "EventTime"
    newest = status.newest_event if by_event else status.delivered_at
    what = "the newest row is of" if by_event else "the newest data were delivered"
    if newest is None:
        return DataAge(condition(FRESH, "Unknown", Reason.AGE_UNKNOWN, "nothing says yet how old the data are"))
    stale_at = later(parse_time(newest), parse_duration(wanted.max_age))
    if stale_at > view.now:
        told = f"{what} {newest}, which is fresh for {wanted.max_age}"
        return DataAge(condition(FRESH, "True", Reason.FRESH, told), stale_at)
    told = f"{what} {newest}, more than {wanted.max_age} ago"
    return DataAge(condition(FRESH, "False", Reason.DATA_STALE, told))
