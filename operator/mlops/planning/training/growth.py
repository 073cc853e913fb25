"""Growth of the data: what a template's newest model was trained on, and whether there are enough more rows now."""

from __future__ import annotations

from mlops.api.conditions import is_true
from mlops.api.dataset import Dataset
from mlops.api.training_run import TrainedOn, TrainingRun, TriggerRecord
from mlops.planning.readiness import is_over
from mlops.planning.training.step import SUCCEEDED
from mlops.planning.views import TrainingRunView


def watches_growth(template: TrainingRun) -> bool:
    """Return whether the template asks for a run when there are more rows."""
    return any(each.dataset_growth for each in template.spec.triggers)


def learns(template: TrainingRun, run: TrainingRun) -> bool:
    """Return whether a run of the template learns of the rows as the template does: a monitor's recalibration does
    not."""
    recalibration = run.spec.trainer.recalibration
    return recalibration is None or recalibration == template.spec.trainer.recalibration


def trained_on(view: TrainingRunView, runs: list[TrainingRun]) -> TrainedOn | None:
    """Return the newest version that one of `runs` has made a model of, as is on record or was seen since.

    A model that its gates refused counts: as many rows would make it again. A run that failed does not, nor does a
    recalibration, which learns nothing of the rows. A version that is in no history any more is taken to have had as
    many rows as there are now: growth is told from here on.
    """
    dataset, known = view.dataset, view.run.status.trained_on
    if dataset is None or not watches_growth(view.run):
        return known
    name, current = dataset.metadata.name, dataset.status.version
    rows = {entry.version: entry.rows for entry in dataset.status.history}
    if known is not None and (known.dataset != name or (current is not None and known.version > current)):
        # Another Dataset, or one that was made again and counts from one.
        known = None
    versions = [
        each.status.resolved.dataset_version
        for each in runs
        if each.spec.dataset_ref.name == name
        and learns(view.run, each)
        and each.status.resolved is not None
        and is_true(each.status.conditions, SUCCEEDED)
    ]
    newest = max((each for each in versions if each in rows), default=None)
    if newest is not None and (known is None or newest > known.version):
        return TrainedOn(dataset=name, version=newest, rows=rows[newest])
    if known is None and versions and current in rows:
        return TrainedOn(dataset=name, version=current, rows=rows[current])
    return known


def growth(template: TrainingRun, dataset: Dataset, known: TrainedOn | None) -> TriggerRecord | None:
    """Return the record of a run that the current version's rows call for; None if they do not.

    `known` is what the newest model was trained on: where there is none, any rows are more.
    """
    version = dataset.status.version
    rows = next((entry.rows for entry in dataset.status.history if entry.version == version), None)
    if rows is None or not watches_growth(template):
        return None
    reason = f"version {version}: {rows} rows, and no model is trained yet"
    if known is not None:
        asked = min(each.dataset_growth.percent for each in template.spec.triggers if each.dataset_growth)
        if rows * 100 < known.rows * (100 + asked):
            return None
        more = (rows - known.rows) * 100 // max(known.rows, 1)
        reason = f"version {version}: {rows} rows, {more} % more than the {known.rows} of version {known.version}"
    return TriggerRecord(kind="DatasetGrowth", ref=dataset.metadata.name, reason=reason)


def is_at_work(runs: list[TrainingRun]) -> bool:
    """Return whether a run is under way, after which there may be less growth to speak of."""
    return any(not is_over(each.status.conditions) and not each.spec.suspend for each in runs)
