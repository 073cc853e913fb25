"""Tables as kubectl shows them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mlops.cli.tables import age, aligned, kinds_of, printable, rows, value_at

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("words", "want"),
    [
        pytest.param("dset", ["Dataset"], id="short name"),
        pytest.param("Datasets,trun", ["Dataset", "TrainingRun"], id="plural and short name"),
        pytest.param("dmon,driftmonitor", ["DriftMonitor"], id="twice the same"),
        pytest.param("all", ["Dataset", "TrainingRun", "ModelVersion", "DriftMonitor"], id="all"),
    ],
)
def test_kinds_have_several_names(words: str, want: list[str]) -> None:
    """As in kubectl."""
    assert kinds_of(words) == want


@pytest.mark.parametrize(
    ("timestamp", "want"),
    [
        pytest.param("2026-01-31T11:59:55Z", "5s", id="seconds"),
        pytest.param("2026-01-31T11:57:00Z", "3m", id="minutes"),
        pytest.param("2026-01-31T02:00:00Z", "10h", id="hours"),
        pytest.param("2026-01-01T12:00:00Z", "30d", id="days"),
        pytest.param("2020-01-01T12:00:00Z", "6y", id="years"),
        pytest.param("2026-02-01T12:00:00Z", "0s", id="a clock that is ahead"),
        pytest.param(None, "<unknown>", id="unknown"),
    ],
)
def test_ages_are_short(timestamp: str | None, want: str) -> None:
    """One unit."""
    assert age(timestamp, NOW) == want


def test_a_column_finds_its_value() -> None:
    """Paths and conditions; what is not there is nothing."""
    manifest = {"status": {"version": 7, "conditions": [{"type": "Ready", "status": "True"}]}}
    assert value_at(manifest, ".status.version") == 7
    assert value_at(manifest, ".status.conditions[?(@.type=='Ready')].status") == "True"
    assert value_at(manifest, ".status.conditions[?(@.type=='Stalled')].status") is None
    assert value_at({"status": "odd"}, ".status.version") is None


def test_wide_tables_have_more_columns() -> None:
    """Priority 1 shows with -o wide only; a digest is cut to what tells it from others."""
    manifest = {"kind": "Dataset", "metadata": {"name": "x"}, "status": {"version": 1, "digest": "sha256:" + "a" * 64}}
    narrow, wide = rows("Dataset", [manifest], NOW), rows("Dataset", [manifest], NOW, wide=True)
    assert "DIGEST" not in narrow[0]
    assert wide[1][wide[0].index("DIGEST")] == "sha256:" + "a" * 12


def test_values_of_the_data_do_not_steer_the_terminal() -> None:
    """A message may quote a value: line ends and escapes are shown, not obeyed."""
    assert printable("a\nb\x1b[31mc\x00é") == "a\\nb\\x1b[31mc\\x00é"
    assert aligned([["A", "B"], ["x\ny", "z"]]) == "A      B\nx\\ny   z"
