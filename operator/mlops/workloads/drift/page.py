"""The report as one HTML file that needs nothing else: no script, no network, light and dark.

Everything that comes from data is escaped; the Content-Security-Policy allows this one style sheet, by its hash, and
nothing more, so that text which slipped through could still do nothing.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mlops.workloads.drift import following
from mlops.workloads.drift.charts import histogram_chart, metric_chart, split_chart
from mlops.workloads.drift.checks import CHECKS
from mlops.workloads.drift.checks.drift_check import Advice
from mlops.workloads.drift.page_style import STYLE
from mlops.workloads.drift.policy import in_words
from mlops.workloads.drift.timeline import timeline

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
# What a person does about two files, where that is something else.
_OF_FILES = {
    "Stable": "Nothing.",
    "Inconclusive": "Give more rows or labels, or lower --min-samples if these are all.",
    "DataDrift": "Look at the inputs that moved: is it a change of the world, or of the way a column is made?",
    "ConceptDrift": "Find out what changed in the world, or in how a column is made: rows from before it teach wrong.",
    "PerformanceDrop": "Look at rows with wrong answers, and at how the label is made.",
}
NO_INPUTS = "No input was compared: no check of type DataDrift was made."
_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z")
_CHANCE = "may be chance"
_NO_CHANCE = "is more than chance: the relation of inputs to target is not the one that the estimate takes for granted"
_TONE = {"Detected": "bad", "NotDetected": "good", "Inconclusive": "open"}


def page(found: dict[str, Any], history: Sequence[Mapping[str, Any]] = (), done: str = "") -> str:
    """The report's document (as `document.document` makes it) as HTML; the same document gives the same bytes.

    `history` are all checks of the monitor, the oldest first, and `done` what was done about this one, where they are
    known.
    """
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    sections = [
        _head(found),
        _what_to_do(found, done),
        _checks(found),
        _timeline(history),
        _performance(found),
        _estimated(found),
        _attribution(found),
        _calibration(found),
        following.sections(found),
        _inputs(found),
        _rows(found),
        _settings(found),
    ]
    title = html.escape(f"{found['verdict']}: {_subject(found)}")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(section for section in sections if section)
        + f'\n<script type="application/json" id="report">{_embedded(found)}</script>\n</body>\n</html>\n'
    )


def _subject(found: dict[str, Any]) -> str:
    sides = found.get("compared")
    return f"{found['model']} ({found['stage']})" if sides is None else f"{sides['current']}"


def _head(found: dict[str, Any]) -> str:
    tone = ADVICE[found["verdict"]].tone
    verdict = f'<h1><span class="verdict {tone}">{_text(found["verdict"])}</span>'
    sentence = f'<p class="lead">{_text(found["sentence"])}</p>\n'
    if (sides := found.get("compared")) is not None:
        times = found["window"]
        span = "" if times is None else f" Rows from {_text(times['start'])} to {_text(times['end'])}."
        return (
            f"{verdict} {_text(sides['current'])}</h1>\n{sentence}"
            f'<p class="soft">Compared with {_text(sides["reference"])} by <code>mlops check</code>.{span}'
            f" {found['counts']['samples']:,} rows looked at, {found['counts']['labelled']:,} with labels.</p>"
        )
    window = found["window"]
    return (
        f"{verdict} {_text(found['model'])}"
        f' <span class="soft">({_text(found["stage"])}, version {_text(found["modelVersion"])})</span></h1>\n{sentence}'
        f'<p class="soft">Monitor {_text(found["namespace"])}/{_text(found["monitor"])}. Window: after'
        f" {_text(window['start'])}, up to {_text(window['end'])}. {found['counts']['samples']} rows looked at,"
        f" {found['counts']['labelled']} with labels ({found['counts']['coverage']:.0%} of those old enough).</p>"
    )


def _what_to_do(found: dict[str, Any], done: str) -> str:
    advice = ADVICE[found["verdict"]]
    policy = found.get("policy")
    lines = []
    if policy is not None:
        lines.append(("The monitor", in_words(policy, found["verdict"], found.get("calibration"))))
    elif "compared" not in found:
        # Of a release that did not record the policy.
        lines.append(("The operator, by default", advice.operator))
    if done:
        lines.append(("Done", done))
    lines.append(("A person", person_of(found)))
    listed = "".join(f"<dt>{_text(term)}</dt><dd>{_text(text)}</dd>" for term, text in lines)
    return f"<h2>What follows</h2>\n<dl>{listed}</dl>"


def person_of(found: dict[str, Any]) -> str:
    """Return what a person should do about the verdict."""
    own = _OF_FILES.get(found["verdict"]) if "compared" in found else None
    return own or ADVICE[found["verdict"]].person


def _timeline(history: Sequence[Mapping[str, Any]]) -> str:
    body = timeline(history, {verdict: advice.tone for verdict, advice in ADVICE.items()})
    return _section("All checks", body) if body else ""


def _checks(found: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{_text(check['name'])}</td><td>{_text(check['type'])}</td>"
        f'<td class="{_TONE[check["result"]]}">{_text(check["result"])}</td><td>{_text(check["message"])}</td>'
        f'<td class="n" data-label="alpha">{_text(check["alpha"])}</td></tr>'
        for check in found["checks"]
    )
    return _section(
        "Checks",
        f'<div class="wide"><table class="cards"><tr><th>check</th><th>question</th><th>answer</th><th>why</th>'
        f'<th class="n">alpha</th></tr>{rows}</table></div>',
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


def _estimated(found: dict[str, Any]) -> str:
    # A report of an earlier release says nothing of it.
    estimated = found.get("estimatedPerformance")
    if estimated is None:
        return ""
    current, reference, drop = estimated["current"], estimated["reference"], estimated["drop"]
    better = "higher" if estimated["higherIsBetter"] else "lower"
    text = (
        f"<p>{_text(estimated['metric'])} ({better} is better), without labels ({_text(estimated['method'])},"
        f" {_text(estimated['learnt'])}): <b class='now'>{current['value']:.4g}</b> in the window"
        f" ({current['low']:.4g} to {current['high']:.4g}, {estimated['rowsCurrent']} rows that the live version"
        f" answered itself) against <b class='then'>{reference['value']:.4g}</b> measured on the reference's held-out"
        f" rows ({reference['low']:.4g} to {reference['high']:.4g}, {estimated['rowsReference']} rows). Worse by"
        f" {drop['value']:.4g} ({drop['low']:.4g} to {drop['high']:.4g}); p = {estimated['pValue']:.3g}.</p>"
        "<p class='soft'>An estimate takes for granted that the relation of inputs to target is still the one of the"
        " reference: it cannot see that this has moved.</p>"
    )
    return _section("Estimated performance", text + _measured_beside(estimated["measured"]))


def _measured_beside(beside: dict[str, Any] | None) -> str:
    if beside is None:
        return "<p>Too few rows have labels to hold the estimate against what was measured.</p>"
    measured, better = beside["measured"], beside["better"]
    chance = better["low"] <= 0.0 <= better["high"]
    return (
        f"<p>Held against the {beside['rows']} rows with labels: <b>{beside['estimate']:.4g}</b> estimated of them,"
        f" <b>{measured['value']:.4g}</b> measured ({measured['low']:.4g} to {measured['high']:.4g}). The model does"
        f" better than estimated by {better['value']:.4g} ({better['low']:.4g} to {better['high']:.4g}), which"
        f" {_CHANCE if chance else _NO_CHANCE}.</p>"
    )


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


def _calibration(found: dict[str, Any]) -> str:
    shift = found.get("calibration")
    if shift is None:
        return ""
    metric, kind = shift["metric"], "ROC area" if shift["metric"] == "brier" else "rank correlation"
    text = (
        f"<p>{'Calibration alone moved' if shift['alone'] else 'Not in calibration alone'}: ranking ({kind})"
        f" {shift['rankingCurrent']:.4g}, {shift['rankingReference']:.4g} on the reference; {metric}"
        f" {shift['current']:.4g} as served, {shift['restored']:.4g} with a map of the scores that keeps their order,"
        f" {shift['reference']:.4g} on the reference. The map was fitted to one half of {shift['rows']} rows since"
        f" {_text(shift['since'])} and measured on the other, by turns.</p>"
    )
    if shift["obstacle"] is not None:
        text += f"<p>The live model takes no map: {_text(shift['obstacle'])}.</p>"
    return _section("Which way the relation moved", text)


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
    left_out = "".join(
        f"<li>{_text(name)}: {_text(reason)}</li>" for name, reason in sorted((found.get("notCompared") or {}).items())
    )
    return _section(
        "Rows, and what was not checked",
        (f"<ul>{notes}</ul>" if notes else "")
        + ("" if found["features"] else f"<p>{NO_INPUTS}</p>")
        + (f"<p>Not compared:</p><ul>{left_out}</ul>" if left_out else "")
        + ("<p>All inputs were compared.</p>" if found["features"] and "notCompared" in found and not left_out else "")
        + f"<dl>{counts}</dl>",
    )


def _settings(found: dict[str, Any]) -> str:
    reference, sides = found["reference"], found.get("compared")
    libraries = ", ".join(f"{name} {version}" for name, version in sorted(found["libraries"].items()))
    if sides is None:
        lines = [
            ("what", reference.get("source", "training data")),
            ("digest", reference.get("digest", found["artifact"])),
            ("model", found["artifact"]),
        ]
    else:
        lines = [("from", sides["reference"])]
    lines.append(("rows", f"{reference['rows']}, of which {reference['heldOut']} held out"))
    if reference["label"]:
        lines.append(("task", f"{reference['task']} of {reference['label']}"))
    lines.append(("libraries", libraries))
    return _section("Reference", f"<dl>{''.join(f'<dt>{_text(a)}</dt><dd>{_text(b)}</dd>' for a, b in lines)}</dl>")


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>\n{body}</section>"


def _text(value: str) -> str:
    """Return a text from data as HTML; a timestamp is not broken at its hyphens."""
    return _TIMESTAMP.sub(r'<span class="t">\g<0></span>', html.escape(value))


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
