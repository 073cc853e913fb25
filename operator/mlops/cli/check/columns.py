"""Which column is what: label, answer, probabilities, time; which are compared, and why the others are not."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from mlops.api.costs import Cost, columns_of
from mlops.api.metrics import Task, of_task, positive_last
from mlops.cli.check.costs import costs_of
from mlops.cli.check.options import CheckOptions
from mlops.cli.check.tables import Table
from mlops.cli.errors import UserError
from mlops.workloads.floor.records.layout import label_text

_MOST_CATEGORIES = 256
_MOST_CLASSES = 20
_COUNTED = 20


@dataclass(frozen=True)
class Columns:
    """What the columns are for. `probabilities` are columns by class; of two classes that of the positive one."""

    inputs: tuple[str, ...]
    absent: tuple[str, ...]
    not_compared: Mapping[str, str]
    time: str | None
    label: str | None
    prediction: str | None
    probabilities: Mapping[str, str]
    task: Task
    # In sorted order, the positive one of two last; empty for a regression.
    classes: tuple[str, ...]
    # What answers cost, if that is said.
    costs: tuple[Cost, ...] = ()

    @property
    def answers(self) -> bool:
        """Return whether there are answers of a model."""
        return self.prediction is not None or bool(self.probabilities)


def chosen(reference: Table, current: Table, options: CheckOptions) -> Columns:
    """Return what the columns are for. Raises UserError for a column that is not there or does not fit."""
    roles = {**current.roles, **reference.roles}
    by_role = {role: name for name, role in roles.items()}
    label = options.label or by_role.get("label")
    time = options.time or by_role.get("timestamp") or _only_time(reference, current, options)
    label, time = (
        _there(name, given, option, reference, current)
        for name, given, option in ((label, options.label, "--label"), (time, options.time, "--time"))
    )
    prediction = _there(options.prediction, options.prediction, "--prediction", reference, current)
    stated = _probabilities(options)
    for column in stated.values():
        _there(column, column, "--probability", reference, current)
    for name in (*options.keys, *options.ignore):
        if name not in reference.types and name not in current.types and name not in reference.left_out:
            raise UserError(f"--ignore {name!r}: {_no_column(name, reference)}")
    if time is not None and reference.types[time] != "timestamp":
        raise UserError(f"--time {time!r}: its values are read as {reference.types[time]}: name a column of timestamps")
    special = [one for one in (label, time, prediction, *stated.values()) if one is not None]
    if doubles := sorted({one for one in special if special.count(one) > 1}):
        raise UserError(f"{doubles[0]!r} is named for two things: each option names a column of its own")
    task, classes = _task(reference, label, prediction, stated, options)
    not_compared = _not_compared(reference, current, options, special, roles, time)
    inputs = tuple(name for name in reference.frame.columns[1:] if name not in special and name not in not_compared)
    absent = tuple(name for name in inputs if name not in current.types)
    costs = costs_of(options, task, classes)
    _check_amounts(costs, inputs, absent, reference, current)
    if broken := [name for name in absent if name in current.left_out]:
        raise UserError(
            f"{current.name}: {broken[0]}: {current.left_out[broken[0]]}: leave it out by --ignore {broken[0]}"
        )
    if len(absent) == len(inputs):
        raise UserError(
            f"{current.name} has none of the columns of {reference.name} that can be compared"
            f" ({_listed(list(inputs)) or 'there are none'}); it has {_listed(list(current.types))}"
        )
    return Columns(
        inputs,
        absent,
        not_compared,
        time,
        label,
        prediction,
        _by_class(stated, classes, options),
        task,
        classes,
        costs,
    )


def _check_amounts(
    costs: tuple[Cost, ...], inputs: tuple[str, ...], absent: tuple[str, ...], reference: Table, current: Table
) -> None:
    """Raise UserError for a column of amounts that is not among the inputs of both sides, or no number."""
    for name, _ in columns_of(costs):
        for table in (reference, current):
            if name not in table.types:
                raise UserError(f"--cost: {name!r}: {_no_column(name, table)}")
            if table.types[name] not in ("float64", "int64"):
                raise UserError(f"--cost: {name!r} is {table.types[name]} in {table.name}: name a column of numbers")
        if name not in inputs or name in absent:
            raise UserError(f"--cost: {name!r} is not compared: leave it out of --ignore and --key")


def _only_time(reference: Table, current: Table, options: CheckOptions) -> str | None:
    """Return the one column of timestamps that both sides have in every row, if there is one only."""
    found = [
        name
        for name, kind in reference.types.items()
        if kind == "timestamp" and current.types.get(name) == kind and name not in options.ignore
    ]
    full = found and not any(table.frame[found[0]].null_count() for table in (reference, current))
    return found[0] if len(found) == 1 and full else None


def _there(name: str | None, given: str | None, option: str, reference: Table, current: Table) -> str | None:
    """Return the column if both sides have it; one that a role names is not needed."""
    if name is None:
        return None
    for table in (reference, current):
        if name not in table.types:
            if given is None:
                return None
            raise UserError(f"{option} {name!r}: {_no_column(name, table)}")
    return name


def _no_column(name: str, table: Table) -> str:
    close = difflib.get_close_matches(name, table.types, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"{table.name} has no such column{hint}; it has {_listed(list(table.types))}"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_COUNTED]) + (", …" if len(names) > _COUNTED else "")


def _probabilities(options: CheckOptions) -> dict[str, str]:
    """Return the columns as they were said: by class, or one under the empty name."""
    found: dict[str, str] = {}
    for text in options.probability:
        name, separator, column = text.rpartition("=")
        if separator and not (name and column):
            raise UserError(f"--probability {text!r}: the form is COLUMN, or CLASS=COLUMN for each class")
        found[name] = column
    if "" in found and len(options.probability) > 1:
        raise UserError("--probability: of more than one column each is CLASS=COLUMN")
    return found


def _task(
    reference: Table, label: str | None, prediction: str | None, stated: Mapping[str, str], options: CheckOptions
) -> tuple[Task, tuple[str, ...]]:
    about = label or prediction
    if about is None:
        if stated:
            raise UserError("--probability needs --label or --prediction, which say what the classes are")
        if options.metric or options.task or options.positive:
            raise UserError("--metric, --task and --positive need --label or --prediction: without there is no model")
        return "regression", ()
    if options.task == "regression" or (options.task is None and not stated and not _is_class(reference, about)):
        if stated:
            raise UserError("--probability: a regression has none: leave it out, or say --task classification")
        if reference.types[about] not in ("float64", "int64"):
            raise UserError(f"--task regression: {about!r} is {reference.types[about]}, and a regression's are numbers")
        return "regression", ()
    named = [one for one in (label, prediction) if one is not None]
    found = {str(value) for one in named for value in as_text(reference.frame, one).drop_nulls().unique()}
    classes = sorted(found | {name for name in stated if name})
    if len(classes) < 2:
        raise UserError(f"{reference.name}: {about!r} has the same value in every row: there are no two classes")
    if options.positive is not None and options.positive not in classes:
        raise UserError(f"--positive {options.positive!r}: the classes are {_listed(classes)}")
    if options.metric is not None and options.metric not in (fitting := of_task("classification")):
        raise UserError(f"--metric {options.metric}: does not fit classes; one of {', '.join(fitting)}")
    return "classification", positive_last(classes, options.positive)


def _is_class(reference: Table, name: str) -> bool:
    if reference.types[name] in ("string", "boolean"):
        return True
    return reference.types[name] == "int64" and reference.frame[name].n_unique() <= _MOST_CLASSES


def as_text(frame: pl.DataFrame, name: str) -> pl.Series:
    """Return a column of classes as the pod spells them."""
    return frame.select(label_text(name, frame.schema[name])).to_series()


def _by_class(stated: Mapping[str, str], classes: tuple[str, ...], options: CheckOptions) -> dict[str, str]:
    if not stated:
        return {}
    if "" in stated:
        if len(classes) != 2:
            raise UserError(
                f"--probability: there are {len(classes)} classes ({_listed(list(classes))}): say CLASS=COLUMN for each"
            )
        return {classes[1]: stated[""]}
    missing = [name for name in classes if name not in stated]
    if missing and not (len(classes) == 2 and classes[1] in stated):
        raise UserError(f"--probability: none for the class {missing[0]!r}: say {missing[0]}=COLUMN")
    return dict(stated)


def _not_compared(
    reference: Table,
    current: Table,
    options: CheckOptions,
    special: list[str],
    roles: Mapping[str, str],
    time: str | None,
) -> dict[str, str]:
    """Return why columns are not compared, by name."""
    found: dict[str, str] = {**current.left_out, **reference.left_out}
    found = {name: reason for name, reason in found.items() if name not in reference.types or name in options.ignore}
    for name in current.types:
        if name not in reference.types:
            found.setdefault(name, f"only {current.name} has it")
    if time is not None:
        found[time] = "the time"
    for name, kind in reference.types.items():
        if name in special:
            continue
        if name in options.ignore:
            found[name] = "--ignore"
        elif name in options.keys or roles.get(name) == "entityKey":
            found[name] = "a key"
        elif kind == "timestamp":
            found[name] = "a timestamp"
        elif roles.get(name) == "label":
            found[name] = "the label, which only one side has"
        elif reason := _is_no_input(reference.frame[name], kind):
            found[name] = reason
    return found


def _is_no_input(values: pl.Series, kind: str) -> str:
    """Return why values of which none comes again cannot be compared; empty if they can."""
    present = values.drop_nulls()
    if kind == "string" and (distinct := present.n_unique()) > max(_MOST_CATEGORIES, present.len() // 2):
        return f"{distinct:,} different texts in {present.len():,} rows"
    if kind == "int64" and present.len() >= _COUNTED and present.n_unique() == present.len() and _counts_rows(present):
        return "it counts the rows"
    return ""


def _counts_rows(values: pl.Series) -> bool:
    least, most = values.min(), values.max()
    return isinstance(least, int) and isinstance(most, int) and most - least == values.len() - 1
