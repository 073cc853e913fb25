"""Functions of texts that are polars' on both sides: patterns, formats of times, letters as people see them.

Its regular expressions take time linear in the text, which Python's do not. polars is imported when the first such
expression is checked: a server without them never loads it. polars computes them value by value, so a row alone gives
what it gives among others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlops.workloads.floor.expressions.errors import NoValue, Refusal
from mlops.workloads.floor.expressions.growth import SCALAR, Growth, replacement
from mlops.workloads.floor.expressions.intervals import in_calendar
from mlops.workloads.floor.expressions.kinds import FIRST_TIMESTAMP, LAST_TIMESTAMP, Kind, Value
from mlops.workloads.floor.expressions.typed import Computed, Operation
from mlops.workloads.floor.pod import is_panic

if TYPE_CHECKING:
    import polars as pl

    Step = Callable[[pl.Series], pl.Series]

_TRIED = ("", "a", "2024-05-01")


def _computed(values: Sequence[Any], step: Step, dtype: str = "String") -> list[Any]:
    """Return what polars makes of values that are there. Raises NoValue."""
    import polars as pl

    try:
        found: list[Any] = step(pl.Series(values, dtype=getattr(pl, dtype))).to_list()
    except pl.exceptions.PolarsError as error:
        raise NoValue(f"cannot be computed: {_first_line(error)}") from error
    except BaseException as error:
        if not is_panic(error):
            raise
        raise NoValue("cannot be computed: the text engine gave up") from error
    return found


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0].partition(": [")[0][:200]


def _vector(step: Step, dtype: str, made: Any) -> Callable[[NDArray[Any]], Computed]:
    """Return the same of many values: what comes out as null, or all if polars gives up, is asked value by value."""

    def vector(array: NDArray[Any]) -> Computed:
        found = np.zeros(len(array), dtype=made)
        try:
            values = _computed(array.tolist(), step, dtype)
        except NoValue:
            return found, np.ones(len(array), np.bool_)
        gone = np.fromiter((one is None for one in values), np.bool_, len(values))
        found[:] = [found[0] if one is None else one for one in values] if gone.any() else values
        return found, gone

    return vector


def _operation(name: str, step: Step, made: Any, *, of: str = "String", **options: Any) -> Operation:
    """Return the operation of a step, tried out now; it gives bool, int64 or objects. Raises Refusal."""
    operation = Operation(name, lambda value: _computed([value], step, of)[0], _vector(step, of, made), **options)
    try:
        _computed(_TRIED if of == "String" else (0,), step, of)
    except NoValue as error:
        raise Refusal(error.problem) from error
    return operation


def matching(pattern: str) -> Operation:
    """Return the test whether a pattern occurs in a text. Raises Refusal for what is no pattern."""
    return _operation("regexp_like", lambda texts: texts.str.contains(pattern, literal=False), np.bool_)


def matching_of_row(flags: str) -> Operation:
    """Return the test whether the second text, a pattern, occurs in the first."""

    def matches(text: str, pattern: str) -> bool:
        try:
            found = _computed([text], lambda texts: texts.str.contains(flagged(pattern, flags), literal=False))
        except NoValue:
            # What polars says shows the pattern, which may be personal.
            raise NoValue("has no regular expression in its second text") from None
        return bool(found[0])

    return Operation("regexp_like", matches)


def flagged(pattern: str, flags: str) -> str:
    """Return a pattern with its flags in it."""
    return f"(?{flags}){pattern}" if flags else pattern


def checked_flags(flags: str, allowed: str) -> str:
    """Return the flags of a pattern. Raises Refusal."""
    if set(flags) - set(allowed):
        raise Refusal(f"has the flags '{flags[:20]}' of a pattern: use letters of '{allowed}'")
    return flags


def replacing(pattern: str, new: str, flags: str) -> Operation:
    """Return the replacement of a pattern by a text: of the first match, with flag g of all. Raises Refusal."""
    found = flagged(pattern, flags.replace("g", ""))
    plain = new.replace("$", "$$")

    def step(texts: pl.Series) -> pl.Series:
        return texts.str.replace_all(found, plain) if "g" in flags else texts.str.replace(found, plain)

    return _operation("regexp_replace", step, object, grows=replacement(pattern, new, pattern=True))


def reversed_text(text: str) -> Value:
    """Return a text from its end, by letters as people see them: an accent stays with its letter."""
    if text.isascii() and "\r" not in text:
        return text[::-1]
    return _computed([text], lambda texts: texts.str.reverse())[0]


def formatted(form: str, kind: Kind) -> Operation:
    """Return times as texts, in a format of strftime. Raises Refusal for what is no format."""
    import polars as pl

    dtype = pl.Date() if kind == "date" else pl.Datetime("us")

    def step(times: pl.Series) -> pl.Series:
        return times.cast(pl.Datetime("us")).cast(dtype).dt.to_string(form)

    # The longest of the items are names of days and months and whole dates.
    size = SCALAR * (1 + len(form))
    return _operation("strftime", step, object, of="Int64", grows=lambda found: Growth(0.0, size))


def read_by(form: str) -> Operation:
    """Return texts as times, by a format of strptime; what is none has no value. Raises Refusal."""
    import polars as pl

    def step(texts: pl.Series) -> pl.Series:
        found = texts.str.strptime(pl.Datetime("us"), form, strict=False)
        return found.dt.replace_time_zone(None).cast(pl.Int64)

    def read(text: str) -> int:
        (found,) = _computed([text], step)
        if found is None:
            raise NoValue(f"is no time of the format '{form}'")
        return in_calendar(found)

    # By `in_calendar` a text that is read as a time of another year is none, for one row and for many.
    def within(texts: pl.Series) -> pl.Series:
        found = step(texts)
        return found.set(~found.is_between(FIRST_TIMESTAMP, LAST_TIMESTAMP), None)

    vector = _operation("strptime", within, np.int64).vector
    return Operation("strptime", read, vector)
