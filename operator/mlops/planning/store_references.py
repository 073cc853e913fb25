"""What of the store is needed: the artifacts and captures that objects, and the recent record of models, name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple

from mlops.api import labels
from mlops.api.base import parse_time
from mlops.planning.history_entries import HISTORY, Entry, known_entry, lines_of
from mlops.planning.plan import Manifest

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


class CapturedModel(NamedTuple):
    """Whose requests and labels lie in the store."""

    namespace: str
    name: str


class Needed(NamedTuple):
    """Digests that something names, and models that something names."""

    artifacts: frozenset[str]
    models: frozenset[CapturedModel]


def needed(objects: Iterable[Manifest], since: datetime) -> Needed:
    """Return what may not be removed from the store.

    That is each digest in whatever object, wherever it stands there: a spec, a status, an annotation, the task of a
    Job (a task of more than 100 kB stands in two variables, and may have one cut in two: what a Job works on, statuses
    name as well). Of a model's record it is only the artifacts of versions of which something happened after `since`,
    or of which nothing can be read. So are models: those that an object names, and those with such a version.
    """
    artifacts: set[str] = set()
    models: set[CapturedModel] = set()
    records: list[Manifest] = []
    for manifest in objects:
        if _is_record(manifest):
            records.append(manifest)
            continue
        artifacts.update(_DIGEST.findall(json.dumps(manifest)))
        namespace = manifest["metadata"].get("namespace", "")
        models.update(CapturedModel(namespace, name) for name in _model_names(manifest))
    last = _last_times(records)
    for record in records:
        recent = [line for line, entry in _lines(record) if entry is None or last[entry["uid"]] > since]
        artifacts.update(digest for line in recent for digest in _DIGEST.findall(line))
        model = _labels(record).get(labels.MODEL)
        if recent and model:
            models.add(CapturedModel(record["metadata"].get("namespace", ""), model))
    return Needed(frozenset(artifacts), frozenset(models))


def _labels(manifest: Manifest) -> dict[str, str]:
    return manifest["metadata"].get("labels") or {}


def _is_record(manifest: Manifest) -> bool:
    return manifest["kind"] == "ConfigMap" and _labels(manifest).get(labels.COMPONENT) == HISTORY


def _lines(record: Manifest) -> list[tuple[str, Entry | None]]:
    return [(line, known_entry(line)) for line in lines_of(record)]


def _last_times(records: Iterable[Manifest]) -> dict[str, datetime]:
    """Return when something happened last, by the version's uid: a record may be of several ConfigMaps."""
    last: dict[str, datetime] = {}
    for record in records:
        for _, entry in _lines(record):
            if entry is not None:
                at = parse_time(entry["time"])
                last[entry["uid"]] = max(at, last.get(entry["uid"], at))
    return last


def _model_names(value: Any) -> Iterator[str]:
    """Yield each `modelName` in an object, of whatever kind."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "modelName" and isinstance(inner, str):
                yield inner
            else:
                yield from _model_names(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _model_names(inner)
