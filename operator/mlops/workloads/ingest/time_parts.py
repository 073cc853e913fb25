"""The parts of timestamps that a regular expression finds in text: years, hours, fractions, offsets, as numbers.

Most files write all times of a column alike. Where each text has digits and other signs at the places of the first,
the expression, whose groups know digits as a class only, finds the same groups in all: they are read by place.
"""

from __future__ import annotations

import re
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from mlops.workloads.ingest.time_patterns import NAMES

Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
_ZERO = np.uint8(ord("0"))
_INT32_DIGITS = 9


class Parts(Protocol):
    """Groups by their number; arrays have one entry per text. A group that a text does not have is `missing`, or 0."""

    @property
    def known(self) -> Mask:
        """Return which texts the expression matches."""
        ...

    def number(self, group: int, missing: int = -1) -> Numbers:
        """Return digits as a number."""
        ...

    def named(self, group: int, word: str) -> Numbers:
        """Return the place of a name among those of strptime's word, -1 for none of them."""
        ...

    def fraction(self, group: int, digits: int, kept: int = 6) -> Numbers:
        """Return at most `digits` digits behind the point in units of the digit number `kept`; further ones are cut."""
        ...

    def offset(self, group: int) -> tuple[Numbers, Mask]:
        """Return offsets from UTC in seconds (86,400 for one that there is not), and which texts have one."""
        ...


def parts(text: pl.Series, expression: str, *, has_names: bool = False) -> Parts:
    """Return the parts of text without missing values; names may differ where digits do not."""
    return (None if has_names else _Places.of(text, expression)) or _Groups(text, expression)


class _Places:
    """Texts of one length, with the same signs at the same places, except for what the digits say."""

    def __init__(self, digits: npt.NDArray[np.uint8], first: re.Match[str]) -> None:
        # One row per place of a text.
        self._digits, self._first = digits, first
        self._size = digits.shape[1]

    @classmethod
    def of(cls, text: pl.Series, expression: str) -> _Places | None:
        """Return the parts; None if the texts are not alike, or the first is not one of the expression."""
        if not len(text) or (first := re.fullmatch(expression, text[0])) is None or not text[0].isascii():
            return None
        sample = text[0].encode()
        if not sample or (text.str.len_bytes() != len(sample)).any():
            return None
        letters = np.frombuffer(text.str.join("").item().encode(), dtype=np.uint8).reshape(-1, len(sample))
        columns = np.array(letters.T, order="C")
        free = {at for group in range(first.re.groups) for at in range(*first.span(group + 1))}
        for at, (column, sign) in enumerate(zip(columns, sample, strict=True)):
            # A digit in no group is one that the expression demands: of a format, or a zero at a fraction's end.
            is_free = at in free and chr(sign).isdigit()
            if is_free:
                column -= _ZERO  # what is before the digits becomes more than 9
            if column.max() > 9 if is_free else (column != sign).any():
                return None
        return cls(columns, first)

    @property
    def known(self) -> Mask:
        return np.ones(self._size, dtype=bool)

    def number(self, group: int, missing: int = -1) -> Numbers:
        start, end = self._first.span(group + 1)
        return np.full(self._size, missing, dtype=np.int64) if start < 0 else self._between(start, end)

    def named(self, group: int, word: str) -> Numbers:
        raise NotImplementedError("names are not alike where digits are")

    def fraction(self, group: int, digits: int, kept: int = 6) -> Numbers:
        start, end = self._first.span(group + 1)
        if start < 0:
            return np.zeros(self._size, dtype=np.int64)
        end = min(end, start + kept)
        return self._between(start, end) * np.int64(10 ** (kept - (end - start)))

    def offset(self, group: int) -> tuple[Numbers, Mask]:
        start, end = self._first.span(group + 1)
        written = self._first[group + 1] or ""
        zoned = np.full(self._size, start >= 0)
        if len(written) < 2:
            return np.zeros(self._size, dtype=np.int64), zoned
        hours, minutes = self._between(start + 1, start + 3), self._between(end - 2, end)
        return _seconds(hours, minutes, np.int64(-1 if written[0] == "-" else 1)), zoned

    def _between(self, start: int, end: int) -> Numbers:
        dtype = np.int32 if end - start <= _INT32_DIGITS else np.int64
        found = self._digits[start].astype(dtype)
        for place in range(start + 1, end):
            found *= 10
            found += self._digits[place]
        return np.asarray(found, dtype=np.int64)


class _Groups:
    """Texts of any form."""

    def __init__(self, text: pl.Series, expression: str) -> None:
        self._groups = text.str.extract_groups(expression).struct.unnest()

    @property
    def known(self) -> Mask:
        return self._groups.to_series(0).is_not_null().to_numpy()

    def number(self, group: int, missing: int = -1) -> Numbers:
        return _number(self._groups.to_series(group), missing)

    def named(self, group: int, word: str) -> Numbers:
        names = {name: i for i, name in enumerate(NAMES[word])}
        part = self._groups.to_series(group).str.to_lowercase()
        return part.replace_strict(names, default=-1, return_dtype=pl.Int64).fill_null(-1).to_numpy()

    def fraction(self, group: int, digits: int, kept: int = 6) -> Numbers:
        return fraction(self._groups.to_series(group), digits, kept)

    def offset(self, group: int) -> tuple[Numbers, Mask]:
        part = self._groups.to_series(group)
        groups = part.str.extract_groups(r"^([+-])([0-9]{2}):?([0-9]{2})$").struct.unnest()
        hours, minutes = _number(groups.to_series(1), 0), _number(groups.to_series(2), 0)
        sign = np.where((groups.to_series(0) == "-").fill_null(False).to_numpy(), -1, 1)
        return _seconds(hours, minutes, sign), part.is_not_null().to_numpy()


def fraction(part: pl.Series, digits: int, kept: int = 6) -> Numbers:
    """Return the digits behind a point, as `Parts.fraction` does."""
    return part.str.pad_end(digits, "0").str.slice(0, kept).cast(pl.Int64).fill_null(0).to_numpy()


def _number(part: pl.Series, missing: int) -> Numbers:
    return part.cast(pl.Int64).fill_null(missing).to_numpy()


def _seconds(hours: Numbers, minutes: Numbers, sign: npt.NDArray[np.int64] | np.int64) -> Numbers:
    wrong = (minutes > 59) | (hours > 23)
    return np.where(wrong, 86_400, sign * (hours * 3600 + minutes * 60))
