"""model.json: what a model takes and how it answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictInt, StrictStr, ValidationError

from mlops.api.base import FieldName, Model
from mlops.api.costs import Costs, columns_of, has_no_pair_twice
from mlops.api.dataset import Feature, FieldType
from mlops.api.estimators import MOST_SLOTS
from mlops.api.metrics import Task
from mlops.api.reasons import Reason
from mlops.workloads.floor.model.learnt import LearntSteps, problem_of
from mlops.workloads.floor.pod import BadInput

FORMAT_VERSION = 1
SIGNATURE_FILE = "model.json"
MAX_SIGNATURE_BYTES = 16 << 20

Format = Literal["onnx", "treelite", "skops"]
# More than anybody has, and little enough to hold: a model.json comes from whoever trained the model.
MAX_TEXT, MAX_LONG_TEXT, MAX_LISTED = 1024, 65_536, 65_536
MAX_INPUTS, MAX_FEATURES = 512, 128  # as in a Dataset
MAX_SLOTS = MOST_SLOTS
MAX_TOLERANCE = 0.01
Text = Annotated[str, Field(max_length=MAX_TEXT)]
LongText = Annotated[str, Field(max_length=MAX_LONG_TEXT)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Class = (
    StrictBool
    | Annotated[StrictInt, Field(ge=-(1 << 63), lt=1 << 63)]
    | Annotated[StrictStr, Field(max_length=MAX_LONG_TEXT)]
)
Categories = Annotated[tuple[LongText, ...], Field(max_length=MAX_LISTED)]
Versions = Annotated[dict[Text, LongText], Field(max_length=256)]
NUMBERS: tuple[FieldType, ...] = ("float64", "int64", "boolean")


class Input(Model):
    """A field of the data set that a request carries: see `requested`."""

    name: FieldName
    type: FieldType
    nullable: bool = False
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
    fill: Finite | None = None
    mean: Finite = 0.0
    scale: Finite = 1.0


class TextEncoding(Model):
    """One-hot: a slot per category, then one for all others, then one for missing. Ordinal: the category's index.

    Ordinal gives `unknown` (NaN where it is left out) for what is missing or not among the categories. One-hot gives
    zeros for them where there is no slot. The empty string counts as missing.
    """

    column: FieldName
    kind: Literal["onehot", "ordinal"]
    categories: Categories
    other: bool = False
    missing: bool = False
    unknown: Finite | None = None


class Encoding(Model):
    """How columns become the estimator's matrix: numbers, then flags of missing numbers, then texts, in this order."""

    numbers: Annotated[tuple[NumberEncoding, ...], Field(max_length=MAX_INPUTS + MAX_FEATURES)] = ()
    # Columns of `numbers` that get a second column: 1 where the value is missing.
    flags: Annotated[tuple[FieldName, ...], Field(max_length=MAX_INPUTS + MAX_FEATURES)] = ()
    texts: Annotated[tuple[TextEncoding, ...], Field(max_length=MAX_INPUTS + MAX_FEATURES)] = ()
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
    # The values that the Dataset allows, if it names them.
    enum: Annotated[tuple[LongText, ...], Field(max_length=256)] | None = None


class EstimatorOf(Model):
    """What was fitted."""

    name: Text
    params: Versions = Field(default_factory=dict)


class Attempt(Model):
    """One try of the export chain and why it was taken or not."""

    format: Text
    result: LongText
    max_difference: Text | None = None


class Export(Model):
    """The export chain's tries, the accepted one last."""

    tried: Annotated[tuple[Attempt, ...], Field(max_length=16)] = ()


class Outputs(Model):
    """Names of the ONNX graph's outputs."""

    label: Text | None = None
    probabilities: Text | None = None
    value: Text | None = None
    # Whether whole numbers in `label` are classes themselves; else they are indices of `classes`.
    label_is_class: bool = False


class MappedScores(Model):
    """A map of the answers of another model, see `statistics.score_map`: the graph holds it, or else who reads this
    applies it."""

    # The model without it.
    artifact: Text
    in_graph: bool
    slope: Finite
    bias: Annotated[tuple[Finite, ...], Field(min_length=1, max_length=MAX_LISTED)]


class Signature(Model):
    """What a model takes and how it answers."""

    format_version: Annotated[int, Field(ge=1)] = FORMAT_VERSION
    task: Task
    format: Format
    inputs: Annotated[tuple[Input, ...], Field(min_length=1, max_length=MAX_INPUTS)]
    # What was done to the inputs before features were computed; None where nothing was, and in models of releases
    # that did not record it.
    clean: LearntSteps | None = None
    features: Annotated[tuple[ComputedFeature, ...], Field(max_length=MAX_FEATURES)] = ()
    columns: Annotated[tuple[ModelColumn, ...], Field(min_length=1, max_length=MAX_INPUTS + MAX_FEATURES)]
    label: LabelColumn
    # Of a classifier, in sorted order; `positive` is the second of two.
    classes: Annotated[tuple[Class, ...], Field(max_length=MAX_LISTED)] | None = None
    positive: Class | None = None
    # What its answers cost, for the metric cost; of a classifier, if somebody said so.
    costs: Costs | None = None
    estimator: EstimatorOf
    # None: the ONNX graph takes the columns as they are.
    encoding: Encoding | None = None
    # Columns of text with personal data, computed ones too; None where there are none.
    masks: Annotated[tuple[Mask, ...], Field(max_length=MAX_INPUTS + MAX_FEATURES)] | None = None
    outputs: Outputs = Field(default_factory=Outputs)
    # Of a model that was recalibrated.
    mapped: MappedScores | None = None
    tolerance: Text
    export: Export = Field(default_factory=Export)
    libraries: Versions = Field(default_factory=dict)


def class_name(value: bool | int | str) -> str:
    """Return how a class is written in the column name `out.p.<class>`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def read_signature(folder: Path) -> Signature:
    """Read model.json. Raises BadInput: Incompatible for a newer format, OutputInvalid for what is none."""
    path = folder / SIGNATURE_FILE
    if not path.is_file():
        raise BadInput(Reason.OUTPUT_INVALID, f"{SIGNATURE_FILE} is missing: a model's folder says in it what it takes")
    with path.open("rb") as stream:
        return parse_signature(stream.read(MAX_SIGNATURE_BYTES + 1))


def parse_signature(content: bytes) -> Signature:
    """Return what the bytes of a model.json say. Raises BadInput as `read_signature` does."""
    if len(content) > MAX_SIGNATURE_BYTES:
        raise BadInput(Reason.OUTPUT_INVALID, f"{SIGNATURE_FILE} is larger than {MAX_SIGNATURE_BYTES} bytes")
    try:
        document = json.loads(content, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise BadInput(Reason.OUTPUT_INVALID, f"{SIGNATURE_FILE} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise BadInput(Reason.OUTPUT_INVALID, f"{SIGNATURE_FILE} is no JSON object")
    version = document.get("formatVersion")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise BadInput(
            Reason.INCOMPATIBLE,
            f"{SIGNATURE_FILE}: formatVersion {version} is newer than {FORMAT_VERSION}, which this program reads: "
            f"it was written with {document.get('libraries')}; use a newer image, or train again",
        )
    inputs = document.get("inputs")
    for one in inputs if isinstance(inputs, list) else ():
        if isinstance(one, dict):
            # Earlier releases listed them here too; what a model knows are those of its encoding.
            one.pop("categories", None)
    try:
        signature = Signature.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadInput(Reason.OUTPUT_INVALID, f"{SIGNATURE_FILE}: {where}: {first['msg']}") from error
    _check(signature)
    return signature


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")


def write_signature(signature: Signature, folder: Path) -> None:
    """Write model.json: sorted keys, two spaces, a line end."""
    write_json(signature.dump(), folder / SIGNATURE_FILE)


def write_json(document: object, path: Path) -> None:
    """Write a document in the one form that all JSON of an artifact has."""
    text = json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _bad(problem: str) -> BadInput:
    return BadInput(Reason.OUTPUT_INVALID, f"{SIGNATURE_FILE}: {problem}")


def _check(signature: Signature) -> None:
    """Refuse a document whose parts do not belong together."""
    have: dict[str, FieldType] = {}
    for place, named in (("inputs", signature.inputs), ("features", signature.features)):
        for one in named:
            if one.name in have:
                raise _bad(f"{place}: {one.name!r} is there twice")
            have[one.name] = one.type
    types: dict[str, FieldType] = {}
    for column in signature.columns:
        if column.name not in have:
            raise _bad(f"columns: {column.name!r} is neither an input nor a feature")
        if column.name in types or column.type != have[column.name]:
            raise _bad(f"columns: {column.name!r} is there twice, or is {have[column.name]} and not {column.type}")
        types[column.name] = column.type
    if problem := problem_of(signature.clean or (), {one.name: one.type for one in signature.inputs}):
        raise _bad(problem)
    _check_answer(signature)
    if signature.format != "onnx" and signature.encoding is None:
        raise _bad(f"encoding is missing: {signature.format} takes a matrix")
    for mask in signature.masks or ():
        if types.get(mask.column) != "string":
            raise _bad(f"masks: {mask.column!r} is no column of text")
    if len({mask.column for mask in signature.masks or ()}) != len(signature.masks or ()):
        raise _bad("masks: a column is there twice")
    if signature.encoding is not None:
        _check_encoding(signature.encoding, types)


def _check_answer(signature: Signature) -> None:
    """What is predicted: classes of one type that differ, or none."""
    classes = signature.classes
    if (signature.task == "classification") != (classes is not None):
        raise _bad("classes: a classifier has two or more, a regression has none")
    if classes is not None:
        if len(classes) < 2:
            raise _bad("classes: a classifier has two or more")
        if len({type(one) for one in classes}) > 1 or len(set(classes)) != len(classes):
            raise _bad("classes: they are of one type, and none is there twice")
        kind = {bool: "boolean", int: "int64", str: "string"}[type(classes[0])]
        if kind != signature.label.type:
            raise _bad(f"classes: they are {kind}, and the label is {signature.label.type}")
    if signature.positive is not None and not any(_same(signature.positive, one) for one in classes or ()):
        raise _bad(f"positive: {signature.positive!r} is none of the classes")
    if signature.costs is not None:
        _check_costs(signature, signature.costs)
    if signature.mapped is not None:
        _check_map(signature, signature.mapped)
    try:
        tolerance = float(signature.tolerance)
    except ValueError:
        tolerance = -1.0
    if not 0 <= tolerance <= MAX_TOLERANCE:
        raise _bad(f"tolerance: {signature.tolerance[:60]!r} is no number from 0 to {MAX_TOLERANCE}")


def _check_costs(signature: Signature, costs: Costs) -> None:
    if signature.classes is None:
        raise _bad("costs: a regression has none")
    if not has_no_pair_twice(costs):
        raise _bad("costs: a pair of classes is there twice")
    types = {one.name: one.type for one in signature.inputs}
    for name, _ in columns_of(costs):
        if types.get(name) not in ("float64", "int64"):
            raise _bad(f"costs: {name!r} is no input that is a number")


def _check_map(signature: Signature, mapped: MappedScores) -> None:
    wanted = len(signature.classes or ()) or 1
    if len(mapped.bias) != wanted or mapped.slope <= 0:
        raise _bad(f"mapped: its slope is above 0, and it has {wanted} biases, one per class")
    if mapped.in_graph and signature.format != "onnx":
        raise _bad(f"mapped: model.{signature.format} has no graph that could hold it")


def _same(one: bool | int | str, other: bool | int | str) -> bool:
    return type(one) is type(other) and one == other


def _check_encoding(encoding: Encoding, types: Mapping[str, FieldType]) -> None:
    named = [number.column for number in encoding.numbers]
    named += [text.column for text in encoding.texts]
    if sorted(named) != sorted(types):
        raise _bad("encoding: it must name each column once")
    if not set(encoding.flags) <= {number.column for number in encoding.numbers}:
        raise _bad("encoding.flags: not all are numbers")
    if len(set(encoding.flags)) != len(encoding.flags):
        raise _bad("encoding.flags: a column is there twice")
    for number in encoding.numbers:
        if types[number.column] not in NUMBERS or number.scale == 0:
            raise _bad(f"encoding.numbers: {number.column!r} is no number, or its scale is 0")
    for text in encoding.texts:
        if types[text.column] != "string":
            raise _bad(f"encoding.texts: {text.column!r} is {types[text.column]}, not string")
        if len(set(text.categories)) != len(text.categories):
            raise _bad(f"encoding.texts: {text.column!r} has a category twice")
        if text.kind == "onehot" and len(text.categories) > MAX_SLOTS:
            raise _bad(f"encoding.texts: {text.column!r} has more than {MAX_SLOTS} categories for one-hot")
