"""One encoding, two renderings: numpy and ONNX give the same bits."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops.workloads.floor.model.encoding import Encoder, width
from mlops.workloads.floor.model.onnx_graph import MATRIX, encoding_graph
from mlops.workloads.floor.model.signature import Encoding, NumberEncoding, TextEncoding

CATEGORIES = ("blue", "green", "red")
ENCODING = Encoding(
    numbers=(
        NumberEncoding(column="a", fill=0.1, mean=0.3, scale=1.7),
        NumberEncoding(column="b"),
        NumberEncoding(column="label", fill=-2.0),
    ),
    flags=("a", "label"),
    texts=(
        TextEncoding(column="plain", kind="onehot", categories=CATEGORIES),
        TextEncoding(column="full", kind="onehot", categories=CATEGORIES, other=True, missing=True),
        TextEncoding(column="ordinal", kind="ordinal", categories=CATEGORIES, unknown=-1.0),
        TextEncoding(column="with_nan", kind="ordinal", categories=CATEGORIES),
    ),
)
NUMBERS = st.one_of(st.floats(), st.sampled_from([np.nan, np.inf, -np.inf, 1e308, 3.5e38, -3.4e38, 0.0]))
TEXTS = st.one_of(
    st.sampled_from([*CATEGORIES, "", None, "unseen"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5),
)


def _texts(values: list[str | None]) -> np.ndarray[Any, Any]:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


@pytest.fixture(scope="module")
def session() -> onnxruntime.InferenceSession:
    """The encoding as a graph."""
    return onnxruntime.InferenceSession(
        encoding_graph(ENCODING, double=True).SerializeToString(), providers=["CPUExecutionProvider"]
    )


@settings(deadline=None, max_examples=60)
@given(rows=st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS, TEXTS, TEXTS, TEXTS, TEXTS), min_size=1, max_size=8))
def test_numpy_and_onnx_give_the_same_bits(session: onnxruntime.InferenceSession, rows: list[tuple[Any, ...]]) -> None:
    """Treelite and skops see through numpy what ONNX sees in its graph, for any number and any text."""
    names = ["a", "b", "label", "plain", "full", "ordinal", "with_nan"]
    columns = {
        name: np.array(column) if place < 3 else _texts(list(column))
        for place, (name, column) in enumerate(zip(names, zip(*rows, strict=True), strict=True))
    }
    feeds = {
        name: (_texts([one or "" for one in column]) if column.dtype == object else column.astype(np.float64)).reshape(
            -1, 1
        )
        for name, column in columns.items()
    }
    matrix = Encoder(ENCODING).matrix(columns)
    assert matrix.shape == (len(rows), width(ENCODING))
    assert np.array_equal(matrix, session.run([MATRIX], feeds)[0], equal_nan=True)


def test_unseen_and_missing_texts_have_the_slots_they_were_given() -> None:
    """Zeros without slots; `other` and `missing` with them."""
    values = _texts(["red", "unseen", None, ""])
    matrix = Encoder(Encoding(texts=ENCODING.texts[:2])).matrix({"plain": values, "full": values})
    assert matrix[:, :3].tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert matrix[:, 3:].tolist() == [[0, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1]]


def test_reading_an_onnx_model_imports_neither_scikit_learn_nor_polars() -> None:
    """A server's memory and start-up time are its model's, not the trainer's."""
    code = (
        "import sys; import mlops.workloads.floor.model.predictor, mlops.workloads.floor.model.onnx_engine, "
        "mlops.workloads.floor.model.treelite_engine; "
        "print([name for name in ('sklearn', 'skops', 'skl2onnx', 'polars') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
