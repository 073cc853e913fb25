"""What is over, told from manifests alone: thousands of objects pile up that no plan has to look at again.

`DERIVED` are fields that no object has, computed from those that it has, so that a reader can keep an index of them.
`reader_of` reads any field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from mlops.api import labels
from mlops.api.conditions import READY, STALLED
from mlops.api.reasons import Reason
from mlops.planning.plan import Manifest
from mlops.planning.readiness import LAID_OVER
from mlops.planning.retrying import LONGEST

# Before the path of a field: it is there as long as the object is not over, or not settled.
UNFINISHED, UNSETTLED = "unfinished:", "unsettled:"
# Before the name of a label: that label.
LABEL = "label:"
NUMBER_OF_MODEL = "derived.numberOfModel"
VERSION_OF_TEMPLATE = "derived.datasetVersionOfTemplate"
WAITS_FOR_REFRESH = "derived.waitsForRefreshOf"
WITHDRAWN_OF_MODEL = "derived.withdrawnOfModel"
# The model of which a monitor asks that a version be passed over.
ASKS_ROLLBACK_OF = "derived.asksRollbackOf"
# The name of a Dataset that removes old versions.
RETAINS = "derived.retains"
# The name of the Dataset that a monitor's labels come from.
LABELLED_BY = "derived.labelledBy"
# Of owners that have many Jobs in their life, by the label of their children: in which hour a Job ended.
OWNERS_OF_MANY = (labels.DATASET, labels.MONITOR)
ENDED_IN = {label: f"derived.endedIn/{label}" for label in OWNERS_OF_MANY}

_ENDS = (str(Reason.SUPERSEDED), str(Reason.WITHDRAWN))


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


def ended_in(job: Manifest) -> str | None:
    """Return the hour in which a Job ended, UTC; 1970-01-01T00 if its status does not say when; None: it has not."""
    ends = [
        each for each in _conditions(job) if each.get("type") in ("Complete", "Failed") and each.get("status") == "True"
    ]
    if not ends:
        return None
    text = _at(job, "status", "completionTime") or ends[0].get("lastTransitionTime")
    return str(text)[:13] if text else "1970-01-01T00"


def is_over(manifest: Manifest) -> bool:
    """Return whether a run or a Job has come to its end."""
    return ended_in(manifest) is not None if manifest["kind"] == "Job" else run_is_over(manifest)


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


def _number_of_model(version: Manifest) -> str:
    return f"{_at(version, 'spec', 'modelName')}/{_at(version, 'spec', 'version')}"


def _withdrawn_of_model(version: Manifest) -> Any:
    return _at(version, "spec", "modelName") if _at(version, "spec", "withdrawn") else None


def _asks_rollback_of(monitor: Manifest) -> Any:
    return _at(monitor, "spec", "targetRef", "modelName") if _at(monitor, "status", "rollback") else None


def _version_of_template(run: Manifest) -> str | None:
    template = _label(run, labels.TEMPLATE)
    return f"{template}/{_at(run, 'status', 'resolved', 'datasetVersion')}" if template else None


def _waits_for_refresh(run: Manifest) -> Any:
    waits = _at(run, "spec", "datasetRef", "notBefore") and not run_is_over(run)
    return _at(run, "spec", "datasetRef", "name") if waits else None


def _retains(dataset: Manifest) -> Any:
    return dataset["metadata"].get("name") if _at(dataset, "spec", "retention") else None


def _labelled_by(monitor: Manifest) -> Any:
    sources = _at(monitor, "spec", "labels", "sources")
    named = (_at(each, "datasetRef", "name") for each in sources) if isinstance(sources, list | tuple) else ()
    return next((name for name in named if isinstance(name, str)), None)


def _ended_in(label: str) -> Callable[[Manifest], str | None]:
    def found(job: Manifest) -> str | None:
        hour, owner = ended_in(job), _label(job, label)
        return f"{owner}/{hour}" if hour and owner else None

    return found


DERIVED: Mapping[str, Callable[[Manifest], Any]] = {
    NUMBER_OF_MODEL: _number_of_model,
    WITHDRAWN_OF_MODEL: _withdrawn_of_model,
    VERSION_OF_TEMPLATE: _version_of_template,
    WAITS_FOR_REFRESH: _waits_for_refresh,
    RETAINS: _retains,
    ASKS_ROLLBACK_OF: _asks_rollback_of,
    LABELLED_BY: _labelled_by,
    **{field: _ended_in(label) for label, field in ENDED_IN.items()},
}


@cache
def reader_of(path: str) -> Callable[[Manifest], Any]:
    """Return what reads the field at a path, in the forms that `links.py` lists; None where nothing stands."""
    if path in DERIVED:
        return DERIVED[path]
    if path.startswith(LABEL):
        return lambda manifest: _label(manifest, path.removeprefix(LABEL))
    for prefix, left_out in ((UNFINISHED, is_over), (UNSETTLED, version_is_settled)):
        if path.startswith(prefix):
            field, out = reader_of(path.removeprefix(prefix)), left_out
            return lambda manifest: None if out(manifest) else field(manifest)
    parts = tuple(path.split("."))
    return lambda manifest: _at(manifest, *parts)
