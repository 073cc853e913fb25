"""A desk with a model on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workloads.score.jobs import ScoringDesk


@pytest.fixture
def desk(tmp_path: Path) -> ScoringDesk:
    return ScoringDesk(tmp_path).with_model()
