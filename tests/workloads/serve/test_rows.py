"""A request of one row goes a way of its own, and nobody can tell: the same values, the same bytes, the same words."""

from __future__ import annotations

import asyncio
import json
import math
import struct
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops.workloads.floor.model.lone_rows import LoneRows, RowAnswer, lone_rows, rows_of
from mlops.workloads.floor.model.opening import open_checked
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.serve.answer_writer import AnswerWriter
from mlops.workloads.serve.captured_rows import ROW_BYTES, packed
from mlops.workloads.serve.errors import RequestError
from mlops.workloads.serve.inference import InferenceRequest, Interface, Parser
from mlops.workloads.serve.line import Line
from mlops.workloads.serve.row_request import RowRequest
from mlops.workloads.serve.rows import Asked, RowBatches
from mlops.workloads.serve.tensors import Column
from tests.workloads.serve.models import rows
from tests.workloads.serve.servers import request_of
from tests.workloads.serve.test_bad_requests import JSON_VALUES

COLUMNS = (
    Column("a", "float64", True),
    Column("b", "int64", True),
    Column("c", "boolean", False),
    Column("d", "string", True),
    Column("e", "timestamp", True),
    Column("f", "float64", False),
)
OUTPUTS = (("prediction", "BYTES", 1), ("probabilities", "FP64", 2))
INTERFACE = Interface("weather", 3, "mlops_onnx", COLUMNS, OUTPUTS, ("dry", "räin"))
PARSER = Parser(INTERFACE, 1000, 1 << 20)
GOOD = {"a": ("FP64", 0.5), "b": ("INT64", 7), "c": ("BOOL", True), "d": ("BYTES", "é"), "f": ("FP64", -0.0)}
FORMS = {"FP64": "<d", "FP32": "<f", "INT64": "<q", "INT32": "<i", "BOOL": "<?"}


def tensor(name: str, datatype: Any, value: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [1], "data": [value]}


def good() -> list[dict[str, Any]]:
    """The tensors of a good request, in the model's order."""
    times = tensor("e", "BYTES", "2024-05-01T00:00:00.000001+02:00")
    made = {name: tensor(name, *one) for name, one in GOOD.items()} | {"e": times}
    return [made[column.name] for column in COLUMNS]


def told(read: Callable[[], Any]) -> Any:
    """What a request says, or what is said of it."""
    try:
        found = read()
    except RequestError as error:
        return error.status, error.message
    row = found.row if isinstance(found, RowRequest) else None
    if row is None:
        if found.rows != 1:
            return found.rows
        (row,) = rows_of(COLUMNS, found.inputs)
    event_time = found.event_time[0] if isinstance(found.event_time, np.ndarray) else found.event_time
    return repr(row), event_time, found.outputs


def agree(document: Any, binary: bytes = b"") -> Any:
    """What both ways of reading say of a request: the same."""
    head = json.dumps(document).encode()
    length = len(head) if binary else None
    found = told(lambda: PARSER.parse_row(head + binary, length))
    assert found == told(lambda: PARSER.parse(head + binary, length))
    return found


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_no_request_is_read_otherwise_because_it_has_one_row(data: st.DataObject) -> None:
    """A good request with something changed, left out, added or in another order; and its error is the same."""
    tensors = data.draw(st.permutations(good())) if data.draw(st.booleans()) else good()
    document: dict[str, Any] = {"id": "a", "inputs": tensors}
    for _ in range(data.draw(st.integers(0, 2))):
        one = data.draw(st.sampled_from(tensors))
        key = data.draw(st.sampled_from(["name", "datatype", "shape", "data", "parameters"]))
        values = {
            "name": st.sampled_from([*GOOD, "e", "x"]),
            "datatype": st.sampled_from([*FORMS, "BYTES", "FP16", "UINT8"]),
            "shape": st.lists(st.integers(0, 2) | st.just(True), max_size=3),
            "data": st.lists(JSON_VALUES | st.floats(allow_nan=False, allow_infinity=False), max_size=2),
            "parameters": st.fixed_dictionaries({"binary_data_size": st.integers(-1, 9)}),
        }
        one[key] = data.draw(values[key] | JSON_VALUES)
    if data.draw(st.booleans()):
        document["parameters"] = data.draw(
            st.fixed_dictionaries(
                {}, optional={"event_time": st.sampled_from(["2024-01-01T00:00:00Z", "x", ["2024-01-01T00:00:00Z"]])}
            )
            | JSON_VALUES
        )
    if data.draw(st.booleans()):
        document["outputs"] = data.draw(st.sampled_from([[], [{"name": "prediction"}], [{"name": "x"}], 1]))
    agree(document)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_binary_request_is_read_otherwise_because_it_has_one_row(data: st.DataObject) -> None:
    """Any of the tensors in binary, good or not."""
    tensors, binary = good(), b""
    for one in tensors:
        if not data.draw(st.booleans()):
            continue
        datatype = data.draw(st.just(one["datatype"]) | st.sampled_from([*FORMS, "BYTES"]))
        (value,) = one.pop("data")
        try:
            raw = struct.pack(FORMS[datatype], value)
        except (KeyError, struct.error):
            text = str(value).encode()
            raw = struct.pack("<I", len(text)) + text
        raw = data.draw(st.just(raw) | st.sampled_from([struct.pack("<d", math.nan), struct.pack("<d", math.inf), b""]))
        one |= {"datatype": datatype, "parameters": {"binary_data_size": len(raw)}}
        binary += raw
    agree({"id": "a", "inputs": tensors}, binary + data.draw(st.sampled_from([b"", b"x"])))


def test_what_is_plain_is_read_as_a_row() -> None:
    """In the model's order and in another, in JSON and in binary; minus zero is zero, a missing number NaN."""
    expected = [0.5, 7, True, "é", 1714514400000001, 0.0]
    tensors = good()
    for order in (tensors, tensors[::-1]):
        found = PARSER.parse_row(json.dumps({"inputs": order}).encode(), None)
        assert isinstance(found, RowRequest)
        assert found.row == expected
        assert math.copysign(1, found.row[-1]) == 1
    for one in tensors[:2] + tensors[3:5]:
        one["data"] = [None]
    missing = PARSER.parse_row(json.dumps({"inputs": tensors}).encode(), None)
    assert isinstance(missing, RowRequest)
    assert repr(missing.row) == "[nan, None, True, None, None, 0.0]"


@settings(max_examples=200, deadline=None)
@given(
    st.text(min_size=1, max_size=20), st.floats(0, 1), st.floats(allow_nan=False, allow_infinity=False), st.booleans()
)
def test_an_answer_to_a_row_has_the_bytes_of_any_answer(identity: str, share: float, value: float, first: bool) -> None:
    """Ids and classes in any letters, numbers to the last digit."""
    try:
        orjson.dumps(identity)
    except TypeError:
        return  # no request has such an id
    table = [share, 1 - share]
    for interface, answer, values in (
        (
            INTERFACE,
            RowAnswer(int(first), table),
            {"prediction": np.array([("dry", "räin")[first]], object), "probabilities": np.array([table])},
        ),
        (
            Interface("w", 1, "x", COLUMNS, (("prediction", "FP64", 1),)),
            RowAnswer(value),
            {"prediction": np.array([value])},
        ),
        (
            Interface("w", 1, "x", COLUMNS, (("prediction", "BOOL", 1),), (False, True)),
            RowAnswer(int(first)),
            {"prediction": np.array([first])},
        ),
    ):
        writer = AnswerWriter(interface)
        for binary in (False, True):
            outputs = tuple((name, binary) for name, _, _ in interface.outputs)
            row = RowRequest(identity, [], None, outputs)
            plain = InferenceRequest(identity, 1, {}, None, outputs)
            assert writer.write_row(row, answer) == writer.write(plain, values)


# Rows of a turn


@pytest.fixture(scope="module")
def lone(model: Path) -> LoneRows:
    """What answers rows of the model of the other tests."""
    loaded = open_checked(model)
    found = lone_rows(loaded.predictor, loaded.golden.inputs, math.inf)
    assert found is not None
    return found


class Taken:
    """What was answered to whom."""

    def __init__(self, lone: Any, line: Line, *, is_quick: bool) -> None:
        self.found: dict[str, Any] = {}
        self.rows = RowBatches(lone, line, lambda asked, answer: (repr(answer).encode(), None), is_quick=is_quick)
        self.rows.answered = self._take

    def _take(self, asked: Asked, found: Any) -> None:
        assert asked.request.id not in self.found
        self.found[asked.request.id] = found

    def ask(self, identity: str, row: Sequence[Any], since: float | None = None) -> None:
        request = RowRequest(identity, list(row), None, ())
        exchange = SimpleNamespace(is_busy=False, is_answered=False)
        self.rows.add(Asked(exchange, request, list(row), 0, time.perf_counter() if since is None else since))

    def statuses(self) -> list[int]:
        return [one.status if isinstance(one, RequestError) else 200 for one in self.found.values()]


def some_rows(number: int) -> list[list[Any]]:
    return [list(one) for one in zip(*(column.tolist() for column in rows(number).values()), strict=True)]


@pytest.mark.parametrize("is_quick", [True, False])
async def test_each_row_of_a_turn_gets_the_answer_it_gets_alone(lone: LoneRows, is_quick: bool) -> None:
    """At once, or in the thread; more than fit in one run too."""
    taken = Taken(lone, Line(1000, 10), is_quick=is_quick)
    asked = some_rows(150)
    for number, row in enumerate(asked):
        taken.ask(str(number), row)
    taken.rows.end_turn()
    while taken.rows.is_busy:
        await asyncio.sleep(0.01)
    alone = {str(number): (repr(lone.answer([row])[0]).encode(), None) for number, row in enumerate(asked)}
    assert taken.found == alone


class Failing:
    """A model that cannot answer some rows, and says so of all that are asked with them."""

    most = 64

    def __init__(self, seconds: float = 0.0) -> None:
        self._seconds = seconds
        self.runs: list[int] = []

    def answer(self, asked: Sequence[Any]) -> list[Any]:
        time.sleep(self._seconds)
        self.runs.append(len(asked))
        return [RowAnswer(one[0]) for one in asked]


async def test_what_waits_for_the_thread_is_answered_in_one_run() -> None:
    """While a slow prediction runs, the rows behind it gather."""
    model = Failing(0.05)
    taken = Taken(model, Line(64, 10), is_quick=False)
    for turn in range(5):
        for number in range(6):
            taken.ask(f"{turn}-{number}", [turn])
        taken.rows.end_turn()
        await asyncio.sleep(0.001)
    while taken.rows.is_busy:
        await asyncio.sleep(0.01)
    assert taken.statuses() == [200] * 30
    assert len(model.runs) <= 3


async def test_nobody_waits_longer_than_the_limit() -> None:
    """Whoever would wait too long is told at once to come again; who was promised an answer gets it in time."""
    line = Line(1000, 0.2)
    model = Failing(0.1)
    model.most = 1
    taken = Taken(model, line, is_quick=False)
    started = time.monotonic()
    for number in range(40):
        taken.ask(str(number), [number])
        taken.rows.end_turn()
        await asyncio.sleep(0.01)
    while taken.rows.is_busy:
        await asyncio.sleep(0.01)
    found = taken.statuses()
    assert set(found) == {200, 503}
    assert time.monotonic() - started < 2
    assert found.count(200) >= 3
    refused = next(one for one in taken.found.values() if isinstance(one, RequestError))
    assert refused.headers == ((b"retry-after", b"1"),)


async def test_a_turn_that_is_late_is_cut_short(lone: LoneRows) -> None:
    """Rows that came so long ago are told so instead of being answered: those behind them are not late then."""
    taken = Taken(lone, Line(64, 0.5), is_quick=True)
    (row,) = some_rows(1)
    taken.ask("late", row, since=time.perf_counter() - 1)
    taken.rows.end_turn()
    taken.ask("in time", row)
    taken.rows.end_turn()
    assert taken.statuses() == [503, 200]


async def test_a_row_that_has_no_answer_takes_none_from_its_neighbours(lone: LoneRows) -> None:
    """It is asked again alone, and told why."""

    class Bad(Failing):
        def answer(self, asked: Sequence[Any]) -> list[Any]:
            raise ValueError("never")

    taken = Taken(Bad(), Line(64, 1), is_quick=True)
    taken.ask("a", [1])
    taken.rows.end_turn()
    assert isinstance(taken.found["a"], ValueError)
    run = lone._run

    def picky(asked: Sequence[Any]) -> Any:
        if any(row[1] == 99 for row in asked):
            raise BadInput("OutputInvalid", "model.onnx: 99")  # type: ignore[arg-type]
        return run(asked)

    lone._run = picky
    try:
        good_row, bad_row = some_rows(1)[0], [*some_rows(1)[0]]
        bad_row[1] = 99
        taken = Taken(lone, Line(64, 1), is_quick=True)
        for name, row in (("a", good_row), ("b", bad_row), ("c", good_row)):
            taken.ask(name, row)
        taken.rows.end_turn()
    finally:
        lone._run = run
    assert taken.statuses() == [200, 422, 200]
    assert taken.found["a"] == taken.found["c"]
    assert "99" in taken.found["b"].message


def test_what_waits_to_be_recorded_takes_what_is_accounted_for() -> None:
    """Within a half more, measured: the buffer of captures is a bound of memory."""
    random, answer = np.random.default_rng(0), RowAnswer(1, [0.25, 0.75])
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = []
        for number in range(2000):
            row = packed(f"{number:040}", 1 << 50, (1 << 50) + number, random.random(20).tolist(), answer)
            # As the recorder keeps it.
            kept.append((row, 1, ROW_BYTES + len(row)))
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 0.5 < taken / sum(size for _, _, size in kept) < 1.5


def test_a_request_document_of_the_other_tests_is_a_row() -> None:
    """What `request_of` makes of one row is the usual request."""
    columns = (
        Column("temperature", "float64", True),
        Column("count", "int64", False),
        Column("windy", "boolean", False),
        Column("colour", "string", True),
    )
    parser = Parser(Interface("weather", 3, "x", columns, OUTPUTS), 10, 1 << 20)
    assert isinstance(parser.parse_row(json.dumps(request_of(rows(1))).encode(), None), RowRequest)
