from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlops.local.clock import VirtualClock
from tests.engine.objects import NotedCluster


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(datetime(2026, 3, 1, 12, 0, tzinfo=UTC))


@pytest.fixture
def cluster(tmp_path: Path, clock: VirtualClock) -> Iterator[NotedCluster]:
    cluster = NotedCluster(tmp_path / "state", clock)
    yield cluster
    cluster.records.close()
