"""From evidence to fields of the contract. What the data leave open is asked for, never chosen in silence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlops.api.delimited import Csv
from mlops.cli.errors import UserError
from mlops.cli.init import dates
from mlops.cli.init.evidence import NOTATIONS, ColumnEvidence, Numbers
from mlops.cli.init.naming import field_names
from mlops.cli.init.options import InitOptions
from mlops.cli.init.reading import Profile, SeenColumn
from mlops.workloads.ingest.dialect import Notation

_TIME_NAME = re.compile(r"date|time|day|when|datum|zeit|_at$|timestamp", re.IGNORECASE)
_ASKS_NULL = "if that is a missing value, say nullValues"
MOST_FIELDS = 512
NO_VALUE = "no value in any row"


@dataclass(eq=False)
class Guess:
    """A field of the contract as the YAML says it, what it was made of, and what is remarked; doubts are told too."""

    spec: dict[str, Any]
    column: SeenColumn
    remarks: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Return the field's name."""
        return str(self.spec["name"])

    @property
    def type(self) -> str:
        """Return the field's type."""
        return str(self.spec["type"])


@dataclass
class Decided:
    """The fields, the columns that are none, and how numbers are written."""

    guesses: list[Guess]
    left_out: list[str]
    notation: Notation


def decided(profile: Profile, options: InitOptions) -> Decided:
    """Return the fields. Raises UserError with the option that decides what values do not."""
    notation = _notation(profile, options)
    is_csv = profile.delivery.format == "csv"
    counts = Counter(column.name for column in profile.columns)
    guesses, left_out = [], []
    for column, name in zip(profile.columns, field_names([one.name for one in profile.columns]), strict=True):
        spec: dict[str, Any] = {"name": name}
        if is_csv and (not profile.delivery.csv or not profile.delivery.csv.header or counts[column.name] > 1
                       or not column.name or len(column.name) > 256):  # fmt: skip
            spec["position"] = column.evidence.position
        elif column.name != name:
            spec["column"] = column.name
        guess = Guess(spec, column)
        if problem := _typed(guess, notation, options, is_csv=is_csv):
            left_out.append(f"{column.name or column.evidence.position}: {problem}")
            continue
        guesses.append(guess)
    if len(guesses) > MOST_FIELDS:
        raise UserError(
            f"{profile.delivery.names}: {len(guesses)} columns, and a contract has at most {MOST_FIELDS}: deliver a "
            "file with the columns that matter"
        )
    _share_nulls(guesses, profile.delivery.csv)
    return Decided(guesses, left_out, notation)


def _notation(profile: Profile, options: InitOptions) -> Notation:
    """Return how numbers are written in all of the file. Raises UserError where two notations read them differently."""
    if profile.delivery.format != "csv" or profile.delivery.csv is None:
        return NOTATIONS[0]
    numeric = [
        column.evidence for column in profile.columns if column.evidence.rest and _may_be_number(column.evidence)
    ]
    best, most = NOTATIONS[0], -1
    tied: list[Notation] = []
    for notation in NOTATIONS:
        if options.decimal and notation.decimal != options.decimal:
            continue
        count = sum(any(one.notation == notation for one in evidence.numbers) for evidence in numeric)
        if count > most:
            best, most, tied = notation, count, []
        elif count == most:
            tied.append(notation)
    if options.decimal or profile.delivery.csv.delimiter == ",":
        # Who writes 1,5 for a number does not write a comma between two fields.
        tied = [] if options.decimal is None and best.decimal == "." else [o for o in tied if o.decimal == best.decimal]
    for evidence in numeric:
        totals = {one.notation: one.total for one in evidence.numbers}
        for other in tied:
            if best in totals and other in totals and totals[best] != totals[other]:
                example = next((v for v in evidence.values or () if re.search("[.,]", v)), "")
                raise UserError(
                    f'column "{evidence.name}": {example!r} can be read in two ways: say --decimal . if a point stands '
                    "before the fraction, --decimal , if a comma does"
                )
    return best


def _may_be_number(evidence: ColumnEvidence) -> bool:
    return bool(evidence.numbers) and not _kept_text(evidence)


def _kept_text(evidence: ColumnEvidence) -> str:
    """Return why what could be numbers is text all the same; empty if nothing speaks against numbers."""
    if evidence.has_leading_zero:
        return "zeros at the beginning would be lost as a number"
    if evidence.has_plus and not evidence.has_minus and not any(one.has_point for one in evidence.numbers):
        return "a sign at the beginning would be lost as a number"
    if evidence.symbols and (len(evidence.symbols) > 1 or sum(evidence.symbols.values()) != evidence.rest):
        return f"amounts in more than one unit: {', '.join(evidence.symbols)}, or with and without"
    if evidence.has_bare_exponent and not evidence.has_other_exponent:
        return "values such as 12E4 may be codes: say type: float64 if E4 is an exponent"
    return ""


def _typed(guess: Guess, notation: Notation, options: InitOptions, *, is_csv: bool) -> str:
    """Set the field's type; return why it is no field, if it is none."""
    column, evidence, spec = guess.column, guess.column.evidence, guess.spec
    kinds = column.kinds
    if column.unread:
        return f"no field can hold values of type {column.unread}"
    if evidence.missing == evidence.rows:
        spec |= {"type": "string", "role": "ignored"}
        guess.remarks.append(NO_VALUE)
        return "" if is_csv or kinds == {"string"} else NO_VALUE
    if kinds <= {"string"}:
        _of_text(guess, notation, options)
    elif kinds <= {"int64", "float64"}:
        spec["type"] = "float64" if "float64" in kinds else "int64"
    elif len(kinds) == 1 and kinds <= {"boolean", "timestamp"}:
        spec["type"] = kinds.pop()
        kinds.add(spec["type"])
        if spec["type"] == "timestamp":
            _set_zone(guess, options)
    else:
        return f"values of several types, or nested ones ({', '.join(sorted(kinds))})"
    return ""


def _of_text(guess: Guess, notation: Notation, options: InitOptions) -> None:
    evidence, spec = guess.column.evidence, guess.spec
    number = next((one for one in evidence.numbers if one.notation == notation), None) if evidence.rest else None
    if evidence.rest and evidence.times and _is_time(evidence, options, number):
        _of_times(guess, options)
    elif number is not None and not (reason := _kept_text(evidence)):
        if _loses(evidence, number):
            guess.doubts.append("more digits than a number holds exactly")
            spec["type"] = "string"
            return
        spec["type"] = "int64" if number.is_whole and not number.has_point else "float64"
        if evidence.symbols:
            spec["symbols"] = list(evidence.symbols)
    elif evidence.rest and evidence.is_boolean:
        spec["type"] = "boolean"
    else:
        spec["type"] = "string"
        if number is not None and evidence.rest:
            guess.doubts.append(reason)
        elif evidence.odd and _is_mostly_digits(evidence):
            guess.doubts.append(f"text, since {evidence.odd[:40]!r} is no number")
        if evidence.words:
            guess.doubts.append(_asked(evidence.words))
        return
    if evidence.words:
        spec["nullValues"] = sorted(evidence.words)


def _share_nulls(guesses: list[Guess], csv: Csv | None) -> None:
    """Take words that are missing values among numbers and times for the same in text; say so."""
    if csv is None:
        return
    always = {"\\N", *csv.null_values}
    known = {
        word: guess.name for guess in guesses if guess.type != "string" for word in guess.spec.get("nullValues", ())
    }
    for guess in guesses:
        if csv.null_values and "nullValues" in guess.spec:
            # Those of a field replace those of all.
            guess.spec["nullValues"] = sorted({*guess.spec["nullValues"], *csv.null_values})
        words = guess.column.evidence.words
        if guess.type != "string" or not (found := sorted(word for word in words if word in known or word in always)):
            continue
        guess.spec["nullValues"] = sorted({*found, *csv.null_values})
        guess.doubts[:] = [doubt for doubt in guess.doubts if not doubt.endswith(_ASKS_NULL)]
        for word in found:
            like = f", as in {known[word]}" if word in known else ""
            guess.doubts.append(
                f"{word!r} {words[word]}x is taken for a missing value{like}: else leave out nullValues"
            )
        if rest := [word for word in words if word not in found]:
            guess.doubts.append(_asked({word: words[word] for word in rest}))


def _asked(words: Mapping[str, int]) -> str:
    most = sorted(words.items(), key=lambda one: -one[1])[:3]
    return f"{', '.join(f'{word!r} {count}x' for word, count in most)}: {_ASKS_NULL}"


def _is_mostly_digits(evidence: ColumnEvidence) -> bool:
    """Return whether most values are digits."""
    return evidence.digits > 0.8 * evidence.rest


def _loses(evidence: ColumnEvidence, number: Numbers) -> bool:
    return evidence.has_long and not (number.is_whole and not number.has_point)


def _is_time(evidence: ColumnEvidence, options: InitOptions, number: Numbers | None) -> bool:
    if number is None:
        return True
    if options.time == evidence.name:
        return True
    return dates.COMPACT in (evidence.times or {}) and bool(_TIME_NAME.search(evidence.name))


def _of_times(guess: Guess, options: InitOptions) -> None:
    evidence, spec = guess.column.evidence, guess.spec
    forms = list(evidence.times or {})
    if "" in forms:
        forms = [""]
    by_reading: dict[int, list[str]] = {}
    for form in forms:
        by_reading.setdefault((evidence.times or {})[form], []).append(form)
    # Days that are their months' numbers leave the order open too: a later delivery has others.
    is_open = any(map(dates.is_day_first, forms)) and any(map(dates.is_month_first, forms))
    if (is_open or len(by_reading) > 1) and options.dates:
        wanted = dates.is_day_first if options.dates == "day-first" else dates.is_month_first
        by_reading = {key: kept for key, some in by_reading.items() if (kept := [one for one in some if wanted(one)])}
    if len(by_reading) != 1 or (is_open and not options.dates):
        raise UserError(_question(evidence, forms, options))
    form = next(iter(by_reading.values()))[0]
    spec["type"] = "timestamp"
    if form:
        spec["formats"] = [form]
    if "%y" in form:
        guess.doubts.append("years of two digits: 69 to 99 are read as 1969 to 1999, 00 to 68 as 2000 to 2068")
    if evidence.has_long_fraction:
        guess.doubts.append("digits of a second beyond microseconds are cut")
    _set_zone(guess, options)


def _set_zone(guess: Guess, options: InitOptions) -> None:
    if guess.column.evidence.needs_zone:
        guess.spec["timeZone"] = options.time_zone or "UTC"
        if not options.time_zone:
            guess.doubts.append("no offset in the data: UTC is assumed, --time-zone says another")


def _question(evidence: ColumnEvidence, forms: list[str], options: InitOptions) -> str:
    example = next(iter(evidence.values or ()), "")
    shown = f'column "{evidence.name}": dates such as {example!r} can be read as {" or ".join(forms[:4])}'
    if options.dates:
        return f"{shown}: --dates {options.dates} does not settle it: write years with four digits"
    return f"{shown}: no value settles it: say --dates day-first or --dates month-first"
