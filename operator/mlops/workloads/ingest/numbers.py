"""Numbers from text: exactly as they are written, in the notation that the contract declares, or not at all."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

import polars as pl

from mlops.api.dataset import DataField
from mlops.workloads.ingest.dialect import PLAIN, Notation

BLANKS = " \t"
# Also those that keep a sign and its number on one line.
_BLANKS = "[ \t\u00a0\u202f]*"
_WHOLE = r"^[+-]?[0-9]+$"
_WHOLE_FRACTION = r"^([+-]?[0-9]+)\.0*$"
_EXPONENT = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][+-]?[0-9]{1,3}$"


def is_plain(field: DataField, notation: Notation) -> bool:
    """Return whether the field's numbers are written as any parser reads them."""
    return not field.symbols and notation.decimal == "." and notation.thousands is None


def integers(text: pl.Series, field: DataField | None = None, notation: Notation = PLAIN) -> pl.Series:
    """Return 64-bit integers; 3.0 and 3e2 are some, 3.5 and what 64 bits do not hold is missing."""
    text = _digits(text, field, notation)
    whole = only_where(text, text.str.contains(_WHOLE))
    values = whole.cast(pl.Int64, strict=False)
    if values.null_count() > text.null_count():
        fraction = text.str.extract(_WHOLE_FRACTION).cast(pl.Int64, strict=False)
        values = values.zip_with(values.is_not_null(), fraction)
    if values.null_count() > text.null_count() and (odd := text.str.contains(_EXPONENT).fill_null(False)).any():
        found = {one: _whole(one) for one in text.filter(odd).unique().to_list()}
        exact = text.replace_strict(found, default=None, return_dtype=pl.Int64)
        values = values.zip_with(values.is_not_null(), exact)
    return values


def floats(text: pl.Series, field: DataField | None = None, notation: Notation = PLAIN) -> pl.Series:
    """Return the nearest floats; what is no number is missing."""
    return _digits(text, field, notation).cast(pl.Float64, strict=False)


def only_where(values: pl.Series, wanted: pl.Series) -> pl.Series:
    """Return the values where `wanted` is true; others are missing."""
    return pl.select(pl.when(wanted).then(values).alias(values.name)).to_series()


def _whole(text: str) -> int | None:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    if value.adjusted() > 18 or value != value.to_integral_value():
        return None
    return int(value) if -(2**63) <= value < 2**63 else None


def _digits(text: pl.Series, field: DataField | None, notation: Notation) -> pl.Series:
    """Return numbers in the one notation that the parser knows; what is not in the declared one is missing."""
    text = text.str.strip_chars(BLANKS)
    for symbol in sorted(field.symbols or (), key=len, reverse=True) if field else ():
        sign = re.escape(symbol)
        text = text.str.replace(f"^([+-]?){_BLANKS}{sign}{_BLANKS}", "${1}").str.replace(f"{_BLANKS}{sign}$", "")
    if notation.thousands is not None:
        text = _ungrouped(text, notation.thousands, notation.decimal)
    if notation.decimal != ".":
        text = only_where(text, ~text.str.contains(".", literal=True))
        text = text.str.replace(notation.decimal, ".", literal=True)
    return text


def _ungrouped(text: pl.Series, thousands: str, decimal: str) -> pl.Series:
    group, point = re.escape(thousands), re.escape(decimal)
    grouped = text.str.contains(thousands, literal=True)
    right = text.str.contains(f"^[+-]?[0-9]{{1,3}}(?:{group}[0-9]{{3}})+(?:{point}[0-9]*)?$")
    return only_where(text, ~grouped | right).str.replace_all(thousands, "", literal=True)
