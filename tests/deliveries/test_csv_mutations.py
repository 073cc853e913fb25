"""Mutated deliveries whose ragged rows are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deliveries.mutated import check_mutated_deliveries


def test_rows_delivered_are_rows_kept_and_put_aside_or_the_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_mutated_deliveries(tmp_path, monkeypatch, "Refuse")
