"""What must always hold of the record of a model's history: its chain is whole, and replaying it gives the statuses."""

from __future__ import annotations

from collections.abc import Sequence

from mlops.api import labels
from mlops.engine.cluster import labels_of
from mlops.planning.history_chain import ChainHead, checked
from mlops.planning.history_entries import HISTORY, entries
from mlops.planning.history_replay import Stages, after, in_time
from mlops.planning.plan import Manifest
from tests.simulation.api_server.server import ApiServer, Change


def broken_by(server: ApiServer, change: Change) -> tuple[str, str] | None:
    """Return which invariant a change of a record or of a version breaks, and how; None if none."""
    manifest = change.new
    namespace = manifest["metadata"]["namespace"]
    if change.key.kind == "ConfigMap" and labels_of(manifest).get(labels.COMPONENT) == HISTORY:
        if change.type == "DELETED":
            return "ThePastStays", f"{change.key} was deleted"
        return _wrong_with(server, manifest, namespace, labels_of(manifest)[labels.MODEL])
    if change.key.kind == "ModelVersion" and change.type == "MODIFIED" and _head(change.old) != _head(manifest):
        return _wrong_with_chain(server, namespace, str(manifest["spec"]["modelName"]))
    return None


def _wrong_with(server: ApiServer, written: Manifest, namespace: str, model: str) -> tuple[str, str] | None:
    found = _wrong_with_chain(server, namespace, model)
    # A full ConfigMap may hold a part of what happened: the next one follows.
    if found is not None or written.get("immutable"):
        return found
    recorded = entries(_history(server, namespace, model))
    for how, stages in (("recorded", after(recorded)), ("dated", after(in_time(recorded)))):
        if (wrong := _other_than_statuses(stages, _versions(server, namespace, model))) is not None:
            return "TheRecordIsWhatWas", f"{model}, replayed as it was {how}: {wrong}"
    return None


def _wrong_with_chain(server: ApiServer, namespace: str, model: str) -> tuple[str, str] | None:
    """The chain is whole, and goes as far as versions say it did."""
    known = {
        str(version["metadata"]["name"]): ChainHead(head["entries"], head["hash"])
        for version in _versions(server, namespace, model)
        if (head := _head(version)) is not None
    }
    fault = checked(model, _history(server, namespace, model), known).fault
    return None if fault is None else ("TheChainIsWhole", str(fault))


def _other_than_statuses(stages: Stages, versions: Sequence[Manifest]) -> str | None:
    """Statuses are written before the record: whenever that is written, both say the same of each version."""
    for version in versions:
        said = set((version.get("status") or {}).get("stages") or ())
        replayed = set(stages.of(version["metadata"]["uid"]))
        if said != replayed:
            return f"{version['metadata']['name']} is live in {sorted(said)}, on record is {sorted(replayed)}"
    return None


def _history(server: ApiServer, namespace: str, model: str) -> list[Manifest]:
    return [
        each
        for each in server.list("ConfigMap")
        if each["metadata"]["namespace"] == namespace
        and labels_of(each).get(labels.COMPONENT) == HISTORY
        and labels_of(each).get(labels.MODEL) == model
    ]


def _versions(server: ApiServer, namespace: str, model: str) -> list[Manifest]:
    return [
        each
        for each in server.list("ModelVersion")
        if each["metadata"]["namespace"] == namespace and each["spec"]["modelName"] == model
    ]


def _head(version: Manifest | None) -> Manifest | None:
    head: Manifest | None = ((version or {}).get("status") or {}).get("historyHead")
    return head
