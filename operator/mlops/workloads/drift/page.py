"""The report as one HTML file that needs nothing else: no script, no network, light and dark.

Everything that comes from data is escaped; the Content-Security-Policy allows this one style sheet, by its hash, and
nothing more, so that text which slipped through could still do nothing.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from typing import Any

from mlops.workloads.drift.charts import histogram_chart, metric_chart, split_chart
from mlops.workloads.drift.checks import CHECKS
from mlops.workloads.drift.checks.drift_check import Advice

_STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1c2024;--soft:#5c6570;--line:#d9dee3;--now:#2563a8;--then:#c06a12;
--band:#c06a1226;--good:#1d7a46;--bad:#b3261e;--open:#8a6100}
@media (prefers-color-scheme:dark){:root{--paper:#15181b;--ink:#e7eaed;--soft:#a0a9b3;--line:#343b42;--now:#6aa9ea;
--then:#e59a4d;--band:#e59a4d2e;--good:#5cc48a;--bad:#ff8a80;--open:#e3b341}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:62rem;padding:1.5rem;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,sans-serif;overflow-wrap:break-word}
h1{font-size:1.7rem;line-height:1.25;margin:0 0 .5rem}
h2{font-size:1.15rem;margin:2rem 0 .5rem;border-bottom:1px solid var(--line);padding-bottom:.25rem}
.lead{font-size:1.1rem}.soft,.tick{color:var(--soft);fill:var(--soft)}.tick{font-size:11px}
.verdict{display:inline-block;border:2px solid;border-radius:.4rem;padding:.05rem .6rem}
.good{color:var(--good)}.bad{color:var(--bad)}.open{color:var(--open)}
table{border-collapse:collapse;width:100%;font-size:.92rem}
th,td{text-align:left;padding:.35rem .6rem .35rem 0;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:600}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto}.charts{display:flex;flex-wrap:wrap;gap:1rem}
figure{margin:0}figcaption{font-size:.9rem}
svg{max-width:100%;height:auto}
svg rect.current,svg circle.current{fill:var(--now)}svg rect.current{fill-opacity:.65}
svg rect.outline{fill:none;stroke:var(--then);stroke-width:1.5}
svg .current-line{fill:none;stroke:var(--now);stroke-width:1.5}
svg .interval{stroke:var(--now);stroke-width:2;stroke-opacity:.6}
svg .reference-line{stroke:var(--then);stroke-width:1.5}svg .reference-band{fill:var(--band)}
svg .change{stroke:var(--bad);stroke-width:2;stroke-dasharray:5 3}svg .grid{stroke:var(--line)}
svg .axis{stroke:var(--soft)}
.now{color:var(--now)}.then{color:var(--then)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;margin:.5rem 0}dt{color:var(--soft)}dd{margin:0}
""".strip()

# Of verdicts that no check gives.
_NO_CHECK = {
    "Stable": Advice(
        "good", "every check said no", "Nothing.", "Nothing. The next check follows the monitor's schedule."
    ),
    "Inconclusive": Advice(
        "open",
        "too few rows or labels to tell",
        "Nothing: without enough rows or labels there is no ground to act on.",
        "Send labels to the model's feedback endpoint, wait for more traffic, or make spec.window longer.",
    ),
}
ADVICE: dict[str, Advice] = {**_NO_CHECK, **{type_: each.advice for type_, each in CHECKS.items()}}
_TONE = {"Detected": "bad", "NotDetected": "good", "Inconclusive": "open"}


def page(found: dict[str, Any]) -> str:
    """The report's document (as `document.document` makes it) as HTML; the same document gives the same bytes."""
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    sections = [
        _head(found),
        _what_to_do(found),
        _checks(found),
        _performance(found),
        _attribution(found),
        _inputs(found),
        _rows(found),
        _settings(found),
    ]
    title = html.escape(f"{found['verdict']}: {found['model']} ({found['stage']})")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(section for section in sections if section)
        + f'\n<script type="application/json" id="report">{_embedded(found)}</script>\n</body>\n</html>\n'
    )


def _head(found: dict[str, Any]) -> str:
    tone = ADVICE[found["verdict"]].tone
    window = found["window"]
    return (
        f'<h1><span class="verdict {tone}">{_text(found["verdict"])}</span> {_text(found["model"])}'
        f' <span class="soft">({_text(found["stage"])}, version {_text(found["modelVersion"])})</span></h1>\n'
        f'<p class="lead">{_text(found["sentence"])}</p>\n'
        f'<p class="soft">Monitor {_text(found["namespace"])}/{_text(found["monitor"])}. Window: after'
        f" {_text(window['start'])}, up to {_text(window['end'])}. {found['counts']['samples']} rows looked at,"
        f" {found['counts']['labelled']} with labels ({found['counts']['coverage']:.0%} of those old enough).</p>"
    )


def _what_to_do(found: dict[str, Any]) -> str:
    advice = ADVICE[found["verdict"]]
    return (
        "<h2>What follows</h2>\n<dl>"
        f"<dt>The operator, by default</dt><dd>{_text(advice.operator)}</dd>"
        f"<dt>A person</dt><dd>{_text(advice.person)}</dd></dl>\n"
        '<p class="soft">The monitor\'s own policy stands in its spec.actions and spec.guard; what was done, in its'
        " status.lastAction.</p>"
    )


def _checks(found: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{_text(check['name'])}</td><td>{_text(check['type'])}</td>"
        f'<td class="{_TONE[check["result"]]}">{_text(check["result"])}</td><td>{_text(check["message"])}</td>'
        f'<td class="n">{_text(check["alpha"])}</td></tr>'
        for check in found["checks"]
    )
    return _section(
        "Checks",
        f'<div class="wide"><table><tr><th>check</th><th>question</th><th>answer</th><th>why</th><th class="n">alpha'
        f"</th></tr>{rows}</table></div>",
    )


def _performance(found: dict[str, Any]) -> str:
    performance = found["performance"]
    if performance is None:
        return ""
    current, reference, drop = performance["current"], performance["reference"], performance["drop"]
    changed = found["changePoint"]
    better = "higher" if performance["higherIsBetter"] else "lower"
    text = (
        f"<p>{_text(performance['metric'])} ({better} is better): <b class='now'>{current['value']:.4g}</b> in the"
        f" window ({current['low']:.4g} to {current['high']:.4g}, {performance['rowsCurrent']} rows that the live"
        f" version answered itself) against <b class='then'>{reference['value']:.4g}</b> on the reference's held-out"
        f" rows ({reference['low']:.4g} to {reference['high']:.4g}, {performance['rowsReference']} rows)."
        f" Worse by {drop['value']:.4g} ({drop['low']:.4g} to {drop['high']:.4g}); p = {performance['pValue']:.3g}.</p>"
    )
    if changed is not None:
        text += f"<p>The loss rose at about <b>{_text(changed)}</b> (dashed line), or before the window if that is its"
        text += " first row.</p>"
    if performance["detections"]:
        listed = ", ".join(f"{_text(d['detector'])} at {_text(d['time'])}" for d in performance["detections"])
        text += f"<p>Sequential detectors on the loss (second opinions, they decide nothing): {listed}.</p>"
    return _section("Performance", text + metric_chart(performance, changed))


def _attribution(found: dict[str, Any]) -> str:
    split, challenger = found["attribution"], found["challenger"]
    if split is None:
        return ""
    overlap = f"A classifier tells the windows apart with AUC {split['domainAuc']:.3f}; the re-weighted reference"
    overlap += f" counts as {split['ess']:.0f} rows."
    if split["identifiable"]:
        text = f"<p>The drop, split into the part of the inputs and the part of the relation. {overlap}</p>"
        text += split_chart(split)
    else:
        text = "<p>The two windows do not overlap enough to split the drop into a part of the inputs and one of the"
        text += f" relation. {overlap}</p>"
    if challenger is not None:
        gain = challenger["gain"]
        text += (
            f"<p>A model refitted on parts of the window has {challenger['refitted']:.4g} on the other parts; the"
            f" served one has {challenger['served']:.4g} there: better by {gain['value']:.4g}"
            f" ({gain['low']:.4g} to {gain['high']:.4g}), p = {challenger['pValue']:.3g}.</p>"
        )
    return _section("Where the drop comes from", text)


def _inputs(found: dict[str, Any]) -> str:
    if not found["features"]:
        return ""
    rows = "".join(
        f"<tr><td>{_text(f['name'])}</td><td>{_text(f['kind'])}</td>"
        f'<td class="n">{_value(f["effect"])}</td><td class="n">{_nearest(f["baseline"])}</td>'
        f'<td class="n">{_value(f["correctedPValue"])}</td>'
        f'<td class="n">{f["missingReference"]:.1%} → {f["missingCurrent"]:.1%}</td>'
        f'<td class="{"bad" if f["drifted"] else "good"}">{"moved" if f["drifted"] else "no"}</td></tr>'
        for f in found["features"]
    )
    charts = "".join(
        f"<figure><figcaption>{_text(chart['name'])}</figcaption>{histogram_chart(chart)}</figure>"
        for chart in found["histograms"]
    )
    return _section(
        "Inputs",
        "<p class='soft'>Effect: Wasserstein distance in standard deviations of the reference, or Jensen-Shannon"
        " distance of categories. Nearest: distance to the nearest of the reference's own windows of this length, and"
        " in brackets how far those are from each other at most; where it was needed and the reference is long"
        " enough.</p>"
        '<div class="wide"><table><tr><th>input</th><th>kind</th><th class="n">effect</th><th class="n">nearest</th>'
        f'<th class="n">p, corrected</th><th class="n">missing</th><th>moved</th></tr>{rows}</table></div>'
        "<p>Bars: <b class='now'>window</b>; outline: <b class='then'>reference</b>. Shares of rows.</p>"
        f'<div class="charts">{charts}</div>',
    )


def _rows(found: dict[str, Any]) -> str:
    notes = "".join(f"<li>{_text(note)}</li>" for note in found["notes"])
    counts = "".join(
        f"<dt>{_text(name)}</dt><dd>{_value(value) if isinstance(value, float) else _text(str(value))}</dd>"
        for name, value in sorted(found["counts"].items())
    )
    return _section("Rows", (f"<ul>{notes}</ul>" if notes else "") + f"<dl>{counts}</dl>")


def _settings(found: dict[str, Any]) -> str:
    reference = found["reference"]
    libraries = ", ".join(f"{name} {version}" for name, version in sorted(found["libraries"].items()))
    return _section(
        "Reference",
        f"<dl><dt>what</dt><dd>{_text(reference.get('source', 'training data'))}</dd>"
        f"<dt>digest</dt><dd>{_text(reference.get('digest', found['artifact']))}</dd>"
        f"<dt>model</dt><dd>{_text(found['artifact'])}</dd><dt>rows</dt><dd>{reference['rows']}, of which"
        f" {reference['heldOut']} held out</dd><dt>task</dt><dd>{_text(reference['task'])} of"
        f" {_text(reference['label'])}</dd><dt>libraries</dt><dd>{_text(libraries)}</dd></dl>",
    )


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>\n{body}</section>"


def _text(value: str) -> str:
    return html.escape(value)


def _value(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _nearest(found: dict[str, float] | None) -> str:
    return "" if found is None else f"{found['nearest']:.3g} ({found['limit']:.3g})"


def _embedded(found: dict[str, Any]) -> str:
    """JSON that cannot end the element it stands in."""
    text = json.dumps(found, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
