"""Which version was live where, told from a model's history alone, and what an entry changes about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from mlops.api.base import parse_time
from mlops.planning.history_entries import APPROVED, CANARY_STARTED, FAILED, LIVE, REGISTERED, REVOKED, Entry


@dataclass
class Stages:
    """What is live, as far as entries were taken in."""

    # By stage: the entry by which the version that is live there entered it.
    live: dict[str, Entry] = field(default_factory=dict)
    # By stage that nobody is live in: the entry by which the last version left it.
    left: dict[str, Entry] = field(default_factory=dict)

    def copy(self) -> Stages:
        """Return one that goes its own way."""
        return Stages(dict(self.live), dict(self.left))

    def take_in(self, entry: Entry) -> None:
        """Take in the next entry."""
        event, stage = entry["event"], entry.get("stage")
        if event == LIVE:
            self.live[entry["stage"]] = entry
            self.left.pop(entry["stage"], None)
            return
        # A failure that names no stage is of an earlier release. One that does may leave pods that answer: if none did,
        # the version has left as well, or another one is live.
        if event in (REGISTERED, APPROVED, REVOKED, CANARY_STARTED) or (event == FAILED and stage is not None):
            return
        for name in [name for name in self.of(entry["uid"]) if stage in (None, name)]:
            del self.live[name]
            self.left[name] = entry

    def of(self, uid: str) -> list[str]:
        """Return the stages where a version is live, in the order in which it entered them."""
        return [stage for stage, entry in self.live.items() if entry["uid"] == uid]

    def told(self, entry: Entry) -> Entry:
        """Take in the next entry and return it with the stages that its version was live in before, and is after.

        A version that enters a stage which a newer one has left is live because of that, and says so.
        """
        before, left = self.of(entry["uid"]), self.left.get(entry.get("stage", ""))
        self.take_in(entry)
        known = {**entry, "from": before, "to": self.of(entry["uid"])}
        if entry["event"] == LIVE and left is not None and left["number"] > entry["number"]:
            known["cause"] = f"ModelVersion/{left['version']} {left['event']}"
        return known


def after(entries: Iterable[Entry]) -> Stages:
    """Return what is live after all of these entries."""
    stages = Stages()
    for entry in entries:
        stages.take_in(entry)
    return stages


def in_time(entries: Iterable[Entry]) -> list[Entry]:
    """Return entries in the order of their time; those of one second as they were recorded."""
    return sorted(entries, key=lambda entry: parse_time(entry["time"]))


def live_at(entries: Iterable[Entry], at: datetime) -> dict[str, Entry]:
    """Return by stage the entry of the version that was live there, given entries in the order of time: the last one
    that had entered by then, and had not left."""
    return after(entry for entry in entries if parse_time(entry["time"]) <= at).live
