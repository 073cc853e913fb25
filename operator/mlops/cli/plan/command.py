"""`mlops plan`: the manifests, the state folder and the scenario brought together, and the plan in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from mlops.api.kinds import InvalidObject
from mlops.cli import manifests, scenario
from mlops.cli.errors import UserError
from mlops.cli.inspect import reading
from mlops.cli.plan.rehearsal import rehearse
from mlops.cli.plan.steps import News, PlannedStep, Steps
from mlops.cli.progress import ready, short_kind
from mlops.cli.put.local import place_of
from mlops.cli.replay import Stream
from mlops.cli.run import RunFolders
from mlops.cli.settings import local_settings
from mlops.cli.sources import Sources, uris_of
from mlops.cli.state import State
from mlops.cli.tables import aligned
from mlops.local.clock import RealClock
from mlops.local.records import Record, read_records
from mlops.planning.plan import Key, Manifest

# Sources of which a run tells without reading the rows whether they are as before: by their files, or their digest.
_TOLD_APART = {"s3", "http", "captured"}


def plan(paths: tuple[str, ...], state: State, named: Path | None, *, replays: bool) -> list[PlannedStep]:
    """Return what `mlops run` would do with the manifests in a state folder. Raises UserError as that does."""
    given = manifests.read(paths, words_are_texts=True)
    setting = scenario.read(named) if named else scenario.beside(paths)
    with reading(state):
        records, stood_at = read_records(state.folder)
    stream = Stream.read(setting.folder, setting.replay) if setting and setting.replay and replays else None
    replay = RunFolders(state.replay, stream) if stream else None
    now = _timestamp(replay.clock if replay else None, stood_at)
    applied = {Key(*document.key): document.manifest for document in given.documents}
    news = _news(records, applied, setting, state)
    settings = local_settings(state, {})
    try:
        first = rehearse(records, now, settings, applied, asked=news)
        known = [key for key in applied if key.kind == "Dataset" and _has_version(first.before.get(key))]
        same = rehearse(records, now, settings, applied, as_before=known)
    except InvalidObject as error:
        place = next((one.place for one in given.documents if one.key[::2] == (error.kind, error.name)), "")
        raise UserError(f"{place}: {error}" if place else str(error)) from error
    steps = Steps(first, same, news).all(list(applied))
    return [*steps, *_of_replay(stream, replay)]


def _timestamp(begins: datetime | None, stood_at: datetime | None) -> datetime:
    """Return when the run would take place: a replay's clock goes on where it stood."""
    if begins is None:
        return RealClock().now()
    return max(begins, stood_at) if stood_at else begins


def _has_version(dataset: Manifest | None) -> bool:
    return bool((dataset or {}).get("status", {}).get("version"))


def _news(
    records: list[Record], applied: Mapping[Key, Manifest], setting: scenario.Scenario | None, state: State
) -> dict[Key, News]:
    """Return the Datasets whose source `mlops run` would have synced again, and why."""
    present = {_key(record.manifest): record.manifest for record in records}
    sources = Sources(state.sources, state.buckets)
    delivered = {}
    for put in setting.put if setting else ():
        file = (setting.folder if setting else Path()) / put.file
        place, is_new = place_of(file, put.uri, state)
        if is_new:
            delivered[f"s3://{place.relative_to(state.buckets).as_posix()}"] = file
    found = {}
    for key, manifest in applied.items():
        if key.kind != "Dataset" or (before := present.get(key)) is None:
            continue
        uris = uris_of(manifest["spec"]["source"])
        files = [str(file) for place, file in delivered.items() if any(place.startswith(uri) for uri in uris)]
        status, reason, message = ready(before)
        if files:
            found[key] = News(f"{', '.join(files)} is delivered")
        elif not _TOLD_APART & manifest["spec"]["source"].keys():
            found[key] = News("only a sync can tell whether its source holds other rows")
        elif uris and sources.changed((key.kind, key.namespace, key.name), uris):
            found[key] = News(f"{', '.join(uris)} holds other files than at the last run")
        elif status == "False":
            found[key] = News(f"its last sync failed: {reason}: {message}")
    return found


def _key(manifest: Manifest) -> Key:
    metadata = manifest["metadata"]
    return Key(manifest["kind"], metadata.get("namespace", ""), metadata["name"])


def _of_replay(stream: Stream | None, place: RunFolders | None) -> list[PlannedStep]:
    if stream is None or place is None or place.over:
        return []
    left = len(stream) - place.position.rows
    model = stream.replay.model
    because = (
        f"{left:,} of {len(stream):,} rows are sent to {model}; checks and what they lead to depend on the answers"
    )
    return [PlannedStep("Replay", "", Path(stream.replay.file).name, "send", because)]


def as_text(steps: list[PlannedStep]) -> str:
    """Return the plan as a table, and its sum in a line."""
    table = [["OBJECT", "ACTION", "BECAUSE"]]
    for one in steps:
        kind = short_kind(one.kind) if one.kind != "Replay" else "replay"
        place = f"{one.namespace}/" if one.namespace not in ("", "default") else ""
        table.append([f"{kind}/{place}{one.name}", one.action, one.because])
    work = [one for one in steps if one.is_work]
    total = f"{len(work)} of {len(steps)} would be worked on" if work else "nothing to do: all of this is there"
    return f"{aligned(table)}\n{total}"


def as_json(steps: list[PlannedStep]) -> str:
    """Return the plan as JSON: a list of objects."""
    return json.dumps([asdict(one) for one in steps], indent=2)
