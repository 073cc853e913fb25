"""What needs the versions of a Dataset: read of manifests as they are, so that one which does not parse counts too."""

from __future__ import annotations

from collections.abc import Iterator

from mlops.api import tasks
from mlops.api.conditions import STALLED
from mlops.api.dataset import Dataset
from mlops.engine import links
from mlops.engine.cluster import Reader, field_of, key_of
from mlops.engine.over import run_is_over
from mlops.engine.routes import linked
from mlops.planning.plan import Manifest, Settings
from mlops.planning.training.removed import REFUSED
from mlops.planning.views import Use, Uses

_PER_NAMESPACE = "{namespace}"


class UsesOfVersions:
    """Asks runs, models, monitors and other Datasets."""

    def __init__(self, reader: Reader, settings: Settings) -> None:
        self._reader = reader
        # With a store per namespace nobody else's digests lead to the same bytes.
        self._shared_store = _PER_NAMESPACE not in settings.environment.get(tasks.STORE_VARIABLE, "")

    def of(self, dataset: Dataset) -> Uses | None:
        """Return what needs versions of the Dataset; None if none of them is to be removed."""
        open_ = any(each.removed and not each.removed.erased for each in dataset.status.history)
        if dataset.spec.retention is None and not open_:
            return None
        return Uses(
            of_versions=tuple(self._uses(dataset)),
            shared=frozenset(self._shared(dataset)) if open_ else frozenset(),
        )

    def _uses(self, dataset: Dataset) -> Iterator[Use]:
        namespace, name = dataset.metadata.namespace, dataset.metadata.name
        for run in linked(links.RUNS_EVER, namespace, name, self._reader):
            yield from _of_run(run)
        for monitor in linked(links.MONITORS_ON_IT, namespace, name, self._reader):
            if isinstance(number := field_of(monitor, "spec.reference.datasetRef.version"), int):
                known = field_of(monitor, "status.referenceDataset") or {}
                # Once the version has left the history, a later one of the same content may have its bytes.
                digest = known.get("digest") if (known.get("name"), known.get("version")) == (name, number) else None
                yield Use(f'DriftMonitor "{key_of(monitor).name}"', version=number, digest=digest)
        for version in self._reader.list("ModelVersion", None if self._shared_store else namespace):
            yield from _of_version(version, namespace, name)

    def _shared(self, dataset: Dataset) -> Iterator[str]:
        for other in self._reader.list("Dataset", None if self._shared_store else dataset.metadata.namespace):
            if key_of(other) == dataset.key:
                continue
            for entry in field_of(other, "status.history") or ():
                removed = entry.get("removed") or {}
                # Until it is on record that they go there too, a run may still be pinned to them.
                if not removed.get("erasing"):
                    yield str(entry.get("artifact"))


def _of_run(run: Manifest) -> Iterator[Use]:
    """Yield what a run needs: the version that it names, as long as it is there, and what it is at work on."""
    conditions = field_of(run, "status.conditions") or ()
    if any(each.get("type") == STALLED and each.get("reason") == REFUSED for each in conditions):
        return
    what = "template" if field_of(run, "spec.triggers") else "TrainingRun"
    who = f'{what} "{key_of(run).name}"'
    if isinstance(named := field_of(run, "spec.datasetRef.version"), int):
        yield Use(who, version=named)
    resolved = field_of(run, "status.resolved")
    if isinstance(resolved, dict) and not run_is_over(run):
        yield Use(who, version=resolved.get("datasetVersion"), digest=resolved.get("datasetDigest"))


def _of_version(version: Manifest, namespace: str, dataset: str) -> Iterator[Use]:
    """Yield the data that a model was made of: it is there as long as the model, which may be put back or compared."""
    key = key_of(version)
    own = key.namespace == namespace
    who = f'ModelVersion "{key.name}"' if own else "a ModelVersion of another namespace"
    for lineage in (field_of(version, "status.lineage"), field_of(version, "spec.lineage")):
        if isinstance(lineage, dict):
            numbered = own and lineage.get("dataset") == dataset
            number, digest = lineage.get("datasetVersion") if numbered else None, lineage.get("datasetDigest")
            if number is not None or digest is not None:
                yield Use(who, version=number, digest=digest, elsewhere=not numbered)
                return
