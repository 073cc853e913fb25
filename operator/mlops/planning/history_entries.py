"""A line of a model's history: what it may say, how it is written, in which ConfigMap it stands."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final

from mlops.api.base import is_timestamp
from mlops.planning.plan import Manifest

HISTORY: Final = "history"
FILE: Final = "history.jsonl"
REGISTERED, LIVE, FAILED, LEFT, DELETED = "Registered", "Live", "Failed", "Left", "Deleted"
SUPERSEDED, WITHDRAWN, ROLLED_BACK = "Superseded", "Withdrawn", "RolledBack"
APPROVED, REVOKED = "Approved", "Revoked"
CANARY_STARTED: Final = "CanaryStarted"
_TEXTS: Final = ("time", "event", "version", "uid")
_TEXTS_IF_THERE: Final = (
    *("stage", "reason", "artifact", "trainingRun", "dataset", "datasetDigest", "inputsDigest", "environmentDigest"),
    *("parentVersion", "cause", "previous", "hash", "user"),
)
_STAGES_IF_THERE: Final = ("from", "to")
# As of a version's spec, and what every reader of JSON takes for the whole number that it is.
_MAX_NUMBER: Final = 999_999
_MAX_WHOLE: Final = 1 << 53
Entry = dict[str, Any]


def segment_name(model_name: str, number: int) -> str:
    """Return the name of a segment: `<model>-history`, then `<model>-history-1` and so on."""
    return f"{model_name}-{HISTORY}" if number == 0 else f"{model_name}-{HISTORY}-{number}"


def in_order(history: Iterable[Manifest]) -> list[Manifest]:
    """Return the ConfigMaps of one model, the oldest first."""
    return sorted(history, key=_order)


def own_segments(model_name: str, history: Iterable[Manifest]) -> list[Manifest]:
    """Return the ConfigMaps of a model's record, the oldest first; without those that only carry its labels."""
    return [each for each in in_order(history) if _is_segment(model_name, each["metadata"]["name"])]


def segment_number(segment: Manifest) -> int:
    """Return the number in a ConfigMap's name, 0 where it has none."""
    return _order(segment)[0]


def _order(segment: Manifest) -> tuple[int, str]:
    return _place(segment["metadata"]["name"])


# Asked of each segment in each plan.
@lru_cache(maxsize=4096)
def _place(name: str) -> tuple[int, str]:
    digits = name.rpartition(f"-{HISTORY}-")[2]
    return int(digits) if digits.isdecimal() else 0, name


@lru_cache(maxsize=4096)
def _is_segment(model_name: str, name: str) -> bool:
    return name == segment_name(model_name, _place(name)[0])


def text_of(segment: Manifest) -> str:
    """Return the lines of a ConfigMap."""
    return str((segment.get("data") or {}).get(FILE) or "")


def lines_of(segment: Manifest) -> list[str]:
    """Return the lines of a ConfigMap, of whoever they are."""
    return lines_in(text_of(segment))


def lines_in(text: str) -> list[str]:
    """Return the lines of a text. A reason may hold what else ends lines in Unicode: only line feeds end entries."""
    lines = text.split("\n")
    return lines[:-1] if not lines[-1] else lines


def entries(history: Iterable[Manifest]) -> list[Entry]:
    """Return what ConfigMaps of one model record, the oldest first. Lines that nobody of ours wrote are passed over."""
    return [entry for segment in in_order(history) for entry in entries_in(text_of(segment))]


def entries_in(text: str) -> Iterator[Entry]:
    """Yield what the lines of a text record."""
    return (entry for entry in map(known_entry, lines_in(text)) if entry is not None)


@lru_cache(maxsize=4096)
def known_entry(line: str) -> Entry | None:
    """Return what a line records, which nobody changes: when one is added to a segment, the others are as they were."""
    return parsed(line)


def written(entry: Entry) -> str:
    """Return the one way to write an entry, without the end of the line."""
    return json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def parsed(line: str) -> Entry | None:
    """Return what a line records; None if it is no entry."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    whole = (
        isinstance(entry, dict)
        and all(isinstance(entry.get(name), str) for name in _TEXTS)
        and all(isinstance(entry.get(name, ""), str) for name in _TEXTS_IF_THERE)
        and all(_are_texts(entry.get(name, [])) for name in _STAGES_IF_THERE)
        and is_timestamp(entry["time"])
        and 1 <= whole_number(entry.get("number")) <= _MAX_NUMBER
        and (entry["event"] not in (LIVE, LEFT) or "stage" in entry)
    )
    return entry if whole else None


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def whole_number(value: Any) -> int:
    """Return a whole number that every reader of JSON takes for the same, 0 for anything else."""
    return value if type(value) is int and 0 <= value <= _MAX_WHOLE else 0
