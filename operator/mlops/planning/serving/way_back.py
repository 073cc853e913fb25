"""The way back by hand: which versions are to be withdrawn so that an older one serves, decided as the planner does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from mlops.api.conditions import READY, find
from mlops.api.model_version import ModelVersion
from mlops.planning.liveness import champion
from mlops.planning.ownership import is_leaving
from mlops.planning.plan import Settings
from mlops.planning.serving import rollout
from mlops.planning.serving.candidates import Candidate, candidates
from mlops.planning.serving.rollback import with_rollbacks
from mlops.planning.serving.traffic import traffic
from mlops.planning.views import ModelView


@dataclass(frozen=True)
class WayBack:
    """What serves in `stage` now, what serves there when these versions are withdrawn, and those, the newest first."""

    stage: str
    current: ModelVersion
    to: ModelVersion
    withdraw: tuple[ModelVersion, ...]


@dataclass(frozen=True)
class NoWayBack:
    """Why there is none, and the way out."""

    message: str


def way_back(versions: Iterable[ModelVersion], now: datetime, to: int | None = None) -> WayBack | NoWayBack:
    """Return the way from the version that is live furthest to version `to`, or to the one that follows by itself.

    `versions` are all of one model.
    """
    present = [each for each in versions if not is_leaving(each)]
    current = champion(present)
    if current is None or current.status.stage is None:
        return NoWayBack("no version of it is live, so there is nothing to go back from")
    if to is not None and (refused := _not_older(present, current, to)) is not None:
        return refused
    stage, withdraw = current.status.stage, list[ModelVersion]()
    while True:
        found = _candidates(present, withdraw, now)
        choice = _wanted(found, stage, now)
        if choice is None or stage in choice.failed or (to is not None and choice.number < to):
            return _refused(found, current, stage, to)
        if choice.number == to or (to is None and choice.number < current.spec.version):
            target = next(each for each in present if each.metadata.name == choice.version.metadata.name)
            return WayBack(stage, current, target, tuple(withdraw))
        withdraw.append(choice.version)


def _not_older(present: list[ModelVersion], current: ModelVersion, to: int) -> NoWayBack | None:
    numbers = sorted({each.spec.version for each in present})
    if to not in numbers:
        return NoWayBack(f"there is no version {to}; there are {', '.join(map(str, numbers))}")
    if to < current.spec.version:
        return None
    if to == current.spec.version:
        return NoWayBack(f"version {to} is what serves: name an older one")
    return NoWayBack(
        f"version {to} is newer than {current.spec.version}, which serves: it serves by itself once it may "
        f"(kubectl describe, or mlops describe, says what is missing)"
    )


def _candidates(present: list[ModelVersion], withdraw: list[ModelVersion], now: datetime) -> list[Candidate]:
    names = {each.metadata.name for each in withdraw}
    versions = tuple(
        each.evolve(spec=each.spec.evolve(withdrawn=True)) if each.metadata.name in names else each for each in present
    )
    view = _view(versions, now)
    return with_rollbacks(view, (rollout.observed(view, each) for each in candidates(view, versions)))


def _wanted(found: list[Candidate], stage: str, now: datetime) -> Candidate | None:
    return traffic(_view(tuple(each.version for each in found), now), found).chosen.get(stage)


def _view(versions: tuple[ModelVersion, ...], now: datetime) -> ModelView:
    """Return the versions without what serves them: who may serve stands in their statuses."""
    of = versions[0]
    uids = frozenset(each.metadata.uid or "" for each in versions)
    model, namespace = of.spec.model_name, of.metadata.namespace
    return ModelView(now, Settings(), namespace, model, versions=versions, present=uids)


def _refused(found: list[Candidate], current: ModelVersion, stage: str, to: int | None) -> NoWayBack:
    older = sorted((each for each in found if each.number < current.spec.version), key=lambda each: -each.number)
    if to is not None:
        older = [each for each in older if each.number == to]
    if not older:
        return NoWayBack(
            f"{current.metadata.name} is the oldest version that there is; make a ModelVersion of an older model "
            "(spec.artifact.digest, with a number above all), which serves as the newest one"
        )
    reasons = "; ".join(f"{each.version.metadata.name} {_why_not(each, stage)}" for each in older[:5])
    return NoWayBack(f"no version could take over in {stage} from {current.metadata.name}: {reasons}")


def _why_not(candidate: Candidate, stage: str) -> str:
    """Return why a version cannot serve in a stage, and what would change that."""
    if candidate.version.spec.withdrawn:
        return "is withdrawn (spec.withdrawn: false brings it back)"
    if stage not in candidate.stages:
        return f"has no stage {stage} (add it to spec.promotion.stages)"
    if (failure := candidate.failures.get(stage)) is not None:
        return f"has failed there, {failure.reason} (mlops retry, or an edit of spec.promotion, tries it again)"
    if candidate.gates is not None and stage in candidate.gates.closed:
        return f"does not pass a gate: {candidate.gates.message} (edit the gate in spec.promotion.stages)"
    if stage in candidate.unapproved:
        return "has no approval there that counts (mlops approve gives one)"
    ready = find(candidate.version.status.conditions, READY)
    return f"is not ready to: {ready.reason}: {ready.message}" if ready else "was not looked at yet"
