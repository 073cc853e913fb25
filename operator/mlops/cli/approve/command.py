"""`mlops approve`: what is to be approved, whether this person may, and doing it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from mlops.api.approval import Approval
from mlops.api.base import API_VERSION
from mlops.api.model_version import ModelVersion, Stage
from mlops.cli import kubectl
from mlops.cli.approve.person import Person
from mlops.cli.errors import UserError
from mlops.cli.history.reading import Past, PastPlace
from mlops.local.clock import RealClock
from mlops.local.cluster import LocalCluster
from mlops.local.records import Records
from mlops.planning.approving import approval_of, authors_of, unapproved
from mlops.planning.ownership import is_leaving
from mlops.planning.plan import Manifest

_RESOURCE = "modelversions.mlops.dev"
# Whose the list is in a state folder: a manifest that does not name it leaves it as it is.
_MANAGER = "mlops-approve"
RECORD_ONLY = "on one machine this is a record: nothing checks who writes it"


@dataclass(frozen=True)
class ToApprove:
    """An approval that a person may give, and of which version."""

    version: ModelVersion
    given: Approval


def chosen(past: Past, person: Person, version: str | None, stage: str | None, note: str, time: str) -> ToApprove:
    """Return the approval that is meant: of the newest version that wants one, in the first stage that does, if nothing
    is named. Raises UserError, with the way out, if this person cannot give it, or nobody is asked."""
    of = _version(past, version, stage)
    artifact = of.status.artifact
    if artifact is None:
        raise UserError(f"{of.metadata.name}: it is not known yet which model it is of; wait until it is verified")
    where = _stage(of, stage, artifact)
    if (refused := _refusal(of, where, person)) is not None:
        raise UserError(f"{of.metadata.name}, {where.name}: {refused}")
    given = Approval(stage=where.name, artifact=artifact, user=person.name, note=note, time=time)
    return ToApprove(of, given)


def as_text(place: PastPlace, found: ToApprove) -> str:
    """Return what would be written, as YAML in comments, and how it is done."""
    said = f"# {_summary(found)}\n#   {json.dumps(found.given.dump(), ensure_ascii=False)}\n"
    again = f"mlops approve {found.version.spec.model_name} --version {found.version.metadata.name}"
    again += f" --stage {found.given.stage} --apply"
    if not place.cluster:
        return f"{said}# {RECORD_ONLY}. To write it:\n{again}"
    command = f"kubectl {' '.join(map(shlex.quote, _patch(found)))}"
    return (
        f"{said}# In your own name, by you: from Git it would be in the name of the tool that applies it. One of\n"
        f"{again} --cluster -n {found.version.metadata.namespace}\n{command}"
    )


def apply(place: PastPlace, found: ToApprove) -> Iterator[str]:
    """Write it and yield a line about it. Raises UserError, and what a state folder in use raises."""
    if place.cluster:
        kubectl.answer(_patch(found), does="writes to the cluster", instead="install it")
        yield _summary(found)
        return
    records = Records(place.state.folder)
    try:
        LocalCluster(records, RealClock()).apply_as(_MANAGER, _change(found))
    finally:
        records.close()
    yield f"{_summary(found)}, by the next mlops run"
    yield RECORD_ONLY


def _version(past: Past, named: str | None, stage: str | None) -> ModelVersion:
    there = sorted((each for each in past.versions if not is_leaving(each)), key=lambda each: each.spec.version)
    if named is not None:
        same = [each for each in there if named in (each.metadata.name, str(each.spec.version))]
        if not same:
            names = ", ".join(each.metadata.name for each in there) or "none"
            raise UserError(f"--version {named!r}: no such version of {past.model}; there are {names}")
        return same[-1]
    waiting = [
        each
        for each in there
        if not each.spec.withdrawn and any(stage in (None, one.name) for one in unapproved(each, each.status.artifact))
    ]
    if not waiting:
        where = f" in {stage}" if stage else ""
        raise UserError(f"{past.model}: no version wants an approval{where}; --version names one")
    return waiting[-1]


def _stage(version: ModelVersion, named: str | None, artifact: str) -> Stage:
    stages, name = version.spec.promotion.stages, version.metadata.name
    asking = [each for each in stages if each.asks is not None]
    if named is None:
        wanted = unapproved(version, artifact)
        if not wanted:
            raise UserError(f"{name}: {_nothing_wanted(version, asking, artifact)}")
        return wanted[0]
    found = next((each for each in asking if each.name == named), None)
    if found is None:
        names = ", ".join(each.name for each in asking) or "none"
        raise UserError(f"--stage {named!r}: {name} has no such stage that asks for approval; there are {names}")
    if approval_of(version, found, artifact) is not None:
        raise UserError(f"{name}: {_nothing_wanted(version, [found], artifact)}")
    return found


def _nothing_wanted(version: ModelVersion, asking: list[Stage], artifact: str) -> str:
    there = [(each.name, approval_of(version, each, artifact)) for each in asking]
    said = ", ".join(f"{name} by {given.user}" for name, given in there if given is not None)
    return f"it is approved already: {said}" if said else "no stage of it asks for approval"


def _refusal(version: ModelVersion, stage: Stage, person: Person) -> str | None:
    """Return why this person cannot approve there, and what would help."""
    rule, authors = stage.asks, authors_of(version.metadata)
    assert rule is not None
    if rule.group not in person.groups:
        yours = ", ".join(sorted(person.groups)) or "none"
        return f"{person.name} is not in group {rule.group} (in {yours}): have somebody of it approve"
    if rule.not_author and person.name in authors:
        return f"{person.name} is an author of it: have somebody else of group {rule.group} approve"
    if rule.not_author and not authors:
        return "it is not known who wrote it: have whoever did set the annotation mlops.dev/authors to their own name"
    if any(each.stage == stage.name and each.user == person.name for each in version.spec.approvals):
        return f"an approval of {person.name} that does not count stands there: take it out of spec.approvals first"
    return None


def _patch(found: ToApprove) -> list[str]:
    """Return the words of the kubectl that adds the approval to the spec as it was read, and to no later one."""
    metadata, given = found.version.metadata, found.given.dump()
    there = bool(found.version.spec.approvals)
    steps = [
        {"op": "test", "path": "/metadata/generation", "value": metadata.generation},
        {"op": "add", "path": "/spec/approvals" + ("/-" if there else ""), "value": given if there else [given]},
    ]
    patch = json.dumps(steps, ensure_ascii=False)
    return ["patch", _RESOURCE, metadata.name, "-n", metadata.namespace, "--type", "json", "-p", patch]


def _change(found: ToApprove) -> Manifest:
    metadata = found.version.metadata
    given = [*found.version.spec.approvals, found.given]
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelVersion",
        "metadata": {"name": metadata.name, "namespace": metadata.namespace},
        "spec": {"approvals": [each.dump() for each in given]},
    }


def _summary(found: ToApprove) -> str:
    given = found.given
    return f"{found.version.metadata.name} is approved in {given.stage} by {given.user}: {given.artifact}"
