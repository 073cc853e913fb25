"""The control of the weather example: without the fault in its data there is nothing to find."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.runs import checks, run

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(1800)]


def test_weather_with_the_fault_repaired_never_sees_a_changed_relation(tmp_path: Path) -> None:
    """The control: the same manifests and days, the columns put right: no ConceptDrift in forty years."""
    text = (EXAMPLES / "weather/scenario.toml").read_text()
    assert "data/stream.parquet" in text
    scenario = tmp_path / "control.toml"
    absolute = text.replace('"data/', f'"{EXAMPLES}/weather/data/')
    scenario.write_text(absolute.replace("stream.parquet", "stream-repaired.parquet"))
    ended = run(EXAMPLES / "weather", tmp_path / "state", "--scenario", str(scenario), timeout=900)
    assert ended.code == 0
    found = checks(tmp_path / "state", "weather")
    assert len(found) > 20
    assert [check for check in found if check["verdict"] == "ConceptDrift"] == []
