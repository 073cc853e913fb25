"""Objects of the four kinds, parsed once per version of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from mlops.api import kinds
from mlops.api.base import Resource
from mlops.api.dataset import Dataset
from mlops.api.drift_monitor import DriftMonitor
from mlops.api.kinds import InvalidObject
from mlops.api.model_version import ModelVersion
from mlops.api.training_run import TrainingRun
from mlops.engine.cluster import Reader, key_of
from mlops.engine.links import Link
from mlops.engine.over import run_is_over
from mlops.planning.plan import Key, Manifest

K = TypeVar("K", Dataset, TrainingRun, ModelVersion, DriftMonitor)


class Parsed:
    """Reads from memory, and keeps what a manifest parses to while it is the newest of its object."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._kept: dict[Key, tuple[Manifest, Resource | InvalidObject]] = {}

    def at(self, key: Key, kind: type[K]) -> K | None:
        """Return the object; None if it is gone or going. Raises InvalidObject if it is not what its kind allows."""
        manifest = self._reader.get(key)
        if manifest is None or is_going(manifest):
            return None
        parsed = self.parse(manifest)
        if isinstance(parsed, InvalidObject):
            raise parsed
        return parsed if isinstance(parsed, kind) else None

    def linked(self, kind: type[K], link: Link, namespace: str, name: str) -> K | None:
        """Return the object that is linked by its name; one that is invalid is as good as missing."""
        try:
            return self.at(Key(link.read, namespace, name), kind)
        except InvalidObject:
            return None

    def of(self, kind: type[K], manifests: Iterable[Manifest]) -> tuple[K, ...]:
        """Return the objects of these manifests, without those that are invalid or on their way out."""
        parsed = (self.parse(manifest) for manifest in manifests if not is_going(manifest))
        return tuple(one for one in parsed if isinstance(one, kind))

    def parse(self, manifest: Manifest) -> Resource | InvalidObject:
        """Return the object of a manifest, or why it is none."""
        key = key_of(manifest)
        kept = self._kept.get(key)
        # A manifest is never changed in place, and the one that was parsed is kept: it is the same one or a newer one.
        if kept is not None and kept[0] is manifest:
            return kept[1]
        parsed: Resource | InvalidObject
        try:
            parsed = kinds.parse(manifest)
        except InvalidObject as error:
            parsed = error
        if key.kind == "TrainingRun" and run_is_over(manifest):
            # Thousands of these pile up, and hardly anybody asks for one again.
            self._kept.pop(key, None)
        else:
            self._kept[key] = (manifest, parsed)
        return parsed

    def forget(self, key: Key) -> None:
        """Drop what is kept of an object that is gone."""
        self._kept.pop(key, None)


def is_going(manifest: Manifest) -> bool:
    """Return whether an object is on its way out."""
    return manifest["metadata"].get("deletionTimestamp") is not None
