"""`mlops delete`: objects of a state folder, and what they own."""

from __future__ import annotations

from collections.abc import Iterator

from mlops.cli.errors import UserError
from mlops.cli.inspect import chosen_kinds
from mlops.cli.state import State
from mlops.local.clock import RealClock
from mlops.local.cluster import LocalCluster
from mlops.local.records import Records
from mlops.planning.plan import Key


def delete(state: State, word: str, names: tuple[str, ...], namespace: str) -> Iterator[str]:
    """Delete the objects and yield a line for each. Raises UserError if one is not there, or a run is active."""
    (kind, *others) = chosen_kinds(word)
    if others:
        raise UserError("name one kind to delete")
    if not state.exists:
        raise UserError(f"{state.folder}: there is no state here")
    records = Records(state.folder)
    try:
        cluster = LocalCluster(records, RealClock())
        missing = [name for name in names if cluster.get(Key(kind, namespace, name)) is None]
        if missing:
            raise UserError(f"{kind} not found: {', '.join(missing)}; nothing was deleted")
        for name in names:
            cluster.remove(Key(kind, namespace, name))
            yield f"{kind.lower()}.mlops.dev/{name} deleted"
        cluster.collect_garbage()
    finally:
        records.close()
