"""What follows from a check beside its verdict, for the report, the page and the operator: older versions that were
measured, and rows to label."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from mlops.api.calibration import MovedCalibration
from mlops.api.drift_monitor import OlderVersion
from mlops.workloads.drift.findings import CalibrationShift
from mlops.workloads.drift.labelling import FILE, Request
from mlops.workloads.drift.older import MeasuredOlder, OlderVersions

# Characters of what the operator is told of versions that were not measured.
_LONGEST = 300


def beside(older: OlderVersions | None, asked: Request | None) -> dict[str, Any]:
    """Return what the document says beside the verdict; nothing where nothing was asked."""
    found: dict[str, Any] = {}
    if older is not None:
        found["older"] = {
            "metric": older.metric,
            "live": older.live,
            "rows": older.rows,
            "minDrop": older.min_drop,
            "alpha": older.alpha,
            "better": older.better.version if older.better else None,
            "measured": [_plain(each) for each in older.measured],
            "notMeasured": list(older.others),
        }
    if asked is not None:
        found["labelRequest"] = {
            "rows": asked.rows.height,
            "askedBefore": asked.asked_before,
            "needed": asked.needed,
            "file": FILE,
        }
    return found


def _plain(each: MeasuredOlder) -> dict[str, Any]:
    gain = {"value": each.gain.value, "low": each.gain.low, "high": each.gain.high}
    return {
        "version": each.version,
        "artifact": each.artifact,
        "value": each.older,
        "gain": gain,
        "pValue": each.p_value,
    }


def told(older: OlderVersions | None, asked: Request | None, against: str) -> Mapping[str, Any]:
    """Return the fields of the operator's report: the best older version, why others were not measured, rows asked."""
    fields: dict[str, Any] = {"labels_wanted": asked.told() if asked else None}
    if older is None:
        return fields
    if older.others:
        text = "not measured: " + "; ".join(older.others)
        fields["not_measured"] = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    if older.measured:
        fields["older"] = _best(older, older.measured[0], against)
    return fields


def _best(older: OlderVersions, best: MeasuredOlder, against: str) -> OlderVersion:
    return OlderVersion(
        version=best.version,
        artifact=best.artifact,
        against=against,
        metric=older.metric,
        live=_decimal(older.live),
        older=_decimal(best.older),
        gain=_decimal(best.gain.value),
        low=_decimal(best.gain.low),
        high=_decimal(best.gain.high),
        p_value=_decimal(best.p_value),
        better=older.better is not None,
    )


def calibration_of(shift: CalibrationShift | None, artifact: str) -> MovedCalibration | None:
    """Return which way the relation moved, for the operator; `artifact` is the model that was judged."""
    if shift is None:
        return None
    return MovedCalibration(
        alone=shift.alone,
        artifact=artifact,
        metric=shift.metric,
        reference=_decimal(shift.reference),
        current=_decimal(shift.current),
        restored=_decimal(shift.restored),
        ranking_reference=_decimal(shift.ranking_reference),
        ranking_current=_decimal(shift.ranking_current),
        since=shift.since,
        obstacle=shift.obstacle,
    )


def sections(found: Mapping[str, Any]) -> str:
    """Return what the page says of both."""
    return "".join(filter(None, (_older(found.get("older")), _labels(found.get("labelRequest")))))


def _older(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    rows = "".join(
        f"<tr><td>{html.escape(each['version'])}</td><td class='n'>{each['value']:.4g}</td>"
        f"<td class='n'>{each['gain']['value']:.4g} ({each['gain']['low']:.4g} to {each['gain']['high']:.4g})</td>"
        f"<td class='n'>{each['pValue']:.3g}</td></tr>"
        for each in found["measured"]
    )
    table = (
        f"<div class='wide'><table><tr><th>version</th><th class='n'>{html.escape(found['metric'])}</th>"
        f"<th class='n'>better by</th><th class='n'>p, corrected</th></tr>{rows}</table></div>"
    )
    others = "".join(f"<li>{html.escape(each)}</li>" for each in found["notMeasured"])
    better = f"{html.escape(found['better'])} is better" if found["better"] else "None is shown to be better"
    return (
        f"<section><h2>Older versions</h2>\n<p>{better}, by more than {found['minDrop']:.3g} at alpha"
        f" {found['alpha']:g}: on the {found['rows']} labelled rows that the live version has answered, where it has"
        f" {found['live']:.4g}.</p>{table if rows else ''}{f'<ul>{others}</ul>' if others else ''}</section>"
    )


def _labels(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    return (
        f"<section><h2>Rows to label</h2>\n<p>{found['rows']} rows stand in {html.escape(found['file'])} beside this"
        f" report; {found['askedBefore']} of the window were asked for before. To be judged, it lacks"
        f" {found['needed']} labels. The rows stand for the window, and so do the first ones of them.</p>"
        "</section>"
    )


def _decimal(value: float) -> str:
    return f"{value:.4g}"
