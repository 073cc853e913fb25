"""`mlops gc`: what nobody needs any more leaves the store, of a state folder or of a cluster."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from mlops.api import labels
from mlops.api.base import earlier, format_time
from mlops.cli import kubectl
from mlops.cli.errors import UserError
from mlops.cli.inspect import reading
from mlops.cli.state import State
from mlops.cli.tables import aligned
from mlops.local.records import Records, read_objects
from mlops.planning.history_entries import HISTORY
from mlops.planning.store_references import CapturedModel, Needed, needed
from mlops.store import Garbage, Store, collect, garbage, open_store
from mlops.store.garbage import Unneeded
from mlops.workloads.floor.records.layout import captured_model

# What an artifact is, by a file that each of its kind has.
_KINDS: Final[Mapping[str, str]] = {
    "model.json": "model",
    "schema.json": "version of a Dataset",
    "report.json": "drift report",
}
# Pods are at work in a cluster: what they stored may have no name until their report is taken in.
_LEAST_GRACE: Final = timedelta(days=1)
_RESOURCES: Final = (
    "datasets.mlops.dev", "trainingruns.mlops.dev", "driftmonitors.mlops.dev", "modelversions.mlops.dev",
    "jobs.batch", "cronjobs.batch", "deployments.apps",
)  # fmt: skip


@dataclass(frozen=True)
class Ages:
    """How long what nobody names is left alone, by the machine's clock, and how long the record of a model keeps what
    was live, by the clock of its world."""

    grace: timedelta
    record: timedelta


@dataclass(frozen=True)
class SharedStore:
    """The store of a cluster, and the namespace whose alone it is; of all namespaces if that is None."""

    url: str
    namespace: str | None


@dataclass(frozen=True)
class Collection:
    """What was found, and whether it is gone."""

    garbage: Garbage
    kept: int
    gone: bool


def of_folder(state: State, ages: Ages, *, dry_run: bool) -> Collection:
    """Find what no object and no recent entry of a record names, and remove it but for a dry run.

    Nothing else can work on the folder meanwhile. Raises UserError if there is no state, or somebody works on it.
    """
    if not state.exists:
        raise UserError(f"{state.folder}: there is no state here yet; `mlops run` makes it, --state names another")
    with reading(state):
        records = Records(state.folder)
    try:
        # A replay has left its world in another year than the machine's.
        now = records.read_time() or datetime.now(UTC)
        wanted = needed(read_objects(state.folder), earlier(now, ages.record))
        return _collected(open_store(state.store.as_uri(), {}), wanted, ages, dry_run=dry_run)
    finally:
        records.close()


def of_cluster(shared: SharedStore, ages: Ages, environ: Mapping[str, str], *, dry_run: bool) -> Collection:
    """The same of the cluster that kubectl talks to, with the keys of `environ`.

    Raises UserError if anything cannot be listed: what it names would look unneeded.
    """
    if ages.grace < _LEAST_GRACE:
        raise UserError("--grace: at least 1d in a cluster, where pods store what gets its name only later")
    listed = [each for resource in _RESOURCES for each in kubectl.objects(resource, shared.namespace)]
    # What a run hands over to a version while these are listed is named by one of the two.
    listed += kubectl.objects("modelversions.mlops.dev", shared.namespace)
    listed += kubectl.objects("configmaps", shared.namespace, f"{labels.COMPONENT}={HISTORY}")
    wanted = needed(listed, earlier(datetime.now(UTC), ages.record))
    store = open_store(shared.url, environ)
    if shared.namespace is not None:
        _refuse_others(store, shared.namespace)
    return _collected(store, wanted, ages, dry_run=dry_run)


def _refuse_others(store: Store, namespace: str) -> None:
    """Raise UserError if another namespace uses the store too: what is named there was not looked at."""
    models = filter(None, (captured_model(found.key) for found in store.list("captures/")))
    other = next((model for model in models if model[0] != namespace), None)
    if other is not None:
        raise UserError(
            f"-n {namespace}: the store has captures of {other[0]}/{other[1]} too: leave -n out, so that what any "
            "namespace names is kept"
        )


def _collected(store: Store, wanted: Needed, ages: Ages, *, dry_run: bool) -> Collection:
    found = garbage(store, wanted.artifacts, lambda key: _is_wanted(key, wanted), ages.grace.total_seconds())
    kept = sum(1 for _ in store.bucket.list("manifests/")) - len(found.artifacts)
    if not dry_run:
        collect(store, found)
    return Collection(found, kept, gone=not dry_run)


def _is_wanted(key: str, wanted: Needed) -> bool:
    """Return whether a plain object stays: one of a model that something names, or of nobody's that is known."""
    model = captured_model(key)
    return model is None or model in wanted.models


def as_text(found: Collection) -> str:
    """Return a line for each artifact and each model, and a sentence."""
    rows = [[one.digest, _kind(one), _bytes(_size(one)), _day(one.stored)] for one in found.garbage.artifacts]
    rows += [
        [f"captures of {model.namespace}/{model.name}", f"{files:,} files", _bytes(size), ""]
        for model, (files, size) in _captures(found.garbage).items()
    ]
    table = [aligned([["UNNEEDED", "WHAT", "SIZE", "STORED"], *rows])] if rows else []
    verb = "removed" if found.gone else "would be removed"
    files = len(found.garbage.files) + len(found.garbage.objects)
    said = (
        f"{len(found.garbage.artifacts):,} artifacts {verb}, {files:,} files of {_bytes(found.garbage.size)};"
        f" {found.kept:,} artifacts are needed or young"
    )
    return "\n".join([*table, said])


def as_json(found: Collection) -> str:
    """Return the same for programs."""
    said: dict[str, Any] = {
        "removed": found.gone,
        "artifacts": [
            {"digest": one.digest, "kind": _kind(one), "bytes": _size(one), "stored": _time(one.stored)}
            for one in found.garbage.artifacts
        ],
        "captures": [
            {"namespace": model.namespace, "modelName": model.name, "files": files, "bytes": size}
            for model, (files, size) in _captures(found.garbage).items()
        ],
        "bytes": found.garbage.size,
        "kept": found.kept,
    }
    return json.dumps(said, indent=2)


def _kind(one: Unneeded) -> str:
    if one.manifest is None:
        return "unreadable"
    return next((kind for name, kind in _KINDS.items() if one.manifest.entry(name)), "artifact")


def _size(one: Unneeded) -> int:
    return one.manifest.size if one.manifest else 0


def _captures(found: Garbage) -> dict[CapturedModel, tuple[int, int]]:
    sums: dict[CapturedModel, tuple[int, int]] = {}
    for plain in found.objects:
        found_of = captured_model(plain.key)
        assert found_of is not None, "others stay"
        model = CapturedModel(*found_of)
        files, size = sums.get(model, (0, 0))
        sums[model] = files + 1, size + plain.size
    return sums


def _time(seconds: float) -> str:
    return format_time(datetime.fromtimestamp(seconds, UTC))


def _day(seconds: float) -> str:
    return _time(seconds)[:10]


def _bytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size / 1e3:,.1f} kB"
