"""`mlops delete`: objects of a state folder, and what they own; never what is in use, unless that is said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from mlops.cli.errors import UserError
from mlops.cli.inspect import chosen_kinds
from mlops.cli.state import State
from mlops.cli.uses import uses_of
from mlops.engine.cluster import FIELD_MANAGER, Reader, field_of
from mlops.engine.gather import Gatherer
from mlops.local.clock import RealClock
from mlops.local.cluster import LocalCluster
from mlops.local.records import Records, read_objects
from mlops.planning.model_history import segments
from mlops.planning.plan import Key, Settings
from mlops.planning.views import ModelView

_LISTED = 5


def delete(state: State, word: str, names: tuple[str, ...], namespace: str, *, force: bool) -> Iterator[str]:
    """Delete the objects and yield a line for each.

    Raises UserError if one is not there or, without `force`, is in use, or a run is active; nothing is deleted then.
    """
    (kind, *others) = chosen_kinds(word)
    if others:
        raise UserError("name one kind to delete")
    if not state.exists:
        raise UserError(f"{state.folder}: there is no state here")
    state.make_private()
    records = Records(state.folder)
    try:
        clock = _TimeOfNow(records.read_time() or RealClock().now())
        cluster = LocalCluster(records, clock)
        missing = [name for name in names if cluster.get(Key(kind, namespace, name)) is None]
        if missing:
            raise UserError(f"{kind} not found: {', '.join(missing)}; nothing was deleted")
        if not force:
            _check_unused(state, kind, namespace, names)
        models = _models(cluster, kind, namespace, names)
        _record(cluster, clock, namespace, models)
        for name in names:
            cluster.remove(Key(kind, namespace, name))
            yield f"{kind.lower()}.mlops.dev/{name} deleted"
        cluster.collect_garbage()
        _record(cluster, clock, namespace, models)
    finally:
        records.close()


class _TimeOfNow(RealClock):
    """The timestamp at which a folder's world stands: a replay's is another than the machine's."""

    def __init__(self, timestamp: datetime) -> None:
        self._timestamp = timestamp

    def now(self) -> datetime:
        """Return the timestamp."""
        return self._timestamp


def _check_unused(state: State, kind: str, namespace: str, names: Iterable[str]) -> None:
    objects = read_objects(state.folder)
    for name in names:
        uses = uses_of(objects, kind, namespace, name)
        if uses:
            more = f" and {len(uses) - _LISTED} more" if len(uses) > _LISTED else ""
            raise UserError(
                f"{kind} {name} is in use: {'; '.join(uses[:_LISTED])}{more}. Nothing was deleted; "
                "delete those first, or say --force"
            )


def _models(cluster: Reader, kind: str, namespace: str, names: Iterable[str]) -> set[str]:
    """Return the models whose versions are deleted: what they were stays on record."""
    if kind != "ModelVersion":
        return set()
    versions = (cluster.get(Key(kind, namespace, name)) for name in names)
    return {str(field_of(version, "spec.modelName")) for version in versions if version is not None}


def _record(cluster: LocalCluster, clock: RealClock, namespace: str, models: Iterable[str]) -> None:
    gatherer = Gatherer(cluster, Settings(), clock)
    for model in sorted(models):
        view = gatherer.view(Key("Model", namespace, model))
        if isinstance(view, ModelView):
            for segment in segments(replace(view, now=clock.now()), {}):
                cluster.apply_as(FIELD_MANAGER, segment)
