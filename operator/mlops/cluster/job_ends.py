"""A Job's end is told together with its pod's, which says what came of it.

Jobs and Pods come over two watches, and after an outage one of them is back seconds before the other. Whoever saw a
Job that is complete and no pod would take the report for lost, and have the work done again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from random import Random

from mlops.cluster.client import Client
from mlops.cluster.kinds import WATCHED
from mlops.cluster.memory import Memory
from mlops.engine.cluster import ClusterError, key_of
from mlops.engine.routes import JOB_NAME
from mlops.planning.plan import Key, Manifest

log = logging.getLogger(__name__)

_AGAIN_SECONDS = 2.0
# A thousand Jobs may end at once; their pods must not take every connection from the writer.
_AT_A_TIME = 4


class JobEnds:
    """Looks up the pods of Jobs whose end memory has put aside, and gives it both."""

    def __init__(self, client: Client, memory: Memory, *, random: Random | None = None) -> None:
        self._client, self._memory = client, memory
        self._random = random or Random()
        self._ended: asyncio.Queue[Manifest] = asyncio.Queue()
        self._asked: set[str] = set()
        self._places = asyncio.Semaphore(_AT_A_TIME)

    def start(self) -> None:
        """From now on Jobs do not end without their pods."""
        self._memory.put_ends_aside(self._put)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            async for job in self._jobs():
                group.create_task(self._follow(job))

    async def _jobs(self) -> AsyncIterator[Manifest]:
        while True:
            yield await self._ended.get()

    def _put(self, job: Manifest) -> None:
        if (uid := str(job["metadata"]["uid"])) not in self._asked:
            self._asked.add(uid)
            self._ended.put_nowait(job)

    async def _follow(self, job: Manifest) -> None:
        _, namespace, name = key_of(job)
        pod, about = WATCHED["Pod"], Key("Pod", namespace, "")
        selector = f"{pod.selector},{JOB_NAME}={name}"
        while True:
            try:
                # Not from a cache: the pod's end was on record before the Job's.
                async with self._places:
                    if not self._memory.lacks_its_pod(job):
                        break
                    query = {"labelSelector": selector}
                    found = await self._client.request(about, "GET", pod.path(namespace), query=query)
                for item in found.get("items") or ():
                    self._memory.take({"apiVersion": pod.api_version, "kind": pod.kind, **item})
                break
            except ClusterError as error:
                log.warning("cannot list the pods of Job %s/%s: %s", namespace, name, error)
                await asyncio.sleep(_AGAIN_SECONDS * self._random.uniform(0.5, 1.0))
        # A pod that is gone by now is lost, and so is its report.
        self._memory.take(job, ended=True)
        self._asked.discard(str(job["metadata"]["uid"]))
