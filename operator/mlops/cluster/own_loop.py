"""An event loop that ends although what runs on it does not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import TypeVar

log = logging.getLogger(__name__)

_ROUNDS = 4
_ROUND_SECONDS = 0.5
_Result = TypeVar("_Result")


def run(main: Coroutine[object, object, _Result]) -> _Result:
    """Run `main` on a loop of its own, as asyncio.run does, but with a limit to the time in which the rest ends.

    asyncio.run cancels each task once and waits for as long as it takes. A task that takes that for something else, as
    streams of kopf's may, goes on, and is never cancelled again.
    """
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(main)
    finally:
        _end(loop)
        loop.close()


def _end(loop: asyncio.AbstractEventLoop) -> None:
    for number in range(_ROUNDS):
        left = asyncio.all_tasks(loop)
        if not left:
            break
        if number > 0:
            log.debug("cancelled again: %s", ", ".join(sorted(task.get_name() for task in left)))
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.wait(left, timeout=_ROUND_SECONDS))
    # Generators whose tasks are left are in use, and cannot be closed.
    closing = loop.create_task(loop.shutdown_asyncgens())
    loop.run_until_complete(asyncio.wait({closing}, timeout=_ROUND_SECONDS))
