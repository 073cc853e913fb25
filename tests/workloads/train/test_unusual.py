"""An export is held against scikit-learn also on rows that held-out data has none of."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pytest

from mlops.workloads.floor.model.answer import Answer
from mlops.workloads.floor.model.engines import SklearnEngine
from mlops.workloads.floor.model.signature import ModelColumn
from mlops.workloads.train import export
from mlops.workloads.train.unusual import UNSEEN, unusual_rows
from tests.workloads.train.runs import Place, a_frame

COLUMNS = tuple(
    ModelColumn.model_validate({"name": name, "type": kind})
    for name, kind in {"x": "float64", "n": "int64", "s": "string", "b": "boolean"}.items()
)
USUAL: dict[str, Any] = {
    "x": np.array([1.0, np.nan, 3.0]),
    "n": np.array([5, 7, 6]),
    "s": np.array(["a", None, "b"], dtype=object),
    "b": np.array([True, False, True]),
}


def test_every_column_is_missing_unseen_and_far_away_once_as_far_as_the_contract_allows() -> None:
    """A required column is never missing; the other columns of the row are usual ones."""
    found = unusual_rows(COLUMNS, USUAL, frozenset({"n", "b"}))
    assert found.words == (
        "x missing", "x far away", "x far away", "n far away", "n far away", "s missing", "s unseen",
    )  # fmt: skip
    assert np.isnan(found.columns["x"][[0, 4]]).all()  # changed, and as it was in the second row
    assert found.columns["x"][1:3].tolist() == [-19.0, 23.0]
    assert found.columns["n"][3:5].tolist() == [-15, 27]
    assert found.columns["n"].dtype == np.int64
    assert found.columns["s"][5:].tolist() == [None, UNSEEN]
    assert found.columns["b"].dtype == np.bool_


def test_whole_numbers_at_the_end_of_their_range_stay_in_it() -> None:
    usual = {"n": np.array([0, (1 << 63) - 1])}
    found = unusual_rows(COLUMNS[1:2], usual, frozenset({"n"}))
    assert found.words == ()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        pytest.param("missing", "a row with demand missing", id="missing"),
        pytest.param("unseen", "a row with region unseen", id="unseen"),
        pytest.param("far away", "a row with demand far away", id="far away"),
    ],
)
def test_a_format_that_is_right_on_held_out_rows_only_is_not_taken(
    place: Place, monkeypatch: pytest.MonkeyPatch, wrong: str, said: str
) -> None:
    """As graphs were that had another answer to what is missing: no held-out row has a gap here."""
    frame = a_frame().with_columns(pl.col("demand").fill_null(0.0), pl.col("region").fill_null("north"))
    real = export.open_engine

    def answering_otherwise(signature: Any, folder: Any) -> Any:
        engine = real(signature, folder)
        if isinstance(engine, SklearnEngine):
            return engine
        return _Otherwise(engine, wrong, float(frame["demand"].abs().max()))  # type: ignore[arg-type]

    monkeypatch.setattr(export, "open_engine", answering_otherwise)
    made = json.loads((place.model(place.run(place.dataset(frame))) / "model.json").read_text())
    assert made["format"] == "skops"
    assert {one["result"] for one in made["export"]["tried"] if one["format"].startswith("onnx")} == {
        f"gives another answer than scikit-learn to {said}"
    }


class _Otherwise:
    """An engine that is wrong about rows of one kind."""

    def __init__(self, engine: Any, wrong: str, most: float) -> None:
        self._engine, self._wrong, self._most = engine, wrong, most

    def run(self, columns: Any) -> Answer:
        answer: Answer = self._engine.run(columns)
        demand = np.asarray(columns["demand"], dtype=np.float64)
        rows = {
            "missing": np.isnan(demand),
            "unseen": columns["region"] == UNSEEN,
            "far away": np.abs(np.nan_to_num(demand)) > 2 * self._most,
        }[self._wrong]
        assert answer.probabilities is not None
        return Answer(answer.values, np.where(rows[:, None], 0.5, answer.probabilities))
