"""`mlops simulate`: a policy rehearsed on recorded history, beside never, always and a coin flip."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from mlops.api.drift_monitor import DriftMonitor
from mlops.api.kinds import parse
from mlops.cli import manifests
from mlops.cli.errors import UserError
from mlops.cli.inspect import load
from mlops.cli.simulate import policies
from mlops.cli.simulate.history import History, recorded
from mlops.cli.simulate.limits import notes_on_faults, notes_on_reference, refuse_undated, refuse_without_costs
from mlops.cli.simulate.policies import Rehearsable
from mlops.cli.simulate.rehearsal import RehearsedPolicy, plain, rehearse
from mlops.cli.state import State
from mlops.cli.summary import of_kind
from mlops.cli.tables import aligned
from mlops.cli.terminal import note, show
from mlops.planning.monitor.progress import LONGEST_HISTORY
from mlops.planning.plan import Manifest

_READ_HERE = ("s3", "captured")
_FORMAT = "mlops.dev/rehearsal/v1"


@dataclass(frozen=True)
class SimulateOptions:
    """The options of `mlops simulate`."""

    paths: tuple[str, ...]
    state: State
    since: str | None = None
    against: tuple[str, ...] = ("never", "always", "coin")
    coins: int = 3
    seed: int = 0
    metric: str | None = None
    timeout: float = 3600
    output: str = "text"


def simulate(options: SimulateOptions) -> None:
    """Rehearse and print. Raises UserError."""
    monitor = monitor_in(options.paths)
    parsed = parse(monitor)
    assert isinstance(parsed, DriftMonitor)
    metadata = parsed.metadata
    refuse_undated(parsed.spec)
    others, notes = _others(parsed, load(options.state))
    history = recorded(options.state, metadata.namespace, parsed.spec.target_ref, options.since)
    notes += [*notes_on_reference(parsed.spec, history), *notes_on_faults(parsed.spec)]
    metric = options.metric or next((one.metric for one in parsed.spec.checks if one.metric), None)
    refuse_without_costs(metric, others[1])
    spec: Mapping[str, Any] = monitor["spec"]
    trains = {**spec, "trainingRunRef": {"name": others[1]["metadata"]["name"]}}

    def one(policy: Rehearsable) -> RehearsedPolicy:
        begun = time.monotonic()
        note(f"{policy.name}: {history.frame.height:,} rows ...")
        found = rehearse(policy, history, monitor, others, options.state, metric=metric, timeout=options.timeout)
        note(f"{policy.name}: {len(found.checks)} checks, {found.runs} runs, {time.monotonic() - begun:.0f} s")
        return found

    outcomes = [one(policies.as_written(spec))]
    outcomes += [one(make(trains)) for make in (policies.never, policies.always) if make.__name__ in options.against]
    asked = outcomes[0]
    if "coin" in options.against and asked.runs:
        for seed in range(options.seed, options.seed + options.coins):
            outcomes.append(one(policies.coin(trains, asked.checks, asked.runs, seed)))
    elif "coin" in options.against:
        notes.append("The policy made no run, and so would a coin that makes as many: see never.")
    notes += failed_checks(outcomes)
    if options.output == "json":
        show(json.dumps(_document(history, outcomes, notes), indent=1, sort_keys=True))
        return
    for line in _lines(history, outcomes, notes):
        show(line)


def failed_checks(outcomes: Sequence[RehearsedPolicy]) -> Iterator[str]:
    """Yield which policies had checks that came to no verdict, of the newest hundred, which are counted."""
    for one in outcomes:
        missing = min(len(one.checks), LONGEST_HISTORY) - sum(one.verdicts.values())
        if missing > 0:
            why = f": {one.fault}" if one.fault else ""
            yield f"{one.name}: {missing} of the {min(len(one.checks), LONGEST_HISTORY)} newest checks failed{why}"


def monitor_in(paths: Sequence[str]) -> Manifest:
    """Return the one DriftMonitor of the files. Raises UserError if there is none, or more than one."""
    found = [one.manifest for one in manifests.read(paths).documents if one.key[0] == "DriftMonitor"]
    if len(found) != 1:
        raise UserError(f"-f holds {len(found)} DriftMonitors, and it takes one: name a file with one")
    return found[0]


def _others(monitor: DriftMonitor, objects: Sequence[Manifest]) -> tuple[list[Manifest], list[str]]:
    """Return the template of the monitor and the Dataset that it trains on, as they were applied; and notes.

    Raises UserError for what is not there, and for a source that a rehearsal cannot read.
    """
    namespace = monitor.metadata.namespace
    wanted = monitor.spec.training_run_ref
    model = monitor.spec.target_ref.model_name
    templates = [m for m in of_kind(objects, "TrainingRun") if m["metadata"]["namespace"] == namespace]
    if wanted is not None:
        found = [m for m in templates if m["metadata"]["name"] == wanted.name]
        missing = f"TrainingRun {wanted.name!r} of spec.trainingRunRef"
    else:
        found = [
            m
            for m in templates
            if (m["spec"].get("register") or {}).get("modelName") == model and not m["metadata"].get("ownerReferences")
        ]
        missing = f"a TrainingRun that registers model {model!r}"
    if not found:
        raise UserError(f"{missing} is not in the state folder: a rehearsal trains by it; --state names another folder")
    name = found[0]["spec"]["datasetRef"]["name"]
    datasets = [
        m
        for m in of_kind(objects, "Dataset")
        if (m["metadata"]["namespace"], m["metadata"]["name"]) == (namespace, name)
    ]
    if not datasets:
        raise UserError(f"Dataset {name!r} of template {found[0]['metadata']['name']!r} is not in the state folder")
    source = datasets[0]["spec"]["source"]
    if others := sorted(set(source) - set(_READ_HERE)):
        raise UserError(
            f"Dataset {name!r} reads {others[0]}: a rehearsal reads s3 and captured sources only: its history has no "
            "date of delivery here"
        )
    personal = datasets[0]["spec"].get("governance") or {}
    if hidden := sorted(set(personal.get("pii") or ()) - set(personal.get("piiInCaptures") or ())):
        fields = {one["name"]: one.get("role", "feature") for one in datasets[0]["spec"]["fields"]}
        if asked := [one for one in hidden if fields.get(one) in ("feature", "input")]:
            raise UserError(
                f"input {asked[0]!r} of Dataset {name!r} is personal and not recorded (governance.piiInCaptures): what "
                "was asked cannot be asked again"
            )
    notes = ["Every policy begins with the model that the template trains where nothing is live yet."]
    if "captured" in source:
        notes.append("That model has seen no captured row from before the beginning; those of later runs have.")
    if "s3" in source or (source.get("captured") or {}).get("history"):
        notes.append(
            f"Files of Dataset {name} are taken as delivered before the beginning: a bucket does not say since when."
        )
    return [_as_applied(datasets[0]), _as_applied(found[0])], notes


def _as_applied(manifest: Manifest) -> Manifest:
    metadata = manifest["metadata"]
    return {
        "apiVersion": manifest["apiVersion"],
        "kind": manifest["kind"],
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
        "spec": manifest["spec"],
    }


def _lines(history: History, outcomes: Sequence[RehearsedPolicy], notes: Sequence[str]) -> Iterator[str]:
    first = outcomes[0]
    target = history.target
    yield (
        f"{target.model_name} ({target.stage}): {history.frame.height:,} rows from {history.since:%Y-%m-%d} to "
        f"{history.end:%Y-%m-%d}, {first.labelled:,} with labels"
    )
    yield ""
    table = [["POLICY", "CHECKS", "RUNS", "NEW VERSIONS", first.metric.upper(), "BY QUARTER", "VERDICTS"]]
    table += [_row(one) for one in outcomes]
    coins = [one for one in outcomes if one.name.startswith("coin")]
    values = [one.value for one in coins if one.value is not None]
    if len(values) > 1:
        table.append([f"mean of {len(values)} coins", "", "", "", f"{fmean(values):.4f}", "", ""])
    yield aligned(table)
    yield ""
    yield from notes


def _row(one: RehearsedPolicy) -> list[str]:
    return [
        one.name,
        str(len(one.checks)),
        str(one.runs),
        str(one.versions),
        _number(one.value),
        " ".join(map(_number, one.parts)),
        ", ".join(f"{verdict} {count}" for verdict, count in sorted(one.verdicts.items())),
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _document(history: History, outcomes: Sequence[RehearsedPolicy], notes: Sequence[str]) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "model": history.target.model_name,
        "stage": history.target.stage,
        "since": plain(history.since),
        "until": plain(history.end),
        "rows": history.frame.height,
        "labelDelaySeconds": int(history.label_delay.total_seconds()),
        "policies": [
            {name: [*map(plain, value)] if isinstance(value, tuple) else value for name, value in asdict(one).items()}
            for one in outcomes
        ],
        "notes": list(notes),
    }
