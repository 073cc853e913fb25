"""From what a file holds to the contract's types: strictly, and with the address of what cannot be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from mlops.api.dataset import DataField, FieldType
from mlops.api.reasons import Reason
from mlops.workloads.floor.column_types import FIRST_TIMESTAMP, LAST_TIMESTAMP, plain_floats
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest import numbers, time_problems, times
from mlops.workloads.ingest.dialect import PLAIN, Notation
from mlops.workloads.ingest.problems import shown

__all__ = [
    "bad_value", "bad_values", "check_columns", "column_of", "first_unread", "from_text", "in_calendar", "normal",
    "problem_of", "read_text", "shown", "unread_of", "with_missing",
]  # fmt: skip

# Words that people write for a missing value.
MISSING_WORDS = (
    "",
    "na",
    "n/a",
    "nan",
    "null",
    "none",
    "nil",
    "-",
    "--",
    ".",
    "?",
    "#n/a",
    "\\n",
    "missing",
    "unknown",
)
_TRUTHS = (("yes", "no"), ("y", "n"), ("1", "0"), ("t", "f"), ("1.0", "0.0"), ("on", "off"), ("ja", "nein"))
_SIGN = re.compile(r"[$€£¥%]|[A-Z]{3}")
# Other signs for decimals and thousands than those that were declared, the likeliest first.
_OTHERS = ((".", ","), (",", None), (",", "."), (".", "'"), (",", " "), (",", "\u00a0"), (".", " "))
_MOST = 12  # columns that one message names


def column_of(field: DataField) -> str:
    """Return the name of the field's column in a delivery."""
    return field.column or field.name


def bad_value(name: str, row: int, field: DataField, value: object, pii: frozenset[str], line: int = 0) -> BadInput:
    """Return the error for a value that is not of its field's type; `row` counts from 1, without the header."""
    return BadInput(Reason.SCHEMA_MISMATCH, f"{name}: {problem_of(row, field, value, pii, line=line)}")


def bad_values(name: str, problems: Sequence[str]) -> BadInput:
    """Return the error for the columns of a file that cannot be read: each on a line, if there are several."""
    if len(problems) == 1:
        return BadInput(Reason.SCHEMA_MISMATCH, f"{name}: {problems[0]}")
    listed = "".join(f"\n  {one}" for one in problems[:_MOST])
    more = f"\n  and {len(problems) - _MOST} more" if len(problems) > _MOST else ""
    return BadInput(
        Reason.SCHEMA_MISMATCH,
        f"{name}: {len(problems)} columns have values that are not of their type, the first of each is:{listed}{more}",
    )


def problem_of(
    row: int, field: DataField, value: object, pii: frozenset[str], notation: Notation = PLAIN, line: int = 0
) -> str:
    """Return what is wrong with a value, where, and the way out."""
    hidden = field.name in pii
    text = "a value" if hidden else f'"{shown(value)}"'
    where = f'row {row}, column "{shown(column_of(field))}"' + (f" (line {line})" if line else "")
    article = "an" if field.type == "int64" else "a"
    wrong = f"{where}: {text} is not {article} {field.type}"
    if not isinstance(value, str):
        return wrong
    if field.type == "timestamp" and not hidden:
        return f"{wrong}: it {time_problems.problem_with(value, field)}"
    return wrong + (_way_out(value, field, notation) if not hidden else "")


def check_columns(
    name: str, present: Sequence[str], fields: Sequence[DataField], pii: frozenset[str] = frozenset()
) -> None:
    """Raise BadInput if a column of the contract is not in the file."""
    missing = [column_of(field) for field in fields if field.position is None and column_of(field) not in present]
    if not missing:
        return
    named = ", ".join(f'"{shown(one)}"' for one in missing[:10]) + (" ..." if len(missing) > 10 else "")
    has = ", ".join(shown(one) for one in present[:20]) + (" ..." if len(present) > 20 else "")
    if pii and len(missing) == len(fields):
        # Without a header these are values of the first row.
        has = f"{len(present)} others"
    hint = _alike(missing, present) or ("; is the header missing?" if len(missing) == len(fields) else "")
    plural = "s" if len(missing) > 1 else ""
    raise BadInput(
        Reason.SCHEMA_MISMATCH, f"{name}: column{plural} {named} of spec.fields not found; the file has {has}{hint}"
    )


def _alike(missing: Sequence[str], present: Sequence[str]) -> str:
    """Return the way out where a name differs in what people overlook."""
    names = {_letters(one): one for one in present}
    for one in missing:
        if found := names.get(_letters(one)):
            return f'; for "{shown(one)}" say column: "{shown(found)}"'
    return ""


def _letters(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum()) or name


def from_text(text: pl.Series, kind: FieldType) -> pl.Series:
    """Return the values of text in the one notation of contracts; what cannot be read is missing."""
    return _read(text, DataField(name="text", type=kind), PLAIN)


def read_text(text: pl.Series, field: DataField, notation: Notation = PLAIN) -> pl.Series:
    """Return the values of text as the field declares it; what cannot be read is missing. See `with_missing`."""
    return _read(text, field, notation)


def with_missing(text: pl.Series, field: DataField, notation: Notation = PLAIN) -> pl.Series:
    """Return the text with what means a missing value as one: the declared texts, and blanks in place of a number."""
    nulls = notation.nulls_of(field)
    if nulls:
        text = numbers.only_where(text, ~text.is_in(list(nulls)))
    if field.type == "string":
        return text
    bare = text.str.strip_chars(numbers.BLANKS)
    return numbers.only_where(text, (bare != "") & ~bare.is_in(list(nulls)))


def _read(text: pl.Series, field: DataField, notation: Notation) -> pl.Series:
    if field.type == "string":
        return text
    if field.type == "boolean":
        return _truths(text, notation)
    if field.type == "timestamp":
        return times.timestamps(text, field)
    read = numbers.integers if field.type == "int64" else numbers.floats
    return read(text, field, notation)


def _truths(text: pl.Series, notation: Notation) -> pl.Series:
    bare = text.str.strip_chars(numbers.BLANKS)
    if notation.true_values:
        true, false = bare.is_in(list(notation.true_values)), bare.is_in(list(notation.false_values))
    else:
        lower = bare.str.to_lowercase()
        true, false = lower == "true", lower == "false"
    return numbers.only_where(true, true | false)


def normal(column: pl.Series) -> pl.Series:
    """Return floats with NaN as missing and minus zero as zero; other types as they are."""
    return plain_floats(column) if column.dtype == pl.Float64 else column


def first_unread(text: pl.Series, values: pl.Series) -> int | None:
    """Return the index of the first text that gave no value."""
    unread = unread_of(text, values)
    return unread.arg_max() if unread.any() else None


def unread_of(text: pl.Series, values: pl.Series) -> pl.Series:
    """Return which texts gave no value."""
    unread = text.is_not_null() & values.is_null()
    if text.dtype == pl.String and values.dtype == pl.Float64:
        unread = unread & (text.str.strip_chars(" ").str.to_lowercase().str.strip_prefix("-") != "nan")
    return unread


def in_calendar(timestamps: pl.Series) -> pl.Series:
    """Return the timestamps of the years 1 to 9999; any other, which no reader of a version could hold, is missing."""
    frame = pl.DataFrame({"timestamp": timestamps})
    inside = pl.col("timestamp").is_between(FIRST_TIMESTAMP, LAST_TIMESTAMP)
    return frame.select(pl.when(inside).then(pl.col("timestamp"))).to_series().alias(timestamps.name)


def _way_out(text: str, field: DataField, notation: Notation) -> str:
    """Return what to declare so that the text is read; only what was tried."""
    bare = text.strip(numbers.BLANKS)
    if bare.lower() in MISSING_WORDS:
        where = "spec.csv.nullValues" if notation.of_csv and field.null_values is None else "nullValues"
        return f': say {where}: ["{bare}"] if it means a missing value'
    if field.type == "boolean":
        return _truth_words(bare) if notation.of_csv else ": write true or false"
    for changed, said in _notations(field, notation, bare):
        if _reads(bare, changed[0], changed[1]):
            return f": say {said}"
    if field.type == "int64" and _reads(bare, field.evolve(type="float64"), notation):
        return ": use type float64, which holds the nearest number"
    return ": use type string, or mend it" if bare else ""


def _truth_words(text: str) -> str:
    for true, false in _TRUTHS:
        if text.lower() in (true, false):
            same = str.upper if text.isupper() else str.capitalize if text[:1].isupper() else str.lower
            return f': say spec.csv.trueValues: ["{same(true)}"] and spec.csv.falseValues: ["{same(false)}"]'
    return ": use type string, or list it in spec.csv.trueValues or spec.csv.falseValues"


def _notations(field: DataField, notation: Notation, text: str) -> list[tuple[tuple[DataField, Notation], str]]:
    sign = _SIGN.search(text)
    symbols = field.evolve(symbols=(*(field.symbols or ()), sign[0])) if sign else None
    found = [((symbols, notation), f'symbols: ["{sign[0]}"]')] if symbols and sign else []
    for decimal, thousands in _OTHERS if notation.of_csv else ():
        other = replace(notation, decimal=decimal, thousands=thousands)
        parts = [f'spec.csv.decimal: "{decimal}"'] if decimal != notation.decimal else []
        parts += [f'spec.csv.thousands: "{thousands}"'] if thousands and thousands != notation.thousands else []
        parts += ["leave out spec.csv.thousands"] if notation.thousands and not thousands else []
        found.append(((field, other), " and ".join(parts)))
        if symbols and sign:
            found.append(((symbols, other), " and ".join([f'symbols: ["{sign[0]}"]', *parts])))
    return [one for one in found if one[1]]


def _reads(text: str, field: DataField, notation: Notation) -> bool:
    return read_text(pl.Series([text]), field, notation).null_count() == 0
