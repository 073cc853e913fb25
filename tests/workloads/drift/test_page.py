"""The report's page on a narrow screen."""

from __future__ import annotations

from mlops.workloads.drift import page


def test_words_of_tables_are_not_broken() -> None:
    """`anywhere` counts as a place to break when a column's width is found: `PredictionDrift` stood in five lines."""
    assert "overflow-wrap:anywhere" not in page._STYLE
    assert "overflow-wrap:break-word" in page._STYLE
    assert ".wide{overflow-x:auto}" in page._STYLE
