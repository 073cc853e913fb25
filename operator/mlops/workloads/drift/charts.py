"""Inline SVG, made of numbers and escaped text only; colours come from the page's style sheet by class."""

from __future__ import annotations

import html
from datetime import datetime
from typing import Any

_WIDTH, _HEIGHT = 640.0, 240.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 56.0, 12.0, 14.0, 34.0


def metric_chart(performance: dict[str, Any], change_point: str | None) -> str:
    """The metric over the window with its 95 % intervals, the reference with its own, and the change point."""
    points = performance["series"]
    if not points:
        return ""
    reference = performance["reference"]
    begin, end = _timestamp(points[0]["start"]), _timestamp(points[-1]["end"])
    values: list[float] = [v for p in points for v in (p["value"]["low"], p["value"]["high"])]
    low = float(min([*values, reference["low"]]))
    high = float(max([*values, reference["high"]]))
    margin = (high - low) * 0.06 or 0.5
    low, high = low - margin, high + margin

    def x(timestamp: float) -> float:
        share = (timestamp - begin) / (end - begin) if end > begin else 0.5
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _TOP + (high - value) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    middles = [((_timestamp(p["start"]) + _timestamp(p["end"])) / 2, p["value"]) for p in points]
    right = _WIDTH - _RIGHT
    parts = [_axis(low, high, y)]
    parts.append(
        f'<rect class="reference-band" x="{_LEFT:.1f}" y="{y(reference["high"]):.1f}" width="{right - _LEFT:.1f}"'
        f' height="{y(reference["low"]) - y(reference["high"]):.1f}"/>'
        f'<line class="reference-line" x1="{_LEFT:.1f}" x2="{right:.1f}" y1="{y(reference["value"]):.1f}"'
        f' y2="{y(reference["value"]):.1f}"/>'
    )
    for timestamp, value in middles:
        parts.append(
            f'<line class="interval" x1="{x(timestamp):.1f}" x2="{x(timestamp):.1f}" y1="{y(value["low"]):.1f}"'
            f' y2="{y(value["high"]):.1f}"/>'
        )
    line = " ".join(f"{x(timestamp):.1f},{y(value['value']):.1f}" for timestamp, value in middles)
    parts.append(f'<polyline class="current-line" points="{line}"/>')
    parts += [
        f'<circle class="current" cx="{x(timestamp):.1f}" cy="{y(value["value"]):.1f}" r="3.5">'
        f"<title>{point['rows']} rows to {html.escape(point['end'])}: {value['value']:.4g}"
        f" ({value['low']:.4g} to {value['high']:.4g})</title></circle>"
        for (timestamp, value), point in zip(middles, points, strict=True)
    ]
    if change_point is not None:
        at = x(min(max(_timestamp(change_point), begin), end))
        parts.append(
            f'<line class="change" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP:.1f}" y2="{_HEIGHT - _BOTTOM:.1f}">'
            f"<title>change: {html.escape(change_point)}</title></line>"
        )
    for anchor, position, text in (("start", _LEFT, points[0]["start"]), ("end", right, points[-1]["end"])):
        parts.append(
            f'<text class="tick" text-anchor="{anchor}" x="{position:.1f}" y="{_HEIGHT - 12:.1f}">'
            f"{html.escape(text[:16].replace('T', ' '))}</text>"
        )
    label = html.escape(f"{performance['metric']} over the window, with 95 % intervals, against the reference")
    return framed(_WIDTH, _HEIGHT, label, parts)


def histogram_chart(found: dict[str, Any]) -> str:
    """Reference (outline) against window (filled), one pair of bars per bin or category."""
    bars = found["bars"]
    if not bars:
        return ""
    width, height, base = 300.0, 130.0, 108.0
    top = max(max(bar["reference"], bar["current"]) for bar in bars) or 1.0
    step = (width - 8.0) / len(bars)
    parts = []
    for number, bar in enumerate(bars):
        left = 4.0 + number * step
        name = bar["label"] if "label" in bar else f"{bar['low']:.4g} to {bar['high']:.4g}"
        title = html.escape(f"{name}: reference {bar['reference']:.1%}, window {bar['current']:.1%}")
        now, then = (bar[side] / top * (base - 6.0) for side in ("current", "reference"))
        parts.append(
            f'<g><title>{title}</title><rect class="current" x="{left + step * 0.08:.1f}" y="{base - now:.1f}"'
            f' width="{step * 0.84:.1f}" height="{now:.1f}"/><rect class="outline" x="{left + step * 0.08:.1f}"'
            f' y="{base - then:.1f}" width="{step * 0.84:.1f}" height="{then:.1f}"/></g>'
        )
    parts.append(f'<line class="axis" x1="4" x2="{width - 4:.1f}" y1="{base:.1f}" y2="{base:.1f}"/>')
    if found["kind"] == "numeric":
        ends = (("start", 4.0, f"{bars[0]['low']:.4g}"), ("end", width - 4.0, f"{bars[-1]['high']:.4g}"))
        parts += [
            f'<text class="tick" text-anchor="{anchor}" x="{at:.1f}" y="{base + 15:.1f}">{text}</text>'
            for anchor, at, text in ends
        ]
    else:
        longest = max(1, int(step / 6.5))
        parts += [
            f'<text class="tick" text-anchor="middle" x="{4.0 + (number + 0.5) * step:.1f}" y="{base + 15:.1f}">'
            f"{html.escape(_short(bar['label'], longest))}</text>"
            for number, bar in enumerate(bars)
        ]
    return framed(width, height, html.escape(f"{found['name']}: reference against window"), parts)


def split_chart(split: dict[str, Any]) -> str:
    """The two parts of a drop as bars around zero, with their intervals."""
    rows = [("inputs", split["covariate"]), ("relation", split["concept"])]
    edges: list[float] = [0.0, *(value for _, part in rows for value in (part["low"], part["high"], part["value"]))]
    low, high = min(edges), max(edges)
    width, left = 420.0, 80.0

    def x(value: float) -> float:
        return left + (value - low) / ((high - low) or 1.0) * (width - left - 70.0)

    parts = []
    for number, (name, part) in enumerate(rows):
        top = 12.0 + number * 34.0
        first, last = sorted((x(0.0), x(part["value"])))
        parts.append(
            f'<text class="tick" x="0" y="{top + 14:.1f}">{name}</text>'
            f'<rect class="current" x="{first:.1f}" y="{top:.1f}" width="{last - first:.1f}" height="20"/>'
            f'<line class="interval" x1="{x(part["low"]):.1f}" x2="{x(part["high"]):.1f}" y1="{top + 10:.1f}"'
            f' y2="{top + 10:.1f}"/>'
            f'<text class="tick" x="{max(x(part["high"]), last) + 6:.1f}" y="{top + 14:.1f}">{part["value"]:.3f}</text>'
        )
    parts.append(f'<line class="axis" x1="{x(0.0):.1f}" x2="{x(0.0):.1f}" y1="4" y2="74"/>')
    return framed(width, 80.0, "what a drop is made of, with 95 % intervals", parts)


def _axis(low: float, high: float, y: Any) -> str:
    lines = []
    for number in range(5):
        value = low + (high - low) * (number + 0.5) / 5
        lines.append(
            f'<line class="grid" x1="{_LEFT:.1f}" x2="{_WIDTH - _RIGHT:.1f}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
            f'<text class="tick" text-anchor="end" x="{_LEFT - 6:.1f}" y="{y(value) + 4:.1f}">{value:.3g}</text>'
        )
    return "".join(lines)


def framed(width: float, height: float, label: str, parts: list[str]) -> str:
    """Return parts of SVG in their frame, as wide as there is room."""
    return (
        f'<svg role="img" aria-label="{label}" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}"'
        f' height="{height:.0f}">{"".join(parts)}</svg>'
    )


def _timestamp(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: max(0, length - 1)] + "…"
