"""Requests made of rows, and their answers in the form that is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from mlops.cli.errors import UserError
from mlops.cli.predict.models import AskedModel, NotAnswered, Tensor
from mlops.cli.tables import aligned, printable

# A server names rows of a request from 0; alone in it, a row is that one.
_ROW = re.compile(r"(^|\bin )row 0\b")
# Where rows are too many, or too large, or one of them is none that the model takes.
_BECAUSE_OF_ROWS = (413, 422)
# So many classes are shown one by one.
_FEW = 4


@dataclass(frozen=True)
class Answered:
    """One row's answer, or why there is none; `row` counts from 1."""

    row: int
    prediction: Any = None
    probabilities: tuple[float, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Reply:
    """The answers to rows that were asked together, and the version that gave them."""

    version: str
    rows: tuple[Answered, ...]


def asked(model: AskedModel, columns: Mapping[str, Sequence[Any]], first: int) -> Iterator[Reply]:
    """Ask about rows, `first` being the number of the first. A row that is refused is refused by itself.

    Raises NotAnswered for what has nothing to do with the rows, and UserError.
    """
    count = len(next(iter(columns.values())))
    try:
        answer = model.ask(body_of(model.inputs, columns))
    except NotAnswered as error:
        if error.status not in _BECAUSE_OF_ROWS:
            raise
        if count == 1:
            yield Reply("", (Answered(first, problem=_numbered(error.message, first)),))
            return
        half = count // 2
        yield from asked(model, {name: values[:half] for name, values in columns.items()}, first)
        yield from asked(model, {name: values[half:] for name, values in columns.items()}, first + half)
        return
    yield _reply(answer, first, count)


def _numbered(message: str, row: int) -> str:
    """Return what a server says of the only row of a request, with the number that the row has here."""
    numbered, count = _ROW.subn(rf"\g<1>row {row}", message, count=1)
    return numbered if count else f"row {row}: {message}"


def body_of(inputs: Sequence[Tensor], columns: Mapping[str, Sequence[Any]], **more: Any) -> bytes:
    """Return the body of a request with these rows, `more` beside its inputs."""
    tensors = [
        {"name": one.name, "datatype": one.datatype, "shape": [len(columns[one.name])], "data": columns[one.name]}
        for one in inputs
    ]
    return orjson.dumps({**more, "inputs": tensors})


def _reply(answer: Mapping[str, Any], first: int, count: int) -> Reply:
    try:
        outputs = {one["name"]: one["data"] for one in answer["outputs"]}
        predictions, table = outputs["prediction"], outputs.get("probabilities", [])
        if len(predictions) != count or len(table) % count:
            raise ValueError("there is not one for each row")
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            "the answer is none of a model server of mlops, which has `prediction` and, of a classifier, "
            f"`probabilities` for each row ({type(error).__name__}: {error})"
        ) from error
    width = len(table) // count
    rows = (
        Answered(first + at, value, tuple(table[at * width : (at + 1) * width])) for at, value in enumerate(predictions)
    )
    return Reply(str(answer.get("model_version", "")), tuple(rows))


def json_lines(reply: Reply, classes: Sequence[str]) -> str:
    """Return a line of JSON for each row, with every digit."""
    return "\n".join(orjson.dumps(_document(reply.version, one, classes)).decode() for one in reply.rows)


def _document(version: str, one: Answered, classes: Sequence[str]) -> dict[str, Any]:
    if one.problem:
        return {"row": one.row, "error": one.problem}
    document: dict[str, Any] = {"row": one.row, "version": version, "prediction": one.prediction}
    if one.probabilities:
        named = len(classes) == len(one.probabilities)
        document["probabilities"] = (
            dict(zip(classes, one.probabilities, strict=True)) if named else list(one.probabilities)
        )
    return document


def single(one: Answered, classes: Sequence[str], said: str) -> str:
    """Return one row's answer for a person."""
    facts = [["version", said], ["prediction", _shown(one.prediction)]]
    if one.probabilities:
        facts.append(["probabilities", _probabilities(one, classes)])
    return aligned(facts)


class Lines:
    """Answers to many rows for a person: a line for each, in columns that do not move."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = classes
        self._width = max(10, *(len(printable(name)) for name in classes)) if classes else 14
        self._is_first = True

    def of(self, reply: Reply) -> str:
        """Return the lines of a reply, the first of all with a header."""
        lines = [f"{'ROW':<9}{'PREDICTION':<{self._width}}   {'PROBABILITIES' if self._classes else ''}".rstrip()]
        for one in reply.rows:
            said = printable(one.problem or _shown(one.prediction))
            beside = "" if one.problem else _probabilities(one, self._classes)
            lines.append(f"{one.row:<9}{said:<{self._width}}   {beside}".rstrip())
        shown = lines if self._is_first else lines[1:]
        self._is_first = False
        return "\n".join(shown)


def _probabilities(one: Answered, classes: Sequence[str]) -> str:
    if len(classes) != len(one.probabilities):
        return " ".join(f"{value:.6f}" for value in one.probabilities)
    pairs = list(zip(classes, one.probabilities, strict=True))
    if len(pairs) > _FEW:
        pairs = sorted(pairs, key=lambda pair: -pair[1])[: _FEW - 1]
    left_out = ", …" if len(pairs) < len(classes) else ""
    return printable(", ".join(f"{name} {value:.6f}" for name, value in pairs)) + left_out


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.9g}" if isinstance(value, float) else str(value)
