"""The OpenAPI document of one model: its inputs by name, with types, known values, bounds, and an example.

Schemas are JSON Schema 2020-12, as OpenAPI 3.1 has them.
"""

from __future__ import annotations

from typing import Any, Final

from mlops.workloads.floor.model.signature import NUMBERS, class_name
from mlops.workloads.serve.inference import LONGEST_ID
from mlops.workloads.serve.model_description import MOST_LISTED, ModelDescription
from mlops.workloads.serve.tensors import STATED, TAKEN, Column

Schema = dict[str, Any]
_JSON: Final[dict[str, Schema]] = {
    "float64": {"type": "number"},
    "int64": {"type": "integer", "minimum": -(1 << 63), "maximum": (1 << 63) - 1},
    "boolean": {"type": "boolean"},
    "string": {"type": "string"},
    "timestamp": {"type": "string", "format": "date-time"},
}
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}
_REFUSALS: Final = {
    "400": "not JSON, or not the form of a request",
    "413": "too many rows or bytes",
    "415": "another Content-Type or Content-Encoding",
    "422": "a value that the model does not take",
    "503": "loading, or too much at once; Retry-After says when to come again",
}


def openapi(described: ModelDescription) -> dict[str, Any]:
    """Return the document."""
    interface = described.interface
    model = f"/v2/models/{interface.model_name}"
    return {
        "openapi": "3.1.0",
        "info": {
            "title": interface.model_name,
            "version": str(interface.version),
            "description": _about(described),
        },
        "servers": [{"url": "/"}],
        "paths": {
            f"{model}/predict": {"post": _post("predict", "Ask about rows", "Rows", "RowAnswers", _rows(described))},
            f"{model}/infer": {
                "post": _post(
                    "infer", "Ask by tensors: Open Inference Protocol v2", "Tensors", "TensorAnswers",
                    _tensors(described),
                )
            },
            model: {"get": _get("metadata", "Inputs and outputs", "Metadata")},
            f"{model}/ready": {"get": _get("modelReady", "Whether the model answers", "Ready")},
            "/v2": {"get": _get("server", "Name, version and extensions of the server", "Server")},
            "/v2/health/live": {"get": _get("live", "Whether the server runs", "Live")},
            "/v2/health/ready": {"get": _get("ready", "Whether the server answers", "ServerReady")},
        },
        "components": {"schemas": _schemas(described)},
    }  # fmt: skip


def _about(described: ModelDescription) -> str:
    texts = [f"Model {described.interface.model_name}, version {described.interface.version}."]
    texts += [f"Each row must meet the condition `{one}`." for one in described.conditions]
    return " ".join(texts)


def _post(name: str, summary: str, request: str, answer: str, example: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{request}"}}
    if example is not None:
        body["example"] = example
    return {
        "operationId": name,
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": body}},
        "responses": {
            "200": _content("the answer", answer),
            **{status: _content(reason, "Error") for status, reason in _REFUSALS.items()},
        },
    }


def _get(name: str, summary: str, answer: str) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "responses": {"200": _content(summary, answer), "503": _content(_REFUSALS["503"], "Error")},
    }


def _content(description: str, schema: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }


def _rows(described: ModelDescription) -> Any:
    return None if described.example is None else {"rows": [described.example]}


def _tensors(described: ModelDescription) -> Any:
    if described.example is None:
        return None
    return {
        "inputs": [
            {"name": one.name, "datatype": STATED[one.type], "shape": [1], "data": [described.example[one.name]]}
            for one in described.interface.inputs
        ]
    }


def _schemas(described: ModelDescription) -> dict[str, Schema]:
    interface, text, truth = described.interface, {"type": "string"}, {"type": "boolean"}
    request_id = {"type": "string", "minLength": 1, "maxLength": LONGEST_ID}
    parameters = {
        "type": "object",
        "properties": {"event_time": {"anyOf": [_TIME, {"type": "array", "items": _TIME}]}},
    }
    named = {"model_name": {"const": interface.model_name}, "model_version": {"const": str(interface.version)}}
    tensors = [_tensor(one, described) for one in interface.inputs]
    if len(tensors) > 1 and all(one.type in NUMBERS for one in interface.inputs):
        tensors.append(_matrix(described))
    return {
        "Row": {
            **_object({one.name: _value(one, described) for one in interface.inputs}, ()),
            "required": [one.name for one in interface.inputs if one.name not in described.optional],
            "additionalProperties": False,
        },
        "Rows": _object(
            {
                "rows": _list({"$ref": "#/components/schemas/Row"}, described),
                "id": request_id,
                "parameters": parameters,
            },
            ("rows",),
        )
        | {"additionalProperties": False},
        "RowAnswer": _object(_answer(described), ("prediction",)),
        "RowAnswers": _object(
            {**named, "id": text, "rows": _list({"$ref": "#/components/schemas/RowAnswer"}, described)},
            ("model_name", "model_version", "id", "rows"),
        ),
        "Tensors": _object(
            {
                "inputs": {"type": "array", "minItems": 1, "items": {"anyOf": tensors}},
                "id": request_id,
                "parameters": parameters,
                "outputs": {
                    "type": "array",
                    "items": _object({"name": {"enum": [name for name, _, _ in interface.outputs]}}, ("name",)),
                },
            },
            ("inputs",),
        ),
        "TensorAnswers": _object(
            {**named, "id": text, "outputs": {"type": "array", "items": {"$ref": "#/components/schemas/Tensor"}}},
            ("model_name", "model_version", "id", "outputs"),
        ),
        "Tensor": _object(
            {"name": text, "datatype": text, "shape": {"type": "array", "items": {"type": "integer"}}, "data": {}},
            ("name", "datatype", "shape"),
        ),
        "Metadata": _object(
            {
                "name": text,
                "versions": {"type": "array", "items": text},
                "platform": text,
                "inputs": {"type": "array", "items": {"$ref": "#/components/schemas/Tensor"}},
                "outputs": {"type": "array", "items": {"$ref": "#/components/schemas/Tensor"}},
            },
            ("name", "platform", "inputs", "outputs"),
        ),
        "Server": _object(
            {"name": text, "version": text, "extensions": {"type": "array", "items": text}},
            ("name", "version", "extensions"),
        ),
        "Live": _object({"live": truth}, ("live",)),
        "ServerReady": _object({"live": truth, "ready": truth}, ("live", "ready")),
        "Ready": _object({"name": text, "ready": truth}, ("name", "ready")),
        "Error": _object({"error": text}, ("error",)),
    }


def _object(properties: dict[str, Schema], required: tuple[str, ...]) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required)}


def _list(items: Schema, described: ModelDescription) -> Schema:
    return {"type": "array", "minItems": 1, "maxItems": described.max_rows, "items": items}


def _value(column: Column, described: ModelDescription) -> Schema:
    """Return the schema of one value. A text that training did not know is taken too: known ones are listed beside."""
    plain = _JSON[column.type]
    schema = {**plain, "type": [plain["type"], "null"]} if column.name in described.optional else dict(plain)
    if column.name in described.known:
        known = {"enum": list(described.known[column.name]), "description": "known from training"}
        return {"anyOf": [known, schema | {"description": "any other text"}]}
    return schema


def _tensor(column: Column, described: ModelDescription) -> Schema:
    value = _value(column, described)
    return _object(
        {
            "name": {"const": column.name},
            "datatype": {"enum": list(TAKEN[column.type])},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1, "maxItems": 2},
            "data": {"type": "array", "items": {"anyOf": [value, {"type": "array", "items": value}]}},
        },
        ("name", "datatype", "shape"),
    )


def _matrix(described: ModelDescription) -> Schema:
    width = len(described.interface.inputs)
    shape = [{"type": "integer", "minimum": 1, "maximum": described.max_rows}, {"const": width}]
    return _object(
        {
            "name": {"type": "string"},
            "datatype": {"enum": list(TAKEN["float64"])},
            "shape": {"type": "array", "prefixItems": shape, "minItems": 2, "maxItems": 2},
            "data": {"type": "array"},
        },
        ("name", "datatype", "shape"),
    ) | {"description": f"all {width} inputs side by side, in the order of the metadata; of numbers and booleans only"}


def _answer(described: ModelDescription) -> dict[str, Schema]:
    interface = described.interface
    classes = list(interface.classes)
    if not classes:
        return {"prediction": {"type": "number"}}
    answer: dict[str, Schema] = {"prediction": {"enum": classes} if len(classes) <= MOST_LISTED else {}}
    if len(interface.outputs) > 1:
        share = {"type": "number", "minimum": 0, "maximum": 1}
        answer["probabilities"] = (
            _object({class_name(one): share for one in classes}, ())
            if len(classes) <= MOST_LISTED
            else {"type": "object", "additionalProperties": share}
        )
    return answer
