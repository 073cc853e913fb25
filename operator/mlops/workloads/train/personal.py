"""Personal data on its way into a model: what is masked, what is refused, what is declared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf.message import Message
from numpy.typing import NDArray

from mlops.api.estimators import KEEP_ROWS
from mlops.api.reasons import Reason
from mlops.workloads.floor.expressions import with_derived
from mlops.workloads.floor.model.learnt import constants
from mlops.workloads.floor.model.masks import salt_of
from mlops.workloads.floor.model.nested import texts_in
from mlops.workloads.floor.model.onnx_engine import check_onnx
from mlops.workloads.floor.model.signature import Mask, Signature
from mlops.workloads.floor.model.skops_file import texts_of
from mlops.workloads.floor.model.treelite_file import check_treelite
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.train.data import Data, Schema

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

    A text that is also a value of another column is let pass: there it is no personal data. So are the names of
    columns and the expressions of the Dataset's own features.
    """
    private = _private_texts(data)
    if not private:
        return
    known = {one.name for one in data.schema.fields} | {one.name for one in data.schema.features}
    known |= {feature.expression for feature in data.schema.features}
    known |= {value for value in constants(data.schema.clean).values() if isinstance(value, str)}
    known |= {step.filter for step in data.schema.clean if step.filter}
    for file, texts in (
        ("model.json", texts_in(signature.model_dump(mode="json"))),
        (f"model.{signature.format}", _in_model(folder)),
    ):
        found: dict[str, set[str]] = {}
        for text in texts:
            for part in _parts(text) if text not in known else ():
                if part in private and part not in known:
                    found.setdefault(private[part], set()).add(part)
        for column in dict.fromkeys(private.values()):
            if not (values := found.get(column)):
                continue
            raise BadInput(
                Reason.OUTPUT_INVALID,
                f"{file} holds {len(values)} value{'s' if len(values) > 1 else ''} of {column!r}, which is in "
                f"governance.pii: leave the column out, encode it without its values, {DECLARE}",
            )


def _private_texts(data: Data) -> dict[str, str]:
    """Return each text that only personal columns hold, with its column: also of those that the model never sees."""
    hidden = hidden_columns(data.schema)
    names = [one.name for one in data.schema.fields if one.type == "string"]
    names += [one.name for one in data.schema.features if one.type == "string"]
    found: dict[str, str] = {}
    public: set[str] = set()
    for name in names:
        values = {value for frame in data.parts.values() for value in frame[name].unique().to_list() if value}
        if name in hidden:
            found |= dict.fromkeys(values, name)
        else:
            public |= values
    return {text: name for text, name in found.items() if text not in public}


# A value within a longer text (a literal, a note) is told by its words; shorter ones stand in any text.
_WORD = re.compile(r"\w+")
_SHORTEST_PART, _MOST_WORDS, _LONGEST_TEXT = 4, 6, 1 << 16


def _parts(text: str) -> Iterator[str]:
    """Yield a text, and each few words in a row of it."""
    yield text
    words = list(_WORD.finditer(text[:_LONGEST_TEXT]))
    for at, first in enumerate(words):
        for last in words[at : at + _MOST_WORDS]:
            part = text[first.start() : last.end()]
            if len(part) >= _SHORTEST_PART and part != text:
                yield part


def _in_model(folder: Path) -> Iterator[str]:
    """Every text of the model's file. Raises BadInput(FormatForbidden) for a file that is none."""
    for path in folder.glob("model.*"):
        match path.suffix:
            case ".onnx":
                yield from (one.decode("utf-8", "replace") for one in _strings(check_onnx(path.read_bytes())))
            case ".skops":
                yield from texts_of(path.read_bytes())
            case ".treelite":
                yield check_treelite(path.read_bytes()).attributes.decode("utf-8", "replace")


def _strings(message: Message) -> Iterator[bytes]:
    """Every text of a graph, whatever it is for; numbers stand in `raw_data`, and operators are on a list."""
    todo = [message]
    while todo:
        one = todo.pop()
        for field, value in one.ListFields():
            values = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else [value]
            if field.name in _NO_TEXTS or not len(values):
                continue
            if isinstance(values[0], Message):
                todo += values
            elif isinstance(values[0], str):
                yield from (each.encode() for each in values)
            elif isinstance(values[0], bytes):
                yield from values


_NO_TEXTS = frozenset({"raw_data", "op_type", "domain"})
