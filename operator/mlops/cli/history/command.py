"""`mlops history` and `mlops verify`: what is on record of a model, and whether all of it is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlops.api.base import format_time
from mlops.cli.errors import UserError
from mlops.cli.history.reading import Past
from mlops.cli.tables import aligned
from mlops.planning.history_chain import ChainCheck, ChainHead, checked, is_hash
from mlops.planning.history_entries import Entry
from mlops.planning.history_replay import live_at


@dataclass(frozen=True)
class Verified:
    """What checking a record found, in words."""

    whole: bool
    text: str


def history(past: Past, at: datetime | None, output: str) -> str:
    """Return all entries of a model's record, or with `at` what answered in each stage then; as a table or as JSON."""
    entries = past.entries()
    if at is not None:
        answered = _answered(entries, at)
        return json.dumps(_dated(past, at, answered), indent=2) if output == "json" else _table_at(answered, at)
    if output == "json":
        head = check(past).head
        said = {"model": past.model, "head": {"entries": head.entries, "hash": head.hash}, "entries": entries}
        return json.dumps(said, indent=2)
    return _table(entries)


def check(past: Past, kept: ChainHead | None = None) -> ChainCheck:
    """Return how far a model's chain is whole, given a head that somebody has kept beside those that versions name."""
    heads = past.heads if kept is None else {**past.heads, "--head": kept}
    return checked(past.model, past.history, heads)


def verify(past: Past, kept: str | None) -> Verified:
    """Check a model's record. `kept`: a head as an earlier call printed it, ENTRY:HASH.

    Raises UserError if that is none.
    """
    found = check(past, None if kept is None else _head_of(kept))
    older = f"; {found.unchained} lines before it, of an earlier release, have no hash" if found.unchained else ""
    if found.fault is not None:
        return Verified(
            False,
            f"{past.model}: the record is not whole. {found.fault}\n"
            f"{found.head.entries} entries before it are{older}. See docs/operations.md, a record that is not whole",
        )
    if found.head.entries == 0:
        raise UserError(
            f"{past.model}: nothing is recorded yet{older}: the operator, or the next mlops run, records its versions"
        )
    count = f"{found.head.entries} entries" if found.head.entries > 1 else "1 entry"
    unread = f"\nnot read, of another release: {', '.join(past.unread)}" if past.unread else ""
    return Verified(True, f"{past.model}: whole, {count}{older}\nhead {_text_of(found.head)}{unread}")


def _head_of(text: str) -> ChainHead:
    number, separator, digest = text.partition(":")
    if not (separator and number.isascii() and number.isdigit() and int(number) > 0 and is_hash(digest)):
        raise UserError(f"--head {text!r}: the form is ENTRY:sha256:..., as `mlops verify` prints it after head")
    return ChainHead(int(number), digest)


def _text_of(head: ChainHead) -> str:
    return f"{head.entries}:{head.hash}"


def _answered(entries: list[Entry], at: datetime) -> list[dict[str, Any]]:
    # Entries of earlier releases name the model once only.
    artifacts = {entry["uid"]: entry["artifact"] for entry in entries if entry.get("artifact")}
    return [
        {
            "stage": stage,
            "version": entry["version"],
            "number": entry["number"],
            "digest": entry.get("artifact") or artifacts.get(entry["uid"], ""),
            "since": entry["time"],
            "cause": entry.get("cause", ""),
        }
        for stage, entry in live_at(entries, at).items()
    ]


def _dated(past: Past, at: datetime, answered: list[dict[str, Any]]) -> dict[str, Any]:
    return {"model": past.model, "at": format_time(at), "stages": answered}


def _table_at(answered: list[dict[str, Any]], at: datetime) -> str:
    if not answered:
        return f"no version was live at {format_time(at)}"
    rows = [[each["stage"], each["version"], each["since"], each["digest"]] for each in answered]
    return aligned([["STAGE", "VERSION", "SINCE", "DIGEST"], *rows])


def _table(entries: list[Entry]) -> str:
    if not entries:
        return "nothing is recorded yet"
    table = [["ENTRY", "TIME", "VERSION", "EVENT", "FROM", "TO", "CAUSE", "DIGEST", "REASON"]]
    return aligned([*table, *map(_row, entries)])


def _row(entry: Entry) -> list[str]:
    at = f" {entry['stage']}" if "stage" in entry else ""
    return [
        str(entry.get("entry", "-")),
        entry["time"],
        entry["version"],
        entry["event"] + at,
        _stages(entry, "from"),
        _stages(entry, "to"),
        entry.get("cause", ""),
        entry.get("artifact", "")[:19],
        entry.get("reason", ""),
    ]


def _stages(entry: Entry, name: str) -> str:
    """Return the stages; nothing of an entry of an earlier release, which does not say them."""
    return (",".join(entry[name]) or "none") if name in entry else ""
