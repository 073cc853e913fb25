"""An export is held against scikit-learn also on rows that held-out data has none of."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import polars as pl
import pytest

from mlops.workloads.floor.model.answer import Answer
from mlops.workloads.floor.model.engines import SklearnEngine
from mlops.workloads.floor.model.signature import ModelColumn, Signature
from mlops.workloads.train import export
from mlops.workloads.train.unusual import UNSEEN, Unusual, unusual_rows
from tests.workloads.train.runs import Place, a_frame

COLUMNS = tuple(
    ModelColumn.model_validate({"name": name, "type": kind})
    for name, kind in {"x": "float64", "n": "int64", "s": "string", "b": "boolean"}.items()
)
SIGNATURE = Signature.model_validate(
    {
        "task": "regression",
        "format": "skops",
        "inputs": [{"name": "x", "type": "float64", "nullable": False}],
        "columns": [{"name": "x", "type": "float64"}],
        "label": {"name": "y", "type": "float64"},
        "estimator": {"name": "LinearRegression"},
        "encoding": {"numbers": [{"column": "x"}]},
        "tolerance": "1e-9",
    }
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


class _Refusing:
    """A regressor of scikit-learn's shape that sums, raises for some values, and overflows for others."""

    def __init__(self, raises: set[float], overflows: set[float]) -> None:
        self._raises, self._overflows, self.calls = raises, overflows, 0

    def predict(self, matrix: Any) -> Any:
        self.calls += 1
        if np.isin(matrix, list(self._raises)).any():
            raise ValueError("Input X contains a value that is refused")
        return np.where(np.isin(matrix, list(self._overflows)).any(axis=1), np.inf, matrix.sum(axis=1))


def _rows_of(count: int, raises: set[float], overflows: set[float]) -> tuple[_Refusing, list[int], Answer | None]:
    """Return the estimator, the rows 0.0, 1.0, ... that it is found to answer, and what with."""
    estimator = _Refusing(raises, overflows)
    columns = {"x": np.arange(count, dtype=np.float64)}
    found = export._answered(SIGNATURE, estimator, Unusual(columns, tuple(f"x {row}" for row in range(count))))
    if found is None:
        return estimator, [], None
    assert found[0].words == tuple(f"x {row:.0f}" for row in found[0].columns["x"])
    return estimator, [int(row) for row in found[0].columns["x"]], found[1]


@pytest.mark.parametrize(
    ("raises", "overflows", "most"),
    [
        pytest.param(set(), set(), 2, id="none is refused"),
        pytest.param({1234.0}, set(), 30, id="one raises"),
        pytest.param({0.0, 1500.0, 2999.0}, {7.0}, 80, id="first, middle and last raise, another overflows"),
        pytest.param(set(), {float(row) for row in range(0, 3000, 2)}, 2, id="every second overflows"),
    ],
)
def test_the_rows_that_are_not_refused_are_found_with_few_calls(
    raises: set[float], overflows: set[float], most: int
) -> None:
    """A thousand columns have 3,000 such rows, and one of them must not take 3,000 calls."""
    estimator, rows, answer = _rows_of(3000, raises, overflows)
    assert rows == [row for row in range(3000) if row not in raises | overflows]
    assert answer is not None
    assert answer.values.tolist() == rows
    assert estimator.calls <= most


def test_an_estimator_that_refuses_many_rows_is_not_asked_forever(caplog: pytest.LogCaptureFixture) -> None:
    """What is found until then is compared, and what is not is told."""
    with caplog.at_level("INFO", logger="mlops.workloads"):
        estimator, rows, _ = _rows_of(3000, {float(row) for row in range(0, 3000, 2)}, set())
    assert estimator.calls <= export.MAX_CALLS + 1
    assert len(rows) > 100
    assert rows == list(range(1, 2 * len(rows), 2))
    assert re.search(r"export: \d+ of 3000 unusual rows are not compared", caplog.text)


def test_of_rows_that_are_all_refused_none_is_compared() -> None:
    assert _rows_of(5, {0.0, 1.0, 2.0, 3.0, 4.0}, set())[1:] == ([], None)


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
