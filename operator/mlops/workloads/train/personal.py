"""Personal data on its way into a model: what is masked, what is refused, what is declared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray

from mlops.api.reasons import Reason
from mlops.workloads.expressions import with_derived
from mlops.workloads.model.masks import salt_of
from mlops.workloads.model.onnx_engine import check_onnx
from mlops.workloads.model.signature import Mask, Signature
from mlops.workloads.pod import BadInput
from mlops.workloads.train.data import Data, Schema

# Their fitted state holds rows of the matrix, number by number.
KEEP_ROWS = frozenset({"KNeighborsClassifier", "KNeighborsRegressor", "NuSVC", "NuSVR", "SVC", "SVR"})
DECLARE = "or declare it in governance.piiInModels of the Dataset, if it may stand there"


def hidden_columns(schema: Schema) -> frozenset[str]:
    """Return the columns, computed ones too, of which a model may hold no value."""
    computed = [(feature.name, feature.expression) for feature in schema.features]
    names = [field.name for field in schema.fields]
    return with_derived(schema.pii, computed, names) - frozenset(schema.pii_in_models)


def check_label(data: Data) -> None:
    """Raise BadInput(DataUnusable) for a label of personal data: its values stand in model, reference and answers."""
    label = data.label.name
    if label in hidden_columns(data.schema):
        raise BadInput(
            Reason.DATA_UNUSABLE,
            f"the label {label!r} is in governance.pii, and a model holds and answers values of its label: predict "
            f"another field, {DECLARE}",
        )


def check_estimator(data: Data, name: str) -> None:
    """Raise BadInput(DataUnusable) for an estimator that would store the personal numbers that it was trained on."""
    hidden = hidden_columns(data.schema)
    numbers = [column.name for column in data.columns if column.type != "string" and column.name in hidden]
    if numbers and name in KEEP_ROWS:
        raise BadInput(
            Reason.DATA_UNUSABLE,
            f"the feature {numbers[0]!r} is in governance.pii (or computed from a field that is), and {name} keeps the "
            f"rows that it was trained on: choose an estimator that does not, give the field the role ignored, "
            f"{DECLARE}",
        )


def masks_of(data: Data, columns: Mapping[str, NDArray[Any]]) -> tuple[Mask, ...]:
    """Return a mask for each column of text with personal data, from the values (n,) to train on."""
    hidden = hidden_columns(data.schema)
    return tuple(
        Mask(column=one.name, salt=salt_of(one.name, [value for value in columns[one.name].tolist() if value]))
        for one in data.columns
        if one.type == "string" and one.name in hidden
    )


def check_adopted(signature: Signature, folder: Path, data: Data) -> None:
    """Raise BadInput(OutputInvalid) if a model that was handed in holds texts of personal columns.

    A text that is also a value of another column is let pass: there it is no personal data.
    """
    private = _private_texts(data)
    if not private:
        return
    for file, texts in (("model.json", _described(signature)), (f"model.{signature.format}", _in_graph(folder))):
        for text in texts:
            if text in private:
                column = private[text]
                count = len({one for one in texts if private.get(one) == column})
                raise BadInput(
                    Reason.OUTPUT_INVALID,
                    f"{file} holds {count} value{'s' if count > 1 else ''} of {column!r}, which is in governance.pii: "
                    f"leave the column out, encode it without its values, {DECLARE}",
                )


def _private_texts(data: Data) -> dict[str, str]:
    """Return each text that only personal columns hold, with its column."""
    hidden = hidden_columns(data.schema)
    names = [one.name for one in data.columns if one.type == "string"]
    if data.label.type == "string":
        names.append(data.label.name)
    found: dict[str, str] = {}
    public: set[str] = set()
    for name in names:
        values = {value for frame in data.parts.values() for value in frame[name].unique().to_list() if value}
        if name in hidden:
            found |= dict.fromkeys(values, name)
        else:
            public |= values
    return {text: name for text, name in found.items() if text not in public}


def _described(signature: Signature) -> list[str]:
    texts = [category for one in signature.inputs for category in one.categories or ()]
    texts += [
        category for one in (signature.encoding.texts if signature.encoding else ()) for category in one.categories
    ]
    return texts + [one for one in signature.classes or () if isinstance(one, str)]


def _in_graph(folder: Path) -> list[str]:
    path = folder / "model.onnx"
    if not path.is_file():
        return []
    found = _strings(check_onnx(path.read_bytes()).graph)
    return [one.decode("utf-8", "replace") for one in found]


def _strings(graph: onnx.GraphProto) -> Iterator[bytes]:
    """Every text of a graph: initial values, attributes, and those of the graphs within."""
    for tensor in graph.initializer:
        yield from tensor.string_data
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.s, *attribute.strings)
            for tensor in (attribute.t, *attribute.tensors):
                yield from tensor.string_data
            for inner in (attribute.g, *attribute.graphs):
                yield from _strings(inner)
