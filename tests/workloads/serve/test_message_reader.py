"""A message is read as the request over HTTP that says the same, or refused with the same words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops.workloads.serve.classification import Best
from mlops.workloads.serve.errors import RequestError
from mlops.workloads.serve.inference import InferenceRequest, Interface, Parser
from mlops.workloads.serve.message_reader import MessageReader
from mlops.workloads.serve.message_size import has_more_fields
from mlops.workloads.serve.proto_file import file_of, messages_of
from mlops.workloads.serve.row_request import RowRequest
from mlops.workloads.serve.rpc_methods import SERVICE, proto_text
from mlops.workloads.serve.tensors import TAKEN, Column
from tests.workloads.serve.rpc import CODES, CONTENTS, message_of, messages, raw_of
from tests.workloads.serve.servers import task_of

COLUMNS = (
    Column("a", "float64", True),
    Column("b", "int64", False),
    Column("c", "boolean", False),
    Column("d", "string", True),
    Column("e", "timestamp", True),
)
OUTPUTS = (("prediction", "BYTES", 1), ("probabilities", "FP64", 2))
OWN = messages_of(proto_text())
DATATYPES = sorted({datatype for taken in TAKEN.values() for datatype in taken})
GOOD: dict[str, Any] = {
    "id": "x",
    "inputs": [
        {"name": "a", "datatype": "FP64", "shape": [2], "data": [0.5, -0.0]},
        {"name": "b", "datatype": "INT64", "shape": [2, 1], "data": [3, -4]},
        {"name": "c", "datatype": "BOOL", "shape": [2], "data": [True, False]},
        {"name": "d", "datatype": "BYTES", "shape": [2], "data": ["red", ""]},
        {"name": "e", "datatype": "BYTES", "shape": [2], "data": ["2024-05-01T12:00:00Z", "1969-01-01T00:00:00+01:00"]},
    ],
}


def reader_of(columns: tuple[Column, ...] = COLUMNS, max_rows: int = 10) -> tuple[MessageReader, Parser]:
    """A reader of messages, and what reads the same over HTTP."""
    interface = Interface("weather", 3, "x", columns, OUTPUTS, ("dry", "rain"))
    parser = Parser(interface, max_rows, 1 << 20)
    return MessageReader(task_of("sha256:" + "0" * 64), interface, parser, max_rows, OWN), parser


READER, PARSER = reader_of()


def over_http(document: Mapping[str, Any], *, raw: bool) -> tuple[bytes, int | None]:
    """The body of a document, its tensors in JSON or behind it, and the length of the JSON then."""
    if not raw:
        return json.dumps(document).encode(), None
    tensors, blobs = [], []
    for tensor in document["inputs"]:
        blobs.append(raw_of(tensor["datatype"], tensor["data"]))
        own = {key: tensor[key] for key in ("name", "datatype", "shape")}
        tensors.append(own | {"parameters": {"binary_data_size": len(blobs[-1])}})
    given = {"binary_data_output": True} | document.get("parameters", {})
    head = json.dumps({**document, "inputs": tensors, "parameters": given}).encode()
    return head + b"".join(blobs), len(head)


def told(read: Any, *given: Any) -> Any:
    """What was read, in a form that compares; or the refusal."""
    try:
        found = read(*given)
    except RequestError as error:
        return error.status, error.message
    outputs = tuple(found.outputs)
    if isinstance(found, RowRequest):
        return found.id, repr(found.row), found.event_time, outputs
    inputs = {name: (values.dtype.str, repr(values.tolist())) for name, values in found.inputs.items()}
    times = found.event_time
    return found.id, found.rows, inputs, times.tolist() if isinstance(times, np.ndarray) else times, outputs


def assert_same(document: dict[str, Any], *, raw: bool, reader: MessageReader = READER, parser: Parser = PARSER) -> Any:
    """A message is read as HTTP is, row by row and as columns; returns what that was."""
    message = message_of(document, raw=raw).SerializeToString()
    http = over_http(document, raw=raw)
    assert told(reader.read_row, message) == told(parser.parse_row, *http)
    found = told(reader.read, message)
    assert found == told(parser.parse, *http)
    return found


@pytest.mark.parametrize("raw", [False, True], ids=["typed", "raw"])
@pytest.mark.parametrize("number", [1, 2])
def test_a_message_is_the_request_of_http(number: int, raw: bool) -> None:
    """All types of fields, in all parts: inputs, chosen outputs, parameters."""
    document = GOOD | {
        "inputs": [{**one, "shape": [number], "data": one["data"][:number]} for one in GOOD["inputs"]],
        "parameters": {"event_time": "2024-05-01T00:00:00Z"},
        "outputs": [{"name": "probabilities", "parameters": {"classification": 1}}],
    }
    found = assert_same(document, raw=raw)
    assert found[1] == number
    assert found[-1] == (("probabilities", Best(1, raw)),)


def values_for(datatype: str) -> st.SearchStrategy[Any]:
    """Values that a tensor of this datatype can hold."""
    if datatype == "BYTES":
        return st.sampled_from(["", "red", "2024-05-01T12:00:00Z", "blå"])
    if datatype == "BOOL":
        return st.booleans()
    dtype = np.dtype(CODES[datatype])
    if dtype.kind == "f":
        return st.sampled_from([0.0, -0.0, 1.0, 0.5, 3.0, 1024.0])
    info = np.iinfo(dtype)
    return st.one_of(st.integers(0, 9), st.integers(int(info.min), int(info.max)))


@st.composite
def tensors(draw: Any) -> dict[str, Any]:
    """A tensor, good or bad."""
    datatype, number = draw(st.sampled_from(DATATYPES)), draw(st.integers(0, 3))
    shape = draw(st.sampled_from([[number], [number], [number, 1], [1, number], [number + 1], [], [-1], [20]]))
    name = draw(st.sampled_from("abcdeZ"))
    return {
        "name": name,
        "datatype": datatype,
        "shape": shape,
        "data": draw(st.lists(values_for(datatype), min_size=number, max_size=number)),
    }


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changed=st.lists(tensors(), max_size=2), dropped=st.sets(st.integers(0, 4), max_size=2), raw=st.booleans())
def test_good_or_bad_both_say_the_same(changed: list[dict[str, Any]], dropped: set[int], raw: bool) -> None:
    """Requests with other tensors, left out or there twice: read alike, or refused alike, to the last word."""
    inputs = [one for place, one in enumerate(GOOD["inputs"]) if place not in dropped] + changed
    document = GOOD | {"inputs": inputs}
    is_told_apart = not raw and any(one["datatype"] not in CONTENTS or not one["data"] for one in inputs)
    if inputs and not is_told_apart:
        assert_same(document, raw=raw)


@pytest.mark.parametrize("raw", [False, True], ids=["typed", "raw"])
@pytest.mark.parametrize("datatype", sorted(set(DATATYPES) - {"BOOL", "BYTES"}))
@pytest.mark.parametrize("number", [1, 2])
def test_a_matrix_is_all_inputs(datatype: str, number: int, raw: bool) -> None:
    """In each datatype of numbers."""
    if datatype not in CONTENTS and not raw:
        return
    reader, parser = reader_of(COLUMNS[:3])
    data = [2, 3, 1, 4, 5, 0][: 3 * number]
    document = {"id": "x", "inputs": [{"name": "m", "datatype": datatype, "shape": [number, 3], "data": data}]}
    found = assert_same(document, raw=raw, reader=reader, parser=parser)
    assert found[2]["b"] == ("<i8", repr(data[1::3]))


def test_numbers_that_json_lacks_are_missing_or_refused() -> None:
    """NaN in typed contents is what it is in raw ones."""
    for values, words in (([float("nan"), 1.0], None), ([float("inf"), 1.0], "input 'a' is infinite in row 0")):
        document = GOOD | {"inputs": [{**GOOD["inputs"][0], "data": values}, *GOOD["inputs"][1:]]}
        typed, raw = (told(READER.read, message_of(document, raw=raw).SerializeToString()) for raw in (False, True))
        if words is None:
            assert typed[2] == raw[2]
            assert typed[2]["a"][1] == "[nan, 1.0]"
        else:
            assert typed == raw
            assert typed[1].startswith(words)


def bad(**changes: Any) -> Any:
    """A good message of typed contents, for a change."""
    return message_of(GOOD, raw=False, **changes)


def raw_with_contents() -> Any:
    message = message_of(GOOD, raw=True)
    message.inputs[0].contents.fp64_contents.append(0.5)
    return message


def in_another_field() -> Any:
    message = bad()
    message.inputs[0].contents.ClearField("fp64_contents")
    message.inputs[0].contents.fp32_contents.extend([0.5, 1.0])
    return message


def in_two_fields() -> Any:
    message = bad()
    message.inputs[0].contents.fp32_contents.extend([0.5, 1.0])
    return message


def without_contents() -> Any:
    message = bad()
    message.inputs[1].ClearField("contents")
    return message


def one_raw_too_few() -> Any:
    message = message_of(GOOD, raw=True)
    del message.raw_input_contents[0]
    return message


def no_text() -> Any:
    message = bad()
    message.inputs[3].contents.bytes_contents[1] = b"\xff"
    return message


def too_wide() -> Any:
    message = bad()
    message.inputs[1].datatype = "INT8"
    message.inputs[1].contents.ClearField("int64_contents")
    message.inputs[1].contents.int_contents.extend([1, 300])
    return message


def a_time_that_is_none() -> Any:
    message = bad()
    message.parameters["event_time"].int64_param = 5
    return message


def an_output_in_another_form() -> Any:
    message = bad()
    message.outputs.add(name="prediction")
    message.outputs.add(name="probabilities").parameters["binary_data"].bool_param = True
    return message


@pytest.mark.parametrize(
    ("message", "status", "words"),
    [
        pytest.param(messages.ModelInferRequest(model_name="weather"), 400, 'no list "inputs"', id="no inputs"),
        pytest.param(
            bad(model_name="snow"), 404, "model 'snow' is unknown; this server has 'weather'", id="another model"
        ),
        pytest.param(
            bad(model_version="4"), 404, "version '4' of 'weather' is unknown; this server has 3", id="another version"
        ),
        pytest.param(bad(id="x" * 257), 400, "send a string of 1 to 256 characters", id="long id"),
        pytest.param(raw_with_contents(), 400, "input 'a' has contents beside raw_input_contents", id="both forms"),
        pytest.param(in_another_field(), 400, "input 'a' is FP64, but its values are in fp32_contents", id="field"),
        pytest.param(in_two_fields(), 400, "its values are in fp32_contents, fp64_contents; send", id="two fields"),
        pytest.param(without_contents(), 400, "input 'b' has no values; send contents", id="no values"),
        pytest.param(one_raw_too_few(), 400, "raw_input_contents has 4 entries for 5 inputs", id="raw entries"),
        pytest.param(no_text(), 422, "input 'd' in row 1 is no UTF-8", id="no text"),
        pytest.param(too_wide(), 422, "input 'b' holds a number that INT8 cannot hold", id="number too wide"),
        pytest.param(a_time_that_is_none(), 422, "parameters.event_time is 5; send an RFC 3339", id="event time"),
        pytest.param(an_output_in_another_form(), 400, "binary_data differs among the outputs", id="mixed outputs"),
    ],
)
def test_what_only_a_message_can_do_wrong_is_refused_by_name(message: Any, status: int, words: str) -> None:
    found = told(READER.read_row, message.SerializeToString())
    assert found[0] == status, found
    assert words in found[1]


def test_what_is_no_message_is_refused() -> None:
    assert told(READER.read, b"\xff\xff") == (400, "the message is no inference.ModelInferRequest")


def test_a_small_body_that_takes_much_memory_is_refused_before_it_is_parsed() -> None:
    """Two bytes are a tensor, of ninety; values are counted before they are made objects of."""
    for tag in (b"\x2a\x00", b"\x32\x00", b"\x3a\x00"):
        status, words = told(READER.read, tag * 40_000)
        assert (status, words[:26]) == (413, "the message has more than ")
    tensor = {"name": "b", "datatype": "INT64", "shape": [51], "data": list(range(51))}
    status, words = told(READER.read, message_of({"inputs": [tensor]}, raw=False).SerializeToString())
    assert (status, words[:35]) == (413, "the inputs have more than 50 values")


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=60), most=st.integers(0, 20))
def test_bytes_are_counted_without_a_fault(data: bytes, most: int) -> None:
    """Whatever they are."""
    assert has_more_fields(data, most) in (True, False)


def test_fields_are_counted_as_they_are() -> None:
    """Those of tensors too, their values not."""
    message = bad().SerializeToString()
    # Model and id; of each tensor itself, name, datatype, shape, contents.
    assert not has_more_fields(message, 2 + 5 * 5)
    assert has_more_fields(message, 2 + 5 * 5 - 1)


def test_answers_are_read_by_row_where_they_may_be() -> None:
    document = GOOD | {"inputs": [{**one, "shape": [1], "data": one["data"][:1]} for one in GOOD["inputs"]]}
    message = message_of(document, raw=True).SerializeToString()
    assert isinstance(READER.read_row(message), RowRequest)
    assert isinstance(READER.read(message), InferenceRequest)


def fields_of(descriptor: Any) -> set[Any]:
    """What the wire shows of a message and of those in it."""
    found = set()
    for field in descriptor.fields:
        inner, choice = field.message_type, field.containing_oneof
        found.add(
            (
                descriptor.full_name,
                field.name,
                field.number,
                field.type,
                field.is_repeated,
                field.is_packed,
                inner.full_name if inner else None,
                choice.name if choice else None,
            )
        )
        found |= fields_of(inner) if inner else set()
    return found


def test_the_protocol_is_that_of_others() -> None:
    """Each field of each message has name, number, type and place of Triton's compiled definition, and none is left
    out; each call has its messages."""
    theirs = messages.DESCRIPTOR
    for name, own in OWN.items():
        assert fields_of(own.DESCRIPTOR) == fields_of(theirs.message_types_by_name[name.removeprefix("inference.")])
    (service,) = file_of(proto_text()).service
    assert f"inference.{service.name}" == SERVICE
    calls = theirs.services_by_name[service.name].methods_by_name
    assert len(service.method) == 6
    for call in service.method:
        assert call.input_type == "." + calls[call.name].input_type.full_name
        assert call.output_type == "." + calls[call.name].output_type.full_name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param('syntax = "proto2"; package x;', "stands where", id="another syntax"),
        pytest.param('syntax = "proto3"; package x; enum A {}', "neither a message nor a service", id="enum"),
        pytest.param(
            'syntax = "proto3"; package x; message A { string a = 1 [packed = true]; }',
            "is not understood",
            id="options",
        ),
        pytest.param('syntax = "proto3"; package x; message A { string a = 1;', "stands where", id="cut"),
    ],
)
def test_a_file_that_is_not_understood_is_refused(text: str, words: str) -> None:
    """Nothing of it is skipped."""
    with pytest.raises(ValueError, match=words):
        file_of(text)
