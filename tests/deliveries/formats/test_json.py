"""JSON: exact, no key twice, no key that silently became another; documents read piece by piece."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from mlops.workloads.ingest.json_document import records
from tests.deliveries.formats.reading import Outcome, field, read

A, B = field("a", "int64"), field("b", "string")
ROW = '{"a":1,"b":"x"}'

DOCUMENTS: list[tuple[str, str | None, Outcome]] = [
    (f"[{ROW}]", None, [(1, "x")]),
    (f"\ufeff [ {ROW} , {ROW} ]\r\n", None, [(1, "x"), (1, "x")]),
    ('[{"a":2.0,"b":"]{}[,\\"\\\\"}]', None, [(2, ']{}[,"\\')]),
    ('[{"a":1e3,"b":":x"}]', None, [(1000, ":x")]),
    ('[{"a":9007199254740993.0,"b":"x"}]', None, [(9007199254740993, "x")]),
    ('[{"a":-9223372036854775808,"b":"x"}]', None, [(-(2**63), "x")]),
    ('[{"a":"12","b":"\\u00e4"}]', None, [(12, "ä")]),
    ('[{"a":1,"b":null},{"a":null}]', None, [(1, None), (None, None)]),
    (f'{{"data":{{"items":[{ROW}],"n":[1]}},"m":{{"items":[]}}}}', "data.items", [(1, "x")]),
    (f'{{"items":[],"data":{{"items":[{ROW}]}}}}', "data.items", [(1, "x")]),
    (f'{{"a\\"b":[{ROW}]}}', 'a"b', [(1, "x")]),
    (f'{{"features":[{{"properties":{ROW},"a":1,"b":"y"}}]}}', "features", [(1, "y")]),
    (f'{{"data":[{ROW}]}}', None, "the document is no array of objects: set spec.json.records to data"),
    (f'{{"data":[{ROW}]}}', "rows", "at rows there is no array: set spec.json.records to data"),
    (f"[{ROW}]", "rows", "the document itself is one: leave spec.json.records out"),
    (f'{{"data":[{ROW}],"data":[{ROW}]}}', "data", 'the document has the key "data" twice in one object'),
    (f"{ROW}\n{ROW}", None, "there are several documents: set spec.format to jsonl"),
    ('{"a":{"0":1},"b":{"0":2}}', None, 'to_json(orient="records")'),
    (f"[{ROW},]", None, "record 2 is no object"),
    (f"[,{ROW}]", None, "record 1 is no object"),
    (f"[{ROW} {ROW}]", None, "record 2 is no object"),
    (f"[{ROW},5]", None, "record 2 is no object"),
    ("[1,2]", None, "record 1 is no object"),
    ("[[1],[2]]", None, "record 1 is no object"),
    (f"[{ROW}", None, "the document ends in the middle after record 1: deliver it again"),
    (f"[{ROW}]]", None, "a bracket ] closes nothing after record 1"),
    (f"[{ROW}}}", None, "a bracket } closes nothing after record 1"),
    (f"[{ROW}] x", None, "this is no JSON document"),
    (f'{{"d":[{ROW}],"e":}}', "d", "this is no JSON document"),
    ("[]", None, "the file is empty"),
    ("", None, "the file is empty"),
    ("nul", None, "this is no JSON document"),
    ('[{"a":1,"a":2,"b":"x"}]', None, 'row 1 has the key "a" twice: keep one'),
    ('[{"a":1,"b":"x","c":{"d":1,"d":2}}]', None, 'row 1 has the key "d" twice: keep one'),
    ('[{"a" :1,"a"\t:1,"b":"x"}]', None, 'row 1 has the key "a" twice: keep one'),
    ('[{"a":9223372036854775808,"b":"x"}]', None, '"9223372036854775808" is not an int64'),
    ('[{"a":99999999999999999999999,"b":"x"}]', None, '"99999999999999999999999" is not an int64'),
    ('[{"a":1.00000000000000000001,"b":"x"}]', None, '"1.00000000000000000001" is not an int64'),
    ('[{"a":1.5,"b":"x"}]', None, '"1.5" is not an int64'),
    ('[{"a":true,"b":"x"}]', None, '"True" is not an int64'),
    ('[{"a":1,"b":5}]', None, '"5" is not a string'),
    ('[{"a":1,"b":["x"]}]', None, "is not a string"),
    ('[{"a":1,"b":"\\ud800"}]', None, "row 1 is no JSON"),
    ('[{"a":NaN,"b":"x"}]', None, "row 1 is no JSON"),
    ('[{"A":1,"b":"x"}]', None, 'row 1 has the key "A" where others have "a": spell it in one way'),
    ('[{"a":1,"b":"x"},{"a":1,"B":"x"}]', None, 'row 2 has the key "B" where others have "b"'),
    ('[{"a":1,"c":"x"}]', None, 'column "b" of spec.fields not found; the file has a, c'),
]


@pytest.mark.parametrize(("text", "path", "want"), [pytest.param(*one, id=one[0][:40]) for one in DOCUMENTS])
def test_a_document_gives_its_records_or_says_what_is_wrong(text: str, path: str | None, want: Outcome) -> None:
    outcome = read(text, "json", A, B, **({"json": {"records": path}} if path else {}))
    if isinstance(want, str):
        assert isinstance(outcome, str), outcome
        assert want in outcome
    else:
        assert outcome == want


LINES: list[tuple[str, Outcome]] = [
    (f"{ROW}\n{ROW}\n", [(1, "x")] * 2),
    (f"{ROW}\r\n\r\n{ROW}", [(1, "x")] * 2),
    (ROW, [(1, "x")]),
    (f"{ROW}\n[1]\n", "row 2 is no JSON object"),
    (f"{ROW}\n{{\n", "row 2 is no JSON"),
    (f"[{ROW}]", "this is a JSON document: set spec.format to json"),
    (f"[\n{ROW}\n]", "this is a JSON document: set spec.format to json"),
    ('[1, "no"]\n', "row 1 is no JSON object"),
    (f"{{\n{ROW[1:]}", "this is a JSON document: set spec.format to json"),
    ('{"id":1,"a":2,"B":"x"}\n{"id":1,"a":2,"B":"y"}', 'has the key "B" where others have "b"'),
    ('{"a":2,"disc":"x"}\n', 'column "b" of spec.fields not found; the file has a, disc'),
    ('{"a":2,"b":"x","a":3}\n', 'row 1 has the key "a" twice: keep one'),
    ("", "the file is empty"),
    ("\n\n", "the file is empty"),
    ("\x1f\x8b", "the gzip file is cut off after 2 bytes"),
]


@pytest.mark.parametrize(("text", "want"), [pytest.param(*one, id=repr(one[0])[:40]) for one in LINES])
def test_lines_give_their_records_or_say_what_is_wrong(text: str, want: Outcome) -> None:
    outcome = read(text.encode("latin-1"), "jsonl", A, B)
    if isinstance(want, str):
        assert isinstance(outcome, str), outcome
        assert want in outcome
    else:
        assert outcome == want


def test_values_in_objects_are_named_by_their_path() -> None:
    """An object that is null, or a key that is not there, is missing; a key with a point comes first."""
    fields = (field("x", column="p.q.x"), field("y", "boolean", column="p.y"))
    rows = '[{"p":{"q":{"x":1},"y":0}},{"p":{"q":{"x":1e-3},"y":true}},{"p":null},{"p.y":false,"p":{"q":null}}]'
    assert read(rows, "json", *fields) == [(1.0, False), (0.001, True), (None, None), (None, False)]
    message = read('[{"p":{"q":5,"y":0}}]', "json", *fields)
    assert isinstance(message, str)
    assert 'column "p.q.x"' in message
    assert read('[{"p":{"q":{"z":5},"y":0}}]', "json", *fields) != [(None, False)], "no record has p.q.x"


def test_whole_numbers_and_fractions_are_floats_and_none_is_infinite() -> None:
    assert read('[{"v":1},{"v":1.5},{"v":-0.0},{"v":"2"}]', "json", field("v")) == [(1.0,), (1.5,), (0.0,), (2.0,)]
    assert isinstance(read('[{"v":1e999}]', "json", field("v")), str)


def _value(draw: random.Random, depth: int = 0) -> Any:
    kind = draw.random()
    if depth > 3 or kind < 0.5:
        return draw.choice([1, 2.5, None, True, 'a"b', "[{", "}]\\", "ü\u2028", "", ":", "\n"])
    if kind < 0.75:
        return [_value(draw, depth + 1) for _ in range(draw.randrange(3))]
    return {draw.choice('abcde"\\') + str(i): _value(draw, depth + 1) for i in range(draw.randrange(3))}


def _pieces(content: bytes, size: int) -> Iterator[bytes]:
    return (content[at : at + size] for at in range(0, len(content), size))


@pytest.mark.parametrize("seed", range(6))
def test_records_are_the_same_however_a_document_is_cut(seed: int) -> None:
    """Against Python's json, on drawn documents, in pieces of one byte and more."""
    draw = random.Random(seed)
    for _ in range(60):
        items = [{key: _value(draw, 1) for key in "ab"} for _ in range(draw.randrange(5))]
        path = draw.choice([None, "d", "d.e"])
        inner = items if path == "d" else {"q": _value(draw), "e": items, "r": _value(draw)}
        document = items if path is None else {"z": _value(draw), "d": inner, "y": _value(draw)}
        indent, ascii_only = draw.choice([None, 2]), draw.random() < 0.5
        content = json.dumps(document, ensure_ascii=ascii_only, indent=indent).encode()
        found = [json.loads(one) for one in records(_pieces(content, draw.randrange(1, 9)), "FILE", path)]
        assert found == items, content


@pytest.mark.parametrize("among_texts", [False, True], ids=["numbers", "numbers and a text"])
def test_a_number_that_means_a_missing_value_is_missing_and_none_beside_it(among_texts: bool) -> None:
    """Whatever else is read in the same piece of the file."""
    nulls = ["9223372036854775807", "-999", "-999.5"]
    fields = [field("n", "int64", nullValues=nulls), field("x", nullValues=nulls)]
    rows = '[{"n":9223372036854775806,"x":-999.5},{"n":9223372036854775807,"x":-999},{"n":-999,"x":-998}'
    given = rows + (',{"n":"7","x":"2"}]' if among_texts else "]")
    want: Outcome = [(9223372036854775806, None), (None, None), (None, -998.0)]
    assert read(given, "json", *fields) == [*want, *([(7, 2.0)] if among_texts else [])]
