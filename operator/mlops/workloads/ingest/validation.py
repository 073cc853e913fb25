"""The contract of the fields and the user's rules, counted over all rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import polars as pl

from mlops.api.dataset import DataField, Validation, ValidationResult
from mlops.api.reasons import Reason
from mlops.workloads.floor.expressions import ExpressionError
from mlops.workloads.floor.expressions.frames import evaluate
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest.aside import RowsAside
from mlops.workloads.ingest.contract import Contract
from mlops.workloads.ingest.rows import Rows, Spill
from mlops.workloads.ingest.typed import shown

BROKEN = "brokenRules"  # the column of quarantine.parquet that says why
_LISTED = 20
_TEXT = 120  # characters of one entry of the report's failedRules: 20 of them fit into its 4096 bytes


@dataclass
class Check:
    """One rule: `broken` is true for a row that breaks it; the rest is counted while rows pass by."""

    title: str
    column: str | None
    broken: pl.Expr | None
    condition: str | None = None
    contract: bool = True
    rows: int = 0
    example: Any = None


@dataclass
class Outcome:
    """What validation left: the good rows, the bad ones if any were put aside, and the counts."""

    good: Rows
    quarantined: Rows | None
    total: int
    result: ValidationResult
    good_rows: int = 0
    checks: list[Check] = field(default_factory=list)


def checks_of(contract: Contract, validation: Validation) -> list[Check]:
    """Return every check that rows must pass: of the fields, of the features, and the user's rules."""
    checks: list[Check] = []
    for one in contract.fields:
        checks += _field_checks(one)
    for name, kind in contract.features.items():
        if kind == "float64":
            checks.append(Check(f"{name} is infinite", name, pl.col(name).is_infinite()))
    for rule in validation.rules_:
        checks.append(Check(rule.name, None, None, condition=rule.expression, contract=False))
    return checks


def _field_checks(one: DataField) -> Iterator[Check]:
    column = pl.col(one.name)
    if not one.nullable:
        yield Check(f"{one.name} is missing", one.name, column.is_null())
    if one.type == "float64":
        yield Check(f"{one.name} is infinite", one.name, column.is_infinite())
    if one.min is not None:
        yield Check(f"{one.name} < {one.min}", one.name, column < _number(one, one.min))
    if one.max is not None:
        yield Check(f"{one.name} > {one.max}", one.name, column > _number(one, one.max))
    if one.enum is not None:
        yield Check(f"{one.name} not in enum", one.name, ~column.is_in(list(one.enum)))


def _number(one: DataField, text: str) -> float | int:
    value = Decimal(text)
    # Beyond 64 bits a float says the same: every integer of a column is below or above it.
    whole = one.type == "int64" and abs(value) < 2**63 and value == value.to_integral_value()
    return int(value) if whole else float(value)


def validate(
    rows: Rows, contract: Contract, validation: Validation, spill: Spill, rejected: RowsAside | None = None
) -> Outcome:
    """Count broken rules, put bad rows aside if the spec says so. Raises BadInput with reason Rejected.

    `rejected`: rows that a reader has put aside already, which count as bad ones.
    A rule that is unknown for a row, because a value is missing, is not broken, as with CHECK in SQL.
    """
    checks = checks_of(contract, validation)
    before = [Check(rule, None, None, rows=count) for rule, count in rejected.rules.items()] if rejected else []
    aside: list[pl.DataFrame] = []
    put_aside: list[pl.DataFrame | Path] = []
    put_before = len(rejected.rows) if rejected else 0
    total = bad_rows = put_before

    def inspect(chunk: pl.DataFrame) -> pl.DataFrame:
        """Return the good rows: the chunk itself if all are."""
        nonlocal total, bad_rows
        total += chunk.height
        broken = _broken(chunk, checks, contract.pii, total - chunk.height - put_before)
        _count(chunk, broken, checks, contract.pii)
        # With Warn a broken rule of the user's leaves its row in; a broken contract does not.
        weighty = [
            check.title for check in checks if check.rows and (check.contract or validation.on_failure != "Warn")
        ]
        mask = broken.select(pl.any_horizontal(weighty)).to_series() if weighty else None
        if mask is None or not mask.any():
            return chunk
        bad_rows += int(mask.sum())
        if validation.on_failure == "Quarantine":
            why = broken.filter(mask).select(_why(checks))
            aside.append(chunk.filter(mask).hstack(why))
            # Whether they are too many is known at the end only: until then none may be lost, nor fill the memory.
            if sum(frame.estimated_size() for frame in aside) > spill.budget:
                put_aside.append(spill.write(aside))
                aside.clear()
        return chunk.filter(~mask)

    good = spill.keep(rows, inspect)
    checks += before
    result = _result(checks, bad_rows if validation.on_failure == "Quarantine" else 0)
    good_rows = total - bad_rows
    if bad_rows and validation.on_failure != "Quarantine":
        raise BadInput(
            Reason.REJECTED, _message(checks, bad_rows, total, contract_only=validation.on_failure == "Warn")
        )
    if _share(bad_rows - put_before, total - put_before, rejected) * 100 > validation.max_quarantined_percent:
        first = f"; {rejected.first}" if rejected and rejected.rows else ""
        raise BadInput(
            Reason.REJECTED,
            f"{_message(checks, bad_rows, total, contract_only=False)}{first}; "
            f"spec.validation.maxQuarantinedPercent is {validation.max_quarantined_percent}",
        )
    if good_rows < validation.min_rows and total:
        raise BadInput(
            Reason.REJECTED, f"{good_rows} rows are fewer than spec.validation.minRows ({validation.min_rows})"
        )
    put_aside += aside
    quarantined = Rows(tuple(put_aside)) if put_aside else None
    return Outcome(good, quarantined, total, result, good_rows, checks)


def _share(broken: int, judged: int, rejected: RowsAside | None) -> Fraction:
    """Return the share of bad rows: of those put aside among all that were read, then of those that were judged.

    Windows and filters leave rows out between the two: bad rows of a file are not held against its few good ones.
    """
    unread = rejected.share if rejected else Fraction(0)
    return unread + (1 - unread) * (Fraction(broken, judged) if judged else 0)


def _broken(chunk: pl.DataFrame, checks: list[Check], pii: frozenset[str], first_row: int) -> pl.DataFrame:
    plain = [check.broken.fill_null(False).alias(check.title) for check in checks if check.broken is not None]
    broken = chunk.select(plain) if plain else pl.DataFrame()
    own = []
    for check in checks:
        if check.condition is not None:
            try:
                holds = evaluate(chunk, check.condition, pii, first_row)
            except ExpressionError as error:
                path = f"spec.validation.rules[{check.title}].expression"
                raise BadInput(Reason.EXPRESSION_INVALID, f"{path}: {error}") from error
            own.append((~holds).fill_null(False).alias(check.title))
    return broken.with_columns(own) if own and plain else pl.DataFrame(own) if own else broken


def _count(chunk: pl.DataFrame, broken: pl.DataFrame, checks: list[Check], pii: frozenset[str]) -> None:
    counts = broken.sum().row(0) if broken.width else ()
    for check, count in zip(checks, counts, strict=True):
        if count and not check.rows and check.column is not None and check.column not in pii:
            check.example = chunk[check.column][broken[check.title].arg_max() or 0]
        check.rows += count


def _why(checks: list[Check]) -> pl.Expr:
    titles = [pl.when(pl.col(check.title)).then(pl.lit(check.title)) for check in checks]
    return pl.concat_str(titles, separator="; ", ignore_nulls=True).alias(BROKEN)


def _worst_first(checks: list[Check]) -> list[Check]:
    return sorted((check for check in checks if check.rows), key=lambda check: (-check.rows, check.title))


def _entry(check: Check) -> str:
    example = f", such as {shown(check.example)}" if check.example is not None else ""
    counted = f": {check.rows} row{'s' if check.rows > 1 else ''}{example}"
    return check.title[: _TEXT - len(counted)] + counted


def _result(checks: list[Check], quarantined: int) -> ValidationResult:
    broken = _worst_first(checks)
    return ValidationResult(
        passed=len(checks) - len(broken),
        failed=len(broken),
        quarantined_rows=quarantined,
        failed_rules=tuple(_entry(check) for check in broken[:_LISTED]),
    )


def _message(checks: list[Check], bad_rows: int, total: int, contract_only: bool) -> str:
    broken = [check for check in _worst_first(checks) if check.contract or not contract_only]
    listed = "; ".join(_entry(check) for check in broken[:5]) + ("; ..." if len(broken) > 5 else "")
    return f"{bad_rows} of {total} rows break {len(broken)} rule{'s' if len(broken) > 1 else ''}: {listed}"
