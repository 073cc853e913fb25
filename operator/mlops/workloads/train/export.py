"""The export chain: ONNX if it reproduces scikit-learn's answers, else treelite, else skops."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import treelite
from google.protobuf.message import EncodeError
from numpy.typing import NDArray

from mlops.api.reasons import Reason
from mlops.workloads.floor.log import say
from mlops.workloads.floor.model.answer import Answer, checked
from mlops.workloads.floor.model.engines import SklearnEngine, open_engine
from mlops.workloads.floor.model.onnx_graph import pipeline_graph
from mlops.workloads.floor.model.signature import Attempt, Export, Format, Outputs, Signature
from mlops.workloads.floor.model.skops_file import dump_estimator
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.train.unusual import Unusual

MAX_COMPARED_ROWS = 5000
# How often scikit-learn is asked for the unusual rows that it does not refuse.
MAX_CALLS = 500
# The largest difference to scikit-learn's own answers that a format may show, relative to max(1, |answer|). ONNX trees
# and kernels calculate in float32; treelite's softmax does.
TOLERANCES: dict[Format, str] = {"onnx": "1e-5", "treelite": "1e-6", "skops": "1e-9"}
# What skl2onnx and its graph checks raise for an estimator or a parameter that they cannot convert.
_CONVERSION_ERRORS = (
    RuntimeError,
    ValueError,
    TypeError,
    AttributeError,
    NotImplementedError,
    KeyError,
    IndexError,
    NameError,
    AssertionError,
    EncodeError,
)
Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class _Candidate:
    """One way to write the model: its name in the record, its format, and how the bytes and outputs are made."""

    name: str
    format: Format
    write: Callable[[], tuple[bytes, Outputs]]


def export(
    signature: Signature, estimator: Any, columns: Columns, folder: Path, unusual: Unusual | None = None
) -> Signature:
    """Write the model's file into `folder` in the first format that reproduces the answers to `columns` and `unusual`.

    Return the signature with format, outputs, tolerance and the record of what was tried. Raises
    BadInput(ExportFailed) if not even skops does.
    """
    expected = answers_of(signature, estimator, columns)
    judged = _answered(signature, estimator, unusual) if unusual is not None and unusual.words else None
    tried: list[Attempt] = []
    for candidate in _candidates(signature, estimator):
        path = folder / f"model.{candidate.format}"
        accepted, attempt = _try(candidate, signature, columns, expected, path)
        if accepted is not None and judged is not None and (problem := _differs(accepted, path, *judged)):
            accepted, attempt = None, attempt.evolve(result=problem)
        tried.append(attempt)
        say(f"export {attempt.format}: {attempt.result} (difference {attempt.max_difference or 'unknown'})")
        if accepted is not None:
            return accepted.evolve(export=Export(tried=tuple(tried)))
        path.unlink(missing_ok=True)
    reasons = "; ".join(f"{one.format}: {one.result}" for one in tried)
    raise BadInput(Reason.EXPORT_FAILED, f"no format reproduces the answers of {signature.estimator.name}: {reasons}")


def answers_of(signature: Signature, estimator: Any, columns: Columns) -> Answer:
    """Return scikit-learn's own answers. Raises BadInput(TrainingFailed) where it has none: no format can repeat that.

    The estimator is one of the list, so what it raises comes of what it was fitted on.
    """
    try:
        return checked(SklearnEngine(signature, estimator).run(columns), signature.estimator.name)
    except BadInput as error:
        raise BadInput(
            Reason.TRAINING_FAILED,
            f"{signature.estimator.name} was fitted, and gives no answers to rows of the data: {error.message}",
        ) from error


def _answered(signature: Signature, estimator: Any, unusual: Unusual) -> tuple[Unusual, Answer] | None:
    """Return the rows that scikit-learn has an answer to, with its answers: others are refused whatever the format."""
    rows = _rows_with_answers(signature, estimator, unusual)
    if not rows:
        return None
    kept = unusual if len(rows) == len(unusual.words) else unusual.only(rows)
    return kept, answers_of(signature, estimator, kept.columns)


def _rows_with_answers(signature: Signature, estimator: Any, unusual: Unusual) -> list[int]:
    """Return which rows scikit-learn answers, in order.

    One call tells which answers are none. What raises does not say for which row: its halves are asked again, at most
    MAX_CALLS times in all, for a wide Dataset has thousands of unusual rows.
    """
    engine = SklearnEngine(signature, estimator)
    found: list[int] = []
    waiting: list[Sequence[int]] = [range(len(unusual.words))]
    for _ in range(MAX_CALLS):
        if not waiting:
            break
        rows = waiting.pop()
        try:
            answer = engine.run(unusual.only(rows).columns)
        except BadInput:
            middle = len(rows) // 2
            waiting += [rows[middle:], rows[:middle]] if middle else []
            continue
        found += [row for number, row in enumerate(rows) if _is_one(_row(answer, number), signature.estimator.name)]
    if waiting:
        left = sum(map(len, waiting))
        say(f"export: {left} of {len(unusual.words)} unusual rows are not compared: scikit-learn refuses too many")
    return found


def _is_one(answer: Answer, name: str) -> bool:
    try:
        checked(answer, name)
    except BadInput:
        return False
    return True


def _differs(made: Signature, path: Path, unusual: Unusual, expected: Answer) -> str | None:
    """Return which unusual row the file answers otherwise than scikit-learn, if there is one."""
    try:
        answer = open_engine(made, path.parent).run(unusual.columns)
    except BadInput as error:
        return f"cannot answer unusual rows: {error.message}"
    for row, words in enumerate(unusual.words):
        difference, wrong = compare(_row(answer, row), _row(expected, row), classifies=made.task == "classification")
        if wrong or not difference <= float(made.tolerance):
            return f"gives another answer than scikit-learn to a row with {words}"
    return None


def _row(answer: Answer, row: int) -> Answer:
    table = answer.probabilities
    return Answer(answer.values[row : row + 1], None if table is None else table[row : row + 1])


def _candidates(signature: Signature, estimator: Any) -> Iterator[_Candidate]:
    encoding = signature.encoding
    if encoding is None:
        raise ValueError("an export needs an encoding")

    def onnx(double: bool) -> tuple[bytes, Outputs]:
        graph = pipeline_graph(encoding, estimator, double=double)
        names = [output.name for output in graph.graph.output]
        if signature.task == "regression":
            return graph.SerializeToString(deterministic=True), Outputs(value=names[0])
        has_probabilities = hasattr(estimator, "predict_proba")
        outputs = Outputs(label=names[0], probabilities=names[1] if has_probabilities else None)
        return graph.SerializeToString(deterministic=True), outputs

    # Trees compare float32 numbers, and ONNX's trees know no other.
    if not encoding.single:
        yield _Candidate("onnx float64", "onnx", lambda: onnx(True))
    yield _Candidate("onnx float32", "onnx", lambda: onnx(False))
    yield _Candidate(
        "treelite", "treelite", lambda: (treelite.sklearn.import_model(estimator).serialize_bytes(), Outputs())
    )
    yield _Candidate("skops", "skops", lambda: (dump_estimator(estimator), Outputs()))


def _try(
    candidate: _Candidate, signature: Signature, columns: Columns, expected: Answer, path: Path
) -> tuple[Signature | None, Attempt]:
    tolerance = TOLERANCES[candidate.format]
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            # skl2onnx reads attributes that scikit-learn has deprecated; the comparison below judges the outcome.
            warnings.simplefilter("ignore", FutureWarning)
            content, outputs = candidate.write()
    except (*_CONVERSION_ERRORS, treelite.TreeliteError) as error:
        return None, Attempt(format=candidate.name, result=f"cannot be converted: {_first_line(error)}")
    except BadInput as error:
        return None, Attempt(format=candidate.name, result=error.message)
    path.write_bytes(content)
    made = signature.evolve(format=candidate.format, outputs=outputs, tolerance=tolerance)
    try:
        answer = open_engine(made, path.parent).run(columns)
    except BadInput as error:
        return None, Attempt(format=candidate.name, result=f"cannot be run: {error.message}")
    difference, wrong = compare(answer, expected, classifies=signature.task == "classification")
    shown = format(difference, ".1e")
    if wrong:
        return None, Attempt(format=candidate.name, result=f"{wrong} rows get another class", max_difference=shown)
    if not difference <= float(tolerance):
        return None, Attempt(format=candidate.name, result=f"differs by more than {tolerance}", max_difference=shown)
    return made, Attempt(format=candidate.name, result="accepted", max_difference=shown)


def compare(answer: Answer, expected: Answer, *, classifies: bool) -> tuple[float, int]:
    """Return the largest relative difference of the numbers, and the number of rows with another class."""
    if not classifies:
        return _distance(answer.values, expected.values), 0
    wrong = int((answer.values != expected.values).sum())
    if (answer.probabilities is None) != (expected.probabilities is None):
        return float("inf"), wrong
    if answer.probabilities is None or expected.probabilities is None:
        return 0.0, wrong
    return _distance(answer.probabilities, expected.probabilities), wrong


def _distance(got: NDArray[Any], expected: NDArray[Any]) -> float:
    if got.shape != expected.shape:
        return float("inf")
    distances = np.abs(got - expected) / np.maximum(1.0, np.abs(expected))
    # NaN answers are never equal: they make the maximum NaN, which no tolerance admits.
    return float(distances.max()) if distances.size else 0.0


def _first_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:160]
