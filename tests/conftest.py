"""Which fixtures there are, and which tests `make check` leaves to `make test`."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["tests.servers.s3", "tests.servers.apiserver", "tests.servers.databases", "tests.tracebacks"]

_TESTS = Path(__file__).parent
# Real processes, servers and fitted models, or statistics over thousands of draws: worth their seconds, but not at
# every save of a file.
_THOROUGH = (
    "bad_input",
    "chart",
    "cli",
    "cluster/",
    "e2e",
    "gitops",
    "kstatus",
    "local",
    "api/test_patterns.py",
    "planning/monitor/test_retrain_chain.py",
    "planning/test_any_history.py",
    "planning/test_history_replay.py",
    "planning/test_loop.py",
    "planning/test_properties.py",
    "planning/test_ways_back.py",
    "planning/test_ways_out.py",
    "servers",
    "simulation",
    "statistics/test_bootstrap.py",
    "statistics/test_calibration.py",
    "statistics/test_reproducibility.py",
    "statistics/test_sequential.py",
    "statistics/test_two_sample.py",
    "store/test_artifacts.py",
    "store/test_faults.py",
    "deliveries",
    "workloads/analysis",
    "workloads/attacks",
    "workloads/drift",
    "workloads/ingest",
    "workloads/floor/expressions/test_oracle.py",
    "workloads/floor/expressions/test_same_bits.py",
    "workloads/floor/isolation",
    "workloads/floor/model/test_lone_rows.py",
    "workloads/floor/records",
    "workloads/score",
    "workloads/serve",
    "workloads/test_exact_numbers.py",
    "workloads/test_no_skew.py",
    "workloads/train",
)
# What in those folders takes next to no time: `make check` has it too.
_QUICK = ("workloads/drift/test_check_types.py", "workloads/serve/test_recorder_room.py")
# What `make test` leaves to `make test-full`: minutes of faults (also `make test-faults`), and what needs a program
# that takes minutes to build.
_LONG = (
    "bad_input/test_conditions.py",
    "cluster_faults/test_api_faults.py",
    "cluster_faults/test_server_faults.py",
    "cluster_faults/test_storms.py",
    "cluster_faults/test_two_replicas.py",
    "e2e_cluster/test_controllers_fidelity.py",
    "faults_on_cluster",
    "gitops/test_health.py",
    "kstatus/test_states.py",
)
# What takes minutes comes first: two workers that share the files then end at about the same time.
_LONGEST = ("e2e/test_examples.py", "e2e/test_weather_control.py", "e2e/test_kill.py", "cluster_faults", "e2e", "local")


def _order(item: pytest.Item) -> int:
    place = item.path.relative_to(_TESTS).as_posix()
    return next((rank for rank, start in enumerate(_LONGEST) if place.startswith(start)), len(_LONGEST))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files again")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not import what is left out anyway: that takes longer than many of the quick tests."""
    if collection_path.suffix != ".py" or not collection_path.is_relative_to(_TESTS):
        return None
    wanted = config.option.markexpr
    left_out = "not thorough" in wanted and _is_thorough(collection_path)
    of_no_cluster = wanted.startswith("cluster") and "mark.cluster" not in collection_path.read_text("utf-8")
    return True if left_out or of_no_cluster else None


def _is_thorough(path: Path) -> bool:
    place = path.relative_to(_TESTS).as_posix()
    return place.startswith(_THOROUGH) and place not in _QUICK


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_order)
    for item in items:
        place = item.path.relative_to(_TESTS).as_posix()
        if _is_thorough(item.path):
            item.add_marker(pytest.mark.thorough)
        if place.startswith(_LONG):
            item.add_marker(pytest.mark.long)
