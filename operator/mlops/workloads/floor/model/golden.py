"""golden.json: rows of raw inputs and the recorded answers, asked again before a model serves."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops.api.reasons import Reason
from mlops.workloads.floor.model.missing import objects, whole_numbers
from mlops.workloads.floor.model.predictor import Prediction, Predictor
from mlops.workloads.floor.model.signature import Signature, write_json
from mlops.workloads.floor.pod import BadInput

GOLDEN_FILE = "golden.json"
MAX_GOLDEN_ROWS = 32
# Of a file that somebody else wrote.
MAX_ROWS_READ, MAX_GOLDEN_BYTES = 1000, 64 << 20
# Recorded numbers have so many significant digits: what differs between processors lies beyond them.
DIGITS = 7
# By how much a recorded number may differ from the one that was rounded, relative to max(1, |number|): skops files give
# the same bits, and these are not on record.
ROUNDING = 0.5 * 10.0 ** (1 - DIGITS)


@dataclass(frozen=True, eq=False)
class GoldenRows:
    """Rows of inputs (n,) per field and the answers recorded for them."""

    inputs: dict[str, NDArray[Any]]
    recorded: Prediction


def rounded(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return numbers cut to the digits that are recorded; shape kept."""
    flat = [float(f"{value:.{DIGITS}g}") for value in np.asarray(values, dtype=np.float64).ravel().tolist()]
    # Adding zero turns -0.0 into 0.0.
    return np.array(flat, dtype=np.float64).reshape(np.shape(values)) + 0.0


def write_golden(predictor: Predictor, inputs: dict[str, NDArray[Any]], folder: Path) -> Prediction:
    """Ask the model, write rows and answers, and return the answers as they were recorded."""
    answer = predictor.predict(inputs)
    classifies = predictor.signature.task == "classification"
    recorded = Prediction(
        answer.prediction if classifies else rounded(answer.prediction),
        None if answer.probabilities is None else rounded(answer.probabilities),
    )
    document = {
        "formatVersion": 1,
        "inputs": {one.name: _plain(inputs[one.name]) for one in predictor.signature.inputs},
        "prediction": recorded.prediction.tolist(),
        "probabilities": None if recorded.probabilities is None else recorded.probabilities.tolist(),
    }
    write_json(document, folder / GOLDEN_FILE)
    return recorded


def read_golden(folder: Path, signature: Signature) -> GoldenRows:
    """Read golden.json. Raises BadInput(OutputInvalid) for what is none."""
    path = folder / GOLDEN_FILE
    if not path.is_file():
        raise BadInput(Reason.OUTPUT_INVALID, f"{GOLDEN_FILE} is missing: a model's folder says in it what it answers")
    if path.stat().st_size > MAX_GOLDEN_BYTES:
        raise BadInput(Reason.OUTPUT_INVALID, f"{GOLDEN_FILE} is larger than {MAX_GOLDEN_BYTES} bytes")
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise BadInput(Reason.OUTPUT_INVALID, f"{GOLDEN_FILE} is not JSON: {error}") from error
    try:
        inputs = {one.name: array_of(document["inputs"][one.name], one.type) for one in signature.inputs}
        prediction = np.array(document["prediction"])
        if signature.task == "classification" and prediction.dtype.kind == "U":
            prediction = prediction.astype(object)
        table = document["probabilities"]
        probabilities = None if table is None else np.array(table, dtype=np.float64)
        _check_shapes(inputs, prediction, probabilities, signature)
        return GoldenRows(inputs, Prediction(prediction, probabilities))
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise BadInput(Reason.OUTPUT_INVALID, f"{GOLDEN_FILE}: {type(error).__name__}: {error}") from error


def _check_shapes(
    inputs: dict[str, NDArray[Any]],
    prediction: NDArray[Any],
    probabilities: NDArray[np.float64] | None,
    signature: Signature,
) -> None:
    """Raise ValueError unless there is one answer to each row, of the kind that the model gives."""
    rows = prediction.shape[0] if prediction.ndim == 1 else -1
    if any(values.shape != (rows,) for values in inputs.values()) or rows > MAX_ROWS_READ:
        raise ValueError(f"it has not one answer to each of at most {MAX_ROWS_READ} rows")
    for one in signature.inputs:
        if one.type == "string" and not all(value is None or isinstance(value, str) for value in inputs[one.name]):
            raise ValueError(f"inputs: {one.name!r} has something else than texts")
    if signature.classes is None:
        if rows and prediction.dtype.kind not in "fiu":
            raise ValueError("prediction: it is no number")
    elif probabilities is not None and probabilities.shape != (rows, len(signature.classes)):
        raise ValueError(f"probabilities: their shape is {probabilities.shape}")


def array_of(values: list[Any], kind: str) -> NDArray[Any]:
    """Return JSON values of a field of this type as the array that `Predictor.predict` takes; null is missing."""
    if kind == "string":
        return objects(values)
    if kind == "int64":
        return whole_numbers(values)
    if kind == "timestamp":
        return np.array([_timestamp(value) for value in values], dtype="datetime64[us]")
    if kind == "boolean" and None not in values:
        return np.array(values, dtype=np.bool_)
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _timestamp(text: Any) -> np.datetime64:
    if text is None:
        return np.datetime64("NaT", "us")
    return np.datetime64(datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None), "us")


def check_golden(predictor: Predictor, golden: GoldenRows) -> str | None:
    """Return None if the model answers as recorded, else the first difference in words."""
    answer = predictor.predict(golden.inputs)
    tolerance = max(float(predictor.signature.tolerance), ROUNDING)
    recorded = golden.recorded
    if predictor.signature.task == "regression":
        return _first_difference("prediction", answer.prediction, recorded.prediction, tolerance)
    if recorded.probabilities is not None:
        if answer.probabilities is None:
            return "probabilities: recorded, but the model gives none"
        difference = _first_difference("probabilities", answer.probabilities, recorded.probabilities, tolerance)
        if difference is not None:
            return difference
    for row, (got, expected) in enumerate(zip(answer.prediction.tolist(), recorded.prediction.tolist(), strict=True)):
        if got != expected and not _tied(recorded.probabilities, row, tolerance):
            return f"prediction: row {row}: got {got!r}, recorded {expected!r}"
    return None


def prediction_digest(recorded: Prediction) -> str:
    """Return the digest of recorded answers: classes as UTF-8 lines, numbers as little-endian float64."""
    seen = hashlib.sha256()
    if recorded.prediction.dtype.kind == "f":
        seen.update(recorded.prediction.astype("<f8").tobytes())
    else:
        seen.update("".join(f"{one}\n" for one in recorded.prediction.tolist()).encode())
    if recorded.probabilities is not None:
        seen.update(recorded.probabilities.astype("<f8").tobytes())
    return "sha256:" + seen.hexdigest()


def _first_difference(what: str, got: NDArray[Any], recorded: NDArray[Any], tolerance: float) -> str | None:
    if got.shape != recorded.shape:
        return f"{what}: shape {got.shape}, recorded {recorded.shape}"
    differs = ~(np.abs(got - recorded) <= tolerance * np.maximum(1.0, np.abs(recorded)))
    rows = np.nonzero(differs.reshape(differs.shape[0], -1).any(axis=1))[0]
    if rows.shape[0] == 0:
        return None
    row = int(rows[0])
    return f"{what}: row {row}: got {got[row].tolist()}, recorded {recorded[row].tolist()}"


def _tied(probabilities: NDArray[np.float64] | None, row: int, tolerance: float) -> bool:
    """Whether the two best classes are so close that rounding decides."""
    if probabilities is None:
        return False
    best = np.sort(probabilities[row])[-2:]
    return bool(best[1] - best[0] <= 2 * tolerance)


def _plain(values: NDArray[Any]) -> list[Any]:
    """Return an array as JSON values; NaN and NaT are null, timestamps are RFC 3339 in UTC."""
    if values.dtype.kind == "M":
        return [None if value is None else f"{value.isoformat()}Z" for value in values.astype(object)]
    return [None if isinstance(value, float) and value != value else value for value in values.tolist()]
