"""model.json: what a model takes and how it answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictInt, StrictStr, ValidationError

from mlops.api.base import FieldName, Model
from mlops.api.dataset import Feature, FieldType
from mlops.workloads.pod import BadInput

FORMAT_VERSION = 1
SIGNATURE_FILE = "model.json"
MAX_SIGNATURE_BYTES = 16 << 20

Format = Literal["onnx", "treelite", "skops"]
Task = Literal["classification", "regression"]
Class = StrictBool | StrictInt | StrictStr
NUMBERS: tuple[FieldType, ...] = ("float64", "int64", "boolean")


class Input(Model):
    """A field of the data set with role feature: what a request carries."""

    name: FieldName
    type: FieldType
    nullable: bool = False
    # Of a string: the values seen in training, unless there were too many to name.
    categories: tuple[str, ...] | None = None
    # Personal data: captures leave its values out, and drift checks show none.
    pii: bool | None = None


class ComputedFeature(Feature):
    """A column computed from the inputs, by the same SQL expression at training and at serving."""

    type: FieldType


class ModelColumn(Model):
    """A column that the engine takes: an input or a computed feature."""

    name: FieldName
    type: FieldType


class NumberEncoding(Model):
    """(value - mean) / scale; what is missing becomes `fill` first, or stays NaN where `fill` is left out."""

    column: FieldName
    fill: float | None = None
    mean: float = 0.0
    scale: float = 1.0


class TextEncoding(Model):
    """One-hot: a slot per category, then one for all others, then one for missing. Ordinal: the category's index.

    Ordinal gives `unknown` (NaN where it is left out) for what is missing or not among the categories. One-hot gives
    zeros for them where there is no slot. The empty string counts as missing.
    """

    column: FieldName
    kind: Literal["onehot", "ordinal"]
    categories: tuple[str, ...]
    other: bool = False
    missing: bool = False
    unknown: float | None = None


class Encoding(Model):
    """How columns become the estimator's matrix: numbers, then flags of missing numbers, then texts, in this order."""

    numbers: tuple[NumberEncoding, ...] = ()
    # Columns of `numbers` that get a second column: 1 where the value is missing.
    flags: tuple[FieldName, ...] = ()
    texts: tuple[TextEncoding, ...] = ()
    # The matrix is rounded to float32: trees do so inside, and all engines must then compare the same numbers.
    single: bool = False


class Mask(Model):
    """A column whose values the engine knows by tokens only, see `masks`."""

    column: FieldName
    salt: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class LabelColumn(Model):
    """What is predicted."""

    name: FieldName
    type: FieldType


class EstimatorOf(Model):
    """What was fitted."""

    name: str
    params: dict[str, str] = Field(default_factory=dict)


class Attempt(Model):
    """One try of the export chain and why it was taken or not."""

    format: str
    result: str
    max_difference: str | None = None


class Export(Model):
    """The export chain's tries, the accepted one last."""

    tried: tuple[Attempt, ...] = ()


class Outputs(Model):
    """Names of the ONNX graph's outputs."""

    label: str | None = None
    probabilities: str | None = None
    value: str | None = None
    # Whether whole numbers in `label` are classes themselves; else they are indices of `classes`.
    label_is_class: bool = False


class Signature(Model):
    """What a model takes and how it answers."""

    format_version: Annotated[int, Field(ge=1)] = FORMAT_VERSION
    task: Task
    format: Format
    inputs: tuple[Input, ...]
    features: tuple[ComputedFeature, ...] = ()
    columns: Annotated[tuple[ModelColumn, ...], Field(min_length=1)]
    label: LabelColumn
    # Of a classifier, in sorted order; `positive` is the second of two.
    classes: tuple[Class, ...] | None = None
    positive: Class | None = None
    estimator: EstimatorOf
    # None: the ONNX graph takes the columns as they are.
    encoding: Encoding | None = None
    # Columns of text with personal data, computed ones too; None where there are none.
    masks: tuple[Mask, ...] | None = None
    outputs: Outputs = Field(default_factory=Outputs)
    tolerance: str
    export: Export = Field(default_factory=Export)
    libraries: dict[str, str] = Field(default_factory=dict)


def class_name(value: bool | int | str) -> str:
    """Return how a class is written in the column name `out.p.<class>`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def read_signature(folder: Path) -> Signature:
    """Read model.json. Raises BadInput: Incompatible for a newer format, OutputInvalid for what is none."""
    path = folder / SIGNATURE_FILE
    if not path.is_file():
        raise BadInput("OutputInvalid", f"{SIGNATURE_FILE} is missing: a model's folder says in it what it takes")
    if path.stat().st_size > MAX_SIGNATURE_BYTES:
        raise BadInput("OutputInvalid", f"{SIGNATURE_FILE} is larger than {MAX_SIGNATURE_BYTES} bytes")
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise BadInput("OutputInvalid", f"{SIGNATURE_FILE} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise BadInput("OutputInvalid", f"{SIGNATURE_FILE} is no JSON object")
    version = document.get("formatVersion")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise BadInput(
            "Incompatible",
            f"{SIGNATURE_FILE}: formatVersion {version} is newer than {FORMAT_VERSION}, which this program reads: "
            f"it was written with {document.get('libraries')}; use a newer image, or train again",
        )
    try:
        signature = Signature.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadInput("OutputInvalid", f"{SIGNATURE_FILE}: {where}: {first['msg']}") from error
    _check(signature)
    return signature


def write_signature(signature: Signature, folder: Path) -> None:
    """Write model.json: sorted keys, two spaces, a line end."""
    write_json(signature.dump(), folder / SIGNATURE_FILE)


def write_json(document: object, path: Path) -> None:
    """Write a document in the one form that all JSON of an artifact has."""
    text = json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _check(signature: Signature) -> None:
    """Refuse a document whose parts do not belong together."""
    have = {one.name for one in signature.inputs} | {feature.name for feature in signature.features}
    unknown = [column.name for column in signature.columns if column.name not in have]
    if unknown:
        raise BadInput("OutputInvalid", f"{SIGNATURE_FILE}: columns: {unknown[0]!r} is neither an input nor a feature")
    if signature.task == "classification" and len(signature.classes or ()) < 2:
        raise BadInput("OutputInvalid", f"{SIGNATURE_FILE}: classes: a classifier has two or more")
    if signature.format != "onnx" and signature.encoding is None:
        raise BadInput("OutputInvalid", f"{SIGNATURE_FILE}: encoding is missing: {signature.format} takes a matrix")
    types = {column.name: column.type for column in signature.columns}
    for mask in signature.masks or ():
        if types.get(mask.column) != "string":
            raise BadInput("OutputInvalid", f"{SIGNATURE_FILE}: masks: {mask.column!r} is no column of text")
    if signature.encoding is not None:
        named = [number.column for number in signature.encoding.numbers]
        named += [text.column for text in signature.encoding.texts]
        if sorted(named) != sorted(types):
            raise BadInput("OutputInvalid", f"{SIGNATURE_FILE}: encoding: it must name each column once")
        if not set(signature.encoding.flags) <= {number.column for number in signature.encoding.numbers}:
            raise BadInput("OutputInvalid", f"{SIGNATURE_FILE}: encoding.flags: not all are numbers")
