"""What all values of a column have in common: readings that explain every one so far, and counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import polars as pl

from mlops.api.dataset import DataField
from mlops.cli.init import dates
from mlops.workloads.ingest import numbers
from mlops.workloads.ingest.dialect import Notation
from mlops.workloads.ingest.times import lacks_zone
from mlops.workloads.ingest.typed import MISSING_WORDS

NULL_WORDS = frozenset(MISSING_WORDS[1:]) | {
    "n.a.", "na.", "k. a.", "k.a.", "n.d.", "n/d", "nd", "n.v.", "s/d", "-nan", "<na>", "#na", "..", "...", "…", ":",
    "(null)", "<null>", "#div/0!", "#value!", "#ref!", "#num!", "#name?", "---", "—", "–", "not available", "no data",
}  # fmt: skip
NOTATIONS = tuple(
    Notation(decimal, thousands, of_csv=True)
    for decimal, thousands in (
        (".", None), (".", ","), (".", " "), (".", "'"), (".", "\u00a0"), (".", "\u202f"),
        (",", None), (",", "."), (",", " "), (",", "'"), (",", "\u00a0"), (",", "\u202f"),
    )
)  # fmt: skip
# Of money and shares; longer ones come first.
_SIGNS = (
    r"R\$|US\$|A\$|C\$|NZ\$|HK\$|S\$|zł|Kč|kr\.?|Ft|lei|руб\.?|[$€£¥%‰₹₽₺₩₪₴฿₫₦₱元円]|EUR|USD|GBP|CHF|JPY|PLN|SEK|NOK|DKK|"
    "CZK|HUF|RON|BRL|INR|CNY|RUB|TRY|ZAR|MXN|CAD|AUD|NZD|HKD|SGD|KRW|UAH"
)
_SYMBOL = rf"^[+-]?[ \u00a0]*({_SIGNS})|({_SIGNS})$"
MOST_VALUES = 256
COMPARED = 100_000  # rows in which values are compared with each other
_FIRST = 200


def _distinct(text: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return the values in the order in which they came, and how often each did: what holds of one holds of all."""
    values = text.unique(maintain_order=True)
    if 4 * len(values) > len(text):
        return text, pl.repeat(1, len(text), dtype=pl.UInt32, eager=True)
    return values, text.unique_counts()


def _add(counter: Counter[str], values: pl.Series, counts: pl.Series) -> None:
    for value, count in zip(values.to_list(), counts.to_list(), strict=True):
        counter[value] += count


@dataclass
class Numbers:
    """One notation that has explained every value so far."""

    notation: Notation
    is_whole: bool = True
    has_point: bool = False
    total: float = 0.0


@dataclass
class ColumnEvidence:
    """Of one column. Text in, block by block; what failed once is never tried again."""

    name: str
    position: int
    rows: int = 0
    missing: int = 0
    words: Counter[str] = field(default_factory=Counter)
    # Of all values, null words too, until there are too many.
    values: Counter[str] | None = field(default_factory=Counter)
    hashes: pl.Series = field(default_factory=lambda: pl.Series(dtype=pl.UInt64))
    has_equal: bool = False
    numbers: list[Numbers] = field(default_factory=list)
    times: dict[str, int] | None = None
    is_boolean: bool = True
    has_leading_zero: bool = False
    has_plus: bool = False
    has_minus: bool = False
    has_long: bool = False
    # 12E4, as codes are written too; and exponents with a fraction or a sign, as numbers are.
    has_bare_exponent: bool = False
    has_other_exponent: bool = False
    has_long_fraction: bool = False
    symbols: Counter[str] = field(default_factory=Counter)
    rest: int = 0
    digits: int = 0
    # What first kept it from being numbers, for the comment.
    odd: str = ""
    needs_zone: bool = False
    _compared: int = 0

    def __post_init__(self) -> None:
        self.numbers = [Numbers(notation) for notation in NOTATIONS]

    @property
    def is_unique(self) -> bool:
        """Return whether no value was there twice, as far as they were compared."""
        return not self.has_equal and self.rows - self.missing > 1

    def observe(self, text: pl.Series) -> None:
        """Take further values in."""
        self.rows += len(text)
        self.missing += text.null_count()
        text = text.drop_nulls()
        self._count(text)
        values, counts = _distinct(text)
        bare = values.str.strip_chars(numbers.BLANKS)
        is_word = bare.str.to_lowercase().is_in(list(NULL_WORDS))
        _add(self.words, bare.filter(is_word), counts.filter(is_word))
        is_rest = ~is_word & (bare != "")
        rest, counts = bare.filter(is_rest), counts.filter(is_rest)
        if not len(rest):
            return
        self.rest += int(counts.sum())
        self._note_signs(rest, counts)
        self._narrow_numbers(rest, counts)
        if self.times is None or self.times:
            rows = text.str.strip_chars(numbers.BLANKS)
            self._narrow_times(rows.filter(rows.is_in(rest.implode())))
        self.is_boolean = self.is_boolean and bool(rest.str.to_lowercase().is_in(["true", "false"]).all())

    def _count(self, values: pl.Series) -> None:
        if self.values is not None:
            counts = values.value_counts()
            if counts.height <= MOST_VALUES:
                _add(self.values, counts.to_series(0).cast(pl.String, strict=False), counts.to_series(1))
            if max(counts.height, len(self.values)) > MOST_VALUES:
                self.values = None
        if not self.has_equal and self._compared < COMPARED:
            part = values.head(COMPARED - self._compared)
            self.hashes = pl.concat([self.hashes, part.hash()])
            self._compared += len(part)
            self.has_equal = self.hashes.n_unique() < self._compared
        if self.has_equal or self._compared >= COMPARED:
            # Of many columns they would take the memory.
            self.hashes = self.hashes.clear()

    def _note_signs(self, rest: pl.Series, counts: pl.Series) -> None:
        self.has_leading_zero |= bool(rest.str.contains(r"^[+-]?0[0-9]").any())
        self.has_plus |= bool(rest.str.starts_with("+").any())
        self.has_minus |= bool(rest.str.starts_with("-").any())
        self.has_long |= bool(rest.str.contains(r"^[+-]?[0-9]{16,}([.,]0*)?$").any())
        self._note_exponents(rest)
        self.has_long_fraction |= bool(rest.str.contains(r":[0-9]{2}\.[0-9]{6}[0-9]*[1-9]").any())
        self.digits += int(counts.filter(rest.str.contains(r"^[+-]?[0-9][0-9.,]*$")).sum())
        if self.numbers:
            groups = rest.str.extract_groups(_SYMBOL).struct.unnest()
            found = groups.to_series(0).fill_null(groups.to_series(1))
            _add(self.symbols, found.filter(found.is_not_null()), counts.filter(found.is_not_null()))

    def _note_exponents(self, rest: pl.Series) -> None:
        bare = rest.str.contains("^[0-9]+[eE][0-9]+$")
        self.has_bare_exponent |= bool(bare.any())
        self.has_other_exponent |= bool((rest.str.contains("[0-9.,][eE][+-]?[0-9]+") & ~bare).any())

    def _narrow_numbers(self, rest: pl.Series, counts: pl.Series) -> None:
        alive = []
        unit = DataField(name="unit", type="float64", symbols=tuple(sorted(self.symbols)[:8]) or None)
        for one in self.numbers:
            read = numbers.floats(rest, unit, one.notation)
            good = read.is_finite().fill_null(False)
            if one.notation.thousands:
                # No number is grouped behind a zero.
                good &= ~rest.str.contains(rf"^[+-]?0[{one.notation.thousands}]")
            if not good.all():
                if one.notation == NOTATIONS[0]:
                    self.odd = rest.filter(~good)[0]
                continue
            if one.is_whole:
                one.is_whole = numbers.integers(rest, unit, one.notation).null_count() == 0
            one.has_point |= bool(rest.str.contains(f"[{one.notation.decimal}eE]").any())
            one.total += float((read * counts).sum())
            alive.append(one)
        self.numbers = alive

    def _narrow_times(self, rest: pl.Series) -> None:
        if self.times is None:
            first = rest.head(_FIRST)
            shape = first.str.contains(r"^[0-9A-Za-z]{1,9}[-/. ][0-9A-Za-z]{1,9}[-/., ]{1,2}[0-9]{1,4}").all()
            self.times = dict.fromkeys(("", *dates.FORMS), 0) if shape else {}
            if not shape and rest.str.contains(r"^[0-9]{8}$").all():
                self.times = {dates.COMPACT: 0}
            elif not shape and first.str.contains(r"^[0-9]{10}([0-9]{3})?(\.[0-9]+)?$").all():
                self.times = {"%s": 0} if len(first[0].split(".")[0]) == 10 else {"%Q": 0}
            self.times = {form: 0 for form in self.times if not dates.micros(first, form, "UTC").null_count()}
        alive = {}
        for form, total in self.times.items():
            read = dates.micros(rest, form, "UTC")
            if not read.null_count():
                # Row by row: days that are swapped among the rows have the same readings in another order.
                alive[form] = hash((total, read.to_numpy().tobytes()))
        self.times = alive
        if alive and not self.needs_zone:
            form = next(iter(alive))
            self.needs_zone = lacks_zone(rest, dates.as_field(form, None))

    def observe_typed(self, values: pl.Series) -> None:
        """Take values in that have a type: they are counted only."""
        self.rows += len(values)
        self.missing += values.null_count()
        self._count(values.drop_nulls())
