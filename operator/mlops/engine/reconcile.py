"""One reconcile of one key: gather, plan, carry out."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from mlops.api.conditions import READY, find
from mlops.api.kinds import InvalidObject
from mlops.api.model_version import ModelVersionStatus
from mlops.engine import problems, waiting
from mlops.engine.claims import Claims
from mlops.engine.cluster import (
    Clock,
    Cluster,
    ClusterError,
    Conflict,
    Invalid,
    NotAllowed,
    Refused,
    key_of,
    owners_of,
)
from mlops.engine.comparing import timeless_digest
from mlops.engine.events import events_of
from mlops.engine.gather import Gatherer
from mlops.engine.metrics import LoopMetrics
from mlops.engine.problems import Problem
from mlops.engine.writing import Writing
from mlops.planning.plan import Key, Manifest, Plan, Status

log = logging.getLogger(__name__)

# A planner of one kind of key, such as `mlops.planning.dataset.planner.plan`; each takes its own view.
Planner = Callable[[Any], Plan]

_RETRY_PROBLEMS = timedelta(seconds=60)
# A missing right or a webhook without an answer is told when it is more than a server's start or a rollout.
_TELL_AFTER = timedelta(seconds=30)
_MOST_NOT_ALLOWED = 10_000


@dataclass(frozen=True)
class _Refusal:
    """The digest of what was wanted at whatever time, why it was refused, and when it is tried again (None: never)."""

    digest: str
    message: str
    again_at: datetime | None = None


class Reconciler:
    """Carries out plans: statuses, then what is converged, then what is created, then what must go."""

    def __init__(
        self,
        cluster: Cluster,
        gatherer: Gatherer,
        planners: Mapping[str, Planner],
        clock: Clock,
        metrics: LoopMetrics,
        claims: Claims | None = None,
    ) -> None:
        self._claims = claims or Claims(cluster, None)
        self._cluster, self._gatherer, self._planners = cluster, gatherer, planners
        self._clock, self._writing = clock, Writing(cluster, clock, metrics)
        # Children that the cluster refused, and since when others are not allowed.
        self._refused: dict[Key, _Refusal] = {}
        self._not_allowed: dict[Key, datetime] = {}
        # Of records that cannot be written: what was told of it.
        self._not_recorded: dict[Key, str] = {}

    async def reconcile(self, key: Key) -> datetime | None:
        """Bring the world of `key` one step closer to its plan; returns when to plan again.

        Raises ClusterError if a write was not done, and whatever a planner's bug raises.
        """
        # Claimed is only where something is to be written: nothing can be in a namespace that is gone.
        if key.kind == "Model" and (invalid := self._gatherer.invalid_versions(key.namespace, key.name)):
            if not await self._claims.holds(key.namespace):
                return self._in_a_minute()
            for manifest, error in invalid:
                await self._refuse(manifest, error)
        mark = self._gatherer.versions.mark(key)
        try:
            view = self._gatherer.view(key)
        except InvalidObject as error:
            present = self._cluster.get(key)
            if present is None:
                return None
            if not await self._claims.holds(key.namespace):
                return self._in_a_minute()
            await self._refuse(present, error)
            return None
        if view is None:
            return None
        if not await self._claims.holds(key.namespace):
            return self._in_a_minute()
        plan = self._planners[key.kind](view)
        try:
            hopeless = await self._carry_out(key, plan)
        except ClusterError:
            self._gatherer.versions.doubt(key)
            raise
        if not hopeless:
            self._gatherer.versions.carried_out(key, mark)
            return plan.requeue_at
        self._gatherer.versions.doubt(key)
        # Somebody else may put it right, with an object that nobody watches.
        return min((at for at in (plan.requeue_at, self._in_a_minute()) if at is not None), default=None)

    def _in_a_minute(self) -> datetime | None:
        """Return when to try again what somebody else may put right; None where the calendar ends before."""
        now = self._clock.now()
        return now + _RETRY_PROBLEMS if datetime.max.replace(tzinfo=UTC) - now >= _RETRY_PROBLEMS else None

    async def _carry_out(self, key: Key, plan: Plan) -> bool:
        """Return whether a child could not be written."""
        records = [child for child in plan.apply if _is_record(key, child)]
        plan = replace(plan, apply=tuple(child for child in plan.apply if not _is_record(key, child)))
        hopeless = self._problems(plan)
        for owner, status in self._with_problems(key, plan, hopeless).items():
            await self._writing.status(owner, self._with_trouble(owner, status).dump())
        failed = []
        for children, write in ((plan.apply, self._writing.apply), (plan.create, self._writing.create)):
            for child in children:
                problem = hopeless.get(key_of(child))
                if (problem is None or problem.due) and (error := await self._write_child(child, write)):
                    failed.append(error)
        for child_key, uid in plan.delete:
            await self._writing.delete(child_key, uid)
        recorded = True
        for record in records:
            # Each goes on where the one before ends: after one that is not written the next would leave a gap.
            recorded = recorded and await self._recorded(record, plan)
        if failed:
            raise failed[0]
        return bool(hopeless) or not recorded

    async def _write_child(
        self, child: Manifest, write: Callable[[Manifest], Awaitable[None]]
    ) -> Conflict | NotAllowed | None:
        """Return why the cluster does not let this child in, if so: that holds up no other one."""
        try:
            await write(child)
        except (Invalid, Refused) as error:
            # Trying an invalid one again cannot help. The next round says so in the status and leaves this child out.
            again_at = self._in_a_minute() if isinstance(error, Refused) else None
            self._refused[key_of(child)] = _Refusal(timeless_digest(child), str(error), again_at)
            return Conflict(key_of(child), f"refused: {error}")
        except NotAllowed as error:
            now = self._clock.now()
            if now - self._not_allowed.setdefault(key_of(child), now) >= _TELL_AFTER:
                # Tried again with every round all the same: it heals without anybody touching the object.
                self._refused[key_of(child)] = _Refusal(timeless_digest(child), str(error), now)
            elif len(self._not_allowed) > _MOST_NOT_ALLOWED:
                self._not_allowed.clear()
            return error
        self._refused.pop(key_of(child), None)
        self._not_allowed.pop(key_of(child), None)
        return None

    async def _recorded(self, record: Manifest, plan: Plan) -> bool:
        """Write what nobody owns, last of all; returns whether that was possible. If not, what serves goes on all the
        same: it is told once, by an Event of each live version, and stands in no condition of theirs."""
        key = key_of(record)
        present = self._cluster.get(key)
        reason, message = problems.NAME_TAKEN, present and problems.check_name(present, record, converged=True)
        if not message:
            try:
                await self._writing.apply(record)
            except (Invalid, Refused) as error:
                reason, message = problems.CHILD_REFUSED, str(error)
        if not message:
            self._not_recorded.pop(key, None)
            return True
        if self._not_recorded.get(key) != message:
            self._not_recorded[key] = message
            log.warning("the history of a model is not recorded: %s", message)
            said = {"type": "Recorded", "status": "False", "reason": str(reason), "message": message}
            live = [
                owner
                for owner, status in plan.statuses.items()
                if isinstance(status, ModelVersionStatus) and status.stages
            ]
            for version in filter(None, map(self._cluster.get, live)):
                for event in events_of(version, {"conditions": [said]}, self._clock.now()):
                    await self._writing.post(event)
        return False

    def _problems(self, plan: Plan) -> dict[Key, Problem]:
        """Return what keeps wanted children from being written, before anything is written: the status says it."""
        found = {}
        for children, converged in ((plan.apply, True), (plan.create, False)):
            for child in children:
                child_key = key_of(child)
                present = self._cluster.get(child_key)
                refused = self._refused.get(child_key)
                if message := present and problems.check_name(present, child, converged=converged):
                    found[child_key] = Problem(child, problems.NAME_TAKEN, str(message))
                elif refused and refused.digest == timeless_digest(child) and (converged or present is None):
                    due = refused.again_at is not None and refused.again_at <= self._clock.now()
                    passing = refused.again_at is not None
                    found[child_key] = Problem(child, problems.CHILD_REFUSED, refused.message, passing, due)
                else:
                    self._refused.pop(child_key, None)
        return found

    def _with_problems(self, key: Key, plan: Plan, hopeless: Mapping[Key, Problem]) -> Mapping[Key, Status]:
        statuses = dict(plan.statuses)
        for problem in hopeless.values():
            for owner in self._whose(key, problem.child):
                present = self._cluster.get(owner)
                if present is not None and owner in statuses:
                    statuses[owner] = problems.with_problem(statuses[owner], present, problem, self._clock.now())
        return statuses

    def _with_trouble(self, owner: Key, status: Status) -> Status:
        ready = find(status.conditions, READY)
        if ready is None or ready.status != "Unknown":
            return status
        trouble, present = waiting.trouble_of(owner, self._cluster), self._cluster.get(owner)
        if trouble is None or present is None:
            return status
        return waiting.with_trouble(status, present, trouble, self._clock.now())

    def _whose(self, key: Key, child: Manifest) -> list[Key]:
        namespace = key_of(child).namespace
        owners = [Key(reference["kind"], namespace, reference["name"]) for reference in owners_of(child)]
        if key.kind != "Model":
            return [key]
        return [owner for owner in owners if owner.kind == "ModelVersion"]

    async def _refuse(self, manifest: Manifest, error: InvalidObject) -> None:
        await self._writing.status(key_of(manifest), problems.refused(manifest, str(error), self._clock.now()))


def _is_record(key: Key, child: Manifest) -> bool:
    """Return whether a child is what is on record of a model: nobody owns it, and nothing depends on it."""
    return key.kind == "Model" and not owners_of(child)
