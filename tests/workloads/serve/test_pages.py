"""What the model says of itself, for programs (OpenAPI) and for people (a page), is what the server does."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mlops.api.stage_access import StageAuth
from mlops.workloads.floor.model.missing import objects
from mlops.workloads.floor.model.signature import (
    Encoding,
    EstimatorOf,
    Input,
    LabelColumn,
    Mask,
    ModelColumn,
    NumberEncoding,
    Signature,
    TextEncoding,
)
from mlops.workloads.serve.example import example_row, find_example
from mlops.workloads.serve.inference import Interface
from mlops.workloads.serve.model_description import ModelDescription, description_of
from mlops.workloads.serve.openapi import openapi
from mlops.workloads.serve.openapi_security import asked_of_clients, with_security
from mlops.workloads.serve.page import address_of, curl, page
from mlops.workloads.serve.tensors import Column
from tests.workloads.serve.servers import Served

ISSUER_OF_TOKENS = {"jwksSecretRef": {"name": "i"}, "issuer": "https://i", "audience": "weather"}
COLUMNS = (
    Column("a", "float64", True),
    Column("b", "int64", False),
    Column("c", "boolean", False),
    Column("d", "string", True),
    Column("e", "timestamp", True),
)
INTERFACE = Interface(
    "m", 7, "mlops_onnx", COLUMNS, (("prediction", "BYTES", 1), ("probabilities", "FP64", 2)), ("<b>", "it's")
)


def described(**changes: Any) -> ModelDescription:
    """A description of a model with inputs of every type."""
    known = {"d": ("<i>", "it's", 'say "x"')}
    whole = ModelDescription(
        INTERFACE,
        known,
        ("a > 3 AND b < 5",),
        frozenset("ade"),
        10,
        {"a": 0.5, "b": 1, "c": True, "d": "it's $HOME", "e": None},
    )
    return replace(whole, **changes)


@pytest.fixture(scope="module")
def document(server: Served) -> dict[str, Any]:
    """The served document."""
    status, headers, body = server.ask("GET", "/openapi.json")
    assert (status, headers["content-type"]) == (200, "application/json")
    return dict(json.loads(body))


def references(node: Any) -> Iterator[str]:
    """Every reference in a document."""
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for one in node:
            yield from references(one)


def test_examples_of_the_document_are_answered(server: Served, document: dict[str, Any]) -> None:
    """As they stand there, at the address under which they stand; every other address answers too."""
    asked = 0
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method == "get":
                assert server.ask("GET", path)[0] == 200
                continue
            asked += 1
            example = operation["requestBody"]["content"]["application/json"]["example"]
            assert server.post(path, example)[0] == 200
    assert asked == 2


def test_references_of_the_document_resolve(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    found = set(references(document))
    assert found <= {f"#/components/schemas/{name}" for name in schemas}
    assert len(found) > 8


def test_a_row_of_the_schema_is_a_row_of_the_server(server: Served, document: dict[str, Any]) -> None:
    """What it requires is required, what may be null may be, bounds are bounds, and there are no other names."""
    row = document["paths"]["/v2/models/weather/predict"]["post"]["requestBody"]["content"]["application/json"][
        "example"
    ]["rows"][0]
    schema = document["components"]["schemas"]["Row"]
    path = "/v2/models/weather/predict"

    def takes(changed: dict[str, Any]) -> bool:
        return server.post(path, {"rows": [changed]})[0] == 200

    values = {"number": 1.5, "integer": 1, "boolean": True, "string": "red"}
    assert list(schema["properties"]) == list(row)
    for name, value in schema["properties"].items():
        without = {other: row[other] for other in row if other != name}
        assert takes(without) is (name not in schema["required"])
        kinds = value["type"] if isinstance(value["type"], list) else [value["type"]]
        assert takes(row | {name: None}) is ("null" in kinds)
        for kind, one in values.items():
            fits = kind in kinds or (kind == "integer" and "number" in kinds)
            assert takes(row | {name: one}) is fits, (name, kind)
        if "maximum" in value:
            assert takes(row | {name: value["maximum"]})
            assert not takes(row | {name: value["maximum"] + 1})
            assert takes(row | {name: value["minimum"]})
            assert not takes(row | {name: value["minimum"] - 1})
    assert schema["additionalProperties"] is False
    assert not takes(row | {"other": 1})
    most = document["components"]["schemas"]["Rows"]["properties"]["rows"]["maxItems"]
    assert server.post(path, {"rows": [row] * most})[0] == 200
    assert server.post(path, {"rows": [row] * (most + 1)})[0] == 413


def test_a_tensor_of_the_schema_is_a_tensor_of_the_server(server: Served, document: dict[str, Any]) -> None:
    """Each datatype that it names for an input is taken."""
    path = "/v2/models/weather/infer"
    example = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]
    schemas = document["components"]["schemas"]["Tensors"]["properties"]["inputs"]["items"]["anyOf"]
    assert [one["properties"]["name"]["const"] for one in schemas] == ["temperature", "count", "windy", "colour"]
    for number, schema in enumerate(schemas):
        for datatype in schema["properties"]["datatype"]["enum"]:
            tensor = example["inputs"][number] | {"datatype": datatype}
            if number == 0:
                tensor["data"] = [3]
            inputs = [*example["inputs"][:number], tensor, *example["inputs"][number + 1 :]]
            assert server.post(path, {"inputs": inputs})[0] == 200, datatype


def test_known_texts_and_conditions_are_in_the_document() -> None:
    """Other texts are taken too, so the list is one of two."""
    found = openapi(described())
    assert "`a > 3 AND b < 5`" in found["info"]["description"]
    known, other = found["components"]["schemas"]["Row"]["properties"]["d"]["anyOf"]
    assert known["enum"] == ["<i>", "it's", 'say "x"']
    assert other["type"] == ["string", "null"]
    assert found["components"]["schemas"]["Row"]["required"] == ["b", "c"]
    assert found["components"]["schemas"]["Row"]["properties"]["e"]["format"] == "date-time"
    numbers = replace(INTERFACE, inputs=COLUMNS[:3])
    tensors = openapi(described(interface=numbers, example=None))["components"]["schemas"]["Tensors"]
    matrix = tensors["properties"]["inputs"]["items"]["anyOf"][-1]
    assert matrix["properties"]["shape"]["prefixItems"][1] == {"const": 3}
    assert "example" not in json.dumps(openapi(described(example=None)))


@pytest.mark.parametrize(
    ("asked", "schemes"),
    [
        pytest.param({"apiKeys": {"secretRef": {"name": "k"}}}, ["bearer", "apiKey"], id="keys"),
        pytest.param({"jwt": ISSUER_OF_TOKENS}, ["bearer"], id="tokens"),
        pytest.param(
            {"apiKeys": {"secretRef": {"name": "k"}}, "jwt": ISSUER_OF_TOKENS}, ["bearer", "apiKey"], id="both"
        ),
        pytest.param(None, [], id="nothing"),
        pytest.param(
            {"jwt": ISSUER_OF_TOKENS, "routes": {"infer": {"access": "Anonymous"}}}, [], id="nothing for answers"
        ),
    ],
)
def test_the_document_and_the_page_say_which_key_is_asked_for(asked: dict[str, Any] | None, schemes: list[str]) -> None:
    """Of each address but health, with the refusals that come of it; nothing where nothing is asked for."""
    auth = None if asked is None else StageAuth.model_validate(asked)
    document = with_security(openapi(described()), auth)
    assert list(document["components"].get("securitySchemes", {})) == schemes
    if "apiKey" in schemes:
        scheme = document["components"]["securitySchemes"]["apiKey"]
        assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", "X-API-Key")
    open_to_all = {"/v2/health/live", "/v2/health/ready", f"/v2/models/{INTERFACE.model_name}/ready"}
    assert open_to_all < document["paths"].keys()
    for path, methods in document["paths"].items():
        for operation in methods.values():
            needs = bool(schemes) and path not in open_to_all
            assert operation.get("security", []) == ([{name: []} for name in schemes] if needs else [])
            assert (operation["responses"].keys() >= {"401", "403", "429"}) is needs
    text = page(described(), "http://h", asked_of_clients(auth)).decode()
    assert ("X-API-Key" in text) is ("apiKey" in schemes)
    assert ("Authorization: Bearer" in text) is ("MLOPS_SERVER_TOKEN" in text) is bool(schemes)
    assert ("a token (JWT)" in text) is bool(schemes and "jwt" in (asked or {}))


class Elements(HTMLParser):
    """The elements of a page, and what they load."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not any(name.startswith("on") or name in ("src", "srcset") for name, _ in attrs)
        self.links += [value or "" for name, value in attrs if name == "href"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_line_of_the_page_is_answered_as_it_stands_there(server: Served) -> None:
    """Pasted into a shell."""
    status, headers, body = server.ask("GET", "/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    line = unescape(body.decode().split("<pre><code>")[1].split("</code></pre>")[0])
    answer = subprocess.run(["sh", "-c", line], check=True, stdout=subprocess.PIPE, timeout=60).stdout
    (row,) = json.loads(answer)["rows"]
    assert row["prediction"] in ("dry", "rain")


def test_the_page_stands_alone(server: Served) -> None:
    """No script, nothing from outside, and a browser is told so; each of its links is an address here."""
    _, headers, body = server.ask("GET", "/")
    found = Elements()
    found.feed(body.decode())
    assert found.tags & {"script", "link", "img", "iframe", "form", "object", "base"} == set()
    assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert len(found.links) == 4
    for link in found.links:
        assert server.ask("GET", link)[0] == 200
    for name in (b"temperature", b"count", b"windy", b"colour"):
        assert b"<code>%b</code>" % name in body


def test_names_and_values_are_text_in_the_page_and_in_the_line() -> None:
    """Whatever they hold; the shell takes the line for what it says."""
    text = page(described(), "http://h").decode()
    for raw in ("<b>", "<i>", 'say "x"'):
        assert raw not in text
    assert "&lt;i&gt;" in text
    line = curl(described(), "http://h")
    assert line is not None
    assert line.endswith("""'{"rows":[{"a":0.5,"b":1,"c":true,"d":"it'"'"'s $HOME","e":null}]}'""")
    assert "No example is known" in page(described(example=None), None).decode()
    assert "Put the server" in page(described(), None).decode()


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        pytest.param([(b"host", b"127.0.0.1:8080")], "http://127.0.0.1:8080", id="address"),
        pytest.param([(b"host", b"[::1]:80")], "http://[::1]:80", id="IPv6"),
        pytest.param([(b"host", b"m.team.svc"), (b"x-forwarded-proto", b"https")], "https://m.team.svc", id="proxy"),
        pytest.param([], None, id="none"),
        pytest.param([(b"host", b"a"), (b"host", b"b")], None, id="two"),
        pytest.param([(b"host", b"'; rm -rf ~; '")], None, id="a command"),
        pytest.param([(b"host", b"<script>")], None, id="markup"),
        pytest.param([(b"host", b"a" * 300)], None, id="long"),
    ],
)
def test_the_address_is_the_one_that_was_asked(headers: Any, address: str | None) -> None:
    assert address_of(headers) == address


# Examples


RECORDED = {
    "a": np.array([1.23456, np.nan, 9.0, 2.0]),
    "b": np.array([5, 5, 7, 1]),
    "c": np.array([True, False, True, True]),
    "d": objects(["x", None, "y", "y"]),
    "e": np.array(["2024-01-01", "NaT", "2024-01-02", "2024-01-01"], dtype="datetime64[us]"),
}


def test_an_example_is_nobodys_row() -> None:
    """Medians, rounded, and the most frequent values."""
    found = example_row(COLUMNS, RECORDED, lambda _: True)
    assert found == {"a": 2.0, "b": 5, "c": True, "d": "y", "e": "2024-01-01T00:00:00.000000Z"}


def test_an_example_is_one_that_is_answered() -> None:
    """If the typical row is not, values of other rows are tried, each in its column; never a row as it was."""
    found = example_row(COLUMNS, RECORDED, lambda row: row["a"] == 9.0)
    assert found is not None
    assert found["a"] == 9.0
    assert found["b"] == 1
    assert example_row(COLUMNS, RECORDED, lambda _: False) is None


class Answers:
    """A model that fails at the row that is tried first."""

    interface = INTERFACE

    def __init__(self) -> None:
        self.asked = 0

    def read_objects(self, body: bytes, _: None) -> Any:
        return SimpleNamespace(inputs=json.loads(body)["rows"][0])

    def answer(self, inputs: dict[str, Any]) -> None:
        self.asked += 1
        if inputs["a"] != 9.0:
            raise ZeroDivisionError


def test_a_model_that_fails_or_is_slow_is_no_reason_to_be_late() -> None:
    """Its fault is not the server's end, and nothing is tried for longer than there is time."""
    model: Any = Answers()
    found = find_example(model, RECORDED, math.inf)
    assert found is not None
    assert found["a"] == 9.0
    assert model.asked == 4
    late: Any = Answers()
    assert find_example(late, RECORDED, 0.0) is None
    assert late.asked == 0


def test_gaps_of_whole_numbers_and_booleans_are_gaps() -> None:
    recorded = RECORDED | {
        "b": objects([None, 1 << 60, None, 1 << 60]),
        "c": np.array([np.nan, 1.0, 0.0, 1.0]),
        "a": np.full(4, np.nan),
    }
    assert example_row(COLUMNS, recorded, lambda _: True) == {
        "a": None,
        "b": 1 << 60,
        "c": True,
        "d": "y",
        "e": "2024-01-01T00:00:00.000000Z",
    }


def test_values_of_personal_fields_are_not_listed() -> None:
    """Neither of a field that is, nor of a column that the model knows by tokens."""
    names = ("plain", "personal", "masked", "wide")
    signature = Signature(
        task="classification",
        format="onnx",
        inputs=tuple(Input(name=name, type="string", pii=name == "personal" or None) for name in names),
        columns=tuple(ModelColumn(name=name, type="string") for name in names),
        label=LabelColumn(name="y", type="int64"),
        classes=(0, 1),
        estimator=EstimatorOf(name="LogisticRegression"),
        encoding=Encoding(
            numbers=(NumberEncoding(column="n"),),
            texts=tuple(
                TextEncoding(
                    column=name,
                    kind="ordinal",
                    categories=tuple(str(number) for number in range(101 if name == "wide" else 2)),
                )
                for name in names
            ),
        ),
        masks=(Mask(column="masked", salt="0" * 64),),
        tolerance="0.1",
    )
    columns = tuple(Column(name, "string", False) for name in names)
    assert description_of(signature, replace(INTERFACE, inputs=columns), 10).known == {"plain": ("0", "1")}
