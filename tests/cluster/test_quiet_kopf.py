"""What of kopf is switched off, so that it stays off."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import kopf
import pytest
from kopf._cogs.aiokits.aiotoggles import ToggleSet
from kopf._cogs.structs.references import Insights
from kopf._core.engines.peering import Identity
from kopf._core.reactor import orchestration

from mlops.cluster import quiet_kopf


def test_no_object_is_copied_or_compared() -> None:
    """There are no handlers of changes: neither what an object was nor how far its handlers are is of any use."""
    persistence = quiet_kopf.settings().persistence
    body = kopf.Body({"metadata": {"name": "a", "annotations": {"kopf.zalando.org/last-handled-configuration": "{}"}}})
    essence = persistence.diffbase_storage.build(body=body)
    assert (essence, persistence.diffbase_storage.fetch(body=body)) == ({}, None)
    assert persistence.progress_storage.clear(essence=essence) is essence


def test_nothing_is_written_into_an_object() -> None:
    """Neither storage leaves anything in a patch."""
    persistence, patch, body = quiet_kopf.settings().persistence, kopf.Patch(), kopf.Body({})
    persistence.diffbase_storage.store(body=body, patch=patch, essence=kopf.BodyEssence())
    persistence.progress_storage.touch(body=body, patch=patch, value="now")
    assert not patch


def test_a_watch_never_runs_out_of_attempts() -> None:
    """A watch that gave up would be gone until all of them begin again."""
    backoffs = quiet_kopf.settings().networking.error_backoffs
    assert all(0 < seconds <= 10 for seconds in itertools.islice(iter(backoffs), 1000))


def test_kopf_adjusts_its_watches_once_for_each_piece_of_news(monkeypatch: pytest.MonkeyPatch) -> None:
    """News from before it began to wait are not missed, and none is heard twice: that was a loop without a pause."""
    adjusted: list[int] = []

    async def adjust(**_: Any) -> None:
        adjusted.append(1)

    monkeypatch.setattr(orchestration, "adjust_tasks", adjust)

    async def processor(**_: Any) -> None:
        raise AssertionError("there is no watch")

    async def tell(insights: Insights) -> None:
        async with insights.revised:
            insights.revised.notify_all()

    async def turns(number: int) -> None:
        for _ in range(number):
            await asyncio.sleep(0)

    async def main() -> None:
        insights = quiet_kopf.insights()
        await tell(insights)
        orchestrator = asyncio.create_task(
            orchestration.orchestrator(
                processor=processor,
                settings=kopf.OperatorSettings(),
                identity=Identity("test"),
                insights=insights,
                operator_paused=ToggleSet(any),
            )
        )
        for told in (1, 2, 3):
            await turns(1000)
            assert len(adjusted) == told
            await tell(insights)
        orchestrator.cancel()
        await asyncio.wait({orchestrator})

    asyncio.run(main())
