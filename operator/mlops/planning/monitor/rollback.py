"""Rolling back: which older versions a check measures, what is asked of the model, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable

from mlops.api import tasks
from mlops.api.conditions import ConditionType, find
from mlops.api.drift_monitor import (
    ROLLS_BACK,
    DriftMonitor,
    DriftMonitorStatus,
    OlderVersion,
    Rollback,
    Verdict,
)
from mlops.api.model_version import ModelVersion
from mlops.planning.approving import is_approved
from mlops.planning.liveness import closed_gates, is_passed_over
from mlops.planning.monitor.target import target_of
from mlops.planning.views import DriftMonitorView

# Of how many older versions a check measures, the newest of them: each is fetched, opened and asked for the window.
MOST_MEASURED = 3


def question(view: DriftMonitorView) -> tasks.RollbackQuestion | None:
    """Return what a check is to find out of older versions; None if no action rolls back, or there is no older one."""
    target, monitor = target_of(view), view.monitor
    when = tuple(dict.fromkeys(v for action in monitor.spec.actions if action.do in ROLLS_BACK for v in action.when))
    if target is None or not when:
        return None
    able = sorted(_able(view, target), key=lambda each: each.spec.version, reverse=True)
    distinct = {str(each.status.artifact): each for each in reversed(able) if each.status.artifact}
    distinct.pop(str(target.status.artifact), None)
    older = sorted(distinct.values(), key=lambda each: each.spec.version, reverse=True)
    if not older:
        return None
    return tasks.RollbackQuestion(
        when=when,
        older=tuple(
            tasks.OlderCandidate(version=each.metadata.name, artifact=str(each.status.artifact))
            for each in older[:MOST_MEASURED]
        ),
        left_out=len(older) - len(older[:MOST_MEASURED]),
    )


def _able(view: DriftMonitorView, target: ModelVersion) -> Iterable[ModelVersion]:
    """Yield the older versions that have served in the stage and may serve there again."""
    stage = view.monitor.spec.target_ref.stage
    for each in view.versions:
        if each.spec.version < target.spec.version and _may_serve(each, stage):
            yield each


def _may_serve(version: ModelVersion, stage: str) -> bool:
    """Return whether a version that has served in the stage may serve there again: the model refuses any other."""
    status, verified = version.status, find(version.status.conditions, ConditionType.ARTIFACT_VERIFIED)
    if version.spec.withdrawn or status.verification is None or (verified and verified.status != "True"):
        return False
    if is_passed_over(version, stage) or all(one.name != stage for one in version.spec.promotion.stages):
        return False
    if not is_approved(version, stage):
        return False
    closed = {name for _, name, _ in closed_gates(version, status.verification)}
    return stage in status.passed_stages and stage not in status.failed_stages and stage not in closed


def asked_of(view: DriftMonitorView, found: OlderVersion, verdict: Verdict, time: str) -> Rollback | None:
    """Return what is asked of the model: that the live version be passed over for the older one; None if either is
    not what the check measured any more."""
    target = target_of(view)
    older = named(view.versions, found.version, found.artifact)
    if target is None or older is None or older.spec.version >= target.spec.version:
        return None
    if target.status.artifact != found.against:
        return None
    return Rollback(
        time=time,
        stage=view.monitor.spec.target_ref.stage,
        version=target.metadata.name,
        artifact=str(target.status.artifact),
        to=older.metadata.name,
        to_artifact=found.artifact,
        reason=f"{verdict}: {compared(found)}",
    )


def compared(found: OlderVersion) -> str:
    """Return the older version against the live one, in words."""
    return (
        f"{found.metric} {found.older} against {found.live} on the same rows, better by {found.gain} "
        f"({found.low} to {found.high})"
    )


def was_undone(view: DriftMonitorView) -> bool:
    """Return whether a person has undone a rollback of the live version: it is not done again."""
    target, stage = target_of(view), view.monitor.spec.target_ref.stage
    return target is not None and any(
        each.stage == stage and each.ended == "Undone" for each in target.status.rolled_back
    )


def named(versions: Iterable[ModelVersion], name: str, artifact: str) -> ModelVersion | None:
    """Return the version of that name, if it is that model."""
    same = (each for each in versions if each.metadata.name == name)
    return next((each for each in same if each.status.artifact == artifact), None)


def rollback_followed(
    monitor: DriftMonitor, status: DriftMonitorStatus, versions: Iterable[ModelVersion]
) -> DriftMonitorStatus:
    """Return the status with what came of the rollback that is under way. A run of the same action is made after it:
    its champion is the version that serves then."""
    asked = status.rollback
    if asked is None:
        return status
    done = _outcome(asked, list(versions), stage_is=monitor.spec.target_ref.stage)
    if done is None:
        return status
    last = status.last_action
    if last is not None and last.time == asked.time and last.outcome == "Pending":
        if last.kind == "Rollback":
            status = status.evolve(last_action=last.evolve(outcome="RolledBack" if done else "Failed"))
        elif not done:
            # The run is made all the same; nothing serves again.
            status = status.evolve(last_action=last.evolve(version=None))
    return status.evolve(rollback=None)


def _outcome(asked: Rollback, versions: list[ModelVersion], *, stage_is: str) -> bool | None:
    """Return whether the version was passed over, or cannot be; None while that is open."""
    version = named(versions, asked.version, asked.artifact)
    older = named(versions, asked.to, asked.to_artifact)
    if version is None or asked.stage != stage_is:
        return False
    serves = asked.stage in version.status.stages
    record = next((each for each in version.status.rolled_back if each.stage == asked.stage), None)
    if record is not None and record.ended is None:
        # Another monitor may have had it passed over for another one.
        return None if serves else (record.to, record.to_artifact) == (asked.to, asked.to_artifact)
    if record is not None and (record.ended == "Undone" or record.time >= asked.time):
        return False
    # Not taken in yet; it will not be once the version does not serve, or the older one cannot.
    return None if serves and older is not None and _may_serve(older, asked.stage) else False
