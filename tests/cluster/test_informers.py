"""What kopf does while nothing changes: nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import kopf
import pytest
from kopf._cogs.aiokits.aiotoggles import ToggleSet
from kopf._cogs.structs.references import Insights
from kopf._core.engines.peering import Identity
from kopf._core.reactor import orchestration

from mlops.cluster.informers import _Revised


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
        insights = Insights(revised=_Revised())
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
