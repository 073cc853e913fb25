"""What is over, told from manifests alone: thousands of objects pile up that no plan has to look at again.

`DERIVED` are fields that no object has, computed from those that it has, so that a reader can keep an index of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mlops.api import labels
from mlops.api.conditions import READY, STALLED
from mlops.api.model_version import Reason
from mlops.planning.plan import Manifest
from mlops.planning.retrying import LONGEST
from mlops.planning.standing import LAID_OVER

UNSETTLED_OF_MODEL = "derived.unsettledOfModel"
NUMBER_OF_MODEL = "derived.numberOfModel"
UNFINISHED_OF_TEMPLATE = "derived.unfinishedOfTemplate"
UNFINISHED_ON_DATASET = "derived.unfinishedOnDataset"
VERSION_OF_TEMPLATE = "derived.datasetVersionOfTemplate"
UNFINISHED_JOB = "derived.unfinishedJob"
JOB_ENDED_ON = "derived.jobEndedOn"
WITHDRAWN_OF_MODEL = "derived.withdrawnOfModel"

_ENDS = (str(Reason.SUPERSEDED), str(Reason.WITHDRAWN))
_OWNERS = (labels.DATASET, labels.MONITOR)


def run_is_over(run: Manifest) -> bool:
    """Return whether a TrainingRun has come to its end, so that nothing beside it matters to it any more."""
    if _at(run, "spec", "triggers"):
        return False
    return any(
        each.get("type") in (READY, STALLED) and each.get("status") == "True" and each.get("reason") not in LAID_OVER
        for each in _conditions(run)
    )


def version_is_settled(version: Manifest) -> bool:
    """Return whether a ModelVersion was superseded, withdrawn or refused, and nobody has asked for more since.

    It changes again only when it is edited, or when those that came after it do not serve.
    """
    status = _at(version, "status")
    metadata = version["metadata"]
    if not isinstance(status, dict) or status.get("observedGeneration") != metadata.get("generation", 1):
        return False
    if metadata.get("deletionTimestamp") or status.get("stages") or status.get("failedStages"):
        return False
    asked = str((metadata.get("annotations") or {}).get(labels.RETRY, ""))[:LONGEST]
    if asked and asked != status.get("retried"):
        return False
    said = {each.get("type"): each for each in _conditions(version)}
    ready = said.get(READY, {})
    if ready.get("status") == "True":
        return ready.get("reason") in _ENDS
    refused = said.get("ArtifactVerified", {}).get("status") == "False"
    return refused and said.get(STALLED, {}).get("reason") not in (None, *LAID_OVER)


def ended_on(job: Manifest) -> str | None:
    """Return the day on which a Job ended, 1970-01-01 if its status does not say when; None of one that is not over."""
    ends = [
        each for each in _conditions(job) if each.get("type") in ("Complete", "Failed") and each.get("status") == "True"
    ]
    if not ends:
        return None
    text = _at(job, "status", "completionTime") or ends[0].get("lastTransitionTime")
    return str(text)[:10] if text else "1970-01-01"


def of_owner(label: str, name: str) -> str:
    """Return by what the Jobs of an owner are found that are not over."""
    return f"{label}/{name}"


def of_owner_on(label: str, name: str, day: str) -> str:
    """Return by what the Jobs of an owner are found that ended on a day."""
    return f"{label}/{name}/{day}"


def _conditions(manifest: Manifest) -> Iterable[Manifest]:
    found = _at(manifest, "status", "conditions")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list | tuple) else ()


def _at(manifest: Manifest, *path: str) -> Any:
    value: Any = manifest
    for part in path:
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value


def _label(manifest: Manifest, label: str) -> str | None:
    found = (manifest["metadata"].get("labels") or {}).get(label)
    return found if isinstance(found, str) else None


def _owner(job: Manifest) -> str | None:
    return next((of_owner(label, name) for label in _OWNERS if (name := _label(job, label))), None)


def _unsettled_of_model(version: Manifest) -> Any:
    return None if version_is_settled(version) else _at(version, "spec", "modelName")


def _number_of_model(version: Manifest) -> str:
    return f"{_at(version, 'spec', 'modelName')}/{_at(version, 'spec', 'version')}"


def _withdrawn_of_model(version: Manifest) -> Any:
    return _at(version, "spec", "modelName") if _at(version, "spec", "withdrawn") else None


def _unfinished_of_template(run: Manifest) -> str | None:
    return None if run_is_over(run) else _label(run, labels.TEMPLATE)


def _unfinished_on_dataset(run: Manifest) -> Any:
    return None if run_is_over(run) else _at(run, "spec", "datasetRef", "name")


def _version_of_template(run: Manifest) -> str | None:
    template = _label(run, labels.TEMPLATE)
    return f"{template}/{_at(run, 'status', 'resolved', 'datasetVersion')}" if template else None


def _unfinished_job(job: Manifest) -> str | None:
    return None if ended_on(job) else _owner(job)


def _job_ended_on(job: Manifest) -> str | None:
    day, owner = ended_on(job), _owner(job)
    return f"{owner}/{day}" if day and owner else None


DERIVED: Mapping[str, Callable[[Manifest], Any]] = {
    UNSETTLED_OF_MODEL: _unsettled_of_model,
    NUMBER_OF_MODEL: _number_of_model,
    WITHDRAWN_OF_MODEL: _withdrawn_of_model,
    UNFINISHED_OF_TEMPLATE: _unfinished_of_template,
    UNFINISHED_ON_DATASET: _unfinished_on_dataset,
    VERSION_OF_TEMPLATE: _version_of_template,
    UNFINISHED_JOB: _unfinished_job,
    JOB_ENDED_ON: _job_ended_on,
}
