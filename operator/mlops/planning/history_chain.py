"""The chain of a model's history: each entry names the hash of the one before, so that a change of any is seen.

An entry's `hash` is the SHA-256 of the entry as it is written, without `hash` itself; `previous` is the hash of the
entry before, and `entry` counts from 1. Lines of earlier releases have no hash: the first entry that has one names the
digest of all that stood before it. Who may write ConfigMaps can write another chain, but not one in which a hash stands
that somebody else has kept: a version's `status.historyHead`, or what `mlops verify` printed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from mlops.planning.history_entries import (
    Entry,
    in_order,
    known_entry,
    lines_of,
    parsed,
    segment_name,
    segment_number,
    whole_number,
    written,
)
from mlops.planning.plan import Manifest

ENTRY, PREVIOUS, HASH = "entry", "previous", "hash"
_LINK: Final = (ENTRY, PREVIOUS, HASH)
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


class ChainHead(NamedTuple):
    """How far a chain goes: the number of its last entry, and that entry's hash."""

    entries: int
    hash: str


_NOTHING: Final = ChainHead(0, "")


@dataclass(frozen=True)
class ChainFault:
    """The first thing that is wrong with a chain: where it shows, and what it is."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


@dataclass(frozen=True)
class ChainCheck:
    """What checking a chain found: how far it is whole, and the first thing that is wrong, if anything is."""

    head: ChainHead
    fault: ChainFault | None = None
    # Lines of earlier releases, which have no hash of their own.
    unchained: int = 0


def sealed(entry: Entry, head: ChainHead) -> Entry:
    """Return the entry as the next one of the chain."""
    body = {**entry, ENTRY: head.entries + 1, PREVIOUS: head.hash}
    return {**body, HASH: hash_of(body)}


def hash_of(entry: Entry) -> str:
    """Return the hash of an entry: of all that it says but its `hash`."""
    return _digest(written({name: value for name, value in entry.items() if name != HASH}))


def head_of(history: Iterable[Manifest]) -> ChainHead:
    """Return what the next entry goes on from, taken as it stands: that it is right is for `checked` to say."""
    segments = in_order(history)
    for segment in reversed(segments):
        for line in reversed(lines_of(segment)):
            if (head := stated(known_entry(line))) is not None:
                return head
    return ChainHead(0, _digest("".join(f"{line}\n" for each in segments for line in lines_of(each))))


def stated(entry: Entry | None) -> ChainHead | None:
    """Return what an entry says of its place in the chain; None if it is no entry, or of an earlier release."""
    if entry is None or any(name not in entry for name in _LINK) or not whole_number(entry[ENTRY]):
        return None
    if not (is_hash(entry[PREVIOUS]) and is_hash(entry[HASH])):
        return None
    return ChainHead(entry[ENTRY], entry[HASH])


def is_hash(text: str) -> bool:
    """Return whether a text has the form of an entry's hash."""
    return _DIGEST.fullmatch(text) is not None


def checked(model_name: str, history: Iterable[Manifest], known: Mapping[str, ChainHead]) -> ChainCheck:
    """Return how far a model's chain is whole. `known` are heads that stood in it once, by who says so.

    The first fault is that of the first ConfigMap and line, and then that of the head that reaches furthest back.
    """
    found = _Walk()
    for number, segment in enumerate(in_order(history)):
        name, own = str(segment["metadata"]["name"]), segment_number(segment)
        if name != segment_name(model_name, own):
            return found.result(
                ChainFault(f"ConfigMap {name}", "it carries the labels of the record, and is none of it")
            )
        if own != number:
            return found.result(ChainFault(f"ConfigMap {segment_name(model_name, number)}", "it is not there"))
        for place, line in enumerate(lines_of(segment), start=1):
            if (message := found.fault_of(line)) is not None:
                return found.result(ChainFault(f"ConfigMap {name}, line {place}", message))
    return found.result(next(_not_in(found, known), None))


@dataclass
class _Walk:
    """The chain as far as it was followed."""

    head: ChainHead = _NOTHING
    hashes: list[str] = field(default_factory=list)
    # The lines before the chain begins.
    before: list[str] = field(default_factory=list)

    def fault_of(self, line: str) -> str | None:
        """Take in the next line; return what is wrong with it, if anything is."""
        entry = parsed(line)
        if entry is None or all(name not in entry for name in _LINK):
            if not self.hashes:
                self.before.append(line)
                return None
            return "it is no entry of the chain: somebody added it, or wrote over one"
        present, expected = stated(entry), self.expected
        if present is None or hash_of(entry) != present.hash or written(entry) != line:
            return f"entry {expected.entries + 1} was changed: its hash is not that of what it says"
        if present.entries > expected.entries + 1:
            missing = _numbers(expected.entries + 1, present.entries - 1)
            return f"{missing} missing before entry {present.entries}"
        if present.entries <= expected.entries:
            return f"entry {present.entries} stands where entry {expected.entries + 1} belongs: out of order, or twice"
        if entry[PREVIOUS] != expected.hash:
            what = "what stood before it" if not self.hashes else f"entry {expected.entries}"
            return f"entry {present.entries} was not written after this: {what} was changed, or it was itself"
        self.head = present
        self.hashes.append(present.hash)
        return None

    @property
    def expected(self) -> ChainHead:
        """Return what the next entry has to go on from."""
        return self.head if self.hashes else ChainHead(0, _digest("".join(f"{line}\n" for line in self.before)))

    def result(self, fault: ChainFault | None) -> ChainCheck:
        """Return what was found."""
        return ChainCheck(self.expected, fault, len(self.before))


def _not_in(found: _Walk, known: Mapping[str, ChainHead]) -> Iterator[ChainFault]:
    """Yield the heads that stand no longer in a chain that is whole in itself, the oldest first."""
    for where, head in sorted(known.items(), key=lambda item: (item[1].entries, item[0])):
        if head.entries > len(found.hashes):
            missing = _numbers(len(found.hashes) + 1, head.entries)
            yield ChainFault(where, f"{missing} missing at the end: it names entry {head.entries}, {head.hash}")
        elif found.hashes[head.entries - 1] != head.hash:
            yield ChainFault(where, f"entry {head.entries} is not the one it names, {head.hash}: it was written again")


def _numbers(first: int, last: int) -> str:
    return f"entry {first} is" if first == last else f"entries {first} to {last} are"


def _digest(text: str) -> str:
    # A hand may have written what is no text of Unicode: that has a digest as well.
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
