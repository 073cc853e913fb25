"""What has been of a model's versions, in ConfigMaps that nobody owns: it outlives the versions themselves.

The record is text, one JSON object a line, in the order in which things became known. Lines are added and never
changed. They are derived from the versions' statuses, so that a line whose write was lost is added by the next plan.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from mlops.api import labels
from mlops.api.base import format_time, is_moment
from mlops.api.model_version import ModelVersion
from mlops.planning.plan import Key, Manifest
from mlops.planning.views import ModelView

HISTORY: Final = "history"
FILE: Final = "history.jsonl"
# A ConfigMap holds a MiB. One that is full is never written again; the next one goes on.
SEGMENT_BYTES: Final = 256 << 10
REGISTERED, LIVE, DELETED = "Registered", "Live", "Deleted"
_ENDS: Final = ("Superseded", "Withdrawn", "Failed")
_TEXTS: Final = ("time", "event", "version", "uid")
_TEXTS_IF_THERE: Final = (
    *("stage", "reason", "artifact", "trainingRun", "dataset", "datasetDigest", "inputsDigest", "environmentDigest"),
    "parentVersion",
)
# As of a version's spec, and what every reader of JSON takes for the whole number that it is.
_MAX_NUMBER: Final = 999_999
_MAX_WHOLE: Final = 1 << 53
Entry = dict[str, Any]


def segments(view: ModelView, statuses: Mapping[Key, Manifest]) -> Iterator[Manifest]:
    """Yield the ConfigMaps that have something new to hold, given the statuses that this plan writes before them."""
    known = entries(view.history)
    seen = {identity(entry) for entry in known}
    # Steps of the same second: those of one version in their order, whatever the order of the view.
    ordered = sorted(view.versions, key=lambda version: (version.spec.version, version.metadata.name))
    of_versions = (
        entry
        for version in ordered
        for entry in entries_of(version, statuses.get(Key(*version.key)) or version.status.dump())
    )
    new = [entry for entry in of_versions if identity(entry) not in seen]
    gone = {entry["uid"]: entry for entry in known if entry["uid"] not in view.present}
    over = {entry["uid"] for entry in known if entry["event"] == DELETED}
    new += [_deleted(entry, format_time(view.now)) for uid, entry in gone.items() if uid not in over]
    yield from _written(view, [_line(entry) for entry in sorted(new, key=lambda entry: str(entry["time"]))])


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
    return sum(_entry(line) is None for line in _text(segment).splitlines())


def entries_of(version: ModelVersion, status: Manifest) -> list[Entry]:
    """Return what is to be recorded of a version with this status; nothing before it is known which model it is."""
    if not status.get("artifact") or not version.metadata.creation_timestamp:
        return []
    named: Entry = {"version": version.metadata.name, "number": version.spec.version, "uid": version.metadata.uid}
    made_of = status.get("lineage") or version.spec.lineage.dump()
    known = {"artifact": status["artifact"], **made_of}
    found = [{"time": version.metadata.creation_timestamp, "event": REGISTERED, **named, **known}]
    for step in reversed(status.get("transitions") or ()):
        what = {"event": step["to"]} if step["to"] in _ENDS else {"event": LIVE, "stage": step["to"]}
        found.append({"time": step["time"], **what, **named, "reason": step.get("reason", "")})
    return found


def highest_number(history: Iterable[Manifest]) -> int:
    """Return the highest number that a version of the model ever had."""
    return max((entry["number"] for entry in entries(history)), default=0)


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
        and is_moment(entry["time"])
        and 1 <= _whole(entry.get("number")) <= _MAX_NUMBER
        and (entry["event"] != LIVE or "stage" in entry)
    )
    return entry if whole else None


def _whole(value: Any) -> int:
    return value if type(value) is int and 0 <= value <= _MAX_WHOLE else 0
