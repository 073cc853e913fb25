"""Which other runs and versions count for a run, a template or a monitor: a few of thousands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from mlops.api import labels
from mlops.api.dataset import Dataset
from mlops.api.model_version import ModelVersion
from mlops.api.training_run import TrainingRun
from mlops.engine import links
from mlops.engine.cluster import Reader, field_of, key_of, labels_of
from mlops.engine.links import Link
from mlops.engine.parsed import Parsed
from mlops.engine.routes import linked
from mlops.engine.versions import Versions
from mlops.planning import readiness
from mlops.planning.model_history import highest_number
from mlops.planning.monitor.retraining import run_names
from mlops.planning.plan import Key, Manifest
from mlops.planning.training.children import model_version_name
from mlops.planning.training.growth import watches_growth
from mlops.planning.training.recipe import change_name, version_name
from mlops.planning.views import DriftMonitorView


class Neighbours:
    """Reads, by the indexes of links, what a plan of one object needs to know of others."""

    def __init__(self, reader: Reader, parsed: Parsed, versions: Versions) -> None:
        self._reader, self._parsed, self._versions = reader, parsed, versions

    def _linked(self, link: Link, namespace: str, value: str | None) -> Sequence[Manifest]:
        return linked(link, namespace, value, self._reader)

    def runs_of_template(self, template: TrainingRun, dataset: Dataset | None) -> Iterator[Manifest]:
        """Yield the runs of a template that tell whether it has to fire: those under way, those on the Dataset's
        current version, and where rows are compared those on the versions since the one that they are compared with."""
        namespace, name, last = template.metadata.namespace, template.metadata.name, template.status.last_run
        if not template.spec.triggers:
            return
        version = dataset.status.version if dataset else None
        # The newest one, and those whose names the next event would take.
        names = (last, change_name(template), version_name(template, version))
        yield from filter(None, (self._reader.get(Key("TrainingRun", namespace, each)) for each in names if each))
        yield from self._linked(links.UNFINISHED_OF_TEMPLATE, namespace, name)
        for number in {version, *_versions_to_compare(template, dataset)}:
            yield from self._linked(links.ON_A_VERSION, namespace, f"{name}/{number}")

    def runs_beside(self, namespace: str, inputs: str | None, next_names: Iterable[str]) -> Iterator[Manifest]:
        """Yield the runs whose result this one would have, and those that speak for a name which it may choose."""
        yield from self._linked(links.EQUAL_RUNS, namespace, inputs)
        for name in next_names:
            yield from self._linked(links.NAMING_A_VERSION, namespace, name)

    def next_names(
        self, run: TrainingRun, model_name: str, versions: tuple[ModelVersion, ...], history: tuple[Manifest, ...]
    ) -> Iterator[str]:
        """Yield the names that the next version of the model would have, up to the first that nobody speaks for."""
        if run.spec.triggers or readiness.is_over(run.status.conditions):
            return
        number = max((highest_number(history), *(version.spec.version for version in versions)))
        taken = True
        while taken:
            number += 1
            yield (name := model_version_name(model_name, number))
            speaking = self._linked(links.NAMING_A_VERSION, run.metadata.namespace, name)
            present = any(version.metadata.name == name for version in versions)
            taken = present or any(each["metadata"]["name"] != run.metadata.name for each in speaking)

    def versions_beside(
        self, run: TrainingRun, model_name: str, history: tuple[Manifest, ...]
    ) -> tuple[ModelVersion, ...]:
        """Return the versions of the run's model that count for it."""
        namespace, name = run.metadata.namespace, run.metadata.name
        found, whole = self._versions.that_count(namespace, model_name, history)
        if whole:
            return found
        newest = self._reader.get(Key("TrainingRun", namespace, run.status.last_run or ""))
        named = (run.status.model_version_ref, field_of(newest, "status.modelVersionRef") if newest else None)
        more = [
            *self._linked(links.MADE_VERSION, namespace, name),
            *self._linked(links.WITHDRAWN_VERSIONS, namespace, model_name),
            *(version for each in named for version in self._linked(links.NAMED_VERSION, namespace, each)),
        ]
        number = max(highest_number(history), *(version.spec.version for version in found))
        while present := self._reader.get(Key("ModelVersion", namespace, model_version_name(model_name, number + 1))):
            more.append(present)
            number += 1
        of_the_model = [each for each in more if field_of(each, "spec.modelName") == model_name]
        known = {version.key for version in found}
        others = {key: each for each in of_the_model if (key := key_of(each)) not in known}
        return (*found, *self._parsed.of(ModelVersion, others.values()))

    def runs_of_monitor(self, view: DriftMonitorView, template: str) -> tuple[TrainingRun, ...]:
        namespace = view.monitor.metadata.namespace
        found = list(self._linked(links.UNFINISHED_OF_TEMPLATE, namespace, template))
        for name in sorted(set(run_names(view))):
            run = self._reader.get(Key("TrainingRun", namespace, name))
            if run is not None and labels_of(run).get(labels.TEMPLATE) == template:
                found.append(run)
        return self._parsed.of(TrainingRun, {key_of(each): each for each in found}.values())


def _versions_to_compare(template: TrainingRun, dataset: Dataset | None) -> Iterator[int]:
    """Yield the versions that a newer model than the one on record may have been trained on."""
    if dataset is None or not watches_growth(template):
        return
    known = template.status.trained_on
    since = known.version if known is not None and known.dataset == dataset.metadata.name else 0
    yield from (entry.version for entry in dataset.status.history if entry.version > since)
