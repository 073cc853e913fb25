"""Names of Jobs: those of CronJobs, and the scheduled time that the names of their Jobs carry."""

from __future__ import annotations

import re

from mlops.api import labels

# What a CronJob's Jobs are called: its name, and minutes since 1970.
_SCHEDULED = re.compile(r"(.*?)-(-?[0-9]{1,9})")
# Fewer digits, or a day such as 20260110, are a person's way to tell Jobs apart.
_FEWEST_DIGITS = 7
_DATE = re.compile(r"20[0-9]{2}(0[1-9]|1[0-2])([0-2][0-9]|3[01])")


def refresh_name(dataset: str) -> str:
    """Return the name of a Dataset's CronJob; Kubernetes allows 52 characters."""
    return labels.child_name(dataset, "refresh", limit=52)


def check_name(monitor: str) -> str:
    """Return the name of a DriftMonitor's CronJob; Kubernetes allows 52 characters."""
    return labels.child_name(monitor, "check", limit=52)


def scheduled_time(job: str, *names: str) -> int | None:
    """Return the scheduled time, in minutes since 1970, that a CronJob's Job carries as the last part of its name.

    Before 1970 it is negative, as in `weather--5784480`: a replay's clock may show any year. `names` are the CronJob's
    and others that its Jobs may begin like; any if none is given. None: a person made the Job (`kubectl create job
    --from=cronjob/...`) under a name of their own, which may end in a number or a date.
    """
    found = _SCHEDULED.fullmatch(job)
    if found is None:
        return None
    if names and found[1] != names[0]:
        alike = _last_word(found[1]) in map(_last_word, names)
        if not alike or len(found[2]) < _FEWEST_DIGITS or _DATE.fullmatch(found[2]):
            return None
    return int(found[2])


def _last_word(name: str) -> str:
    return name.rpartition("-")[2]
