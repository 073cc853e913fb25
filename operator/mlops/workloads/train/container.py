"""A model that the user's own code left in the outputs folder: checked, described, taken over."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from mlops.api.costs import Costs
from mlops.api.metrics import Task
from mlops.api.reasons import Reason
from mlops.api.training_run import Part
from mlops.workloads.floor.log import say
from mlops.workloads.floor.model.contents import PICKLE_SUFFIXES, check_file
from mlops.workloads.floor.model.isolated import OPEN_SECONDS, asked, child_for
from mlops.workloads.floor.model.signature import (
    MAX_SIGNATURE_BYTES,
    SIGNATURE_FILE,
    EstimatorOf,
    Outputs,
    Signature,
    read_signature,
    write_signature,
)
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.train import environment
from mlops.workloads.train.costs import check_costs
from mlops.workloads.train.data import PARTS, Data
from mlops.workloads.train.export import TOLERANCES
from mlops.workloads.train.fit import classes_of, positive_of
from mlops.workloads.train.outputs import MAX_FILE_BYTES, checked_files, shown
from mlops.workloads.train.personal import check_adopted

METRICS_FILE = "metrics.json"
MAX_METRICS_BYTES = 1 << 20
_METRIC = re.compile(r"[a-z][a-z0-9_]{0,63}")
ALLOWED = (
    "write model.onnx (inputs named like the columns, or one float input of all columns) to $(MLOPS_OUTPUTS), or "
    "model.json with model.onnx, model.treelite or model.skops; and, if you like, metrics.json "
    '({"test": {"roc_auc": 0.91}})'
)
Metrics = dict[Part, dict[str, float]]


def adopt(outputs: Path, data: Data, folder: Path, costs: Costs | None = None) -> Metrics:
    """Copy a valid model from `outputs` into `folder` with its signature; return the metrics that came with it.

    `costs` are the run's. Raises BadInput: OutputInvalid with what is missing and what is allowed, FormatForbidden for
    pickles, ParameterInvalid for costs that do not fit the model.
    """
    if not outputs.is_dir():
        raise _invalid(f"{outputs} is not there: {ALLOWED}")
    files = checked_files(outputs)
    try:
        _refuse_pickle_only(outputs, files)
        if SIGNATURE_FILE in files:
            _take(files, SIGNATURE_FILE, folder, MAX_SIGNATURE_BYTES)
            signature = read_signature(folder)
            _check_columns(signature, data)
            _take(files, f"model.{signature.format}", folder, MAX_FILE_BYTES)
            marked = _marked(signature, data).evolve(costs=costs)
            if marked != signature:
                write_signature(marked, folder)
            signature = marked
        else:
            _take(files, "model.onnx", folder, MAX_FILE_BYTES)
            signature = describe(folder / "model.onnx", data).evolve(costs=costs)
            write_signature(signature, folder)
        check_adopted(signature, folder, data)
        check_costs(costs, data, signature.inputs, signature.classes)
        return read_metrics(outputs)
    except PermissionError as error:
        raise _invalid(f"{error.filename}: may not be read: leave the outputs readable") from error


def _refuse_pickle_only(outputs: Path, files: Mapping[str, Path]) -> None:
    """Say what is wrong with a pickle before saying that a model is missing."""
    if SIGNATURE_FILE in files or "model.onnx" in files:
        return
    for name, path in files.items():
        if path.name.lower().endswith(PICKLE_SUFFIXES) or path.stem == "model":
            check_file(path, shown(name))
    present = ", ".join(map(shown, islice(files, 10))) or "nothing"
    raise _invalid(f"{outputs} holds no model (it holds {present}): {ALLOWED}")


def _take(files: Mapping[str, Path], name: str, folder: Path, longest: int) -> None:
    if name not in files:
        raise _invalid(f"{name} is no plain file in the outputs folder: {ALLOWED}")
    if files[name].stat().st_size > longest:
        raise _invalid(f"{name} is larger than {longest} bytes")
    check_file(files[name], name)
    shutil.copyfile(files[name], folder / name)


def _marked(signature: Signature, data: Data) -> Signature:
    """Return the signature with what the Dataset says: marks of personal data, the positive class, and the cleaning
    that the rows went through before the user's code saw them. It has no say in these."""
    marks = {one.name: one.pii for one in data.inputs}
    inputs = tuple(one.evolve(pii=marks[one.name]) for one in signature.inputs)
    clean = data.clean_of([one.name for one in inputs])
    positive = signature.positive
    if data.positive is not None:
        positive = positive_of(data.label, signature.classes, data.positive)
    return signature.evolve(inputs=inputs, clean=clean or None, positive=positive)


def _check_columns(signature: Signature, data: Data) -> None:
    have = {one.name: one.type for one in data.inputs}
    for one in signature.inputs:
        if have.get(one.name) != one.type:
            raise _invalid(
                f"{SIGNATURE_FILE}: inputs: {one.name!r} ({one.type}) is no feature of the data; those are: "
                + ", ".join(f"{name} ({kind})" for name, kind in have.items())
            )
    if (signature.label.name, signature.label.type) != (data.label.name, data.label.type):
        raise _invalid(f"{SIGNATURE_FILE}: label: expected {data.label.name} ({data.label.type})")


@dataclass(frozen=True)
class _Output:
    """An output of a graph, as ONNX Runtime describes it."""

    name: str
    type: str
    shape: list[int | str | None]


def describe(path: Path, data: Data) -> Signature:
    """Return the signature of a bare ONNX graph, from its outputs, which a child reads, and the data's columns."""
    with child_for(path.parent) as child:
        described = asked(child, "describe", {"path": str(path)}, path.name, OPEN_SECONDS)
    outputs = [_Output(str(one["name"]), str(one["type"]), list(one["shape"])) for one in described["outputs"]]
    if maps := [output.name for output in outputs if not output.type.startswith("tensor(")]:
        raise _invalid(f"model.onnx: the output {maps[0]!r} is no tensor: with skl2onnx, convert with zipmap=False")
    task, found = _outputs_of(outputs, data)
    classes = classes_of(data.label, data.labels("train")) if task == "classification" else None
    if classes is not None:
        _check_width(outputs, found.probabilities, classes, data.label.name)
    return Signature(
        task=task,
        format="onnx",
        inputs=data.inputs,
        clean=data.clean,
        features=data.schema.features,
        columns=data.columns,
        label=data.label,
        classes=classes,
        positive=positive_of(data.label, classes, data.positive),
        estimator=EstimatorOf(name="container"),
        outputs=found,
        tolerance=TOLERANCES["onnx"],
        libraries=environment.libraries(),
    )


def _check_width(outputs: list[Any], probabilities: str | None, classes: tuple[Any, ...], label: str) -> None:
    """Refuse a declared number of probabilities that is not that of the classes; one column serves two classes."""
    for one in outputs:
        width = one.shape[1] if one.name == probabilities and len(one.shape) == 2 else None
        if isinstance(width, int) and width != len(classes) and (width, len(classes)) != (1, 2):
            shown = ", ".join(str(each) for each in classes[:10])
            raise _invalid(
                f"model.onnx: the output {one.name!r} has {width} columns, and the label {label!r} has "
                f"{len(classes)} classes ({shown})"
            )


def _outputs_of(outputs: list[Any], data: Data) -> tuple[Task, Outputs]:
    """Tell labels, probabilities and numbers apart by type and shape."""
    numbers = [one for one in outputs if one.type in ("tensor(float)", "tensor(double)")]
    labels = [
        one for one in outputs if one.type in ("tensor(int64)", "tensor(int32)", "tensor(string)", "tensor(bool)")
    ]
    wide = [one for one in numbers if len(one.shape) == 2 and one.shape[1] != 1]
    shown = ", ".join(f"{one.name}: {one.type} {one.shape}" for one in outputs)
    if data.label.type == "float64" or (data.label.type == "int64" and not labels and not wide):
        if len(numbers) != 1:
            raise _invalid(f"model.onnx: a regression has one float output (rows) or (rows, 1), it has {shown}")
        return "regression", Outputs(value=numbers[0].name)
    if len(numbers) > 1 or len(labels) > 1 or not (numbers or labels):
        raise _invalid(
            f"model.onnx: a classifier has one output of probabilities (rows, classes), one of labels (rows), or both; "
            f"it has {shown}"
        )
    return "classification", Outputs(
        label=labels[0].name if labels else None,
        probabilities=numbers[0].name if numbers else None,
        label_is_class=bool(labels) and (data.label.type == "int64" or labels[0].type == "tensor(string)"),
    )


def read_metrics(outputs: Path) -> Metrics:
    """Return the user's own metrics.json, {part: {name: number}}; nothing if there is none."""
    path = outputs / METRICS_FILE
    if path.is_symlink() or not path.is_file():
        return {}
    if path.stat().st_size > MAX_METRICS_BYTES:
        raise _invalid(f"{METRICS_FILE} is larger than {MAX_METRICS_BYTES} bytes")
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise _invalid(f"{METRICS_FILE} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise _invalid(f'{METRICS_FILE}: expected {{"test": {{"roc_auc": 0.91}}}}')
    if "formatVersion" in document:
        # A whole artifact was handed in: what an earlier run measured is measured again.
        return {}
    metrics: Metrics = {}
    if unknown := sorted(set(document) - set(PARTS)):
        raise _invalid(f"{METRICS_FILE}: {_cell(unknown[0])}: expected one of {', '.join(PARTS)}")
    for part in PARTS:
        values = document.get(part, {})
        if not isinstance(values, dict):
            raise _invalid(f"{METRICS_FILE}: {part}: expected names and numbers, got {_cell(values)}")
        metrics[part] = {name: _number(part, name, value) for name, value in values.items()}
    say(f"{METRICS_FILE}: {sum(len(values) for values in metrics.values())} values of your own")
    return metrics


def _number(part: str, name: str, value: Any) -> float:
    where = f"{METRICS_FILE}: {part}.{name}"
    if not _METRIC.fullmatch(name):
        raise _invalid(
            f"{METRICS_FILE}: {part}: {_cell(name)}: a metric's name has lower-case letters, digits and underscores, "
            "at most 64"
        )
    try:
        number = (
            float(np.float64(value)) if isinstance(value, int | float | str) and not isinstance(value, bool) else None
        )
    except (ValueError, OverflowError):
        number = None
    if number is None or not math.isfinite(number):
        raise _invalid(f"{where}: {_cell(value)} is no finite number")
    return number


def _cell(value: Any) -> str:
    """Return a value of the file as it may stand in a message: a text in quotation marks, and short."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."


def _invalid(message: str) -> BadInput:
    return BadInput(Reason.OUTPUT_INVALID, message)
