"""All checks of a monitor over time: verdicts as a band, the metric as a line, and what was done."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from mlops.workloads.drift.charts import framed

_WIDTH, _LEFT, _RIGHT = 640.0, 56.0, 12.0
_BAND, _TOP, _BOTTOM, _LINE = 22.0, 12.0, 22.0, 110.0
_MOST_SPELLS = 40


def timeline(checks: Sequence[Mapping[str, Any]], tones: Mapping[str, str]) -> str:
    """Return the section's body for `checks`, the oldest first: time, verdict, and maybe metric and action.

    `tones` is good, open or bad by verdict.
    """
    if not checks:
        return ""
    return _chart(checks, tones) + _table(checks, tones)


def _chart(checks: Sequence[Mapping[str, Any]], tones: Mapping[str, str]) -> str:
    times = [datetime.fromisoformat(check["time"]).timestamp() for check in checks]
    begin, span = times[0], (times[-1] - times[0]) or 1.0
    right = _WIDTH - _RIGHT

    def x(timestamp: float) -> float:
        return _LEFT + (timestamp - begin) / span * (right - _LEFT) if len(times) > 1 else (_LEFT + right) / 2

    wide = max(2.0, min(14.0, 0.8 * (right - _LEFT) / len(times)))
    parts = [
        f'<rect class="{tones.get(check["verdict"], "open")}-mark" x="{x(at) - wide / 2:.1f}" y="{_TOP:.1f}"'
        f' width="{wide:.1f}" height="{_BAND:.1f}"><title>{html.escape(check["time"])}:'
        f" {html.escape(check['verdict'])}</title></rect>"
        for at, check in zip(times, checks, strict=True)
    ]
    values = [(x(at), float(check["metric"])) for at, check in zip(times, checks, strict=True) if check.get("metric")]
    base = _TOP + _BAND
    if len(values) > 1:
        parts += _line(values, base + 14.0)
        base += 14.0 + _LINE
    for anchor, at, check in (("start", _LEFT, checks[0]), ("end", right, checks[-1])):
        parts.append(
            f'<text class="tick" text-anchor="{anchor}" x="{at:.1f}" y="{base + 16:.1f}">'
            f"{html.escape(check['time'][:10])}</text>"
        )
    return framed(_WIDTH, base + _BOTTOM, "verdicts and metric over all checks", parts)


def _line(values: Sequence[tuple[float, float]], top: float) -> list[str]:
    low, high = min(value for _, value in values), max(value for _, value in values)
    margin = (high - low) * 0.08 or 0.5
    low, high = low - margin, high + margin

    def y(value: float) -> float:
        return top + (high - value) / (high - low) * _LINE

    parts = []
    for value in (low + margin, high - margin):
        parts.append(
            f'<line class="grid" x1="{_LEFT:.1f}" x2="{_WIDTH - _RIGHT:.1f}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
            f'<text class="tick" text-anchor="end" x="{_LEFT - 6:.1f}" y="{y(value) + 4:.1f}">{value:.3g}</text>'
        )
    points = " ".join(f"{at:.1f},{y(value):.1f}" for at, value in values)
    return [*parts, f'<polyline class="current-line" points="{points}"/>']


def _table(checks: Sequence[Mapping[str, Any]], tones: Mapping[str, str]) -> str:
    """Checks in a row that came to the same are one line, the newest first."""
    rows = []
    for (verdict, action), group in groupby(reversed(checks), key=lambda one: (one["verdict"], one.get("action", ""))):
        spell = list(group)
        first, last = spell[-1]["time"][:10], spell[0]["time"][:10]
        values = [float(one["metric"]) for one in spell if one.get("metric")]
        rows.append(
            f"<tr><td data-label='from'>{html.escape(first)}</td><td data-label='to'>{html.escape(last)}</td>"
            f"<td class='n' data-label='checks'>{len(spell)}</td>"
            f"<td class='{tones.get(verdict, 'open')}' data-label='verdict'>{html.escape(verdict)}</td>"
            f"<td class='n' data-label='metric'>{_range(values)}</td>"
            f"<td data-label='done'>{html.escape(action)}</td></tr>"
        )
    shown = rows[:_MOST_SPELLS]
    more = f"<p class='soft'>and {len(rows) - len(shown)} earlier spells</p>" if len(rows) > len(shown) else ""
    return (
        '<div class="wide"><table class="cards"><tr><th>from</th><th>to</th><th class="n">checks</th><th>verdict</th>'
        f'<th class="n">metric</th><th>done</th></tr>{"".join(shown)}</table></div>{more}'
    )


def _range(values: Sequence[float]) -> str:
    if not values:
        return ""
    least, most = f"{min(values):.3f}", f"{max(values):.3f}"
    return least if least == most else f"{least} to {most}"
