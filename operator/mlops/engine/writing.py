"""Single writes to the cluster, each only if it changes something."""

from __future__ import annotations

import logging

from mlops.engine import problems
from mlops.engine.cluster import AlreadyExists, Clock, Cluster, ClusterError, Conflict, key_of
from mlops.engine.comparing import covers, essence, marked, short_digest, unconditional
from mlops.engine.events import events_of
from mlops.engine.metrics import LoopMetrics
from mlops.planning.plan import Key, Manifest

log = logging.getLogger(__name__)


class Writing:
    """Writes statuses, children and Events. Raises ClusterError if a write was not done."""

    def __init__(self, cluster: Cluster, clock: Clock, metrics: LoopMetrics) -> None:
        self._cluster, self._clock, self._metrics = cluster, clock, metrics
        # Of children that the cluster makes something else of (a webhook adds a variable): the digests of what was
        # applied, and of what came of it.
        self._made_of: dict[Key, tuple[str, str]] = {}

    async def status(self, key: Key, status: Manifest) -> None:
        """Write a status that differs, and an Event for each condition that is news."""
        seen = self._cluster.get(key)
        if seen is None or (seen.get("status") or {}) == status:
            return
        await self._cluster.write_status(seen, status)
        self._metrics.wrote("status", key.kind)
        for event in events_of(seen, status, self._clock.now()):
            await self.post(event)

    async def post(self, event: Manifest) -> None:
        """Write an Event, if the cluster takes it."""
        try:
            await self._cluster.create(event)
        except ClusterError as error:
            # An Event is news, not state: a lost one is no reason to do the work again.
            log.debug("an Event was not written: %s", error)

    async def apply(self, wanted: Manifest) -> None:
        """Converge a child, unless what is there is wanted, or would come of it again.

        One with a resourceVersion is only written over the object as it was then. Raises Conflict if it has changed.
        """
        key, conditional = key_of(wanted), marked(wanted)
        ours, present = unconditional(conditional), self._cluster.get(key)
        if present is not None and covers(present, ours):
            self._made_of.pop(key, None)
            return
        digest = short_digest(ours)
        if present is not None and self._made_of.get(key) == (digest, essence(present, ours)):
            # Writing it again would end the same.
            return
        applied = await self._cluster.apply(conditional)
        self._metrics.wrote("apply", key.kind)
        if not covers(applied, ours):
            # Of the answer, not of memory: an edit that came meanwhile is to be corrected.
            self._made_of[key] = digest, essence(applied, ours)
            log.warning("%s: the cluster makes something else of what is applied", key)

    async def create(self, wanted: Manifest) -> None:
        """Make a child once. Raises Conflict if its name turns out to be a stranger's."""
        key = key_of(wanted)
        if self._cluster.get(key) is not None:
            return
        try:
            await self._cluster.create(wanted)
        except AlreadyExists as error:
            if problems.check_name(error.present, wanted, converged=False):
                # Memory does not show the stranger yet; the next round finds it there and says so in the status.
                raise Conflict(key, "taken by another object just now") from error
            return
        self._metrics.wrote("create", key.kind)

    async def delete(self, key: Key, uid: str) -> None:
        """Delete the object of this uid, and no later one of its name."""
        present = self._cluster.get(key)
        if present is None or present["metadata"].get("uid") != uid or present["metadata"].get("deletionTimestamp"):
            return
        self._made_of.pop(key, None)
        await self._cluster.delete(key, uid)
        self._metrics.wrote("delete", key.kind)
