"""Events in the background: news of what happened must not hold up what happens."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable

from mlops.cluster.client import Client
from mlops.cluster.kinds import collection_of
from mlops.cluster.metrics import OperatorMetrics
from mlops.engine.cluster import FIELD_MANAGER, ClusterError, Conflict, Unavailable, key_of
from mlops.planning.plan import Manifest

log = logging.getLogger(__name__)

# What waits while the API server is slow; older news is dropped for newer.
_MOST_WAITING = 1_000
# Each goes to the same API server as the writes that matter: a few at a time are enough for hundreds a second.
_AT_A_TIME = 4
_AGAIN_SECONDS = 1.0
# Per object, as client-go's recorder does it: so many at once, then one in so many seconds. A run tells 5 things in its
# life and a version 6, so 25 leaves them alone. client-go refills one in 5 minutes; a Dataset or monitor whose schedule
# fires every minute tells 2 to 4 things each time and would be silent after 10 minutes, and it is what people look at.
# One that goes back and forth without end leaves 240 an hour, which is what the API server keeps.
_BURST, _REFILL_SECONDS = 25, 15.0
_MOST_OBJECTS = 4_096


class Events:
    """Takes Events at once and posts them in turn; each that is lost is counted by why.

    `allowed` is asked right before each one is sent: only the holder of the Lease may write.
    """

    def __init__(self, client: Client, allowed: Callable[[], bool], metrics: OperatorMetrics) -> None:
        self._client, self._allowed, self._metrics = client, allowed, metrics
        self._waiting: deque[Manifest] = deque()
        self._busy = 0
        self._news, self._quiet = asyncio.Event(), asyncio.Event()
        self._quiet.set()
        self._paused = False
        self._rates = Rates()

    def add(self, event: Manifest) -> None:
        """Have an Event written soon; never waits and never fails."""
        if not self._rates.take(str(event["regarding"]["uid"]), asyncio.get_running_loop().time()):
            self._lose(event, "rate", "too many of its object")
            return
        if len(self._waiting) >= _MOST_WAITING:
            self._lose(self._waiting.popleft(), "full", "too many wait")
        self._waiting.append(event)
        self._quiet.clear()
        self._news.set()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_A_TIME):
                group.create_task(self._work())

    def pause(self) -> None:
        """Begin with no other one, until `flush`."""
        self._paused = True

    async def flush(self, seconds: float) -> None:
        """Wait until everything was written, at most for `seconds`; what is left then is lost."""
        self._paused = False
        self._news.set()
        try:
            async with asyncio.timeout(seconds):
                await self._quiet.wait()
        except TimeoutError:
            self._paused = True
            while self._waiting:
                self._lose(self._waiting.popleft(), "end", "no time is left")

    async def _work(self) -> None:
        while True:
            while self._paused or not self._waiting:
                self._news.clear()
                await self._news.wait()
            self._busy += 1
            try:
                await self._post(self._waiting.popleft())
            finally:
                self._busy -= 1
                if not self._busy and not self._waiting:
                    self._quiet.set()

    async def _post(self, event: Manifest) -> None:
        """Write one; after a lost connection once more: its name is fixed, so it cannot be there twice."""
        key, query = key_of(event), {"fieldManager": FIELD_MANAGER}
        for last in (False, True):
            if not self._allowed():
                self._lose(event, "lease", "this process does not hold the Lease")
                return
            try:
                await self._client.request(key, "POST", collection_of(key), event, query=query)
            except Conflict:
                log.debug("%s is there already", key)
            except ClusterError as error:
                if isinstance(error, Unavailable) and not last:
                    await asyncio.sleep(_AGAIN_SECONDS)
                    continue
                self._lose(event, "failed", str(error))
            else:
                self._metrics.wrote("create", "Event")
            return

    def _lose(self, event: Manifest, why: str, words: str) -> None:
        self._metrics.event_lost(why)
        log.debug("an Event was not written (%s): %s %s", words, event["reason"], event["regarding"]["name"])


class Rates:
    """A bucket of tokens for each of the objects that told something last."""

    def __init__(self) -> None:
        # By uid: the tokens that were left, and when.
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._left)

    def take(self, uid: str, now: float) -> bool:
        """Return whether the object may tell something at the timestamp `now`, in seconds of any clock."""
        left, since = self._left.pop(uid, (float(_BURST), now))
        left = min(float(_BURST), left + (now - since) / _REFILL_SECONDS)
        good = left >= 1.0
        self._left[uid] = (left - 1.0 if good else left, now)
        if len(self._left) > _MOST_OBJECTS:
            self._left.popitem(last=False)
        return good
