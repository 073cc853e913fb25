"""What is on record of models, and what it says of names that were given before."""

from __future__ import annotations

import logging

from mlops.api import labels
from mlops.api.dataset import Dataset
from mlops.engine import links
from mlops.engine.cluster import Reader, field_of, key_of
from mlops.engine.routes import linked
from mlops.planning.history_entries import HISTORY
from mlops.planning.model_history import highest_dataset_version, strange_lines
from mlops.planning.plan import Key, Manifest

log = logging.getLogger(__name__)


class Histories:
    """Reads the ConfigMaps of models' histories, and tells of lines in them that are none of ours."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        # By ConfigMap: the one that was read through, and how many lines were none of ours.
        self._strange: dict[Key, tuple[Manifest, int]] = {}

    def of(self, namespace: str, model_name: str | None = None) -> tuple[Manifest, ...]:
        """Return what is recorded of one model, or of all."""
        selector = {labels.MODEL: model_name} if model_name else {}
        found = tuple(self._reader.list("ConfigMap", namespace, {labels.COMPONENT: HISTORY, **selector}))
        for segment in found:
            self._tell_of_strange_lines(segment)
        return found

    def highest_version_of(self, dataset: Dataset) -> int:
        """Return the highest version of a Dataset of this name that anything speaks of; asked for once in its life."""
        namespace, name = dataset.metadata.namespace, dataset.metadata.name
        if dataset.status.version is not None:
            return 0
        numbers = [highest_dataset_version(self.of(namespace), name)]
        for run in linked(links.RUNS_EVER, namespace, name, self._reader):
            numbers.append(field_of(run, "status.resolved.datasetVersion") or 0)
        for version in self._reader.list("ModelVersion", namespace):
            for lineage in (field_of(version, "status.lineage"), field_of(version, "spec.lineage")):
                if isinstance(lineage, dict) and lineage.get("dataset") == name:
                    numbers.append(lineage.get("datasetVersion") or 0)
        return max(numbers)

    def forget(self, key: Key) -> None:
        """Drop what is kept of a ConfigMap that is gone."""
        self._strange.pop(key, None)

    def _tell_of_strange_lines(self, segment: Manifest) -> None:
        """Say once that lines of a record are passed over: a person edited it, and no object's condition says so."""
        key = key_of(segment)
        before, told = self._strange.get(key, (None, 0))
        if before is segment:
            return
        count = strange_lines(segment)
        self._strange[key] = segment, count
        if count > told:
            log.warning(
                "ConfigMap %s/%s: %d lines are no record of a version and passed over: mend or remove them",
                key.namespace, key.name, count,
            )  # fmt: skip
