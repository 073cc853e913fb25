"""metrics.json of a user's own container: any value is a number, or is refused by name."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from mlops.workloads.floor.pod import BadInput
from mlops.workloads.train.container import read_metrics

NUMBERS = ("0", "1", "-0.0", "1e308", "1e-400", "true", '"0.5"', '" 7 "', '"1e5"', "null", "[]", "{}", '""', '"x"')
HARD = (
    "1" * 400, "-" + "9" * 4000, "1" * 5000, "1e999", "-1e999", "NaN", "Infinity", '"nan"', '"inf"', '"1e999"',
    f'"{"1" * 400}"', f'"{"1" * 5000}"', '"\\ud800"', '"\\u0000"', '"\u0663"', "[" * 100_000, '{"a":' * 5000,
)  # fmt: skip


@pytest.mark.parametrize("value", [*NUMBERS, *HARD], ids=lambda value: value[:12])
@pytest.mark.parametrize("document", ['{{"test": {{"m": {}}}}}', '{{"test": {}}}', '{{"other": {}}}', "{}"])
def test_any_value_of_a_metric_is_a_number_or_refused(tmp_path: Path, value: str, document: str) -> None:
    """400 digits, half a letter, brackets without end: OutputInvalid, and a message that is short."""
    (tmp_path / "metrics.json").write_text(document.format(value))
    try:
        metrics = read_metrics(tmp_path)
    except BadInput as error:
        said = error
    else:
        assert all(math.isfinite(number) for part in metrics.values() for number in part.values())
        return
    assert said.reason == "OutputInvalid"
    assert len(said.message) < 500


@pytest.mark.parametrize("name", ["", "A", "a b", "a" * 65, "\ud800", "\n", "a\n"])
def test_any_name_of_a_metric_is_one_or_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps({"test": {name: 1}}))
    with pytest.raises(BadInput, match="a metric's name has"):
        read_metrics(tmp_path)
