"""One policy at work on recorded history: `mlops run` itself, in a folder of its own, on a virtual clock."""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl

from mlops.api import labels
from mlops.api.drift_monitor import Labels
from mlops.cli.errors import UserError
from mlops.cli.inspect import load
from mlops.cli.interruption import Output
from mlops.cli.run import RunOptions, run
from mlops.cli.simulate.history import History, copy_earlier
from mlops.cli.simulate.policies import Rehearsable
from mlops.cli.state import State
from mlops.cli.summary import of_kind
from mlops.engine.cluster import labels_of
from mlops.local.runtime import LocalRuntime
from mlops.planning.plan import Manifest
from mlops.statistics.metrics import evaluate
from mlops.store.address import open_store
from mlops.workloads.drift.label_sources import LabelPlaces
from mlops.workloads.drift.performance import MIN_ROWS
from mlops.workloads.drift.reference import Reference, load_reference
from mlops.workloads.drift.window import JudgedSpan, load_window
from mlops.workloads.floor.records.layout import PREDICTION, captures_prefix, feedback_prefix
from mlops.workloads.floor.samples import sample_of

PARTS = 4
_STREAM = "stream.parquet"
_INTERRUPTED = 128


@dataclass(frozen=True)
class RehearsedPolicy:
    """What a policy did, and how right the answers were that were given meanwhile.

    `value` is the metric of all labelled rows, each answered by the version that was live then, and `parts` that of
    consecutive quarters of them; None where it has none.
    """

    name: str
    checks: tuple[datetime, ...]
    verdicts: Mapping[str, int]
    runs: int
    versions: int
    metric: str
    value: float | None
    parts: tuple[float | None, ...]
    rows: int
    labelled: int
    # Why the last check came to no verdict, if it did not.
    fault: str | None = None


@dataclass
class _Switch:
    """Changes the monitor's spec before the checks for which a policy has another one; knows what checks there were."""

    monitor: Manifest
    policy: Rehearsable
    checks: list[datetime] = field(default_factory=list)

    def before(self, runtime: LocalRuntime, tick: datetime) -> None:
        self.checks.append(tick)
        if (spec := self.policy.switched.get(tick)) is not None:
            runtime.apply({**self.monitor, "spec": dict(spec)})


def rehearse(
    policy: Rehearsable,
    history: History,
    monitor: Manifest,
    others: Sequence[Manifest],
    source: State,
    *,
    metric: str | None,
    timeout: float,
) -> RehearsedPolicy:
    """Let the loop run on `history` under a policy, with the manifests of data and template in `others`.

    Raises UserError if no model came to serve, and SystemExit if it was interrupted.
    """
    with tempfile.TemporaryDirectory(prefix="mlops-simulate-") as place:
        folder, state = Path(place) / "manifests", State(Path(place) / "state")
        folder.mkdir()
        state.folder.mkdir()
        if source.buckets.is_dir():
            # They are read only.
            state.buckets.symlink_to(source.buckets.resolve())
        copy_earlier(history, source, state)
        for at, document in enumerate([*others, {**monitor, "spec": dict(policy.spec)}]):
            (folder / f"{at}.json").write_text(json.dumps(document))
        history.frame.write_parquet(folder / _STREAM)
        (folder / "scenario.toml").write_text(_scenario(history))
        switch, said = _Switch(monitor, policy), io.StringIO()
        options = RunOptions(paths=(str(folder),), state=state, plain=True, timeout=timeout, before_check=switch.before)
        code = run(options, Output(file=said))
        if code >= _INTERRUPTED:
            raise SystemExit(code)
        return _outcome(policy, history, state, tuple(switch.checks), metric, said.getvalue())


def _scenario(history: History) -> str:
    replay = history.replay(_STREAM)
    lines = [f"{name.replace('_', '-')} = {json.dumps(value)}" for name, value in replay.model_dump().items() if value]
    return "\n".join(["[replay]", *lines]) + "\n"


def _outcome(
    policy: Rehearsable, history: History, state: State, checks: tuple[datetime, ...], metric: str | None, said: str
) -> RehearsedPolicy:
    objects = [m for m in load(state) if m["metadata"]["namespace"] == history.namespace]
    if not state.replay.exists() or not json.loads(state.replay.read_text())["over"]:
        last = " ".join(said.split())[-600:]
        raise UserError(f"the rehearsal of {policy.name!r} did not come to its end: {last}")
    versions = [
        m
        for m in of_kind(objects, "ModelVersion")
        if m["spec"]["modelName"] == history.target.model_name and m["spec"].get("artifact")
    ]
    monitor = of_kind(objects, "DriftMonitor")[0]
    verdicts = Counter(check["verdict"] for check in monitor.get("status", {}).get("history", ()))
    runs = sum(labels.MONITOR in labels_of(m) for m in of_kind(objects, "TrainingRun"))
    rows, name, value, parts = _judged(history, state, str(versions[0]["spec"]["artifact"]["digest"]), metric)
    return RehearsedPolicy(
        policy.name,
        checks,
        dict(verdicts),
        runs,
        len(versions) - 1,
        name,
        value,
        parts,
        history.frame.height,
        rows.height,
        _fault(monitor),
    )


def _fault(monitor: Manifest) -> str | None:
    conditions = monitor.get("status", {}).get("conditions", ())
    return next((one["message"] for one in conditions if (one["type"], one["status"]) == ("Checked", "False")), None)


def _judged(
    history: History, state: State, artifact: str, metric: str | None
) -> tuple[pl.DataFrame, str, float | None, tuple[float | None, ...]]:
    """Return the labelled rows in time order and the metric of them, of all and by quarter."""
    store = open_store(state.store.resolve().as_uri(), os.environ)
    reference = load_reference(store, artifact)
    place = (history.namespace, history.target.model_name, history.target.stage)
    window = load_window(
        store,
        reference,
        JudgedSpan(history.since, history.end, history.end),
        requests=captures_prefix(*place),
        labels=LabelPlaces(Labels(), feedback_prefix(*place)),
        live=artifact,
        max_samples=10_000_000,
    )
    rows = window.labelled.drop_nulls([PREDICTION])
    name = metric or ("roc_auc" if reference.classes else "mae")
    edges = [rows.height * part // PARTS for part in range(PARTS + 1)]
    quarters = tuple(_value(name, rows[first:last], reference) for first, last in pairwise(edges))
    return rows, name, _value(name, rows, reference), quarters


def _value(metric: str, rows: pl.DataFrame, reference: Reference) -> float | None:
    if rows.height < MIN_ROWS:
        return None
    try:
        return float(evaluate(metric, sample_of(metric, rows, reference.classes, reference.costs)))
    except ValueError:
        return None


def plain(value: Any) -> Any:
    """Return an outcome's value as JSON has it."""
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
