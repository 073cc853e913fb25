"""Which fixtures there are, and which tests `make check` leaves to `make test`."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["tests.servers.s3", "tests.servers.apiserver"]

_TESTS = Path(__file__).parent
# Real processes, servers and fitted models, or statistics over thousands of draws: worth their seconds, but not at
# every save of a file.
_THOROUGH = (
    "bad_input",
    "cli",
    "e2e",
    "local",
    "planning/test_any_history.py",
    "planning/test_loop.py",
    "servers",
    "statistics/test_bootstrap.py",
    "statistics/test_calibration.py",
    "statistics/test_reproducibility.py",
    "statistics/test_sequential.py",
    "statistics/test_two_sample.py",
    "store/test_artifacts.py",
    "store/test_faults.py",
    "workloads/drift",
    "workloads/ingest",
    "workloads/serve",
    "workloads/train",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        place = item.path.relative_to(_TESTS).as_posix()
        if place.startswith(_THOROUGH):
            item.add_marker(pytest.mark.thorough)
