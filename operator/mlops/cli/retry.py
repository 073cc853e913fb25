"""`mlops retry`: have what failed tried again, by the annotation that does it in a cluster too."""

from __future__ import annotations

from collections.abc import Iterator

from mlops.api import labels
from mlops.api.base import format_time
from mlops.api.kinds import KINDS
from mlops.cli.errors import UserError
from mlops.cli.inspect import chosen_kinds
from mlops.cli.state import State
from mlops.engine.cluster import Clock
from mlops.local.cluster import LocalCluster
from mlops.local.records import Records
from mlops.planning.plan import Key


def retry(state: State, word: str, names: tuple[str, ...], namespace: str, clock: Clock) -> Iterator[str]:
    """Ask for a retry of each object and yield what was asked, and how to in a cluster.

    Raises UserError if one is not there, or a run is active.
    """
    (kind, *others) = chosen_kinds(word)
    if others:
        raise UserError("name one kind to retry")
    text = format_time(clock.now())
    for name in names:
        resource = f"{KINDS[kind].plural}.mlops.dev"
        asked = f"kubectl annotate {resource} {name} -n {namespace} --overwrite {labels.RETRY}={text}"
        if not state.exists:
            raise UserError(f"{state.folder}: there is no state here. In a cluster: {asked}")
        yield f"in a cluster: {asked}"
    records = Records(state.folder)
    try:
        cluster = LocalCluster(records, clock)
        missing = [name for name in names if cluster.get(Key(kind, namespace, name)) is None]
        if missing:
            raise UserError(f"{kind} not found: {', '.join(missing)}; nothing was asked for")
        for name in names:
            cluster.annotate(Key(kind, namespace, name), {labels.RETRY: text})
            yield f"{kind.lower()}.mlops.dev/{name} is tried again by the next mlops run"
    finally:
        records.close()
