"""How delimited text is written: the dialect of a delivered CSV file, declared, never guessed."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from mlops.api.base import Model, Rule, text

_LETTER = r"[^\x00]"
Mark = Annotated[str, text(f"^{_LETTER}$", "one character, other than NUL", 1)]
MarkOrNone = Annotated[str, text(r"^[\x01-\x7f]?$", "one character of ASCII, other than NUL, or empty for none", 1)]
Marks = Annotated[str, text(f"^{_LETTER}{{1,8}}$", "1 to 8 characters, without NUL", 8)]
RowEnd = Annotated[str, text(r"^[^\x00]{1,2}$", r'one or two characters, such as "\n", "\r\n" or "\r"', 2)]
Word = Annotated[str, StringConstraints(max_length=64)]

Encoding = Literal[
    "utf-8",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "ascii",
    "big5",
    "cp1250",
    "cp1251",
    "cp1252",
    "cp1253",
    "cp1254",
    "cp1255",
    "cp1256",
    "cp1257",
    "cp437",
    "cp850",
    "cp866",
    "cp932",
    "cp949",
    "euc-jp",
    "euc-kr",
    "gb18030",
    "iso-8859-2",
    "iso-8859-5",
    "iso-8859-7",
    "iso-8859-9",
    "iso-8859-15",
    "koi8-r",
    "koi8-u",
    "latin-1",
    "mac-roman",
    "shift-jis",
]


class Csv(Model):
    """The dialect of delimited text."""

    delimiter: Marks = Field(default=",", description='What stands between two fields, such as ";", "|" or "\\t".')
    quote: MarkOrNone = Field(
        default='"', description="What a field may be enclosed in; doubled inside, it is a letter. Empty: nothing."
    )
    escape: MarkOrNone = Field(
        default="",
        description="What takes its meaning from the character that follows it, such as a backslash. Empty: nothing.",
    )
    encoding: Encoding = Field(
        default="utf-8", description="The text's encoding; with utf-8 and utf-16 a byte order mark may come first."
    )
    header: Annotated[int, Field(ge=0, le=8)] = Field(
        default=1,
        description="Rows with the columns' names; those of several rows are joined by a blank. 0: there is none, and "
        "every field says its position.",
    )
    skip_rows: Annotated[int, Field(ge=0, le=10_000)] = Field(
        default=0, description="Lines before the header that are left out, whatever they hold."
    )
    footer_rows: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=0, description="Lines at the end, blank ones not counted, that are left out, whatever they hold."
    )
    comment: Marks | None = Field(default=None, description="Lines that begin with it are left out.")
    decimal: Mark = Field(default=".", description="What stands before the fraction of a number.")
    thousands: Mark | None = Field(
        default=None, description="What groups the digits of numbers by three; numbers without groups are read too."
    )
    null_values: Annotated[tuple[Word, ...], Field(max_length=32)] = Field(
        default=(),
        description="Texts that mean a missing value, in quotes or not, such as NA. An empty field that is not in "
        'quotes always does; "" makes an empty one in quotes do so too.',
    )
    true_values: Annotated[tuple[Word, ...], Field(max_length=32)] = Field(
        default=(), description="Texts that mean true; if left out, true in small or capital letters."
    )
    false_values: Annotated[tuple[Word, ...], Field(max_length=32)] = Field(
        default=(), description="Texts that mean false; if left out, false in small or capital letters."
    )
    row_delimiter: RowEnd | None = Field(
        default=None,
        description=r'What ends a row, such as "\n" if "\r" is a letter of the text. If left out, "\n", "\r\n" or '
        r'"\r", whichever ends the first row.',
    )
    skip_initial_space: bool = Field(default=False, description="Leave out blanks at the beginning of fields.")
    ragged: Literal["Refuse", "Pad", "Quarantine"] = Field(
        default="Refuse",
        description="Rows with more or fewer fields than the header. Pad: missing fields are missing values, and empty "
        "fields beyond the header are left out. Quarantine: such rows are put aside with their text.",
    )
    rules: ClassVar = (
        Rule(
            "!has(self.thousands) || self.thousands != self.decimal",
            "spec.csv.thousands and spec.csv.decimal must differ",
            lambda self: self.thousands != self.decimal,
        ),
        Rule(
            "self.quote == '' || self.quote != self.delimiter",
            "spec.csv.quote and spec.csv.delimiter must differ",
            lambda self: self.quote != self.delimiter,
        ),
        Rule(
            "self.escape == '' || self.escape != self.delimiter",
            "spec.csv.escape and spec.csv.delimiter must differ",
            lambda self: self.escape != self.delimiter,
        ),
        Rule(
            "(!has(self.trueValues) || self.trueValues.size() == 0)"
            " == (!has(self.falseValues) || self.falseValues.size() == 0)",
            "spec.csv.trueValues and spec.csv.falseValues must be set together",
            lambda self: bool(self.true_values) == bool(self.false_values),
        ),
        Rule(
            "!has(self.trueValues) || !has(self.falseValues) || !self.trueValues.exists(w, w in self.falseValues)",
            "a text cannot be in spec.csv.trueValues and in spec.csv.falseValues",
            lambda self: not set(self.true_values) & set(self.false_values),
        ),
    )
