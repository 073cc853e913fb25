"""What has been of a model's versions, in ConfigMaps that nobody owns: it outlives the versions themselves.

The record is text, one JSON object a line, in the order in which things became known. Lines are added and never
changed. They are derived from the versions' statuses, so that a line whose write was lost is added by the next plan.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from mlops.api import labels
from mlops.api.base import format_time, is_timestamp, parse_time
from mlops.api.model_version import ModelVersion, ModelVersionStatus
from mlops.planning.plan import Key, Manifest
from mlops.planning.views import ModelView

HISTORY: Final = "history"
FILE: Final = "history.jsonl"
# A ConfigMap holds a MiB, and is written as a whole for each line that is added. One that is full is never written
# again; the next one goes on.
SEGMENT_BYTES: Final = 32 << 10
REGISTERED, LIVE, FAILED, LEFT, DELETED = "Registered", "Live", "Failed", "Left", "Deleted"
_ENDS: Final = ("Superseded", "Withdrawn", "RolledBack", FAILED, LEFT)
_TEXTS: Final = ("time", "event", "version", "uid")
_TEXTS_IF_THERE: Final = (
    *("stage", "reason", "artifact", "trainingRun", "dataset", "datasetDigest", "inputsDigest", "environmentDigest"),
    "parentVersion",
)
# As of a version's spec, and what every reader of JSON takes for the whole number that it is.
_MAX_NUMBER: Final = 999_999
_MAX_WHOLE: Final = 1 << 53
Entry = dict[str, Any]


def segments(view: ModelView, statuses: Mapping[Key, ModelVersionStatus]) -> Iterator[Manifest]:
    """Yield the ConfigMaps that have something new to hold, given the statuses that this plan writes before them."""
    # The newest first: what may still be there is mostly in those.
    known = [_known(_text(segment)) for segment in reversed(view.history)]
    # Steps of the same second: those of one version in their order, whatever the order of the view.
    ordered = sorted(view.versions, key=lambda version: (version.spec.version, version.metadata.name))
    of_versions = (
        entry for version in ordered for entry in entries_of(version, statuses.get(Key(*version.key), version.status))
    )
    new = [entry for entry in of_versions if not _is_in(known, identity(entry))]
    new += _gone(view)
    yield from _written(view, [_line(entry) for entry in sorted(new, key=lambda entry: str(entry["time"]))])


def _gone(view: ModelView) -> Iterator[Entry]:
    """Yield that a version is there no more, of each that is not, unless that is on record."""
    if view.present is None:
        return
    known = [_known(_text(segment)) for segment in sorted(view.history, key=_order)]
    over = frozenset().union(*(each.deleted for each in known))
    for uid, entry in {uid: entry for each in known for uid, entry in each.last.items()}.items():
        if uid not in view.present and uid not in over:
            yield _deleted(entry, format_time(view.now))


@dataclass(frozen=True)
class _Known:
    """What a segment records, as far as each plan asks."""

    identities: frozenset[tuple[Any, ...]]
    highest: int
    # By uid of a version: the last entry about it, which nobody changes; and those that are gone.
    last: Mapping[str, Entry]
    deleted: frozenset[str]
    # Lines that are none of ours.
    strange: int


def _is_in(segments: Iterable[_Known], mark: tuple[Any, ...]) -> bool:
    return any(mark in each.identities for each in segments)


@lru_cache(maxsize=512)
def _known(text: str) -> _Known:
    """Return what is recorded in a segment's text. Most of them are full, and never change again."""
    lines = text.splitlines()
    found = [entry for entry in map(_known_entry, lines) if entry is not None]
    return _Known(
        frozenset(map(identity, found)),
        max((entry["number"] for entry in found), default=0),
        {entry["uid"]: entry for entry in found},
        frozenset(entry["uid"] for entry in found if entry["event"] == DELETED),
        len(lines) - len(found),
    )


@lru_cache(maxsize=4096)
def _known_entry(line: str) -> Entry | None:
    """Return what a line records, which nobody changes: when one is added to a segment, the others are as they were."""
    return _entry(line)


def entries(history: Iterable[Manifest]) -> list[Entry]:
    """Return what ConfigMaps of one model record, the oldest first. Lines that nobody of ours wrote are passed over."""
    return [
        entry
        for segment in sorted(history, key=_order)
        for line in _text(segment).splitlines()
        if (entry := _entry(line)) is not None
    ]


def strange_lines(segment: Manifest) -> int:
    """Return how many lines of a ConfigMap are none of ours: whoever edits the record may want to know."""
    return _known(_text(segment)).strange


def entries_of(version: ModelVersion, status: ModelVersionStatus) -> list[Entry]:
    """Return what is to be recorded of a version with this status; nothing before it is known which model it is."""
    if status.artifact is None or not version.metadata.creation_timestamp:
        return []
    named: Entry = {"version": version.metadata.name, "number": version.spec.version, "uid": version.metadata.uid}
    known = {"artifact": status.artifact, **(status.lineage or version.spec.lineage).dump()}
    found = [{"time": version.metadata.creation_timestamp, "event": REGISTERED, **named, **known}]
    for step in reversed(status.transitions):
        what = {"event": step.to} if step.to in _ENDS else {"event": LIVE, "stage": step.to}
        if step.stage is not None:
            what["stage"] = step.stage
        found.append({"time": step.time, **what, **named, "reason": step.reason})
    return found


def live_at(events: Iterable[Entry], at: datetime) -> dict[str, Entry]:
    """Return by stage the entry of the version that was live there, given entries in the order of time: the last one
    that had entered by then, and had not left."""
    entered: dict[str, Entry] = {}
    for entry in events:
        event, stage = entry["event"], entry.get("stage")
        if parse_time(entry["time"]) > at or event == REGISTERED:
            continue
        if event == LIVE:
            entered[entry["stage"]] = entry
        elif event != FAILED or stage is None:
            # A failure that names no stage is of an earlier release. One that does may leave pods that answer: if none
            # did, the version has left as well, or another one is live.
            left = entered if stage is None else {stage}
            entered = {
                name: present for name, present in entered.items() if name not in left or present["uid"] != entry["uid"]
            }
    return entered


def highest_number(history: Iterable[Manifest]) -> int:
    """Return the highest number that a version of the model ever had."""
    return max((_known(_text(segment)).highest for segment in history), default=0)


def highest_dataset_version(history: Iterable[Manifest], dataset: str) -> int:
    """Return the highest version of the Dataset that a model was ever made of."""
    named = (entry for entry in entries(history) if entry.get("dataset") == dataset)
    return max((_whole(entry.get("datasetVersion")) for entry in named), default=0)


def _deleted(entry: Entry, time: str) -> Entry:
    return {"time": time, "event": DELETED, **{name: entry[name] for name in ("version", "number", "uid")}}


def identity(entry: Entry) -> tuple[Any, ...]:
    """Return what tells one entry from another: the same one is never recorded twice."""
    return entry["uid"], entry["event"], entry.get("stage"), "" if entry["event"] == REGISTERED else entry["time"]


def _line(entry: Entry) -> str:
    return json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"


def _written(view: ModelView, lines: Sequence[str]) -> Iterator[Manifest]:
    if not lines:
        return
    newest = max(view.history, key=_order, default=None)
    number, text = (0, "") if newest is None else (_number(newest), _text(newest))
    if text and not text.endswith("\n"):
        text += "\n"
    size = len(text.encode())
    for line in lines:
        if text and size + len(line.encode()) > SEGMENT_BYTES:
            yield _segment(view, number, text)
            number, text, size = number + 1, "", 0
        text += line
        size += len(line.encode())
    yield _segment(view, number, text)


def _segment(view: ModelView, number: int, text: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": segment_name(view.model_name, number),
            "namespace": view.namespace,
            "labels": labels.unowned(HISTORY, model=view.model_name),
        },
        "data": {FILE: text},
    }


def segment_name(model_name: str, number: int) -> str:
    """Return the name of a segment: `<model>-history`, then `<model>-history-1` and so on."""
    return f"{model_name}-{HISTORY}" if number == 0 else f"{model_name}-{HISTORY}-{number}"


def _order(segment: Manifest) -> tuple[int, str]:
    return _number(segment), str(segment["metadata"]["name"])


def _number(segment: Manifest) -> int:
    digits = str(segment["metadata"]["name"]).rpartition(f"-{HISTORY}-")[2]
    return int(digits) if digits.isdecimal() else 0


def _text(segment: Manifest) -> str:
    return str((segment.get("data") or {}).get(FILE) or "")


def _entry(line: str) -> Entry | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    whole = (
        isinstance(entry, dict)
        and all(isinstance(entry.get(name), str) for name in _TEXTS)
        and all(isinstance(entry.get(name, ""), str) for name in _TEXTS_IF_THERE)
        and is_timestamp(entry["time"])
        and 1 <= _whole(entry.get("number")) <= _MAX_NUMBER
        and (entry["event"] not in (LIVE, LEFT) or "stage" in entry)
    )
    return entry if whole else None


def _whole(value: Any) -> int:
    return value if type(value) is int and 0 <= value <= _MAX_WHOLE else 0
