"""`mlops predict`: rows in, answers out."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mlops.api.file_formats import FileFormat
from mlops.cli.errors import UserError
from mlops.cli.inspect import load
from mlops.cli.predict import answers
from mlops.cli.predict.choosing import ChosenVersion, chosen
from mlops.cli.predict.example import example_of, frame_of, words_of
from mlops.cli.predict.models import AskedModel, NotAnswered, ServedModel, StoredModel
from mlops.cli.predict.remarks import Remarks
from mlops.cli.predict.rows import Fields, columns_of, row_of, rows_in
from mlops.cli.state import State
from mlops.cli.terminal import note, show
from mlops.store.address import open_store


@dataclass(frozen=True)
class PredictOptions:
    """What the command line says."""

    model: str
    words: tuple[str, ...]
    state: State
    namespace: str
    file: Path | None = None
    format: FileFormat | None = None
    example: bool = False
    stage: str | None = None
    version: int | None = None
    url: str | None = None
    output: str = "text"
    keep_going: bool = False


def predict(options: PredictOptions) -> int:
    """Answer the rows and return the exit code: 0, or 1 if rows were refused and `keep_going`. Raises UserError."""
    _check(options)
    with ExitStack() as stack:
        if options.url is not None:
            model: AskedModel = stack.enter_context(ServedModel(options.url, options.model, options.version))
            return _answered(options, model, Fields(model.inputs), None, "")
        version = _chosen(options)
        stored = stack.enter_context(_stored(options.state, version))
        fields = Fields(stored.inputs, version.dataset)
        return _answered(options, stored, fields, Remarks(fields, stored.signature), version.said)


def _check(options: PredictOptions) -> None:
    ways = [bool(options.words), options.file is not None, options.example]
    if sum(ways) > 1:
        raise UserError("KEY=VALUE, --file and --example are three ways to say rows: use one")
    if options.url is not None and options.stage is not None:
        raise UserError("--stage is for a local state: the address of a server is that of a stage")
    if options.url is not None and options.example:
        raise UserError("--example is for a local state: a server does not tell the rows that were recorded")
    if options.stage is not None and options.version is not None:
        raise UserError("--stage and --version: say one of them")
    if options.format is not None and options.file is None:
        raise UserError("--format is for --file")


def _chosen(options: PredictOptions) -> ChosenVersion:
    objects = load(options.state)
    return chosen(objects, options.model, options.namespace, options.stage, options.version)


def _stored(state: State, version: ChosenVersion) -> StoredModel:
    return StoredModel(open_store(state.store.resolve().as_uri(), os.environ), version.task)


def _answered(options: PredictOptions, model: AskedModel, fields: Fields, remarks: Remarks | None, said: str) -> int:
    if options.file is not None:
        with rows_in(options.file, options.format, fields) as frames:
            return _many(options, model, frames, remarks, said)
    if options.example:
        frame = _example(options, model, fields)
    elif options.words:
        frame = row_of(options.words, fields)
    else:
        raise UserError(f"say a value for each input, or --file: {options.model} takes {fields.listed()}")
    for remark in remarks.of(frame, 1) if remarks else ():
        note(f"note: {remark}")
    (reply,) = _replies(model, frame, 1)
    (row,) = reply.rows
    if row.problem:
        raise UserError(row.problem)
    if options.output == "json":
        show(answers.json_lines(reply, model.classes))
    else:
        show(answers.single(row, model.classes, said or f"{options.model} version {reply.version}"))
    return 0


def _example(options: PredictOptions, model: AskedModel, fields: Fields) -> pl.DataFrame:
    if not isinstance(model, StoredModel):
        raise RuntimeError("only a stored model has recorded rows")
    row = example_of(model.signature, model.recorded)
    if row is None:
        raise UserError(
            f"the recorded rows of {options.model} hold no personal data, and it does not answer without: say a value "
            f"for each input: {fields.listed()}"
        )
    note(f"row: {shlex.join(words_of(row))}")
    return frame_of(row, fields)


def _many(
    options: PredictOptions, model: AskedModel, frames: Iterator[pl.DataFrame], remarks: Remarks | None, said: str
) -> int:
    lines = answers.Lines(model.classes)
    first, refused = 1, 0
    if said:
        note(f"version: {said}")
    for frame in frames:
        for remark in remarks.of(frame, first) if remarks else ():
            note(f"note: {remark}")
        for reply in _replies(model, frame, first):
            problem = next((one for one in reply.rows if one.problem), None)
            if problem is not None and not options.keep_going:
                raise UserError(f"{options.file}: {problem.problem}; --keep-going answers the other rows")
            refused += problem is not None
            show(answers.json_lines(reply, model.classes) if options.output == "json" else lines.of(reply))
        first += frame.height
    if first == 1:
        raise UserError(f"{options.file}: holds no row")
    if refused:
        note(f"{refused} of {first - 1} rows were refused")
    return 1 if refused else 0


def _replies(model: AskedModel, frame: pl.DataFrame, first: int) -> Iterator[answers.Reply]:
    try:
        yield from answers.asked(model, columns_of(frame, first), first)
    except NotAnswered as error:
        raise UserError(f"the server refused: {error.status}: {error.message}") from error
