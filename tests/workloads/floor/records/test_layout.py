"""What a model server records is read back as it was asked and answered, for every type that an input may have."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import numpy as np
import orjson
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops.api import tasks
from mlops.api.dataset import FieldType
from mlops.api.model_version import Capture
from mlops.store import Store, open_store
from mlops.workloads.floor.model.signature import EstimatorOf, Input, LabelColumn, ModelColumn, Outputs, Signature
from mlops.workloads.floor.records.layout import (
    ARRIVED,
    CONTENT,
    INPUT,
    LABELS,
    PREDICTION,
    PROBABILITY,
    REQUEST,
    captures_prefix,
    feedback_prefix,
    prediction_type,
)
from mlops.workloads.floor.records.reading import Span, labels_of, request_files
from mlops.workloads.serve.capture import CaptureEncoder
from mlops.workloads.serve.captured_rows import CapturedRequest, messages_of
from mlops.workloads.serve.encoder import plan_of
from mlops.workloads.serve.feedback import FeedbackReader, labels_message
from mlops.workloads.serve.feedback_files import FeedbackEncoder
from mlops.workloads.serve.file_names import FileNames
from mlops.workloads.serve.inference import Interface, Parser
from mlops.workloads.serve.tensors import Column

TASK = tasks.ServeTask(
    namespace="shop", model_name="shop", version=2, stage="production", artifact="sha256:" + "0" * 64, capture=Capture()
)
PLACE = (TASK.namespace, TASK.model_name, TASK.stage)
NOON = datetime(2024, 2, 29, 12, tzinfo=UTC)
ALL = Span(NOON - timedelta(days=1), NOON + timedelta(days=1))
_FIRST, _LAST = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp() * 1e6) for year in (1678, 2261))
TYPES: dict[str, tuple[str, pl.DataType, st.SearchStrategy[Any]]] = {
    "float64": ("FP64", pl.Float64(), st.floats(allow_nan=False, allow_infinity=False)),
    "int64": ("INT64", pl.Int64(), st.integers(-(1 << 63), (1 << 63) - 1)),
    "boolean": ("BOOL", pl.Boolean(), st.booleans()),
    "string": ("BYTES", pl.String(), st.text(st.characters(codec="utf-8", exclude_characters="\0"))),
    "timestamp": (
        "BYTES",
        pl.Datetime("us", "UTC"),
        # As a server takes them.
        st.integers(_FIRST, _LAST).map(lambda at: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)),
    ),
}
CLASSES = {"regression": None, "of texts": ("dry", "rain"), "of numbers": (1, 2, 3), "of booleans": (False, True)}


def _signature(kind: str, classes: Any, *, nullable: bool = False) -> Signature:
    return Signature(
        task="regression" if classes is None else "classification",
        format="onnx",
        inputs=(Input(name="x", type=kind, nullable=nullable),),  # type: ignore[arg-type]
        columns=(ModelColumn(name="x", type="float64"),),
        label=LabelColumn(name="y", type="float64"),
        classes=classes,
        estimator=EstimatorOf(name="Ridge"),
        outputs=Outputs(value="value"),
        tolerance="0.00001",
    )


def _written(store: Store, kind: str, values: list[Any], classes: Any) -> list[Any]:
    """Record one request with these values of its one input; return the answers."""
    datatype, _, _ = TYPES[kind]
    sent = [one.isoformat() if isinstance(one, datetime) else one for one in values]
    column = Column("x", kind, nullable=any(one is None for one in values))
    parser = Parser(Interface("shop", 2, "mlops_onnx", (column,), ()), 100, 1 << 20)
    tensor = {"name": "x", "datatype": datatype, "shape": [len(sent)], "data": sent}
    request = parser.parse(json.dumps({"id": "a", "inputs": [tensor]}).encode(), None)
    answers = np.arange(request.rows) % 2
    prediction = answers.astype(float) if classes is None else np.array([classes[one] for one in answers], object)
    table = None if classes is None else np.full((request.rows, len(classes)), 1 / len(classes))
    at = int(NOON.timestamp() * 1e6)
    captured = CapturedRequest("a", request.rows, at, at, request.inputs, prediction, table)
    plan = plan_of(TASK, _signature(kind, classes, nullable=column.nullable), "pod")
    sent = [(document, b"".join(parts)) for document, parts in messages_of([captured])]
    for file in CaptureEncoder(plan, FileNames("pod")).files(sent):
        store.put_object(file.key, file.data)
    return prediction.tolist()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"file://{tmp_path}", {})


def test_every_type_of_an_input_is_tried() -> None:
    assert set(TYPES) == set(get_args(FieldType))


@pytest.mark.parametrize("kind", TYPES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_an_input_is_read_back_as_it_came(kind: str, data: st.DataObject) -> None:
    """In its column, of its type, with its gaps."""
    _, dtype, drawn = TYPES[kind]
    values = data.draw(st.lists(st.none() | drawn, min_size=1, max_size=5))
    with tempfile.TemporaryDirectory() as folder:
        place = open_store(f"file://{folder}", {})
        answers = _written(place, kind, values, None)
        (frame,) = request_files(place, captures_prefix(*PLACE), ALL)
    assert frame[INPUT + "x"].to_list() == values
    assert frame[PREDICTION].to_list() == answers
    recorded = {**REQUEST, INPUT + "x": dtype, PREDICTION: prediction_type(classifies=False), CONTENT: pl.UInt64()}
    assert dict(frame.schema) == recorded
    assert frame["row"].to_list() == list(range(len(values)))
    assert set(frame["time"]) == set(frame[ARRIVED]) == {NOON}


@pytest.mark.parametrize("classes", CLASSES.values(), ids=CLASSES)
def test_answers_and_labels_are_of_one_spelling(store: Store, classes: Any) -> None:
    """What a client says of a row is held against what was answered, so both are read back as the same words."""
    answers = _written(store, "float64", [0.5, 1.5], classes)
    signature = _signature("float64", classes)
    told = [{"id": "a", "row": row, "label": answer} for row, answer in enumerate(answers)]
    later = int(NOON.timestamp() * 1e6) + 1
    labels = FeedbackReader(signature, 10, 1 << 20).read(json.dumps({"labels": told}).encode(), later)
    _, (told_again,) = labels_message(labels)
    for file in FeedbackEncoder(plan_of(TASK, signature, "pod"), FileNames("pod")).files(orjson.loads(told_again)):
        store.put_object(file.key, file.data)
        stored = pl.read_parquet(file.data).schema
        assert {name: stored[name] for name in LABELS} == dict(LABELS)
    (frame,) = request_files(store, captures_prefix(*PLACE), ALL)
    names = [name.removeprefix(PROBABILITY) for name in frame.columns if name.startswith(PROBABILITY)]
    found = labels_of(store, feedback_prefix(*PLACE), ALL, frame, as_text=classes is not None)
    joined = frame.join(found.frame, on=["id", "row"])
    assert joined["label"].to_list() == joined[PREDICTION].to_list()
    assert joined.height == 2
    assert found.unmatched == found.unusable == 0
    if classes is not None:
        assert set(joined["label"]) <= set(names)
        assert len(names) == len(classes)
