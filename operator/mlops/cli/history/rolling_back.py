"""`mlops rollback`: the change of manifests that has an older version serve again, and doing it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

from mlops.api.base import API_VERSION
from mlops.api.model_version import ModelVersion
from mlops.cli import kubectl
from mlops.cli.errors import UserError
from mlops.cli.history.reading import Past, PastPlace
from mlops.cli.yaml_written import written
from mlops.local.clock import RealClock
from mlops.local.cluster import LocalCluster
from mlops.local.records import Records
from mlops.planning.history_entries import DELETED
from mlops.planning.plan import Manifest
from mlops.planning.serving.way_back import WayBack, way_back

_RESOURCE = "modelversions.mlops.dev"
# Whose the one field is: a manifest that does not name it leaves it as it is.
_MANAGER = "mlops-rollback"
_PATCH = json.dumps({"spec": {"withdrawn": True}})


def chosen(past: Past, to: str | None, now: datetime) -> WayBack:
    """Return the way back, `to` a version by name or number. Raises UserError with the way out if there is none."""
    number = None if to is None else _number(past, to)
    found = way_back(past.versions, now, number)
    if isinstance(found, WayBack):
        return found
    raise UserError(f"{past.model}: {found.message}{_of_deleted(past)}")


def as_text(way: WayBack) -> str:
    """Return the change of each manifest, as YAML to be laid over it, with what it does in comments."""
    changes = "---\n".join(written(_change(each)) for each in way.withdraw)
    kubectl_calls = "\n".join(f"#   {_command(each)}" for each in way.withdraw)
    return (
        f"# {_summary(way)}\n"
        "# In the manifest of each of these versions, where Git holds them:\n"
        f"{changes.rstrip()}\n"
        f"# Where Git does not: mlops rollback --apply, or\n{kubectl_calls}"
    )


def apply(place: PastPlace, way: WayBack) -> Iterator[str]:
    """Withdraw the versions and yield a line for each. Raises UserError, and what a state folder in use raises."""
    if place.cluster:
        yield from _in_cluster(way)
    else:
        yield from _in_state(place, way)
    yield _summary(way) + ("" if place.cluster else ", by the next mlops run")


def _in_cluster(way: WayBack) -> Iterator[str]:
    for each in way.withdraw:
        kubectl.answer(
            ["patch", _RESOURCE, each.metadata.name, "-n", each.metadata.namespace, "--type", "merge", "-p", _PATCH],
            does="writes to the cluster",
            instead="install it, or change the manifests",
        )
        yield _said(each)


def _in_state(place: PastPlace, way: WayBack) -> Iterator[str]:
    records = Records(place.state.folder)
    try:
        cluster = LocalCluster(records, RealClock())
        for each in way.withdraw:
            cluster.apply_as(_MANAGER, _change(each))
            yield _said(each)
    finally:
        records.close()


def _number(past: Past, to: str) -> int:
    named = {each.metadata.name: each.spec.version for each in past.versions}
    number = named.get(to, int(to) if to.isascii() and to.isdigit() and len(to) < 7 else None)
    if number is None:
        raise UserError(f"--to {to!r}: no such version of {past.model}; there are {', '.join(sorted(named)) or 'none'}")
    return number


def _change(version: ModelVersion) -> Manifest:
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelVersion",
        "metadata": {"name": version.metadata.name, "namespace": version.metadata.namespace},
        "spec": {"withdrawn": True},
    }


def _command(version: ModelVersion) -> str:
    return (
        f"kubectl patch {_RESOURCE} {version.metadata.name} -n {version.metadata.namespace} --type merge -p '{_PATCH}'"
    )


def _summary(way: WayBack) -> str:
    return f"{way.stage} goes from {way.current.metadata.name} back to {way.to.metadata.name}"


def _said(version: ModelVersion) -> str:
    return f"modelversion.mlops.dev/{version.metadata.name} withdrawn"


def _of_deleted(past: Past) -> str:
    """Return the newest deleted version whose model is known: it can be made a version again."""
    gone = [each for each in past.entries() if each["event"] == DELETED and each.get("artifact")]
    if not gone:
        return ""
    newest = max(gone, key=lambda each: int(each["number"]))
    return (
        f". {newest['version']} was deleted; its model is {newest['artifact']}: a ModelVersion with that "
        "spec.artifact.digest and a number above all serves it, if the store still holds it"
    )
