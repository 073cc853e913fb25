"""Which versions of a Dataset go and which stay: what of it is on record, before any byte is removed.

A version is marked when spec.retention takes it and nothing needs it; from then on no run is pinned to it. Whoever was
pinned by an operator that did not know of the mark yet is seen before the grace is over, and the mark is taken back.
After the grace it is on record that the bytes go, which nothing takes back; `removals.py` makes the Job.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from mlops.api.base import format_time, parse_duration, parse_time
from mlops.api.conditions import Condition, ConditionType
from mlops.api.dataset import DatasetStatus, HistoryEntry
from mlops.api.reasons import Reason
from mlops.api.retention import Removal, Retention
from mlops.planning.readiness import condition
from mlops.planning.timestamps import later
from mlops.planning.views import DatasetView, Use

WITHIN_RETENTION = ConditionType.WITHIN_RETENTION

# What needs a version elsewhere may be gone, and nobody is told: it is asked again.
_AGAIN = timedelta(hours=1)
_MOST_NAMED = 5
_MOST_NUMBERS = 20
_NEWEST = 20
_LONGEST_HISTORY = 100


def trimmed(entries: Iterable[HistoryEntry], retention: Retention | None) -> tuple[HistoryEntry, ...]:
    """Return the history without what is too old for it: the newest, and those whose bytes have yet to be removed."""
    entries = tuple(entries)
    older = [each for each in entries[_NEWEST:] if (retention or each.removed) and not is_erased(each)]
    return (*entries[:_NEWEST], *older)[:_LONGEST_HISTORY]


def marked(view: DatasetView, status: DatasetStatus) -> DatasetStatus:
    """Return the status with the marks as of now. Where nobody asked who needs the versions, it is as it was."""
    if view.uses is None or not status.history:
        return status
    return status.evolve(history=tuple(_marked(view, status)))


def _marked(view: DatasetView, status: DatasetStatus) -> Iterator[HistoryEntry]:
    taken, now = _taken(view, status), format_time(view.now)
    on_record = {each.version for each in view.dataset.status.history if each.removed}
    for entry in status.history:
        goes = entry.version in taken and not _needed_by(view, entry)
        removed = entry.removed
        if removed is None:
            yield entry.evolve(removed=Removal(at=now)) if goes else entry
        elif removed.erasing is not None:
            yield entry
        elif not goes:
            # Its bytes are all there. Whoever was pinned to it meanwhile goes on.
            yield entry.evolve(removed=None)
        elif entry.version in on_record and _ripe_at(view, removed) <= view.now:
            yield entry.evolve(removed=removed.evolve(erasing=now))
        else:
            yield entry


def _taken(view: DatasetView, status: DatasetStatus) -> set[int]:
    """Return the numbers of the versions that spec.retention takes, whoever needs them: never the current one."""
    retention = view.dataset.spec.retention
    if retention is None or status.version is None:
        return set()
    older = [each for each in status.history if each.version != status.version]
    taken = set()
    if retention.keep_versions is not None:
        taken |= {each.version for each in older[retention.keep_versions - 1 :]}
    if retention.max_age is not None:
        age = parse_duration(retention.max_age)
        taken |= {each.version for each in older if view.now - parse_time(each.time) >= age}
    return taken


def _needed_by(view: DatasetView, entry: HistoryEntry) -> list[str]:
    """Return in words what needs a version."""
    return [each.who for each in _uses_of(view, entry)]


def _uses_of(view: DatasetView, entry: HistoryEntry) -> list[Use]:
    uses = view.uses.of_versions if view.uses else ()
    return [each for each in uses if each.version == entry.version or each.digest == entry.digest]


def to_erase(view: DatasetView, status: DatasetStatus) -> list[HistoryEntry]:
    """Return the versions whose bytes go and that no version has which may still be used, here or in another Dataset;
    the oldest first."""
    if view.uses is None:
        return []
    artifacts = going(view, status)
    return [each for each in reversed(status.history) if is_erasing(each) and each.artifact in artifacts]


def going(view: DatasetView, status: DatasetStatus) -> set[str]:
    """Return the addresses whose bytes go: no version has them that may still be used, here or, as far as that was
    asked, in another Dataset."""
    kept = {each.artifact for each in status.history if not (each.removed and each.removed.erasing)}
    shared = view.uses.shared if view.uses else frozenset()
    return {each.artifact for each in status.history if is_erasing(each)} - kept - shared


def said(view: DatasetView, status: DatasetStatus) -> Condition | None:
    """Return which versions stay for what, or are on their way out; None: nobody asks for it."""
    same_bytes = [each for each in status.history if is_erasing(each)]
    under_way = [each for each in status.history if each.removed and each.removed.erasing is None]
    if view.uses is not None:
        under_way += (erased := to_erase(view, status))
        same_bytes = [each for each in same_bytes if each not in erased]
    if under_way:
        told = [f"{_numbers(under_way)}: being removed", *_full(status)]
        return condition(WITHIN_RETENTION, "Unknown", Reason.REMOVING, "; ".join(told))
    if view.dataset.spec.retention is None or status.version is None:
        return None
    present = [each for each in status.history if each.removed is None]
    told = [f"{len(present)} version{'s' if len(present) > 1 else ''} in the store"]
    taken = _taken(view, status)
    needed = [(each, by) for each in present if each.version in taken and (by := _needed_by(view, each))]
    told += [f"version {each.version} stays for {by[0]}{_more(by)}" for each, by in needed[:_MOST_NAMED]]
    if len(needed) > _MOST_NAMED:
        told.append(f"{len(needed) - _MOST_NAMED} more stay for what needs them")
    if same_bytes:
        told.append(f"{_numbers(same_bytes)}: removed, and what is still there has the same bytes, which stay")
    told += _full(status)
    return condition(WITHIN_RETENTION, "True", Reason.RETAINED, "; ".join(told))


def _full(status: DatasetStatus) -> list[str]:
    """Return in words that versions leave the record whose bytes are there."""
    if len(status.history) < _LONGEST_HISTORY:
        return []
    return [f"the history of {_LONGEST_HISTORY} versions is full: older ones are on no record and stay in the store"]


def _more(by: list[str]) -> str:
    return f" and {len(by) - 1} more" if len(by) > 1 else ""


def _numbers(entries: list[HistoryEntry]) -> str:
    numbers = [str(number) for number in sorted(each.version for each in entries)]
    more = f" and {len(numbers) - _MOST_NUMBERS} more" if len(numbers) > _MOST_NUMBERS else ""
    return f"version{'s' if len(numbers) > 1 else ''} {', '.join(numbers[:_MOST_NUMBERS])}{more}"


def next_time(view: DatasetView, status: DatasetStatus) -> datetime | None:
    """Return when a version's time is over next: its age, its grace; what needs it elsewhere may be gone in an hour."""
    retention, now = view.dataset.spec.retention, view.now
    timestamps = [
        _ripe_at(view, each.removed)
        for each in status.history
        if each.removed and not each.removed.erasing and _ripe_at(view, each.removed) > now
    ]
    present = [each for each in status.history if each.removed is None and each.version != status.version]
    if retention is not None and retention.max_age is not None:
        age = parse_duration(retention.max_age)
        timestamps += [due for each in present if (due := later(parse_time(each.time), age)) > now]
    taken = _taken(view, status)
    shared = view.uses.shared if view.uses else frozenset()
    waits = any(is_erasing(each) and each.artifact in shared for each in status.history)
    if waits or any(use.elsewhere for each in present if each.version in taken for use in _uses_of(view, each)):
        timestamps.append(later(now, _AGAIN))
    return min(timestamps, default=None)


def _ripe_at(view: DatasetView, removed: Removal) -> datetime:
    return later(parse_time(removed.at), timedelta(seconds=view.settings.removal_grace_seconds))


def is_erasing(entry: HistoryEntry) -> bool:
    """Return whether it is on record that the version's bytes go, and not that they are gone."""
    return entry.removed is not None and entry.removed.erasing is not None and entry.removed.erased is None


def is_erased(entry: HistoryEntry) -> bool:
    """Return whether it is on record that the version's bytes are gone."""
    return entry.removed is not None and entry.removed.erased is not None
