"""Looking at a state folder: get, describe, lineage, digest. None changes anything, also while a run is active."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from mlops.api import labels
from mlops.api.base import parse_time
from mlops.api.kinds import KINDS, parse
from mlops.api.model_version import ModelVersion
from mlops.api.training_run import TrainingRun
from mlops.cli.errors import UserError
from mlops.cli.progress import headline, ready
from mlops.cli.state import State
from mlops.cli.tables import age, aligned, kinds_of, rows
from mlops.cli.yaml_written import written
from mlops.engine.cluster import labels_of
from mlops.local.records import read_objects
from mlops.planning import history_entries, history_replay, model_history
from mlops.planning.plan import Manifest
from mlops.planning.serving.stopped import stopped
from mlops.planning.training.manifests import inputs_digest


def load(state: State) -> list[Manifest]:
    """Return every object in a state folder. Raises UserError if there is none.

    When no process holds the folder, however the last one ended, versions do not claim to serve.
    """
    if not state.exists:
        raise UserError(f"{state.folder}: there is no state here yet; `mlops run` makes it, --state names another")
    # Looked at first: a run that ends meanwhile is believed for what it was, one that begins shows at the next sync.
    in_use = state.in_use
    objects = _read(state)
    return objects if in_use else [stopped(manifest) for manifest in objects]


def _read(state: State) -> list[Manifest]:
    with reading(state):
        return read_objects(state.folder)


@contextmanager
def reading(state: State) -> Iterator[None]:
    """Tell a folder that holds something else. Raises UserError."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise UserError(f"{state.folder} holds no state of this program ({error}): --state names another") from error


def chosen_kinds(words: str) -> list[str]:
    """Return the kinds that a user's words mean. Raises UserError naming those that there are."""
    try:
        return kinds_of(words)
    except KeyError as error:
        names = ", ".join(f"{model.plural} ({', '.join(model.short_names)})" for model in KINDS.values())
        raise UserError(f"{error.args[0]!r} is no kind; there are {names}, and all") from error


def get(state: State, words: str, names: tuple[str, ...], namespace: str | None, output: str) -> str:
    """Return the objects as a table, wide table, JSON, YAML or names."""
    kinds = chosen_kinds(words)
    objects = load(state)
    chosen = [m for kind in kinds for m in _select(objects, kind, names, namespace)]
    if names:
        missing = set(names) - {m["metadata"]["name"] for m in chosen}
        if missing:
            raise UserError(f"not found: {', '.join(sorted(missing))}")
    if output in ("json", "yaml"):
        listed: Any = (
            chosen[0] if len(names) == 1 == len(chosen) else {"apiVersion": "v1", "kind": "List", "items": chosen}
        )
        return json.dumps(listed, indent=2) if output == "json" else written(listed)
    if output == "name":
        return "\n".join(f"{m['kind'].lower()}.mlops.dev/{m['metadata']['name']}" for m in chosen)
    now = clock_of(objects)
    parts = []
    for kind in kinds:
        of_kind = [m for m in chosen if m["kind"] == kind]
        if of_kind:
            parts.append(aligned(rows(kind, of_kind, now, wide=output == "wide")))
    return "\n\n".join(parts) or "no objects"


def describe(state: State, word: str, name: str, namespace: str | None) -> str:
    """Return all about one object: its YAML without noise, its conditions, its events."""
    kind, *others = chosen_kinds(word)
    if others:
        raise UserError("name one kind to describe")
    objects = load(state)
    found = _select(objects, kind, (name,), namespace)
    if not found:
        raise UserError(f"{kind} {name!r} not found")
    manifest, now = found[0], clock_of(objects)
    status = dict(manifest.get("status", {}))
    conditions = status.pop("conditions", [])
    metadata = {
        key: manifest["metadata"][key] for key in ("name", "namespace", "labels") if key in manifest["metadata"]
    }
    head = written({"kind": kind, "metadata": metadata, "spec": manifest["spec"]})
    parts = [head, written({"status": status})]
    table = [["CONDITION", "STATUS", "REASON", "SINCE", "MESSAGE"]]
    table += [
        [c["type"], c["status"], c["reason"], age(c.get("lastTransitionTime"), now), c.get("message", "")]
        for c in conditions
    ]
    parts.append(aligned(table))
    events = _events_of(objects, manifest)
    if events:
        parts.append(aligned([["EVENT", "REASON", "AGE", "NOTE"], *events]))
    return "\n\n".join(parts)


def lineage(state: State, model: str, at: datetime | None, namespace: str | None) -> str:
    """Return where every version of a model comes from and when it was live; with `at`, which one was live then."""
    objects = load(state)
    versions = [m for m in _select(objects, "ModelVersion", (), namespace) if m["spec"]["modelName"] == model]
    events = _events(_history(objects, namespace, model), versions)
    if not versions and not events:
        known = {m["spec"]["modelName"] for m in _select(objects, "ModelVersion", (), namespace)}
        recorded = (labels_of(m).get(labels.MODEL) for m in _history(objects, namespace))
        names = sorted(known | {name for name in recorded if name})
        raise UserError(f"no version of a model {model!r}; there are {', '.join(names) or 'no models'}")
    versions.sort(key=lambda m: m["spec"]["version"])
    if at is not None:
        return _live_at(events, at)
    parts = [*_deleted(events)]
    for version in versions:
        made_of = version.get("status", {}).get("lineage") or version["spec"].get("lineage", {})
        facts = [
            ["artifact", version.get("status", {}).get("artifact", "")],
            ["run", made_of.get("trainingRun", "")],
            ["dataset", f"{made_of.get('dataset', '')} version {made_of.get('datasetVersion', '')}"],
            ["dataset digest", made_of.get("datasetDigest", "")],
            ["inputs digest", made_of.get("inputsDigest", "")],
            ["environment", made_of.get("environmentDigest", "")],
            ["compared with", made_of.get("parentVersion", "nothing")],
        ]
        steps = [
            [step["time"], step["to"], step.get("reason", "")]
            for step in reversed(version.get("status", {}).get("transitions", []))
        ]
        title = f"{version['metadata']['name']}   {ready(version)[1]}   {headline(version)}"
        parts.append("\n".join([title, *(f"  {line}" for line in aligned(facts + steps_as_facts(steps)).splitlines())]))
    return "\n\n".join(parts)


def steps_as_facts(steps: list[list[str]]) -> list[list[str]]:
    """Return transitions as two-column rows."""
    return [[time, f"{to}: {reason}" if reason else to] for time, to, reason in steps]


def digest(documents: Iterable[Manifest], state: State, given: dict[str, str], environment: str) -> str:
    """Return the inputs digest of every run in `documents`, as `status.inputsDigest` will say it.

    The digest of a run's data is taken from `given` (by the Dataset's name) or from the state folder.
    """
    objects = _read(state) if state.exists else []
    table = [["RUN", "DATASET", "INPUTS DIGEST"]]
    for document in documents:
        run = parse(document)
        if isinstance(run, TrainingRun):
            ref = run.spec.dataset_ref
            data = given.get(ref.name) or _digest_of_data(objects, ref.name, ref.version)
            table.append([run.metadata.name, ref.name, inputs_digest(run.spec, data, environment)])
    if len(table) == 1:
        raise UserError("no TrainingRun in these manifests")
    return aligned(table)


def clock_of(objects: list[Manifest]) -> datetime:
    """Return the cluster's present timestamp: a replay may have left it in another century than this machine is in."""
    seen = [
        c["lastTransitionTime"]
        for m in objects
        for c in m.get("status", {}).get("conditions", ())
        if m["kind"] in KINDS
    ]
    seen += [m["status"]["lastCheckTime"] for m in objects if m.get("status", {}).get("lastCheckTime")]
    latest = max((parse_time(text) for text in seen if text), default=datetime.now(UTC))
    real = datetime.now(UTC)
    return latest if abs((real - latest).days) > 366 else real


def _select(objects: list[Manifest], kind: str, names: tuple[str, ...], namespace: str | None) -> list[Manifest]:
    return [
        m
        for m in objects
        if m["kind"] == kind
        and (not names or m["metadata"]["name"] in names)
        and (namespace is None or m["metadata"]["namespace"] == namespace)
    ]


def _events_of(objects: list[Manifest], manifest: Manifest) -> list[list[str]]:
    now = clock_of(objects)
    mine = [
        m for m in objects if m["kind"] == "Event" and m.get("regarding", {}).get("uid") == manifest["metadata"]["uid"]
    ]
    return [[e["type"], e["reason"], age(e.get("eventTime"), now), e.get("note", "")] for e in mine[-20:]]


def _history(objects: list[Manifest], namespace: str | None, model: str | None = None) -> list[Manifest]:
    return [
        m
        for m in _select(objects, "ConfigMap", (), namespace)
        if labels_of(m).get(labels.COMPONENT) == history_entries.HISTORY
        and model in (None, labels_of(m).get(labels.MODEL))
    ]


def _events(history: list[Manifest], versions: list[Manifest]) -> list[Manifest]:
    """Return what was recorded of a model, and what its versions say that is not on record yet, in order of time."""
    found = history_entries.entries(history)
    present = {m["metadata"]["uid"] for m in versions}
    found = [entry for entry in found if entry["event"] != history_entries.DELETED or entry["uid"] not in present]
    parsed = [version for version in map(parse, versions) if isinstance(version, ModelVersion)]
    told = (entry for version in parsed for entry in model_history.entries_of(version, version.status))
    return history_replay.in_time([*found, *model_history.unrecorded(history_entries.in_order(history), told)])


def _deleted(events: list[Manifest]) -> list[str]:
    """Return a part of the lineage for each version that is there no more."""
    gone = [entry["uid"] for entry in events if entry["event"] == history_entries.DELETED]
    return [_deleted_version([entry for entry in events if entry["uid"] == uid]) for uid in dict.fromkeys(gone)]


def _deleted_version(events: list[Manifest]) -> str:
    made = next((entry for entry in events if entry["event"] == history_entries.REGISTERED), events[0])
    facts = [
        ["artifact", made.get("artifact", "")],
        ["run", made.get("trainingRun", "")],
        ["dataset", f"{made.get('dataset', '')} version {made.get('datasetVersion', '')}"],
        ["dataset digest", made.get("datasetDigest", "")],
        ["inputs digest", made.get("inputsDigest", "")],
        ["environment", made.get("environmentDigest", "")],
        ["compared with", made.get("parentVersion", "nothing")],
    ]
    steps = [
        [
            entry["time"],
            entry["stage"] if entry["event"] == history_entries.LIVE else entry["event"],
            entry.get("reason", ""),
        ]
        for entry in events
        if entry is not made
    ]
    title = f"{made['version']}   Deleted   version {made['number']}"
    return "\n".join([title, *(f"  {line}" for line in aligned(facts + steps_as_facts(steps)).splitlines())])


def _live_at(events: list[Manifest], at: datetime) -> str:
    """Return the stages with the version that was live in each at `at`."""
    entered = history_replay.live_at(events, at)
    if not entered:
        return f"no version was live at {at:%Y-%m-%dT%H:%M:%SZ}"
    artifacts = {entry["uid"]: entry["artifact"] for entry in events if entry.get("artifact")}
    table = [["STAGE", "VERSION", "SINCE", "ARTIFACT"]]
    table += [
        [stage, entry["version"], f"{parse_time(entry['time']):%Y-%m-%dT%H:%M:%SZ}", artifacts.get(entry["uid"], "")]
        for stage, entry in entered.items()
    ]
    return aligned(table)


def _digest_of_data(objects: list[Manifest], name: str, version: int | None) -> str:
    found = _select(objects, "Dataset", (name,), None)
    history = found[0].get("status", {}).get("history", []) if found else []
    for entry in history:
        if version is None or entry["version"] == version:
            return str(entry["digest"])
    wanted = f"version {version} of " if version else ""
    raise UserError(
        f"{wanted}Dataset {name!r} is not in the state folder: run it first, or give --dataset-digest {name}=sha256:…"
    )
