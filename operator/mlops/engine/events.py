"""Kubernetes Events of what happened to an object, read off its conditions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime

from mlops.api import labels
from mlops.api.conditions import RECONCILING, STALLED
from mlops.api.reasons import Trait, having
from mlops.planning.plan import Manifest

REPORTER = "mlops.dev/operator"
_MAX_NOTE = 1024
_EXPECTED_AT_FIRST = having(Trait.EXPECTED_AT_FIRST)
_NEWS = having(Trait.NEWS)


def events_of(present: Manifest, status: Manifest, now: datetime) -> list[Manifest]:
    """Return one Event for each condition whose status or reason differs between the object and its new status.

    Several conditions that change for one reason (Succeeded, Ready) are one Event: it is the reason that is news.
    """
    before = {c["type"]: c for c in (present.get("status") or {}).get("conditions", ())}
    news: dict[tuple[str, str], Manifest] = {}
    for condition in _flips(before, status.get("conditions", ())):
        news.setdefault((condition["reason"], condition.get("message", "")), condition)
    return [_event(present, each, now, warns=_is_warning(before, each)) for each in news.values()]


def _flips(before: Manifest, conditions: list[Manifest]) -> Iterator[Manifest]:
    for condition in conditions:
        old = before.get(condition["type"])
        unchanged = old and (old["status"], old["reason"]) == (condition["status"], condition["reason"])
        # Reconciling goes on and off all the time, and "nothing bad was found yet" is no news.
        silent = condition["type"] == RECONCILING or (old is None and _good_when_false(condition["type"]))
        silent = silent and condition["reason"] not in _NEWS
        if not unchanged and not (silent and condition["status"] != "True") and condition["type"] != RECONCILING:
            yield condition


def _good_when_false(type_: str) -> bool:
    return type_ in (STALLED, "Superseded", "RetrainingTriggered") or type_.endswith("Detected")


def _is_warning(before: Manifest, condition: Manifest) -> bool:
    """Return whether a person should look: nothing is wrong with what has only not come yet."""
    if condition["reason"] in _NEWS:
        return True
    was = before.get(condition["type"], {}).get("status")
    # Once it was there and is not any more, it is worth a warning.
    if condition["reason"] in _EXPECTED_AT_FIRST and was != "True":
        return False
    if condition["type"] == STALLED or condition["type"].endswith("Detected"):
        return bool(condition["status"] == "True")
    return bool(condition["status"] == "False" and not _good_when_false(condition["type"]))


def _event(present: Manifest, condition: Manifest, now: datetime, *, warns: bool) -> Manifest:
    metadata = present["metadata"]
    note = condition.get("message") or f"{condition['type']} is {condition['status']}"
    identity = "/".join(
        [metadata.get("uid", ""), condition["type"], condition["status"], condition["reason"], now.isoformat()]
    )
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            "name": f"{metadata['name']}.{hashlib.sha256(identity.encode()).hexdigest()[:16]}",
            "namespace": metadata["namespace"],
            "labels": {labels.MANAGED_BY: labels.MANAGER},
        },
        "eventTime": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": REPORTER,
        "reportingInstance": labels.MANAGER,
        "action": condition["type"],
        "reason": condition["reason"],
        "note": note[:_MAX_NOTE],
        "type": "Warning" if warns else "Normal",
        "regarding": {
            "apiVersion": present["apiVersion"],
            "kind": present["kind"],
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata.get("uid", ""),
        },
    }
