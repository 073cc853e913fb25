"""What the API server's audit log tells of the operator: which verbs it used, which it was granted, who was refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple


class Access(NamedTuple):
    """One verb on one resource (with its subresource, as in RBAC) of one API group."""

    group: str
    resource: str
    verb: str


def events(log: Path) -> Iterator[dict[str, Any]]:
    """Yield the finished requests of an audit log, rotated parts included."""
    for part in sorted(log.parent.glob(f"{log.stem}*")):
        with part.open() as lines:
            for line in lines:
                event = json.loads(line)
                if event["stage"] in ("ResponseComplete", "ResponseStarted"):
                    yield event


def used(log: Path, user: str) -> tuple[set[Access], set[Access]]:
    """Return the accesses that the operator made, and those that were refused, of a user."""
    made, refused = set[Access](), set[Access]()
    for event in events(log):
        if event["user"]["username"] != user or "objectRef" not in event:
            continue
        target = event["objectRef"]
        sub = target.get("subresource")
        resource = f"{target['resource']}/{sub}" if sub else target["resource"]
        access = Access(target.get("apiGroup", ""), resource, event["verb"])
        (refused if event.get("responseStatus", {}).get("code") == 403 else made).add(access)
        if event["verb"] == "patch" and event.get("responseStatus", {}).get("code") == 201:
            # A server-side apply that makes the object asks for both verbs.
            made.add(access._replace(verb="create"))
    return made, refused


def granted(rules: list[dict[str, Any]]) -> set[Access]:
    """Return what RBAC rules allow."""
    return {
        Access(group, resource, verb)
        for rule in rules
        for group in rule.get("apiGroups", ())
        for resource in rule.get("resources", ())
        for verb in rule["verbs"]
    }


def table(allowed: set[Access], made: set[Access]) -> str:
    """Return the two as Markdown."""
    lines = ["| group | resource | granted | used |", "|---|---|---|---|"]
    for group, resource in sorted({(a.group, a.resource) for a in allowed | made}):
        verbs = [
            ", ".join(sorted(a.verb for a in accesses if (a.group, a.resource) == (group, resource)))
            for accesses in (allowed, made)
        ]
        lines.append(f"| {group or 'core'} | {resource} | {verbs[0]} | {verbs[1]} |")
    return "\n".join(lines)
