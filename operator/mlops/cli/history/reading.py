"""A model's versions and its record, from a state folder or from a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mlops.api import labels
from mlops.api.kinds import InvalidObject, parse
from mlops.api.model_version import ModelVersion
from mlops.cli import kubectl
from mlops.cli.errors import UserError
from mlops.cli.inspect import load
from mlops.cli.state import State
from mlops.engine.cluster import field_of, labels_of
from mlops.planning import model_history
from mlops.planning.history_chain import ChainHead
from mlops.planning.history_entries import HISTORY, Entry, entries, in_order
from mlops.planning.history_replay import in_time
from mlops.planning.plan import Manifest


@dataclass(frozen=True)
class PastPlace:
    """Where to read: a state folder, or the cluster that kubectl talks to; and one namespace of it."""

    state: State
    namespace: str
    cluster: bool = False


@dataclass(frozen=True)
class Past:
    """What is known of one model: its versions that are there, and the ConfigMaps of its record in order."""

    model: str
    versions: tuple[ModelVersion, ...]
    # Versions that this program cannot read, by name.
    unread: tuple[str, ...]
    history: tuple[Manifest, ...]
    # By version: the head of the record that it names.
    heads: Mapping[str, ChainHead]

    def entries(self) -> list[Entry]:
        """Return all entries in the order of their time, with what no record has yet: a run that was interrupted."""
        told = (entry for each in self.versions for entry in model_history.entries_of(each, each.status))
        return in_time([*entries(self.history), *model_history.unrecorded(self.history, told)])


def read(place: PastPlace, model: str, *, with_record: bool = True) -> Past:
    """Return what is known of a model; `with_record` False: of the versions that are there alone, which asks for no
    right to read ConfigMaps. Raises UserError, naming the models that there are, if nothing is known."""
    versions, history = _of_cluster(place.namespace, with_record) if place.cluster else _of_state(place)
    own = [each for each in versions if field_of(each, "spec.modelName") == model]
    recorded = [each for each in history if labels_of(each).get(labels.MODEL) == model]
    if not own and not recorded:
        named = {field_of(each, "spec.modelName") for each in versions}
        named |= {labels_of(each).get(labels.MODEL) for each in history}
        there = ", ".join(sorted(filter(None, named))) or "none"
        raise UserError(
            f"nothing is known of a model {model!r} in namespace {place.namespace!r}; models there: {there}"
        )
    parsed, unread = _parsed(own)
    return Past(model, parsed, unread, tuple(in_order(recorded)), model_history.heads_of(parsed))


def _of_state(place: PastPlace) -> tuple[list[Manifest], list[Manifest]]:
    objects = [each for each in load(place.state) if each["metadata"]["namespace"] == place.namespace]
    maps = (each for each in objects if each["kind"] == "ConfigMap")
    return (
        [each for each in objects if each["kind"] == "ModelVersion"],
        [each for each in maps if labels_of(each).get(labels.COMPONENT) == HISTORY],
    )


def _of_cluster(namespace: str, with_record: bool) -> tuple[list[Manifest], list[Manifest]]:
    # The versions first: a head that one of them names was on record before it was written there, so that it stands in
    # a record that is read later.
    versions = kubectl.objects("modelversions.mlops.dev", namespace)
    history = kubectl.objects("configmaps", namespace, f"{labels.COMPONENT}={HISTORY}") if with_record else []
    return versions, history


def _parsed(manifests: Iterable[Manifest]) -> tuple[tuple[ModelVersion, ...], tuple[str, ...]]:
    parsed, unread = list[ModelVersion](), list[str]()
    for manifest in manifests:
        try:
            version = parse(manifest)
        except InvalidObject:
            unread.append(str(manifest["metadata"]["name"]))
            continue
        assert isinstance(version, ModelVersion)
        parsed.append(version)
    return tuple(parsed), tuple(unread)
