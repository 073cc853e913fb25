"""The report as one JSON document: everything that the verdict rests on."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import polars as pl

from mlops.api.base import format_time
from mlops.api.drift_task import DriftTask
from mlops.api.label_sources import LabelSourceResult
from mlops.workloads.drift.findings import Decision, Shift
from mlops.workloads.drift.inputs import counts
from mlops.workloads.drift.reference import Reference
from mlops.workloads.drift.window import Window
from mlops.workloads.floor.records.layout import INPUT

FORMAT = "mlops.dev/drift-report/v1"
_LIBRARIES = ("numpy", "polars", "scikit-learn", "threadpoolctl")
_HISTOGRAMS = 12
_BINS = 20
_CATEGORIES = 12


def document(
    task: DriftTask,
    reference: Reference,
    window: Window,
    decision: Decision,
    label_sources: Sequence[LabelSourceResult] = (),
) -> dict[str, Any]:
    """Counts, checks with statistics and limits, features, histograms, metric over time, attribution, versions."""
    return {
        "format": FORMAT,
        "namespace": task.namespace,
        "monitor": task.monitor,
        "model": task.target.model_name,
        "stage": task.target.stage,
        "modelVersion": task.model_version,
        "artifact": task.artifact,
        "window": {"start": format_time(window.span.start), "end": format_time(window.span.end)},
        "judgedUntil": format_time(window.span.judged_until),
        "settings": {
            "window": task.window.dump(),
            "labels": task.labels.dump(),
        },
        "policy": None if task.policy is None else task.policy.dump(),
        "notCompared": dict(reference.not_compared),
        "labelSources": [each.dump() for each in label_sources],
        **measured(reference, window, decision),
    }


def measured(reference: Reference, window: Window, decision: Decision) -> dict[str, Any]:
    """Return what the verdict rests on, whatever was compared."""
    return {
        "verdict": decision.verdict,
        "sentence": decision.sentence,
        "counts": {**_plain(window.counts), "coverage": window.counts.coverage},
        "notes": list(decision.notes),
        "checks": [
            {
                **finding.check.dump(),
                "result": finding.result,
                "message": finding.message,
                "segment": _plain(finding.segment),
                "numbers": _plain(dict(finding.numbers)),
            }
            for finding in decision.findings
        ],
        "reference": {
            "rows": reference.frame.height,
            "heldOut": reference.held_out.height,
            "task": reference.task,
            "classes": list(reference.classes),
            "label": reference.label,
        },
        "features": [_feature(shift) for shift in decision.shifts],
        "histograms": [
            histogram(shift, reference, window)
            for shift in decision.shifts[:_HISTOGRAMS]
            if shift.feature.effect is not None
        ],
        "performance": _plain(decision.performance),
        "estimatedPerformance": _plain(decision.estimated),
        "attribution": _plain(decision.split),
        "challenger": _plain(decision.challenge),
        "calibration": _plain(decision.calibration),
        "changePoint": decision.change_point,
        "libraries": {name: version(name) for name in _LIBRARIES},
    }


def to_bytes(found: dict[str, Any]) -> bytes:
    """Canonical JSON with a newline at the end."""
    return (json.dumps(found, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode()


def histogram(shift: Shift, reference: Reference, window: Window) -> dict[str, Any]:
    """Shares per bin, or per category, on both sides; bins span the central 98 % of both, the outer two are open."""
    name = shift.feature.name
    before, after = (frame[INPUT + name].drop_nulls() for frame in (reference.frame, window.frame))
    if shift.feature.kind == "categorical":
        r, c = counts(before), counts(after)
        common = sorted(
            set(r) | set(c), key=lambda value: (-(r.get(value, 0) / len(before) + c.get(value, 0) / len(after)), value)
        )
        shown = common[:_CATEGORIES]
        bars = [
            {"label": value, **_shares(r.get(value, 0), len(before), c.get(value, 0), len(after))} for value in shown
        ]
        if rest := common[_CATEGORIES:]:
            n, m = sum(r.get(v, 0) for v in rest), sum(c.get(v, 0) for v in rest)
            bars.append({"label": f"{len(rest)} others", **_shares(n, len(before), m, len(after))})
        return {"name": name, "kind": "categorical", "bars": bars}
    edges = _edges(before, after)
    n_before, n_after = (np.histogram(np.clip(s.to_numpy(), edges[0], edges[-1]), edges)[0] for s in (before, after))
    bars = [
        {
            "low": float(edges[k]),
            "high": float(edges[k + 1]),
            **_shares(int(n_before[k]), len(before), int(n_after[k]), len(after)),
        }
        for k in range(len(edges) - 1)
    ]
    return {"name": name, "kind": "numeric", "bars": bars}


def _edges(before: pl.Series, after: pl.Series) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    # In quarters, which is exact: the distance of the largest numbers is then a number, too.
    quarters = [np.ldexp(series.to_numpy(), -2) for series in (before, after)]
    low = 4 * min(float(np.quantile(values, 0.01)) for values in quarters)
    high = 4 * max(float(np.quantile(values, 0.99)) for values in quarters)
    if not high > low:
        low, high = low - 0.5, high + 0.5
    return 4 * np.linspace(low / 4, high / 4, _BINS + 1)


def _shares(n: int, rows_n: int, m: int, rows_m: int) -> dict[str, float]:
    return {"reference": n / rows_n, "current": m / rows_m}


def _feature(shift: Shift) -> dict[str, Any]:
    return {
        **_plain(shift.feature),
        "correctedPValue": shift.p_value,
        "baseline": _plain(shift.baseline),
        "drifted": shift.drifted,
    }


def _plain(value: Any) -> Any:
    """Dataclasses and mappings as JSON values with camelCase keys; numbers that JSON lacks become null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {_camel(f.name): _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return _number(value) if isinstance(value, float) else value


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
