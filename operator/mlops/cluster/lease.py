"""Which of several operators may write: a `coordination.k8s.io/v1` Lease, held by at most one of them at a time."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from datetime import UTC, datetime
from random import Random
from typing import Protocol

from mlops.engine.cluster import ClusterError, Conflict
from mlops.planning.plan import Manifest

log = logging.getLogger(__name__)


class LeaseLost(Exception):
    """The Lease was held and is no more: whoever goes on writing may not be the only one."""


class LeaseApi(Protocol):
    """The one Lease object. Every verb raises a ClusterError if it was not done, or if that is not known."""

    async def get(self) -> Manifest | None:
        """Return the Lease as it is on the server, not as a cache remembers it; None if there is none."""

    async def create(self, lease: Manifest) -> Manifest:
        """Make it and return it as stored; raises Conflict (or AlreadyExists) if there is one."""

    async def replace(self, lease: Manifest) -> Manifest:
        """Put it in the place of the one with its resourceVersion and return it as stored; raises Conflict if the
        present one is another, or gone."""


class LeaseClock(Protocol):
    """Two clocks: intervals are judged by the monotonic one, and the wall clock is only shown to people."""

    def monotonic(self) -> float:
        """Return seconds that no one sets back, and that pass while the process is stopped."""

    def now(self) -> datetime:
        """Return the timestamp, in UTC."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The machine's clocks."""

    # On Linux this clock goes on while the whole machine sleeps; CLOCK_MONOTONIC does not.
    _CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

    def monotonic(self) -> float:
        """Return seconds since the machine started."""
        return time.clock_gettime(self._CLOCK)

    def now(self) -> datetime:
        """Return the timestamp, in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class Lease:
    """One candidate for the Lease. `duration`, `renew` and `retry` are seconds, as in client-go's leader election.

    Another's Lease is taken when this candidate itself has seen it unchanged for its duration, or at once when nobody
    holds it; the other's wall clock counts for nothing. The holder counts from when it *sent* its last
    renewal, and only up to `renew`: it stops before anybody else can start, and `duration - renew` is what is left for
    a write that is on its way. One that was paused sees that it is too late before it does anything else.

    A Lease taken or emptied by hand is lost; one that was deleted is made again by its holder. (Deleting it while its
    holder is cut off and a new candidate starts is the one way to have two, for at most `renew`: there is nothing left
    that the new one could know.)
    """

    def __init__(
        self,
        api: LeaseApi,
        *,
        namespace: str,
        name: str,
        identity: str,
        duration: float = 15.0,
        renew: float = 10.0,
        retry: float = 2.0,
        clock: LeaseClock | None = None,
        random: Random | None = None,
    ) -> None:
        if not retry < renew < duration:
            raise ValueError(f"a lease needs retry < renew < duration, not {retry}, {renew}, {duration}")
        if not identity:
            raise ValueError("a lease needs an identity: an empty one means that nobody holds it")
        self.identity = identity
        self._api, self._namespace, self._name = api, namespace, name
        self._duration, self._renew, self._retry = duration, renew, retry
        self._clock, self._random = clock or SystemClock(), random or Random()
        self._held_until = -math.inf
        # The Lease as last seen or written, and since when its spec has been what it is.
        self._present: Manifest | None = None
        self._unchanged_since = -math.inf
        self._tried = self._lost = self._released = False
        self._acquired = asyncio.Event()
        # A renewal that arrives after the release would take the Lease again.
        self._writing = asyncio.Lock()

    @property
    def held(self) -> bool:
        """Return whether this process may write now: nobody else can have the Lease. Ask right before each write."""
        return self._clock.monotonic() < self._held_until

    @property
    def holder(self) -> str:
        """Return who held it when it was last read, for logs and metrics; empty if nobody did."""
        return _holder(self._present)

    async def run(self) -> None:
        """Acquire the Lease, however long it takes, and renew it until it is released.

        Raises LeaseLost once it was held and is no more; this object does not take part any longer then.
        """
        while not self._released and not self.held:
            wait = await self._try()
            if not self.held:
                await self._clock.sleep(wait)
        if not self._released:
            log.info("holds Lease %s/%s as %s", self._namespace, self._name, self.identity)
            self._acquired.set()
        while not self._released:
            await self._clock.sleep(max(0.0, min(self._retry, self._held_until - self._clock.monotonic())))
            # Before anything is sent: a process that was stopped wakes up here.
            self._check_held()
            if not self._released:
                await self._try()
                self._check_held()

    async def acquired(self) -> None:
        """Wait until the Lease is held."""
        await self._acquired.wait()

    async def release(self) -> None:
        """Give the Lease up, so that another candidate has it at its next attempt; `held` is false from now on.

        Takes at most `retry` seconds. If the cluster cannot be told, the others wait for the Lease to run out.
        """
        self._released, self._held_until = True, -math.inf
        if self._lost or not self._tried:
            return
        try:
            async with asyncio.timeout(self._retry), self._writing:
                await self._empty()
        except (ClusterError, TimeoutError) as error:
            log.warning("Lease %s/%s was not released, it runs out: %s", self._namespace, self._name, error)

    def _check_held(self) -> None:
        if not self._released and not self.held:
            self._lost = True
            holder = f", {self.holder} has it" if self.holder not in ("", self.identity) else ""
            raise LeaseLost(f"Lease {self._namespace}/{self._name} is lost to {self.identity}{holder}")

    async def _try(self) -> float:
        """Acquire or renew once; returns the seconds after which the next try may help."""
        try:
            # A connection that swallows everything must leave time for a second try before the renew deadline.
            async with asyncio.timeout(self._renew / 2), self._writing:
                # What was written last is most likely still there: one request instead of two.
                if not (self.held and self._present and await self._write()):
                    self._see(await self._api.get())
                    await self._take_if_free()
        except (ClusterError, TimeoutError) as error:
            log.warning("%s", str(error) or f"Lease {self._namespace}/{self._name}: no answer in time")
        # Never longer than `retry`, so that a Lease that is given up has a new holder by then.
        pause = self._retry * (0.75 + 0.25 * self._random.random())
        left = self._runs_out() - self._clock.monotonic()
        return min(pause, left) if left > 0 else pause

    async def _take_if_free(self) -> None:
        if self.held and self._present is not None and self.holder != self.identity:
            # Taken or emptied by hand, for nobody else can have done it while this one held it: over at once.
            self._held_until = -math.inf
            return
        if self.held or self._runs_out() <= self._clock.monotonic():
            await self._write()

    def _runs_out(self) -> float:
        """Return the timestamp of the monotonic clock from which on this candidate may take the Lease."""
        spec = (self._present or {}).get("spec") or {}
        if spec.get("holderIdentity", "") in ("", self.identity):
            return -math.inf
        return self._unchanged_since + float(spec.get("leaseDurationSeconds") or self._duration)

    def _see(self, lease: Manifest | None) -> None:
        """Take in what the server has. A Lease that was deleted says nothing about its holder, who may still write:
        that one is remembered until it would have run out."""
        now = self._clock.monotonic()
        if lease is None:
            if self.holder == self.identity or self._runs_out() <= now:
                self._present = None
            else:
                self._present = {"spec": (self._present or {}).get("spec")}
            return
        if self._present is None or self._present.get("spec") != lease.get("spec"):
            self._unchanged_since = now
        self._present = lease

    async def _write(self) -> bool:
        """Put this candidate's name and the time into the Lease that was seen; returns False if it has changed."""
        if self._released:
            return True
        sent = self._clock.monotonic()
        self._tried = True
        try:
            stored = await self._store(self._renewed())
        except Conflict:
            return False
        self._see(stored)
        self._held_until = sent + self._renew
        return True

    async def _empty(self) -> None:
        """Take this candidate's name out of the Lease, if it stands there."""
        for _ in range(2):
            if self.holder == self.identity:
                spec = {**(self._present or {})["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
                spec["renewTime"] = _micro_time(self._clock.now())
                try:
                    await self._api.replace({**(self._present or {}), "spec": spec})
                except Conflict:
                    pass
                else:
                    log.info("released Lease %s/%s", self._namespace, self._name)
                    return
            # A write that was cut off may have been carried out.
            self._present = await self._api.get()

    async def _store(self, lease: Manifest) -> Manifest:
        if "resourceVersion" in lease["metadata"]:
            return await self._api.replace(lease)
        return await self._api.create(lease)

    def _renewed(self) -> Manifest:
        now = _micro_time(self._clock.now())
        present = self._present or {}
        metadata = present.get("metadata") or {"namespace": self._namespace, "name": self._name}
        before = present.get("spec") or {}
        transitions = int(before.get("leaseTransitions") or 0)
        acquired = before.get("acquireTime")
        if before.get("holderIdentity") != self.identity:
            acquired = now
            transitions += 1 if before else 0
        spec = {
            **before,
            "holderIdentity": self.identity,
            "leaseDurationSeconds": math.ceil(self._duration),
            "acquireTime": acquired or now,
            "renewTime": now,
            "leaseTransitions": transitions,
        }
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


def _holder(lease: Manifest | None) -> str:
    return str(((lease or {}).get("spec") or {}).get("holderIdentity") or "")


def _micro_time(timestamp: datetime) -> str:
    """Return the timestamp in Kubernetes' MicroTime format."""
    return timestamp.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
