"""The order in which an operator's work ends, so that nothing of it arrives after another has begun."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from mlops.cluster.client import Client
from mlops.cluster.events import Events
from mlops.cluster.lease import Lease

log = logging.getLogger(__name__)

_FINISH_SECONDS = 2.5
# What is told at the end waits for nothing longer than this.
_NEWS_SECONDS = 1.0


async def wind_down(writes: Client, events: Events, tasks: Sequence[asyncio.Task[Any]], lease: Lease | None) -> None:
    """Let the writes that are under way end, end the tasks, and give up the Lease.

    No new write may begin any more. The Lease is left to run out if a write may still be on its way.
    """
    events.pause()
    await writes.settle(_FINISH_SECONDS)
    await events.flush(_NEWS_SECONDS)
    quiet = await writes.settle(_NEWS_SECONDS)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    if lease is None:
        return
    if quiet:
        await lease.release()
    else:
        log.warning("the Lease is left to run out: a write that is on its way must not come after another's first")
