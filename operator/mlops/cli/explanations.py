"""What a reason means, for the command line."""

from __future__ import annotations

import difflib
import textwrap

from mlops.api.reasons import ALL, REASONS, Explanation, explain
from mlops.cli.errors import UserError


def of(reason: str) -> str:
    """Return the meaning and the way out of a reason, for each kind that has it."""
    found = explain(reason)
    if not found:
        names = sorted({each.reason for each in REASONS})
        close = difflib.get_close_matches(reason, names, n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "docs/reasons.md lists them all"
        raise UserError(f"{reason!r} is no reason that this release knows; {hint}")
    return "\n\n".join(_said(each) for each in found)


def _said(each: Explanation) -> str:
    kinds = "any kind" if each.kinds == ALL else ", ".join(each.kinds)
    ready = [f"Ready={'|'.join(each.ready)}"] if each.ready else []
    lines = [f"{each.reason} ({kinds}; {', '.join([*ready, *each.conditions])})", _filled(each.meaning)]
    if each.way_out:
        lines.append(_filled(f"Way out: {each.way_out}"))
    return "\n".join(lines)


def _filled(text: str) -> str:
    return textwrap.fill(text, 98, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
