"""A store and data sets for training tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workloads.train.runs import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A store on disk."""
    return Place(tmp_path)


@pytest.fixture
def dataset(place: Place) -> str:
    """The default data set in it."""
    return place.dataset()
