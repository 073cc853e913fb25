"""Environment variables as typed settings: a model per process, in which each variable has its name and its meaning."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

LARGEST = 1 << 40


class BadVariable(ValueError):
    """A variable that cannot be used: `name`, `value`, and the `problem` with the way out."""

    def __init__(self, name: str, value: object, problem: str) -> None:
        super().__init__(f"{name}: {value!r} {problem}")
        self.name, self.value, self.problem = name, value, problem


@dataclass(frozen=True)
class Variable:
    """What is said of a field of a model of variables, beside its type and its default."""

    name: str
    # For the tables of the docs: what it holds, and the default as people write it.
    holds: str
    default: str = ""
    # Whether an empty text is a value; else it is the same as none.
    may_be_empty: bool = False


class Variables(BaseModel):
    """The settings that a process reads from its environment. Problems of values are told by ValueErrors of the types,
    in words that follow the value: "is no port"."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @classmethod
    def by_field(cls) -> dict[str, Variable]:
        """Return the variable of each field that has one."""
        return {
            field: each
            for field, info in cls.model_fields.items()
            for each in info.metadata
            if isinstance(each, Variable)
        }

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of all variables."""
        return tuple(each.name for each in cls.by_field().values())

    @classmethod
    def name_of(cls, field: str) -> str:
        """Return the name of the variable of a field."""
        return cls.by_field()[field].name

    @classmethod
    def read(cls, environ: Mapping[str, str], **given: Any) -> Self:
        """Return the settings of an environment; `given` are fields that are known from elsewhere, which win.

        Variables of others are passed over. Raises BadVariable.
        """
        variables = cls.by_field()
        values: dict[str, Any] = {
            field: environ[each.name]
            for field, each in variables.items()
            if each.name in environ and (environ[each.name] or each.may_be_empty)
        }
        values |= given
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = str(first["loc"][0])
            problem = str(first.get("ctx", {}).get("error", first["msg"]))
            raise BadVariable(variables[field].name, values.get(field, ""), problem) from None

    def evolve(self, **changes: Any) -> Self:
        """Return the settings with other values of some fields; see `base.Model.evolve`."""
        if unknown := changes.keys() - type(self).model_fields.keys():
            raise TypeError(f"{type(self).__name__} has no field {', '.join(sorted(unknown))}")
        return self.model_copy(update=changes)


def whole(lowest: int, highest: int = LARGEST) -> BeforeValidator:
    """Return the check of a whole number within two bounds, both included."""
    problem = f"is no whole number of at least {lowest}" if highest == LARGEST else ""

    def check(value: object) -> object:
        if not isinstance(value, str):
            return value
        if not (value.isascii() and value.isdigit() and lowest <= int(value[:20]) <= highest):
            raise ValueError(problem or f"is not in the range of whole numbers from {lowest} to {highest}")
        return int(value)

    return BeforeValidator(check)


def one_of(*choices: str) -> BeforeValidator:
    """Return the check of one of a few words."""
    words = ", ".join(map(repr, choices[:-1])) + f" or {choices[-1]!r}"

    def check(value: object) -> object:
        if value not in choices:
            raise ValueError(f"must be {words}")
        return value

    return BeforeValidator(check)


def refuse_unknown(environ: Iterable[str], prefix: str, known: Iterable[str], value_of: Callable[[str], str]) -> None:
    """Raise BadVariable for a name that begins with `prefix` and that no process reads."""
    names = sorted(known)
    for name in environ:
        if name.startswith(prefix) and name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            way_out = f"did you mean {close[0]}?" if close else f"known are {', '.join(names)}"
            raise BadVariable(name, value_of(name), f"is read by nothing; {way_out}")
