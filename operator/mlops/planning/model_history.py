"""What has been of a model's versions, in ConfigMaps that nobody owns: it outlives the versions themselves.

The record is text, one JSON object a line, in the order in which things became known. Lines are added and never
changed, each with the hash of the one before (`history_chain.py`). They are derived from the versions' statuses, which
are written first, so that a line whose write was lost is added by the next plan. A ConfigMap that is full is made
immutable, and the next one goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from mlops.api import labels
from mlops.api.base import format_time
from mlops.api.model_version import HistoryHead, ModelVersion, ModelVersionStatus
from mlops.planning import retrying
from mlops.planning.history_chain import HASH, ChainHead, head_of, sealed
from mlops.planning.history_entries import (
    DELETED,
    FILE,
    HISTORY,
    REGISTERED,
    Entry,
    entries,
    entries_in,
    lines_in,
    own_segments,
    segment_name,
    segment_number,
    text_of,
    whole_number,
    written,
)
from mlops.planning.history_replay import Stages
from mlops.planning.history_steps import steps_of
from mlops.planning.plan import Key, Manifest
from mlops.planning.views import ModelView

# A ConfigMap holds a MiB, and is written as a whole for each line that is added. One that is full is never written
# again; the next one goes on.
SEGMENT_BYTES = 64 << 10
_STEP: Final = 100
_KEPT_OF_GONE: Final = ("version", "number", "uid", "artifact")


def segments(view: ModelView, statuses: Mapping[Key, ModelVersionStatus]) -> Iterator[Manifest]:
    """Yield the ConfigMaps that have something new to hold, given the statuses that this plan writes before them.

    To be written in this order, and none after one that could not be: each goes on where the one before ends.
    """
    # Steps of the same second: those of one version in their order, whatever the order of the view.
    ordered = sorted(view.versions, key=lambda version: (version.spec.version, version.metadata.name))
    of_versions = (
        entry for version in ordered for entry in entries_of(version, statuses.get(Key(*version.key), version.status))
    )
    present = own_segments(view.model_name, view.history)
    new = [*unrecorded(present, of_versions), *_gone(view, present)]
    yield from _ended(view, present)
    yield from _written(view, present, sorted(new, key=lambda entry: str(entry["time"])))


def unrecorded(history: Sequence[Manifest], of_versions: Iterable[Entry]) -> Iterator[Entry]:
    """Yield the entries that are on no record yet, given it in order. What happened twice in one second is two."""
    # The newest first: what may still be there is mostly in those.
    known = [_known(text_of(segment)) for segment in reversed(history)]
    seen: Counter[tuple[Any, ...]] = Counter()
    for entry in of_versions:
        mark = identity(entry)
        seen[mark] += 1
        if not _is_in(known, mark, seen[mark]):
            yield entry


def _is_in(segments: Iterable[_Known], mark: tuple[Any, ...], times: int) -> bool:
    """Return whether what `mark` tells is recorded so often."""
    for each in segments:
        times -= each.identities.get(mark, 0)
        if times <= 0:
            return True
    return False


def _gone(view: ModelView, present: Iterable[Manifest]) -> Iterator[Entry]:
    """Yield that a version is there no more, of each that is not, unless that is on record."""
    if view.present is None:
        return
    known = [_known(text_of(segment)) for segment in present]
    over = frozenset().union(*(each.deleted for each in known))
    for uid, entry in {uid: entry for each in known for uid, entry in each.last.items()}.items():
        if uid not in view.present and uid not in over:
            kept: Entry = {name: entry[name] for name in _KEPT_OF_GONE if name in entry}
            yield {"time": format_time(view.now), "event": DELETED, **kept, "cause": "deletion"}


@dataclass(frozen=True)
class _Known:
    """What a segment records, as far as each plan asks."""

    identities: Mapping[tuple[Any, ...], int]
    highest: int
    # By uid of a version: the last entry about it, which nobody changes; and those that are gone.
    last: Mapping[str, Entry]
    deleted: frozenset[str]
    hashes: frozenset[str]
    # Lines that are none of ours.
    strange: int


@lru_cache(maxsize=512)
def _known(text: str) -> _Known:
    """Return what is recorded in a segment's text. Most of them are full, and never change again."""
    found = list(entries_in(text))
    return _Known(
        Counter(map(identity, found)),
        max((entry["number"] for entry in found), default=0),
        {entry["uid"]: entry for entry in found},
        frozenset(entry["uid"] for entry in found if entry["event"] == DELETED),
        frozenset(entry[HASH] for entry in found if HASH in entry),
        len(lines_in(text)) - len(found),
    )


def _stages_after(texts: tuple[str, ...]) -> Stages:
    """Return what is live after these segments, which are full."""
    # In steps of which each has the one before in store: so that a long record is no deep recursion.
    for end in range(_STEP, len(texts), _STEP):
        _stages_known(texts[:end])
    return _stages_known(texts)


@lru_cache(maxsize=1024)
def _stages_known(texts: tuple[str, ...]) -> Stages:
    if not texts:
        return Stages()
    stages = _stages_known(texts[:-1]).copy()
    for entry in entries_in(texts[-1]):
        stages.take_in(entry)
    return stages


def strange_lines(segment: Manifest) -> int:
    """Return how many lines of a ConfigMap are none of ours: whoever edits the record may want to know."""
    return _known(text_of(segment)).strange


def entries_of(version: ModelVersion, status: ModelVersionStatus) -> list[Entry]:
    """Return what is to be recorded of a version with this status; nothing before it is known which model it is."""
    if status.artifact is None or not version.metadata.creation_timestamp:
        return []
    return steps_of(version, status)


def highest_number(history: Iterable[Manifest]) -> int:
    """Return the highest number that a version of the model ever had."""
    return max((_known(text_of(segment)).highest for segment in history), default=0)


def highest_dataset_version(history: Iterable[Manifest], dataset: str) -> int:
    """Return the highest version of the Dataset that a model was ever made of."""
    named = (entry for entry in entries(history) if entry.get("dataset") == dataset)
    return max((whole_number(entry.get("datasetVersion")) for entry in named), default=0)


def identity(entry: Entry) -> tuple[Any, ...]:
    """Return what tells one entry from another, but for what happened twice in one second."""
    return entry["uid"], entry["event"], entry.get("stage"), "" if entry["event"] == REGISTERED else entry["time"]


def with_head(view: ModelView, statuses: Mapping[Key, ModelVersionStatus]) -> Mapping[Key, ModelVersionStatus]:
    """Return the statuses, that of the newest version with the head of the record as it is stored.

    Who rewrites the record, or cuts off its end, would have to write statuses too. So a version that names an entry
    which is there no more goes on naming it, until a person asks for a retry of that version.
    """
    present = own_segments(view.model_name, view.history)
    head = head_of(present)
    newest = max(
        (each for each in view.versions if Key(*each.key) in statuses),
        key=lambda each: (each.spec.version, each.metadata.name),
        default=None,
    )
    if newest is None or head.entries == 0:
        return statuses
    before = newest.status.history_head
    is_kept = before is None or _is_chained(present, before.hash)
    if not is_kept and retrying.wanted(newest) is None:
        return statuses
    said = HistoryHead(entries=head.entries, hash=head.hash)
    key = Key(*newest.key)
    return {**statuses, key: statuses[key].evolve(history_head=said)}


def _is_chained(present: Sequence[Manifest], wanted: str) -> bool:
    """Return whether an entry says that this is its hash; the newest are asked first."""
    return any(wanted in _known(text_of(segment)).hashes for segment in reversed(present))


def heads_of(versions: Iterable[ModelVersion]) -> dict[str, ChainHead]:
    """Return the heads that versions name, by which version does: what `history_chain.checked` holds the chain to."""
    return {
        f"ModelVersion {each.metadata.name}, status.historyHead": ChainHead(head.entries, head.hash)
        for each in versions
        if (head := each.status.history_head) is not None
    }


def _ended(view: ModelView, present: Sequence[Manifest]) -> Iterator[Manifest]:
    """Yield the segments that are full and may still be written: those of earlier releases."""
    for segment in present[:-1]:
        if not segment.get("immutable"):
            yield _segment(view, segment_number(segment), text_of(segment), segment, full=True)


def _written(view: ModelView, present: Sequence[Manifest], new: Sequence[Entry]) -> Iterator[Manifest]:
    if not new:
        return
    newest = present[-1] if present else None
    number, text = (0, "") if newest is None else (segment_number(newest), text_of(newest))
    stages = _stages_after(tuple(map(text_of, present[:-1]))).copy()
    for entry in entries_in(text):
        stages.take_in(entry)
    head = head_of(present)
    if newest is not None and newest.get("immutable"):
        # Full, and the next one is yet to be begun.
        number, text, newest = number + 1, "", None
    if text and not text.endswith("\n"):
        text += "\n"
    size = len(text.encode())
    for entry in new:
        link = sealed(stages.told(entry), head)
        head, line = ChainHead(link["entry"], link[HASH]), written(link) + "\n"
        if text and size + len(line.encode()) > SEGMENT_BYTES:
            yield _segment(view, number, text, newest, full=True)
            number, text, size, newest = number + 1, "", 0, None
        text += line
        size += len(line.encode())
    yield _segment(view, number, text, newest)


def _segment(view: ModelView, number: int, text: str, present: Manifest | None, *, full: bool = False) -> Manifest:
    """Return a ConfigMap to write; one that was seen is only written over as it was seen, by its resourceVersion."""
    seen = ((present or {}).get("metadata") or {}).get("resourceVersion")
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": segment_name(view.model_name, number),
            "namespace": view.namespace,
            "labels": labels.unowned(HISTORY, model=view.model_name),
            **({"resourceVersion": seen} if seen else {}),
        },
        "data": {FILE: text},
        **({"immutable": True} if full else {}),
    }
